# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Containers that nobody's backup made."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
import time
from pathlib import Path

Member = tuple[str, bytes, str]


def archive(members: list[Member], owner: tuple[int, str] = (0, "")) -> bytes:
    """A gzipped archive of members: (name, tar type, content or link target).

    A dumpdir is given as content of D.  owner: number and name of the user of all.
    """
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.GNU_FORMAT) as made:
        for name, kind, text in members:
            info = tarfile.TarInfo(name)
            info.type, info.mode, info.mtime = kind, 0o4757, int(time.time())
            info.uid, info.uname = owner
            body = b""
            if kind in (tarfile.SYMTYPE, tarfile.LNKTYPE):
                info.linkname = text
            elif kind in (tarfile.CHRTYPE, tarfile.BLKTYPE):
                info.devmajor, info.devminor = 1, 3
            else:
                info.uname = "a\nb" if text == "a\nb" else owner[1]
                body = text.encode()
                info.size = len(body)
            made.addfile(info, io.BytesIO(body))
    return gzip.compress(stream.getvalue())


def plant(container: Path, *levels: list[Member], owner: tuple[int, str] = (0, "")) -> None:
    """Write *levels* into *container* as levels of host_docs."""
    zero = 1_700_000_000
    for number, members in enumerate(levels):
        name = f"{number}_{zero + number}"
        for tree in ("data", "metadata"):
            (container / tree / "tar" / "host_docs" / str(zero) / name).mkdir(parents=True)
        place = container / "data" / "tar" / "host_docs" / str(zero) / name
        (place / "data").write_bytes(archive(members, owner))
        marker = {"engine_name": "tar", "compression": "gzip", "encryption": False}
        other = container / "metadata" / "tar" / "host_docs" / str(zero) / name
        (other / "metadata").write_text(json.dumps(marker))


REG, DIR, SYM, LNK, CHR = (
    tarfile.REGTYPE,
    tarfile.DIRTYPE,
    tarfile.SYMTYPE,
    tarfile.LNKTYPE,
    tarfile.CHRTYPE,
)
DUMP = b"D"

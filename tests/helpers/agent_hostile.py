# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Containers that nobody's backup made."""

from __future__ import annotations

import gzip
import io
import json
import os
import subprocess
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


def plant_archive(container: Path, number: int, archive: bytes) -> None:
    """Write *archive* into *container* as level *number* of host_docs."""
    name = f"host_docs/1700000000/{number}_{1700000000 + number}"
    content = json.dumps({"engine_name": "tar", "compression": "gzip"}).encode()
    for tree, part in (("data", "data"), ("metadata", "metadata")):
        place = container / tree / "tar" / name
        place.mkdir(parents=True)
        (place / part).write_bytes(gzip.compress(archive) if part == "data" else content)


def tars_own(source: Path, beside: Path, *options: str) -> bytes:
    """What GNU tar, as freezer-agent calls it, writes of *source* since the last call.

    beside: where its snapshot lies.
    """
    words = ("tar", "-cf-", *options, "-g", beside / "snapshot", "-C", source, ".")
    return subprocess.run(words, cwd=beside, capture_output=True, check=True).stdout


def attacks(victim: str) -> dict[str, list[list[Member]]]:
    """Levels that would change the directory *victim* beside the target, by name."""
    name = os.path.basename(victim)
    root = ("./", DUMP, "Ylink\0\0")
    bait: list[Member] = [root, ("./link", SYM, victim)]
    d: Member = ("./d/", DUMP, "Ylink\0\0")
    nest: list[Member] = [("./", DUMP, "Dd\0\0"), d, ("./d/link", SYM, victim)]
    return {
        "absolute": [[(f"{victim}/new", REG, "x")]],
        "dotted": [[(f"../{name}/new", REG, "x")]],
        "dotted inside": [[("./a/", DIR, ""), (f"./a/../../../{name}/new", REG, "x")]],
        "link, then through it": [[("./link", SYM, victim), ("./link/new", REG, "x")]],
        "link, then through it, later": [bait, [root, ("./link/new", REG, "x")]],
        "link, then a folder in it": [bait, [root, ("./link/d/", DUMP, "Yq\0\0")]],
        "link, then purge it": [bait, [("./x/", DUMP, "\0"), ("./link/", DUMP, "\0")]],
        "relative link": [
            [root, ("./link", SYM, f"../../{name}")],
            [root, ("./link/new", REG, "x")],
        ],
        "hard link outside": [[("./h", LNK, f"{victim}/file")], [("./h", REG, "x")]],
        "hard link through a link": [bait, [("./h", LNK, "./link/file"), ("./h", REG, "x")]],
        "rename from outside": [bait, [("./", DUMP, f"R{victim}/file\0T./stolen\0\0")]],
        "rename to outside": [
            [("./mine", REG, "x")],
            [("./", DUMP, f"Ymine\0R./mine\0T{victim}/new\0\0")],
        ],
        "rename in level 0": [[("./", DUMP, f"R{victim}/file\0T./stolen\0\0")]],
        "rename through a link": [bait, [("./", DUMP, "Ylink\0Rlink/file\0Tstolen\0\0")]],
        "rename through a renamed link": [
            nest,
            [("./", DUMP, "Rd\0Te\0Re/link/file\0Tstolen\0\0")],
        ],
        "rename into a link": [bait, [("./", DUMP, "Ylink\0Rd\0Tlink/new\0\0"), d]],
        "temporary name in a link": [bait, [("./", DUMP, "Ylink\0Xlink/tmpXXXXXX\0R\0T\0\0")]],
        "renamed link, then through it": [
            nest,
            [("./", DUMP, "De\0R./d\0T./e\0\0"), ("./e/link/new", REG, "x")],
        ],
        "renamed link, then purge it": [
            nest,
            [
                ("./", DUMP, "De\0R./d\0T./e\0\0"),
                ("./e/", DUMP, "Dlink\0\0"),
                ("./e/link/", DUMP, "\0"),
            ],
        ],
        "link renamed twice": [
            nest,
            [("./", DUMP, "De\0R./d\0T./f\0R./f\0T./e\0\0"), ("./e/link/new", REG, "x")],
        ],
        "link renamed by a temporary name": [
            nest,
            [("./", DUMP, "De\0X./tXXXXXX\0R./d\0T\0R\0T./e\0\0"), ("./e/link/new", REG, "x")],
        ],
        "link to a link, then through it": [
            bait,
            [root, ("./t", SYM, "link"), ("./t/new", REG, "x")],
        ],
        "hard link to a link, then through it": [
            bait,
            [root, ("./t", LNK, "./link"), ("./t/new", REG, "x")],
        ],
        "hard link to a hard link to a link, then a folder in it": [
            bait,
            [root, ("./t", LNK, "./link"), ("./u", LNK, "./t"), ("./u/new/", DIR, "")],
        ],
        "purge through a new link": [bait, [root, ("./t", SYM, "link"), ("./t/", DUMP, "\0")]],
        "hard link to what lies behind a new link": [
            bait,
            [root, ("./t", SYM, "link"), ("./stolen", LNK, "./t/file")],
        ],
        "folder that becomes a link": [
            bait,
            [root, ("./t/", DIR, ""), ("./t", SYM, "link")],
        ],
        "folder by its slash alone": [bait, [root, ("./link/", REG, "")]],
        "unknown kind through a link": [
            bait,
            [root, ("./t", SYM, "link"), ("./t/new", b"Z", "x")],
        ],
        "owner that hides a line": [
            bait,
            [root, ("./t", SYM, "link"), ("./t/new", b"0", "a\nb")],
        ],
        "three levels": [
            bait,
            [root, ("./t", SYM, "link")],
            [root, ("./u", LNK, "./t"), ("./u/new", REG, "x")],
        ],
        "renamed to a name that hides a part": [
            nest,
            [("./", DUMP, "R./d\0T./x\nR y\0R./x\nR y/link/file\0T./stolen\0\0")],
        ],
        "renamed to a name with a newline, then through it": [
            nest,
            [("./", DUMP, "R./d\0T./x\ny\0\0"), ("./x\ny/link/new", REG, "x")],
        ],
        "temporary folder in a link": [bait, [("./", DUMP, "Xlink\0Rd\0T\0R\0Te\0\0")]],
        "rename by dots": [bait, [("./", DUMP, f"R../../{name}/file\0T./stolen\0\0")]],
    }

# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One checksum over a tree: to prove that a restore equals what was backed up."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

from coldchain.agent.process.pipeline import CHUNK
from coldchain.core.errors import JobFailed
from coldchain.core.text import display_name

#: Tells of a member and its path whether it stays out.
_Out = Callable[[bytes, bytes], bool]


def _nothing(dummy: bytes) -> bool:
    return False


def checksum(
    path: Path,
    *,
    skip: Collection[str] = (),
    left_out: Callable[[bytes], bool] = _nothing,
    follow: bool = False,
) -> str:
    """SHA-256 (hex) over names, kinds, link targets and contents below *path*, in sorted order.

    A directory is covered without its own name, a single file with it: a restore of either
    into another directory gives the same value.  Left out is what an archive or a restore leaves
    out: the members *skip* ("./a/b"), the paths of which *left_out* says so, sockets, device nodes,
    and what other file systems hold.  follow: links are taken for what they lead to.  JobFailed
    when something cannot be read, or goes.
    """
    try:
        total = hashlib.sha256()
        members = {os.fsencode(member) for member in skip}
        for name, full in _entries(
            os.fsencode(path), lambda member, full: member in members or left_out(full), follow
        ):
            mode = os.stat(full, follow_symlinks=follow).st_mode
            if not (stat.S_ISSOCK(mode) or stat.S_ISBLK(mode) or stat.S_ISCHR(mode)):
                total.update(name + b"\0" + _fingerprint(full, mode) + b"\n")
        return total.hexdigest()
    except OSError as error:
        name = os.fsencode(error.filename or path)
        raise JobFailed(
            f"consistency_check: {display_name(name)}: {error.strerror}",
            "it needs a source that can be read and that nobody changes meanwhile",
        ) from None
    except RecursionError:
        raise JobFailed(
            "consistency_check: directories lie too deep in each other", "leave it out"
        ) from None


def _entries(root: bytes, out: _Out, follow: bool) -> Iterator[tuple[bytes, bytes]]:
    """The relative name and the path of each entry."""
    top = os.stat(root)
    if stat.S_ISDIR(top.st_mode):
        return _walk(root, b"", out, follow, top.st_dev)
    return iter([(os.path.basename(root), root)])


def _walk(
    folder: bytes, prefix: bytes, out: _Out, follow: bool, device: int
) -> Iterator[tuple[bytes, bytes]]:
    for name in sorted(os.listdir(folder)):
        full = os.path.join(folder, name)
        if out(b"./" + prefix + name, full):
            continue
        try:
            status = os.stat(full, follow_symlinks=follow)
        except OSError:
            if follow and os.path.islink(full):  # one that leads nowhere is not stored
                continue
            raise
        yield prefix + name, full
        if stat.S_ISDIR(status.st_mode) and status.st_dev == device:
            yield from _walk(full, prefix + name + b"/", out, follow, device)


def _fingerprint(path: bytes, mode: int) -> bytes:
    if stat.S_ISLNK(mode):
        return b"link " + os.readlink(path)
    if not stat.S_ISREG(mode):
        return b"kind %o" % stat.S_IFMT(mode)
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        while chunk := stream.read(CHUNK):
            digest.update(chunk)
    return b"file " + digest.hexdigest().encode("ascii")

# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One checksum over a tree: to prove that a restore equals what was backed up."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from coldchain.agent.pipeline import CHUNK
from coldchain.agent.report import shown
from coldchain.errors import JobFailed


def checksum(path: Path) -> str:
    """SHA-256 (hex) over names, kinds, link targets and contents below *path*, in sorted order.

    A directory is covered without its own name, a single file with it: a restore of either
    into another directory gives the same value.  JobFailed when something cannot be read, or goes.
    """
    try:
        return _checksum(os.fsencode(path))
    except OSError as error:
        name = os.fsencode(error.filename or path)
        raise JobFailed(
            f"consistency_check: {shown(name)}: {error.strerror}",
            "it needs a source that can be read and that nobody changes meanwhile",
        ) from None
    except RecursionError:
        raise JobFailed(
            "consistency_check: directories lie too deep in each other", "leave it out"
        ) from None


def _checksum(root: bytes) -> str:
    total = hashlib.sha256()
    if stat.S_ISDIR(os.stat(root).st_mode):
        entries: Iterator[tuple[bytes, bytes]] = _walk(root, b"")
    else:
        entries = iter([(os.path.basename(root), root)])
    for name, full in entries:
        total.update(name + b"\0" + _fingerprint(full) + b"\n")
    return total.hexdigest()


def _walk(folder: bytes, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
    for name in sorted(os.listdir(folder)):
        full = os.path.join(folder, name)
        yield prefix + name, full
        if stat.S_ISDIR(os.lstat(full).st_mode):
            yield from _walk(full, prefix + name + b"/")


def _fingerprint(path: bytes) -> bytes:
    mode = os.lstat(path).st_mode
    if stat.S_ISLNK(mode):
        return b"link " + os.readlink(path)
    if not stat.S_ISREG(mode):
        return b"kind %o" % stat.S_IFMT(mode)
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        while chunk := stream.read(CHUNK):
            digest.update(chunk)
    return b"file " + digest.hexdigest().encode("ascii")

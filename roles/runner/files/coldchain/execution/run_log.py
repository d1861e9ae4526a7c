# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The log of a run: one file that commands append to, bounded by its head and its tail."""

from __future__ import annotations

import os
import resource
from functools import lru_cache
from pathlib import Path

from coldchain.core.files import StrPath
from coldchain.core.trusted_path import open_file, open_often

_APPEND = os.O_WRONLY | os.O_CREAT | os.O_APPEND
HEAD = 65536
_BLOCK = 4096
_KEEP_SIZE, _PUNCH_HOLE = 1, 2


@lru_cache(maxsize=1)
def _few() -> int:
    """So many logs stay open between the steps of their runs: a descriptor for each run would be
    one too many on a large host, or where few may be open."""
    soft, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 64 if soft == resource.RLIM_INFINITY else min(64, soft // 32)


class RunLog:
    """The log of a run in progress, to append to; made when it is not there.

    Open until ``close``, or ``rest`` where many are: what is written meanwhile costs one judgement
    of the way to it.
    """

    _open = 0  # of this process

    def __init__(self, path: StrPath) -> None:
        self.path = path
        self._descriptor: int | None = None

    def descriptor(self) -> int:
        """Open to append; OSError."""
        if self._descriptor is None:
            # A group may rename the directory of all logs: Ubuntu's syslog.
            self._descriptor = open_often(os.fspath(self.path), _APPEND)
            RunLog._open += 1
        return self._descriptor

    def note(self, line: str) -> None:
        """Append a line of our own; OSError."""
        os.write(self.descriptor(), line.encode("utf-8", "backslashreplace") + b"\n")

    def rest(self, *, written: bool) -> None:
        """We write nothing for a while; written: but a command does, and so the file system cannot
        be mounted read-only meanwhile anyway."""
        if not written or RunLog._open > _few():
            self.close()

    def close(self) -> None:
        """Let go of the file until it is needed again."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
            RunLog._open -= 1

    def __del__(self) -> None:
        self.close()


def bound(path: StrPath, limit: int) -> bool:
    """Keep the first 64 KiB and about the last *limit* bytes of what is on disk.

    The middle becomes a hole (fallocate), so commands can go on appending meanwhile; their offsets
    stay true.  Returns whether something was cut.
    """
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return False
    end = (status.st_size - limit) // _BLOCK * _BLOCK
    if status.st_blocks * 512 <= HEAD + 2 * limit or end <= HEAD:
        return False
    import ctypes  # 2 MB of memory that most runners never need

    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = open_file(path, os.O_RDWR)
    try:
        failed = libc.fallocate(
            descriptor,
            _KEEP_SIZE | _PUNCH_HOLE,
            ctypes.c_long(HEAD),
            ctypes.c_long(end - HEAD),
        )
        if failed:  # a file system without holes: better no log than a full disk
            os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)
    return True


def read(path: Path, limit: int | None = None) -> str:
    """The text of a log, a cut-out middle replaced by one line; *limit*: only the last bytes."""
    with path.open("rb") as stream:
        descriptor, size = stream.fileno(), os.fstat(stream.fileno()).st_size
        parts: list[bytes] = []
        position = 0
        while position < size:
            try:
                data = os.lseek(descriptor, position, os.SEEK_DATA)
            except OSError:  # nothing but a hole up to the end
                break
            if data - position >= _BLOCK:
                parts.append(f"\n[... {data - position} bytes left out ...]\n".encode())
            hole = os.lseek(descriptor, data, os.SEEK_HOLE)
            stream.seek(data)
            parts.append(stream.read(hole - data))
            position = hole
    raw = b"".join(parts)
    if limit is not None and len(raw) > limit:
        raw = raw[-limit:]
    return raw.replace(b"\0", b"").decode("utf-8", "backslashreplace")

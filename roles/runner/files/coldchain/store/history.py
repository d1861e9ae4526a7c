# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Finished runs and skipped slots: append-only JSON lines, one file a job."""

from __future__ import annotations

import contextlib
import errno
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from coldchain.core.errors import CannotWrite
from coldchain.core.files import (
    cannot_read,
    private_directory_often,
    sync_directory,
    write_atomically,
)
from coldchain.core.trusted_path import open_often
from coldchain.store.records import Run

_BLOCK = 65536
_encode = json.JSONEncoder(separators=(",", ":")).encode


def append(path: Path, entries: list[dict[str, Any]]) -> tuple[Path, ...]:
    """Add *entries*; a line cut short by an earlier crash is closed first.

    Returns the directories that are to be synced before the entries are durable: none, once the
    file has had some.
    """
    raw = b"".join(_line(entry) for entry in entries)
    try:
        descriptor = _open(path)
        try:
            size = os.fstat(descriptor).st_size
            if size and os.pread(descriptor, 1, size - 1) != b"\n":
                raw = b"\n" + raw
            try:
                if os.write(descriptor, raw) != len(raw):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                os.fsync(descriptor)
            except OSError:
                os.ftruncate(descriptor, size)  # else the next try would record it twice
                raise
        finally:
            os.close(descriptor)
    except OSError as error:
        raise _cannot_record(path, error) from None
    return () if size else (path.parent, path.parent.parent)


def sync(directory: Path) -> None:
    """Make the names in *directory* durable, see append; CannotWrite."""
    try:
        sync_directory(directory)
    except FileNotFoundError:  # whoever removed it removed the records, too
        pass
    except OSError as error:
        raise _cannot_record(directory, error) from None


def _cannot_record(path: Path, error: OSError) -> CannotWrite:
    return CannotWrite(
        f"{path}: the record of a run cannot be written: {error.strerror}",
        "make room or mount it read-write; the runner tries again",
    )


def _open(path: Path) -> int:
    """For reading and appending; it is made if it is not there."""
    name, flags = os.fspath(path), os.O_RDWR | os.O_APPEND | os.O_CREAT
    try:
        return open_often(name, flags)
    except FileNotFoundError:  # its directory was removed since the run began
        private_directory_often(os.path.dirname(name))
        return open_often(name, flags)


def newest_first(path: Path) -> Iterator[dict[str, Any]]:
    """Entries from the end of the file; damaged lines are passed over.  Unavailable."""
    with _missing_is_empty(path):
        # Not as a stream, which costs as much again: of a job that begins there is one entry.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            position = os.fstat(descriptor).st_size
            tail = b""
            while position > 0:
                step = min(_BLOCK, position)
                position -= step
                lines = (os.pread(descriptor, step, position) + tail).split(b"\n")
                tail = lines[0]
                for line in reversed(lines[1:]):
                    yield from _entry(line)
            yield from _entry(tail)
        finally:
            os.close(descriptor)


@contextlib.contextmanager
def _missing_is_empty(path: Path) -> Iterator[None]:
    """Around reading *path*; Unavailable when it is there and cannot be read."""
    try:
        yield
    except (FileNotFoundError, NotADirectoryError):
        pass
    except OSError as error:
        raise cannot_read(path, error) from None


def _entry(line: bytes) -> Iterator[dict[str, Any]]:
    if line.strip():
        with contextlib.suppress(ValueError):
            entry = json.loads(line)
            if isinstance(entry, dict) and isinstance(entry.get("time_ended"), (int, float)):
                yield entry


def runs(path: Path, limit: int) -> list[Run]:
    """The newest *limit* finished runs, newest first."""
    finished: list[Run] = []
    for entry in newest_first(path):
        if "run_id" in entry:
            finished.append(entry)
            if len(finished) >= limit:
                break
    return finished


def skipped(path: Path, limit: int) -> list[dict[str, Any]]:
    """The newest *limit* entries of skipped slots, newest first."""
    groups: list[dict[str, Any]] = []
    for entry in newest_first(path):
        if "run_id" not in entry:
            groups.append(entry)
            if len(groups) >= limit:
                break
    return groups


def oldest(path: Path) -> dict[str, Any] | None:
    """The first readable entry, without looking at the others."""
    with _missing_is_empty(path), path.open("rb") as stream:
        for line in stream:
            for entry in _entry(line):
                return entry
    return None


def keep_newest(path: Path, entries: list[dict[str, Any]]) -> None:
    """Let the history hold *entries*, newest first as they were read, and no others."""
    write_atomically(path, b"".join(_line(entry) for entry in reversed(entries)))


def _line(entry: dict[str, Any]) -> bytes:
    return _encode(entry).encode("ascii") + b"\n"

# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is mounted below a directory, and by which names a directory is reached."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

_MOUNTS = Path("/proc/self/mountinfo")  # proc(5)
_ESCAPE = re.compile(rb"\\([0-7]{3})")


class Mount(NamedTuple):
    """What is mounted where.

    point: an absolute path; device: "major:minor"; part: the directory of the file system that is
    mounted, "/" for all of it; kind: its type; number: what ``mount_number`` tells of it.
    """

    point: bytes
    device: str
    part: bytes
    kind: str
    number: int


def mounts(table: Path = _MOUNTS) -> list[Mount]:
    """Everything that is mounted, in its order; nothing where the host does not tell."""
    try:
        lines = table.read_bytes().splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        fields = line.split(b" ")
        part, point = map(_plain, fields[3:5])
        kind = fields[fields.index(b"-") + 1].decode("ascii", "replace")
        device = fields[2].decode("ascii", "replace")
        found.append(Mount(point, device, part, kind, int(fields[0])))
    return found


def mount_points(folder: bytes) -> list[bytes]:
    """The mount points below *folder*, an absolute path without links."""
    top = folder.rstrip(b"/") + b"/"
    points = (mount.point for mount in mounts())
    return [point for point in points if point.startswith(top) and point != top]


def mount_number(descriptor: int) -> int:
    """The number of the mount that an open file lies in: two names of one disk are two mounts."""
    try:
        text = Path(f"/proc/self/fdinfo/{descriptor}").read_bytes()
        return int(text.partition(b"mnt_id:")[2].split()[0])
    except (OSError, IndexError, ValueError):
        return -os.fstat(descriptor).st_dev


class Place(NamedTuple):
    """A directory or file by its name in its own file system, wherever that is mounted."""

    device: str
    path: bytes

    def below(self, other: Place) -> bytes | None:
        """Its name relative to *other*, "." for that itself; None when it lies elsewhere."""
        return None if self.device != other.device else _below(self.path, other.path)


def place(path: bytes, mounted: Iterable[Mount]) -> Place | None:
    """Where *path*, absolute and without links, lies; None where the host does not tell.

    Of what is not there, where it would be.  mounted: what is, on this host.
    """
    there = path
    while not os.path.lexists(there):
        there = os.path.dirname(there)
    number = _number_at(there)
    for mount in mounted:
        inner = _below(path, mount.point) if mount.number == number else None
        if inner is not None:
            return Place(mount.device, os.path.normpath(os.path.join(mount.part, inner)))
    return None


def names_within(
    folder: str | os.PathLike[str],
    tree: str | os.PathLike[str],
    mounted: Sequence[Mount] | None = None,
) -> list[bytes]:
    """The members of *tree* ("./a/b") that are *folder*, or lie in it; "." when *tree* does.

    What is mounted in a second place has a second name: a container that is mounted below the
    source, too, or a source that is the second name of a directory around the container.  mounted:
    what is, where that was read for other names.
    """
    wanted, top = (os.fsencode(os.path.realpath(path)) for path in (folder, tree))
    found = {_member(b".", _below(wanted, top), _below(top, wanted))}
    mounted = mounts() if mounted is None else mounted
    there, here = place(wanted, mounted), place(top, mounted)
    if there is not None and here is not None:
        found.add(_member(b".", there.below(here), here.below(there)))
        for mount in mounted:
            inner = _below(mount.point, top)
            if inner not in (None, b"."):
                view = Place(mount.device, mount.part)
                member = _member(b"./%b" % inner, there.below(view), view.below(there))
                # Nobody comes to what something else is mounted above.
                if member is not None and _number_at(mount.point) == mount.number:
                    found.add(member)
    return [b"."] if b"." in found else sorted(filter(None, found))


def _member(name: bytes, inner: bytes | None, outer: bytes | None) -> bytes | None:
    """What of the member *name* is to be found: *inner* in it, or all of it, as it lies in that
    (*outer*); None for nothing."""
    if inner in (None, b"."):
        return None if inner is outer is None else name
    return b"%b/%b" % (name, inner)


def _below(path: bytes, folder: bytes) -> bytes | None:
    """*path* relative to *folder*, "." for that itself; None when it is not below it.

    Both as the kernel writes them; os.path, which reads any path, takes ten times as long.
    """
    if path == folder:
        return b"."
    top = folder.rstrip(b"/") + b"/"
    return path[len(top) :] if path.startswith(top) else None


def _number_at(path: bytes) -> int | None:
    """The number of the mount that *path* leads to."""
    try:
        descriptor = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        return mount_number(descriptor)
    finally:
        os.close(descriptor)


def mounted_below(source: Path) -> dict[bytes, os.stat_result]:
    """The members of *source* ("./a/b") that are the roots of other file systems."""
    top = os.fsencode(os.path.realpath(source))
    mounted = {}
    for path in mount_points(top):
        try:
            status = os.lstat(path)
        except OSError:  # unmounted meanwhile, or hidden by another one
            continue
        if status.st_dev != os.lstat(top).st_dev:
            mounted[b"./" + os.path.relpath(path, top)] = status
    return mounted


def _plain(field: bytes) -> bytes:
    return _ESCAPE.sub(_character, field) if b"\\" in field else field


def _character(match: re.Match[bytes]) -> bytes:
    return bytes([int(match[1], 8)])

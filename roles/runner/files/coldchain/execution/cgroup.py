# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A control group for every attempt, where systemd has delegated ours to us (Delegate=yes).

Only groups are made, no controller is enabled: with cgroup.subtree_control empty the runner may
stay in the group above, systemd can start it again there, and nothing is limited or counted.
Without delegation, or when anything fails, there is no group, and members.py has to do.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
from collections.abc import Container, Iterator
from functools import lru_cache
from pathlib import Path

_PREFIX = "coldchain-"
_KILL = "cgroup.kill"  # since Linux 5.14
_UNIT = re.compile(r"\.(service|scope|slice)$")
_DELEGATED = ("trusted.delegate", "user.delegate")
_OCTAL = re.compile(r"\\([0-7]{3})")

_SESSIONS = "/run/systemd/sessions"  # of logind, a file with NAME=VALUE for each

_full: set[Path] = set()  # groups that could not be removed, because a process was left behind


@lru_cache(maxsize=1)
def delegated() -> Path | None:
    """The directory of our own control group when systemd has left what is below to us.

    Version 2 before version 1, of which it is systemd's own hierarchy.
    """
    return next(filter(_is_delegated, _places_of("self")), None)


def logins(pids: Container[int]) -> set[Path]:
    """The groups of the logins that processes of *pids* have opened.

    Where pam_systemd is configured, su moves itself and its command into one, and PAM resets the
    limits: what becomes a daemon there has no other sign of where it comes from.
    """
    groups = set()
    with contextlib.suppress(OSError):
        for entry in os.scandir(_SESSIONS):
            if not entry.is_file(follow_symlinks=False):  # c1.ref beside c1 is a pipe
                continue
            try:
                lines = Path(entry.path).read_text("utf-8", "replace").splitlines()
            except OSError:  # has just ended
                continue
            session = dict(line.partition("=")[::2] for line in lines)
            leader = session.get("LEADER", "")
            if leader.isdigit() and int(leader) in pids:
                places = _places_of(leader)
                groups |= {place for place in places if place.name == session.get("SCOPE")}
    return groups


def _places_of(pid: str) -> Iterator[Path]:
    """Where the groups of a process should be seen: of version 2, then systemd's of version 1."""
    with contextlib.suppress(OSError):
        groups = Path(f"/proc/{pid}/cgroup").read_text("utf-8", "surrogateescape").splitlines()
        mounts = Path("/proc/self/mountinfo").read_text("utf-8", "surrogateescape").splitlines()
        for names, kind, option in (
            ("", "cgroup2", ""),
            ("name=systemd", "cgroup", "name=systemd"),
        ):
            for line in groups:
                number, controllers, path = line.split(":", 2)
                if controllers != names or (not names and number != "0"):
                    continue
                yield from _places(mounts, kind, option, path)


def _places(mounts: list[str], kind: str, option: str, path: str) -> Iterator[Path]:
    """Where the group *path* should be seen; a mount may hide another one."""
    for line in mounts:
        fields, dash, rest = line.partition(" - ")
        words, more = fields.split(" "), rest.split(" ")
        if not dash or more[0] != kind or (option and option not in more[2].split(",")):
            continue
        root, point = (_OCTAL.sub(lambda match: chr(int(match[1], 8)), words[i]) for i in (3, 4))
        below = os.path.relpath(path, root)
        if not below.startswith(".."):
            yield Path(point, below)


def _is_delegated(place: Path) -> bool:
    """Has systemd marked the group, or (DelegateSubgroup) the one above?"""
    places = [place] if _UNIT.search(place.name) else [place, place.parent]
    for directory in places:
        for name in _DELEGATED:
            with contextlib.suppress(OSError):
                if os.getxattr(directory, name) == b"1":
                    return os.access(place, os.W_OK)
    return False


def _name(attempt: Path) -> str:
    return f"{_PREFIX}{attempt.parent.name}-{attempt.name}"


def create(attempt: Path) -> None:
    """Make a group for the attempt, where there can be one."""
    base = delegated()
    if base is not None:
        with contextlib.suppress(OSError):
            (base / _name(attempt)).mkdir(exist_ok=True)


def find(attempt: Path) -> Path | None:
    """The group that create() made, in this runner or one before it; None when there is none."""
    base = delegated()
    if base is None:
        return None
    group = base / _name(attempt)
    return group if group.is_dir() else None


def processes(group: Path) -> list[int]:
    """The numbers of the processes in the group and in those below it."""
    pids: list[int] = []
    for directory in _below(group):
        with contextlib.suppress(OSError, ValueError):
            pids += map(int, (directory / "cgroup.procs").read_text("ascii").split())
    return [pid for pid in pids if pid]  # 0: not to be seen in our pid namespace


def _below(group: Path) -> list[Path]:
    """The group and all below it, the deepest last."""
    try:
        if group.stat().st_nlink == 2:  # the usual case, at a tenth of the price
            return [group]
    except OSError:
        return []
    return [Path(top) for top, _names, _files in os.walk(group)]


def kill(group: Path) -> None:
    """SIGKILL to everything in the group, as far as the kernel can also to what forks meanwhile."""
    if _put(group / _KILL, "1"):
        return
    frozen = _put(group / "cgroup.freeze", "1")  # version 2 since Linux 5.2
    try:
        for _round in range(8):
            pids = processes(group)
            for pid in pids:
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
            if not pids:
                break
    finally:
        if frozen:
            _put(group / "cgroup.freeze", "0")


def _put(path: Path, text: str) -> bool:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        os.write(descriptor, text.encode("ascii"))
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True


def remove(group: Path) -> None:
    """Remove an empty group; one in which a process was left is tried again at later calls."""
    _full.add(group)
    for candidate in list(_full):
        try:
            for directory in reversed(_below(candidate)):
                directory.rmdir()
        except FileNotFoundError:
            pass
        except OSError:
            continue
        _full.discard(candidate)


def sweep() -> None:
    """After a start: remove the groups that runners before us left, as far as they are empty."""
    base = delegated()
    if base is not None:
        for group in base.glob(f"{_PREFIX}*"):
            remove(group)

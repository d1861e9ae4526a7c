# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an attempt has lost and nothing on it shows any more, where no control group holds it.

PAM sets limits and environment anew for the command of a login (su, sudo), and what that leaves in
the background loses parent and session, too.  So the process that supervises runs lets the kernel
give orphans to it instead of to the first process (PR_SET_CHILD_SUBREAPER), and asks of each new
child whose it can be: an attempt that ran when it began.  When several did, only where its output
goes can tell; else it is named and not touched.  See docs/decisions/066.

All of this is of the process and not of an object, as its children are.
"""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Container, Iterator
from pathlib import Path

from coldchain.core.files import StrPath
from coldchain.execution import cgroup
from coldchain.execution.attempt_files import ORPHANS, file_of
from coldchain.execution.members import (
    Member,
    Stat,
    all_stats,
    bears_a_mark,
    boot_id,
    output_of,
    stat_of,
)

_PR_SET_CHILD_SUBREAPER = 36
_OF_ONE_THREAD = 3  # links of the directory of all threads: one for each, and its own two


class _Attempt:
    """A living one.  sheds: its command is the job's own, and may do what it likes."""

    def __init__(self, wrapper: Member, output: str) -> None:
        self.wrapper, self.output, self.sheds = wrapper, output, True


class _Register:
    """What a reaper keeps of its children.

    before: children that nobody asks about; left: by commands that have ended; found: whose it
    can be; condemned: attempts of which nothing is to remain.
    """

    def __init__(self, *, adopting: bool = False, before: set[Member] | None = None) -> None:
        self.adopting = adopting
        self.before = set() if before is None else before
        self.live: dict[Path, _Attempt] = {}
        self.left: dict[Path, list[Member]] = {}
        self.found: dict[Member, tuple[Path, ...]] = {}
        self.condemned: set[Path] = set()


_register = _Register()


@contextlib.contextmanager
def adopted() -> Iterator[None]:
    """What loses its parent in this block becomes ours, unless control groups tell enough."""
    global _register
    _register = _Register()
    if cgroup.delegated() is None and _adopt(yes=True):
        _register = _Register(adopting=True, before={stat.member() for stat in _children(())})
    try:
        yield
    finally:
        if _register.adopting:
            _adopt(yes=False)
        _register = _Register()


def _adopt(*, yes: bool) -> bool:
    try:
        import ctypes  # which some Pythons are built without

        word = ctypes.c_ulong
        libc = ctypes.CDLL(None)
        done = libc.prctl(_PR_SET_CHILD_SUBREAPER, word(yes), word(0), word(0), word(0))
        return bool(done == 0)
    except (ImportError, OSError, AttributeError):
        return False


def begins(attempt: Path, wrapper: Member, log: StrPath | None) -> None:
    """The attempt runs from now on, under *wrapper*.

    log: where its output goes; None where nobody knows but the wrapper.
    """
    if _register.adopting:
        output = output_of(wrapper.pid)[0] if log is None else os.fspath(log)
        _register.live[attempt] = _Attempt(wrapper, output)


def sheds_nothing(attempt: Path) -> None:
    """The attempt is one of ours, all of whose processes keep the mark."""
    if attempt in _register.live:
        _register.live[attempt].sheds = False


def ends(attempt: Path, behind: list[Member]) -> None:
    """The command of the attempt has ended and left *behind*, which may lose something later."""
    ended = _register.live.pop(attempt, None)
    if ended is not None and ended.sheds and behind:
        _register.left[attempt] = behind


def look() -> float:
    """Ask of each new child whose it is, and let go of those that have ended.  Cheap.

    Returns when the youngest of them began, in the kernel's ticks: what an attempt of ours has lost
    is one of them, or descends from one.  Infinity where not all of that becomes ours.
    """
    youngest = -math.inf
    if not _register.adopting:
        return math.inf
    if not _register.live and _childless():  # a living attempt has a wrapper
        return youngest
    # No number of these is another's: none of them is waited for before its attempt ends.
    wrappers = {live.wrapper.pid for live in _register.live.values()}
    session = os.getsid(0)
    for stat in _children(wrappers):
        if stat.session == session:  # a helper of ours
            continue
        member = stat.member()
        youngest = max(youngest, member.start)
        if member not in _register.found and member not in _register.before:
            owners = _owners(member)
            _register.found[member] = owners
            if len(owners) == 1:
                _note(owners[0], member)
        if stat.ended():
            with contextlib.suppress(ChildProcessError):
                os.waitpid(member.pid, os.WNOHANG)
            _register.found.pop(member, None)
            _register.before.discard(member)
    return youngest


def _childless() -> bool:
    """Mostly so, and told by one system call."""
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return True
    return False


def _children(known: Container[int]) -> list[Stat]:
    """Of all our threads, but for those whose numbers are *known*."""
    pids: set[int] = set()
    try:
        for thread in _threads():
            pids.update(map(int, _whole(f"/proc/self/task/{thread}/children").split()))
    except OSError:  # a kernel that does not list them
        mine = os.getpid()
        return [stat for stat in all_stats() if stat.parent == mine and stat.pid not in known]
    asked = sorted(pid for pid in pids if pid not in known)
    return [stat for stat in map(stat_of, asked) if stat is not None]


def _whole(path: str) -> bytes:
    """All of a small file; OSError.  A stream costs a run twice as much."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        raw = b""
        while piece := os.read(descriptor, 4096):
            raw += piece
        return raw
    finally:
        os.close(descriptor)


def _threads() -> list[str]:
    """The numbers of our own; mostly there is the first one alone, which one system call tells."""
    if os.stat("/proc/self/task").st_nlink == _OF_ONE_THREAD:
        return [str(os.getpid())]
    return os.listdir("/proc/self/task")


def _owners(member: Member) -> tuple[Path, ...]:
    """The attempts whose it can be: none when it bears a mark, which tells more than this."""
    if bears_a_mark(member.pid):
        return ()
    here = output_of(member.pid)
    owners = []
    for attempt, live in _register.live.items():
        if live.sheds and live.wrapper.start <= member.start:
            if os.path.realpath(live.output) in here:
                return (attempt,)
            owners.append(attempt)
    for attempt, behind in list(_register.left.items()):
        if any(member.alive() for member in behind):
            owners.append(attempt)
        else:
            del _register.left[attempt]
    return tuple(owners)


def of(attempt: Path) -> list[Member]:
    """The living orphans that can be of no other attempt, but for those that were ended, too."""
    ended = _register.condemned | {attempt}
    return [
        member
        for member, owners in _register.found.items()
        if attempt in owners and ended.issuperset(owners)
    ]


def doubtful(attempt: Path) -> list[Member]:
    """The living orphans that may be of this attempt, which was ended, or of another one."""
    if _register.adopting:
        _register.condemned.add(attempt)
    return [
        member
        for member, owners in _register.found.items()
        if attempt in owners and not _register.condemned.issuperset(owners) and member.alive()
    ]


def _note(attempt: Path, member: Member) -> None:
    """For a later runner, whose child it will not be."""
    path = file_of(attempt, ORPHANS)
    with contextlib.suppress(OSError), path.open("a", encoding="ascii") as stream:
        stream.write(f"{member.pid} {member.start} {boot_id()}\n")


def noted(attempt: Path) -> list[Member]:
    """What an earlier runner has found out of the attempt."""
    members = []
    with contextlib.suppress(OSError, ValueError):
        for line in file_of(attempt, ORPHANS).read_text(encoding="ascii").splitlines():
            pid, start, boot = line.split()
            stat = stat_of(int(pid))
            if boot == boot_id() and stat is not None and stat.start == int(start):
                members.append(stat.member())
    return members

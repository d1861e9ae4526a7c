# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which processes belong to an attempt, in whatever group, session or control group they are.

A process may leave its group and session (setsid, bash -m, timeout), its parent (a double fork),
its environment (env -i) and its control group.  What it keeps through all of that are its resource
limits, so every attempt has one at a number of its own that no process ever reaches.  Only PAM sets
limits anew, in a login (su, sudo): there it is the login's own control group that tells, as far as
systemd is there to give it one.  See docs/decisions/066.
"""

from __future__ import annotations

import contextlib
import os
import resource
import signal
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from coldchain.execution import cgroup

_LEAST_MARK = 1 << 60
"""Microseconds that a process with real-time priority may work without a pause: 36,000 years."""
_FEW = 64
"""So many process numbers are tried one by one; from there on /proc is listed."""
_PROC = "/proc"
_LIMIT = b"Max realtime timeout"
_ATTEMPT = b"COLDCHAIN_ATTEMPT="


class Member(NamedTuple):
    """A living process.  start: its start time in the kernel's ticks, which with the pid names it
    for ever; command: its name, at most 15 characters."""

    pid: int
    start: int
    command: str

    def as_dict(self) -> dict[str, Any]:
        """For records: pid and command."""
        return {"pid": self.pid, "command": self.command}

    def __str__(self) -> str:
        return f"{self.pid} ({self.command})"

    def alive(self) -> bool:
        """Does it still run?  A zombie does not."""
        stat = stat_of(self.pid)
        return stat is not None and stat.start == self.start and not stat.ended()

    def send(self, number: signal.Signals) -> None:
        """Send a signal to it, and never to another process; nothing happens where that is not
        permitted, or it is gone."""
        with contextlib.suppress(OSError):
            descriptor = os.pidfd_open(self.pid)
            try:
                stat = stat_of(self.pid)
                if stat is not None and stat.start == self.start:
                    signal.pidfd_send_signal(descriptor, number)
            finally:
                os.close(descriptor)


class Stat(NamedTuple):
    """What /proc/PID/stat says of a process."""

    pid: int
    command: str
    state: str
    parent: int
    session: int
    start: int

    def ended(self) -> bool:
        """Has all of it ended, although it is still listed?"""
        if self.state not in "ZX":
            return False
        try:  # the first thread may have ended before the others
            return len(os.listdir(f"{_PROC}/{self.pid}/task")) <= 1
        except OSError:
            return True

    def member(self) -> Member:
        """What of it is kept."""
        return Member(self.pid, self.start, self.command)


def stat_of(pid: int) -> Stat | None:
    """Of the process with that number; None when there is none."""
    raw = beginning_of(f"{_PROC}/{pid}/stat", 4096)
    head, bracket, rest = raw.rpartition(b")")  # the name in front may hold blanks and brackets
    if not bracket:
        return None
    command = head.partition(b"(")[2].decode("utf-8", "replace")
    fields = rest.split()
    return Stat(pid, command, fields[0].decode(), int(fields[1]), int(fields[3]), int(fields[19]))


def beginning_of(path: str | Path, at_most: int) -> bytes:
    """Up to *at_most* bytes of a file; empty when it is gone, or cannot be read."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        return os.read(descriptor, at_most)
    except OSError:
        return b""
    finally:
        os.close(descriptor)


def _environment(pid: int) -> bytes:
    """A name and a value each, divided by zeros; empty when it is not ours to read."""
    try:
        return Path(f"{_PROC}/{pid}/environ").read_bytes()
    except OSError:
        return b""


def all_stats() -> list[Stat]:
    """Of every process that can be seen."""
    return [stat for stat in map(stat_of, _numbers()) if stat is not None]


def output_of(pid: int) -> list[str]:
    """Where standard output and error of a process go; "" for what we are not to know."""
    places = []
    for number in (1, 2):
        try:
            places.append(os.readlink(f"{_PROC}/{pid}/fd/{number}"))
        except OSError:
            places.append("")
    return places


def bears_a_mark(pid: int) -> bool:
    """Does the process carry the mark or the environment of any attempt?"""
    for line in beginning_of(f"{_PROC}/{pid}/limits", 4096).splitlines():
        if line.startswith(_LIMIT):
            soft = line[len(_LIMIT) :].split()[0]
            if soft.isdigit() and int(soft) >= _LEAST_MARK:
                return True
    return any(part.startswith(_ATTEMPT) for part in _environment(pid).split(b"\0"))


def member(pid: int) -> Member | None:
    """The process with that number; None when there is none."""
    stat = stat_of(pid)
    return None if stat is None else stat.member()


@lru_cache(maxsize=1)
def boot_id() -> str:
    """The kernel's name for the time since it was booted."""
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


@lru_cache(maxsize=1)
def host_boot() -> str:
    """The name of this boot of the host, which may be a container: that is booted without the
    kernel below it, and has a first process of its own."""
    first = stat_of(1)
    return boot_id() if first is None else f"{boot_id()} {first.start}"


class Mark(NamedTuple):
    """How the processes of an attempt are told from all others.

    limit: their soft limit of real-time work (RLIMIT_RTTIME) in microseconds; attempt: the
    path that its files begin with; group: its control group, if it has one.
    """

    limit: int
    attempt: Path
    group: Path | None = None

    @classmethod
    def of(cls, attempt: Path) -> Mark:
        """Of an attempt of a run whose directory exists: the same in every runner of this boot."""
        run = attempt.parent
        status = os.stat(run)
        name = f"{run.name}/{attempt.name}"
        text = f"{status.st_dev} {status.st_ino} {name} {boot_id()}"
        number = 0xCBF29CE484222325  # FNV-1a of 64 bits, because hashlib brings OpenSSL along
        for byte in os.fsencode(text):
            number = (number ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
        return cls(_LEAST_MARK + (number >> 24), attempt, cgroup.find(attempt))

    def on(self, pid: int) -> bool:
        """Does the process carry the mark?"""
        return b" %d " % self.limit in beginning_of(f"{_PROC}/{pid}/limits", 4096)

    @contextlib.contextmanager
    def inherited(self) -> Iterator[None]:
        """What is started in this block carries the mark, unless the limit is fixed already."""
        soft, hard = resource.getrlimit(resource.RLIMIT_RTTIME)
        try:
            resource.setrlimit(resource.RLIMIT_RTTIME, (self.limit, hard))
        except (ValueError, OSError):
            yield
            return
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_RTTIME, (soft, hard))

    def in_environment(self, pid: int) -> bool:
        """Does the process have the environment of the attempt?"""
        variable = _ATTEMPT + os.fsencode(self.attempt)
        return variable in _environment(pid).split(b"\0")


def members(
    mark: Mark, wrapper: Member | None, known: Iterable[Member], logins: set[Path]
) -> list[Member]:
    """Every living process of the attempt but its wrapper; it takes about 0.1 ms a process of the
    host.

    wrapper: as long as it was not waited for, so that its number is its own; known: what was a
    member before, and may have shed every sign of it; logins: the groups of its logins, to which
    those that are met are added.
    """
    table = {stat.pid: stat for stat in all_stats()}
    mine = os.getpid()
    groups = logins if mark.group is None else {mark.group, *logins}
    inside = {pid for group in groups for pid in cgroup.processes(group)}
    inside.update(
        member.pid
        for member in known
        if member.pid in table and table[member.pid].start == member.start
    )
    inside.update(
        pid for pid in table if pid not in inside and (mark.on(pid) or mark.in_environment(pid))
    )
    roots = {mine, 1}
    inside -= roots
    if wrapper is not None and wrapper.pid in table and table[wrapper.pid].start == wrapper.start:
        inside.add(wrapper.pid)
        roots.add(wrapper.pid)
    while True:
        more = {
            pid
            for pid, stat in table.items()
            if pid not in inside
            and pid not in roots
            and (stat.parent in inside or stat.session in inside)
        }
        if not more:
            opened = cgroup.logins(inside) - logins
            logins |= opened
            more = {pid for group in opened for pid in cgroup.processes(group)} - roots
        if not more:
            break
        inside |= more
    return [
        table[pid].member()
        for pid in sorted(inside - roots)
        if pid in table and not table[pid].ended()
    ]


def left_behind(mark: Mark, first: int, session: int | None, seconds: float) -> list[Member]:
    """What the attempt, which has run for *seconds*, leaves behind now that its command has ended.

    first: the number of its wrapper; session: the same as long as no other process can have it.

    Cheap, because every run asks it: a process of the attempt has a number that was given away
    after its wrapper's.
    """
    grouped = set() if mark.group is None else set(cgroup.processes(mark.group))
    pids = _numbers_since(first, seconds)
    behind = []
    for pid in sorted(grouped.union(pids)) if grouped else pids:
        stat = stat_of(pid)
        if stat is None or pid in (first, os.getpid()) or stat.ended():
            continue
        if (stat.session == session or pid in grouped or mark.on(pid)) and _is_process(pid):
            behind.append(stat.member())
    return behind


def _is_process(pid: int) -> bool:
    """Is it the number of a process?  That of another thread answers like one, but is not listed
    in /proc."""
    return b"\nTgid:\t%d\n" % pid in beginning_of(f"{_PROC}/{pid}/status", 4096)


def _numbers() -> list[int]:
    return [int(name) for name in os.listdir(_PROC) if name.isdigit()]


def _numbers_since(first: int, seconds: float) -> Iterable[int]:
    """Of the processes that have begun after *first* did, *seconds* ago."""
    try:
        last = int(beginning_of(f"{_PROC}/loadavg", 256).split()[4])
    except (ValueError, IndexError):
        return _numbers()
    if seconds > 60 or last < first:  # the numbers may have begun anew
        return _numbers()
    if last - first <= _FEW:
        return range(first + 1, last + 1)
    return [pid for pid in _numbers() if first < pid <= last]

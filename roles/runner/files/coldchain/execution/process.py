# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A command under a wrapper that outlives a crash of the runner.

The command runs under a few lines of /bin/sh which write down who they are before it starts and
its exit code when it ends.  So a restarted runner can find it (pid and start time, never the pid
alone), wait for it through a pidfd and learn its real result.  Linux >= 5.3.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from coldchain.core.errors import CannotWrite, Unavailable
from coldchain.core.files import cannot_read
from coldchain.execution import cgroup, members, orphans
from coldchain.execution.attempt_files import PID, exit_code, file_of
from coldchain.execution.members import Mark, Member, boot_id
from coldchain.execution.run_log import RunLog

# A trap that does nothing lets the shell wait for the command's own end on TERM; "ignore" would be
# inherited by the command.  Only built-in commands: each external one would double the cost.  The
# command itself is a path, which no shell takes for a builtin.  The shell's own standard error is
# the file "pid", see Ending.
_WRAPPER = r"""
trap : TERM INT HUP
group=$1
shift
read -r stat </proc/self/stat
start_of() { shift 19; start=$1; }
start_of ${stat##*) }
echo "$$ $start $COLDCHAIN_BOOT" >&2
(
  if [ "$group" ]; then { echo 0 >"$group/cgroup.procs"; } 2>/dev/null; fi
  exec "$@" 2>&1
)
code=$?
echo "$code" >"$COLDCHAIN_ATTEMPT.exit_code"
exit "$code"
"""

_HERE = contextlib.nullcontext()
_SIGNALS = signal.valid_signals()
"""No command is deaf to one that the interpreter ignores (PIPE, XFSZ), or that whoever started the
runner ignores or holds back: nohup, or the background of a shell."""
_FIRST = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
_BEGINNING = 5.0
"""Seconds that a wrapper gets to write down who it is, after whoever started it was killed."""


class Ending(NamedTuple):
    """How a command ended.

    code: its exit code, 128 and more for a signal as a shell tells it; None: there is none, the
    wrapper itself was killed.  signal: what ended it, 0 when it ended by itself, or the shell does
    not tell (SIGINT and SIGPIPE).
    """

    code: int | None
    signal: int = 0

    @classmethod
    def of(cls, attempt: Path, code: int | None) -> Ending:
        """Of the attempt *attempt*, whose wrapper ended with *code*."""
        if code is None or code <= 128:
            return cls(code)
        try:
            spoke = len(file_of(attempt, PID).read_bytes().splitlines()) > 1
        except OSError:
            spoke = False
        return cls(code, code - 128 if spoke else 0)


def _written_by_wrapper(attempt: Path) -> list[str]:
    """Pid, start time and boot of the wrapper; ValueError when there is nothing of it.

    Only of an attempt that was begun just now more can be expected than is there.
    """
    young = abs(time.time() - os.stat(f"{attempt}.{PID}").st_mtime) < 60
    until = time.monotonic() + (_BEGINNING if young else 0.0)
    while True:
        text = ""
        with contextlib.suppress(FileNotFoundError):
            text = file_of(attempt, PID).read_text(encoding="ascii", errors="replace")
        line, end, _said = text.partition("\n")
        if end:
            return line.split()
        if time.monotonic() >= until or exit_code(attempt) is not None:
            raise ValueError(text)
        time.sleep(0.01)


def _words(pid: int) -> bytes:
    """The command line of a process; empty when it is gone or about to become another program."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return b""


def _age(start: int) -> float:
    """Seconds since *start*, a start time in the kernel's ticks: no set clock makes it another."""
    began = start / os.sysconf("SC_CLK_TCK")
    return max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - began)


def check_support() -> None:
    """Raises Unavailable where the kernel, or a container's filter, lets no process be watched."""
    try:
        os.close(os.pidfd_open(os.getpid()))
    except (OSError, AttributeError) as error:
        raise Unavailable(
            f"the end of a process cannot be waited for here (pidfd_open: {error})",
            "Linux 5.3 or later is needed, and in a container a seccomp filter that permits it",
        ) from None


class Process:
    """A started or adopted command with all the processes that it has started.

    pidfd: becomes readable when the command has ended; None after finish().  age: seconds that it
    had run when it was adopted.
    """

    def __init__(
        self, mark: Mark, wrapper: Member | None, pidfd: int | None, age: float = 0.0
    ) -> None:
        self.attempt = mark.attempt
        self.pid = 0 if wrapper is None else wrapper.pid
        self.pidfd = pidfd
        self.age = age
        self._since = time.monotonic() - age
        self._wrapper = wrapper
        self._mark = mark
        self._known: dict[Member, None] = {}
        self._logins: set[Path] = set()
        self._started = False  # by us, and not adopted

    @classmethod
    def start(
        cls,
        attempt: Path,
        argv: Sequence[str],
        *,
        environment: Mapping[str, str],
        working_directory: str | None,
        log: RunLog,
    ) -> Process:
        """Start *argv*, whose first word is a path, with its output appended to *log*.

        attempt: the path that its files begin with; none of them exists yet.  Raises CannotWrite,
        or OSError when the command cannot be started at all.
        """
        _keep_to_ourselves()
        try:
            pid_file = os.open(f"{attempt}.{PID}", _FIRST, 0o600)
            try:
                out = log.descriptor()
            except OSError:
                os.close(pid_file)
                raise
        except OSError as error:
            raise CannotWrite(
                f"{error.filename}: cannot be written: {error.strerror}",
                "make room or mount it read-write",
            ) from None
        cgroup.create(attempt)
        mark = Mark.of(attempt)
        try:
            with mark.inherited(), _in_directory(working_directory) if working_directory else _HERE:
                pid = _spawn(
                    ["/bin/sh", "-c", _WRAPPER, "coldchain-action", str(mark.group or ""), *argv],
                    {
                        **environment,
                        "COLDCHAIN_ATTEMPT": os.fspath(attempt),
                        "COLDCHAIN_BOOT": boot_id(),
                    },
                    out,
                    pid_file,
                )
        except OSError:
            if mark.group is not None:
                cgroup.remove(mark.group)
            raise
        finally:
            os.close(pid_file)
        try:
            pidfd = os.pidfd_open(pid)
        except OSError:  # what cannot be watched must not run
            os.killpg(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            raise
        wrapper = members.member(pid)
        process = cls(mark, wrapper, pidfd)
        process._started = True
        if wrapper is not None:
            orphans.begins(attempt, wrapper, log.path)
        return process

    @classmethod
    def adopt(cls, attempt: Path) -> Process | None:
        """The command of an earlier runner if it still runs, else None (see orphaned).

        Raises Unavailable when that cannot be found out.
        """
        try:
            pid_text, start, boot = _written_by_wrapper(attempt)
            pid, began = int(pid_text), int(start)
            if boot != boot_id():
                return None
            pidfd = os.pidfd_open(pid)
        except (FileNotFoundError, ProcessLookupError, ValueError):
            return None
        except OSError as error:
            raise cannot_read(file_of(attempt, PID), error) from None
        # Compared after pidfd_open: from here on the pid cannot go to another process unnoticed.
        wrapper = members.member(pid)
        if wrapper is None or wrapper.start != began:
            os.close(pidfd)
            return None
        process = cls(Mark.of(attempt), wrapper, pidfd, _age(began))
        process._known.update(dict.fromkeys(orphans.noted(attempt)))
        orphans.begins(attempt, wrapper, None)
        return process

    @classmethod
    def orphaned(cls, attempt: Path) -> Process:
        """What is left of an attempt of an earlier runner whose wrapper is gone, mostly nothing."""
        process = cls(Mark.of(attempt), None, None)
        process._known.update(dict.fromkeys(orphans.noted(attempt)))
        process.members()
        return process

    def begun(self) -> bool:
        """Does the command run, and hear what is sent to it?

        Before it does, there is the wrapper, and then a copy of it that becomes the command and
        may take a signal for the wrapper's own.  Asked of the processes themselves: a kernel
        need not list a process's children (CONFIG_PROC_CHILDREN).
        """
        wrapper = _words(self.pid)
        return any(_words(member.pid) not in (wrapper, b"") for member in self.members())

    def members(self) -> list[Member]:
        """Every living process of it but the wrapper, wherever it has gone to."""
        orphans.look()
        known = {**self._known, **dict.fromkeys(orphans.of(self.attempt))}
        present = members.members(self._mark, self._wrapper, known, self._logins)
        self._known = dict.fromkeys(present)
        return present

    def doubtful(self) -> list[Member]:
        """What may be of it or of another attempt, and so is left alone."""
        orphans.look()
        return orphans.doubtful(self.attempt)

    def remain(self) -> bool:
        """Is any process of it left?  Cheap as long as one of those is that members() has named."""
        return any(member.alive() for member in self._known) or bool(self.members())

    def send(self, number: signal.Signals) -> list[Member]:
        """Send *number* to every process of it but the wrapper; whom it was sent to."""
        targets = self.members()
        for member in targets:
            member.send(number)
        return targets

    def kill(self) -> None:
        """SIGKILL to every process of it, and to the wrapper when nothing else is left."""
        if self._mark.group is not None:
            cgroup.kill(self._mark.group)
        if not self.send(signal.SIGKILL):
            if self._wrapper is not None:
                self._wrapper.send(signal.SIGKILL)
            return
        for _round in range(8):  # what forks meanwhile
            if not self.send(signal.SIGKILL):
                return

    def ended(self, seconds: float = 0.0) -> bool:
        """Has the command ended?  Waits up to *seconds* for that."""
        if self.pidfd is None:
            return True
        poll = select.poll()  # select() takes no descriptor above 1023
        poll.register(self.pidfd, select.POLLIN)
        return bool(poll.poll(seconds * 1000))

    def finish(self) -> tuple[Ending, list[Member]]:
        """After the end of the command: reap it; how it ended, and what it leaves behind."""
        behind = list(self._known)
        # What a child of ours loses becomes ours, too.  Where none has come since, none was lost.
        if self._started and self._wrapper and orphans.look() < self._wrapper.start:
            behind = []
            orphans.ends(self.attempt, behind)
        elif self._wrapper is not None:
            # Before reaping: until then the number of the session is ours.
            ours = self._started or members.member(self.pid) == self._wrapper
            behind = members.left_behind(
                self._mark, self.pid, self.pid if ours else None, time.monotonic() - self._since
            )
            orphans.look()
            behind += [orphan for orphan in orphans.of(self.attempt) if orphan not in behind]
            self._known.update(dict.fromkeys(behind))
            orphans.ends(self.attempt, behind)
        if self.pidfd is not None:
            os.close(self.pidfd)
            self.pidfd = None
        code: int | None = None
        if self._started or self._wrapper is not None:
            with contextlib.suppress(ChildProcessError):  # ours after a re-exec, not ours otherwise
                status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
                code = status if status >= 0 else None
        self._wrapper = None
        if self._mark.group is not None:
            cgroup.remove(self._mark.group)
        if code is None:  # the wrapper's, which the kernel told, is the same
            code = exit_code(self.attempt)
        return Ending.of(self.attempt, code), behind


def _spawn(argv: list[str], environment: Mapping[str, str], out: int, err: int) -> int:
    """Start *argv* in a session of its own, without input; its number.

    By posix_spawn: a run takes half as much of the processor for it as for subprocess.Popen.
    """
    return os.posix_spawn(
        argv[0],
        argv,
        environment,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_DUP2, out, 1),
            (os.POSIX_SPAWN_DUP2, err, 2),
        ],
        setsid=True,
        setsigdef=_SIGNALS,
        setsigmask=(),
    )


@lru_cache(maxsize=1)
def _keep_to_ourselves() -> None:
    """Let no command have what whoever started us has left open, and no file of ours be in the
    place of one that was closed: standard input, output and error are of the commands."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free
    for name in os.listdir("/proc/self/fd"):
        if int(name) > 2:
            with contextlib.suppress(OSError):  # that of the directory is closed already
                os.set_inheritable(int(name), False)


@contextlib.contextmanager
def _in_directory(path: str) -> Iterator[None]:
    """Be in the directory *path* in this block, with what is started in it."""
    here = os.open(os.curdir, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.chdir(path)
        try:
            yield
        finally:
            try:
                os.fchdir(here)
            except OSError:  # it may be closed to us by now, and what was started runs all the same
                os.chdir("/")
    finally:
        os.close(here)

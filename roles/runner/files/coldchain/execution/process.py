# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A command in its own process group that outlives a crash of the runner.

The command runs under a few lines of /bin/sh which write down who they are before it starts and
its exit code when it ends.  So a restarted runner can find it (pid and start time, never the pid
alone), wait for it through a pidfd and learn its real result.  Linux >= 5.3.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path

from coldchain.errors import CannotWrite, Unavailable
from coldchain.execution.log import APPEND
from coldchain.store.files import cannot_read

# A trap that does nothing lets the shell wait for the command's own end on TERM; "ignore" would be
# inherited by the command.  Only built-in commands: each external one would double the cost.
_WRAPPER = r"""
trap : TERM INT HUP
read -r stat </proc/self/stat
start_of() { shift 19; start=$1; }
start_of ${stat##*) }
echo "$$ $start $COLDCHAIN_BOOT" >"$COLDCHAIN_ATTEMPT/pid"
"$@"
code=$?
echo "$code" >"$COLDCHAIN_ATTEMPT/exit_code"
exit "$code"
"""


@lru_cache(maxsize=1)
def boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


_BEGINNING = 5.0
"""Seconds that a wrapper gets to write down who it is, after whoever started it was killed."""


def _written_by_wrapper(directory: Path) -> list[str]:
    """Pid, start time and boot of the wrapper; ValueError when there is nothing of it.

    Only of a directory that was made just now more can be expected than is there.
    """
    young = abs(time.time() - directory.stat().st_mtime) < 60
    until = time.monotonic() + (_BEGINNING if young else 0.0)
    while True:
        text = ""
        with contextlib.suppress(FileNotFoundError):
            text = (directory / "pid").read_text(encoding="ascii")
        if text.endswith("\n"):
            return text.split()
        if time.monotonic() >= until or exit_code(directory) is not None:
            raise ValueError(text)
        time.sleep(0.01)


def _words(pid: str | int) -> bytes:
    """The command line of a process; empty when it is gone or about to become another program."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return b""


def _start_time(pid: int) -> str | None:
    """Field 22 of /proc/PID/stat; the name in front of it may hold blanks and brackets."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    return stat.rpartition(")")[2].split()[19]


def _age(start: str) -> float:
    """Seconds since *start*, a start time in the kernel's ticks: no set clock makes it another."""
    began = int(start) / os.sysconf("SC_CLK_TCK")
    return max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - began)


def check_support() -> None:
    """Unavailable where the kernel, or a container's filter, does not let processes be watched."""
    try:
        os.close(os.pidfd_open(os.getpid()))
    except (OSError, AttributeError) as error:
        raise Unavailable(
            f"the end of a process cannot be waited for here (pidfd_open: {error})",
            "Linux 5.3 or later is needed, and in a container a seccomp filter that permits it",
        ) from None


class Process:
    """A started or adopted command.  ``pidfd`` becomes readable when it has ended; age: seconds
    that it had run when it was adopted."""

    def __init__(self, directory: Path, pid: int, pidfd: int, age: float = 0.0) -> None:
        self.directory = directory
        self.pid = pid
        self.pidfd = pidfd
        self.age = age
        self._popen: subprocess.Popen[bytes] | None = None

    @classmethod
    def start(
        cls,
        directory: Path,
        argv: Sequence[str],
        *,
        environment: Mapping[str, str],
        working_directory: str | None,
        log: Path,
    ) -> Process:
        """Start *argv* with its output appended to *log*.

        directory: the attempt's own, must not exist yet.  CannotWrite, or OSError when the command
        cannot be started at all.
        """
        try:
            directory.mkdir(mode=0o700)
            out = os.open(log, APPEND, 0o600)
        except OSError as error:
            raise CannotWrite(
                f"{error.filename}: cannot be written: {error.strerror}",
                "make room or mount it read-write",
            ) from None
        try:
            popen = subprocess.Popen(
                ["/bin/sh", "-c", _WRAPPER, "coldchain-action", *argv],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
                cwd=working_directory,
                env={
                    **environment,
                    "COLDCHAIN_ATTEMPT": os.fspath(directory),
                    "COLDCHAIN_BOOT": boot_id(),
                },
            )
        finally:
            os.close(out)
        try:
            process = cls(directory, popen.pid, os.pidfd_open(popen.pid))
        except OSError:  # what cannot be watched must not run
            os.killpg(popen.pid, signal.SIGKILL)
            popen.wait()
            raise
        process._popen = popen
        return process

    @classmethod
    def adopt(cls, directory: Path) -> Process | None:
        """The command of an earlier runner if it still runs, else None (see exit_code).

        Unavailable when that cannot be found out.
        """
        try:
            pid_text, start, boot = _written_by_wrapper(directory)
            pid = int(pid_text)
            if boot != boot_id():
                return None
            pidfd = os.pidfd_open(pid)
        except (FileNotFoundError, ProcessLookupError, ValueError):
            return None
        except OSError as error:
            raise cannot_read(directory, error) from None
        # Compared after pidfd_open: from here on the pid cannot go to another process unnoticed.
        if _start_time(pid) != start:
            os.close(pidfd)
            return None
        return cls(directory, pid, pidfd, _age(start))

    def begun(self) -> bool:
        """Does the command run, and hear what is sent to the group?

        Before it does, there is the wrapper, and then a copy of it that becomes the command.
        """
        try:
            children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text("ascii")
        except (FileNotFoundError, ProcessLookupError):
            return True  # it has ended, or the kernel does not tell
        wrapper = _words(self.pid)
        return any(_words(child) not in (wrapper, b"") for child in children.split())

    def signal(self, number: signal.Signals) -> None:
        """Send to the whole group."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)

    def finish(self) -> int | None:
        """After the end: reap, end what is left of the group, and return the exit code.

        None when there is none: the wrapper itself was killed.
        """
        self.signal(signal.SIGKILL)  # before reaping: until then the group's number is ours
        os.close(self.pidfd)
        code: int | None = None
        if self._popen is not None:
            status = self._popen.wait()
            code = status if status >= 0 else None
        else:
            with contextlib.suppress(ChildProcessError):  # ours after a re-exec, not ours otherwise
                status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
                code = status if status >= 0 else None
        written = exit_code(self.directory)
        return code if written is None else written


def exit_code(directory: Path) -> int | None:
    """What the wrapper wrote at the end of the command; None when it did not get that far."""
    try:
        text = (directory / "exit_code").read_text(encoding="ascii", errors="replace")
    except FileNotFoundError:
        return None
    return int(text) if text.endswith("\n") and text.strip().isdigit() else None

# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Commands that can be found again wherever they have gone, and ways in which commands go."""

from __future__ import annotations

import contextlib
import os
import random
import secrets
import shlex
import signal
import sys

_DOUBLE_FORK = "import os; os.fork() and os._exit(0); os.setsid(); os.fork() and os._exit(0)"

#: How a command leaves the process that was started; {0} is one that sleeps for an hour.
ESCAPES = {
    "command": "exec {0}",
    "child": "{0} & wait",
    "deaf child": "trap '' TERM; {0} & wait",
    "timeout": "timeout 3600 {0}",
    "timeout of a shell": "timeout 3600 sh -c '{0}; true'",
    "job control": "bash -mc '{0} & wait'",
    "new session": "setsid {0} & wait",
    "daemon": "setsid -f {0}; exec sleep 3600",
    "deaf daemon": "trap '' TERM; setsid -f {0}; exec sleep 3600",
    "double fork": f"{sys.executable} -c '{_DOUBLE_FORK}; os.system(\"{{0}}\")'; exec sleep 3600",
    "daemon without a sign": (
        "env -i setsid -f {0} </dev/null >/dev/null 2>&1; cd /; exec env -i sleep 3600"
    ),
    "pipeline": "{0} | cat",
}
_LAYERS = (
    "timeout 3600 sh -c {0}",
    "bash -mc {0}",
    "bash -mc {0} & wait",
    "setsid -w sh -c {0}",
    "setsid -f sh -c {0}; exec sleep 3600",
    "env -i PATH=$PATH sh -c {0}",
    "nohup sh -c {0}",
    "trap '' TERM HUP; sh -c {0}",
    "sh -c {0} </dev/null >/dev/null 2>&1 & wait",
    "sh -c {0} | cat",
    "(sh -c {0} &); exec sleep 3600",
)
if os.geteuid() == 0:
    ESCAPES["another user"] = "su nobody -s /bin/sh -c '{0}; true'"
    ESCAPES["login of another user"] = "su - nobody -s /bin/sh -c '{0}; true'"


def nested(line: str, chance: random.Random) -> str:
    """*line* behind one to five ways of leaving, for a shell."""
    for _ in range(chance.randint(1, 5)):
        line = chance.choice(_LAYERS).format(shlex.quote(line))
    return line


class Sleeper:
    """A command that is like no other on this machine.  line: for a shell."""

    def __init__(self) -> None:
        self._seconds = f"3600.{secrets.randbelow(10**9):09}"
        self.line = f"sleep {self._seconds}"

    def pids(self) -> list[int]:
        """The numbers of the processes that run it.

        Every test asks again and again: of most processes it reads one file, by its bytes.
        """
        pids, wanted = [], f"sleep\0{self._seconds}\0".encode()
        for name in filter(str.isdigit, os.listdir("/proc")):
            with contextlib.suppress(OSError):
                if _start_of(f"/proc/{name}/cmdline", len(wanted)) == wanted:
                    dead = b") Z " in _start_of(f"/proc/{name}/stat", 200)
                    pids += [] if dead else [int(name)]
        return pids

    def kill(self) -> None:
        """End what runs it."""
        for pid in self.pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def _start_of(path: str, length: int) -> bytes:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return os.read(descriptor, length)
    finally:
        os.close(descriptor)

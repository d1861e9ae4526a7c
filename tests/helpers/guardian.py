# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Nothing that a test has started outlives pytest, however that ends.

Actions lead sessions of their own and runners are killed on purpose, so no group and no parent
tells which processes are ours; but all have inherited a variable of the environment.  A guardian,
a process that waits for the end of a pipe which only pytest holds, kills whoever has it then.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

VARIABLE = "COLDCHAIN_TEST_RUN"
_ROUNDS = 50


class _Guardian:
    """The one of this process."""

    process: subprocess.Popen[bytes] | None = None
    owner = 0


def start() -> None:
    """Start the guardian of this process; a second call does nothing."""
    if _Guardian.owner == os.getpid():
        return
    mark = f"{os.getpid()}-{time.monotonic_ns()}"
    # Before the variable is there: it must not be one of those that it kills.
    environment = {key: value for key, value in os.environ.items() if key != VARIABLE}
    _Guardian.process = subprocess.Popen(
        [sys.executable, "-I", "-S", __file__, mark],
        stdin=subprocess.PIPE,
        env=environment,
        cwd="/",
        start_new_session=True,
    )
    _Guardian.owner = os.getpid()
    os.environ[VARIABLE] = mark
    _inherit_nothing()


def _inherit_nothing() -> None:
    """Be as whoever starts pytest from a terminal is, and so all that tests start.

    A shell lets what it starts in the background ignore an interrupt; and where others can write
    what a test makes, as it is made by default for many users, it is refused.
    """
    os.umask(0o022)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    for number in signal.valid_signals() - {signal.SIGPIPE, signal.SIGXFSZ}:  # Python's own
        if signal.getsignal(number) is signal.SIG_IGN:
            heard = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
            signal.signal(number, heard)


def stop() -> None:
    """Let the guardian end what is left, and wait for that."""
    if _Guardian.process is not None and _Guardian.owner == os.getpid():
        assert _Guardian.process.stdin is not None
        _Guardian.process.stdin.close()
        _Guardian.process.wait()
        _Guardian.process = None
        _Guardian.owner = 0
        del os.environ[VARIABLE]


def marked(mark: str) -> list[int]:
    """The processes that were started by the pytest of *mark*; not those that have ended."""
    wanted = f"{VARIABLE}={mark}".encode()
    pids = []
    for name in os.listdir("/proc"):
        if not name.isdigit() or int(name) == os.getpid():
            continue
        try:
            with open(f"/proc/{name}/environ", "rb") as stream:
                if wanted in stream.read().split(b"\0"):
                    pids.append(int(name))
        except OSError:  # ended, or somebody else's
            continue
    return pids


def _guard(mark: str) -> None:
    sys.stdin.buffer.read()  # until pytest has ended
    for dummy in range(_ROUNDS):
        pids = marked(mark)
        if not pids:
            return
        for pid in pids:
            try:
                os.kill(pid, 9)
            except OSError:  # ended meanwhile
                continue
        time.sleep(0.02)


if __name__ == "__main__":
    _guard(sys.argv[1])

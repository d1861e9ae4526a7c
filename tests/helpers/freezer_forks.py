# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""freezer-agent without the second of a processor that the import of its libraries takes.

A process of its Python imports them once, and forks for each run: there the script is run as it is
installed, and imports all of freezer itself, which looks at its environment then.
"""

from __future__ import annotations

import json
import os
import runpy
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path

import waiting

LISTED = "import freezer.main, sys; print(*sys.modules)"


class Forks:
    """Runs of one program of freezer's environment."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def run(self, words: list[str], environment: dict[str, str], output: Path) -> int:
        """Wait for a run; its exit code.  What it prints is in *output*."""
        assert self._process.stdin and self._process.stdout
        request = {"words": words, "environment": environment, "output": str(output)}
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        assert answer, "the process that forks has ended"
        return int(answer)


@contextmanager
def forks(program: Path, environment: dict[str, str]) -> Iterator[Forks]:
    """A process of *program*'s Python; environment: what Python itself reads of it at its start."""
    python = program.with_name("python")
    with subprocess.Popen(
        [python, __file__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment,
        text=True,
    ) as process:
        yield Forks(process)
        waiting.output(process)


def _serve() -> None:
    """Fork for each line, and print how the run has ended; a child goes on to the file's end."""
    sys.path.remove(str(Path(__file__).parent))  # freezer has nothing from here
    names = subprocess.run(
        [sys.executable, "-c", LISTED], check=True, capture_output=True, text=True
    ).stdout.split()
    for name in names:
        if name.partition(".")[0] != "freezer":
            with suppress(Exception):  # an attribute that calls itself a module, say
                import_module(name)
    for line in sys.stdin:
        request = json.loads(line)
        child = os.fork()
        if child == 0:
            _become(**request)
            break
        _pid, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


def _become(words: list[str], environment: dict[str, str], output: str) -> None:
    """Run the program in the place of this process."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    told = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    for ours, number in ((nothing, 0), (told, 1), (told, 2)):
        os.dup2(ours, number)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv[:] = words
    runpy.run_path(words[0], run_name="__main__")


if __name__ == "__main__":
    _serve()

# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""check.py NAME COMMAND...: run a check and record it as a JUnit test case in build/results.

check.py --skip NAME REASON records one that this machine cannot run.  Tools that write JUnit files
of their own are called directly; tally.py adds everything up.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from xml.etree import ElementTree

RESULTS = Path(__file__).resolve().parent.parent / "build" / "results"


def record(name: str, seconds: float, outcome: str = "", message: str = "") -> None:
    """Write one test case for tally.py; outcome is "", "failure" or "skipped"."""
    suite = ElementTree.Element("testsuite", name="checks", tests="1")
    case = ElementTree.SubElement(
        suite, "testcase", classname="checks", name=name, time=f"{seconds:.3f}"
    )
    if outcome:
        ElementTree.SubElement(case, outcome, message=message)
    RESULTS.mkdir(parents=True, exist_ok=True)
    ElementTree.ElementTree(suite).write(RESULTS / f"check-{name}.xml", encoding="utf-8")


def skip(name: str, reason: str) -> int:
    """Record that this machine cannot run a check; returns 0, for that is no failure."""
    print(f"--- {name}: skipped: {reason}", flush=True)
    record(name, 0, "skipped", reason)
    return 0


def check(
    name: str,
    command: list[str],
    together: bool = False,
    cwd: Path | None = None,
    env: dict[str, str] | None = None,
) -> int:
    """Run a command and record how it has ended; returns its exit code.

    together: show what it prints when it has ended, so that checks at the same time stay apart
    cwd, env: its directory and its environment, when they are not ours
    """
    output = subprocess.PIPE if together else None
    start = time.monotonic()
    done = subprocess.run(
        command, check=False, cwd=cwd, env=env, stdout=output, stderr=output and subprocess.STDOUT
    )
    code, seconds = done.returncode, time.monotonic() - start
    record(name, seconds, "failure" if code else "", f"exit code {code}" if code else "")
    end = f"FAILED ({code})" if code else "ok"
    print(f"{(done.stdout or b'').decode(errors='replace')}--- {name}: {end} in {seconds:.1f} s")
    sys.stdout.flush()
    return code


def main(arguments: list[str]) -> int:
    """What the command line says; returns the exit code."""
    if arguments[0] == "--skip":
        return skip(arguments[1], arguments[2])
    print(f"--- {arguments[0]}", flush=True)
    return check(arguments[0], arguments[1:])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

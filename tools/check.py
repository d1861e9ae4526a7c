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
    suite = ElementTree.Element("testsuite", name="checks", tests="1")
    case = ElementTree.SubElement(
        suite, "testcase", classname="checks", name=name, time=f"{seconds:.3f}"
    )
    if outcome:
        ElementTree.SubElement(case, outcome, message=message)
    RESULTS.mkdir(parents=True, exist_ok=True)
    ElementTree.ElementTree(suite).write(RESULTS / f"check-{name}.xml", encoding="utf-8")


def main(arguments: list[str]) -> int:
    if arguments[0] == "--skip":
        _, name, reason = arguments
        print(f"--- {name}: skipped: {reason}", flush=True)
        record(name, 0, "skipped", reason)
        return 0
    name, *command = arguments
    print(f"--- {name}", flush=True)
    start = time.monotonic()
    code = subprocess.run(command, check=False).returncode
    seconds = time.monotonic() - start
    record(name, seconds, "failure" if code else "", f"exit code {code}" if code else "")
    print(f"--- {name}: {f'FAILED ({code})' if code else 'ok'} in {seconds:.1f} s", flush=True)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

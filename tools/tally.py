# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""tally.py DIRECTORY CODE: add up the JUnit files of a run of `make test` that ended with CODE.

The last line is "N passed, N failed, N skipped".
"""

from __future__ import annotations

import sys
from pathlib import Path
from xml.etree import ElementTree


def reason(element: ElementTree.Element) -> str:
    """The first line of why a test failed or was skipped, 200 characters at most."""
    text = (element.get("message") or element.text or "no reason given").strip()
    return text.splitlines()[0][:200]


def main(directory: Path, code: int) -> None:
    """Print a line for each file, the failures and skips by name, and the sum."""
    passed = failed = skipped = 0
    notes: list[str] = []
    for path in sorted(directory.glob("*.xml")):
        counts = [0, 0, 0]
        seconds = 0.0
        for case in ElementTree.parse(path).iter("testcase"):
            seconds += float(case.get("time", 0))
            bad = [child for child in case if child.tag in ("failure", "error")]
            omitted = case.find("skipped")
            if omitted is not None and reason(omitted) == "No tests applicable.":
                continue  # ansible-test's word for a test of something that we do not have
            counts[1 if bad else 2 if omitted is not None else 0] += 1
            name = f"{case.get('classname', '')} {case.get('name', '')}"
            if bad:
                notes.append(f"failed: {path.stem}: {name}: {reason(bad[0])}")
            elif omitted is not None:
                notes.append(f"skipped: {path.stem}: {name}: {reason(omitted)}")
        passed, failed, skipped = passed + counts[0], failed + counts[1], skipped + counts[2]
        print(f"{path.stem:40} {counts[0]:6} passed {counts[1]:4} failed {seconds:7.1f} s")
    print(*notes, sep="\n")
    if code and not failed:
        print(f"make ended with code {code} outside of a test")
        failed = 1
    print(f"{passed} passed, {failed} failed, {skipped} skipped")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))

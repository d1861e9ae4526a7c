# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the report of a fleet costs the controller, from the answers of its hosts to both files.

    .venv/bin/python tests/benchmarks/report.py [HOSTS JOBS DAYS]     # 1000 5 90

Seconds by the clock and of the processor, the best of three rounds, and the peak of memory that a
report adds to that of the answers.  Needs the collection in ANSIBLE_COLLECTIONS_PATH, as make
install puts it there.
"""

from __future__ import annotations

import json
import resource
import sys
import tempfile
import time
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1] / "helpers"))

import fleet_answers
from ansible import constants
from ansible.utils.collection_loader._collection_finder import _AnsibleCollectionFinder

_AnsibleCollectionFinder(paths=constants.COLLECTIONS_PATHS)._install()

from ansible_collections.coldchain.freezer.plugins.plugin_utils._report import build
from ansible_collections.coldchain.freezer.plugins.plugin_utils._report_before import read
from ansible_collections.coldchain.freezer.plugins.plugin_utils._report_page import page


def peak() -> float:
    """MB of memory, at most, so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000


def main(hosts: int, jobs: int, days: int) -> None:
    """Measure and print."""
    answers = fleet_answers.answers(hosts, jobs, days)
    size = sum(len(answer.get("text", "")) for answer in answers.values())
    before = peak()
    print(f"{hosts} hosts, {jobs} jobs each, {days} days: {size / 1e6:.1f} MB of answers")
    rounds, text = [], ""
    with tempfile.TemporaryDirectory() as directory:
        for _ in range(3):
            clock, cpu = time.perf_counter(), time.process_time()
            previous = read(text) if text else None
            made = build(answers, fleet_answers.NOW, days, previous)
            text = json.dumps(made.document, separators=(",", ":"))
            html = page(made.document, text)
            Path(directory, "report.json").write_text(text, encoding="utf-8")
            Path(directory, "report.html").write_text(html, encoding="utf-8")
            rounds.append((time.perf_counter() - clock, time.process_time() - cpu))
    clock, cpu = (min(values) for values in zip(*rounds))
    print(f"{clock:.2f} s, {cpu:.2f} s of the processor, {peak() - before:.0f} MB")
    print(f"HTML {len(html.encode()) / 1e6:.2f} MB, JSON {len(text) / 1e6:.2f} MB")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:] or ("1000", "5", "90")))

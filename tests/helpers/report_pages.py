# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Report pages of fleets that do not exist, and Debian's Chromium to look at them."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import collection_tree
import fleet_answers
from fleet_answers import DAY, NOW

collection_tree.make_importable()

from ansible_collections.coldchain.freezer.plugins.plugin_utils import (
    _report,
    _report_before,
    _report_page,
)
from playwright.sync_api import Browser, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), None)
# Nothing of its own that would want the network.
QUIET = [
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-quic",
    "--disable-sync",
    "--no-first-run",
]


def write(path: Path, answers: dict[str, Any], days: int, previous: str | None = None) -> str:
    """The page of such a fleet, at *path*; returns its JSON."""
    then = None if previous is None else _report_before.read(previous)
    document = _report.build(answers, NOW, days, then).document
    text = json.dumps(document, separators=(",", ":"))
    path.write_text(_report_page.page(document, text), encoding="utf-8")
    return text


def write_second(path: Path, hosts: int, jobs: int, days: int) -> str:
    """The page of a fleet whose unreachable host answered yesterday, and one ledger was altered."""
    names = [fleet_answers.host_name(number) for number in range(hosts)]
    before = {
        name: {"text": json.dumps(fleet_answers.status(number, jobs, days, NOW - DAY))}
        for number, name in enumerate(names)
    }
    before["gone.example.net"] = before[names[0]]
    altered = json.loads(before[names[5]]["text"])
    altered["ledger"] = {"head": "e" * 64, "entries": 10**6}
    before[names[5]] = {"text": json.dumps(altered)}
    first = write(path, before, days)
    return write(path, fleet_answers.answers(hosts, jobs, days), days, first)


@contextmanager
def chromium() -> Iterator[Browser]:
    """The browser, without a screen.  Raises what playwright raises when it does not start."""
    assert CHROMIUM is not None
    # Its sandbox does not start for root, and nothing but our own page is opened.
    arguments = [*QUIET, *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        try:
            yield browser
        finally:
            browser.close()

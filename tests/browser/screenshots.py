# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""screenshots.py DIRECTORY: the pictures of the report in the guide."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import report_pages


def main(target: Path) -> None:
    """Make them."""
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as directory, report_pages.chromium() as browser:
        file = Path(directory, "report.html")
        report_pages.write_second(file, 40, 5, 60)
        size = {"width": 1200, "height": 1150}
        light = browser.new_page(color_scheme="light", viewport=size)
        light.goto(file.as_uri())
        light.screenshot(path=target / "report.png")
        dark = browser.new_page(color_scheme="dark", viewport=size)
        dark.goto(file.as_uri())
        dark.locator("#table-1 .opens").first.click()
        dark.evaluate("document.getElementById('controls').style.position = 'static'")
        dark.evaluate("document.getElementById('jobs').scrollIntoView()")
        dark.screenshot(path=target / "report-jobs.png")


if __name__ == "__main__":
    main(Path(sys.argv[1]))

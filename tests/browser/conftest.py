# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One browser for all tests, and a fresh profile for each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import guardian
import pytest

guardian.start()

import report_pages
from playwright.sync_api import Browser, Page

Open = Callable[..., Page]


def pytest_unconfigure() -> None:
    guardian.stop()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with report_pages.chromium() as started:
        yield started


@pytest.fixture(scope="session")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of 30 hosts, of which some need somebody."""
    path = tmp_path_factory.mktemp("pages") / "fleet.html"
    report_pages.write_second(path, 30, 5, 60)
    return path


@pytest.fixture
def show(browser: Browser) -> Iterator[Open]:
    """show(path, **options of a browser context) -> the page, opened from the disk.

    Afterwards: it has asked for nothing but itself, and has said nothing on the console.
    """
    contexts, told, asked = [], [], []

    def opened(path: Path, **options: Any) -> Page:
        context = browser.new_context(**{"timezone_id": "Europe/Berlin", **options})
        contexts.append(context)
        context.set_default_timeout(300_000)  # a machine may be slow
        page = context.new_page()
        page.on("console", lambda message: told.append(message.text))
        page.on("pageerror", lambda error: told.append(str(error)))
        page.on("dialog", lambda dialog: told.append(dialog.message))
        context.on("request", lambda request: asked.append(request.url))
        page.goto(path.as_uri())
        asked.remove(path.as_uri())
        return page

    yield opened
    for context in contexts:
        context.close()
    assert (told, asked) == ([], [])

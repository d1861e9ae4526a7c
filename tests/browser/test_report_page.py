# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report in a real browser: what it shows, how it is reached, and that nothing leaves."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import fleet_answers
import pytest
import report_pages
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

HOSTS, JOBS, POINTS = "#table-0", "#table-1", "#table-2"


def column(page: Page, table: str, number: int = 1) -> list[str]:
    """The texts of a column, without the rows that were opened."""
    texts = page.locator(f"{table} tbody tr:not(.detail) > :nth-child({number})").all_inner_texts()
    return [text.strip() for text in texts]


def test_it_says_who_needs_somebody_and_why(show: Any, fleet: Path) -> None:
    page = show(fleet)
    assert "7 of 30 hosts need somebody" in page.title()
    assert page.locator("h2").all_inner_texts() == [
        *("At a glance", "Hosts by need", "Jobs and their runs", "Points in time", "Sessions"),
        *("Next 7 days", "In no backup", "Hosts that did not answer"),
    ]
    assert page.locator("#shown").inner_text() == "30 of 30 hosts, 140 of 140 jobs"
    states = column(page, HOSTS, 2)
    worst = ["unreachable", "no answer", *["not protected"] * 5]
    assert [state[2:] for state in states[:7]] == worst
    assert set(states[7:]) == {"\u2713 protected"}
    assert "its last run failed" in " ".join(column(page, HOSTS, 5))

    glance = page.locator("section", has=page.locator("#glance")).inner_text()
    assert "Ledgers that were altered" in glance and "its ledger had 1000000 entries" in glance
    coming = page.locator("section", has=page.locator("#coming")).inner_text()
    assert "Europe/Berlin: 2026-10-25 01:00, back by 1 h 0 min; 140 runs" in coming
    assert "waits for another job with the same lock" in coming
    assert "s3 backups-eu: at most" in coming
    assert page.locator(".hours tbody tr").count() == 8
    sessions = page.locator("section", has=page.locator("#sessions")).locator("tbody tr")
    assert sessions.count() > 50 and "nightly" in sessions.first.inner_text()
    away = page.locator("section", has=page.locator("#away")).inner_text()
    assert "It last answered 2026-10-22" in away and "gone.example.net: not asked this time" in away
    assert re.search(
        r"backup database: \d\d points that can be restored, the newest 2026-10-22", away
    )
    uncovered = page.locator("section", has=page.locator("#uncovered")).inner_text()
    assert "/srv" in uncovered and "no job backs it up" in uncovered


def test_heads_sort_and_say_so(show: Any, fleet: Path) -> None:
    page = show(fleet)
    head = page.locator(f"{HOSTS} thead th").first
    for direction, reverse in (("ascending", False), ("descending", True)):
        head.get_by_role("button").click()
        assert head.get_attribute("aria-sort") == direction
        names = column(page, HOSTS)
        assert names == sorted(names, reverse=reverse) and len(names) == 30
    assert page.locator("thead [aria-sort]").count() == 3  # one of each table
    page.get_by_role("button", name="Size").click()
    sizes = column(page, POINTS, 8)
    assert len(set(sizes)) > 20 and sizes[0].endswith("kB") is False
    page.get_by_role("button", name="Newest point").click()
    assert column(page, HOSTS, 4)[-2:] == ["never", "never"]  # what is not known comes last
    page.get_by_role("button", name="Newest point").click()
    assert column(page, HOSTS, 4)[-2:] == ["never", "never"]


def test_what_is_looked_for_is_what_is_shown(show: Any, fleet: Path) -> None:
    page = show(fleet)
    find, state = page.get_by_label("Find"), page.get_by_label("Hosts", exact=True)
    find.fill("DB0 failed")
    assert page.locator("#shown").inner_text().startswith("0 of 30 hosts, ")
    assert "nothing is shown" in page.locator(HOSTS).inner_text()
    find.fill("db00")
    assert page.locator("#shown").inner_text() == "6 of 30 hosts, 30 of 140 jobs"
    assert all(name.startswith("db00") for name in column(page, HOSTS) + column(page, JOBS, 2))
    assert all(name.startswith("db00") for name in column(page, POINTS, 2))
    state.select_option("need")
    assert page.locator("#shown").inner_text() == "1 of 30 hosts, 5 of 140 jobs"
    state.select_option("unreachable")
    assert page.locator("#shown").inner_text() == "0 of 30 hosts, 0 of 140 jobs"
    page.get_by_role("button", name="Show everything").click()
    assert page.locator("#shown").inner_text() == "30 of 30 hosts, 140 of 140 jobs"
    assert len(column(page, JOBS)) == 50
    page.get_by_role("button", name="Show more of 140").first.click()
    assert len(column(page, JOBS)) == 140


def test_a_job_opens_with_its_history(show: Any, fleet: Path) -> None:
    page = show(fleet)
    page.locator(f"{JOBS} .opens").first.click()
    detail = page.locator(f"{JOBS} .detail")
    assert "its last run failed" in detail.inner_text()
    charts = detail.locator("svg[role=img]")
    assert charts.count() == 2
    assert re.match(
        r"Stored by a run: from [\d.]+ [kMG]B to [\d.]+ [kMG]B, the newest ",
        charts.first.get_attribute("aria-label") or "",
    )
    rows = detail.locator("tbody tr")
    assert rows.count() == 14 and "failed" in rows.first.inner_text()
    assert "The next 7 runs" in detail.inner_text()
    marks = page.locator(f"{JOBS} svg[role=img]").first
    assert "not good, the last on 2026-10-23" in (marks.get_attribute("aria-label") or "")


def test_all_of_it_is_reached_with_the_keyboard(show: Any, fleet: Path) -> None:
    page = show(fleet)

    def focused() -> str:
        return str(page.evaluate("document.activeElement.textContent.trim()"))

    page.keyboard.press("Tab")
    assert focused() == "Skip to the hosts"
    page.keyboard.press("Enter")
    assert page.evaluate("location.hash") == "#hosts"
    page.keyboard.press("Tab")  # what scrolls sideways
    page.keyboard.press("Tab")
    assert focused() == "Host"
    page.keyboard.press("Enter")
    assert page.locator(f"{HOSTS} thead th").first.get_attribute("aria-sort") == "ascending"
    assert focused() == "Host"
    for _ in range(5):
        page.keyboard.press("Tab")
    opened = page.locator(f"{HOSTS} .opens").first
    assert focused() == opened.inner_text().strip()
    page.keyboard.press("Space")
    assert opened.get_attribute("aria-expanded") == "true"
    assert page.locator(f"{HOSTS} .detail").count() == 1
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert focused() == "Jobs and their runs"  # "Show its jobs"
    assert page.locator("#shown").inner_text() == "1 of 30 hosts, 5 of 140 jobs"
    page.get_by_label("Find").focus()
    page.keyboard.press("Control+A")
    page.keyboard.type("web")
    page.keyboard.press("Enter")  # a form that goes nowhere
    assert page.locator("#shown").inner_text().startswith("6 of 30 hosts")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_has_nothing_serious_to_say(show: Any, fleet: Path, scheme: str) -> None:
    page = show(fleet, color_scheme=scheme)
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (paper == "rgb(255, 255, 255)") is (scheme == "light")
    for table in (HOSTS, JOBS):
        page.locator(f"{table} .opens").first.click()
    page.locator("summary").first.click()
    found = Axe().run(page).response["violations"]
    serious = [one for one in found if one["impact"] in ("serious", "critical")]
    assert [(one["id"], one["nodes"][0]["html"]) for one in serious] == []


def test_times_are_in_utc_or_where_the_reader_is(show: Any, fleet: Path) -> None:
    page = show(fleet)
    assert page.locator("#made").inner_text() == "2026-10-23 06:30 (UTC)"
    page.get_by_label("Times").select_option("Europe/Berlin")
    assert page.locator("#made").inner_text() == "2026-10-23 08:30 (Europe/Berlin)"
    coming = page.locator("section", has=page.locator("#coming")).inner_text()
    assert "times in Europe/Berlin" in coming and "2026-10-25 02:00, back by 1 h" in coming
    assert page.locator(".hours").count() == 1


def test_it_prints_on_white_without_its_controls(show: Any, fleet: Path) -> None:
    page = show(fleet, color_scheme="dark")
    page.emulate_media(media="print")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert not page.locator("#controls").is_visible() and page.locator(HOSTS).is_visible()
    assert page.pdf(format="A4").startswith(b"%PDF")


def test_a_narrow_screen_needs_no_scrolling_sideways(show: Any, fleet: Path) -> None:
    page = show(fleet, viewport={"width": 360, "height": 640})
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_nothing_leaves_the_page_even_when_it_tries(browser: Any, fleet: Path) -> None:
    with browser.new_context() as context:
        page, asked = context.new_page(), []
        page.goto(fleet.as_uri())
        context.on("requestfinished", lambda request: asked.append(request.url))
        tried = page.evaluate(
            """async () => {
                const refused = [];
                document.addEventListener("securitypolicyviolation",
                    (event) => refused.push(event.effectiveDirective));
                const image = new Image();
                const failed = new Promise((resolve) => { image.onerror = resolve; });
                image.src = "http://127.0.0.1:9/x.png";
                await failed;
                await fetch("http://127.0.0.1:9/x").catch(() => null);
                const script = document.createElement("script");
                script.textContent = "window.broken = true";
                document.body.append(script);
                await new Promise((resolve) => setTimeout(resolve, 0));
                return [refused.sort(), window.broken === undefined];
            }"""
        )
        assert tried == [["connect-src", "img-src", "script-src-elem"], True]
        assert asked == []


def test_what_hosts_have_said_is_text(show: Any, tmp_path: Path) -> None:
    evil = "</script><img src=x onerror=alert(1)><b>"
    status = json.dumps(fleet_answers.status(3, 2, 9))
    status = re.sub(r'"(etc|/srv|home)"', lambda _: json.dumps(evil), status)
    page_file = tmp_path / "page.html"
    report_pages.write(page_file, {evil: {"text": status}, "b": {"msg": evil}}, 9)
    page = show(page_file)
    assert page.locator("img").count() == page.locator("b").count() == 0
    assert evil in column(page, HOSTS) and evil in column(page, JOBS)
    page.locator(f"{HOSTS} .opens").nth(1).click()
    assert page.locator("img").count() == 0


@pytest.mark.parametrize("answers", [{}, {"a": {}}, {"a": {"unreachable": True, "msg": "x"}}])
def test_a_fleet_that_says_nothing_is_shown(show: Any, tmp_path: Path, answers: Any) -> None:
    report_pages.write(tmp_path / "page.html", answers, 1)
    page = show(tmp_path / "page.html")
    number = len(answers)
    assert page.locator("#shown").inner_text().startswith(f"{number} of {number} host")


def test_a_large_fleet_is_found_in(show: Any, tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    report_pages.write(path, fleet_answers.answers(1000, 5, 90), 90)
    assert path.stat().st_size < 5_000_000
    page = show(path)
    page.get_by_label("Find").fill("db1")
    assert page.locator("#shown").inner_text() == "100 of 1000 hosts, 500 of 4990 jobs"
    page.get_by_role("button", name="Runs of 90 days").click()
    assert len(column(page, JOBS)) == 50

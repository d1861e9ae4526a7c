# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What means something else than it did in cron is told, at the place that it concerns."""

from __future__ import annotations

from typing import Any

import pytest

from coldchain.document.crontab import read_crontab

ACTION = "$.job_actions[0].freezer_action"
SPLAY = "$.job_schedule.schedule_splay"


def entry(variables: str, command: str = "/bin/true") -> tuple[dict[str, Any], list[str]]:
    """The schedule and the places of the notes of a daily line."""
    (found,) = read_crontab(f"{variables}\n0 3 * * * {command}\n", system=False)
    assert found.document is not None
    return found.document["job_schedule"], [note.path for note in found.notes]


@pytest.mark.parametrize(
    ("variables", "command", "places"),
    [
        ("", "/bin/true", []),
        ("MAILTO=root", "/bin/true", [ACTION]),
        ("MAILTO=''", "/bin/true", []),
        ("", "./backup", [f"{ACTION}.command"]),
        ("", "sh ../backup", [f"{ACTION}.command"]),
        ("", "sh a./backup .../b", []),
        ("RANDOM_DELAY=30", "/bin/true", [SPLAY]),
        ("MAILTO=root", "./backup", [ACTION, f"{ACTION}.command"]),
    ],
)
def test_each_difference_has_its_note(variables: str, command: str, places: list[str]) -> None:
    assert entry(variables, command)[1] == places


@pytest.mark.parametrize(
    ("delay", "splay"),
    [
        ("1", "1 minutes"),
        ("1440", "1440 minutes"),
        ("0", None),
        ("1441", None),
        ("-5", None),
        ("soon", None),
    ],
)
def test_a_random_delay_of_up_to_a_day_is_a_splay(delay: str, splay: str | None) -> None:
    schedule, places = entry(f"RANDOM_DELAY={delay}")
    assert schedule.get("schedule_splay") == splay
    assert places == ([] if splay is None else [SPLAY])


def test_a_zone_of_its_own_is_kept() -> None:
    assert entry("CRON_TZ=Asia/Tokyo")[0]["schedule_timezone"] == "Asia/Tokyo"
    assert "schedule_timezone" not in entry("CRON_TZ=")[0]


def test_a_line_without_a_command_is_refused_with_its_number() -> None:
    entries = read_crontab(
        "# nothing\n\n0 3 * * *\n0 3 * * * %input\n0 3 * * * true\n", system=False
    )
    assert [(entry.number, bool(entry.document)) for entry in entries] == [
        (3, False),
        (4, False),
        (5, True),
    ]
    assert all(entry.skipped for entry in entries[:2]) and not entries[2].skipped
    assert "no command" in entries[1].skipped


@pytest.mark.parametrize(
    ("minute", "text"),
    [
        ("*/5", "*/5"),  # as people know it
        ("*/59", "*/59"),
        ("*/60", "0"),  # a step that leads out of the hour
        ("1,30-32", "1,30-32"),
        ("10-30/10", "10,20,30"),
    ],
)
def test_a_field_stays_as_it_was_written_where_that_means_the_same(minute: str, text: str) -> None:
    (found,) = read_crontab(f"{minute} 3 * * * true\n", system=False)
    assert found.document is not None
    assert found.document["job_schedule"]["schedule_minute"] == text


@pytest.mark.parametrize(
    ("day", "weekday", "text"),
    [("1", "mon", "1,mon"), ("1,15", "1-5", "1,15,mon-fri"), ("*/2", "1", None), ("1", "*", None)],
)
def test_a_day_and_a_weekday_are_alternatives_unless_one_begins_with_a_star(
    day: str, weekday: str, text: str | None
) -> None:
    (found,) = read_crontab(f"0 3 {day} * {weekday} true\n", system=False)
    assert found.document is not None
    places = ["$.job_schedule.schedule_day"] if text else []
    assert [note.path for note in found.notes] == places
    if text:
        assert found.document["job_schedule"]["schedule_day"] == text


@pytest.mark.parametrize(
    ("weekday", "text"),
    [("1-5", "mon-fri"), ("1,2", "mon,tue"), ("0,7", "sun"), ("6,0", "sat,sun")],
)
def test_weekdays_in_a_row_are_drawn_together(weekday: str, text: str) -> None:
    (found,) = read_crontab(f"0 3 * * {weekday} true\n", system=False)
    assert found.document is not None
    assert found.document["job_schedule"]["schedule_day_of_week"] == text


@pytest.mark.parametrize(
    ("value", "zone"), [("'UTC'", "UTC"), ('"UTC"', "UTC"), ("UTC'", "UTC'"), ("'", "'")]
)
def test_only_a_pair_of_quotes_is_taken_off_a_variable(value: str, zone: str) -> None:
    assert entry(f"CRON_TZ={value}")[0]["schedule_timezone"] == zone

# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A crontab that was converted runs the same commands at the same times."""

from __future__ import annotations

import calendar
import random
import subprocess
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from cronsim import CronSim, CronSimError
from examples import examples
from schedule_oracles import UTC

from coldchain.cli.vocabulary import vocabulary
from coldchain.document import Context, check
from coldchain.document.crontab import read_crontab
from coldchain.schedule import build

BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
FIRST_YEAR, YEARS = 2024, 10
NAMES = {
    "month": [calendar.month_abbr[number].lower() for number in range(1, 13)],
    "weekday": [calendar.day_abbr[(number - 1) % 7].lower() for number in range(7)],
}


def document(line: str, *, system: bool = False, before: str = "") -> dict[str, Any]:
    """The canonical document of one line."""
    (entry,) = read_crontab(f"{before}\n{line}", system=system)
    assert entry.document is not None, entry.skipped
    checked = check({"job_id": "j", **entry.document}, Context(None, BERLIN, NOW, vocabulary()))
    assert checked.document is not None, checked.errors
    return checked.document


def action(line: str, **options: Any) -> dict[str, Any]:
    options_of_action: dict[str, Any] = document(line, **options)["job_actions"][0][
        "freezer_action"
    ]
    return options_of_action


def field(choose: random.Random, name: str, low: int, high: int) -> str:
    kind = choose.randrange(6)
    if kind < 2:
        return "*"
    if kind == 2:
        return f"*/{choose.randint(2, high - low)}"
    if kind == 3 and name in NAMES:
        return choose.choice(NAMES[name])
    terms = []
    for _ in range(choose.randint(1, 3)):
        first, last = sorted((choose.randint(low, high), choose.randint(low, high)))
        # For cronsim a step of a range of one number is that of the rest of the field.
        step = f"/{choose.randint(1, 5)}" if last > first else ""
        terms.append(choose.choice([str(first), f"{first}-{last}", f"{first}-{last}{step}"]))
    return ",".join(terms)


def lines(number: int) -> Iterator[str]:
    """Lines of a crontab, the same in every run."""
    choose = random.Random(20261126)
    limits = {"minute": (0, 59), "hour": (0, 23), "day": (1, 31), "month": (1, 12),
              "weekday": (0, 7)}  # fmt: skip
    given = 0
    while given < number:
        spec = " ".join(field(choose, name, *limits[name]) for name in limits)
        try:
            next(CronSim(spec, datetime(FIRST_YEAR, 1, 1, tzinfo=BERLIN)))
        except (CronSimError, StopIteration):
            continue
        given += 1
        yield spec


@pytest.mark.long
@pytest.mark.parametrize("spec", list(lines(examples(100, 400))))
def test_the_slots_of_ten_years_equal_cronsims(spec: str) -> None:
    schedule = document(f"{spec} true")["job_schedule"]
    trigger = build(schedule, zone=BERLIN, created=NOW, key="h/j")
    # Of a job that runs often, a stretch of each year that holds a clock change.
    for year in range(FIRST_YEAR, FIRST_YEAR + YEARS):
        for month, day in ((3, 24), (10, 24), (1, 1)):
            begin = datetime(year, month, day, tzinfo=BERLIN)
            end = begin + timedelta(days=365)
            theirs = [
                slot.astimezone(UTC) for slot in islice(CronSim(spec, begin), 60) if slot < end
            ]
            after, ours = begin.astimezone(UTC), []
            while len(ours) < len(theirs):
                occurrence = trigger.next(after)
                assert occurrence is not None
                after = occurrence.at
                ours.append(after)
            assert ours == theirs


@pytest.mark.parametrize(
    ("line", "command"),
    [
        ("0 3 * * * /usr/bin/rsync -a /a /b", ["/usr/bin/rsync", "-a", "/a", "/b"]),
        ("0 3 * * * run 'two words' \"and more\"", ["run", "two words", "and more"]),
        ("@daily\tdate +\\%F", ["date", "+%F"]),
        ("-*/5 * * * * quiet", ["quiet"]),
    ],
)
def test_a_plain_command_is_a_list_of_arguments(line: str, command: list[str]) -> None:
    assert action(line) == {"action": "exec", "command": command}


@pytest.mark.parametrize(
    "command",
    ["a | b", "a > f", "a && b", "a; b", "echo $HOME", "echo `id`", "cd /x", "A=1 b", "ls *.gz",
     "echo 'open", "cat ~/x", "a &", "b # why"],
)  # fmt: skip
def test_what_a_shell_would_act_upon_goes_to_a_shell(command: str) -> None:
    assert action(f"0 3 * * * {command}") == {
        "action": "exec", "command": command, "shell": True
    }  # fmt: skip


def test_the_shell_of_a_crontab_is_kept_for_what_needs_one() -> None:
    before = "SHELL=/bin/bash"
    assert action("0 3 * * * a | b", before=before)["command"] == ["/bin/bash", "-c", "a | b"]
    assert action("0 3 * * * a b", before=before)["command"] == ["a", "b"]


def test_percent_signs_begin_standard_input(tmp_path: Path) -> None:
    out = tmp_path / "out"
    converted = action(f"0 3 * * * cat > {out}%first%50\\%%last")
    assert converted["shell"] is True
    subprocess.run(["/bin/sh", "-c", converted["command"]], check=True)
    assert out.read_text() == "first\n50%\nlast\n"


@pytest.mark.parametrize(
    ("data", "read"), [("%", ""), ("%a", "a\n"), ("%a%", "a\n"), ("%%", "\n"), ("%a%%", "a\n\n")]
)
def test_the_input_ends_with_one_line_end_as_in_cron(tmp_path: Path, data: str, read: str) -> None:
    converted = action(f"0 3 * * * cat > {tmp_path}/out{data}")
    words = ["/bin/sh", "-c", converted["command"]]
    subprocess.run(words, check=True, stdin=subprocess.DEVNULL)
    assert (tmp_path / "out").read_text() == read


@pytest.mark.parametrize(
    ("spec", "fields"),
    [
        ("0 3 * * *", {"hour": "3"}),
        ("0 * * 1-12 0-7", {}),
        ("0 * 1-31 * 1-7", {}),
        ("0 * 5 1-11 *", {"day": "5", "month": "1-11"}),
        ("0 * 1-31 * mon", {}),
        ("0 * 5,6 * 0-7", {}),
    ],
)
def test_a_field_that_restricts_nothing_is_left_out(spec: str, fields: dict[str, str]) -> None:
    schedule = {"schedule_minute": "0", **{f"schedule_{name}": t for name, t in fields.items()}}
    assert document(f"{spec} x")["job_schedule"] == schedule


def test_reboot_is_a_schedule_of_its_own() -> None:
    assert document("@reboot /opt/x")["job_schedule"] == {"schedule_boot": True}


def test_users_and_variables_come_along() -> None:
    before = "PATH=/opt/bin:/usr/bin\nMAILTO=''\n NAME = \"a b\""
    assert action("0 3 * * * postgres pg_dump db", system=True, before=before) == {
        "action": "exec",
        "command": ["pg_dump", "db"],
        "user": "postgres",
        "environment": {"PATH": "/opt/bin:/usr/bin", "NAME": "a b"},
    }


def test_a_zone_and_a_delay_of_the_crontab_come_along() -> None:
    schedule = document("0 3 * * * x", before="CRON_TZ=Asia/Tokyo\nRANDOM_DELAY=30")["job_schedule"]
    assert schedule["schedule_timezone"] == "Asia/Tokyo"
    assert schedule["schedule_splay"] == "30 minutes"


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("@fortnightly x", "@fortnightly"),
        ("61 * * * * x", "minute 61"),
        ("* 5-3 * * * x", "5-3"),
        ("5/10 * * * * x", "5/10"),
        ("0~30 * * * * x", "0~30"),
        ("*/0 * * * * x", "*/0"),
        ("* * * * mo x", "mo"),
        ("0 3 * *", "command"),
        ("0 3 * * *", "command"),
        ("0 3 * * * %input", "command"),
        ("nonsense", "command"),
        ("0 3 * * * /x \udce4", "not in UTF-8"),
        ("X=\udce4\n0 3 * * * /x", "variable X is not in UTF-8"),
        ("X\udce4=1\n0 3 * * * /x", "not in UTF-8"),
        ("'\udce4'=1\n0 3 * * * /x", "variable \\xe4 is not in UTF-8"),
        ("CRON_TZ=\udce4\n0 3 * * * /x", "variable CRON_TZ is not in UTF-8"),
        ("SHELL=\udce4\n0 3 * * * /x", "variable SHELL is not in UTF-8"),
    ],
)
def test_a_line_that_cannot_be_one_says_why(line: str, reason: str) -> None:
    entry = read_crontab(line, system=False)[0]
    assert entry.document is None
    assert reason in entry.skipped


def test_a_line_that_no_document_could_hold_is_refused_by_its_length() -> None:
    (entry,) = read_crontab(f"0 3 * * * /x {'y' * 100_000}", system=False)
    assert entry.document is None and "100000 characters" in entry.skipped


def test_lines_keep_their_numbers_and_marks() -> None:
    text = "# a comment\n\n0 3 * * * /opt/backup.sh a\nX=1\n0 4 * * * /opt/backup.sh b\n"
    entries = read_crontab(text, system=False)
    assert [(entry.number, entry.name) for entry in entries] == [(3, "backup"), (5, "backup")]
    assert entries[0].mark != entries[1].mark
    moved = read_crontab("0 4 * * * /opt/backup.sh b\n0 3 * * * /opt/backup.sh a", system=False)
    assert [entry.mark for entry in moved] == [entries[1].mark, entries[0].mark]


@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("/usr/local/bin/backup.sh full", "backup"),
        ("cd / && run-parts /etc/cron.hourly", "run-parts"),
        ("nice -n 10 ionice -c3 borg create", "borg"),
        ("A=1 /opt/x/y.py", "y"),
        ("/bin/sh -c '/opt/do it'", "sh"),
        ("test -x /usr/sbin/anacron || run-parts /x", "run-parts"),
        ("php /var/www/cron.php", "cron.php"),
    ],
)
def test_a_job_is_named_after_its_program(command: str, name: str) -> None:
    (entry,) = read_crontab(f"0 3 * * * {command}", system=False)
    assert entry.name == name

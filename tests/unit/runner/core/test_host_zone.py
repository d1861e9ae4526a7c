# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The host's time zone is the one that its C library, and so ``date``, works in."""

from __future__ import annotations

import os
import shutil
import time
import zoneinfo
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import pytest
from cli_command import Command, timed_job
from hypothesis import given, settings
from hypothesis import strategies as st

from coldchain.core import host_zone
from coldchain.core.host_zone import HostZone
from coldchain.core.instants import from_epoch

ZONES = Path("/usr/share/zoneinfo")
NAMES = sorted(name for name in zoneinfo.available_timezones() if (ZONES / name).is_file())
INSTANTS = st.integers(0, 2**31 - 1)

pytestmark = pytest.mark.skipif(not NAMES, reason="this machine has no time zones (tzdata)")


@contextmanager
def c_library(value: str) -> Iterator[None]:
    """The C library of this process with TZ = *value*."""
    before = os.environ.get("TZ")
    os.environ["TZ"] = value
    time.tzset()
    try:
        yield
    finally:
        if before is None:
            del os.environ["TZ"]
        else:
            os.environ["TZ"] = before
        time.tzset()


def offset_of(value: str, instant: int) -> int:
    with c_library(value):
        return time.localtime(instant).tm_gmtoff


def offset_in(zone: HostZone, instant: int) -> float:
    offset = datetime.fromtimestamp(instant, zone.zone).utcoffset()
    assert offset is not None
    return offset.total_seconds()


names = st.sampled_from(["CET", "EASTX", "<+03>", "<-1130>", "<A1B>"])
offsets = st.one_of(
    st.integers(-14, 14).map(str),
    st.tuples(st.integers(0, 13), st.integers(0, 59)).map(lambda t: f"-{t[0]}:{t[1]:02d}"),
)
clocks = st.sampled_from(["", "/0", "/1", "/2:30", "/03", "/23:59:59", "/26", "/-1:30", "/100"])


def dates(first: int, last: int) -> st.SearchStrategy[str]:
    """A day in the months *first* to *last*: changes at a year's end are nobody's rule."""
    months = st.tuples(st.integers(first, last), st.integers(1, 5), st.integers(0, 6))
    return st.one_of(
        months.map(lambda t: f"M{t[0]}.{t[1]}.{t[2]}"),
        st.integers(first * 30, last * 30).map(lambda day: f"J{day}"),
        st.integers(first * 30, last * 30).map(str),
        st.sampled_from(["J59", "J60"] if first == 3 else ["J300", "300"]),
    )


spring, autumn = (st.tuples(dates(*months), clocks).map("".join) for months in ((3, 5), (9, 11)))
daylight = st.one_of(
    st.just(""),
    st.tuples(names, spring, autumn).map(",".join),
    st.tuples(names, autumn, spring).map(",".join),
)
rules = st.tuples(names, offsets).map("".join)
values = st.one_of(
    st.sampled_from(NAMES or ["UTC"]),
    st.sampled_from(NAMES or ["UTC"]).map(lambda name: f":{name}"),
    st.sampled_from(NAMES or ["UTC"]).map(lambda name: f":{ZONES / name}"),
    st.tuples(rules, daylight).map("".join),
    st.sampled_from(["", ":", "UTC", "UTC0", "Foo/Bar", "europe/berlin", "%$!", "AB5"]),
    st.sampled_from(["Asia/Tokyo/", "./Asia/Tokyo", "Asia//Tokyo", " Asia/Tokyo", "::Asia/Tokyo"]),
)


@pytest.mark.long
@settings(max_examples=1000)
@given(values, st.lists(INSTANTS, min_size=5, max_size=20))
def test_tz_is_read_as_the_c_library_reads_it(value: str, instants: list[int]) -> None:
    zone = host_zone.host_zone({"TZ": value})
    for instant in instants:
        assert offset_in(zone, instant) == offset_of(value, instant), (value, instant)


@pytest.mark.parametrize("value", ["AAA-20", "AAA20", "AAA-23:59"])
def test_a_clock_far_from_utc_has_its_slots(command: Command, value: str) -> None:
    with c_library(value):
        (job,) = command.json("apply", "--check", "-", data=timed_job("j", schedule_hour="3"))[
            "jobs"
        ]
        shown = [
            time.localtime(datetime.fromisoformat(run).timestamp()) for run in job["next_runs"]
        ]
    assert [(at.tm_hour, at.tm_min) for at in shown] == [(3, 0)] * 3


@pytest.mark.skipif(not (ZONES / "right" / "UTC").is_file(), reason="no zones with leap seconds")
def test_a_c_library_that_counts_leap_seconds_changes_no_instant() -> None:
    with c_library("right/UTC"):
        assert from_epoch(1_800_000_000.5).timestamp() == 1_800_000_000.5


@pytest.mark.parametrize("month", [1, 7])
def test_a_rule_without_dates_has_the_dates_of_the_c_library(month: int) -> None:
    # Its hours may differ: glibc moves them with a file that not every host has.
    instant = int(datetime(2026, month, 1).timestamp())
    zone = host_zone.host_zone({"TZ": "CET-1CEST"})
    assert offset_in(zone, instant) == offset_of("CET-1CEST", instant)


@pytest.mark.parametrize("rule", ["J59", "J60", "58", "59", "60", "0/12", "365", "J365", "J1/20"])
@pytest.mark.parametrize("year", [2026, 2028])
def test_a_rule_by_the_number_of_a_day_is_of_that_day(rule: str, year: int) -> None:
    for value in (f"AAA0BBB,{rule},180", f"AAA0BBB,180,{rule}"):
        zone = host_zone.host_zone({"TZ": value})
        begin = int(datetime(year, 1, 1, 13).timestamp())
        for instant in range(begin, begin + 364 * 86400, 43200):
            assert offset_in(zone, instant) == offset_of(value, instant), (value, instant)


def test_a_clock_that_is_a_day_away_part_of_the_year_is_said_to_be_none() -> None:
    for value in ("AAA24BBB,M2.1.0,M12.1.0", "AAA3BBB-24,M5.1.0,M5.2.0", "AAA-23:30BBB"):
        assert value in host_zone.host_zone({"TZ": value}).problem


@pytest.mark.parametrize("value", ["Foo/Bar", ":europe/berlin", "%$!", "AAA-24", "AAA4BBB24"])
def test_a_tz_that_names_no_zone_is_utc_and_said_so(value: str) -> None:
    zone = host_zone.host_zone({"TZ": value})
    assert zone.name == "UTC"
    assert value in zone.problem


@pytest.fixture
def localtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A place that stands for /etc/localtime, in a process without TZ."""
    path = tmp_path / "localtime"
    monkeypatch.setattr(host_zone, "LOCALTIME", path)
    monkeypatch.setattr(host_zone, "_TIMEZONE", tmp_path / "timezone")
    monkeypatch.delenv("TZ", raising=False)
    return path


@pytest.mark.parametrize("name", ["Europe/Berlin", "Asia/Tokyo", "America/New_York"])
def test_a_copied_file_is_as_good_as_a_link(localtime: Path, name: str) -> None:
    localtime.symlink_to(ZONES / name)
    linked = host_zone.host_zone(os.environ)
    localtime.unlink()
    shutil.copy(ZONES / name, localtime)
    copied = host_zone.host_zone(os.environ)
    assert linked.name == name
    assert copied.data == linked.data
    instant = int(datetime(2026, 7, 1).timestamp())
    assert offset_in(copied, instant) == offset_of(f":{localtime}", instant)


def test_a_name_with_other_rules_than_the_file_is_not_believed(
    localtime: Path, tmp_path: Path
) -> None:
    shutil.copy(ZONES / "Asia/Tokyo", localtime)
    (tmp_path / "timezone").write_text("Europe/Berlin\n")
    assert "Berlin" not in host_zone.host_zone(os.environ).name
    (tmp_path / "timezone").write_text("Asia/Tokyo\n")
    assert host_zone.host_zone(os.environ).name == "Asia/Tokyo"


@pytest.mark.parametrize("content", [b"", b"TZif2", b"TZif" + bytes(60), b"not a zone" * 100])
def test_a_damaged_file_is_utc_and_said_so(localtime: Path, content: bytes) -> None:
    localtime.write_bytes(content)
    zone = host_zone.host_zone(os.environ)
    assert zone.name == "UTC"
    assert str(localtime) in zone.problem


def test_without_the_file_the_host_is_in_utc(localtime: Path) -> None:
    zone = host_zone.host_zone(os.environ)
    assert (zone.name, zone.problem) == ("UTC", "")


def test_commands_read_schedules_in_the_zone_of_a_copied_file(
    localtime: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TZ")
    shutil.copy(ZONES / "Asia/Tokyo", localtime)
    assert command("apply", "-", data=timed_job("j", schedule_hour="3")) == 0
    first = command.json("next", "j", "--after", "2026-11-01T00:00:00Z")["next_runs"][0]
    assert first == "2026-11-01T18:00:00+00:00"


def test_a_preview_is_in_the_zone_that_the_runner_works_in(
    localtime: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert command("apply", "-", data=timed_job("j", schedule_hour="3")) == 0
    host_zone.host_zone({"TZ": "Asia/Tokyo"}).write(command.home / "lib" / "zone.json")
    monkeypatch.setenv("TZ", "America/New_York")
    first = command.json("next", "j", "--after", "2026-11-01T00:00:00Z")["next_runs"][0]
    assert first == "2026-11-01T18:00:00+00:00"


@pytest.mark.parametrize("words", [("validate", "-"), ("apply", "-"), ("explain", "j")])
def test_a_zone_that_cannot_be_told_is_said(
    command: Command, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    assert command("apply", "-", data=timed_job("j", schedule_hour="3")) == 0
    monkeypatch.setenv("TZ", "Mars/Olympus")
    assert command(*words, data=timed_job("j", schedule_hour="3")) == 0
    assert "times are read in UTC: TZ=Mars/Olympus" in command.err


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b'{"name": 1, "data": "", "problem": ""}'])
def test_a_damaged_note_of_the_zone_is_as_good_as_none(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "zone.json"
    path.write_bytes(content)
    path.chmod(0o600)
    assert host_zone.read(path) is None


def test_what_was_written_is_read_again(tmp_path: Path) -> None:
    zone = host_zone.host_zone({"TZ": "CET-1CEST"})
    zone.write(tmp_path / "zone.json")
    assert host_zone.read(tmp_path / "zone.json") == zone

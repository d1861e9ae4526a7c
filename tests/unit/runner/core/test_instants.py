# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Instants, durations and rates as text."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coldchain.core.instants import (
    UTC,
    UnknownZone,
    from_epoch,
    iso,
    parse_duration,
    parse_instant,
    zone,
)
from coldchain.core.rates import parse_rate, rate_text

BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2026-05-01", "2026-04-30T22:00:00+00:00"),
        ("2026-05-01T12:30", "2026-05-01T10:30:00+00:00"),
        (" 2026-05-01 12:30:15 ", "2026-05-01T10:30:15+00:00"),
        ("2026-05-01T12:30:15Z", "2026-05-01T12:30:15+00:00"),
        ("2026-05-01T12:30:15z", "2026-05-01T12:30:15+00:00"),
        ("2026-05-01T12:30:15 +0130", "2026-05-01T11:00:15+00:00"),
        ("2026-05-01T12:30:15-01:30", "2026-05-01T14:00:15+00:00"),
        ("2026-05-01T12:30:15.5Z", "2026-05-01T12:30:15.500000+00:00"),
        ("2026-05-01T12:30:15,123456789Z", "2026-05-01T12:30:15.123456+00:00"),
        ("2026-03-29T02:30:00", "2026-03-29T01:00:00+00:00"),  # in the gap: when it ends
        ("2026-10-25T02:30:00", "2026-10-25T00:30:00+00:00"),  # twice: the first
    ],
)
def test_instants(text: str, instant: str) -> None:
    assert iso(parse_instant(text, BERLIN)) == instant


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not a date like"),
        ("tomorrow", "not a date like"),
        ("2026-05-01T12", "not a date like"),
        ("2026-13-01", "not a date: "),
        ("2026-02-29", "not a date: "),
        ("2026-05-01T24:00", "not a date: "),
        ("2026-05-01T12:00:00+25:00", "outside the years"),
        ("0001-01-01T00:00:00+01:00", "outside the years"),
        ("9999-12-31T23:59:59-01:00", "outside the years"),
    ],
)
def test_no_instants(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_instant(text, UTC)


@given(st.integers(0, 2**32), st.integers(-14 * 60, 14 * 60))
def test_there_and_back(seconds: int, minutes: int) -> None:
    instant = from_epoch(seconds)
    shifted = instant.astimezone(timezone(timedelta(minutes=minutes)))
    assert parse_instant(shifted.isoformat(), BERLIN) == instant
    assert datetime.fromisoformat(iso(shifted)) == instant and iso(shifted).endswith("+00:00")


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (0, 0),
        (90, 90),
        ("90", 90),
        (" 2 seconds ", 2),
        ("30 minutes", 1800),
        ("1 Hour", 3600),
        ("2   days", 172800),
        ("1 week", 604800),
    ],
)
def test_durations(value: str | int, seconds: int) -> None:
    assert parse_duration(value) == seconds


@pytest.mark.parametrize(
    "value", [-1, True, False, "", "1.5 hours", "-5", "5 fortnights", "5minutes"]
)
def test_no_durations(value: str | int) -> None:
    with pytest.raises(ValueError, match="is not a duration like '30 minutes'"):
        parse_duration(value)


def test_zones() -> None:
    assert zone("utc") is UTC and zone("UTC") is UTC
    assert zone("Europe/Berlin").utcoffset(datetime(2026, 7, 1)) == timedelta(hours=2)
    for name in ("Europe/Nowhere", "", "../etc/passwd", "/etc/localtime", "a" * 200):
        with pytest.raises(UnknownZone, match="not a time zone of this host") as caught:
            zone(name)
        assert caught.value.hint == "write it like Europe/Berlin"
        assert len(caught.value.message) < 130


@pytest.mark.parametrize(
    ("text", "rate", "shortest"),
    [
        ("1", 1, "1"),
        ("500000", 500000, "500000"),
        ("512K", 524288, "512K"),
        ("1.5M", 1572864, "1536K"),
        ("1024 k", 1048576, "1M"),
        ("2g", 2 << 30, "2G"),
        ("3T", 3 << 40, "3T"),
        ("2048T", 2 << 50, "2048T"),
        ("0.001K", 1, "1"),
    ],
)
def test_rates(text: str, rate: int, shortest: str) -> None:
    assert parse_rate(text) == rate
    assert rate_text(rate) == shortest and parse_rate(shortest) == rate


@pytest.mark.parametrize("text", ["", "0", "0.0009K", "-1", "5 bytes", "1e6", "K"])
def test_no_rates(text: str) -> None:
    with pytest.raises(ValueError, match="is not bytes a second"):
        parse_rate(text)

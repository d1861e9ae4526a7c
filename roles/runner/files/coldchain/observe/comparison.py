# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One value beside earlier ones: the statistics of the guard.  Pure.

A value is compared with the median of earlier runs like it, in units of their median absolute
deviation (MAD), both taken of logarithms: sizes and durations scatter by factors.  Nothing is said
unless the value is also far off by a factor, and off from the run just before: a change is told
when it comes, not for as long as it lasts.  test_guard_simulation.py has what the numbers below
lead to.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

from coldchain.core.instants import DAY
from coldchain.core.text import format_bytes, format_duration, pluralize

SHORT, LONG, SHRANK, GREW, HALVED, CHANGED, INCOMPRESSIBLE, OFTEN = CHECKS = (
    "short",
    "long",
    "shrank",
    "grew",
    "halved",
    "changed",
    "incompressible",
    "often",
)
"""What is looked for; fields of ``guard`` in a document."""
ENOUGH = ((7, 28 * DAY), (14, 8 * DAY), (100, 0.0))
"""Enough is known with so many like runs that so many seconds lie between the first and the last
of: a week has a weekend, and a day a night."""
COMPARED = 60
"""So many like runs are compared with."""
SIGMAS = 6.0
UNPACKED = 0.9
"""Of its bytes remain of what cannot be compressed."""
_NORMAL = 1.4826  # MADs of a normal distribution are a standard deviation
BURST = 4
"""So many runs are a burst."""


class Verdict(NamedTuple):
    """What a check says of a run.

    about: the backup, "" for all of the run; known: like runs that it was compared with; text:
    the figures, and in front of them what is wrong; found: is it?
    """

    check: str
    about: str
    known: int
    text: str
    found: bool = False
    value: float | None = None
    median: float | None = None
    mad: float | None = None
    limit: float | None = None


class _Measure(NamedTuple):
    """How far off a value may be.

    factor: from the median, at least; before: from the run before; offset: what is small beside it
    does not matter; form: for people; most: so many earlier values as extreme make it usual;
    alike: the factor within which they are as extreme; least: what is less is never too much.
    """

    factor: float
    before: float
    offset: float
    form: Callable[[float], str]
    most: int = 2
    alike: float = 1.25
    least: float = 0.0

    def scaled(self, value: float) -> float:
        """On the scale of comparisons, on which factors are differences."""
        return math.log(value + self.offset or 1e-9)

    def is_step(self, value: float, before: float) -> bool:
        """Are they far from each other, in one of both directions?"""
        return abs(self.scaled(value) - self.scaled(before)) >= math.log(self.before)


def _percent(value: float) -> str:
    return f"{min(value, 1.0):.0%}"


def _entries(value: float) -> str:
    return pluralize(round(value), "entry")


SECONDS = _Measure(3.0, 2.0, 10.0, format_duration, most=1)
BYTES = _Measure(2.0, 1.7, 1e6, format_bytes)
ENTRIES = _Measure(1.7, 1.7, 10.0, _entries)
RATE = _Measure(2.0, 1.2, 0.01, _percent, least=0.5)
PACKING = _Measure(1.2, 1.1, 0.0, _percent, alike=1.1, least=UNPACKED)
_LOWER = (SHORT, SHRANK, HALVED)


class Comparison(NamedTuple):
    """One value beside earlier ones of like runs.

    earlier: their moments and values, the newest first; what: they are; told: begins what a
    finding says; slack: so much more than usual, on that scale, has a reason.
    """

    check: str
    about: str
    value: float
    earlier: Sequence[tuple[float, float]]
    measure: _Measure
    what: str
    told: str
    slack: float = 0.0

    @property
    def sign(self) -> int:
        """1 where much is too much, -1 where little is too little."""
        return -1 if self.check in _LOWER else 1

    def scaled(self, value: float) -> float:
        """On the scale of the comparison, where more is worse."""
        return self.sign * self.measure.scaled(value)

    def plain(self, scaled: float) -> float:
        """The value that ``scaled`` made *scaled* of."""
        return max(0.0, math.exp(self.sign * scaled) - self.measure.offset)

    @property
    def stands_out(self) -> bool:
        """Is it off from the run before?  Else there is nothing to find, and this costs least."""
        if not self.earlier:
            return False
        step = self.scaled(self.value) - self.scaled(self.earlier[0][1])
        return step >= math.log(self.measure.before)

    def verdict(self) -> Verdict:
        """What is to be said of it."""
        check, about, measure, number = self.check, self.about, self.measure, len(self.earlier)
        if not _enough([moment for moment, _value in self.earlier]):
            return Verdict(check, about, number, _too_few(number, self.what))
        new = self.scaled(self.value)
        seen = [self.scaled(value) for _moment, value in self.earlier[:COMPARED]]
        old = _without_trend(seen)
        number, middle = len(old), _median(old)
        mad = _mad(old)
        # Of few values the MAD is sometimes far too small.
        allowed = SIGMAS * _NORMAL * mad * (1 + 4 / number)
        factor = math.log(measure.factor)
        # What scatters widely may still be far beyond all that was there.
        limit = max(middle + factor, min(middle + allowed, max(seen) + factor))
        limit += max(0.0, self.sign * self.slack)
        if measure.least:
            limit = max(limit, self.scaled(measure.least))
        near = new - math.log(measure.alike)
        alike = min(sum(value >= near for value in values) for values in (seen, old))
        found = new > limit and alike < measure.most and self.stands_out
        form, edge = measure.form, "at least" if self.sign < 0 else "at most"
        figures = (
            f"{form(self.value)}; usual is {edge} {form(self.plain(limit))}: median"
            f" {form(self.plain(middle))}, MAD a factor of {math.exp(mad):.2f}, of"
            f" {pluralize(number, self.what)}"
        )
        text = f"{self.told}: {figures}" if found else figures
        values = self.value, self.plain(middle), math.exp(mad), self.plain(limit)
        return Verdict(check, about, number, text, found, *values)


class Burst(NamedTuple):
    """So many runs in a time that usually has hardly one; starts: the newest first."""

    starts: Sequence[float]
    check: str = OFTEN

    def span(self, number: int = 0) -> float:
        """Seconds from the first to the last of BURST runs, of which *number* came later."""
        return self.starts[number] - self.starts[number + BURST - 1]

    @property
    def stands_out(self) -> bool:
        """Is the time shorter than that of the runs before?"""
        return len(self.starts) > BURST and 0 <= self.span() < self.span(1) / 2

    def verdict(self) -> Verdict:
        """What is to be said of it."""
        known = self.starts[1:]
        if not _enough(known):
            return Verdict(OFTEN, "", len(known), _too_few(len(known), "run"))
        distances = [later - earlier for later, earlier in zip(known, known[1:])]
        usual = _median(distances)
        mad = _mad(distances)
        # A schedule may have bursts of its own: what was there before is usual.
        spans = [self.span(number) for number in range(1, len(self.starts) - BURST + 1)]
        limit = max(0.0, min(usual, *spans) / 2)
        figures = (
            f"{BURST} runs began within {format_duration(self.span())}; usual is at least"
            f" {format_duration(limit)}: from one to the next median {format_duration(usual)},"
            f" MAD {format_duration(mad)}, of {pluralize(len(known), 'run')}"
        )
        found = self.stands_out and self.span() < limit
        text = f"it runs too often: {figures}" if found else figures
        return Verdict(OFTEN, "", len(known), text, found, self.span(), usual, mad, limit)


def _median(values: Sequence[float]) -> float:
    """That of Python's statistics, which brings decimal and fractions into the runner."""
    ordered, half = sorted(values), len(values) // 2
    return ordered[half] if len(values) % 2 else (ordered[half - 1] + ordered[half]) / 2


def _without_trend(values: Sequence[float]) -> list[float]:
    """*values*, newest first, as they would be now if they had grown ever since as from their older
    half to their newer half; as they are where that makes them scatter more."""
    half = len(values) // 2
    slope = (_median(values[:half]) - _median(values[-half:])) / (len(values) - half)
    grown = [value + slope * (age + 1) for age, value in enumerate(values)]
    return min(list(values), grown, key=_mad)


def _mad(values: Sequence[float]) -> float:
    middle = _median(values)
    return _median([abs(value - middle) for value in values])


def _enough(moments: Sequence[float]) -> bool:
    span = moments[0] - moments[-1] if moments else 0.0
    return any(len(moments) >= number and span >= seconds for number, seconds in ENOUGH)


def _too_few(number: int, what: str) -> str:
    return f"not enough is known yet: {pluralize(number, what)} before it"

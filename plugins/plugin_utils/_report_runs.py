# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: may change in any release.

"""The runs of a fleet in little room: the last days run by run, what lies before by the day.

docs/reference/report.md describes the form. Pure; all times are POSIX seconds, all days those of UTC.
"""

from __future__ import annotations

import typing as t
from bisect import bisect_left
from collections import Counter
from itertools import groupby, product
from math import log2
from operator import itemgetter

from ansible_collections.coldchain.freezer.plugins.plugin_utils._answer import (
    LARGEST,
    LATEST,
    clean,
    whole,
)

DAY = 86400
DETAILED = 14  # days that are shown run by run
MOST_RUNS = (
    8 * DETAILED
)  # of a job in these; one with more is shown by the day, but for its last few
LAST_RUNS = 30
COLUMNS = ("started", "seconds", "result", "bytes", "session_tag", "session_id")
LETTERS = {"success": "s", "fail": "f", "aborted": "a"}
DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
STEPS = {2: 28, 3: 1000}  # of a doubling, by the number of digits: at most 1.25 and 0.035 % off
MOST_SESSIONS = 200
MOST_ROWS = 1000  # of a table of the coming days


def _table(digits: int) -> list[str]:
    texts = ["".join(text) for text in product(DIGITS, repeat=digits)]
    return texts + texts[-1:] * (64 * STEPS[digits] + 2 - len(texts))


# 0 is "none"; every other one is a power of two. What is larger than the last is the last.
CODES = {digits: _table(digits) for digits in STEPS}
NONE = CODES[2][0]


def codes(values: t.Iterable[float | None], digits: int = 2) -> list[str]:
    """Sizes or durations as digits of base 36: n is 2 ** ((n - 1) / STEPS), and 0 is none."""
    table, steps = CODES[digits], STEPS[digits]
    return [
        table[int(log2(value) * steps + 1.5)] if value and value >= 1 else table[0]
        for value in values
    ]


class Runs:
    """What the runs of all jobs come to. first, detail, today: numbers of days since 1970."""

    def __init__(self, now: int, days: int) -> None:
        self.today, self.latest = now // DAY, now + DAY
        self.first = self.today - days + 1
        self.detail = max(self.first, self.today - DETAILED + 1)
        self.unread = 0
        width = self.today - self.first + 1
        self.fleet: dict[str, list[int]] = {
            name: [0] * width for name in ("success", "fail", "aborted", "bytes")
        }
        self.sessions: dict[tuple[str, int], dict[tuple[int, str], str]] = {}

    def add(self, host: int, job: str, entry: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
        """The runs of a job, condensed: "daily" and "recent"; host: its number so far."""
        columns = self._read(entry)
        if not columns:
            return {"daily": None, "recent": None}
        starts, seconds, results, sizes, tags, sessions = columns
        letters = [LETTERS[result] for result in results]
        first, last = self.first, self.today - self.first
        days = [start // DAY - first for start in starts]
        if days[-1] > last:  # a host whose clock is ahead is no reason for another picture
            days = [min(day, last) for day in days]
        self._count(days, letters, results, sizes)
        if any(sessions):
            for letter, tag, session in zip(letters, tags, sessions):
                if isinstance(session, str) and whole(tag, self.latest) is not None:
                    key = clean(session, 100), int(tag)
                    self.sessions.setdefault(key, {})[host, job] = letter
        border, recent = self.detail - first, bisect_left(starts, self.detail * DAY)
        if len(starts) - recent > MOST_RUNS:
            border, recent = last + 1, len(starts) - LAST_RUNS
        until = bisect_left(days, border)
        return {
            "daily": _daily(border, days[:until], letters, seconds, sizes) if until else None,
            "recent": _listed(starts[recent:], letters[recent:], seconds[recent:], sizes[recent:]),
        }

    def _count(
        self,
        days: t.Sequence[int],
        letters: t.Sequence[str],
        results: t.Sequence[str],
        sizes: t.Sequence[int | None],
    ) -> None:
        """The days of the fleet."""
        good, stored = self.fleet["success"], self.fleet["bytes"]
        for day, size in zip(days, sizes):
            good[day] += 1
            if size:
                stored[day] += size
        if "f" in letters or "a" in letters:
            for day, result in zip(days, results):
                good[day] -= 1
                self.fleet[result][day] += 1

    def _read(self, entry: t.Mapping[str, t.Any]) -> list[tuple[t.Any, ...]] | None:
        """The runs since the first day as the columns of COLUMNS, the oldest first; None without a run.

        A row that is no run is counted, and hides no other one.
        """
        names, given = entry["columns"], entry["rows"]
        if tuple(names) != COLUMNS or not all(
            isinstance(row, list) and len(row) == len(COLUMNS) for row in given
        ):
            places = {name: place for place, name in enumerate(names)}
            given = [
                [
                    row[at] if (at := places.get(name, LATEST)) < len(row) else None
                    for name in COLUMNS
                ]
                for row in given
                if isinstance(row, list)
            ]
        rows = given
        if not given or not _are_runs(*list(zip(*given))[:4]):
            rows = [row for row in given if _are_runs(*((value,) for value in row[:4]))]
        self.unread += len(entry["rows"]) - len(rows)
        begin = self.first * DAY
        rows = sorted((row for row in rows if row[0] >= begin), key=itemgetter(0))
        return list(zip(*rows)) or None

    def sessions_table(self, place: t.Mapping[int, int]) -> list[list[t.Any]]:
        """The newest runs of sessions: [session_id, tag, result, hosts, runs, missing, [[host, job_id, letter], ...]].

        missing: of the jobs that took part the time before, those that did not; the list has those that did not succeed.
        place: the row of each host.
        """
        made: list[list[t.Any]] = []
        before: dict[str, set[tuple[int, str]]] = {}
        for (session, tag), members in sorted(self.sessions.items(), key=lambda item: item[0][1]):
            missing = before.get(session, set()) - members.keys()
            before[session] = set(members)
            bad = sorted(
                [place[host], job, letter]
                for (host, job), letter in members.items()
                if letter != "s"
            )
            result = "fail" if bad else "incomplete" if missing else "success"
            hosts = len({host for host, _job in members})
            made.append([session, tag, result, hosts, len(members), len(missing), bad[:50]])
        return made[: -MOST_SESSIONS - 1 : -1]


def _are_runs(*columns: t.Sequence[t.Any]) -> bool:
    """Are starts, durations, results and sizes what they should be?"""
    starts, seconds, results, sizes = columns
    kinds = set(map(type, starts)) | set(map(type, seconds))
    if kinds != {int} or set(map(type, results)) != {str} or not LETTERS.keys() >= set(results):
        return False
    if not set(map(type, sizes)) <= {int, type(None)}:
        return False
    stored = [size for size in sizes if size is not None] or [0]
    return (
        min(*starts, *seconds, *stored) >= 0
        and max(*starts, *seconds) < LATEST
        and max(stored) < LARGEST
    )


def _daily(
    width: int,
    days: t.Sequence[int],
    letters: t.Sequence[str],
    seconds: t.Sequence[int],
    sizes: t.Sequence[int | None],
) -> list[str]:
    """Of each of so many days the result, the mean of the durations and the sum of what was stored."""
    count = len(days)
    if days[-1] - days[0] == count - 1 and len(set(days)) == count:  # as most jobs have it
        runs = letters[:count], seconds[:count], sizes[:count]
        shown, lengths, stored = (list(runs[0]), codes(runs[1]), codes(runs[2]))
        before, after = days[0], width - days[-1] - 1
        return [
            "." * before + "".join(shown) + "." * after,
            NONE * before + "".join(lengths) + NONE * after,
            NONE * before + "".join(stored) + NONE * after,
        ]
    shown, lengths, stored = ["."] * width, [NONE] * width, [NONE] * width
    for day, those in groupby(range(count), key=days.__getitem__):
        numbers = list(those)
        results = {letters[number] for number in numbers}
        shown[day] = results.pop() if len(results) == 1 else "m"
        mean = sum(seconds[number] for number in numbers) / len(numbers)
        total = sum(sizes[number] or 0 for number in numbers)
        lengths[day], stored[day] = codes((mean, total))
    return ["".join(shown), "".join(lengths), "".join(stored)]


def _listed(
    starts: t.Sequence[int],
    letters: t.Sequence[str],
    seconds: t.Sequence[int],
    sizes: t.Sequence[int | None],
) -> list[t.Any] | None:
    """[starts, results, durations, sizes]: of starts all but the first count from the one before."""
    if not starts:
        return None
    return [
        [start - before for start, before in zip(starts, (0, *starts))],
        "".join(letters),
        list(seconds),
        "".join(codes(sizes, 3)),
    ]


class Coming:
    """The coming days of all hosts together."""

    def __init__(self, now: int, days: int = 7) -> None:
        self.begin = now // 3600 * 3600
        self.days = days
        self.hours = [0] * (24 * days)
        self._edges: list[tuple[int, int]] = []
        self._shared: dict[tuple[str, str], dict[int, list[tuple[int, int]]]] = {}
        self._changes: Counter[tuple[str, int, int]] = Counter()
        self._changed_hosts: Counter[tuple[str, int, int]] = Counter()
        self.collisions: list[list[t.Any]] = []

    def job(
        self, host: int, entry: t.Mapping[str, t.Any], places: t.Iterable[tuple[str, str]]
    ) -> list[int] | None:
        """The next runs of a job, each but the first counted from the one before; None without one.

        places: where its backups go that other hosts can reach, too.
        """
        columns, starts = entry["columns"], []
        if "at" not in columns:
            return None
        place = columns.index("at")
        for row in entry["rows"]:
            at = whole(row[place], LATEST) if isinstance(row, list) and len(row) > place else None
            if at is not None:
                starts.append(at)
        starts.sort()
        seconds = whole(entry.get("seconds"), LATEST)
        seconds = 600 if seconds is None else seconds
        for at in starts:
            hour = (at - self.begin) // 3600
            if 0 <= hour < len(self.hours):
                self.hours[hour] += 1
        edges = [(at, at + seconds) for at in starts]
        self._edges += edges
        for where in places:
            self._shared.setdefault(where, {}).setdefault(host, []).extend(edges)
        listed = starts[:MOST_RUNS]
        return [at - before for at, before in zip(listed, [0, *listed])] or None

    def change(self, zone: str, at: int, seconds: int, runs: int) -> None:
        """A clock change on a host, with runs on that day."""
        self._changes[zone, at, seconds] += runs
        self._changed_hosts[zone, at, seconds] += 1

    def table(self) -> dict[str, t.Any]:
        """The JSON form of the runs to come: when most run at once, and what they share."""
        shared = [
            [*where, len(hosts), *_peak([edge for edges in hosts.values() for edge in edges])]
            for where, hosts in sorted(self._shared.items())
            if len(hosts) > 1
        ]
        runs, at = _peak(self._edges)
        return {
            "begin": self.begin,
            "days": self.days,
            "hours": self.hours,
            "peak": {"runs": runs, "at": at},
            "clock_changes": {
                "columns": ["zone", "at", "seconds", "runs", "hosts"],
                "rows": [
                    [*key, runs, self._changed_hosts[key]]
                    for key, runs in sorted(self._changes.items(), key=lambda item: item[0][1])
                ][:MOST_ROWS],
            },
            "collisions": {
                "columns": ["host", "job_id", "kind", "at"],
                "rows": sorted(self.collisions, key=itemgetter(3))[:MOST_ROWS],
            },
            "shared": {
                "columns": ["storage", "container", "hosts", "at_once", "at"],
                "rows": [row for row in shared if row[3] > 1],
            },
        }


def _peak(edges: t.Sequence[tuple[int, int]]) -> tuple[int, int | None]:
    """The most runs at once and the first instant of it; runs that only touch do not meet."""
    most, at, open_runs = 0, None, 0
    steps = [(begin, 1) for begin, end in edges if end > begin]
    steps += [(end, 0) for begin, end in edges if end > begin]
    for instant, begins in sorted(steps):
        open_runs += 1 if begins else -1
        if open_runs > most:
            most, at = open_runs, instant
    return most, at

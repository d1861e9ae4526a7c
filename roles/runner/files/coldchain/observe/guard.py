# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Is a run like those before it?  Pure: from the history of a job to verdicts and findings."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple

from coldchain.core.instants import DAY
from coldchain.observe.comparison import (
    BURST,
    BYTES,
    CHANGED,
    CHECKS,
    COMPARED,
    ENTRIES,
    GREW,
    HALVED,
    INCOMPRESSIBLE,
    LONG,
    OFTEN,
    PACKING,
    RATE,
    SECONDS,
    SHORT,
    SHRANK,
    UNPACKED,
    Burst,
    Comparison,
    Verdict,
)
from coldchain.observe.findings import WARNING, Finding

KNOWN = 120
"""So many earlier runs count at most: reading them costs 1.5 ms."""
RECENT = 3 * DAY
"""Seconds for which a finding is shown: what Friday brings is still there on Monday."""
_MUCH = 0.2  # of the entries; a few files that cannot be compressed are nothing
_FEWEST = 20  # entries: most of less is soon changed


class Kept(NamedTuple):
    """What one backup of a run tells; None where it does not.

    name: of the backup, with its source; full: it is a level 0.
    """

    name: str
    full: bool
    entries: float | None
    source_bytes: float | None
    changed: float | None
    packed: float | None
    """Bytes stored for each byte of archive, or read where that is not known."""
    read: float | None = None
    """Bytes of archive, or read: what took the time."""


class Sample(NamedTuple):
    """What the guard takes of a run; started: POSIX seconds; seconds: None when they say nothing;
    shape: the kinds of its backups, which decide how long it takes."""

    run_id: str
    started: float
    seconds: float | None
    good: bool
    counts: bool
    """As a run that was started: one that makes up for a slot comes whenever the host is back."""
    shape: str
    backups: tuple[Kept, ...]


def sample_of(run: Mapping[str, Any]) -> Sample:
    """What the RUN tells; what of it is not as it should be is taken as not told."""
    listed = run.get("actions")
    actions = (
        [item for item in listed if isinstance(item, dict)] if isinstance(listed, list) else []
    )
    good = run.get("result") == "success"
    started, ended = _number(run.get("time_started")), _number(run.get("time_ended"))
    took = None if started is None or ended is None or ended < started else ended - started
    retried = any(entry.get("attempts") != 1 for entry in actions)
    backups = tuple(kept for entry in actions if (kept := _kept(entry)) is not None)
    return Sample(
        run_id=str(run.get("run_id")),
        started=started or 0.0,
        seconds=None if retried or not good else took,
        good=good,
        counts=run.get("cause") != "catch-up" and "request" not in run,
        shape=" and ".join("full backup" if kept.full else "increment" for kept in backups),
        backups=backups if good else (),
    )


def _kept(entry: Mapping[str, Any]) -> Kept | None:
    report = entry.get("report")
    if entry.get("action") != "backup" or not isinstance(report, dict) or report.get("dry_run"):
        return None
    full = report.get("level", 0) == 0

    def number(key: str, instead: str = "") -> float | None:
        value = _number(report.get(key))
        # Before they were counted: a full backup reads all there is.
        return _number(report.get(instead)) if value is None and instead and full else value

    read, stored = number("archive_bytes") or number("bytes"), number("size")
    return Kept(
        name=" of ".join(str(report[key]) for key in ("backup_name", "source") if key in report),
        full=full,
        entries=number("entries", "files"),
        source_bytes=number("source_bytes", "bytes"),
        changed=None if full else number("changed"),
        packed=stored / read if read and stored is not None else None,
        read=read,
    )


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value) if 0 <= value < 1e18 else None


def wanted(document: Mapping[str, Any]) -> Sequence[str]:
    """The checks that a document leaves on."""
    switches = document.get("guard")
    if not switches:
        return CHECKS
    if switches.get("enabled") is False:
        return ()
    return [check for check in CHECKS if switches.get(check) is not False]


def judge(
    run: Sample,
    known: Sequence[Sample],
    checks: Collection[str] = CHECKS,
    *,
    explain: bool = False,
) -> list[Verdict]:
    """What *checks* say of *run*; known: the runs before it, the newest first; explain: also when
    there is nothing to say, with the figures."""
    verdicts = [
        question.verdict()
        for question in _questions(run, known[:KNOWN], explain)
        if question.check in checks and (explain or question.stands_out)
    ]
    return [verdict for verdict in verdicts if explain or verdict.found]


def is_usual(run: Sample, newest: Sequence[Sample]) -> bool:
    """Do the runs right before *run* tell that ``judge`` finds nothing, whatever was before them?

    Nothing is found unless it is off from the last run like it, or from the last BURST runs.
    """
    if run.counts and sum([old.counts for old in newest]) < BURST:
        return False
    if any(_bursts(run, newest, explain=False)):
        return False
    if run.backups:
        return not any(
            isinstance(question, Comparison) and (question.stands_out or not question.earlier)
            for question in _questions(run, newest, explain=True)
        )
    if run.seconds is None:
        return True
    like = [old.seconds for old in newest if old.seconds is not None and old.shape == run.shape]
    return bool(like) and not SECONDS.is_step(run.seconds, like[0])


def _questions(run: Sample, known: Sequence[Sample], explain: bool) -> Iterator[Comparison | Burst]:
    yield from _durations(run, known, explain)
    yield from _bursts(run, known, explain)
    for kept in run.backups:
        yield from _totals(kept, known, explain)
        yield from _contents(kept, known, explain)


def replay(
    runs: Sequence[Mapping[str, Any]], checks: Collection[str] = CHECKS
) -> Iterator[tuple[Mapping[str, Any], list[Verdict]]]:
    """Each of *runs*, the newest first, with what is said of it after those before it."""
    samples = [sample_of(run) for run in runs]
    for number, run in enumerate(runs):
        yield run, judge(samples[number], samples[number + 1 : number + 1 + KNOWN], checks)


def entries(job_id: str, run_id: str, verdicts: Sequence[Verdict]) -> list[dict[str, str]]:
    """What of *verdicts* somebody should know, as the RUN keeps it: a Finding with ``check`` and
    ``backup``."""
    return [
        {
            **Finding(
                WARNING,
                f"job {job_id}",
                f"run {run_id}: {verdict.text}",
                _REMEDIES[verdict.check].format(job=job_id, run=run_id),
            ).as_dict(),
            "check": verdict.check,
            "backup": verdict.about,
        }
        for verdict in verdicts
        if verdict.found
    ]


def recent(runs: Sequence[Mapping[str, Any]], now: float) -> list[Finding]:
    """What was found in the newest of *runs*, and in those of the last days, each thing once.

    runs: the newest first; now: POSIX seconds.
    """
    told: dict[tuple[object, object], Finding] = {}
    for number, run in enumerate(runs):
        if number and run["time_ended"] < now - RECENT:
            break
        for entry in run.get("findings") or ():
            told.setdefault((entry.get("check"), entry.get("backup")), Finding.from_dict(entry))
    return list(told.values())


_FIGURES = "; coldchain guard {job} --explain has the figures"
_LOG = "coldchain log {job} {run} tells what it did"
_GONE = (
    "look whether something is not mounted, or was removed; coldchain backups --job {job} lists the"
    " points from before" + _FIGURES
)
_ENCRYPTED = (
    "if nobody meant that, somebody may be encrypting files: look at them, and keep the points from"
    " before (coldchain event {job} stop; coldchain backups --job {job})" + _FIGURES
)
_REMEDIES = {
    SHORT: f"{_LOG}: is its source empty, or its command no longer doing its work?{_FIGURES}",
    LONG: f"{_LOG}: look for a slow disk, network or load of that time{_FIGURES}",
    SHRANK: _GONE,
    HALVED: _GONE,
    GREW: "look for what has grown (du -xh -d 2), and whether the container has room" + _FIGURES,
    CHANGED: "if nobody meant that, somebody may be encrypting files: keep the points from before"
    " (coldchain event {job} stop; coldchain backups --job {job}), and look at the files"
    + _FIGURES,
    INCOMPRESSIBLE: "if nobody meant that, somebody may be encrypting files: keep the points from"
    " before (coldchain event {job} stop; coldchain backups --job {job}), and look at the files"
    + _FIGURES,
    OFTEN: "coldchain history {job} tells why each began: who or what starts it?" + _FIGURES,
}


# -- the checks -----------------------------------------------------------------------------------


def _durations(run: Sample, known: Sequence[Sample], explain: bool) -> Iterator[Comparison]:
    if run.seconds is None:
        return
    like = (
        (old.started, old.seconds)
        for old in known
        if old.seconds is not None and old.shape == run.shape
    )
    what = run.shape if len(run.backups) == 1 else "run"
    asked = [
        Comparison(check, "", run.seconds, (), SECONDS, what, told)
        for check, told in ((SHORT, "it ended far too soon"), (LONG, "it took far too long"))
    ]
    questions = _compared(asked, like, explain)
    if questions:
        slack = _explained(run, [old for old in known if old.shape == run.shape])
        for question in questions:
            yield question._replace(slack=slack)


def _compared(
    asked: Sequence[Comparison], like: Iterator[tuple[float, float]], explain: bool
) -> list[Comparison]:
    """*asked* with the earlier values *like*, the newest first; none when the newest says that
    there is nothing to find, as mostly: then the others are not gone through."""
    newest = list(islice(like, 1))
    if not explain:
        asked = [it for it in asked if it._replace(earlier=newest).stands_out]
    if not asked:
        return []
    whole = [*newest, *like]
    return [question._replace(earlier=whole) for question in asked]


def _explained(run: Sample, like: Sequence[Sample]) -> float:
    """How much more the run has read than any of those, or (below 0) how much less: after a
    holiday, or at the end of a month, there is more to do, and that takes longer."""
    read = _read(run)
    known = [BYTES.scaled(each) for each in map(_read, like[:COMPARED]) if each is not None]
    if read is None or not known:
        return 0.0
    value = BYTES.scaled(read)
    return max(0.0, value - max(known)) + min(0.0, value - min(known))


def _read(run: Sample) -> float | None:
    values = [kept.read for kept in run.backups if kept.read is not None]
    return sum(values) if values and len(values) == len(run.backups) else None


def _of_name(kept: Kept, known: Sequence[Sample]) -> Iterator[tuple[Sample, Kept]]:
    """The earlier backups of that name, each with its run."""
    return ((old, it) for old in known for it in old.backups if it.name == kept.name)


def _totals(kept: Kept, known: Sequence[Sample], explain: bool) -> Iterator[Comparison]:
    """Of the whole source, which every level sees alike."""
    if kept.source_bytes is not None:
        size = kept.source_bytes
        like = (
            (old.started, backup.source_bytes)
            for old, backup in _of_name(kept, known)
            if backup.source_bytes is not None
        )
        asked = [
            Comparison(check, kept.name, size, (), BYTES, "backup", told)
            for check, told in ((SHRANK, "the source has shrunk"), (GREW, "the source has grown"))
        ]
        yield from _compared(asked, like, explain)
    if kept.entries is not None:
        like = (
            (old.started, backup.entries)
            for old, backup in _of_name(kept, known)
            if backup.entries is not None
        )
        told = "about half of the source's files are gone, or more"
        question = Comparison(HALVED, kept.name, kept.entries, (), ENTRIES, "backup", told)
        yield from _compared([question], like, explain)


def _contents(kept: Kept, known: Sequence[Sample], explain: bool) -> Iterator[Comparison]:
    """How much has changed, and how well it packs, beside backups of its kind."""
    what = "full backup" if kept.full else "increment"
    if kept.changed is not None and kept.entries and kept.entries >= _FEWEST:
        rate = min(1.0, kept.changed / kept.entries)
        rates = (
            (old.started, min(1.0, backup.changed / backup.entries))
            for old, backup in _of_name(kept, known)
            if backup.full == kept.full and backup.changed is not None and backup.entries
        )
        told = "most files have changed"
        if kept.packed is not None and kept.packed >= UNPACKED:
            told += ", and they cannot be compressed"
        question = Comparison(CHANGED, kept.name, rate, (), RATE, what, told)
        yield from _compared([question], rates, explain)
    much = kept.full or (kept.changed or 0.0) >= _MUCH * (kept.entries or math.inf)
    if kept.packed is not None and much:
        packed = (
            (old.started, backup.packed)
            for old, backup in _of_name(kept, known)
            if backup.full == kept.full and backup.packed is not None
        )
        told = "what is stored can hardly be compressed any more"
        question = Comparison(INCOMPRESSIBLE, kept.name, kept.packed, (), PACKING, what, told)
        yield from _compared([question], packed, explain)


def _bursts(run: Sample, known: Sequence[Sample], explain: bool) -> Iterator[Burst]:
    if not run.counts:
        return
    before = (old.started for old in known if old.counts)
    newest = [run.started, *islice(before, BURST)]
    if explain or Burst(newest).stands_out:
        yield Burst([*newest, *before])

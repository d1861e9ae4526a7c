# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who is told of what, and when.  Pure: no clock, no disk.

Of each target and job is known what was told and is not over (``Open``).  What a setting keeps back
is held until its time and comes in one message then; a recovery of what somebody was told of
already is never kept back.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import datetime, time, timedelta, tzinfo
from typing import Any, NamedTuple

from coldchain.core.instants import DAY, from_epoch
from coldchain.core.text import shorten
from coldchain.observe.notifiers.registry import (
    FAILURE,
    FINDING,
    RECOVERY,
    ROUTINE,
    SILENCE,
    SUCCESS,
)
from coldchain.observe.notifiers.target import Target

MOST_HELD = 200
"""Messages that are held for one target; of more, only their number is told."""
LARGEST_SUMMARY = 131_072
"""Bytes, as JSON, of a message that sums others up."""
_TEXTS = (4000, 1000, 300, 100, 0)
"""Characters of the text of each of them: the most with which all have room."""
_ALARMS = (FAILURE, SILENCE, FINDING)


class Policy(NamedTuple):
    """The host's settings; durations in seconds, 0 for off.

    cool_down: between two alarms of a job to the same target; summary: for how long messages are
    gathered; quiet: begin and end of the hours without messages, in seconds of a day; maintenance:
    POSIX seconds up to which nothing is an alarm; zone: of the quiet hours.
    """

    cool_down: float = 0
    summary: float = 0
    quiet: tuple[int, int] | None = None
    maintenance: float = 0
    zone: tzinfo | None = None

    def quiet_until(self, now: float) -> float:
        """POSIX seconds at which the quiet hours end that *now* is in; *now* when it is in none."""
        if self.quiet is None:
            return now
        local = from_epoch(int(now)).astimezone(self.zone)
        second = local.hour * 3600 + local.minute * 60 + local.second
        begin, end = self.quiet
        inside = begin <= second < end if begin < end else second >= begin or second < end
        if not inside:
            return now
        # By the calendar, not by adding seconds: the zone's clock may be set within these hours.
        day = local.date() + timedelta(days=second >= end)
        over = datetime.combine(day, time(), self.zone) + timedelta(seconds=end)
        ends = (over.replace(fold=fold).timestamp() for fold in (0, 1))
        return next((float(until) for until in ends if until > now), now)


class Occasion(NamedTuple):
    """Something that happened to a job, or to the host (job_id "").

    kind: start, success, failure, silence or finding; id: the same each time that the same event
    is told; message: what is told of it.
    """

    kind: str
    job_id: str
    time: float
    id: str
    message: Mapping[str, Any]


class Delivery(NamedTuple):
    """A message for a target, to be delivered now."""

    target: Mapping[str, Any]
    kind: str
    id: str
    job_id: str
    message: Mapping[str, Any]


class Open(NamedTuple):
    """What is not over between a target and a job.

    failure, silence: POSIX seconds from which the target knows of it, None when it is over or
    nobody was told; alarmed: when it was last told of an alarm.
    """

    failure: float | None = None
    silence: float | None = None
    alarmed: float | None = None


class Rules:
    """The decisions of one host.

    state: as ``saved`` gave it once; what is not like that is not taken.
    """

    def __init__(self, policy: Policy, state: Mapping[str, Any] | None = None) -> None:
        self._policy = policy
        self._open: dict[str, dict[str, Open]] = {}  # job -> target's key -> what is open
        self._held: dict[str, dict[str, Any]] = {}  # target's key -> what is held for it
        self.changed = False
        if state is not None:
            self._load(state)

    # -- what happens ----------------------------------------------------------------------------

    def tell(self, event: Occasion, targets: Iterable[Target]) -> list[Delivery]:
        """What is to be delivered now because of *event*; the rest is held."""
        told = []
        for target in targets:
            delivery = self._tell(event, target)
            if delivery is not None:
                told.append(delivery)
        return told

    def concerns(self, kind: str, job_id: str, targets: Iterable[Target]) -> bool:
        """Whether such an event is told to one of *targets*, or changes what is known of the job:
        mostly a success is not."""
        return kind != SUCCESS or job_id in self._open or any(SUCCESS in t.tell for t in targets)

    def due(self, now: float) -> list[Delivery]:
        """What was held and is to be delivered now: one message for each target."""
        told = []
        for key, held in list(self._held.items()):
            # A clock that was set back lets nothing wait longer.
            ready = [
                message
                for message in held["messages"]
                if message["until"] <= now or now < message["since"] - 1
            ]
            if ready:
                rest = [message for message in held["messages"] if message not in ready]
                self.changed = True
                told.append(_together(held, ready, 0 if rest else held["more"]))
                held["messages"] = rest
                if not rest:
                    del self._held[key]
        return told

    def knows(self, job_id: str, target: Target) -> Open:
        """What is open between them."""
        return self._open.get(job_id, {}).get(target.key, Open())

    def forget(self, job_ids: Iterable[str]) -> None:
        """Drop what is open of jobs that are not declared any more."""
        for job_id in job_ids:
            self.changed |= self._open.pop(job_id, None) is not None

    def lapse(self, job_id: str, target: Target, now: float, after: float) -> None:
        """Of a silence without a recovery: let it be told again *after* so many seconds; while it
        is held it goes on."""
        since = self.knows(job_id, target).silence
        if since is not None and not 0 <= now - since < after and not self._held_of(job_id, target):
            self._keep(job_id, target, Open())

    def jobs(self) -> list[str]:
        """The jobs that something is known of."""
        return [job_id for job_id in self._open if job_id]

    def _tell(self, event: Occasion, target: Target) -> Delivery | None:
        known, now = self.knows(event.job_id, target), event.time
        kind = event.kind
        if kind == SUCCESS:
            bad = [since for since in (known.failure, known.silence) if since is not None]
            if bad:
                self._keep(event.job_id, target, known._replace(failure=None, silence=None))
                if RECOVERY in target.tell:
                    return self._recovered(event, target, min(bad))
        if kind not in target.tell:
            if kind == FAILURE and RECOVERY in target.tell and known.failure is None:
                # Whoever is told of recoveries alone knows of the failure from elsewhere.
                self._keep(event.job_id, target, known._replace(failure=now))
            return None
        if kind in ROUTINE:
            return _delivery(event, kind, target)
        if kind == SILENCE and known.silence is not None:
            return None
        until = now
        if target.paced:
            if now < self._policy.maintenance:
                return None
            until = self._until(known, event, target)
        return self._alarm(event, target, known, until)

    def _recovered(self, event: Occasion, target: Target, known_at: float) -> Delivery | None:
        """Tell of a recovery: now, unless what it follows, known from *known_at* on, is held."""
        title = f"{event.message.get('title', '')} again"
        event = event._replace(message={**event.message, "title": title})
        of_job = self._held_of(event.job_id, target)
        if of_job:
            held = self._held[target.key]
            first = min(message["until"] for message in of_job)
            if first <= known_at:  # even if that is past: nobody was told of it yet
                self._hold(event, RECOVERY, target, first)
                return None
            # What is held of it is over before anybody was told.
            held["messages"] = [message for message in held["messages"] if message not in of_job]
            if not held["messages"]:
                del self._held[target.key]
            self.changed = True
        return _delivery(event, RECOVERY, target)

    def _held_of(self, job_id: str, target: Target) -> list[dict[str, Any]]:
        """The failures and silences of the job that are held for the target."""
        held = self._held.get(target.key, {"messages": []})
        return [message for message in held["messages"] if _is_of(message, job_id)]

    def _until(self, known: Open, event: Occasion, target: Target) -> float:
        """POSIX seconds before which an alarm is not told."""
        policy, now, until = self._policy, event.time, event.time
        if policy.cool_down and known.alarmed is not None:
            if now < known.alarmed <= now + policy.cool_down + policy.summary + DAY:
                until = known.alarmed  # one is held, and takes this along
            elif known.alarmed <= now:
                until = max(until, known.alarmed + policy.cool_down)
        if policy.summary:
            window = self._held.get(target.key, {}).get("window", 0.0)
            fresh = not now < window <= now + policy.summary
            until = max(until, now + policy.summary if fresh else window)
        return policy.quiet_until(until)

    def _alarm(self, event: Occasion, target: Target, known: Open, until: float) -> Delivery | None:
        """Tell of an alarm now, or hold it until then."""
        delivery = None
        if until > event.time:
            self._hold(event, event.kind, target, until)
        else:
            delivery = _delivery(event, event.kind, target)
        changes: dict[str, float] = {}
        if self._policy.cool_down and target.paced:
            changes["alarmed"] = until
        since = {FAILURE: known.failure, SILENCE: known.silence}.get(event.kind, until)
        if since is None:
            changes[event.kind] = until
        if changes:
            self._keep(event.job_id, target, known._replace(**changes))
        return delivery

    def _hold(self, event: Occasion, kind: str, target: Target, until: float) -> None:
        held = self._held.get(target.key)
        if held is None:
            held = {"target": dict(target.entry), "messages": [], "more": 0}
            held["window"] = event.time + self._policy.summary
            self._held[target.key] = held
        if any((each["id"], each["kind"]) == (event.id, kind) for each in held["messages"]):
            return  # a crash lets the end of a run be told again
        if len(held["messages"]) < MOST_HELD:
            message = {name: value for name, value in event.message.items() if name != "run"}
            held["messages"].append(
                {
                    "kind": kind,
                    "id": event.id,
                    "job_id": event.job_id,
                    "since": event.time,
                    "until": until,
                    "message": message,
                }
            )
        else:
            held["more"] += 1
        self.changed = True

    def _keep(self, job_id: str, target: Target, known: Open) -> None:
        jobs = self._open.setdefault(job_id, {})
        if known == Open():
            jobs.pop(target.key, None)
        else:
            jobs[target.key] = known
        if not jobs:
            del self._open[job_id]
        self.changed = True

    # -- on disk ---------------------------------------------------------------------------------

    def saved(self) -> dict[str, Any]:
        """All that is known, for JSON."""
        return {
            "open": {
                job_id: {key: list(known) for key, known in targets.items()}
                for job_id, targets in self._open.items()
            },
            "held": self._held,
        }

    def _load(self, state: Mapping[str, Any]) -> None:
        for job_id, targets in state["open"].items():
            known = {key: Open(*map(_instant, values)) for key, values in targets.items()}
            self._open[job_id] = known
        for key, held in state["held"].items():
            Target.of(held["target"])
            self._held[key] = {
                "target": dict(held["target"]),
                "window": float(held["window"]),
                "more": int(held["more"]),
                "messages": [
                    {
                        **{name: str(message[name]) for name in ("kind", "id", "job_id")},
                        **{name: float(message[name]) for name in ("since", "until")},
                        "message": dict(message["message"]),
                    }
                    for message in held["messages"]
                ],
            }


def _instant(value: Any) -> float | None:
    return None if value is None else float(value)


def _delivery(event: Occasion, kind: str, target: Target) -> Delivery:
    return Delivery(
        target.entry,
        kind,
        f"{event.id}-{kind}-{target.key}",
        event.job_id,
        event.message,
    )


def _is_of(held: Mapping[str, Any], job_id: str) -> bool:
    return held["job_id"] == job_id and held["kind"] in (FAILURE, SILENCE)


def _together(held: Mapping[str, Any], ready: list[dict[str, Any]], more: int) -> Delivery:
    """One message of all that is *ready*; more: so many others were not kept."""
    target = Target.of(held["target"])
    first = ready[0]
    kind, name, job_id, message = first["kind"], first["id"], first["job_id"], first["message"]
    if len(ready) > 1 or more:
        kinds = {item["kind"] for item in ready}
        kind = next((alarm for alarm in _ALARMS if alarm in kinds), RECOVERY)
        job_id = job_id if len({item["job_id"] for item in ready}) == 1 else ""
        message = _summary(message.get("host", ""), job_id, ready, more)
        name = f"{name}-{len(ready)}"
    return Delivery(target.entry, kind, f"{name}-{kind}-{target.key}", job_id, message)


def _summary(host: str, job_id: str, ready: list[dict[str, Any]], more: int) -> dict[str, Any]:
    """One message of all that is *ready* and has room, of the oldest for certain."""
    last, number = ready[-1]["message"].get("time"), len(ready) + more
    while True:
        for most in _TEXTS:
            messages = [
                {
                    "kind": item["kind"],
                    **item["message"],
                    "title": str(item["message"].get("title", "")),
                    "text": shorten(str(item["message"].get("text", "")), most) if most else "",
                }
                for item in ready
            ]
            lines = [f"{each['title']}\n{each['text']}".rstrip() for each in messages]
            if number > len(ready):
                lines.append(f"and {number - len(ready)} more")
            message = {
                "host": host,
                "job_id": job_id or None,
                "run_id": None,
                "time": last,
                "title": f"{host}: {number} messages",
                "text": "\n\n".join(lines),
                "messages": messages,
            }
            if len(json.dumps(message)) <= LARGEST_SUMMARY or not ready:
                return message
        ready = ready[: len(ready) // 2]

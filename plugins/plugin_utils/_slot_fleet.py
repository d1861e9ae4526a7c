# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: may change in any release.

"""The jobs of a whole inventory that share slots, and what their hosts' answers say of how long they take.

Whatever a play is limited to, a place follows from all hosts of the inventory.
"""

from __future__ import annotations

import difflib
import json
import re
import typing as t

from ansible.errors import AnsibleError
from ansible_collections.coldchain.freezer.plugins.plugin_utils._slots import (
    DoesNotFit,
    Slot,
    Unit,
    offsets,
    read_slot,
    told,
)

Job = t.Mapping[str, t.Any]
LISTS = re.compile(r"freezer_jobs(_.+)?")
# What hosts must have in common, or the begin of a slot is not the same for all of its jobs; days may differ.
TIMES = (
    "schedule_hour",
    "schedule_minute",
    "schedule_second",
    "schedule_interval",
    "schedule_start_date",
    "schedule_timezone",
    "schedule_date",
    "dst",
    "blackout",
)


class Member(t.NamedTuple):
    """A job with a slot; times: what says when the slot begins, as text."""

    host: str
    job_id: str
    slot: str
    times: str


class Fleet(t.NamedTuple):
    """The members of all slots; slots: coldchain_slots, as the hosts have it; problems: by the name of a slot, "" of all."""

    members: list[Member]
    slots: dict[str, t.Any]
    problems: dict[str, list[str]]


def list_names(variables: t.Iterable[str]) -> list[str]:
    """The names of the job lists among those of all variables, in the order in which they are taken."""
    return sorted(filter(LISTS.fullmatch, variables), key=str.lower)


def is_list(value: t.Any) -> bool:
    """Whether it is a list of what may be job documents."""
    return (
        isinstance(value, t.Sequence)
        and not isinstance(value, (str, bytes))
        and all(isinstance(job, t.Mapping) for job in value)
    )


def merged(variables: t.Mapping[str, t.Any]) -> list[t.Any]:
    """The job lists of a host, as role jobs merges them."""
    named: dict[str, t.Any] = {}
    others = []
    for name in list_names(variables):
        if isinstance(variables[name], (str, bytes)):
            raise TypeError(f"{name} is no list of job documents")
        for job in variables[name]:
            if isinstance(job, t.Mapping) and "job_id" in job:
                named[str(job["job_id"])] = job
            else:
                others.append(job)
    return [*named.values(), *others]


def body(job: Job) -> Job:
    """The document itself, without the wrapper of Freezer's API."""
    inner = job.get("job")
    return inner if isinstance(inner, t.Mapping) else job


def has_slot(job: t.Any) -> bool:
    """Whether the document of a job that shall be there names a slot."""
    return (
        isinstance(job, t.Mapping)
        and job.get("state") != "absent"
        and body(job).get("slot") not in (None, "", False)
    )


def member(host: str, job: Job) -> Member:
    """The job as a member of its slot."""
    document = body(job)
    schedule = document.get("job_schedule")
    schedule = schedule if isinstance(schedule, t.Mapping) else {}
    given = {str(key).replace("-", "_"): value for key, value in schedule.items()}
    times = {key: _plain(given[key]) for key in TIMES if given.get(key) not in (None, "")}
    if "schedule_interval" not in times:
        times.pop("schedule_start_date", None)
    return Member(
        host,
        str(document.get("job_id", job.get("job_id", ""))),
        str(document["slot"]),
        ", ".join(f"{key} {value}" for key, value in sorted(times.items())),
    )


def _plain(value: t.Any) -> str:
    if isinstance(value, (t.Mapping, list)):
        return json.dumps(value, sort_keys=True, default=str)
    return str(value)


def read(hosts: t.Iterable[str], hostvars: t.Mapping[str, t.Any]) -> Fleet:
    """The slots' jobs of every host of the inventory."""
    members: list[Member] = []
    slots: dict[str, tuple[str, t.Any]] = {}
    problems: dict[str, list[str]] = {}
    for host in hosts:
        try:
            variables = hostvars[host]
            if variables.get("coldchain_state") == "absent":
                continue
            jobs = [job for job in merged(variables) if has_slot(job)]
            own = [member(host, job) for job in jobs]
            table = variables.get("coldchain_slots", {}) if own else {}
            table = {str(name): table[name] for name in table}
            told_here = {
                name: _shape(table[name]) for name in (entry.slot for entry in own) if name in table
            }
        except (AnsibleError, TypeError, ValueError) as error:
            text = str(error).splitlines()[0]
            problems.setdefault("", []).append(
                f"The jobs of {host} cannot be read, so nobody knows which slots they share: {text}."
                " Repair its variables; a slot counts every host of the inventory."
            )
            continue
        members += [entry for entry in own if entry.job_id]
        for name, shape in told_here.items():
            first, value = slots.setdefault(name, (host, shape))
            if value != shape:
                problems.setdefault(name, []).append(
                    f"coldchain_slots.{name} is not the same for {first} and {host}. Write it once, in group_vars/all."
                )
    return Fleet(members, {name: value for name, (_host, value) in slots.items()}, problems)


def _shape(value: t.Any) -> t.Any:
    """A slot's entry as plain JSON, to compare and to keep."""
    return json.loads(json.dumps(value, default=str))


def place(
    fleet: Fleet, slots: t.Mapping[str, t.Any], seconds: t.Mapping[tuple[str, str], float]
) -> tuple[dict[str, dict[tuple[str, str], int]], dict[str, list[str]]]:
    """For each slot that has members the offset of each (host, job_id), and what is wrong with it.

    seconds: how long the run of a job took when it was measured.
    """
    found: dict[str, dict[tuple[str, str], int]] = {}
    problems = {name: list(texts) for name, texts in fleet.problems.items()}
    if not isinstance(slots, t.Mapping):
        return {}, {"": ["coldchain_slots must be a dictionary of slots by their names."]}
    for name in sorted({job.slot for job in fleet.members}):
        own = problems.setdefault(name, [])
        members = [job for job in fleet.members if job.slot == name]
        slot, wrong = _slot(name, slots)
        own += wrong
        other = next((job for job in members if job.times != members[0].times), None)
        if other is not None:
            first = members[0]
            own.append(
                f"Slot {name} begins at other times for {first.host}/{first.job_id} ({first.times or 'none'}) than for"
                f" {other.host}/{other.job_id} ({other.times or 'none'}). Give them the same times, or slots of their own."
            )
        if slot is None or own:
            continue
        units = {
            Unit(job.host, job.job_id, seconds.get((job.host, job.job_id), 0)): (
                job.host,
                job.job_id,
            )
            for job in members
        }
        try:
            found[name] = {units[unit]: at for unit, at in offsets(slot, units).items()}
        except DoesNotFit as error:
            own.append(str(error))
    return found, {name: texts for name, texts in problems.items() if texts}


def _slot(name: str, slots: t.Mapping[str, t.Any]) -> tuple[Slot | None, list[str]]:
    if name in slots:
        return read_slot(name, slots[name])
    near = difflib.get_close_matches(name, slots, 1)
    guess = f" (did you mean {near[0]}?)" if near else ""
    return None, [
        (
            f"coldchain_slots has no slot {name!r}{guess}. Write it there with at_once (a number) and"
            ' within (such as "4 hours"), in group_vars/all.'
        )
    ]


def with_place(job: Job, within: t.Any, offset: int) -> dict[str, t.Any]:
    """The job's document with its place in the schedule; within: of its slot, as it is written."""
    document = dict(body(job))
    schedule = dict(document.get("job_schedule") or {})
    schedule.update(schedule_splay=within, schedule_offset=told(offset))
    document["job_schedule"] = schedule
    return {**job, "job": document} if body(job) is not job else document


def faults(job: Job) -> list[str]:
    """What is wrong with one job that names a slot, beside what everybody's document has to be."""
    document = body(job)
    name = document.get("job_id", job.get("job_id"))
    if name in (None, ""):
        return [
            f"A job in slot {document['slot']!r} has no job_id, which its place follows from. Add one."
        ]
    schedule = document.get("job_schedule")
    given = schedule if isinstance(schedule, t.Mapping) else {}
    return [
        f"job {name}: {key} and slot exclude each other. Leave {key} out: the slot says when it begins."
        for key in ("schedule_splay", "schedule_offset")
        if given.get(key, given.get(key.replace("_", "-"))) not in (None, "", 0)
    ]

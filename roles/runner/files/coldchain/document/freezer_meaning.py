# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Freezer takes for granted and coldchain does not, written out in a document of Freezer's."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from coldchain.core.command_text import CommandTextError, split_pipeline
from coldchain.core.errors import Problem
from coldchain.document.canonical_form import facts_of, stopped
from coldchain.document.fields import CRON_FIELDS
from coldchain.document.normalized import Normalized
from coldchain.document.schedule_rules import KINDS

_NAIVE = re.compile(r"\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2})?([.,]\d+)?)?")
_TRACES = {"result", "time_started", "time_ended"}  # of a run
_DATES_OF_ACTIONS = ("restore_from_date", "remove_before_date")
_ACTION = "$.job_actions[{}].freezer_action"


def keep_meaning(modern: Normalized) -> list[Problem]:
    """Write out what Freezer takes for granted and we do not; what cannot be kept is noted."""
    notes: list[Problem] = []
    document = modern.document
    client = document.pop("client_id", None)
    if client:
        notes.append(Problem("$.client_id", f"was for client {client}", "declare it for that host"))
    schedule = document.get("job_schedule")
    if isinstance(schedule, dict):
        notes += _keep_dates(schedule)
    defaults = document.get("action_defaults")
    defaults = defaults if isinstance(defaults, dict) else {}
    notes += _in_utc(defaults, _DATES_OF_ACTIONS, "$.action_defaults")
    for number, options in actions_of(document):
        unset = modern.unset.get(number, set())
        filled = {name: value for name, value in defaults.items() if name not in unset}
        notes += _keep_options(options, filled, _ACTION.format(number))
    return notes


def _in_utc(values: dict[str, Any], names: Sequence[str], place: str) -> list[Problem]:
    """Let instants without a zone be what they are to Freezer."""
    notes = []
    for name in names:
        text = values.get(name)
        if isinstance(text, str) and _NAIVE.fullmatch(text.strip()):
            day = len(text.strip()) == len("2026-01-01")
            values[name] = f"{text.strip()}{'T00:00:00' if day else ''}Z"
            notes.append(
                Problem(
                    f"{place}.{name}",
                    "Freezer reads it in UTC, so a Z was added",
                    "leave the Z out where local time was meant",
                )
            )
    return notes


def _keep_dates(schedule: dict[str, Any]) -> list[Problem]:
    has_time = any(name in schedule for name in (*KINDS, *CRON_FIELDS))
    if not has_time and not stopped(schedule) and facts_of(schedule).keys() & _TRACES:
        return [
            Problem(
                "$.job_schedule",
                "has no time, and the job has run already: declared as it is, it runs once more",
                'write "status": "stop" where that is not wanted',
            )
        ]
    notes = _in_utc(schedule, ("schedule_start_date", "schedule_end_date"), "$.job_schedule")
    if schedule.get("schedule_interval") and schedule.get("schedule_start_date"):
        notes.append(
            Problem(
                "$.job_schedule.schedule_interval",
                "Freezer counts from the scheduler's start when the start date is past;"
                " here the runs keep to the start date's own time",
            )
        )
    if "schedule_end_date" in schedule and "schedule_start_date" not in schedule:
        notes.append(
            Problem(
                "$.job_schedule.schedule_end_date",
                "counts here, while Freezer passes it over where there is no start date",
                "leave it out where the job is to go on",
            )
        )
    return notes


def _keep_command(
    options: dict[str, Any], defaults: Mapping[str, Any], place: str
) -> list[Problem]:
    """A command with signs of a shell goes to one: Freezer hands them over as arguments."""
    command = options.get("command", defaults.get("command"))
    if not isinstance(command, str):
        return []
    try:
        split_pipeline(command)
    except CommandTextError as error:
        options["shell"] = True
        return [
            Problem(
                f"{place}.shell",
                f"the command {error.message}, so it is given to one",
                "Freezer has passed it on as an argument; write a list where that was meant",
            )
        ]
    return []


def _keep_options(
    options: dict[str, Any], defaults: Mapping[str, Any], place: str
) -> list[Problem]:
    notes = []
    given = {**defaults, **options}
    if given.get("action") != "exec" and "storage" not in given:
        options["storage"] = "swift"
        notes.append(
            Problem(
                f"{place}.storage",
                "Freezer's default is swift, and so it is written out",
                "write local for this host's own disk; Swift's credentials go to credentials_file",
            )
        )
    if given.get("action") == "exec" and not given.get("shell"):
        notes += _keep_command(options, defaults, place)
    if "encrypt_pass_file" in given and "encrypt_scheme" not in given:
        options["encrypt_scheme"] = "freezer"
        notes.append(
            Problem(
                f"{place}.encrypt_scheme",
                "what Freezer has encrypted can be continued and read with scheme freezer only",
                "strong protects new chains against changes, too",
            )
        )
    return notes + _in_utc(options, _DATES_OF_ACTIONS, place)


def actions_of(document: object) -> Iterator[tuple[int, dict[str, Any]]]:
    """Number and options of each freezer_action of a document, whatever else is in it."""
    actions = document.get("job_actions") if isinstance(document, dict) else None
    for number, action in enumerate(actions if isinstance(actions, list) else []):
        options = action.get("freezer_action") if isinstance(action, dict) else None
        if isinstance(options, dict):
            yield number, options

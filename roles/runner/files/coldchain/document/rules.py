# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a schema cannot say: which option needs which, what a text has to be, when a job runs.

The rules work on a document in today's spelling from which every place that the schema refused
has been taken out, so that one mistake is reported once and hides no other.
"""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Any

from coldchain.document import effects
from coldchain.document.canonical_form import LEVEL_OPTIONS, canonical_schedule, expanded, stopped
from coldchain.document.fields import CRON_FIELDS, FORMS, LEVELS, Field
from coldchain.document.places import Place, json_path, shown
from coldchain.document.spelling import Modern
from coldchain.errors import DataError, Problem
from coldchain.instants import parse_duration, parse_instant
from coldchain.rates import parse_rate
from coldchain.schedule import ScheduleError, Trigger, build
from coldchain.storages import (
    DEFAULT_CONTAINER,
    FIELDS,
    LOCAL,
    STORAGES,
    check_credentials_file,
    container_of,
)

NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
LONGEST_WAIT = 31_536_000  # seconds
LONGEST_DURATION = 3_155_760_000  # seconds in a century: still inside what timedelta can add

_PROJECT_CLIENT = re.compile(r"[0-9a-fA-F]{32}_(.+)", re.DOTALL)
_SECRET = re.compile(r"PASSW|SECRET|TOKEN|(?<![A-Z])KEY(?![A-Z])|CREDENTIAL", re.IGNORECASE)
_DIGITS = re.compile(r"[0-9]+")
_WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_WEEKDAY_NUMBER = re.compile(r"(?<![0-9a-z/])[0-6](?![0-9a-z])")
_KINDS = ("schedule_date", "schedule_interval")
_SERIES = ("storage", "container", "hostname", "backup_name", *FIELDS)


@dataclass(frozen=True)
class Context:
    """What a document is checked against.

    client_id: the host's own, None when any client will do; zone: of naive dates; now: aware;
    allow_exec: whether the host runs exec actions; last_duration: seconds that the last run of
    the job with this id took, None when there was none; anchor: what (job_id, canonical schedule)
    counts from when the job is declared with that schedule already, None when it is not, so that
    it counts from now.
    """

    client_id: str | None
    zone: tzinfo
    now: datetime
    allow_exec: bool = True
    last_duration: Callable[[str], float | None] = lambda job_id: None
    anchor: Callable[[str, Mapping[str, Any]], datetime | None] = lambda job_id, schedule: None


@dataclass
class Findings:
    """bad: the places that the schema has refused and that are gone from the document."""

    errors: list[Problem]
    warnings: list[Problem]
    bad: Collection[Place]

    def error(self, place: Place, message: str, hint: str = "") -> None:
        self.errors.append(Problem(json_path(place), message, hint))

    def warn(self, place: Place, message: str, hint: str = "") -> None:
        self.warnings.append(Problem(json_path(place), message, hint))


def apply_rules(modern: Modern, context: Context, findings: Findings) -> None:
    """Add what is wrong with ``modern.document`` (an object) to *findings*."""
    document = modern.document
    for place, each, value in _texts(document, "job", ()):
        _form(each, value, place, context, findings)
    _client(document, context, findings)
    if isinstance(document.get("job_actions"), list):
        _actions(modern, context, findings)
    schedule = document.get("job_schedule", {})
    _wanted(schedule, findings)
    _schedule(document, canonical_schedule(schedule), context, findings)


def _texts(value: object, level: str, place: Place) -> Iterator[tuple[Place, Field, Any]]:
    """(place, field, value) of every given field at this level and below."""
    if not isinstance(value, dict):
        return
    for each in LEVELS[level]:
        if each.name not in value:
            continue
        here, item = (*place, each.name), value[each.name]
        if each.elements == "dict":
            for number, element in enumerate(item):
                yield from _texts(element, each.fields, (*here, number))
        elif each.fields:
            yield from _texts(item, each.fields, here)
        else:
            yield here, each, item


def _form(each: Field, value: Any, place: Place, context: Context, findings: Findings) -> None:
    if each.form == "name":
        if not NAME.fullmatch(value):
            findings.error(place, f"{shown(value)} is no name", f"write {FORMS['name']}")
    elif each.form == "duration" and place[0] != "job_schedule":
        _duration(each, value, place, findings)
    elif each.form == "rate":
        try:
            parse_rate(value)
        except ValueError as error:
            findings.error(place, str(error), "leave it out for no limit")
    elif each.form == "path":
        if not value.startswith(("/", "~")):
            findings.error(place, f"{shown(value)} is no absolute path", "start it with /")
    elif each.form == "instant" and place[0] != "job_schedule":
        try:
            parse_instant(value, context.zone)
        except ValueError as error:
            findings.error(place, str(error), f"write {FORMS['instant']}")
    elif each.elements == "str" or (each.form == "texts" and isinstance(value, list)):
        for number, text in enumerate(value):
            if text == "" and each.name != "command":
                findings.error((*place, number), "is empty", "leave it out")
    elif each.name in ("backup_name", "hostname"):
        first, *rest = value.split("/")
        if {first, *rest} & {"", ".", ".."} or any(_DIGITS.fullmatch(part) for part in rest):
            findings.error(
                place,
                f"{shown(value)} cannot name a directory of a container",
                "write it without .. and without empty or numeric parts between slashes",
            )
    elif each.name == "container" and ".." in value.split("/"):
        findings.error(place, f"{shown(value)} leads out of its directory", "write it without ..")
    elif each.name == "environment":
        _environment(value, place, findings)


def _duration(each: Field, value: Any, place: Place, findings: Findings) -> None:
    try:
        seconds = parse_duration(value)
    except ValueError:
        findings.error(place, f"{shown(value)} is no duration", 'write it as "30 minutes"')
        return
    if seconds > LONGEST_DURATION:
        findings.error(place, f"{shown(value)} is more than a century", "write a shorter one")
    elif seconds == 0 and each.name in ("timeout", "max_duration"):
        findings.error(place, "leaves no time at all", "leave it out for no limit")


def _environment(value: Mapping[str, str], place: Place, findings: Findings) -> None:
    for name in value:
        if name == "" or "=" in name:
            findings.error((*place, name), "is no name of a variable", 'write it without "="')
        elif _SECRET.search(name):
            findings.warn(
                (*place, name),
                "a secret in a job document can be read by whoever reads the document",
                "let the command read it from a file",
            )


def _client(document: Mapping[str, Any], context: Context, findings: Findings) -> None:
    client = document.get("client_id")
    if client is None or context.client_id is None or client == context.client_id:
        return
    project = _PROJECT_CLIENT.fullmatch(client)
    if project is None or project[1] != context.client_id:
        findings.error(
            ("client_id",),
            f"the document is for {shown(client)}, this host is {shown(context.client_id)}",
            "leave client_id out, or set client_id in the host's settings",
        )


def _actions(modern: Modern, context: Context, findings: Findings) -> None:
    actions = modern.document["job_actions"]
    if not actions:
        findings.error(("job_actions",), "a job needs at least one action")
    writers: dict[tuple[Any, ...], int] = {}
    for number, options in enumerate(expanded(modern)):
        action, place = actions[number], ("job_actions", number, "freezer_action")
        if not isinstance(action, dict) or "freezer_action" not in action:
            continue
        if "action" not in action["freezer_action"] and "action" not in modern.document.get(
            "action_defaults", {}
        ):
            if _refused((*place, "action"), findings):
                continue
            findings.warn((*place, "action"), "is missing; a backup is meant", 'write "backup"')
        _options(options, place, context, findings)
        _waits(action, ("job_actions", number), findings)
        if not _any_bad(place[:2], findings) and not _any_bad(("action_defaults",), findings):
            for idle in effects.of_retries(action, place[:2]):
                findings.warn(*idle)
            for idle in effects.of_options(action["freezer_action"], options, place):
                findings.warn(*idle)
        if options["action"] == "backup" and "path_to_backup" in options:
            series = tuple(options.get(key) for key in _SERIES)
            first = writers.setdefault(series, number)
            if first != number:
                findings.warn(
                    place,
                    f"writes the same backup as action {first}",
                    "give each its own backup_name",
                )


def _waits(action: Mapping[str, Any], place: Place, findings: Findings) -> None:
    """The waits between attempts grow by a factor: none may come to more than a year."""
    backoff, retries = action.get("retry_backoff", 1), action.get("max_retries", 0)
    interval = action.get("max_retries_interval", 60)
    if retries > 1 and interval and backoff > 1:
        longest = math.log(interval) + (retries - 1) * math.log(backoff)
        if longest > math.log(LONGEST_WAIT):
            findings.error(
                (*place, "retry_backoff"),
                f"{shown(backoff)} makes the last of {retries} waits longer than a year",
                "write a smaller retry_backoff or max_retries",
            )


def _refused(place: Place, findings: Findings) -> bool:
    return place in findings.bad or ("action_defaults", place[-1]) in findings.bad


def _options(
    options: Mapping[str, Any], place: Place, context: Context, findings: Findings
) -> None:
    kind = options["action"]

    def need(name: str, what: str, hint: str) -> None:
        if name not in options and not _refused((*place, name), findings):
            findings.error((*place, name), f"is missing; {what}", hint)

    if kind == "backup":
        need("path_to_backup", "a backup needs to know of what", "name a file or a directory")
    elif kind == "restore":
        need("restore_abs_path", "a restore needs a target", "name the directory to restore into")
        if options.get("consistency_check") is True:
            need("consistency_checksum", "a check needs it", "give the one of the backup")
        if "consistency_checksum" in options and "restore_paths" in options:
            findings.error(
                (*place, "restore_paths"),
                "and consistency_checksum exclude each other; the checksum covers the whole backup",
                "leave one out",
            )
    elif kind == "exec":
        _exec(options, place, context, findings)
        need("command", "exec needs to know what to run", "write a list of arguments")
    removal = [name for name in ("remove_older_than", "remove_before_date") if name in options]
    if len(removal) == 2:
        findings.error(
            (*place, removal[1]), f"and {removal[0]} exclude each other", "leave one out"
        )
    elif kind == "admin" and not removal:
        need(
            "remove_older_than",
            "nothing says what is to be removed",
            "write remove_older_than (days) or remove_before_date",
        )
    level = next((name for name in LEVEL_OPTIONS if name in options), None)
    if level is not None and options.get("incremental") is False:
        findings.error(
            (*place, "incremental"),
            f"is false, but {level} is for incremental backups",
            f"leave out incremental or {level}",
        )
    if kind != "exec":
        _storage(options, place, findings)
    if "encrypt_scheme" in options:
        need("encrypt_pass_file", "encrypt_scheme needs it", "name the file with the password")


def _storage(options: Mapping[str, Any], place: Place, findings: Findings) -> None:
    storage = options.get("storage", LOCAL)
    if _refused((*place, "storage"), findings):
        return
    kind = STORAGES[storage]
    for name in kind.needs:
        known = name in options or "credentials_file" in options
        if not known and not _refused((*place, name), findings):
            findings.error((*place, name), f"is missing; storage {storage} needs it", f"add {name}")
    container = options.get("container", DEFAULT_CONTAINER)
    if storage != LOCAL and ".." not in container.split("/"):
        with _reported((*place, "container"), findings):
            container_of(storage, container)
    if "credentials_file" in options:
        with _reported((*place, "credentials_file"), findings):
            check_credentials_file(options["credentials_file"])


@contextmanager
def _reported(place: Place, findings: Findings) -> Iterator[None]:
    """Turn the agent's own complaint about one option into a finding at *place*."""
    try:
        yield
    except DataError as error:
        findings.error(place, error.message.partition(": ")[2], error.hint)


def _exec(options: Mapping[str, Any], place: Place, context: Context, findings: Findings) -> None:
    command = options.get("command")
    if not context.allow_exec:
        findings.error(
            (*place, "action"),
            "exec is switched off on this host",
            "set allow_exec = yes in the host's settings",
        )
    if isinstance(command, list):
        if options.get("shell") is True:
            findings.error((*place, "command"), "is a list; a shell takes one text", "write a text")
    elif isinstance(command, str):
        try:
            words = [command] if options.get("shell") is True else shlex.split(command)
        except ValueError as error:
            findings.error(
                (*place, "command"),
                f"cannot be split into words: {error}",
                "close the quotes, or write a list of arguments",
            )
            return
        if not "".join(words).strip():
            findings.error((*place, "command"), "is blank", "name the program to run")


def _wanted(schedule: Mapping[str, Any], findings: Findings) -> None:
    for name, word in (("event", "remove"), ("status", "removed")):
        if schedule.get(name) == word:
            findings.error(
                ("job_schedule", name),
                f'"{word}" cannot be declared',
                "leave the job out and apply with --purge, or give it state: absent",
            )


def _schedule(
    document: Mapping[str, Any], schedule: Mapping[str, Any], context: Context, findings: Findings
) -> None:
    given = [name for name in (*_KINDS, *CRON_FIELDS) if name in schedule]
    if len({name if name in _KINDS else "cron" for name in given}) > 1:
        findings.warn(
            ("job_schedule",),
            f"holds several kinds of schedule; only {given[0]} counts",
            f"leave out {', '.join(given[1:])}",
        )
    _weekday_numbers(schedule, findings)
    before = len(findings.errors)
    trigger = _trigger(document, schedule, context, findings)
    if trigger is None or before != len(findings.errors) or _any_bad(("job_schedule",), findings):
        return
    for idle in effects.of_schedule(schedule, trigger.kind):
        findings.warn(*idle)
    place = ("job_schedule", *given[:1])
    ends = given and not stopped(document.get("job_schedule", {}))
    if ends and trigger.next(context.now) is None:
        findings.warn(place, "lies in the past; the job will not run", "write a later date")
    last = context.last_duration(str(document.get("job_id")))
    if trigger.kind == "interval" and last is not None:
        period = parse_duration(str(schedule["schedule_interval"]))
        if period < last:
            findings.warn(
                place,
                f"is shorter than the last run, which took {round(last)} seconds",
                "write a longer interval; a job never overlaps itself",
            )


def _trigger(
    document: Mapping[str, Any], schedule: Mapping[str, Any], context: Context, findings: Findings
) -> Trigger | None:
    key = f"{context.client_id or document.get('client_id', '')}/{document.get('job_id', '')}"
    created = context.anchor(str(document.get("job_id", "")), schedule) or context.now
    try:
        return build(schedule, zone=context.zone, created=created, key=key)
    except ScheduleError as error:
        known = {problem.path for problem in findings.errors}
        for problem in error.problems():
            path = f"$.job_schedule.{problem.path}" if problem.path else "$.job_schedule"
            if path in known:
                continue  # the schema has refused it already
            findings.errors.append(Problem(path, problem.message, problem.hint))
        return None


def _any_bad(within: Place, findings: Findings) -> bool:
    return any(place[: len(within)] == within for place in findings.bad)


def _weekday_numbers(schedule: Mapping[str, Any], findings: Findings) -> None:
    place: Place = ("job_schedule", "schedule_day_of_week")
    fields: list[tuple[Place, Any]] = [(place, schedule.get("schedule_day_of_week"))]
    for number, window in enumerate(schedule.get("blackout", [])):
        place = ("job_schedule", "blackout", number, "day_of_week")
        fields.append((place, window.get("day_of_week")))
    for place, text in fields:
        if isinstance(text, str) and _WEEKDAY_NUMBER.search(text):
            named = _WEEKDAY_NUMBER.sub(lambda match: _WEEKDAYS[int(match[0])], text)
            findings.warn(place, "0 is Monday here, not Sunday as in cron", f'write "{named}"')

# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a schema cannot say: which option needs which, what a text has to be, when a job runs.

The rules work on a document in today's spelling from which every place that the schema refused
has been taken out, so that one mistake is reported once and hides no other.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, tzinfo
from typing import Any

from coldchain.core.command_text import CommandTextError, split_pipeline
from coldchain.core.errors import DataError, Problem
from coldchain.core.instants import parse_duration, parse_instant
from coldchain.core.rates import parse_rate
from coldchain.document import lint
from coldchain.document.canonical_form import LEVEL_OPTIONS, canonical_schedule, expanded, stopped
from coldchain.document.fields import CRON_FIELDS, FORMATS, LEVELS, Field
from coldchain.document.json_path import Place, json_path, shown
from coldchain.document.masking import HIDDEN, holds_mask
from coldchain.document.mistakes import hint_for_time, is_bare_number
from coldchain.document.normalize import Normalized
from coldchain.document.notify_rules import faults, url_fault
from coldchain.document.vocabulary import Vocabulary
from coldchain.schedule import ScheduleError, Trigger, build
from coldchain.schedule.describe import duration as format_duration
from coldchain.schedule.gaps import shortest_gap

NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
LONGEST_WAIT = 31_536_000  # seconds
LONGEST_DURATION = 3_155_760_000  # seconds in a century: still inside what timedelta can add

_PROJECT_CLIENT = re.compile(r"[0-9a-fA-F]{32}_(.+)", re.DOTALL)
_SECRET = re.compile(r"PASSW|SECRET|TOKEN|(?<![A-Z])KEY(?![A-Z])|CREDENTIAL", re.IGNORECASE)
_DIGITS = re.compile(r"[0-9]+")
_WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_WEEKDAY_NUMBER = re.compile(r"(?<![0-9a-z/])[0-6](?![0-9a-z])")
_KINDS = ("schedule_date", "schedule_interval", "schedule_boot")
_SERIES = ("storage", "container", "hostname", "backup_name")

_ENDS = {"schedule_date", "schedule_end_date"}


@dataclass(frozen=True)
class Context:
    """What a document is checked against.

    client_id: the host's own, None when any client will do; zone: of naive dates; now: aware;
    vocabulary: the names that documents may use;
    allow_exec: whether the host runs exec actions; last_duration: seconds that the last run of
    the job with this id took, None when there was none; anchor: what (job_id, canonical schedule)
    counts from when the job is declared with that schedule already, None when it is not, so that
    it counts from now; job_id: the name of a document that has none, "" when it has to have one;
    declares: the document becomes a job of the host, which an action does under its name only;
    variables: names of those that are set where the actions will run; foresee: tells of a job_id
    and its document, which has a schedule that ends, whether the runner will run it, None where no
    runner is known.
    """

    client_id: str | None
    zone: tzinfo
    now: datetime
    vocabulary: Vocabulary
    allow_exec: bool = True
    last_duration: Callable[[str], float | None] = lambda job_id: None
    anchor: Callable[[str, Mapping[str, Any]], datetime | None] = lambda job_id, schedule: None
    job_id: str = ""
    declares: bool = False
    variables: Collection[str] = ()
    foresee: Callable[[str, Mapping[str, Any]], bool] | None = None

    def will_run(self, job_id: str, document: Mapping[str, Any], trigger: Trigger) -> bool:
        """Whether the document leads to a run, once it is declared."""
        coming = trigger.next(self.now) is not None
        # What has no end runs: to foresee that of a thousand documents takes a fifth of the time.
        endless = not _ENDS & document.get("job_schedule", {}).keys()
        if self.foresee is None or (coming and endless):
            return coming
        return self.foresee(job_id, document)

    def for_a_run(self, job_id: str, variables: Collection[str]) -> Context:
        """The same for a document that is run here and now (see job_id, variables)."""
        return replace(self, job_id=job_id, variables=frozenset(variables))


@dataclass
class Findings:
    """bad: the places that the schema has refused and that are gone from the document."""

    errors: list[Problem]
    warnings: list[Problem]
    bad: Collection[Place]

    def error(self, place: Place, message: str, hint: str = "") -> None:
        """Add an error at *place*; hint: what to write instead."""
        self.errors.append(Problem(json_path(place), message, hint))

    def warn(self, place: Place, message: str, hint: str = "") -> None:
        """Add a warning about *place*; hint: what to write instead."""
        self.warnings.append(Problem(json_path(place), message, hint))


def apply_rules(modern: Normalized, context: Context, findings: Findings) -> None:
    """Add what is wrong with ``modern.document`` (an object) to *findings*."""
    document = modern.document
    for place, field, value in _walk_scalars(document, "job", ()):
        _check_format(field, value, place, context, findings)
        _check_masks(field, value, place, findings)
    for number, entry in enumerate(document.get("notify", [])):
        for fault in faults(entry, context.vocabulary, allow_exec=context.allow_exec):
            place = ("notify", number, fault.field)
            if place not in findings.bad:
                report = findings.error if fault.refused else findings.warn
                report(place, fault.message, fault.hint)
    if document.get("session_tag"):  # 0 is what Freezer's API has of a job without session
        findings.warn(
            ("session_tag",),
            "is left out: it is a run's, and each run here gets its slot in seconds since 1970",
            "coldchain history --session ID shows the tags",
        )
    _check_client(document, context, findings)
    if isinstance(document.get("job_actions"), list):
        _check_actions(modern, context, findings)
    schedule = document.get("job_schedule", {})
    _check_status(schedule, findings)
    _check_emptiness(modern, schedule, findings)
    _check_schedule(document, canonical_schedule(schedule), context, findings)


def _walk_scalars(value: object, level: str, place: Place) -> Iterator[tuple[Place, Field, Any]]:
    """(place, field, value) of every given field at this level and below."""
    if not isinstance(value, dict):
        return
    for field in LEVELS[level]:
        if field.name not in value:
            continue
        here, item = (*place, field.name), value[field.name]
        if field.elements == "dict":
            for number, element in enumerate(item):
                yield from _walk_scalars(element, field.nested, (*here, number))
        elif field.nested:
            yield from _walk_scalars(item, field.nested, here)
        else:
            yield here, field, item


def _check_format(
    field: Field, value: Any, place: Place, context: Context, findings: Findings
) -> None:
    if field.format == "name":
        if not NAME.fullmatch(value):
            findings.error(place, f"{shown(value)} is no name", f"write {FORMATS['name']}")
    elif field.format == "duration" and place[0] != "job_schedule":
        _check_duration(field, value, place, findings)
    elif field.format == "rate":
        try:
            parse_rate(value)
        except ValueError as error:
            findings.error(place, str(error), "leave it out for no limit")
    elif field.format == "path":
        if not value.startswith(("/", "~")):
            findings.error(place, f"{shown(value)} is no absolute path", "start it with /")
    elif field.format == "url":
        message, hint = url_fault(value)
        if message:
            findings.error(place, message, hint)
    elif field.format == "instant" and place[0] != "job_schedule":
        try:
            parse_instant(value, context.zone)
        except ValueError as error:
            findings.error(place, str(error), f"write {FORMATS['instant']}")
    elif isinstance(value, list):
        for number, text in enumerate(value):
            if text == "" and field.name != "command":
                findings.error((*place, number), "is empty", "leave it out")
    elif field.name in ("backup_name", "hostname"):
        first, *rest = value.split("/")
        if {first, *rest} & {"", ".", ".."} or any(_DIGITS.fullmatch(part) for part in rest):
            findings.error(
                place,
                f"{shown(value)} cannot name a directory of a container",
                "write it without .. and without empty or numeric parts between slashes",
            )
    elif field.name == "container" and ".." in value.split("/"):
        findings.error(place, f"{shown(value)} leads out of its directory", "write it without ..")
    elif field.name == "environment":
        _check_environment(value, place, findings)


def _check_masks(field: Field, value: Any, place: Place, findings: Findings) -> None:
    """A document that was shown to somebody may lack its secrets."""
    texts = list(value.values()) if isinstance(value, dict) else value
    texts = texts if isinstance(texts, list) else [texts]
    if any(isinstance(text, str) and holds_mask(text, field.name) for text in texts):
        findings.error(
            place,
            f"{HIDDEN} stands for a secret that was not shown",
            "write the value; coldchain show --show-secrets prints it",
        )


def _check_duration(field: Field, value: Any, place: Place, findings: Findings) -> None:
    try:
        seconds = parse_duration(value)
    except ValueError:
        findings.error(place, f"{shown(value)} is no duration", 'write it as "30 minutes"')
        return
    if seconds > LONGEST_DURATION:
        findings.error(place, f"{shown(value)} is more than a century", "write a shorter one")
    elif seconds == 0 and field.name in ("timeout", "max_duration", "expect_success_within"):
        findings.error(place, "leaves no time at all", "leave it out, or write a longer one")


def _check_environment(value: Mapping[str, str], place: Place, findings: Findings) -> None:
    for name in value:
        if name == "" or "=" in name:
            findings.error((*place, name), "is no name of a variable", 'write it without "="')
        elif _SECRET.search(name):
            findings.warn(
                (*place, name),
                "a secret in a job document can be read by whoever reads the document",
                "let the command read it from a file",
            )


def _check_client(document: Mapping[str, Any], context: Context, findings: Findings) -> None:
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


def _check_actions(modern: Normalized, context: Context, findings: Findings) -> None:
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
        _check_options(options, place, context, findings)
        _check_backoff(action, ("job_actions", number), findings)
        if not _any_bad(place[:2], findings) and not _any_bad(("action_defaults",), findings):
            for idle in lint.of_retries(action, place[:2]):
                findings.warn(*idle)
            for idle in lint.of_options(
                action["freezer_action"], options, place, context.vocabulary
            ):
                findings.warn(*idle)
        if options["action"] == "backup" and "path_to_backup" in options:
            series = tuple(
                options.get(key) for key in (*_SERIES, *context.vocabulary.storage_fields)
            )
            first = writers.setdefault(series, number)
            if first != number:
                findings.warn(
                    place,
                    f"writes the same backup as action {first}",
                    "give each its own backup_name",
                )


def _check_backoff(action: Mapping[str, Any], place: Place, findings: Findings) -> None:
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


def _check_options(
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
        _check_exec(options, place, context, findings)
        need("command", "exec needs to know what to run", "write a list of arguments")
    removal = [name for name in ("remove_older_than", "remove_before_date") if name in options]
    if len(removal) == 2:
        findings.error(
            (*place, removal[1]), f"and {removal[0]} exclude each other", "leave one out"
        )
    elif kind == "admin" and not removal and options.get("remove_ahead") is not True:
        need(
            "remove_older_than",
            "nothing says what is to be removed",
            "write remove_older_than (days), remove_before_date or remove_ahead",
        )
    level = next((name for name in LEVEL_OPTIONS if name in options), None)
    if level is not None and options.get("incremental") is False:
        findings.error(
            (*place, "incremental"),
            f"is false, but {level} is for incremental backups",
            f"leave out incremental or {level}",
        )
    if kind != "exec":
        _check_engine(options, place, context, findings)
        _check_storage(options, place, context, findings)
    for name in ("encrypt_scheme", "accept_unsealed"):
        if options.get(name):
            need("encrypt_pass_file", f"{name} needs it", "name the file with the password")


def _check_engine(
    options: Mapping[str, Any], place: Place, context: Context, findings: Findings
) -> None:
    words = context.vocabulary
    if not any(_refused((*place, name), findings) for name in ("engine_name", "mode")):
        with _reported((*place, "engine_name"), findings):
            words.check_engine(
                options.get("engine_name", words.engines[0]), options.get("mode", words.modes[0])
            )


def _check_storage(
    options: Mapping[str, Any], place: Place, context: Context, findings: Findings
) -> None:
    words = context.vocabulary
    storage = options.get("storage", words.default_storage)
    if _refused((*place, "storage"), findings):
        return
    for name in words.storages[storage].required:
        provided = name in options or "credentials_file" in options
        provided = provided or name.upper() in context.variables
        if not provided and not _refused((*place, name), findings):
            findings.error((*place, name), f"is missing; storage {storage} needs it", f"add {name}")
    container = options.get("container", words.default_container)
    if ".." not in container.split("/"):
        with _reported((*place, "container"), findings):
            words.check_container(storage, container)
    if "credentials_file" in options:
        with _reported((*place, "credentials_file"), findings):
            words.check_credentials_file(options["credentials_file"])


@contextmanager
def _reported(place: Place, findings: Findings) -> Iterator[None]:
    """Turn the agent's own complaint about one option into a finding at *place*."""
    try:
        yield
    except DataError as error:
        findings.error(place, error.message.partition(": ")[2], error.hint)


def _check_exec(
    options: Mapping[str, Any], place: Place, context: Context, findings: Findings
) -> None:
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
        elif command and isinstance(command[0], str) and not command[0].strip():
            findings.error((*place, "command"), "has a blank name", "name the program to run")
    elif isinstance(command, str):
        if options.get("shell") is True:
            if not command.strip():
                findings.error((*place, "command"), "is blank", "name the program to run")
            return
        try:
            stages = split_pipeline(command)
        except CommandTextError as error:
            findings.error((*place, "command"), error.message, error.hint)
            return
        if not all(stage[0].strip() for stage in stages):
            findings.error((*place, "command"), "has a blank name", "name the program to run")


def _check_status(schedule: Mapping[str, Any], findings: Findings) -> None:
    for name, word in (("event", "remove"), ("status", "removed")):
        if schedule.get(name) == word:
            findings.error(
                ("job_schedule", name),
                f'"{word}" cannot be declared',
                "leave the job out and apply with --purge, or give it state: absent",
            )
    event = schedule.get("event")
    if event == "start" and schedule.get("status") == "stop":
        findings.warn(
            ("job_schedule", "event"),
            'is dropped, and the "stop" that it was to end with it: the job is scheduled',
            "leave out both, or the event alone to keep the job stopped",
        )
    elif event in ("start", "stop", "abort"):
        findings.warn(
            ("job_schedule", "event"),
            "is dropped: a document says how a job is, and asks for nothing",
            'declare "status": "stop", or ask for it: coldchain event JOB start|stop|abort',
        )


def _check_schedule(
    document: Mapping[str, Any], schedule: Mapping[str, Any], context: Context, findings: Findings
) -> None:
    kinds = [name for name in (*_KINDS, *CRON_FIELDS) if name in schedule]
    several = len({name if name in _KINDS else "cron" for name in kinds}) > 1
    if several and "schedule_boot" not in kinds:  # which is an error beside another kind
        findings.warn(
            ("job_schedule",),
            f"holds several kinds of schedule; only {kinds[0]} counts",
            f"leave out {', '.join(kinds[1:])}",
        )
    _weekday_numbers(schedule, findings)
    before = len(findings.errors)
    trigger = _build_trigger(document, schedule, context, findings)
    if trigger is None or before != len(findings.errors) or _any_bad(("job_schedule",), findings):
        return
    for idle in lint.of_schedule(schedule, trigger.kind):
        findings.warn(*idle)
    place = ("job_schedule", *kinds[:1])
    ends = kinds and trigger.kind != "boot" and not stopped(document.get("job_schedule", {}))
    if ends and not context.will_run(str(document.get("job_id", "")), document, trigger):
        end = schedule.get("schedule_end_date") if trigger.kind != "date" else None
        if end is not None and parse_instant(end, context.zone) <= context.now:
            place = ("job_schedule", "schedule_end_date")
        findings.warn(place, "lies in the past; the job will not run", "write a later date")
    _check_offset(document, schedule, trigger, context, findings)
    last = context.last_duration(str(document.get("job_id")))
    if trigger.kind == "interval" and last is not None:
        period = parse_duration(str(schedule["schedule_interval"]))
        if period < last:
            findings.warn(
                place,
                f"is shorter than the last run, which took {round(last)} seconds",
                "write a longer interval; a job never overlaps itself",
            )


def _check_offset(
    document: Mapping[str, Any],
    schedule: Mapping[str, Any],
    trigger: Trigger,
    context: Context,
    findings: Findings,
) -> None:
    """What places a job among those of other hosts: the same times there, and room for it."""
    counted = trigger.kind == "interval" and "schedule_start_date" in schedule
    if "slot" in document and trigger.kind != "cron" and not counted:
        findings.error(
            ("slot",),
            "hosts share the times of a calendar, and this schedule has none that come again",
            "write cron-like fields, or schedule_interval with a schedule_start_date",
        )
    elif "slot" in document and "schedule_offset" not in schedule:
        findings.warn(
            ("slot",),
            "has no effect: nothing has given the job its place in it",
            "declare it by the role coldchain.freezer.jobs with coldchain_slots, or write"
            " schedule_splay and schedule_offset",
        )
    if "schedule_offset" in schedule and trigger.kind in ("cron", "interval"):
        gap = shortest_gap(trigger, context.now)
        splay = parse_duration(str(schedule["schedule_splay"]))
        if gap is not None and gap < splay:
            findings.error(
                ("job_schedule", "schedule_splay"),
                f"is longer than the {format_duration(gap)} between two times of the schedule, so"
                " that an offset cannot be kept",
                "write a shorter one (within, in coldchain_slots), or fewer times",
            )


def _check_emptiness(modern: Normalized, schedule: Mapping[str, Any], findings: Findings) -> None:
    """Times that came out empty, of a template perhaps, and numbers that lost their unit."""
    place: Place = ("job_schedule",)
    if not any(name in schedule for name in (*_KINDS, *CRON_FIELDS)):
        once = "the job runs once, at once, and never again"
        empty = [name for name in (*_KINDS, *CRON_FIELDS) if name in modern.empty_times]
        if empty:
            what = "is not set" if empty[0] == "schedule_boot" else "is empty"
            findings.warn((*place, empty[0]), f"{what}: {once}", "leave it out if that is meant")
        elif "schedule_time" in schedule:
            findings.warn(
                (*place, "schedule_time"),
                f"tells when the last run was due, not when the job runs: {once}",
                hint_for_time("schedule_time", schedule["schedule_time"]),
            )
    interval = schedule.get("schedule_interval")
    if is_bare_number(interval):
        number = str(interval).strip()
        findings.warn(
            (*place, "schedule_interval"),
            "is a number of seconds",
            f'write "{number} seconds", or the unit that is meant',
        )


def _build_trigger(
    document: Mapping[str, Any], schedule: Mapping[str, Any], context: Context, findings: Findings
) -> Trigger | None:
    key = f"{context.client_id or document.get('client_id', '')}/{document.get('job_id', '')}"
    created = context.anchor(str(document.get("job_id", "")), schedule) or context.now
    try:
        return build(schedule, zone=context.zone, created=created, key=key)
    except ScheduleError as error:
        refused = {problem.path for problem in findings.errors}
        for problem in error.problems():
            path = f"$.job_schedule.{problem.path}" if problem.path else "$.job_schedule"
            if path in refused:
                continue  # the schema has refused it already
            meant = hint_for_time(problem.path, schedule.get(problem.path))
            findings.errors.append(Problem(path, problem.message, meant or problem.hint))
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

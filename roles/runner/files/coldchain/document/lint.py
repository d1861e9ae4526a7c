# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a document may say although nothing comes of it: whoever wrote it expects something."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from coldchain.document.canonical_form import LEVEL_OPTIONS
from coldchain.document.fields import LEVELS
from coldchain.document.freezer_options import says_nothing
from coldchain.document.json_path import Place, shown
from coldchain.document.vocabulary import Vocabulary

Idle = tuple[Place, str, str]
"""(place, message, hint) of a setting without effect."""

_RUNS = {
    "once": "a job that runs once",
    "date": "a job that runs once",
    "interval": "an interval",
    "continuous": "a continuous job",
    "cron": "cron-like fields",
    "boot": "a job that runs after each boot",
}
_DEFAULTS = {field.name: field.default for field in LEVELS["freezer_action"]}
# Horizon's form asks for '*.log, *.pyc'; neither Freezer nor tar takes that apart.
_SEVERAL = re.compile(r",\s*[*./]|\n")
_EXEC = frozenset({"action", "command", "environment", "working_directory", "user", "shell"})
_REMOVE = ("backup", "restore", "admin")
_BACKUP = """
path_to_backup incremental max_level always_level restart_always_level compression exclude
dereference_symlink sync on_read_error
"""
_RESTORE = (
    "restore_abs_path restore_from_date restore_paths overwrite trust_target accept_unsealed"
    " numeric_owner"
    " consistency_checksum"
)
# option -> the actions that heed it; every action but exec heeds the others
HEED: Mapping[str, Collection[str]] = {
    **dict.fromkeys(_BACKUP.split(), ("backup",)),
    **dict.fromkeys(_RESTORE.split(), ("restore",)),
    **dict.fromkeys(_EXEC - {"action"}, ("exec",)),
    **dict.fromkeys(("remove_older_than", "remove_before_date", "remove_ahead", "force"), _REMOVE),
    **dict.fromkeys(
        ("consistency_check", "encrypt_pass_file", "encrypt_scheme"), ("backup", "restore")
    ),
}


def of_schedule(schedule: Mapping[str, Any], kind: str) -> Iterator[Idle]:
    """*kind*: that of the schedule's trigger (see ``Trigger``)."""

    def idle(name: str, hint: str) -> Iterator[Idle]:
        if name in schedule:
            yield ("job_schedule", name), f"has no effect on {_RUNS[kind]}", hint

    if kind in ("once", "date", "boot"):
        for name in ("schedule_start_date", "schedule_end_date"):
            yield from idle(
                name, "write schedule_date for the instant, or an interval, or cron-like fields"
            )
    if kind != "cron":
        yield from idle("dst", "leave it out: it decides about times of day in cron-like fields")
    if kind == "once":
        yield from idle("missed", "leave it out: the job runs as soon as it may")
    elif kind in ("continuous", "boot"):
        yield from idle("missed", "leave it out: there are no slots to miss")
    elif schedule.get("missed", {}).get("run") == "skip":
        for name in ("max_age", "not_after"):
            if name in schedule["missed"]:
                yield (
                    ("job_schedule", "missed", name),
                    "has no effect where nothing is made up for (run: skip)",
                    'leave it out, or write run: "once"',
                )


def of_retries(action: Mapping[str, Any], place: Place) -> Iterator[Idle]:
    """*action*: an element of job_actions."""
    retries = action.get("max_retries", 0)
    needs = {"max_retries_interval": 1, "retry_jitter": 1, "retry_backoff": 2}
    for name, least in needs.items():
        if action.get(name) and retries < least:
            few = "without max_retries" if retries == 0 else "on a single retry"
            yield (*place, name), f"has no effect {few}", f"write max_retries, or leave out {name}"


def of_options(
    own: Mapping[str, Any], options: Mapping[str, Any], place: Place, vocabulary: Vocabulary
) -> Iterator[Idle]:
    """The options of an action that nothing comes of.

    own: a freezer_action as written; options: with the job's action_defaults, which are for
    the actions that heed them.
    """
    kind = options["action"]
    for name, value in own.items():
        heeded = name in _EXEC if kind == "exec" else kind in HEED.get(name, (kind,))
        if not heeded and not _is_default(name, value):
            yield (*place, name), f"has no effect on the action {kind}", "leave it out"
    if kind == "exec" and options.get("dry_run") is True and "dry_run" not in own:
        where: Place = ("action_defaults", "dry_run")
        yield (
            where,
            "has no effect on the action exec: its command runs",
            "leave the action out as well",
        )
    if kind in _REMOVE and "force" in own and own["force"] is True and not _removes(options):
        yield (
            (*place, "force"),
            "has no effect where nothing is removed",
            "write remove_older_than or remove_before_date, or leave it out",
        )
    if kind == "backup":
        yield from _levels(options, place)
        yield from _patterns(own, options, place)
    if kind != "exec":
        yield from _foreign(
            own, options.get("storage", vocabulary.default_storage), place, vocabulary
        )


def _patterns(own: Mapping[str, Any], options: Mapping[str, Any], place: Place) -> Iterator[Idle]:
    """tar compares a pattern with ./a/b, and with what follows any slash in it."""
    patterns = options.get("exclude") or ()
    where: Place = (*(place if "exclude" in own else ("action_defaults",)), "exclude")
    for pattern in (patterns,) if isinstance(patterns, str) else patterns:
        if pattern.startswith("/") or pattern.endswith("/"):
            yield (
                where,
                f"{pattern!r} has no effect: it matches no name",
                "names are relative to path_to_backup and have no slash at their ends: ./cache",
            )
        elif _SEVERAL.search(pattern):
            yield (
                where,
                f"{pattern!r} is one pattern, for names that hold all of it",
                "write a list of patterns",
            )


def _foreign(
    own: Mapping[str, Any], storage: str, place: Place, vocabulary: Vocabulary
) -> Iterator[Idle]:
    """What another storage would read."""
    words = vocabulary.storages[storage]
    used = (*words.fields, *(("credentials_file",) if words.credentials else ()))
    for name in (*vocabulary.storage_fields, "credentials_file"):
        if name in own and name not in used and not _is_default(name, own[name]):
            yield (*place, name), f"has no effect with storage {storage}", "leave it out"


def _levels(options: Mapping[str, Any], place: Place) -> Iterator[Idle]:
    for name in ("max_level", "always_level", "restart_always_level"):
        if options.get(name) == 0:
            yield (
                (*place, name),
                "0 sets no limit: the chain never ends by it",
                "leave it out; incremental: false makes every backup a full one",
            )
    highest, always = options.get("max_level", 0), options.get("always_level", 0)
    if highest and always:
        idle, other = ("always_level", highest) if highest <= always else ("max_level", always)
        yield (
            (*place, idle),
            f"is never reached: a chain goes no further than level {shown(other)}",
            "leave out max_level or always_level",
        )


def _is_default(name: str, value: object) -> bool:
    """Whether Freezer's forms and API say this of every action."""
    unset_level = name in LEVEL_OPTIONS and value == 0
    return unset_level or says_nothing(name, value) or value == _DEFAULTS.get(name)


def _removes(options: Mapping[str, Any]) -> bool:
    bounds = ("remove_older_than", "remove_before_date")
    return options.get("remove_ahead") is True or any(name in options for name in bounds)

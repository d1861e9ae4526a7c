# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bad input: each mistake has its place, says what is wrong and what to write instead."""

from __future__ import annotations

import copy
from datetime import datetime, timezone
from typing import Any

import pytest

from coldchain.cli.vocabulary import vocabulary
from coldchain.core.errors import DataError, Problem
from coldchain.document import Context, canonical, check, imported_facts, lint
from coldchain.document.fields import LEVELS

NOW = datetime(2026, 11, 25, 1, 2, 3, tzinfo=timezone.utc)
CONTEXT = Context("host1", timezone.utc, NOW, vocabulary())
BACKUP = {"action": "backup", "path_to_backup": "/srv", "backup_name": "srv"}
SSH = {"storage": "ssh", "container": "/srv/b", "ssh_host": "nas", "ssh_username": "backup"}

RESTORE = {"action": "restore", "restore_abs_path": "/srv", "backup_name": "srv"}
EXEC = {"action": "exec", "command": ["true"]}


def job(action: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    return {"job_id": "x", "job_actions": [{"freezer_action": action or BACKUP}], **fields}


def timed(**schedule: Any) -> dict[str, Any]:
    return job(job_schedule=schedule)


def step(**fields: Any) -> dict[str, Any]:
    return job() | {"job_actions": [{"freezer_action": BACKUP, **fields}]}


A = "$.job_actions[0].freezer_action"
S = "$.job_schedule"

# document, path of the one error, words of its message, words of its hint
IN_SLOT = {"slot": "nightly"}
REFUSED = [
    ([], "$", "a list is no job document", "object"),
    ({"actions": []}, "$", "is a list of Freezer's actions and no job", "coldchain convert"),
    ({"sessions": [{}], "x": 1}, "$", "is a list of Freezer's sessions", "coldchain convert"),
    ({"clients": []}, "$", "is a list of Freezer's clients", "in the inventory"),
    ({"backups": []}, "$", "is a list of Freezer's backups", "coldchain backups"),
    (timed(schedule_hour=2, schedule_offset=60), f"{S}.schedule_offset", "is missing", "write a"),
    (
        timed(schedule_hour=2, schedule_offset=61, schedule_splay=60),
        f"{S}.schedule_offset",
        "is more than schedule_splay",
        "at least as long",
    ),
    (
        timed(
            schedule_hour="1,4",
            schedule_timezone="Europe/Berlin",
            schedule_offset=0,
            schedule_splay="3 hours",
        ),
        f"{S}.schedule_splay",
        "is longer than the 2 hours between two times",  # of the night when the clocks change
        "within, in coldchain_slots",
    ),
    (timed(schedule_interval="1 days") | IN_SLOT, "$.slot", "none that come again", "start_date"),
    (timed(schedule_interval="continuous") | IN_SLOT, "$.slot", "calendar", "cron-like"),
    (timed(schedule_date="2027-01-01") | IN_SLOT, "$.slot", "calendar", "cron-like"),
    (timed(schedule_boot=True) | IN_SLOT, "$.slot", "calendar", "cron-like"),
    (job(EXEC) | IN_SLOT, "$.slot", "calendar", "cron-like"),
    (timed(schedule_hour=2) | {"slot": "a b"}, "$.slot", "is no name", "letters"),
    (job(job_actions=[]), "$.job_actions", "at least one action", ""),
    ({"job_id": "x"}, "$.job_actions", "is missing", "at least one action"),
    (job({"action": "backup"}), f"{A}.path_to_backup", "is missing", "file or a directory"),
    (job({"action": "restore"}), f"{A}.restore_abs_path", "is missing", "directory"),
    (job({"action": "exec"}), f"{A}.command", "is missing", "list of arguments"),
    (job({"action": "admin"}), f"{A}.remove_older_than", "removed", "remove_before_date"),
    (job({**BACKUP, "encrypt_scheme": "strong"}), f"{A}.encrypt_pass_file", "is missing", "file"),
    (
        job({**BACKUP, "remove_older_than": 3, "remove_before_date": "2026-01-01"}),
        f"{A}.remove_before_date",
        "exclude each other",
        "leave one out",
    ),
    (
        job({"action": "restore", "restore_abs_path": "/x", "consistency_check": True}),
        f"{A}.consistency_checksum",
        "is missing",
        "of the backup",
    ),
    (
        job({**RESTORE, "consistency_checksum": "x", "restore_paths": ["a"]}),
        f"{A}.restore_paths",
        "exclude each other",
        "leave one out",
    ),
    (
        job({**BACKUP, "incremental": False, "max_level": 2}),
        f"{A}.incremental",
        "max_level",
        "leave",
    ),
    (
        job({**BACKUP, "path_to_backup": "srv"}),
        f"{A}.path_to_backup",
        "absolute",
        "start it with /",
    ),
    (job({**BACKUP, "backup_name": "a/../b"}), f"{A}.backup_name", "directory", "without .."),
    (job({**BACKUP, "container": "../x"}), f"{A}.container", "out of", "without .."),
    (job({**BACKUP, "storage": "tape"}), f"{A}.storage", "not supported", "supported: local, ssh"),
    (job({**BACKUP, **SSH, "ssh_host": None}), f"{A}.ssh_host", "is missing", "add ssh_host"),
    (job({**BACKUP, **SSH, "ssh_username": ""}), f"{A}.ssh_username", "storage ssh", "add"),
    (job({**BACKUP, **SSH, "ssh_port": 0}), f"{A}.ssh_port", "too small", "at least 1"),
    (job({**BACKUP, **SSH, "ssh_key": "id"}), f"{A}.ssh_key", "absolute", "start it with /"),
    (job({**BACKUP, **SSH, "ssh_password": "x"}), f"{A}.ssh_password", "secret", "SSH_PASSWORD="),
    (
        job({**BACKUP, **SSH, "ssh-password": "x"}),
        f"{A}.ssh-password",
        "secret",
        "credentials_file",
    ),
    (job({**BACKUP, "storage": "s3"}), f"{A}.endpoint", "storage s3 needs it", "add endpoint"),
    (job({**BACKUP, "secret_key": "x"}), f"{A}.secret_key", "secret", "SECRET_KEY="),
    (job({**BACKUP, "storage": "ftps", "ftp_host": "h"}), f"{A}.ftp_username", "missing", "add"),
    (job({**BACKUP, "storage": "swift", "container": "/"}), f"{A}.container", "nothing", "bucket"),
    (job({**BACKUP, "storage": "rclone"}), f"{A}.container", "name of a remote", "remote:path"),
    (
        job({**BACKUP, "storage": "rclone", "container": ":s3,secret_access_key=x:b"}),
        f"{A}.container",
        "name of a remote",
        "remote:path",
    ),
    (
        job({**BACKUP, **SSH, "credentials_file": "a/b"}),
        f"{A}.credentials_file",
        "neither an absolute path",
        "start a path with /",
    ),
    (job({**BACKUP, "mode": "mysql"}), f"{A}.mode", "not supported", "supported: fs"),
    (job({**BACKUP, "engine_name": "rsync"}), f"{A}.engine_name", "not supported", "tar"),
    (job({**BACKUP, "compression": "gz"}), f"{A}.compression", "not supported", "gzip"),
    (job({**BACKUP, "action": "bakup"}), f"{A}.action", "not supported", "did you mean backup?"),
    (job({**BACKUP, "snapshot": True}), f"{A}.snapshot", "not supported", "exec action"),
    (job({**BACKUP, "exlude": "x"}), f"{A}.exlude", "unknown", "did you mean exclude?"),
    (job({**BACKUP, "no_incremantal": True}), f"{A}.no_incremantal", "unknown", "no_incremental?"),
    (job({**RESTORE, "restore_paths": True}), f"{A}.restore_paths", "true is not a list", "a list"),
    (step(freezer_action="x"), A, '"x" is not an object', "write an object"),
    (step(freezer_action=None), A, "is missing", "say what to do"),
    (job({**BACKUP, "max_retries": 1}), f"{A}.max_retries", "unknown", "beside"),
    (job({**BACKUP, "schedule_hour": 1}), f"{A}.schedule_hour", "unknown", "into job_schedule"),
    (job({**BACKUP, "exclude": ["a", ""]}), f"{A}.exclude[1]", "empty", "leave it out"),
    (job({**BACKUP, "max_level": -1}), f"{A}.max_level", "too small", "at least 0"),
    (job({**BACKUP, "backup_name": True}), f"{A}.backup_name", "not text", 'as "true"'),
    (job({"action": "exec", "command": "a 'b"}), f"{A}.command", "without its end", "quotes"),
    (job({"action": "exec", "command": "  "}), f"{A}.command", "blank", "program"),
    (job({"action": "exec", "command": ["a"], "shell": True}), f"{A}.command", "list", "text"),
    (
        job({"action": "exec", "command": "a", "environment": {"A=B": "1"}}),
        f'{A}.environment["A=B"]',
        "no name of a variable",
        "=",
    ),
    (job(job_id="a/b"), "$.job_id", "no name", "letters"),
    (job(job_id=".."), "$.job_id", "no name", "letters"),
    (job(lock="a b"), "$.lock", "no name", "letters"),
    (job(client_id="other"), "$.client_id", "this host is", "client_id"),
    (job(max_duration="5 fortnights"), "$.max_duration", "no duration", "30 minutes"),
    (job(max_duration=0), "$.max_duration", "no time", "leave it out"),
    (step(max_retries=-1), "$.job_actions[0].max_retries", "too small", "at least 0"),
    (step(mandatory="maybe"), "$.job_actions[0].mandatory", "not true or false", "write"),
    (
        step(retry_backoff=1000, max_retries=9999),
        "$.job_actions[0].retry_backoff",
        "year",
        "smaller",
    ),
    (timed(schedule_minute=99), f"{S}.schedule_minute", "99", "0-59"),
    (timed(schedule_hour=[1, 3]), f"{S}.schedule_hour", "a list", '"1,3,5"'),
    (timed(schedule_date=[1]), f"{S}.schedule_date", "a list", "ISO 8601 date"),
    (timed(schedule_splay=[1]), f"{S}.schedule_splay", "a list", "a duration"),
    (timed(schedule_boot=[1]), f"{S}.schedule_boot", "a list", "true or false"),
    (timed(schedule_interval="5 fortnights"), f"{S}.schedule_interval", "fortnights", "weeks"),
    (timed(schedule_date="2026-13-01"), f"{S}.schedule_date", "month", "2026-11-24T02:30:00"),
    (timed(schedule_month=2, schedule_day=30), f"{S}.schedule_day", "never fires", "day"),
    (timed(schedule_hour=1, schedule_timezone="Mars"), f"{S}.schedule_timezone", "Mars", "Europe"),
    (timed(schedule_hour=1, dst={"gap": "x"}), f"{S}.dst.gap", "not supported", "shift"),
    (
        timed(schedule_hour=1, missed={"runs": "all"}),
        f"{S}.missed.runs",
        "unknown",
        "did you mean run?",
    ),
    (timed(blackout=[{"start": "08:00"}]), f"{S}.blackout[0].end", "missing", ""),
    (timed(status="removed"), f"{S}.status", "cannot be declared", "and purge"),
    (timed(event="remove"), f"{S}.event", "cannot be declared", "and purge"),
    (
        timed(
            schedule_interval="1 days",
            schedule_start_date="2027-01-02",
            schedule_end_date="2027-01-01",
        ),
        f"{S}.schedule_end_date",
        "before the start",
        "after",
    ),
]


@pytest.mark.parametrize(("raw", "path", "message", "hint"), REFUSED)
def test_refused_with_place_reason_and_remedy(raw: Any, path: str, message: str, hint: str) -> None:
    checked = check(raw, CONTEXT)
    assert [problem.path for problem in checked.errors] == [path]
    (problem,) = checked.errors
    assert message in problem.message
    assert hint in problem.hint
    assert checked.document is None


# document, path of the warning, words of it
WARNED = [
    (timed(schedule_day_of_week="0-4"), f"{S}.schedule_day_of_week", 'write "mon-fri"'),
    (
        timed(schedule_hour=1, blackout=[{"start": "2:00", "end": "3:00", "day_of_week": "6"}]),
        f"{S}.blackout[0].day_of_week",
        'write "sun"',
    ),
    (timed(schedule_date="2015-06-02T16:20:00"), f"{S}.schedule_date", "in the past"),
    (timed(schedule_year="2015"), f"{S}.schedule_year", "in the past"),
    (timed(schedule_hour=1, schedule_interval="1 days"), S, "only schedule_interval counts"),
    (timed(schedule_start_date="2027-01-01"), f"{S}.schedule_start_date", "schedule_date"),
    (timed(schedule_day="Mon, fri"), f"{S}.schedule_day", "schedule_day_of_week"),
    (timed(status="completed"), f"{S}.status", 'only "stop" stops a job'),
    (job({**BACKUP, "container": False}), f"{A}.container", "not set"),
    (job({**BACKUP, "ssh_host": "nas"}), f"{A}.ssh_host", "no effect with storage local"),
    (job({**BACKUP, "credentials_file": "/x"}), f"{A}.credentials_file", "no effect"),
    (
        job({**BACKUP, **SSH, "endpoint": "https://x"}),
        f"{A}.endpoint",
        "no effect with storage ssh",
    ),
    (job({**BACKUP, "exclude": ["/var/cache", "x"]}), f"{A}.exclude", "relative to path_to_backup"),
    (job({**BACKUP, "exclude": "cache/"}), f"{A}.exclude", "relative to path_to_backup"),
    (job({**BACKUP, "sync": "no"}), f"{A}.sync", "write false without quotes"),
    (job({**BACKUP, "timeout": 60}), f"{A}.timeout", 'beside "freezer_action"'),
    (job({"path_to_backup": "/srv"}), f"{A}.action", 'write "backup"'),
    (
        job({"action": "exec", "command": ["x"], "environment": {"DB_PASSWORD": "x"}}),
        f"{A}.environment.DB_PASSWORD",
        "file",
    ),
    (
        job() | {"job_actions": [{"freezer_action": BACKUP}, {"freezer_action": BACKUP}]},
        "$.job_actions[1].freezer_action",
        "same backup as action 0",
    ),
]

WINDOW = {"start": "02:00", "end": "03:00"}
IDLE = [
    (timed(schedule_hour=2) | IN_SLOT, "$.slot", "declare it by the role coldchain.freezer.jobs"),
    (timed(dst={"gap": "skip"}, schedule_date="2027-03-28T02:30:00"), f"{S}.dst", "runs once"),
    (timed(dst={"gap": "skip"}, schedule_interval="1 days"), f"{S}.dst", "cron-like fields"),
    (timed(dst={"gap": "skip"}, schedule_interval="continuous"), f"{S}.dst", "continuous"),
    (timed(dst={"gap": "skip"}), f"{S}.dst", "runs once"),
    (timed(missed={"run": "all"}, blackout=[WINDOW]), f"{S}.missed", "as soon as it may"),
    (timed(missed={"run": "all"}, schedule_interval="continuous"), f"{S}.missed", "no slots"),
    (
        timed(missed={"run": "skip", "max_age": 9}, schedule_hour=1),
        f"{S}.missed.max_age",
        "run: skip",
    ),
    (
        timed(schedule_date="2027-01-01", schedule_end_date="2027-02-01"),
        f"{S}.schedule_end_date",
        "",
    ),
    (step(max_retries_interval=5), "$.job_actions[0].max_retries_interval", "without max_retries"),
    (step(retry_jitter=5), "$.job_actions[0].retry_jitter", "write max_retries"),
    (step(max_retries=1, retry_backoff=2), "$.job_actions[0].retry_backoff", "a single retry"),
    (job({**EXEC, "path_to_backup": "/srv"}), f"{A}.path_to_backup", "the action exec"),
    (job({**EXEC, "dry_run": True}), f"{A}.dry_run", "the action exec"),
    (
        job(EXEC, action_defaults={"dry_run": True, "container": "c"}),
        "$.action_defaults.dry_run",
        "its command runs",
    ),
    (job({**BACKUP, "command": ["true"]}), f"{A}.command", "the action backup"),
    (job({**BACKUP, "overwrite": True}), f"{A}.overwrite", "the action backup"),
    (job({**RESTORE, "compression": "xz"}), f"{A}.compression", "the action restore"),
    (job({"action": "info", "exclude": ["x"]}), f"{A}.exclude", "the action info"),
    (job({**BACKUP, "force": True}), f"{A}.force", "nothing is removed"),
    (job({**BACKUP, "max_level": 0}), f"{A}.max_level", "incremental: false"),
    (job({**BACKUP, "max_level": 5, "always_level": 3}), f"{A}.max_level", "than level 3"),
    (job({**BACKUP, "max_level": 3, "always_level": 3}), f"{A}.always_level", "than level 3"),
]


@pytest.mark.parametrize(("raw", "path", "words"), IDLE)
def test_a_setting_without_effect_is_told_with_a_remedy(raw: Any, path: str, words: str) -> None:
    checked = check(raw, CONTEXT)
    assert checked.errors == []
    assert [problem.path for problem in checked.warnings] == [path]
    (problem,) = checked.warnings
    assert words in f"{problem.message} {problem.hint}"
    assert problem.hint


@pytest.mark.parametrize(
    "raw",
    [
        timed(schedule_hour=1, dst={"gap": "skip"}, missed={"run": "all", "max_age": 9}),
        timed(schedule_date="2027-01-01", schedule_splay=60, missed={"run": "skip"}),
        timed(schedule_interval="1 days", missed={"not_after": "06:00"}, schedule_splay=60),
        timed(schedule_hour=2, schedule_splay="4 hours", schedule_offset="4 hours") | IN_SLOT,
        timed(
            schedule_interval="1 days",
            schedule_start_date="2026-01-01",
            schedule_splay="1 hours",
            schedule_offset=0,
        )
        | IN_SLOT,
        step(max_retries=2, max_retries_interval=5, retry_backoff=2, retry_jitter=1),
        job({**BACKUP, "force": True, "remove_older_than": 9, "overwrite": False}),
        job({**RESTORE, "overwrite": True, "encrypt_pass_file": "/etc/key"}),
        job(EXEC, action_defaults={**BACKUP, "max_level": 3}),
    ],
)
def test_what_has_an_effect_is_no_warning(raw: dict[str, Any]) -> None:
    checked = check(raw, CONTEXT)
    assert (checked.errors, checked.warnings) == ([], [])


@pytest.mark.parametrize(("raw", "path", "words"), WARNED)
def test_accepted_with_a_warning(raw: Any, path: str, words: str) -> None:
    checked = check(raw, CONTEXT)
    assert checked.errors == []
    found = [f"{each.message} {each.hint}" for each in checked.warnings if each.path == path]
    assert any(words in text for text in found), checked.warnings


@pytest.mark.parametrize(
    "fields",
    [
        {"storage": "swift", "container": "freezer_backups"},
        {"storage": "ssh", "ssh-host": "h", "ssh_username": "u", "ssh_port": "22", "ssh_key": "/k"},
        {
            "storage": "s3",
            "endpoint": "https://s3.example.org",
            "access_key": "A",
            "secret_key": "",
        },
        {"storage": "s3", "credentials_file": "s3", "container": "bucket/prefix"},
        {"storage": "ftps", "ftp_host": "h", "ftp_username": "u", "ftp_password": None},
        {"storage": "rclone", "container": "off-site:a/b", "rclone_config": "/etc/rclone.conf"},
    ],
)
def test_every_storage_is_accepted_in_freezers_words(fields: dict[str, Any]) -> None:
    """Without complaint, and what freezer-agent fills with nothing is nothing."""
    checked = check(job({**BACKUP, **fields}), CONTEXT)
    assert checked.errors == []
    assert {each.path for each in checked.warnings} <= {f"{A}.ssh-host"}
    assert checked.document is not None
    options = checked.document["job_actions"][0]["freezer_action"]
    assert options["storage"] == fields["storage"]
    assert not {"secret_key", "ftp_password"} & options.keys()


def test_every_problem_of_a_document_is_in_one_answer_in_its_order() -> None:
    raw = {
        "job_id": "a b",
        "client_id": "other",
        "job_actions": [{"freezer_action": {"action": "backup", "mod": "fs"}}] * 11,
        "job_schedule": {"schedule_minute": 99, "schedule_hour": "x", "missed": {"max_age": "y"}},
    }
    paths = [problem.path for problem in check(raw, CONTEXT).errors]
    assert len(paths) == 2 + 2 * 11 + 3
    assert paths.index("$.job_actions[9].freezer_action.mod") < paths.index(
        "$.job_actions[10].freezer_action.mod"
    )


def test_one_mistake_is_one_problem() -> None:
    checked = check(job({"action": "backup", "path_to_backup": 10**400}), CONTEXT)
    assert len(checked.errors) == 1
    checked = check(job({"action": "backup", "path_to_backup": ["x"]}), CONTEXT)
    assert [problem.path for problem in checked.errors] == [f"{A}.path_to_backup"]


def test_an_engine_that_cannot_keep_a_mode_is_refused_unless_one_of_them_is() -> None:
    asked = []

    def check_engine(engine: str, mode: str) -> None:
        asked.append((engine, mode))
        raise DataError(f"engine_name: {engine} keeps no {mode}", "choose another")

    words = copy.copy(vocabulary())
    words.check_engine = check_engine
    context = CONTEXT._replace(vocabulary=words)
    (problem,) = check(job(), context).errors
    assert problem == Problem(f"{A}.engine_name", "tar keeps no fs", "choose another")
    assert asked == [("tar", "fs")]
    for fields in ({"mode": "mysql"}, {"engine_name": "rsync"}):
        assert len(check(job({**BACKUP, **fields}), context).errors) == 1
    assert asked == [("tar", "fs")]


def test_exec_switched_off_is_refused_only_where_it_is_off() -> None:
    raw = job({"action": "exec", "command": ["true"]})
    assert check(raw, CONTEXT).valid
    (problem,) = check(
        raw, Context("host1", timezone.utc, NOW, vocabulary(), allow_exec=False)
    ).errors
    assert problem.path == f"{A}.action"
    assert "allow_exec = yes" in problem.hint


@pytest.mark.parametrize("client", ["host1", "26b4ea367ac64702868653912e9428cc_host1", None])
def test_a_document_for_this_client_is_accepted(client: str | None) -> None:
    assert check(job(client_id=client), CONTEXT).errors == []


def test_any_client_will_do_where_none_is_given() -> None:
    assert check(job(client_id="other"), Context(None, timezone.utc, NOW, vocabulary())).valid


def test_an_interval_shorter_than_the_last_run_is_told() -> None:
    raw = timed(schedule_interval="5 minutes")
    slow = Context(
        "host1", timezone.utc, NOW, vocabulary(), last_duration={"x": 600.0, "y": 1.0}.get
    )
    assert check(raw, CONTEXT).warnings == []
    (problem,) = check(raw, slow).warnings
    assert problem.path == f"{S}.schedule_interval"
    assert "600 seconds" in problem.message


def test_false_in_an_action_means_not_set_even_against_a_default() -> None:
    raw = job({**BACKUP, "hostname": False, "log_file": None})
    raw["action_defaults"] = {"hostname": "other", "log_file": "/var/log/x"}
    (action,) = canonical(raw)["job_actions"]
    assert "hostname" not in action["freezer_action"]
    assert action["freezer_action"]["log_file"] == "/var/log/x"


@pytest.mark.parametrize(
    ("fields", "meaning"),
    [
        ({"max_level": 2}, {"max_level": 2, "incremental": True}),
        ({"restart_always_level": 0}, {"restart_always_level": 0, "incremental": True}),
        ({"incremental": True}, {"incremental": True}),
        ({"incremental": False, "max_level": 0, "always_level": 0}, {"incremental": False}),
        ({}, {}),
    ],
)
def test_options_of_levels_are_for_incremental_backups(
    fields: dict[str, Any], meaning: dict[str, Any]
) -> None:
    (action,) = canonical(job({**BACKUP, **fields}))["job_actions"]
    assert action["freezer_action"] == {**BACKUP, **meaning}


@pytest.mark.parametrize(
    ("schedule", "status"),
    [
        ({"status": "stop"}, "stop"),
        ({"status": "completed"}, None),
        ({"status": "stop", "event": "start"}, None),
        ({"status": "scheduled", "event": "stop"}, None),
        ({"status": "running", "event": "abort"}, None),
        ({"status": "running"}, None),
        ({"status": "aborting"}, None),
        ({"status": "aborted"}, None),
        ({"status": ""}, None),
        ({}, None),
    ],
)
def test_what_a_document_wants_of_its_job(schedule: dict[str, Any], status: str | None) -> None:
    assert canonical(timed(**schedule))["job_schedule"].get("status") == status


def test_imported_facts_hold_only_what_says_something() -> None:
    assert imported_facts(timed(time_created=5, time_started=-1, time_ended=0, result="")) == {
        "time_created": 5
    }
    assert imported_facts([]) == {}
    assert imported_facts({"job_schedule": []}) == {}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"schedule_interval": "24 hours"}, {"schedule_interval": "1 days"}),
        (
            {"schedule_hour": 3, "schedule_minute": "05"},
            {"schedule_hour": "03", "schedule_minute": 5},
        ),
        ({"schedule_month": "1-6, 9 - 12"}, {"schedule_month": "1-6,9-12"}),
        ({"schedule_date": "2027-01-01 10:00"}, {"schedule_date": "2027-01-01T10:00:00"}),
        ({"schedule_date": "2027-01-01T10:00Z"}, {"schedule_date": "2027-01-01T11:00:00+01:00"}),
        (
            {"schedule_splay": 1800, "schedule_hour": 1},
            {"schedule_splay": "30 minutes", "schedule_hour": "1"},
        ),
        ({"blackout": []}, {}),
        ({"missed": {}, "dst": None}, {}),
    ],
)
def test_one_meaning_is_one_canonical_form(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert canonical(timed(**one)) == canonical(timed(**other))


@pytest.mark.parametrize(
    ("fields", "job_id"),
    [
        ({"description": "Täglich: /srv & Co."}, "taglich-srv-co"),
        ({}, "srv"),
        ({"description": "!?"}, "srv"),
    ],
)
def test_a_missing_job_id_is_derived_with_a_warning(fields: dict[str, Any], job_id: str) -> None:
    raw = job(**fields)
    del raw["job_id"]
    checked = check(raw, CONTEXT)
    assert checked.document is not None
    assert checked.document["job_id"] == job_id
    assert "$.job_id" in [problem.path for problem in checked.warnings]


@pytest.mark.parametrize(
    "beside", [{}, {"progress": {}}, {"progress": None, "stopped_by": "a document"}]
)
def test_what_show_prints_beside_a_document_is_no_part_of_it(beside: dict[str, Any]) -> None:
    checked = check({"job": job(), **beside}, CONTEXT)
    assert checked.document == canonical(job())
    assert [(problem.path, problem.hint) for problem in checked.warnings] == [
        ("$", "write the document itself")
    ]
    assert not check({"job": job(), "x": 1, **beside}, CONTEXT).valid


def test_problems_are_plain_data() -> None:
    (problem,) = check([], CONTEXT).errors
    assert problem == Problem(**problem.as_dict())


def test_the_options_said_to_be_without_effect_exist() -> None:
    assert set(lint.HEED) <= {field.name for field in LEVELS["freezer_action"]}


@pytest.mark.parametrize(
    ("schedule", "path", "hint"),
    [
        (
            {"schedule_weekday": "mon"},
            f"{S}.schedule_weekday",
            "did you mean schedule_day_of_week?",
        ),
        ({"schedule_dow": "mon"}, f"{S}.schedule_dow", "mean schedule_day_of_week?"),
        ({"schedule": "0 3 * * *"}, f"{S}.schedule", "coldchain convert --from crontab"),
        ({"cron": "@daily"}, f"{S}.cron", "coldchain convert --from crontab"),
        ("0 3 * * 1-5", S, "coldchain convert --from crontab"),
        ({"schedule_minute": "0 3 * * *"}, f"{S}.schedule_minute", "crontab"),
        ({"schedule_hour": "3:30"}, f"{S}.schedule_hour", 'schedule_minute: "30"'),
        ({"schedule_date": "03:05"}, f"{S}.schedule_date", 'schedule_minute: "5"'),
        ({"at": "03:05"}, f"{S}.at", 'schedule_hour: "3"'),
        ({"schedule_interval": "1 months"}, f"{S}.schedule_interval", 'schedule_day: "1"'),
        ({"schedule_interval": "1 year"}, f"{S}.schedule_interval", 'schedule_month: "1"'),
        ({"schedule_interval": "2h"}, f"{S}.schedule_interval", 'write "2 hours"'),
    ],
)
def test_a_time_in_the_words_of_another_program(schedule: Any, path: str, hint: str) -> None:
    (problem,) = check({**job(), "job_schedule": schedule}, CONTEXT).errors
    assert problem.path == path
    assert hint in problem.hint


@pytest.mark.parametrize(
    ("schedule", "name", "words"),
    [
        ({"schedule_hour": "", "schedule_minute": None}, "schedule_hour", "runs once"),
        ({"schedule_interval": None}, "schedule_interval", "runs once"),
        ({"schedule_date": False}, "schedule_date", "runs once"),
        ({"schedule_time": "03:00"}, "schedule_time", "last run"),
        ({"schedule_interval": "24"}, "schedule_interval", "seconds"),
        ({"schedule_interval": 86400}, "schedule_interval", "seconds"),
    ],
)
def test_a_schedule_that_means_less_than_it_seems_is_told(
    schedule: Any, name: str, words: str
) -> None:
    checked = check({**job(), "job_schedule": schedule}, CONTEXT)
    assert checked.valid
    found = [problem for problem in checked.warnings if problem.path == f"{S}.{name}"]
    assert any(words in problem.message for problem in found)
    again = check(checked.document, CONTEXT)
    assert again.warnings == []


def test_a_schedule_without_any_field_means_once_and_is_not_told() -> None:
    for schedule in ({}, {"schedule_hour": 3, "schedule_minute": ""}, {"status": "stop"}):
        assert check({**job(), "job_schedule": schedule}, CONTEXT).warnings == []


def test_false_for_a_text_says_how_yaml_came_to_it() -> None:
    raw = job({**BACKUP, "backup_name": False})
    assert any("YAML" in problem.hint for problem in check(raw, CONTEXT).warnings)


@pytest.mark.parametrize("event", ["start", "stop", "abort"])
def test_a_declared_event_is_dropped_and_said_so(event: str) -> None:
    checked = check(timed(event=event), CONTEXT)
    assert f"{S}.event" in [problem.path for problem in checked.warnings]
    assert checked.document is not None
    assert "event" not in checked.document["job_schedule"]
    beside = check(timed(event=event, status="stop"), CONTEXT)
    assert beside.document is not None
    (note,) = [problem for problem in beside.warnings if problem.path == f"{S}.event"]
    assert ("is scheduled" in note.message) == (event == "start")
    assert (beside.document["job_schedule"].get("status") == "stop") == (event != "start")

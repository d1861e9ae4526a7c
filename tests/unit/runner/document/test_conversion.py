# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What becomes of each source of a conversion, what it is called, and what is told of it."""

from __future__ import annotations

from typing import Any

import pytest

from coldchain.cli.vocabulary import vocabulary
from coldchain.core.instants import UTC, parse_instant
from coldchain.document import Context
from coldchain.document.convert import Conversion, Converter

NOW = parse_instant("2026-11-26T12:00:00Z", UTC)
ACTION = "$.job_actions[0].freezer_action"
LOCAL = {"action": "backup", "path_to_backup": "/srv", "backup_name": "www", "storage": "local"}


def job(job_id: Any = "a", schedule: Any = None, **options: Any) -> dict[str, Any]:
    document: dict[str, Any] = {"job_actions": [{"freezer_action": {**LOCAL, **options}}]}
    if schedule is not None:
        document["job_schedule"] = schedule
    return document if job_id is None else {"job_id": job_id, **document}


def converted(*values: Any) -> Conversion:
    """The conversion of values of Freezer's, from the sources s0, s1 ..."""
    converter = Converter(Context(None, UTC, NOW, vocabulary()))
    for number, value in enumerate(values):
        converter.add_freezer(f"s{number}", value)
    return converter.result()


def notes(*values: Any) -> list[tuple[str, str]]:
    """Place and message of each note; all of *values* are jobs."""
    result = converted(*values)
    assert not result.skipped
    return [(note.problem.path, note.problem.message) for note in result.notes]


def action_of(value: Any) -> dict[str, Any]:
    (document,) = converted(value).documents
    action: dict[str, Any] = document["job_actions"][0]["freezer_action"]
    return action


def nested(depth: int) -> Any:
    value: Any = job()
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ([], "holds no job, action or session"),
        ("text", '"text" is no job document'),
        ({}, "holds no job, action or session"),
        (nested(9), "holds no job, action or session"),
        ({"f": 1, "e": 1, "d": 1, "c": 1, "b": 1, "a": 1}, "is no job: it has a, b, c, d, e"),
        ({"client_id": "x"}, "describes a client: hosts are in the inventory here"),
        ({"client": {}}, "describes a client: hosts are in the inventory here"),
        ({"session_id": "s"}, "is no job: it has session_id"),
        ({"session_id": "s", "jobs": ["b", "a"]}, "session of jobs that are not here: a, b"),
        ({"session_id": "s", "schedule": {}}, "session of jobs that are not here: -"),
        (job(compression="gz"), f'{ACTION}.compression: "gz" is not supported'),
        (job(mode="mysql", mod=1, x=2), f"{ACTION}.mod: is unknown (and 2 more)"),
    ],
)
def test_what_gives_no_job_says_why(value: Any, reason: str) -> None:
    result = converted(value)
    ((source, told),) = result.skipped
    assert (source, told) == ("s0", reason)
    assert not result.documents and not result.notes
    assert result.as_dict()["skipped"] == [{"source": "s0", "reason": told}]


def test_a_crontab_without_an_entry_is_told_and_one_with_some_is_not() -> None:
    converter = Converter(Context(None, UTC, NOW, vocabulary()))
    converter.add_crontab("empty", "# nothing\nX=1\n", system=False)
    converter.add_crontab("good", "\n0 3 * * * root /opt/x\nnonsense\n", system=True)
    result = converter.result()
    assert [document["job_id"] for document in result.documents] == ["x"]
    assert [source for source, _reason in result.skipped] == ["empty", "good:3"]
    assert result.skipped[0][1] == "holds no entry"


@pytest.mark.parametrize(
    "value",
    [
        nested(8),
        {"jobs": [job()]},
        {"job": job()},
        {"job_id": "a", "job": job(None)},
        {"actions": [{"action_id": "a", "freezer_action": LOCAL}], "jobs": "x"},
        {"action_id": "b", "job_id": "a", "freezer_action": LOCAL},
        ({"action_id": "a", "freezer_action": LOCAL},),
    ],
)
def test_a_job_is_found_wherever_it_lies(value: Any) -> None:
    result = converted(value)
    (document,) = result.documents
    assert not result.skipped and document == {**job(), "job_schedule": {}}


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (job(None), "www"),
        (job(""), "www"),
        (job("no name"), "no-name"),
        (job("Täglich: /srv"), "Taglich-srv"),
        (job("日本"), "www"),
        (job("é" * 300), "e" * 60),
        (job(["x"]), "www"),
        ({**job(None, backup_name=None), "description": "All of /srv"}, "All"),
        (job(None, backup_name="a/b b/c"), "b"),
        (job(None, backup_name="--x y"), "x"),
        (job(None, backup_name="n" * 70), "n" * 60),
        ({"job_actions": [{"freezer_action": {"action": "exec", "command": ["/opt/y"]}}]}, "y"),
        ({"job_actions": [{"freezer_action": {"action": "exec", "command": "/opt/y z"}}]}, "y"),
        ({"job_actions": [{"freezer_action": {"action": "info"}}]}, "job"),
    ],
)
def test_a_job_without_a_name_is_called_after_what_it_does(value: Any, name: str) -> None:
    (document,) = converted(value).documents
    assert document["job_id"] == name


def test_jobs_of_one_name_get_marks_and_are_told_where_the_name_was_their_own() -> None:
    result = converted(job("w"), job("w", storage="local", max_level=2), job("w"), job("other"))
    first, second, other = (document["job_id"] for document in result.documents)
    same = converted(job("w"), job("w"))
    assert [document["job_id"] for document in same.documents] == ["w"] and not same.notes
    assert {first[:2], second[:2]} == {"w-"} and first != second and other == "other"
    assert len(first) == len("w-") + 6
    assert result.skipped == [("s2", "is the same as another source of w")]
    told = [note.as_dict() for note in result.notes]
    assert [(note["source"], note["path"], note["hint"]) for note in told] == [
        ("s0", "$.job_id", f"now {first}"),
        ("s1", "$.job_id", f"now {second}"),
    ]
    assert told[0]["message"] == "another source has w too"
    derived = converted(job(None), job(None, max_level=2))
    assert len({document["job_id"] for document in derived.documents}) == 2 and not derived.notes
    longest = converted(job("l" * 128), job("l" * 128, max_level=2))
    assert [len(document["job_id"]) for document in longest.documents] == [127, 127]


def test_a_session_is_told_as_far_as_it_is_here() -> None:
    session = {"session_id": "night", "jobs": ["a", "far", "away"], "schedule": {}}
    result = converted([job("a", {"schedule_hour": 1}), session, job("b")])
    assert [document.get("session_id") for document in result.documents] == ["night", None]
    assert result.documents[0]["job_schedule"] == {"schedule_hour": "1"}
    told = [(note.problem.path, note.problem.message) for note in result.notes]
    assert told == [("$.jobs", "not among the sources: away, far")]
    session = {**session, "jobs": {"a": {}}, "schedule": {"schedule_hour": 2}, "hold_off": 0}
    assert notes(job("a", {"schedule_hour": 1}), session) == [
        ("$.hold_off", "has no effect: jobs of a session start by their common schedule"),
        ("$.job_schedule", "is that of session night"),
    ]


def test_a_session_finds_its_jobs_by_the_names_that_they_had() -> None:
    session = {"session_id": "night", "jobs": ["web 1"], "schedule": {"schedule_hour": 2}}
    result = converted([job("web 1", {"schedule_hour": 1}), session])
    (document,) = result.documents
    assert (document["job_id"], document["session_id"]) == ("web-1", "night")
    assert document["job_schedule"] == {"schedule_hour": "2"} and not result.skipped


IN_UTC = "Freezer reads it in UTC, so a Z was added"


@pytest.mark.parametrize(
    ("value", "places"),
    [
        (job(), []),
        ({**job(), "client_id": "far"}, ["$.client_id"]),
        ({**job(), "client_id": ""}, []),
        (job(no_incremental=True), []),  # an old spelling is today's in what comes out
        (job(storage=None), [f"{ACTION}.storage"]),
        ({**job(storage=None), "action_defaults": {"storage": "local"}}, []),
        (job(encrypt_pass_file="/k"), [f"{ACTION}.encrypt_scheme"]),
        (job(**{"encrypt-pass-file": "/k"}), [f"{ACTION}.encrypt_scheme"]),
        (job(encrypt_pass_file="/k", **{"encrypt-scheme": "strong"}), []),
        (job(encrypt_pass_file=False), []),
        (job(schedule={"schedule_interval": "1 days"}), []),
        (
            job(
                schedule={"schedule_interval": "1 days", "schedule_start_date": "2027-01-01T01:00Z"}
            ),
            ["$.job_schedule.schedule_interval"],
        ),
        (
            job(
                schedule={
                    "schedule_hour": 1,
                    "schedule_start_date": "2027-01-01T01:00Z",
                    "schedule_end_date": " 2028-01-01 01:00:00.5 ",
                }
            ),
            ["$.job_schedule.schedule_end_date"],
        ),
        (  # Freezer passes an end over that has no start
            job(schedule={"schedule_hour": 1, "schedule_end_date": "2027-01-01T01:00:00Z"}),
            ["$.job_schedule.schedule_end_date"],
        ),
        # What has run runs again unless it has a time of its own, or is stopped.
        (job(schedule={"result": "success"}), ["$.job_schedule"]),
        (job(schedule={"time_started": 1493055141, "status": "stop"}), []),
        (job(schedule={"time_ended": 1493055141, "schedule_hour": 1}), []),
        (job(schedule={"time_created": 1493055141, "time_ended": -1}), []),
        (job("no name"), ["$.job_id"]),
        (job(-1), ["$.job_id"]),
        (job(""), []),
    ],
)
def test_what_means_something_else_than_with_freezer_is_told(value: Any, places: list[str]) -> None:
    assert [path for path, _message in notes(value)] == places


def test_what_freezer_takes_for_granted_is_written_out() -> None:
    assert action_of(job(storage=None))["storage"] == "swift"
    assert "storage" not in action_of(job(storage=None, action="exec", command=["x"]))
    assert action_of(job(encrypt_pass_file="/k"))["encrypt_scheme"] == "freezer"
    restore = {**LOCAL, "action": "restore", "path_to_backup": None, "restore_abs_path": "/x"}
    for date in ("2026-01-01T01:00:00", " 2026-01-01 01:00 ", "2026-01-01T03:00+02:00"):
        value = {"job_actions": [{"freezer_action": {**restore, "restore_from_date": date}}]}
        assert action_of(value)["restore_from_date"] == "2026-01-01T01:00:00+00:00"
        told = [(f"{ACTION}.restore_from_date", IN_UTC)]
        assert notes(value) == ([] if "+" in date else told)


DATED = {"restore_from_date": "2026-01-01", "storage": None}
REST = {"restore_abs_path": "/x", "backup_name": "b", "encrypt_pass_file": "/k"}
WHOLE = {"action": "restore", **DATED, **REST}
SPELLINGS: dict[str, Any] = {
    "of today": {"job_id": "a", "job_actions": [{"freezer_action": WHOLE}]},
    "one object": {"job_id": "a", "job_actions": {"freezer_action": WHOLE}},
    "an old name": {"job_id": "a", "job_action": [{"freezer_action": WHOLE}]},
    "an action": {"job_id": "a", "freezer_action": WHOLE},
    "an action of the API": {"action_id": "a", "freezer_action": WHOLE},
    "bare options": {"job_id": "a", **WHOLE},
    "dashes": {
        "job-id": "a",
        "job-actions": [
            {"freezer-action": {key.replace("_", "-"): value for key, value in WHOLE.items()}}
        ],
    },
    "by defaults": {
        "job_id": "a",
        "action_defaults": {"storage": "local", **DATED},
        "job_actions": [{"freezer_action": {"action": "restore", "storage": None, **REST}}],
    },
}


@pytest.mark.parametrize("value", SPELLINGS.values(), ids=SPELLINGS)
def test_every_spelling_of_a_job_keeps_its_meaning(value: Any) -> None:
    result = converted(value)
    assert result.skipped == []
    (document,) = result.documents
    assert document["job_id"] == "a"
    action = document["job_actions"][0]["freezer_action"]
    assert (action["storage"], action["encrypt_scheme"]) == ("swift", "freezer")
    assert action["restore_from_date"] == "2026-01-01T00:00:00+00:00"
    told = {note.problem.path.rpartition(".")[2] for note in result.notes}
    assert told >= {"storage", "encrypt_scheme", "restore_from_date"}


@pytest.mark.parametrize("name", ["remove_before_date", "remove_from_date", "remove-from-date"])
def test_what_is_removed_is_what_freezer_would_remove(name: str) -> None:
    action = {"action": "admin", "storage": "local", name: "2026-01-01T01:00:00"}
    value = {"job_actions": [{"freezer_action": action}]}
    assert action_of(value)["remove_before_date"] == "2026-01-01T01:00:00+00:00"
    assert notes(value) == [(f"{ACTION}.remove_before_date", IN_UTC)]


def test_a_job_that_is_stopped_stays_so_in_its_session() -> None:
    session = {"session_id": "night", "jobs": ["a"], "schedule": {"schedule_hour": 2}}
    for key in ("job_schedule", "job-schedule"):
        value = {**job("a"), key: {"schedule_hour": 1, "status": "stop"}}
        (document,) = converted(value, session).documents
        assert document["job_schedule"] == {"schedule_hour": "2", "status": "stop"}


@pytest.mark.parametrize(
    ("command", "shell", "told"),
    [
        ("pg_dump db", None, False),
        ("pg_dump db | gzip", None, False),
        ("a && b", True, True),
        ("echo 'open", True, True),
        (["a", "&&", "b"], None, False),
    ],
)
def test_a_command_for_a_shell_is_given_to_one(command: Any, shell: Any, told: bool) -> None:
    value = {"job_actions": [{"freezer_action": {"action": "exec", "command": command}}]}
    action = action_of(value)
    assert (action["command"], action.get("shell")) == (command, shell)
    assert [path for path, _message in notes(value)] == [f"{ACTION}.shell"] * told
    value["job_actions"][0]["freezer_action"]["shell"] = True
    if isinstance(command, str):
        assert notes(value) == []
        by_default = {"action_defaults": {"command": command}}
        by_default["job_actions"] = [{"freezer_action": {"action": "exec"}}]
        assert action_of(by_default).get("shell") == shell

# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever is handed in instead of a document: one clear error, nothing changed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from cli_command import Command, exec_job
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from coldchain.cli.inputs import load

# raw input, words of the message
NO_DOCUMENTS = [
    (b"", "is empty"),
    (b" \n\t", "is empty"),
    (b"{", "line 1, column 2"),
    (b'{"job_id": "x",\n "job_actions": [}', "line 2, column 18"),
    (b"\x00\x01\x02", "is binary"),
    (b"\x89PNG\r\n\x1a\n", "is binary"),
    (b"\xff\xfe{\x00}\x00", "is binary"),
    (b'"text"', "no job document"),
    (b"3", "no job document"),
    (b"null", "no job document"),
    (b"NaN", "no job document"),
    (b'{"job_id": "a", "job_id": "b"}', '"job_id" is given twice'),
    (b"[" * 100_000, "nested too deeply"),
    (b'{"jobs": {}}', '"jobs" is no list'),
    (b'{"jobs": [], "absent": "x"}', '"absent" is no list'),
    (b'{"jobs": [], "absent": [3]}', '"absent" is no list'),
    (b'{"jobs": [], "purge": true}', '"purge" is unknown'),
]


@pytest.mark.parametrize(("raw", "words"), NO_DOCUMENTS)
@pytest.mark.parametrize("name", ["validate", "apply", "run"])
def test_what_is_no_document_is_one_error(
    command: Command, name: str, raw: bytes, words: str
) -> None:
    (command.home / "lib").mkdir(mode=0o700)
    before = command.files()
    error = command.error(name, "-", data=raw)
    assert error["code"] == 65
    assert error["message"].startswith("standard input: ")
    assert words in error["message"]
    assert command.files() == before
    assert command(name, "-", data=raw) == 65
    assert command.out == ""
    assert len(command.err.splitlines()) <= 2


@pytest.mark.parametrize("job_id", ["x", 7, 1.5])
@pytest.mark.parametrize("name", ["job_id", "job-id"])
def test_a_document_may_only_say_that_a_job_is_to_be_absent(
    command: Command, name: str, job_id: object
) -> None:
    """A number was no job_id then, although it is one in a document; and validate --json broke."""
    assert command("apply", "-", data={**exec_job(str(job_id)), name: job_id}) == 0
    absent = {name: job_id, "state": "absent"}
    assert command.json("validate", "-", data=absent) == {
        "valid": True,
        "errors": [],
        "warnings": [],
        "document": None,
    }
    assert command.json("validate", "-", data=[absent])["documents"] == []
    for words in (["--check"], []):
        (entry,) = command.json("apply", "-", *words, data=absent)["jobs"]
        assert (entry["job_id"], entry["change"]) == (str(job_id), "removed")
    assert command.json("list")["jobs"] == []


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=5) | st.just(float("nan")),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=2)
    ),
)


@settings(max_examples=60, suppress_health_check=list(HealthCheck))
@given(st.lists(JSON, max_size=2) | JSON, st.sampled_from(["", "\ufeff"]), st.sampled_from("\n\r"))
@example([None], "", "\n")
@example([True, False], "\ufeff", "\r")
def test_whatever_is_json_is_judged_as_json(
    tmp_path: Path, value: Any, mark: str, end: str
) -> None:
    """[null] was a section of an INI file, of which path_to_backup was missing."""
    path = tmp_path / "document"
    path.write_text(f"{mark}{json.dumps(value)}{end}", encoding="utf-8")
    assert json.dumps(load(str(path), judged=True)) == json.dumps(value)


@pytest.mark.parametrize("raw", [b"[null]", b'["null"]', b"[7]", b"\xef\xbb\xbf[ true\r\n]"])
def test_a_list_of_what_is_no_document_is_told_alike_by_every_door(
    command: Command, raw: bytes
) -> None:
    (value,) = json.loads(raw.decode("utf-8-sig"))
    words = f"{json.dumps(value)} is no job document"
    for door in ("validate -", "apply -", "run -", "agent --config -", "simulate - --days 1"):
        assert command(*door.split(), data=raw) == 65
        assert f"$: {words}\n" in command.err, door
    (skipped,) = command.json("convert", "-", data=raw)["skipped"]
    assert skipped["reason"] == words


def test_convert_passes_over_nothing_in_silence(command: Command) -> None:
    answer = command.json("convert", "-", data=[exec_job("x"), None, {"jobs": [3]}])
    assert [document["job_id"] for document in answer["documents"]] == ["x"]
    reasons = [entry["reason"] for entry in answer["skipped"]]
    assert reasons == ["null is no job document", "3 is no job document"]


NUMBERS = {
    **dict.fromkeys(
        (b"NaN", b"Infinity", b"-Infinity", b"1e400"), "is not a number that JSON knows"
    ),
    **dict.fromkeys(
        (b"9" * 10_000, b"-" + b"9" * 5_000, b"1" + b"0" * 99), "is too large a number"
    ),
}


@pytest.mark.parametrize("number", NUMBERS, ids=lambda number: number[:9].decode())
def test_what_is_no_number_of_ours_is_told_with_its_place(command: Command, number: bytes) -> None:
    """Of a list of jobs, which one it was; convert passes over that file only."""
    job = json.dumps(exec_job("x")).encode()
    raw = (
        b"["
        + json.dumps(exec_job("y")).encode()
        + b", "
        + job[:-1]
        + b', "priority": '
        + number
        + b"}]"
    )
    for words in ("validate", "apply"):
        assert command(words, "-", data=raw) == 65
        assert f"document 1: $.priority: {NUMBERS[number]}" in command.err
        assert "Traceback" not in command.err and "sys." not in command.err
    answer = command.json("convert", "-", data=raw)
    assert [document["job_id"] for document in answer["documents"]] == ["y"]
    assert [entry["reason"] for entry in answer["skipped"]] == [f"$.priority: {NUMBERS[number]}"]
    assert command("restore", "--options", "-", data=b'{"job_id": ' + number + b"}") == 65
    assert "sys." not in command.err


def test_files_that_cannot_be_read_are_named(command: Command, tmp_path: Path) -> None:
    for name, words in (
        (str(tmp_path / "none.json"), "No such file"),
        (str(tmp_path), "Is a directory"),
        ("a\0b", "no name of a file"),
    ):
        error = command.error("validate", name)
        assert error["code"] == 65
        assert words in error["message"]


def test_yaml_is_told_where_it_belongs(command: Command, tmp_path: Path) -> None:
    path = tmp_path / "jobs.yml"
    path.write_text("job_id: x\n")
    assert "Ansible" in command.error("apply", str(path))["hint"]


def test_a_byte_order_mark_is_no_mistake(command: Command) -> None:
    raw = b"\xef\xbb\xbf" + json.dumps(exec_job("x")).encode()
    assert command("validate", "-", data=raw) == 0


@settings(max_examples=200, suppress_health_check=list(HealthCheck))
@given(st.one_of(st.binary(max_size=60), st.text(max_size=60).map(str.encode)))
def test_any_bytes_get_an_answer(command: Command, raw: bytes) -> None:
    code = command("--json", "validate", "-", data=raw)
    assert code in (0, 65)
    json.loads(command.out)

# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Records come back as they were put, whatever is in them; damage costs what it has to."""

from __future__ import annotations

import errno
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stores import new_store
from waiting import at_most

from coldchain.core.errors import CannotWrite, DataError, TryAgain, Unavailable
from coldchain.core.instants import from_epoch, iso
from coldchain.core.locks import lock_within, open_lock
from coldchain.store import Bounds, Change, Event, JobRecord, State, Store, history
from coldchain.store.json_file import AtomicJSONStorage
from coldchain.store.records import stopped, timing
from coldchain.store.rows import Records, Row, Rows, packed

DOCUMENT = {"job_id": "j", "job_actions": [], "job_schedule": {}}
TEXTS = st.sampled_from(["", "a", "schedule"])
ROWS = st.dictionaries(st.sampled_from(["x", "y"]), st.integers(), max_size=2)
ROWS_WITH_SOME = st.dictionaries(st.sampled_from(["x", "y"]), st.integers(), min_size=1, max_size=2)
OF_TYPE: dict[str, Any] = {
    "str": TEXTS,
    "str | None": st.none() | st.sampled_from(["a", "b"]),
    "float | None": st.none() | st.floats(1, 2e9),
    "bool": st.booleans(),
    "int": st.integers(0, 9),
    "Run | None": st.none() | ROWS_WITH_SOME,
    "dict[str, Any] | None": st.none() | ROWS_WITH_SOME,
    "Sequence[dict[str, Any]]": st.lists(ROWS, max_size=2),
}
STATES = st.builds(
    State,
    **{
        **{name: OF_TYPE[fact.__forward_arg__] for name, fact in State.__annotations__.items()},
        "status": st.sampled_from(["stop", "running"]),  # never empty
    },
)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = new_store(tmp_path)
    yield made
    made.close()


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


# -- records ----------------------------------------------------------------------------------


@settings(max_examples=60)
@given(state=STATES, unknown=st.booleans())
def test_a_state_comes_back_as_it_was(state: State, unknown: bool) -> None:
    row = json.loads(json.dumps(state.as_row()))
    if unknown:
        row["of_a_later_release"] = 1
    assert State.from_row("j", row) == state
    every = {**state._asdict(), **({"of_a_later_release": 1} if unknown else {})}
    assert State.from_row("j", every) == state


def test_of_a_job_that_nobody_has_seen_nothing_is_told() -> None:
    told = {name: value for name, value in State()._asdict().items() if value}
    assert told == {"status": "scheduled"} and not State().active and State(run_id="r").active


@given(
    enabled=st.none() | st.floats(0, 2e9),
    imported=ROWS,
    more=st.dictionaries(st.just("of_a_later_release"), st.integers()),
)
def test_a_declaration_comes_back_as_it_was(
    enabled: float | None, imported: dict[str, Any], more: dict[str, int]
) -> None:
    record = JobRecord("j", DOCUMENT, 3, 1.5, 2.5, 3.5, imported, enabled)
    row = record.as_row()
    assert "job_id" not in row and ("enabled" in row) == (enabled is not None)
    assert JobRecord.from_row("j", {**row, **more}) == record
    request = Event("id", "j", "start", 1.5, "me")
    fields = {name: value for name, value in request._asdict().items() if name != "id"}
    assert Event.from_row("id", {**fields, **more}) == request


@pytest.mark.parametrize("status", ["stop", ""])
def test_a_job_that_the_runner_has_not_seen_has_what_it_brought_along(status: str) -> None:
    imported = {"result": "fail", "time_started": 5.0, "time_ended": 6.0}
    document = {**DOCUMENT, "job_schedule": {"status": status} if status else {}}
    record = JobRecord.new(Change("j", document, imported), 1000.9)
    state = State.initial(record)
    by = {"what": "declaration", "who": None, "when": iso(from_epoch(1000))} if status else None
    assert state == State(
        status=status or "scheduled",
        stopped_by=by,
        result="fail",
        time_started=5.0,
        time_ended=6.0,
        reason="declared with status stop" if status else "not yet seen by the runner",
        revision=1,
        created=1000.9,
        armed_anchor=1000.9,
    )
    assert stopped("event", "me", 7.99)["when"] == iso(from_epoch(7))
    assert timing({"status": "stop", "a": 1}) == {"a": 1}


# -- rows -------------------------------------------------------------------------------------


@settings(max_examples=40)
@given(st.dictionaries(st.text(max_size=4), ROWS, max_size=5), st.sampled_from([1, 199, 200, 401]))
def test_records_are_a_mapping_of_the_rows(table: dict[str, dict[str, Any]], many: int) -> None:
    table = {**table, **{f"row {n}": {"x": n} for n in range(many)}}
    records = Records(Rows.of(table), lambda key, value: (key, value))
    wanted = {key: (key, value) for key, value in table.items()}
    assert dict(records) == wanted and len(records) == len(wanted) and list(records) == [*wanted]
    assert list(records.items()) == list(wanted.items())
    assert list(records.values()) == list(wanted.values())
    assert "row 0" in records and "no such row" not in records
    assert records.get("no such row") is None and records["row 0"] == wanted["row 0"]
    packed_twice = packed(packed({"t": table}))
    assert packed_twice["t"] == Rows.of(table) and Rows.of(packed_twice["t"]) is packed_twice["t"]
    row = Row.of("key", {"a": 1})
    assert (row["a"], list(row), len(row), row.line) == (1, ["a"], 1, b'"key":{"a":1}')


# -- one file ---------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["{}", "[]", "null", '"x"', "{", '{"_format":{"1":{"kind":1}}}'])
@pytest.mark.parametrize("expendable", [True, False])
@pytest.mark.parametrize("earlier", [False, True])
def test_what_is_no_database_counts_as_empty_only_where_it_may(
    tmp_path: Path, text: str, expendable: bool, earlier: bool
) -> None:
    path = tmp_path / "x.json"
    path.write_text(text)
    path.chmod(0o600)
    if earlier:
        path.with_name("x.json.previous").write_text("{")
        path.with_name("x.json.previous").chmod(0o600)
    held = descriptors()
    reader = AtomicJSONStorage(path, "x", expendable=expendable)
    if not expendable:
        with pytest.raises(DataError, match=r"x\.json"):
            reader.read()
        assert path.read_text() == text and descriptors() == held
        return
    assert reader.read() is None and reader.read() is None and not reader.changed()
    assert path.read_text() == text and descriptors() == held, "a reader changes nothing"
    generation = reader.generation
    writer = AtomicJSONStorage(path, "x", expendable=True)
    with writer.transaction():
        assert writer.read() is None
        writer.write({"t": {"1": {"a": 1}}})
    (aside,) = tmp_path.glob("x.json.damaged-*")
    assert aside.read_text() == text and not path.with_name("x.json.previous").exists()
    assert reader.changed() and reader.read() == {"t": {"1": {"a": 1}}}
    assert reader.generation > generation and writer.read() == reader.read()
    reader.close()
    writer.close()


def test_whoever_has_read_damage_puts_it_aside_before_it_writes(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text("{")
    path.chmod(0o600)
    storage = AtomicJSONStorage(path, "x", expendable=True)
    assert storage.read() is None
    with storage.transaction():
        pass
    assert [aside.read_text() for aside in tmp_path.glob("x.json.damaged-*")] == ["{"]
    assert path.read_bytes().startswith(b'{"_format"') and storage.read() == {}
    storage.close()


def test_a_writer_repairs_what_only_the_generation_before_still_holds(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    for number in (1, 2):
        storage = AtomicJSONStorage(path, "x")
        with storage.transaction():
            storage.write({"t": {"1": {"n": number}}})
        storage.close()
    path.write_bytes(b"{")
    reader, writer = AtomicJSONStorage(path, "x"), AtomicJSONStorage(path, "x")
    before = {"t": {"1": {"n": 1}}}
    assert reader.read() == before and path.read_bytes() == b"{" and not reader.changed()
    with writer.transaction():
        pass
    assert reader.changed() and reader.read() == writer.read() == before
    assert AtomicJSONStorage(path, "x").read() == before
    path.unlink()
    assert reader.changed() and reader.read() is not None, "the one before is there still"
    path.with_name("x.json.previous").unlink()
    assert AtomicJSONStorage(path, "x").read() is None
    reader.close()
    writer.close()


@pytest.mark.parametrize("call", ["fsync", "rename", "link", "writev"])
def test_a_commit_that_fails_keeps_no_descriptor_and_no_remnant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    storage = AtomicJSONStorage(tmp_path / "x.json", "x")
    with storage.transaction():
        storage.write({"t": {"1": {}}})
    held = descriptors()

    def fail(*dummy: object, **more: object) -> None:
        raise OSError(28, "No space left on device")

    for _ in range(3):
        with monkeypatch.context() as patch:
            patch.setattr(os, call, fail)
            with pytest.raises(CannotWrite), storage.transaction():
                storage.write({"t": {"2": {}}})
        assert not (tmp_path / "x.json.tmp").exists()
        assert storage.read() == {"t": {"1": {}}} and descriptors() == held
    storage.close()


def test_an_error_inside_of_a_transaction_leaves_all_as_it_was(tmp_path: Path) -> None:
    storage = AtomicJSONStorage(tmp_path / "x.json", "x")
    with storage.transaction():
        storage.write({"t": {"1": {}}})
    text = (tmp_path / "x.json").read_bytes()
    inode = (tmp_path / "x.json").stat().st_ino

    def inner() -> None:
        with storage.transaction():
            storage.write({"t": {"2": {}}})
        assert storage.read() == {"t": {"2": {}}}, "its own changes are seen"
        raise KeyError

    with pytest.raises(KeyError), storage.transaction():
        inner()
    assert (tmp_path / "x.json").read_bytes() == text and storage.read() == {"t": {"1": {}}}
    with pytest.raises(RuntimeError, match="outside of transaction"):
        storage.write({})
    with storage.transaction():
        assert storage.read() == {"t": {"1": {}}}
    assert (tmp_path / "x.json").stat().st_ino == inode, "nothing to write, nothing written"
    storage.close()


def test_remnants_stay_while_somebody_writes(
    store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("coldchain.store.json_file.TIDY_TIMEOUT", 0.05)
    store.apply([Change("j", DOCUMENT)])
    left = store.paths.jobs.with_name("jobs.json.tmp")
    left.write_bytes(b"half")
    lock = open_lock(store.paths.jobs.with_name("jobs.json.lock"))
    assert lock_within(lock)
    store.tidy()
    assert left.exists() and "its remnants stay until the next start" in caplog.text
    os.close(lock)
    store.tidy()
    assert not left.exists()


# -- the store --------------------------------------------------------------------------------


def test_requests_are_told_in_the_order_in_which_they_came(store: Store) -> None:
    reader = Store(store.paths)
    assert reader.pending_events() == [] and not reader.events_changed()
    asked = [store.add_event("j", event, f"by {event}") for event in ("stop", "start", "abort")]
    assert reader.events_changed() and reader.pending_events() == asked
    assert not reader.events_changed() and len({request.id for request in asked}) == 3
    assert [(request.event, request.by) for request in asked][1] == ("start", "by start")
    assert all(abs(request.time - time.time()) < 60 for request in asked)
    assert not any(reader.event_done(request.id) for request in asked)
    store.forget_events([asked[0].id])
    assert reader.pending_events() == asked[1:] and reader.event_done(asked[0].id)
    reader.close()


def test_requests_that_somebody_keeps_locked_are_not_waited_for(store: Store) -> None:
    request = store.add_event("j", "stop", "me")
    lock = open_lock(store.paths.events.with_name("events.json.lock"))
    assert lock_within(lock)
    with at_most(1), pytest.raises(TryAgain):
        store.forget_events([request.id])
    os.close(lock)


def test_declarations_are_decided_on_under_the_lock(store: Store) -> None:
    reader = Store(store.paths)
    assert not reader.jobs_changed() and reader.job("j") is None
    seen: list[dict[str, JobRecord]] = []

    def decide(present: Any) -> list[Change]:
        seen.append(dict(present))
        return [Change("j", DOCUMENT, {"result": "x"}), Change("gone", None)]

    generation = store.jobs_generation
    first = store.declare(decide)
    assert set(first) == {"j"} and store.jobs_generation != generation
    assert reader.jobs_changed() and reader.job("j") == first["j"] == store.job("j")
    second = store.declare(decide)
    assert seen == [{}, first] and second["j"].revision == 2
    assert second["j"].created == first["j"].created and abs(first["j"].created - time.time()) < 60
    assert store.declare(lambda present: []) == {} and store.job("j") == second["j"]
    assert store.declare(lambda present: [Change("j", None)]) == {} and store.job("j") is None
    reader.close()


def test_only_a_run_on_record_is_in_the_history(store: Store) -> None:
    assert not store.in_history("j", "r1")
    for number in range(60):
        store.add_history("j", {"run_id": f"r{number}", "time_ended": float(number)})
    assert store.in_history("j", "r59") and store.in_history("j", "r10")
    assert not store.in_history("j", "r9"), "asked of the newest only"
    assert not store.in_history("j", "r60")
    store.tidy_history("j")
    left = store.paths.history("j").with_name(store.paths.history("j").name + ".tmp")
    left.write_bytes(b"half")
    store.tidy_history("j")
    assert not left.exists() and len(store.history("j", 99)) == 60


# -- history ----------------------------------------------------------------------------------


@settings(max_examples=40)
@given(
    ages=st.lists(st.integers(0, 60), min_size=1, max_size=10),
    entries=st.integers(1, 12),
    days=st.integers(1, 60),
)
def test_too_many_and_too_old_entries_go_and_the_newest_stays(
    tmp_path_factory: pytest.TempPathFactory, ages: list[int], entries: int, days: int
) -> None:
    store = new_store(tmp_path_factory.mktemp("home"))
    now = time.time() + 3600  # between two days
    ages = sorted(ages, reverse=True)
    for number, age in enumerate(ages):
        entry = {"run_id": f"r{number}", "time_ended": now - age * 86400.0}
        store.add_history("j", entry)
    store.bound_history("j", f"r{len(ages) - 1}", Bounds(entries, days, 10**9))
    young = [age for age in ages[::-1] if age <= days][:entries]
    assert len(store.history("j", 99)) == max(len(young), 1)
    store.close()


@given(st.lists(st.sampled_from(["run", "skip", "torn", "blank", "number", "undated"]), max_size=8))
def test_whatever_lies_between_them_the_entries_are_read(
    tmp_path_factory: pytest.TempPathFactory, kinds: list[str]
) -> None:
    path = tmp_path_factory.mktemp("history") / "history.jsonl"
    assert history.oldest(path) is None and list(history.newest_first(path)) == []
    lines, entries = [], []
    for number, kind in enumerate(kinds):
        entry: dict[str, Any] = {"time_ended": number, "run_id": f"r{number}"}
        if kind == "skip":
            del entry["run_id"]
        if kind in ("run", "skip"):
            entries.append(entry)
        torn = {"torn": '{"time_en', "blank": " ", "number": "7", "undated": '{"run_id": "x"}'}
        lines.append(torn.get(kind) or json.dumps(entry))
    path.write_text("\n".join(lines))
    assert list(history.newest_first(path)) == entries[::-1]
    assert history.oldest(path) == (entries[0] if entries else None)
    assert history.runs(path, 99) == [e for e in entries[::-1] if "run_id" in e]
    assert history.skipped(path, 99) == [e for e in entries[::-1] if "run_id" not in e]


def test_replacing_a_record_changes_nothing_else() -> None:
    record = JobRecord.new(Change("j", DOCUMENT), 5.0)
    again = record.replaced(DOCUMENT, 9.0)
    assert again == record._replace(revision=2, changed=9.0)


def test_a_history_of_nothing_is_bounded_too(store: Store) -> None:
    store.bound_history("j", "never recorded", Bounds(1, 1, 1))
    store.expire_history("j", Bounds(1, 1, 1), declared=True)
    assert store.history("j", 9) == []


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOMEM, errno.EISDIR, errno.EINTR])
def test_only_a_bad_sector_is_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """What cannot be read just now is not replaced by what was before it."""
    path = tmp_path / "x.json"
    storage = AtomicJSONStorage(path, "x")
    with storage.transaction():
        storage.write({"t": {"1": {}}})

    def fail(*dummy: object, **more: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("coldchain.store.json_file.open", fail, raising=False)
    wanted = DataError if number == errno.EIO else Unavailable
    with pytest.raises(wanted, match=r"x\.json"):
        AtomicJSONStorage(path, "x").read()
    assert path.exists()
    storage.close()

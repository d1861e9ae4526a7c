# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""No crash, no second writer and no bad byte loses what was acknowledged."""

from __future__ import annotations

import io
import itertools
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
import zlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stores import new_store
from waiting import LIMIT, ended

from coldchain.core.errors import CannotWrite, DataError, TryAgain, Unavailable
from coldchain.core.paths import Paths
from coldchain.store import Change, State, Store, migrations, rows
from coldchain.store import json_file as storage_module
from coldchain.store.json_file import AtomicJSONStorage
from coldchain.store.migrations import Tables
from coldchain.store.rows import Row

HERE = Path(__file__).resolve()
PACKAGE = HERE.parents[4] / "roles" / "runner" / "files"


def document(job_id: str, text: str = "") -> Change:
    return Change(job_id, {"job_id": job_id, "job_actions": [], "description": text})


def test_reading_an_empty_installation_writes_nothing(tmp_path: Path) -> None:
    new_store(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    reader = Store.open(Paths.under(tmp_path), create=False)
    assert (reader.jobs(), reader.states(), reader.pending_events()) == ({}, {}, [])
    assert reader.history("x", 5) == []
    assert not reader.runner_alive()
    assert sorted(tmp_path.rglob("*")) == before


KEYS = st.sampled_from(["a", "b", "c-1", "d.e"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
STEPS = st.lists(st.tuples(KEYS, st.none() | st.dictionaries(st.text(), VALUES, max_size=4)))


@settings(max_examples=60)
@given(steps=STEPS)
def test_what_is_declared_is_what_any_reader_finds(
    steps: list[tuple[str, dict[str, object] | None]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    home = tmp_path_factory.mktemp("store")
    writer, model = new_store(home), {}
    reader = Store.open(Paths.under(home), create=False)
    for key, value in steps:
        writer.apply([Change(key, value)])
        if value is None:
            model.pop(key, None)
        else:
            model[key] = value
        assert {k: r.document for k, r in reader.jobs().items()} == model
    assert {k: r.document for k, r in Store(Paths.under(home)).jobs().items()} == model


def test_an_empty_decision_and_a_failing_one_leave_the_file_alone(tmp_path: Path) -> None:
    store = new_store(tmp_path)
    store.apply([document("a")])
    before = os.stat(store.paths.jobs)
    assert store.declare(lambda present: []) == {}

    def fails(present: object) -> list[Change]:
        raise DataError("no")

    with pytest.raises(DataError):
        store.declare(fails)
    assert os.stat(store.paths.jobs) == before
    assert list(store.jobs()) == ["a"]


def test_files_are_private(tmp_path: Path) -> None:
    store = new_store(tmp_path)
    store.apply([document("a")])
    store.add_event("a", "start", "test")
    store.commit_states({"a": State()})
    assert store.paths.lib.stat().st_mode & 0o777 == 0o700
    for path in store.paths.lib.iterdir():
        if path.is_file():
            assert path.stat().st_mode & 0o777 == 0o600, path


def test_a_damaged_file_is_put_aside_and_the_last_good_generation_used(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = new_store(tmp_path)
    store.apply([document("a")])
    store.apply([document("b")])
    raw = store.paths.jobs.read_bytes()
    for damage in (raw[:-9], b"", raw.replace(b'"b"', b'"x"', 1), b"\0" * len(raw)):
        store.paths.jobs.write_bytes(damage)
        reader = Store.open(Paths.under(tmp_path), create=False)
        assert list(reader.jobs()) == ["a"]
        assert "jobs.json" in caplog.text and "generation" in caplog.text
        writer = new_store(tmp_path)
        writer.apply([document("b")])
        assert set(Store(writer.paths).jobs()) == {"a", "b"}
    assert list(store.paths.lib.glob("jobs.json.damaged-*"))


@pytest.mark.parametrize("missing", [False, True])
@pytest.mark.parametrize("kept", [True, False])
def test_what_a_writer_puts_in_the_place_of_a_damaged_file_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: bool, kept: bool
) -> None:
    """Also when that happens while a reader looks at the generation before; kept: there is one."""
    store = new_store(tmp_path)
    store.add_event("a", "start", "me")
    store.add_event("b", "start", "me")
    if missing:
        store.paths.events.rename(tmp_path / "elsewhere")
    else:
        store.paths.events.write_bytes(b"garbage")
    previous = store.paths.events.with_name("events.json.previous")
    if not kept:
        previous.unlink()
    reader, opened = Store(store.paths), storage_module.open_ours
    writes = iter([lambda: new_store(tmp_path).add_event("c", "start", "me")])

    def meanwhile(path: Path) -> int:
        try:
            return opened(path)
        finally:
            if path == previous:
                next(writes, lambda: None)()

    monkeypatch.setattr(storage_module, "open_ours", meanwhile)
    reader.pending_events()
    assert not kept or next(writes, None) is None, "the writer has written in between"
    assert "c" in {event.job_id for event in reader.pending_events()} or (missing and not kept)


def test_a_missing_file_is_not_said_to_have_been_put_aside(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = new_store(tmp_path)
    store.apply([document("a")])
    store.apply([document("b")])
    store.paths.jobs.unlink()
    new_store(tmp_path).apply([document("c")])
    assert "is missing; using the generation before it" in caplog.text
    assert "is now" not in caplog.text
    assert set(Store(store.paths).jobs()) == {"a", "c"}
    store.paths.jobs.unlink()
    new_store(tmp_path).tidy()  # as a runner does that begins
    assert store.paths.jobs.exists() and set(Store(store.paths).jobs()) == {"a"}
    assert [(it.kind, it.aside) for it in Store(store.paths).damages()][-1] == ("jobs", True)


def test_requests_are_acted_on_as_they_came_whatever_the_clock_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, real, back = new_store(tmp_path), time.time, itertools.count(0, 3600)
    monkeypatch.setattr(time, "time", lambda: real() - next(back))
    for event in ("start", "abort", "stop"):
        new_store(tmp_path).add_event("j", event, "a test")
    assert [event.event for event in store.pending_events()] == ["start", "abort", "stop"]


def test_nothing_is_silently_started_empty(tmp_path: Path) -> None:
    store = new_store(tmp_path)
    store.apply([document("a")])
    store.paths.jobs.write_bytes(b"{")
    with pytest.raises(DataError, match="no earlier generation"):
        Store(store.paths).jobs()
    with pytest.raises(DataError, match="no earlier generation"):
        Store(store.paths).apply([document("b")])
    assert store.paths.jobs.read_bytes() == b"{"


@pytest.mark.parametrize("text", ["[]", '{"jobs": {}}', '"x"', '{"_format": {"1": {}}}'])
def test_a_file_that_is_not_ours_is_refused_and_kept(tmp_path: Path, text: str) -> None:
    store = new_store(tmp_path)
    store.paths.jobs.write_text(text)
    store.paths.jobs.chmod(0o600)
    with pytest.raises(DataError, match="not a database of coldchain"):
        store.apply([document("a")])
    assert store.paths.jobs.read_text() == text


def test_a_newer_format_is_refused_and_kept(tmp_path: Path) -> None:
    store = new_store(tmp_path)
    store.apply([document("a")])
    text = store.paths.jobs.read_text().replace('"version":1', '"version":2')
    store.paths.jobs.write_text(text)
    with pytest.raises(DataError, match="has format 2"):
        Store(store.paths).jobs()
    assert store.paths.jobs.read_text() == text


@pytest.mark.parametrize("table", ["jobs", "events", "state"])
def test_a_field_of_a_later_release_is_no_damage(tmp_path: Path, table: str) -> None:
    """The way back to the release before: it ignores what it does not know yet."""
    paths = Paths.under(tmp_path)
    store = new_store(tmp_path)
    store.apply([document("a")])
    store.commit_states({"a": State(result="success")})
    store.add_event("a", "start", "somebody")
    before = (dict(store.jobs()), dict(store.states()), store.pending_events())
    store.close()
    path = {"jobs": paths.jobs, "events": paths.events, "state": paths.state}[table]
    storage = AtomicJSONStorage(path, path.stem)
    with storage.transaction():
        tables = storage.read()
        assert tables is not None
        (key,) = tables[table]
        storage.write({**tables, table: {key: {**tables[table][key], "a_later_field": {"x": 1}}}})
    assert b"a_later_field" in path.read_bytes()
    store = new_store(tmp_path)
    assert (dict(store.jobs()), dict(store.states()), store.pending_events()) == before


def _with_titles(kind: str, tables: Tables) -> Tables:
    """A step to a format in which a description is called title."""
    if kind != "jobs":
        return tables
    rows = {}
    for job_id, row in tables.get("jobs", {}).items():
        rest = {key: value for key, value in row["document"].items() if key != "description"}
        rows[job_id] = {**row, "document": {**rest, "title": row["document"]["description"]}}
    return {**tables, "jobs": rows}


def test_an_older_format_is_read_at_once_and_migrated_by_the_first_writer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = new_store(tmp_path)
    store.apply([document("a", "first"), document("b", "second")])
    store.commit_states({"a": State(result="success")})
    old, path = store.paths.jobs.read_bytes(), store.paths.jobs
    copy = path.with_name("jobs.json.v1")
    store.close()
    monkeypatch.setattr(migrations, "STEPS", [_with_titles])
    reader = Store.open(Paths.under(tmp_path), create=False)
    assert {k: r.document["title"] for k, r in reader.jobs().items()} == {
        "a": "first",
        "b": "second",
    }
    assert path.read_bytes() == old and not copy.exists(), "reading writes nothing"
    writer = new_store(tmp_path)
    writer.tidy()
    assert copy.read_bytes() == old and copy.stat().st_mode & 0o777 == 0o600
    assert b'"version":2' in path.read_bytes() and b'"title":"first"' in path.read_bytes()
    assert writer.state("a") == State(result="success")
    assert reader.jobs() == writer.jobs()
    writer.apply([Change("c", {"job_id": "c", "title": "third"})])
    assert copy.read_bytes() == old, "the copy is made once"
    # Back to the release before: refused with the way back, nothing written.
    monkeypatch.setattr(migrations, "STEPS", [])
    new = path.read_bytes()
    with pytest.raises(DataError, match="has format 2") as refused:
        new_store(tmp_path).apply([document("d")])
    assert f"mv {copy} {path}" in refused.value.hint and path.read_bytes() == new
    copy.rename(path)
    assert set(new_store(tmp_path).jobs()) == {"a", "b"}


def test_a_generation_in_an_older_format_still_helps_after_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = new_store(tmp_path)
    store.apply([document("a", "first")])
    monkeypatch.setattr(migrations, "STEPS", [_with_titles])
    new_store(tmp_path).tidy()
    store.paths.jobs.write_bytes(b"{")
    assert new_store(tmp_path).jobs()["a"].document["title"] == "first"


def test_what_a_crash_left_of_a_commit_is_removed_at_the_start(tmp_path: Path) -> None:
    store = new_store(tmp_path)
    store.apply([document("a")])
    left = [store.paths.lib / "jobs.json.tmp", store.paths.lib / "jobs.json.link"]
    for path in left:
        path.write_bytes(b"half")
    store.tidy()
    assert not any(path.exists() for path in left)
    assert set(store.jobs()) == {"a"}


def test_another_database_under_the_wrong_name_is_refused(tmp_path: Path) -> None:
    store = new_store(tmp_path)
    store.commit_states({"a": State()})
    store.paths.state.rename(store.paths.jobs)
    with pytest.raises(DataError, match="holds 'state', expected 'jobs'"):
        Store(store.paths).jobs()


def test_a_link_and_a_file_that_others_can_write_are_refused(tmp_path: Path) -> None:
    store = new_store(tmp_path)
    store.apply([document("a")])
    store.paths.jobs.chmod(0o620)
    with pytest.raises(Unavailable, match="somebody else could have written"):
        Store(store.paths).jobs()
    store.paths.jobs.rename(tmp_path / "elsewhere")
    store.paths.jobs.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Unavailable, match="symbolic link"):
        Store(store.paths).jobs()


def test_a_directory_that_others_can_write_is_refused(tmp_path: Path) -> None:
    store = new_store(tmp_path)
    store.paths.lib.chmod(0o777)
    with pytest.raises(Unavailable, match="can be written by others") as caught:
        Store.open(store.paths, create=False)
    assert caught.value.hint.startswith("chmod go-w")


def test_at_the_start_of_a_runner_every_place_is_closed_and_links_are_refused(
    tmp_path: Path,
) -> None:
    store = new_store(tmp_path)
    paths = store.paths
    store.apply([document("a")])
    store.add_history("a", {"run_id": "r", "time_ended": 1.0})
    (paths.runs / "some-run").mkdir()
    opened = [paths.lib, paths.jobs, paths.runs / "some-run", paths.job_log("a")]
    for path in opened:
        path.chmod(path.stat().st_mode | 0o055)
    told = paths.secure()
    assert {line.split(":")[0] for line in told} == {str(path) for path in opened}
    assert all(path.stat().st_mode & 0o077 == 0 for path in opened)
    assert paths.secure() == []
    for place in (paths.lib / "x.json", paths.log / "job", paths.runs / "run"):
        place.symlink_to(tmp_path)
        with pytest.raises(Unavailable, match="symbolic link"):
            paths.secure()
        place.unlink()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
@pytest.mark.parametrize("name", ["lib/state.json", "log/job", "lib/runs/run"])
def test_a_foreign_owner_is_refused_at_the_start_of_a_runner(tmp_path: Path, name: str) -> None:
    paths = new_store(tmp_path).paths
    place = tmp_path / name
    place.mkdir()
    os.chown(place, 12345, 12345)
    with pytest.raises(Unavailable, match="belongs to user id 12345"):
        paths.secure()


def test_a_missing_installation_names_the_role(tmp_path: Path) -> None:
    with pytest.raises(Unavailable) as caught:
        Store.open(Paths.under(tmp_path / "nothing"), create=False)
    assert "coldchain.freezer.runner" in caught.value.hint


def test_a_second_writer_waits_and_then_says_so(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    first, second = AtomicJSONStorage(path, "x"), AtomicJSONStorage(path, "x")
    with first.transaction():
        with pytest.raises(TryAgain, match="held by another process"), second.transaction(0.05):
            pass
        first.write({"t": {"1": {}}})
    assert second.read() == {"t": {"1": {}}}


def test_a_write_outside_of_a_transaction_is_our_bug(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError):
        AtomicJSONStorage(tmp_path / "x.json", "x").write({})


@pytest.mark.parametrize("call", ["writev", "fsync", "rename", "open"])
def test_a_failing_disk_leaves_file_and_memory_as_they_were(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    store = new_store(tmp_path)
    store.apply([document("a", "before")])
    real = getattr(os, call)

    def broken(*args: object, **kwargs: object) -> object:
        if call == "open" and not str(args[0]).endswith(".tmp"):  # the lock file opens
            return real(*args, **kwargs)
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(storage_module.os, call, broken)
        with pytest.raises(CannotWrite, match="nothing was changed") as caught:
            store.apply([document("a", "after"), document("b")])
    assert "make room" in caught.value.hint
    for reader in (store, Store(store.paths)):
        assert {k: r.document["description"] for k, r in reader.jobs().items()} == {"a": "before"}
    assert not list(store.paths.lib.glob("*.tmp"))
    store.apply([document("b")])
    assert set(Store(store.paths).jobs()) == {"a", "b"}


def _insert(home: str, writer: int, count: int) -> None:
    store = new_store(Path(home))
    for number in range(count):
        store.apply([document(f"w{writer}-{number}")])


def test_four_writers_at_once_lose_nothing(tmp_path: Path) -> None:
    new_store(tmp_path)
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_insert, args=(str(tmp_path), n, 25)) for n in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(LIMIT)
        assert worker.exitcode == 0
    assert len(Store(Paths.under(tmp_path)).jobs()) == 100


_VICTIM = """
import sys
from pathlib import Path
from coldchain.core.paths import Paths
from coldchain.store import Change, Store
store = Store.open(Paths.under(Path(sys.argv[1])), create=True)
n = int(sys.argv[2])
while True:
    n += 1
    text = "x" * (n * 7919 % 5000)  # grows and shrinks
    store.apply([Change("job", {"job_id": "job", "n": n, "text": text})])
    print(n, flush=True)
"""


def test_kill_9_in_the_middle_of_writes_loses_no_acknowledged_one(tmp_path: Path) -> None:
    acknowledged = 0
    for round_number in range(15):
        victim = subprocess.Popen(
            [sys.executable, "-c", _VICTIM, str(tmp_path), str(acknowledged)],
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(PACKAGE)},
        )
        assert victim.stdout is not None
        victim.stdout.readline()
        time.sleep(0.003 * round_number)
        victim.send_signal(signal.SIGKILL)
        lines = victim.stdout.read().split()
        victim.stdout.close()
        ended(victim)
        record = Store(Paths.under(tmp_path)).job("job")
        assert record is not None
        acknowledged = max([acknowledged, *map(int, lines)])
        assert record.document["n"] >= acknowledged
        assert len(record.document["text"]) == record.document["n"] * 7919 % 5000
        acknowledged = record.document["n"]


def test_only_changed_rows_are_encoded_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = new_store(tmp_path)
    store.commit_states({f"j{n}": State(result="success") for n in range(200)})
    encoded: list[str] = []
    real = Row.of
    monkeypatch.setattr(Row, "of", lambda key, row: encoded.append(key) or real(key, row))
    store.commit_states({"j7": State(result="fail")})
    assert encoded == ["j7"]
    assert Store(store.paths).state("j7").result == "fail"


def test_every_row_is_a_line_and_any_layout_of_the_json_is_read(tmp_path: Path) -> None:
    store = new_store(tmp_path)
    store.apply([document("a", 'x\n"}},\n"y":{\n}\u2028'), document("b", "\ud800")])
    raw = store.paths.jobs.read_bytes()
    assert raw.count(b"\n") == 5  # head, table, two rows, end
    tables = json.loads(raw)
    mark = tables.pop("_format")["1"]
    body = json.dumps(tables, indent=2)[1:].encode()
    mark["crc32"] = f"{zlib.crc32(body):08x}"
    head = json.dumps({"_format": {"1": mark}}, separators=(",", ":"))[:-1].encode()
    store.paths.jobs.write_bytes(head + b"," + body)
    assert Store(store.paths).jobs() == store.jobs()
    store.apply([document("c")])
    assert set(Store(store.paths).jobs()) == {"a", "b", "c"}


def _parsed(pieces: list[bytes]) -> rows.Tables:
    return rows.parse(io.BytesIO(b"".join(pieces)))


@given(key=st.text(), value=st.dictionaries(st.text(), VALUES, max_size=4))
def test_a_row_gives_back_its_key_and_its_value(key: str, value: dict[str, object]) -> None:
    row = Row.of(key, value)
    assert b"\n" not in row.line
    assert (row.key, row.value()) == (key, value)
    assert (dict(row), len(row)) == (value, len(value))
    assert _parsed(rows.Lines().of({key: {key: row}}))[key][key] == value


_CHANGES = st.lists(
    st.tuples(st.sampled_from("ab"), st.integers(0, 20), st.none() | st.integers(0, 3)),
    max_size=6,
)


@given(st.lists(_CHANGES, max_size=8))
def test_lines_that_are_kept_are_those_that_would_be_made(commits) -> None:
    """Three rows are put together at a time, and so many as there are for one writer."""
    lines, tables = rows.Lines(), {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rows, "_BLOCK", 3)
        for changes in commits:
            tables = {name: rows.Rows(table) for name, table in tables.items()}
            for name, key, value in changes:
                table = tables.setdefault(name, rows.Rows())
                if value is None:
                    table.pop(str(key), None)
                else:
                    table[str(key)] = Row.of(str(key), {"value": value})
            tables = {name: table for name, table in tables.items() if table or name == "a"}
            made = b"".join(lines.of(tables))
            assert made == b"".join(rows.Lines().of(tables))
            parsed = _parsed([made])
            assert {name: [*table.items()] for name, table in parsed.items()} == {
                name: [*table.items()] for name, table in tables.items()
            }

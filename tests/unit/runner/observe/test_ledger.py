# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""No line of the ledger can be changed unseen, and no crash looks as if somebody had."""

from __future__ import annotations

import contextlib
import errno
import io
import json
import logging
import multiprocessing
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from homes import needs_root
from hypothesis import given, settings
from hypothesis import strategies as st
from ledgers import Content, content, done, ended, place, put, said
from power_cut import Disk
from waiting import joined
from waiting import until as wait_until

from coldchain.core import files as files_module
from coldchain.core.digest import canonical_json, sha256_hex
from coldchain.core.errors import CannotWrite, TryAgain, Unavailable
from coldchain.core.locks import lock_within, open_lock
from coldchain.observe.ledger import subscriber, writer
from coldchain.observe.ledger.check import LedgerVerdict, verify
from coldchain.observe.ledger.format import (
    FILE,
    HEAD,
    LOCK,
    Act,
    Head,
    actor,
    aside,
    last_digest,
    number_of,
)
from coldchain.observe.ledger.look import look
from coldchain.observe.ledger.reading import digest_of, entries
from coldchain.observe.ledger.renewal import renew
from coldchain.observe.ledger.subscriber import RunLedger
from coldchain.observe.ledger.writer import Ledger


@contextlib.contextmanager
def small_files() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(writer, "FILE_BYTES", 800)
        patch.setattr(writer, "FILES_ASIDE", 2)
        for name in ("fsync", "fdatasync"):  # no power is cut here
            patch.setattr(os, name, lambda _: None)
        yield


def written(number: int) -> list[Content]:
    """The files after each of so many entries, with small files."""
    with place() as lib, small_files():
        lib.mkdir()
        states: list[Content] = [{}]
        for count in range(number):
            Ledger(lib).write(done(count))
            states.append(content(lib))
        return states


STATES = written(16)
FULL = STATES[-1]
NAMES = sorted(FULL)


def test_what_is_written_is_whole_and_in_order(tmp_path: Path) -> None:
    assert len(NAMES) == 4, "the file is put aside, and of those that lie there two are kept"
    ledger = put(tmp_path / "lib", FULL)
    verdict = verify(ledger)
    assert verdict.ok and not verdict.notes
    head = ledger.head()
    assert head is not None and (verdict.entries, verdict.head) == (head.entries, head.digest)
    kept = said(ledger.lib)
    assert [entry["n"] for entry in kept] == list(range(kept[0]["n"], head.entries + 1))
    assert kept[0]["n"] > 1
    dropped = [entry for entry in kept if entry["what"] == "ledger"]
    assert {entry["did"] for entry in dropped} == {"dropped"}
    assert dropped[-1]["through"] == kept[0]["n"] - 1
    assert look(ledger) == (head, [])
    assert {path.stat().st_mode & 0o777 for path in ledger.lib.iterdir()} == {0o600}


def lines_of(draw: st.DrawFn, raw: bytes) -> tuple[list[bytes], int, int]:
    lines = raw.splitlines(keepends=True)
    return lines, draw(st.integers(0, len(lines) - 1)), draw(st.integers(0, len(lines) - 1))


def changes(value: Any) -> st.SearchStrategy[Any]:
    """Other values of the same kind."""
    if isinstance(value, int):
        return st.integers(max(0, value - 2), value + 2)
    if isinstance(value, str):
        letters = st.tuples(st.integers(0, len(value) - 1), st.sampled_from("0a"))
        return letters.map(lambda it: value[: it[0]] + it[1] + value[it[0] + 1 :])
    return st.just(1) if value is None else st.just({**value, "uid": 7})


def begins(head: bytes) -> int:
    return int(json.loads(head)["first"])


KINDS = ["fact"] * 3 + ["chain", "name", "byte", "insert", "cut", "out", "swap", "double"]
KINDS += ["gone", "old"]


@st.composite
def edits(draw: st.DrawFn) -> Content:
    """The files after somebody laid hands on one."""
    files, name = dict(FULL), draw(st.sampled_from(NAMES))
    raw = files[name]
    at, other = sorted(draw(st.tuples(*[st.integers(0, len(raw) - 1)] * 2)))
    kind = draw(st.sampled_from(KINDS))
    lines, one, two = lines_of(draw, raw)
    if kind == "fact":  # by somebody who knows how a line has to look
        entry = json.loads(lines[one])
        key = draw(st.sampled_from(sorted(entry)))
        entry[key] = draw(changes(entry[key]))
        line = canonical_json(entry)
        lines[one] = (line.ljust(255) if name == HEAD else line) + b"\n"
        files[name] = b"".join(lines)
    elif kind == "chain":  # and writes all lines after it anew, as far as the file goes
        if name != HEAD:
            lines[one] = canonical_json({**json.loads(lines[one]), "who": {"uid": 1}}) + b"\n"
            for number in range(one + 1, len(lines)):
                before = sha256_hex(lines[number - 1][:-1])
                lines[number] = (
                    canonical_json({**json.loads(lines[number]), "prev": before}) + b"\n"
                )
        files[name] = b"".join(lines)
    elif kind == "name":
        del files[name]
        files[draw(st.sampled_from([aside(2), aside(7), aside(900), "ledger.5.jsonl", *NAMES]))] = (
            raw
        )
    elif kind == "byte":
        files[name] = raw[:at] + bytes([draw(st.integers(0, 255))]) + raw[at + 1 :]
    elif kind == "insert":
        files[name] = raw[:at] + draw(st.binary(min_size=1, max_size=40)) + raw[at:]
    elif kind == "cut":
        files[name] = raw[:at]
    elif kind == "out":
        files[name] = raw[:at] + raw[other:]
    elif kind == "swap":
        lines[one], lines[two] = lines[two], lines[one]
        files[name] = b"".join(lines)
    elif kind == "double":
        files[name] = b"".join([*lines[:one], lines[two], *lines[one:]])
    elif kind == "gone":
        del files[name]
    else:  # as it was before
        older = [state[name] for state in STATES[:-1] if name in state]
        if name == HEAD:  # an older one of the same file is what a writer leaves for a while
            older = [head for head in older if begins(head) != begins(raw)]
        files[name] = draw(st.sampled_from(older)) if older else raw[:at]
    return files


@settings(max_examples=300)
@given(edits())
def test_every_edit_is_found_and_the_next_entry_does_not_hide_it(files: Content) -> None:
    with place() as lib:
        ledger = put(lib, files)
        before = verify(ledger)
        assert before.ok == (files == FULL)
        if files == FULL:
            return
        with small_files():
            ledger.write(done(99))
        assert not verify(ledger).ok
        assert said(lib)[-1]["job_id"] == "job-99", "and what is done is still put down"


def touched(path: Path) -> int:
    path.touch()
    return path.stat().st_ctime_ns


@settings(max_examples=100)
@given(edits())
def test_a_writer_that_stays_sees_what_was_done_meanwhile(files: Content) -> None:
    """It does not read again what it has written, unless somebody else has."""
    with place() as lib, small_files():
        stays = put(lib, STATES[-2])
        stays.write(done(15))
        wrote = (lib / HEAD).stat().st_ctime_ns
        wait_until(lambda: touched(lib.parent / "clock") != wrote)
        for name in content(lib).keys() - files.keys():
            (lib / name).unlink()
        for name, raw in files.items():
            (lib / name).write_bytes(raw)
        stays.write(done(99))
        assert verify(Ledger(lib)).ok == (files == FULL)
        assert said(lib)[-1]["job_id"] == "job-99"


@settings(max_examples=40)
@given(st.sampled_from(range(1, len(STATES) - 1)), st.data())
def test_a_writer_that_dies_at_any_byte_leaves_nothing_altered(count: int, data: Any) -> None:
    before, after = STATES[count], STATES[count + 1]
    if before.keys() - {FILE} == after.keys() - {FILE}:
        new = after[FILE][len(before.get(FILE, b"")) :]
        states = [{**before, FILE: before.get(FILE, b"") + new[:length]} for length in range(1)]
        length = data.draw(st.integers(0, new.index(b"\n") + 1))
        states.append({**before, FILE: before.get(FILE, b"") + new[:length]})
    else:
        # The file was put aside, and then the head was written, and then the line.
        (name,) = after.keys() - before.keys()
        moved = {k: v for k, v in before.items() if k != FILE} | {name: before[FILE]}
        states = [moved]
    for state in states:
        with place() as lib, small_files():
            ledger = put(lib, state)
            assert verify(ledger).ok
            assert look(ledger)[1] == []
            ledger.write(done(50))
            ledger.write(done(51))
            verdict = verify(ledger)
            assert verdict.ok and not verdict.notes, verdict
            jobs = [entry.get("job_id") for entry in said(lib)]
            assert jobs[-2:] == ["job-50", "job-51"] or "job-50" in jobs


def dying_at(step: int, lib: Path) -> bool:
    """Write an entry in which the process dies at the *step*th change of the disk; did it?"""
    left = step

    def dies(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            nonlocal left
            left -= 1
            if left < 0:
                raise KeyboardInterrupt
            return real(*arguments, **options)

        return call

    with pytest.MonkeyPatch.context() as patch:
        for name in ("write", "rename", "fsync", "fdatasync", "ftruncate", "unlink", "pwrite"):
            patch.setattr(os, name, dies(getattr(os, name)))
        try:
            Ledger(lib).write(done(70 + step))
        except KeyboardInterrupt:
            return True
    return False


@pytest.mark.parametrize("count", [0, 1, *range(3, 13)])
def test_a_writer_that_dies_again_and_again_leaves_nothing_altered(
    count: int, tmp_path: Path
) -> None:
    step, dead = 0, True
    while dead:
        ledger = put(tmp_path / "lib", STATES[count])
        with small_files():
            dead = dying_at(step, ledger.lib)
            for again in range(4):  # and of the next ones, each a little later
                assert verify(ledger).ok, (step, again)
                dying_at(again, ledger.lib)
            ledger.write(done(60))
        verdict = verify(ledger)
        assert verdict.ok and not verdict.notes
        assert said(ledger.lib)[-1]["job_id"] == "job-60"
        step += 1
    assert step >= 4


def test_what_is_written_outlives_a_power_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "FILE_BYTES", 500)
    monkeypatch.setattr(writer, "FILES_ASIDE", 2)
    disk = Disk(monkeypatch)
    for number in range(12):
        Ledger(tmp_path).write(done(number))
        lost = [line for line in disk.lost(tmp_path) if LOCK not in line]
        assert lost == [], "whether the disk forgets what was given up is all the same"
    assert verify(Ledger(tmp_path)).ok and len(list(tmp_path.iterdir())) == 5


def test_a_writer_leaves_no_descriptor_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether it has written, or could not: a runner writes for months."""
    monkeypatch.setattr(writer, "FILE_BYTES", 1000)
    ledger = Ledger(tmp_path)

    def fails(*_unused: Any) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    held = set(os.listdir("/proc/self/fd"))
    for number in range(6):
        ledger.write(done(number), later=number % 2 == 1)
        for call in ("write", "pwrite", "fdatasync"):
            with monkeypatch.context() as patch, contextlib.suppress(CannotWrite):
                patch.setattr(os, call, fails)
                ledger.write(done(number))
        ledger.count()
        Ledger(tmp_path).write(done(number))
    renew(ledger)
    assert set(os.listdir("/proc/self/fd")) == held


@pytest.mark.parametrize("field", ["entries", "first", "size", "damaged"])
def test_a_number_below_0_counts_nothing(tmp_path: Path, field: str) -> None:
    ledger = Ledger(tmp_path)
    head = ledger.write(done(0))
    assert Head.decode(head._replace(**{field: 0}).encode())
    (tmp_path / HEAD).write_bytes(head._replace(**{field: -1}).encode())
    with pytest.raises(ValueError, match="is no head"):
        ledger.head()
    line = (tmp_path / FILE).read_bytes()
    assert number_of(line) == 1
    assert number_of(line.replace(b'"n":1,', b'"n":-1,')) == 0


def test_of_a_name_behind_sudo_an_entry_keeps_a_hundred_characters(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for length in (1, 99, 100, 101, 5000):
        monkeypatch.setenv("SUDO_USER", "a" * length)
        assert actor()["sudo"] == "a" * min(length, 100)


def test_what_a_crash_left_is_told_by_an_entry(tmp_path: Path) -> None:
    def told(state: Content) -> dict[str, Any]:
        ledger = put(tmp_path / "lib", state)
        ledger.write(done(50))
        return said(ledger.lib)[-2]

    line = STATES[2][FILE][len(STATES[1][FILE]) :]
    torn = told({**STATES[1], FILE: STATES[1][FILE] + line[:30]})
    assert (torn["what"], torn["did"], torn["bytes"]) == ("ledger", "torn", 30)
    assert told({**STATES[1], FILE: STATES[2][FILE]})["job_id"] == "job-1", "that one is whole"
    for left in (b"", line):
        zeros = told({**STATES[1], FILE: STATES[1][FILE] + left + b"\0" * 4096 + b"x\n"})
        assert zeros["did"] == "torn"


def many(lib: Path, name: int) -> None:
    for number in range(25):
        Ledger(lib).write(done(1000 * name + number), patience=300)


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_writers_at_the_same_time_lose_nothing(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    with small_files(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(writer, "FILES_ASIDE", 1000)
        writers = [context.Process(target=many, args=(tmp_path, name)) for name in range(4)]
        for process in writers:
            process.start()
        while any(process.is_alive() for process in writers):
            assert verify(Ledger(tmp_path)).ok, "whoever reads meanwhile sees no damage"
            assert look(Ledger(tmp_path))[1] == []
        for process in writers:
            joined(process)
            assert process.exitcode == 0
    assert verify(Ledger(tmp_path)) == LedgerVerdict(100, verify(Ledger(tmp_path)).head)
    jobs = sorted(entry["job_id"] for entry in said(tmp_path))
    assert jobs == sorted(
        f"job-{1000 * name + number}" for name in range(4) for number in range(25)
    )


def test_a_head_that_was_seen_before_has_to_be_in_the_chain(tmp_path: Path) -> None:
    ledger = put(tmp_path / "lib", STATES[3])
    seen = ledger.head()
    assert seen is not None
    ledger.write(done(4))
    assert verify(ledger, (seen.entries, seen.digest)).ok
    shutil.rmtree(ledger.lib)
    ledger.lib.mkdir()
    for number in range(6):  # somebody writes it all anew
        ledger.write(done(number + 100))
    assert verify(ledger).ok
    assert not verify(ledger, (seen.entries, seen.digest)).ok
    put(ledger.lib, STATES[2])
    assert not verify(ledger, (seen.entries, seen.digest)).ok, "as it was before"


def test_the_digest_of_every_entry_is_told_until_it_is_given_up(tmp_path: Path) -> None:
    """Whatever was a head once is found again, through every file that was put aside since."""
    heads: dict[int, str] = {}
    kept_all = given_up = 0
    for state in STATES[1:]:
        ledger = put(tmp_path / "lib", state)
        head = ledger.head()
        assert head is not None
        heads[head.entries] = head.digest
        first = next(entry["n"] for _, entry in entries(ledger))
        for number, digest in heads.items():
            kept = number >= first - 1
            assert digest_of(ledger, number) == (digest if kept else None)
            assert verify(ledger, (number, digest)).ok == kept
            assert not verify(ledger, (number, "0" * 64)).ok
            given_up += not kept
        kept_all += len(state) > 2 and first == 1
        assert digest_of(ledger, head.entries + 1) is None
    assert given_up and kept_all, "nothing was put aside, or nothing given up"


def test_a_full_disk_adds_nothing_and_stops_no_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    ledger = put(tmp_path / "lib", STATES[2])
    real = os.write

    def full(descriptor: int, raw: Any) -> int:
        if len(raw) < 8:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(descriptor, bytes(raw[: len(raw) // 2]))

    monkeypatch.setattr(subscriber, "_AGAIN", 0.0)
    monkeypatch.setattr(subscriber, "MOST_WAITING", 3)
    runs = RunLedger(ledger.lib)
    with monkeypatch.context() as patch, caplog.at_level(logging.ERROR):
        patch.setattr(os, "write", full)
        with pytest.raises(CannotWrite, match="No space left"):
            ledger.write(done(3))
        for number in range(5):
            runs(ended(number))
            runs.step()
    assert caplog.text.count("the ledger cannot be written") == 1, "told once"
    assert {k: v for k, v in content(ledger.lib).items() if not k.endswith(".tmp")} == STATES[2]
    runs.step()  # there is room again
    assert verify(ledger).ok
    new = said(ledger.lib)[2:]
    assert [entry.get("job_id") for entry in new] == ["job-0", "job-1", "job-2", None]
    assert new[0]["actions"] == [{"action": "backup", "manifest_sha256": "0" * 64}]
    assert (new[-1]["did"], new[-1]["runs"]) == ("missed", 2)


def test_a_runner_does_not_wait_for_another_writer(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = open_lock(tmp_path / LOCK)
    assert lock_within(lock)
    with pytest.raises(TryAgain, match="held by another process"):
        Ledger(tmp_path).write(done(1), patience=0.0)
    began = time.monotonic()
    clock = [began]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    runs = RunLedger(tmp_path)
    runs(ended(1))
    for _second in range(15):
        assert not (tmp_path / FILE).exists()
        assert not caplog.text or clock[0] >= began + 10, "commands write all the time"
        clock[0] += 1
        runs.step()
    assert caplog.text.count("held by another process") == 1
    os.close(lock)
    runs.close()
    assert [entry["job_id"] for entry in said(tmp_path)] == ["job-1"]


def not_a_file(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def a_link(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")


def a_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def garbage(path: Path) -> None:
    path.write_bytes(os.urandom(100) + b"\n" + b"[" * 100_000)


@pytest.mark.parametrize("name", [FILE, HEAD])
def test_a_file_that_others_can_write_is_told(name: str, tmp_path: Path) -> None:
    ledger = put(tmp_path / "lib", STATES[2])
    assert look(ledger)[1] == []
    (ledger.lib / name).chmod(0o666)
    (finding,) = look(ledger)[1]
    assert "others can write" in finding.text and f"chmod 600 {ledger.lib / name}" in finding.remedy


def test_a_lock_that_is_none_is_told(tmp_path: Path) -> None:
    ledger = put(tmp_path / "lib", STATES[2])
    (ledger.lib / LOCK).mkdir()
    with pytest.raises(CannotWrite, match="Is a directory"):
        ledger.write(done(3))
    (finding,) = look(ledger)[1]
    assert "is not a file" in finding.text


@needs_root
@pytest.mark.parametrize("name", [FILE, HEAD])
def test_that_nothing_can_be_written_has_its_own_remedy(tmp_path: Path, name: str) -> None:
    ledger = put(tmp_path / "lib", STATES[2])
    words = ["mount", "-o", "bind", str(ledger.lib / name), str(ledger.lib / name)]
    subprocess.run(words, check=True)
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", str(ledger.lib / name)], check=True)
        (finding,) = look(ledger)[1]
        assert verify(ledger).ok
    finally:
        subprocess.run(["umount", str(ledger.lib / name)], check=True)
    assert "cannot be written" in finding.text and finding.remedy == "mount it read-write"


def test_a_file_that_is_gone_is_called_by_its_name(tmp_path: Path) -> None:
    ledger = put(tmp_path / "lib", STATES[2])
    (ledger.lib / FILE).unlink()
    (finding,) = look(ledger)[1]
    assert finding.text == f"{ledger.lib / FILE} is gone"


@pytest.mark.parametrize("name", [FILE, HEAD])
@pytest.mark.parametrize("spoil", [not_a_file, a_link, a_directory, garbage])
def test_whatever_lies_there_is_told_and_nothing_fails(
    spoil: Callable[[Path], None], name: str, tmp_path: Path
) -> None:
    ledger = put(tmp_path / "lib", STATES[2])
    spoil(ledger.lib / name)
    assert not verify(ledger).ok
    _, findings = look(ledger)
    assert [finding.severity for finding in findings] == ["warning"]
    RunLedger(ledger.lib)(ended(1))
    assert not verify(ledger).ok
    assert look(ledger)[1]
    with contextlib.suppress(Unavailable):
        list(entries(ledger))


def test_the_head_is_not_lost_when_only_its_directory_could_not_be_synced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = put(tmp_path / "lib", STATES[2])

    def fails(path: Path) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch:
        patch.setattr(files_module, "sync_directory", fails)
        ledger.write(done(3))
    assert verify(ledger).ok and said(ledger.lib)[-1]["job_id"] == "job-3"


def test_altered_lines_of_any_form_can_be_shown(tmp_path: Path) -> None:
    ledger = put(tmp_path / "lib", STATES[1])
    odd = [b"[]", b'{"n": 1e400}', b'{"n": "x", "what": {}}', b"\xff\xfe", b"", b'{"time": 5}']
    (ledger.lib / FILE).write_bytes(b"\n".join([*odd, STATES[1][FILE]]))
    assert not verify(ledger).ok
    assert len(said(ledger.lib)) == 4
    assert json.loads(STATES[1][HEAD])["entries"] == 1


@pytest.mark.parametrize("length", [1, 4094, 4095, 4096, 65_534, 65_535, 70_000])
@pytest.mark.parametrize("before", [b"", b"another\n"])
def test_the_last_line_is_found_however_long_it_is(before: bytes, length: int) -> None:
    line = b"x" * length
    raw = before + line + b"\n"
    known = last_digest(io.BytesIO(raw + b"beyond"), len(raw))
    assert known == (None if len(raw) > 65_536 and length > 65_534 else sha256_hex(line))


@pytest.mark.parametrize("left", [(), (FILE,), (HEAD,), (FILE, HEAD)])
def test_a_ledger_that_is_gone_is_told_where_it_is_known_to_have_been(
    tmp_path: Path, left: tuple[str, ...]
) -> None:
    """left: what is removed, or everything with its lock."""
    ledger = Ledger(tmp_path, lambda: 3)
    for number in range(3):
        ledger.write(done(number))
    for path in [tmp_path / name for name in left] or list(tmp_path.iterdir()):
        path.unlink()
    assert not verify(ledger).ok and len(look(ledger)[1]) == 1
    new = Ledger(tmp_path)
    if set(left) in ({FILE, HEAD}, set()):  # as on a host that never had one
        assert verify(new) == LedgerVerdict(0, None) and look(new) == (None, [])
    head = ledger.write(done(3))
    assert head.damaged is not None and not verify(new).ok and look(new)[1]


def test_nothing_is_said_of_a_ledger_that_a_host_never_had(tmp_path: Path) -> None:
    def unreadable() -> int:
        raise Unavailable("state.json: is damaged", "")

    for known in (lambda: 0, unreadable):
        lib = tmp_path / known.__name__.strip("<>")
        lib.mkdir()
        ledger = Ledger(lib, known)
        assert verify(ledger) == LedgerVerdict(0, None) and look(ledger) == (None, [])
        assert ledger.write(done(0)).damaged is None and verify(ledger).ok


@pytest.mark.parametrize("name", [None, FILE, HEAD])
def test_a_new_ledger_begins_with_what_became_of_the_old_one(
    tmp_path: Path, name: str | None
) -> None:
    """name: the file that is damaged before."""
    ledger = Ledger(tmp_path, lambda: 5)
    for number in range(2):
        before = ledger.write(done(number))
    if name is not None:
        (tmp_path / name).write_bytes(b"x\n")
    place, head = renew(ledger)
    assert place is not None and (head.entries, head.damaged) == (1, None)
    assert verify(ledger).ok and not look(ledger)[1]
    assert sorted(path.name for path in place.iterdir()) == [HEAD, FILE]
    (entry,) = said(tmp_path)
    assert entry["did"] == "renewed" and place.name in entry["text"]
    # Whatever of it is left tells how long it was, as far as anything does.
    assert entry["entries"] == 5 and entry["digest"] == before.digest
    assert f"the ledger of {before.entries} entries was put aside" in entry["text"]
    ledger.write(done(2))
    assert verify(ledger).ok
    assert renew(ledger)[0] != place  # also within the same second


def test_what_is_put_aside_outlives_a_power_cut_before_another_one_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "FILE_BYTES", 500)
    disk, lost = Disk(monkeypatch), []
    for number in range(5):
        Ledger(tmp_path).write(done(number))

    def begins(ledger: Ledger, head: Head, what: Act, real: Any = Ledger.append) -> Head:
        lost.append([line for line in disk.lost(tmp_path) if LOCK not in line])
        return real(ledger, head, what)

    monkeypatch.setattr(Ledger, "append", begins)
    place, _head = renew(Ledger(tmp_path))
    assert place is not None and len(list(place.iterdir())) > 2
    assert lost == [[]]
    assert [line for line in disk.lost(tmp_path) if LOCK not in line] == []


@pytest.mark.parametrize("known", [0, 5])
def test_where_no_ledger_is_a_new_one_says_that(tmp_path: Path, known: int) -> None:
    ledger = Ledger(tmp_path, lambda: known)
    place, head = renew(ledger)
    assert (place, head.entries, head.damaged) == (None, 1, None)
    (entry,) = said(tmp_path)
    lost = ": it once had 5 entries or more, and was gone" if known else ""
    assert entry["text"] == f"there was no ledger{lost}" and entry["digest"] is None
    assert entry["entries"] == known and not list(tmp_path.glob("ledger-*"))
    assert verify(ledger).ok and not look(ledger)[1]


def test_the_ledger_of_a_new_host_begins_before_anything_is_put_down(tmp_path: Path) -> None:
    """So that neither a crash looks like a removal, nor a removal like a host without one."""
    ledger = Ledger(tmp_path)
    assert ledger.begin() == 1
    assert verify(ledger).ok and not look(ledger)[1]  # whoever was to write has ended there
    known = Ledger(tmp_path, lambda: 1)
    (tmp_path / HEAD).unlink()
    assert not verify(known).ok and look(known)[1]
    assert known.begin() == 0  # what is gone is not begun anew without a word
    assert not verify(known).ok
    known.write(done(0))
    assert not verify(known).ok and known.begin() == 2


def test_the_runner_keeps_the_number_of_entries(tmp_path: Path) -> None:
    runs = RunLedger(tmp_path, lambda: 0)
    assert runs.entries is None
    runs(ended(0))
    assert runs.entries == 1
    runs(ended(1))
    runs.close()
    assert runs.entries == 2

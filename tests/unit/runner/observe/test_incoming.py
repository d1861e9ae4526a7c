# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the runner puts in as a line is taken out once, whoever is at work at the same time."""

from __future__ import annotations

import errno
import multiprocessing
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from waiting import joined

from coldchain.core.errors import CannotWrite
from coldchain.observe.incoming import Incoming
from coldchain.observe.outbox import Outbox, WaitingMessage

MANY = 400


def adds(place: Path, name: int) -> None:
    lines = Incoming(place)
    left = [f"{name}-{number}" for number in range(MANY)]
    while left:
        if lines.add(left[0], b"x" * (len(left) % 50)):
            left.pop(0)


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_nothing_is_lost_or_taken_twice_beside_who_adds(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=adds, args=(tmp_path, name)) for name in range(2)]
    for writer in writers:
        writer.start()
    found: list[str] = []
    lines = Incoming(tmp_path)
    while any(writer.is_alive() for writer in writers):
        lines.take(lambda name, message: found.append(name))
    for writer in writers:
        joined(writer)
    lines.take(lambda name, message: found.append(name))
    assert sorted(found) == sorted(f"{name}-{number}" for name in "01" for number in range(MANY))
    assert lines.lines() == {} and (tmp_path / "incoming").stat().st_size == 0


@given(st.lists(st.integers(0, 6), max_size=8), st.integers(1, 12))
def test_what_a_full_disk_does_not_take_is_given_again_and_the_rest_is_not(
    rooms: list[int], count: int
) -> None:
    """rooms: so many messages become files at each try."""
    with tempfile.TemporaryDirectory() as folder:
        lines, found = Incoming(Path(folder)), []
        names = [f"m{number:02}" for number in range(count)]
        for name in names:
            assert lines.add(name, name.encode())

        def file(name: str, message: bytes) -> None:
            if not room:
                raise CannotWrite("no room", "make some")
            room.pop()
            found.append((name, message))

        for many in [*rooms, count]:
            room = [None] * many
            lines.take(file)
            assert list(lines.lines()) == names[len(found) :], "whatever was taken is gone"
        assert found == [(name, name.encode()) for name in names] and lines.lines() == {}


def link(path: Path) -> None:
    path.symlink_to("/etc/hostname")


def folder(path: Path) -> None:
    path.mkdir()


@pytest.mark.parametrize("what", [link, folder, os.mkfifo], ids=["link", "folder", "pipe"])
def test_what_lies_in_its_place_is_left_alone(tmp_path: Path, what: Callable[[Path], None]) -> None:
    """And a message gets a file of its own."""
    what(tmp_path / "incoming")
    box, wait = Outbox(tmp_path), WaitingMessage(1, 2, "m")
    entry: dict[str, Any] = {"target": {"type": "mail"}, "message": {"id": "m"}}
    box.put(entry, wait, durable=False)
    box.take_in()
    assert box.waiting() == [wait] and box.read(wait) == entry


@pytest.mark.parametrize("mode", [0o620, 0o602])
def test_what_somebody_else_could_have_written_is_told_nobody(tmp_path: Path, mode: int) -> None:
    """A message holds the command that tells somebody."""
    box, wait = Outbox(tmp_path), WaitingMessage(1, 2, "m")
    entry: dict[str, Any] = {"target": {"type": "mail"}, "message": {"id": "m"}}
    box.put(entry, wait, durable=False)
    (tmp_path / "incoming").chmod(mode)
    assert box.waiting() == [] and box.read(wait) is None
    box.put(entry, wait._replace(id="next"), durable=False)
    box.take_in()
    assert [it.id for it in box.waiting()] == ["next"]


@given(st.lists(st.tuples(st.integers(0, 5), st.sampled_from(["off", "out"])), max_size=9))
def test_a_line_is_put_off_and_taken_out_where_it_lies(steps: list[tuple[int, str]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        box = Outbox(Path(folder))
        waits = {number: WaitingMessage(number, 7, f"m{number}") for number in range(5)}
        for number, wait in waits.items():
            message = {"id": "m", "text": "x" * number}
            box.put({"target": {"type": "mail"}, "message": message}, wait, durable=False)
        size = (Path(folder) / "incoming").stat().st_size
        for turn, (number, step) in enumerate(steps, 8):
            wait = waits.get(number, WaitingMessage(5, 7, "unknown"))
            if step == "off":
                box.postpone(wait, turn)
                if number in waits:
                    waits[number] = wait._replace(due=turn)
            else:
                box.remove(wait)
                waits.pop(number, None)
            assert (Path(folder) / "incoming").stat().st_size == size
            assert box.waiting() == list(waits.values())
            for place, there in waits.items():
                entry = box.read(there)
                assert entry is not None and entry["message"]["text"] == "x" * place


def test_a_line_that_is_not_whole_is_no_message_and_harms_no_other(tmp_path: Path) -> None:
    box, wait = Outbox(tmp_path), WaitingMessage(1, 2, "m")
    entry: dict[str, Any] = {"target": {"type": "mail"}, "message": {"id": "m"}}
    box.put(entry, wait._replace(id="first"), durable=True)
    with (tmp_path / "incoming").open("wb") as stream:
        stream.write(b"\0\0\0 x\n\n../../x.json {}\n")
    box.put(entry, wait, durable=False)
    with (tmp_path / "incoming").open("ab") as stream:
        stream.write(b"00000000000000003.00000")
    last = wait._replace(order=4, id="last")
    box.put(entry, last, durable=False)
    for _turn in range(2):
        assert [it.id for it in box.waiting()] == ["first", "m", "last"]
        assert box.read(wait) == box.read(last) == entry
        box.take_in()
    box.remove(wait)
    assert [it.id for it in box.waiting()] == ["first", "last"]


def test_a_disk_that_is_full_half_way_leaves_no_part_of_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines, real = Incoming(tmp_path), os.write
    assert lines.add("a", b"1")

    def full(descriptor: int, raw: Any) -> int:
        if len(raw) < 6:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(descriptor, bytes(raw[: len(raw) // 2]))

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        assert not lines.add("b", b"2" * 40)
    assert lines.add("c", b"3") and list(lines.lines()) == ["a", "c"]

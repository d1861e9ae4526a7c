# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every storage promises: scripts of operations, played on a storage and on a dictionary."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from coldchain.agent.storages.base import PRIVATE, Storage
from coldchain.core.errors import DataError, TryAgain

LOCK = "host_docs"
#: Opens the storage anew, as another process does.
Open = Callable[[], Storage]


@dataclass(frozen=True)
class Write:
    """A draft of data/FOLDER with the marker meta/FOLDER/mark.

    files: at least one, unless it is discarded; end: what becomes of the draft.
    """

    folder: str
    files: Mapping[str, bytes] = field(default_factory=dict)
    end: str = "commit"  # or "discard", "kill": the process ends without a word


@dataclass(frozen=True)
class Remove:
    """What lies at *path*, which has at least three steps."""

    path: str


def play(opens: Open, script: Iterable[Write | Remove]) -> None:
    """Do what *script* says; after each step the storage holds what the model says, no more."""
    model: dict[str, bytes] = {}
    for step in script:
        before = dict(model)
        if isinstance(step, Remove):
            _remove(opens, step, model)
        elif step.end == "commit":
            _commit(opens, step, model)
        elif step.end == "discard":
            _discard(opens, step)
        else:
            _kill(opens, step)
        storage = opens()
        _same(storage, model)
        new = {path for path in model.keys() - before.keys() if path.startswith("data/")}
        if new:
            _read(storage, model, new)


def _commit(opens: Open, step: Write, model: dict[str, bytes]) -> None:
    storage = opens()
    folder, marker = f"data/{step.folder}", f"meta/{step.folder}/mark"
    above = marker.rpartition("/")[0]
    taken = any(path.startswith((f"{folder}/", f"{above}/")) for path in model)
    with storage.lock(LOCK):
        storage.discard_drafts(LOCK)
        try:
            with storage.draft(LOCK, folder, marker) as draft:
                for name, content in step.files.items():
                    with draft.write(name) as sink:
                        piece = 7 + len(content) // 500
                        for start in range(0, len(content), piece):
                            sink(content[start : start + piece])
                _same_marker(opens(), marker, model)
                draft.commit(step.folder.encode())
        except TryAgain:
            assert taken, "nothing was there"
            return
    assert not taken, "what was there was written over"
    model[marker] = step.folder.encode()
    model.update({f"{folder}/{name}": content for name, content in step.files.items()})


def _same_marker(storage: Storage, marker: str, model: Mapping[str, bytes]) -> None:
    assert (storage.size(marker) is not None) == (marker in model)


class _Given(Exception):
    """The writer gives up."""


def _discard(opens: Open, step: Write) -> None:
    storage = opens()
    # What is there already would be refused before it could be given up.
    folder = f"{step.folder}-given-up"
    with (
        pytest.raises(_Given),
        storage.lock(LOCK),
        storage.draft(LOCK, f"data/{folder}", f"meta/{folder}/mark") as draft,
    ):
        for name, content in step.files.items():
            with draft.write(name) as sink:
                sink(content)
        raise _Given


def _kill(opens: Open, step: Write) -> None:
    child = os.fork()
    if not child:
        try:
            storage = opens()
            folder = f"{step.folder}-killed"
            with (
                storage.lock(LOCK),
                storage.draft(LOCK, f"data/{folder}", f"meta/{folder}/mark") as draft,
            ):
                for name, content in step.files.items():
                    with draft.write(name) as sink:
                        sink(content)
                os._exit(0)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    storage = opens()
    with storage.lock("another"):
        assert storage.discard_drafts("another") == 0
    storage = opens()
    with storage.lock(LOCK):
        assert storage.discard_drafts(LOCK) == 1
        assert storage.discard_drafts(LOCK) == 0


def _remove(opens: Open, step: Remove, model: dict[str, bytes]) -> None:
    below = [path for path in model if path.startswith(f"{step.path}/")]
    if not below:
        return
    storage = opens()
    with storage.lock(LOCK):
        storage.remove(LOCK, step.path)
    for path in below:
        del model[path]


def _same(storage: Storage, model: Mapping[str, bytes]) -> None:
    """The storage lists exactly what the model holds."""

    def visit(folder: str) -> None:
        inner = folder + "/"
        expected = {path[len(inner) :].split("/")[0] for path in model if path.startswith(inner)}
        names = storage.names(folder)
        assert names == sorted(names)
        lasting = {PRIVATE, *(name for name in names if not storage.names(f"{inner}{name}"))}
        assert set(names) - expected <= (lasting if "/" not in folder else set())
        assert expected <= set(names)
        for name in expected:
            path = inner + name
            if path in model:
                assert storage.size(path) == len(model[path])
            else:
                visit(path)

    for tree in ("data", "meta"):
        visit(tree)


def _read(storage: Storage, model: Mapping[str, bytes], new: Iterable[str]) -> None:
    """What the model holds is read through both doors: all at once, and new data by itself.

    What is there after a removal is read when something new is there: until then its size tells.
    """
    with tempfile.TemporaryDirectory() as place:
        folder = os.open(place, os.O_RDONLY)
        try:
            begun = storage.fetch(sorted(model), folder)
            if begun is None:
                new = model
            else:
                moved: list[int] = []
                with begun as arrive:
                    arrive(moved.append)
                assert sum(moved) == sum(map(len, model.values()))
                assert {path: (Path(place) / path).read_bytes() for path in model} == model
        finally:
            os.close(folder)
    for path in new:
        with storage.open(path) as stream:
            assert stream.read() == model[path]


def absent(opens: Open) -> None:
    """What is not there is nothing, and no error until it is read."""
    storage = opens()
    assert storage.names("data/no/such") == []
    assert storage.size("data/no/such") is None
    assert storage.modified("data/no/such") is None
    with pytest.raises(DataError, match="data/no/such"):
        storage.open("data/no/such")


def one_writer(opens: Open) -> None:
    """Of one name there is one writer at a time, of others there may be more."""
    with opens().lock(LOCK):
        with pytest.raises(TryAgain, match=LOCK), opens().lock(LOCK):
            pass
        with opens().lock("another"):
            pass
    with opens().lock(LOCK):
        pass


#: What no storage holds back until the commit.
LARGE = bytes(range(256)) * 800
#: For storages on which a step takes a second.
SCRIPT = (
    Write("x/a/1", {"data": b"first", "list": b""}),
    Write("x/a/1", {"data": b"other"}),
    Write("x/a/2", {"data": LARGE}, "discard"),
    Write("x/a/2", {"data": LARGE, "list": b"second"}),
    Write("x/ab/1", {"data": b"neighbour"}),
    Write("x/a/3", {"data": LARGE, "list": b"third"}, "kill"),
    Remove("meta/x/a/1"),
    Remove("meta/x/a"),
    Remove("data/x/a"),
    Write("x/a/1", {"data": b"again"}),
)

# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""tar's snapshot, our list of the tree and the list of members, as bytes and without any tar.

That tar makes of them what it should is tried with histories of real trees (test_agent_histories).
"""

from __future__ import annotations

import os
import socket
import stat
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coldchain.agent.engines.tar.backup import source_tree, tree_changes
from coldchain.agent.engines.tar.backup.source_tree import Tree
from coldchain.agent.engines.tar.backup.tree_changes import Differences
from coldchain.agent.engines.tar.restore import staging
from coldchain.agent.engines.tar.stored import member_index, snapshot, tree_list
from coldchain.core.errors import DataError

few = settings(max_examples=40)
HEADER = b"GNU tar-1.34-2\n1795000000\x00123\0"
BEGUN = 1_795_000_000 * 10**9 + 123
NAMES = st.sampled_from([b"a", b"b", b"c d", b"\xff", b"e\n"])
FOLDERS = st.sampled_from([b".", b"./a", b"./a/b", b"./\xc3\xa4"])
#: folder -> (device, inode, entries with tar's letter)
Snapshot = dict[bytes, tuple[int, int, list[bytes]]]
SNAPSHOTS = st.dictionaries(
    FOLDERS,
    st.tuples(
        st.integers(0, 99),
        st.integers(0, 5),
        st.lists(
            st.tuples(st.sampled_from([b"Y", b"N", b"D"]), NAMES).map(b"".join),
            max_size=4,
            unique_by=lambda entry: entry[1:],
        ),
    ),
)


def encoded(folders: Snapshot, header: bytes = HEADER) -> bytes:
    """As tar writes it."""
    return header + b"".join(
        b"0\x001795\x007\0%d\0%d\0%b\0%b\0\0"
        % (device, inode, name, b"".join(entry + b"\0" for entry in entries))
        for name, (device, inode, entries) in folders.items()
    )


class File:
    """A file in memory that holds *data*."""

    def __init__(self, data: bytes = b"") -> None:
        self.descriptor = os.memfd_create("test")
        snapshot.append(self.descriptor, data)

    def __enter__(self) -> File:
        return self

    def __exit__(self, *dummy: object) -> None:
        os.close(self.descriptor)

    @property
    def content(self) -> bytes:
        return snapshot.content(self.descriptor)


# -- tar's snapshot --------------------------------------------------------------------------------


@few
@given(SNAPSHOTS)
def test_a_snapshot_is_read_as_tar_wrote_it(folders: Snapshot) -> None:
    with File(encoded(folders)) as file:
        held = file.descriptor
        assert snapshot.started(held) == BEGUN
        assert snapshot.folders(held) == {name: what[:2] for name, what in folders.items()}
        assert list(snapshot.records(held)) == [(name, what[2]) for name, what in folders.items()]
        files = [
            os.path.normpath(os.path.join(name, entry[1:]))
            for name, (_device, _inode, entries) in folders.items()
            for entry in entries
            if entry[:1] != b"D"
        ]
        assert snapshot.files(held) == (files if folders else None)
        assert file.content == encoded(folders)


@few
@given(SNAPSHOTS, st.sets(FOLDERS), st.sets(NAMES))
def test_a_snapshot_forgets_what_it_is_told_to(
    folders: Snapshot, gone: set[bytes], names: set[bytes]
) -> None:
    left = {name: what for name, what in folders.items() if name not in gone}
    with File(encoded(folders)) as file:
        snapshot.drop(file.descriptor, gone)
        assert file.content == encoded(left)

        def change(folder: bytes, entries: list[bytes]) -> list[bytes] | None:
            assert entries == left[folder][2]
            kept = [entry for entry in entries if entry[1:] not in names]
            return kept if folder != b"." else None

        snapshot.edit(file.descriptor, change)
        edited = {
            name: (device, inode, change(name, entries) or (entries if name == b"." else []))
            for name, (device, inode, entries) in left.items()
        }
        assert file.content == encoded(edited)
        snapshot.clear(file.descriptor)
        assert file.content == b""
        snapshot.append(file.descriptor, b"new")
        assert file.content == b"new"


@few
@given(SNAPSHOTS)
def test_mounts_are_recorded_as_empty_directories(folders: Snapshot) -> None:
    status = os.stat("/")
    with File(encoded(folders)) as file:
        snapshot.add_empty_directories(file.descriptor, {})
        assert file.content == encoded(folders)
        snapshot.add_empty_directories(file.descriptor, {b"./a": status, b"./m": status})
        known = snapshot.folders(file.descriptor)
        assert known[b"./a"] == known[b"./m"] == (status.st_dev, status.st_ino)
        assert len(list(snapshot.records(file.descriptor))) == len({*folders, b"./a", b"./m"})
        assert dict(snapshot.records(file.descriptor))[b"./a"] == []


@pytest.mark.parametrize(
    "data",
    [b"", b"nonsense", HEADER[:9], b"GNU tar-1.34-1\n1\0002\0", encoded({}, b"GNU tar-\n1\0002\0")],
)
def test_what_is_no_snapshot_stays_as_it_is(data: bytes) -> None:
    with File(data) as file:
        held = file.descriptor
        assert snapshot.started(held) is None and snapshot.files(held) is None
        assert snapshot.folders(held) == {} and list(snapshot.records(held)) == []
        snapshot.drop(held, {b"."})
        snapshot.edit(held, lambda _folder, _entries: [])
        assert file.content == data


def test_a_snapshot_with_something_unknown_in_it_stays_as_it_is() -> None:
    data = encoded({b".": (1, 2, [b"Ya"])}) + b"2\0more"
    with File(data) as file:
        snapshot.drop(file.descriptor, {b"."})
        snapshot.edit(file.descriptor, lambda _folder, _entries: [])
        assert file.content == data and snapshot.files(file.descriptor) is None


@pytest.mark.parametrize(
    ("before", "after", "renamed"),
    [
        ({b".": 1, b"./a": 2}, {b".": 1, b"./a": 2}, None),
        ({b".": 1, b"./a": 2}, {b".": 1, b"./b": 2}, (b"./a", b"./b")),
        ({b".": 1, b"./a": 2}, {b".": 1, b"./a": 2, b"./b": 2}, (b"./a", b"./b")),
        ({b".": 1, b"./a": 2}, {b".": 1, b"./a": 2, b"./b": 3}, None),
        ({b".": 1}, {b".": 1, b"./a": 2, b"./b": 2}, (b"./a", b"./b")),
        ({}, {}, None),
    ],
)
def test_a_rename_is_seen_where_tar_sees_one(
    before: Mapping[bytes, int], after: Mapping[bytes, int], renamed: Any
) -> None:
    folders: Snapshot = {name: (7, inode, []) for name, inode in after.items()}
    with File(encoded(folders)) as file:
        known = {name: (7, inode) for name, inode in before.items()}
        assert snapshot.renamed(known, file.descriptor) == renamed


# -- our list of the tree --------------------------------------------------------------------------

FACTS = st.builds(
    b"%b%d %d %d".__mod__,
    st.tuples(
        st.sampled_from([b"-", b"l", b"p"]),
        st.integers(0, 2),
        st.sampled_from([BEGUN - 1, BEGUN, BEGUN + 1]),
        st.sampled_from([BEGUN - 1, BEGUN, BEGUN + 1]),
    ),
) | st.just(b"d0 0 0")
#: folder -> name -> facts
TREES = st.dictionaries(FOLDERS, st.dictionaries(NAMES, FACTS, max_size=4), min_size=1, max_size=4)


def records(names: Mapping[bytes, bytes]) -> bytes:
    return b"".join(b"%b %b\0" % (facts, name) for name, facts in names.items())


def tree_of(folders: Mapping[bytes, Mapping[bytes, bytes]]) -> Tree:
    tree = Tree()
    for folder, names in folders.items():
        tree.blocks[folder] = records(names)
    return tree


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tree_list, "_PIECE", 5)
    monkeypatch.setattr(tree_list, "_LEAST", 4096)


@pytest.mark.usefixtures("small_pieces")
def test_a_list_is_read_as_it_was_written() -> None:
    @few
    @given(TREES)
    def same(folders: dict[bytes, dict[bytes, bytes]]) -> None:
        tree = tree_of(folders)
        with File() as file:
            tree_list.write(tree.blocks, file.descriptor)
            told = list(tree_list.read(file.descriptor, tree.blocks.largest))
        assert told == [(folder, records(names)) for folder, names in folders.items()]
        assert tree.blocks.largest == max(map(len, map(records, folders.values())), default=0)

    same()


def test_of_a_folder_that_was_far_larger_only_the_beginning_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tree_list, "_PIECE", 64)
    monkeypatch.setattr(tree_list, "_LEAST", 1000)
    names = {b"%d" % number: b"-1 1 1" for number in range(1000)}
    tree = tree_of({b".": {b"x": b"-1 1 1"}, b"./a": names, b"./b": {b"y": b"-2 2 2"}})
    with File() as file:
        tree_list.write(tree.blocks, file.descriptor)
        whole = dict(tree_list.read(file.descriptor, 10_000))
        cut = dict(tree_list.read(file.descriptor, 100))
    assert whole == {folder: tree.blocks[folder] for folder in tree.blocks}
    assert cut[b"."] == whole[b"."] and cut[b"./b"] == whole[b"./b"]
    assert whole[b"./a"].startswith(cut[b"./a"][:1000]) and len(cut[b"./a"]) < 1500


@pytest.mark.usefixtures("small_pieces")
def test_a_list_that_is_damaged_is_told_as_such() -> None:
    tree = tree_of({b".": {b"x": b"-1 1 1"}, b"./a": {}})
    with File() as file:
        tree_list.write(tree.blocks, file.descriptor)
        packed = file.content

    def damaged(data: bytes, words: str) -> None:
        with File(data) as file, pytest.raises(DataError, match=f"tree.gz: {words}"):
            list(tree_list.read(file.descriptor, 0))

    for end in range(len(packed)):
        damaged(packed[:end], "ends in the middle")
    damaged(b"nonsense", "Error")
    for text, words in (
        (b"", "ends in the middle"),
        (b"coldchain-tree-2\n.\0\0", "not a list"),
        (b"coldchain-tree-1\n.\0-1 1 1 x\0", "ends in the middle"),
        (b"coldchain-tree-1\n", "ends in the middle|not a list"),
        (b"x" * 2_000_000, "unpacks to more|not a list"),
    ):
        packer = zlib.compressobj(9, wbits=31)
        damaged(packer.compress(text) + packer.flush(), f"({words})")


def model(
    before: Mapping[bytes, Mapping[bytes, bytes]],
    now: Mapping[bytes, Mapping[bytes, bytes]],
    out: Mapping[bytes, set[bytes]],
    anew: set[bytes],
) -> tuple[dict[bytes, set[bytes]], set[bytes], set[bytes]]:
    """(fresh, old, stale), said slowly."""
    fresh: dict[bytes, set[bytes]] = {}
    old, stale = set(), set()
    for folder, names in now.items():
        then = before.get(folder)
        if then is None or folder in anew:
            fresh[folder] = set(names)
            continue
        fresh[folder] = {
            name for name, facts in names.items() if facts[:1] != b"d" and then.get(name) != facts
        }
        for name in fresh[folder]:
            if all(int(moment) < BEGUN for moment in names[name].split()[1:]):
                old.add(folder + b"/" + name)
        stale |= {folder + b"/" + name for name in out.get(folder, set()) & then.keys()}
    return {folder: names for folder, names in fresh.items() if names}, old, stale


@given(TREES, TREES, st.dictionaries(FOLDERS, st.sets(NAMES)), st.sets(FOLDERS))
def test_what_differs_from_a_list(
    before: Any, now: Any, out: dict[bytes, set[bytes]], anew: set[bytes]
) -> None:
    now = {
        folder: {name: facts for name, facts in names.items() if name not in out.get(folder, ())}
        for folder, names in now.items()
    }
    tree = tree_of(now)
    tree.left_out = {
        folder: {name: b"-1 1 1 %b\0" % name for name in names}
        for folder, names in out.items()
        if names and folder in now
    }
    listed = [(folder, records(names)) for folder, names in before.items()]
    found = tree_changes.compare(listed, tree, BEGUN, anew)
    fresh, old, stale = model(before, now, {f: set(n) for f, n in tree.left_out.items()}, anew)
    assert {folder: found.names(folder) for folder in found.fresh} == fresh
    assert (set(found.old), set(found.stale)) == (old, stale)
    assert found.names(b"./nowhere") == set()


@pytest.mark.parametrize("links", [True, False])
def test_all_names_of_a_file_are_fresh_when_one_of_them_is(links: bool) -> None:
    facts = dict.fromkeys((b"a", b"b", b"z"), b"-1 1 1")
    tree = tree_of({b".": facts, b"./a": facts})
    tree.links = {(1, 1): [(b".", b"a"), (b"./a", b"b")], (1, 2): [(b".", b"b"), (b".", b"z")]}
    listed = [(b".", records({**facts, b"a": b"-2 1 1"})), (b"./a", records(facts))]
    found = tree_changes.compare(listed, tree, BEGUN, links=links)
    fresh = {folder: found.names(folder) for folder in found.fresh}
    assert fresh == ({b".": {b"a"}, b"./a": {b"b"}} if links else {b".": {b"a"}})


@pytest.mark.parametrize(
    ("then", "now", "same"),
    [
        (b"-1 2 3", b"-1 2 3", True),
        (b"-1 2 3", b"-1 2 4", False),
        (None, b"-1 2 3", False),
        (b"?? ? ?", b"l9 8 7", True),
        (b"-1 5? ?", b"-1 5123456789 7", True),
        (b"-1 5? ?", b"-1 6123456789 7", False),
        (b"-1 5? ?", b"-1 51234567890 7", False),
        (b"-1 5? ?", b"-2 5123456789 7", False),
        (b"-1 5? ?", b"l1 5123456789 7", False),
    ],
)
def test_what_was_not_recorded_counts_as_unchanged(
    then: bytes | None, now: bytes, same: bool
) -> None:
    before = {} if then is None else {b"x": then}
    listed = [(b".", records({**before, b"other": b"?? ? ?"}))]
    tree = tree_of({b".": {b"x": now}})
    found = tree_changes.compare(listed, tree, BEGUN)
    assert (found.names(b".") == set()) is same


@pytest.mark.parametrize("record", [b"x\0", b"-1 2 x\0"])
def test_a_list_with_something_else_in_it_is_damaged(record: bytes) -> None:
    tree = tree_of({b".": {b"x": b"-1 1 1"}})
    tree.left_out = {b".": {b"y": b"-1 1 1 y\0"}}
    with pytest.raises(DataError, match=r"tree\.gz: not a record"):
        tree_changes.compare([(b".", record)], tree, BEGUN)


# -- the tree itself -------------------------------------------------------------------------------


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    top = tmp_path / "source"
    (top / "a" / "b").mkdir(parents=True)
    (top / "file").write_bytes(b"12345")
    (top / "a" / "one").touch()
    os.link(top / "a" / "one", top / "two")
    (top / "link").symlink_to("file")
    (top / "lost").symlink_to("nowhere")
    os.mkfifo(top / "pipe")
    with socket.socket(socket.AF_UNIX) as server:
        monkeypatch.chdir(top)  # a socket's path may have 107 bytes
        server.bind("socket")
        yield top


def listed(tree: Tree) -> dict[bytes, dict[bytes, bytes]]:
    return {
        folder: {
            record.split(b" ", 3)[3]: record.rpartition(b" ")[0]
            for record in tree.blocks[folder].split(b"\0")[:-1]
        }
        for folder in tree.blocks
    }


def facts(path: Path, kind: str) -> bytes:
    status = path.lstat()
    return f"{kind}{status.st_size} {status.st_mtime_ns} {status.st_ctime_ns}".encode()


def test_a_tree_is_listed_as_it_is(source: Path) -> None:
    tree = source_tree.walk(source)
    assert listed(tree) == {
        b".": {
            b"a": b"d0 0 0",
            b"file": facts(source / "file", "-"),
            b"two": facts(source / "two", "-"),
            b"link": facts(source / "link", "l"),
            b"lost": facts(source / "lost", "l"),
            b"pipe": facts(source / "pipe", "p"),
            b"socket": facts(source / "socket", "s"),
        },
        b"./a": {b"b": b"d0 0 0", b"one": facts(source / "two", "-")},
        b"./a/b": {},
    }
    folders = {b".": source, b"./a": source / "a", b"./a/b": source / "a" / "b"}
    assert tree.folders == {
        name: source_tree.Folder.of(path.stat()) for name, path in folders.items()
    }
    status = (source / "two").stat()
    ((identity, places),) = tree.links.items()
    assert identity == (status.st_dev, status.st_ino)
    assert sorted(places) == [(b".", b"two"), (b"./a", b"one")]
    assert tree.elsewhere == [] and tree.left_out == {}


def test_what_is_left_out_of_a_tree_is_known(source: Path) -> None:
    with staging.stage(source / "new") as stage:
        name = os.path.basename(os.path.dirname(stage.path))
        tree = source_tree.walk(source, skip={b"./file"}, excluded=lambda path: path == b"./a/b")
    out = {folder: set(names) for folder, names in tree.left_out.items()}
    assert out == {b".": {b"file", name}, b"./a": {b"b"}}
    assert tree.stages == [b"./" + name]
    assert tree.left_out[b"."][b"file"] == facts(source / "file", "-") + b" file\0"
    assert b"./a/b" not in tree.blocks and b"file" not in listed(tree)[b"."]


def test_links_that_are_followed_are_what_they_lead_to(source: Path) -> None:
    names = listed(source_tree.walk(source, follow=True))[b"."]
    assert b"lost" not in names
    target, link = (source / "file").stat(), (source / "link").lstat()
    assert names[b"link"] == b"-5 %d %d" % (
        target.st_mtime_ns,
        max(target.st_ctime_ns, link.st_ctime_ns),
    )
    assert names[b"file"] == facts(source / "file", "-")


def test_a_single_file_is_a_tree_of_its_own(source: Path) -> None:
    assert listed(source_tree.walk(source / "file")) == {
        b".": {b"file": facts(source / "file", "-")}
    }
    single = listed(source_tree.walk(source / "link"))[b"."]
    assert single == {b"link": facts(source / "link", "l")}
    assert listed(source_tree.walk(source / "link", follow=True))[b"."][b"link"].startswith(b"-5 ")
    assert stat.S_ISFIFO((source / "pipe").stat().st_mode)
    assert listed(source_tree.walk(source / "pipe"))[b"."][b"pipe"] == facts(source / "pipe", "p")


# -- what is stored --------------------------------------------------------------------------------

ONE = b"-1 1 1"


@pytest.mark.parametrize(
    ("entries", "fresh", "out", "lost", "first", "kept", "stored"),
    [
        # What tar has saved, or has had as it is, stays.
        ([b"Yx", b"Ny", b"Dz"], [], [], [], False, [b"Yx", b"Ny", b"Dz"], [b"x", b"y", b"z"]),
        # What it could not read is there, and nobody knows how.
        ([b"Yx", b"Ny", b"Dz"], [], [], [b"x"], False, [b"Ny", b"Dz"], [b"x", b"y", b"z"]),
        # What it took for stored and is not has to come next time.
        ([b"Yx", b"Ny", b"Dz"], [b"y"], [], [], False, [b"Yx", b"Dz"], [b"x", b"z"]),
        ([b"Yx", b"Ny", b"Dz"], [b"x"], [], [], False, [b"Yx", b"Ny", b"Dz"], [b"x", b"y", b"z"]),
        # Nothing was stored before a level 0.
        ([b"Yx", b"Ny", b"Dz"], [], [], [], True, [b"Yx", b"Dz"], [b"x", b"z"]),
        # What is left out is no part of the list, unless tar has saved it all the same.
        ([b"Yx", b"Ny", b"Dz", b"No"], [], [b"o"], [], False,
         [b"Yx", b"Ny", b"Dz"], [b"x", b"y", b"z"]),
        ([b"Yx", b"Ny", b"Dz", b"Yo"], [], [b"o"], [], False,
         [b"Yx", b"Ny", b"Dz", b"Yo"], [b"x", b"y", b"z", b"o"]),
        # What is gone since then is no part of it, either.
        ([b"Yx", b"Dz"], [], [], [], False, [b"Yx", b"Dz"], [b"x", b"z"]),
    ],
)  # fmt: skip
def test_list_and_snapshot_hold_only_what_is_stored(
    entries: list[bytes],
    fresh: list[bytes],
    out: list[bytes],
    lost: list[bytes],
    first: bool,
    kept: list[bytes],
    stored: list[bytes],
) -> None:
    tree = tree_of({b"./a": {b"x": ONE, b"y": ONE, b"z": b"d0 0 0"}})
    if out:
        tree.left_out = {b"./a": {name: b"%b %b\0" % (ONE, name) for name in out}}
    found = Differences()
    if fresh:
        found.fresh[b"./a"] = b"\0".join(fresh)
    folders: Snapshot = {b"./a": (1, 2, entries), b"./elsewhere": (1, 3, [b"Nq"])}
    with File(encoded(folders)) as file:
        members = [b"./a/" + name for name in lost]
        tree_changes.settle(
            tree, found, file.descriptor, unreadable=members, vanished=(), first=first
        )
        assert dict(snapshot.records(file.descriptor)) == {b"./a": kept, b"./elsewhere": [b"Nq"]}
    assert list(listed(tree)[b"./a"]) == stored


def test_what_has_vanished_is_in_no_list() -> None:
    tree = tree_of({b".": {b"x": ONE, b"y": ONE}})
    with File(encoded({b".": (1, 2, [b"Yx", b"Ny"])})) as file:
        tree_changes.settle(
            tree, Differences(), file.descriptor, unreadable=(), vanished=[b"./x"], first=False
        )
        assert dict(snapshot.records(file.descriptor)) == {b".": [b"Ny"]}
    assert listed(tree) == {b".": {b"y": ONE}}


# -- the list of members ---------------------------------------------------------------------------


@few
@given(
    st.lists(st.sampled_from([b"", b"a", b"ab"]), min_size=1, max_size=4),
    st.sets(st.lists(st.sampled_from([b"", b"a", b"ab"]), max_size=3).map(b"/".join)),
)
def test_a_folder_lies_in_what_its_path_goes_through(
    steps: list[bytes], others: set[bytes]
) -> None:
    way = {b"/".join(steps[: number + 1]) for number in range(len(steps))}
    assert tree_changes.within(others)(b"/".join(steps)) is not way.isdisjoint(others)


def test_the_list_of_members_is_read_as_tar_said_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(member_index, "_PIECE", 300)
    names = [b"./%04d" % number for number in range(300)]
    lines = [b'-rw-r--r-- 0/0  7 2026-05-01 10:00:00 "%b"\n' % name for name in names]
    with File() as file:
        recorder = member_index.Recorder(file.descriptor)
        for begin in range(0, len(lines), 50):
            recorder.take(b"".join(lines[begin : begin + 50]))
        recorder.close()
        assert zlib.decompress(file.content, wbits=31) == b"".join(lines)
        told = list(member_index.read(file.descriptor))
    assert [member.name for member in told] == names
    assert {(member.kind, member.size) for member in told} == {("-", 7)}


@pytest.mark.parametrize(
    ("data", "packed"), [(b"nonsense", False), (b"x" * 300_000, True), (b"x\n" * (3 << 20), True)]
)
def test_what_is_no_list_of_members_is_told_as_such(
    data: bytes, packed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(member_index, "_LEAST", 1 << 16)
    packer = zlib.compressobj(9, wbits=31)
    content = packer.compress(data) + packer.flush() if packed else data
    with File(content) as file, pytest.raises(zlib.error):
        list(member_index.read(file.descriptor))

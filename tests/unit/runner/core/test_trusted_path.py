# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Going step by step leads where the kernel leads, and tells who else could lead elsewhere."""

from __future__ import annotations

import grp
import os
import pwd
import stat
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from random import Random
from types import FrameType, SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from posix_acl import DEFAULT, GROUP, USER, acl, set_acl

from coldchain.core import trusted_path
from coldchain.core.changers import ANYBODY, user_name, who_gains, writers
from coldchain.core.trusted_path import TrustedFolder, open_file, walk

SEEDS = st.integers(0, 2**32).map(Random)


def tree(top: Path, chance: Random) -> list[str]:
    """A few directories, and links between them, with dots and from the root; some of the paths."""
    folders = [top]
    for number in range(4):
        folder = chance.choice(folders) / f"d{number}"
        folder.mkdir()
        folders.append(folder)
    paths = [str(folder) for folder in folders]
    for number in range(4):
        place = chance.choice(folders) / f"l{number}"
        aim = chance.choice([*paths, "..", ".", "../d0", "d1/../.", "d3/", "nowhere"])
        if chance.random() < 0.5 and os.path.isabs(aim):
            aim = os.path.relpath(aim, place.parent)
        place.symlink_to(aim)
        paths.append(str(place))
    return [f"{path}{chance.choice(['', '/', '/d0', '/l1', '/l2/d1', '/.'])}" for path in paths]


class _Signal(BaseException):
    """Comes between two lines, as a signal does."""


def _gone(path: Path, line: int) -> bool:
    """Go the way; whether _Signal came before the *line*-th line of it."""
    seen = 0

    def trace(frame: FrameType, event: str, dummy: object) -> Callable[..., Any] | None:
        nonlocal seen
        if frame.f_code.co_filename != trusted_path.__file__:
            return None
        seen += event == "line"
        if event == "line" and seen == line:
            raise _Signal
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        with walk(path):
            pass
        return False
    except _Signal:
        return True
    finally:
        sys.settrace(before)


def test_what_ends_the_way_in_its_middle_comes_out_of_it(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("..")
    aim = tmp_path / "link" / tmp_path.name / "not" / "there"
    line = 1
    while _gone(aim, line):
        line += 1
    assert line > 100


@given(chance=SEEDS)
def test_the_place_is_the_kernel_s(chance: Random) -> None:
    with tempfile.TemporaryDirectory() as text:
        # What leads up out of the tree stays among what is ours: others write beside us.
        top = Path(os.path.realpath(text), "above", "top")
        top.mkdir(parents=True)
        for path in tree(top, chance):
            try:
                there: str | None = str(Path(path).resolve(strict=True))
            except (OSError, RuntimeError):  # before Python 3.13 a loop is the latter
                there = None
            try:
                with walk(path) as way:
                    found, missing = way.path, way.missing
                    assert os.readlink(f"/proc/self/fd/{way.folder}") == (
                        found if not missing else "/".join(found.split("/")[: -len(missing)]) or "/"
                    )
                    assert way.name == os.path.basename(found)
                    if way.parent is not None and not missing:
                        assert os.readlink(f"/proc/self/fd/{way.parent}") == os.path.dirname(found)
            except OSError:
                assert there is None
                continue
            assert found == (there or os.path.realpath(path))
            assert bool(missing) == (there is None)


def test_the_root_and_what_is_no_directory(tmp_path: Path) -> None:
    with walk("/") as way:
        assert (way.path, way.name, way.parent, way.missing) == ("/", "", None, ())
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError), walk(tmp_path / "file" / "below"):
        pass
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(OSError, match="symbolic links"), walk(tmp_path / "a"):
        pass
    held = set(os.listdir("/proc/self/fd"))
    with walk(tmp_path / "not" / "there") as way:
        assert way.missing == ("not", "there")
    assert set(os.listdir("/proc/self/fd")) == held


def status(mode: int, user: int = 0, group: int = 0) -> os.stat_result:
    return os.stat_result((stat.S_IFDIR | mode, 1, 1, 2, user, group, 0, 0, 0, 0))


@pytest.mark.parametrize(
    ("folder", "entry", "expected"),
    [
        (status(0o755), None, {0}),
        (status(0o755, 1000), None, {1000}),
        (status(0o757), None, {0, ANYBODY}),
        (status(0o777, 1000), None, {1000, ANYBODY}),
        (status(0o1777), status(0o700, 1000), {0, 1000}),
        (status(0o1777), None, {0}),
        (status(0o775), None, {0}),  # root's own group
        (status(0o775, 0, 54321), None, {0, ANYBODY}),  # somebody may be in it
        (status(0o775, 54321, 54321), None, {54321}),  # a group of the user's own
        (status(0o1775, 0, 54321), status(0o700, 1000), {0, 1000}),
    ],
)
def test_who_can_put_something_else_there(
    folder: os.stat_result, entry: os.stat_result | None, expected: set[int]
) -> None:
    assert writers(folder, entry) == expected


@pytest.mark.parametrize(
    ("entries", "mode", "expected"),
    [
        ([(USER, 7, 54321)], 0o770, {54321}),  # a user
        ([(USER, 5, 54321)], 0o770, set()),  # who may only look
        ([(USER, 7, 54321)], 0o750, set()),  # the mask takes it away
        ([(USER, 7, 54321)], 0o1770, set()),  # sticky: what is root's stays
        ([(GROUP, 7, 54321)], 0o770, {ANYBODY}),  # a group
        ([(GROUP, 7, 0)], 0o770, set()),  # root's own
    ],
)
@pytest.mark.skipif(os.geteuid() != 0, reason="root's own group makes the mode say nothing")
def test_who_can_put_something_else_there_by_an_acl(
    tmp_path: Path, entries: list[tuple[int, int, int]], mode: int, expected: set[int]
) -> None:
    folder = tmp_path / "folder"
    (folder / "below").mkdir(parents=True)
    set_acl(folder, acl(entries, mask=mode >> 3 & 7))
    folder.chmod(mode)
    with walk(folder / "below") as way:
        assert set(way.others) == expected


@pytest.mark.parametrize(
    ("entries", "group", "file", "expected"),
    [
        ([(USER, 7, 54321)], 5, (0o600, 0, 0), 54321),
        ([(USER, 7, 54321)], 5, (0o604, 0, 0), None),  # everybody may read it
        ([(USER, 7, 54321)], 5, (0o600, 54321, 0), None),  # it is theirs
        ([(USER, 5, 54321)], 5, (0o600, 0, 0), None),  # who may not put it there
        ([(USER, 7, 54321), (USER, 7, 54322)], 5, (0o600, 54321, 0), 54322),
        ([(USER, 7, 0)], 5, (0o600, 54321, 0), None),  # root may read it anyway
        ([(GROUP, 7, 54321)], 5, (0o600, 0, 54321), ANYBODY),
        ([(GROUP, 7, 0)], 5, (0o600, 0, 0), None),
        ([(USER, 5, 54321)], 7, (0o600, 0, 0), ANYBODY),  # the folder's own group may
        ([(USER, 5, 54321)], 7, (0o640, 0, 54000), None),  # and may read it
        ([(USER, 7, 54321)], 5, (0o640, 54321, 1), None),  # the mask is not the group's right
    ],
)
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_for_whom_root_would_read_by_an_acl(
    tmp_path: Path,
    entries: list[tuple[int, int, int]],
    group: int,
    file: tuple[int, int, int],
    expected: int | None,
) -> None:
    os.chown(tmp_path, 0, 54000)
    set_acl(tmp_path, acl(entries, group=group))
    set_acl(tmp_path, acl([(USER, 7, 54329)]), kind=DEFAULT)  # it gives nothing here
    folder = os.open(tmp_path, os.O_PATH)
    try:
        assert who_gains(folder, status(*file)) == expected
    finally:
        os.close(folder)


def test_users_for_people() -> None:
    assert user_name(0) == "the user root"
    assert user_name(54321) == "the user with the number 54321"
    assert user_name(ANYBODY) == "users other than its owner"


def test_only_a_file_is_opened_and_nothing_waits(tmp_path: Path) -> None:
    flags = os.O_WRONLY | os.O_CREAT
    made = open_file(tmp_path / "new", flags, 0o640)
    assert stat.S_IMODE(os.fstat(made).st_mode) == 0o640 and not os.get_inheritable(made)
    os.close(made)
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("new")
    held = set(os.listdir("/proc/self/fd"))
    for name, message in (("pipe", "is not a file"), ("link", "is a link")):
        with pytest.raises(OSError, match=message) as caught:
            open_file(tmp_path / name, flags)
        assert caught.value.filename == str(tmp_path / name)
    with pytest.raises(OSError, match="is not a file"):
        open_file(tmp_path / "pipe", os.O_RDONLY)
    with pytest.raises(FileNotFoundError):
        open_file(tmp_path / "not" / "there", flags)
    assert set(os.listdir("/proc/self/fd")) == held


@pytest.mark.parametrize(
    ("members", "private"),
    [([], True), (["somebody"], True), (["somebody", "else"], False), (["else"], False)],
)
def test_a_group_of_the_user_s_own_has_no_other_member(
    monkeypatch: pytest.MonkeyPatch, members: list[str], private: bool
) -> None:
    monkeypatch.setattr(grp, "getgrgid", lambda dummy: SimpleNamespace(gr_mem=members))
    monkeypatch.setattr(pwd, "getpwuid", lambda dummy: SimpleNamespace(pw_name="somebody"))
    expected = {54321} if private else {54321, ANYBODY}
    assert writers(status(0o775, 54321, 54321), None) == expected


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_file_with_another_name_is_taken_only_where_nobody_else_could_have_made_one(
    tmp_path: Path,
) -> None:
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    for folder in (ours, theirs):
        folder.mkdir()
        (folder / "file").touch()
        os.link(folder / "file", folder / "other")
    os.close(open_file(ours / "file", os.O_RDONLY))
    os.chown(theirs, 54321, 54321)
    with pytest.raises(OSError, match="another name, and the user with the number 54321"):
        open_file(theirs / "file", os.O_RDONLY)


def test_the_way_to_a_folder_is_gone_again_when_it_leads_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = []
    monkeypatch.setattr(trusted_path, "walk", lambda path: gone.append(path) or walk(path))
    place, flags = tmp_path / "lib", os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    place.mkdir()
    held = set(os.listdir("/proc/self/fd"))
    folder = TrustedFolder(place)
    for _turn in range(3):
        os.close(folder.open_file("file", flags))
    assert gone == [str(place)]
    with pytest.raises(OSError, match="is not a file"):
        folder.open_file(".", os.O_RDONLY)
    place.rename(tmp_path / "old")
    with pytest.raises(FileNotFoundError):
        folder.open_file("file", flags)
    place.mkdir()
    os.close(folder.open_file("file", flags))
    assert (place / "file").exists() and len(gone) == 2
    folder.close()
    assert set(os.listdir("/proc/self/fd")) == held
    os.close(folder.open_file("other", flags))
    assert (place / "other").exists() and len(gone) == 3
    folder.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root refuses the links of others")
def test_a_link_that_somebody_else_put_in_the_place_of_a_folder_is_refused(tmp_path: Path) -> None:
    theirs, place = tmp_path / "theirs", tmp_path / "theirs" / "lib"
    place.mkdir(parents=True)
    os.chown(theirs, 54321, 54321)
    folder = TrustedFolder(place)
    os.close(folder.open_file("file", os.O_WRONLY | os.O_CREAT))
    place.rename(theirs / "old")
    (tmp_path / "elsewhere").mkdir()
    place.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="somebody else made"):
        folder.open_file("file", os.O_WRONLY | os.O_CREAT)
    assert not list((tmp_path / "elsewhere").iterdir())
    folder.close()

# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Root works in containers of other users, who change them between any two of its steps."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from agent_bench import Bench, make_bench
from agent_points import catalogue, verify
from agent_trees import state
from agent_users import NOBODY, as_nobody, give_away
from examples import examples
from posix_acl import DEFAULT, USER, acl, set_acl

from coldchain.core.errors import ColdchainError

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="it is root whom others could trick")
SECRET = "what only root may read"


class Yard:
    """A container of NOBODY's, with two levels of "docs", and what is not theirs."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.theirs = bench.root / "theirs"
        self.container = self.theirs / "container"
        self.private = bench.root / "private"

    def fill(self, **fields: object) -> None:
        """Write the levels; root keeps a container of its own with a secret in it."""
        self.bench.root.chmod(0o755)
        self.theirs.mkdir()
        (self.bench.source / "file").write_text("x")
        for _ in range(2):
            self.bench.level(container=str(self.container), **fields)
            (self.bench.source / "more").write_text("y")
        give_away(self.theirs)
        secret = self.bench.root / "secret"
        secret.mkdir()
        (secret / "file").write_text(SECRET)
        for _ in range(2):
            self.bench.level(container=str(self.private), path_to_backup=str(secret), **fields)

    def part(self, name: str, level: str = "1_*") -> Path:
        (path,) = self.container.glob(f"*/tar/host_docs/*/{level}/{name}")
        return path

    def twin(self, name: str, level: str = "1_*") -> Path:
        (path,) = self.private.glob(f"*/tar/host_docs/*/{level}/{name}")
        return path

    def acts(self) -> dict[str, Callable[[], object]]:
        bench, where = self.bench, {"container": str(self.container)}
        target = str(bench.target)
        return {
            "backups": lambda: catalogue(self.container),
            "info": lambda: bench.perform("info", **where),
            "verify": lambda: verify(self.container),
            "full": lambda: verify(self.container, mode="full"),
            "dry run": lambda: bench.restore(dry_run=True, **where),
            "restore": lambda: bench.restore(restore_abs_path=target, **where),
            "part": lambda: bench.restore(
                restore_abs_path=target, restore_paths=["file"], overwrite=True, **where
            ),
            "backup": lambda: bench.level(**where),
            "admin": lambda: bench.perform("admin", remove_older_than="0", force=True, **where),
        }


@pytest.fixture
def yard(bench: Bench) -> Yard:
    return Yard(bench)


@pytest.fixture(scope="module")
def _original() -> Iterator[tuple[Yard, Path]]:
    """One that is filled, and a copy of its containers."""
    with tempfile.TemporaryDirectory() as root:
        yard = Yard(make_bench(Path(root)))
        yard.fill()
        kept = Path(root) / "kept"
        for folder in (yard.theirs, yard.private):
            shutil.copytree(folder, kept / folder.name)
        yield yard, kept


@pytest.fixture
def filled(_original: tuple[Yard, Path]) -> Yard:
    """One that is filled, as if nobody had done anything with it: to fill it takes longer."""
    yard, kept = _original
    shutil.rmtree(yard.bench.target, ignore_errors=True)
    for folder in (yard.theirs, yard.private):
        shutil.rmtree(folder)
        shutil.copytree(kept / folder.name, folder)
    give_away(yard.theirs)
    return yard


def _tells(answer: object) -> bool:
    """Whether an answer, or a restored tree, has the secret in it."""
    return SECRET in str(answer)


def _told(act: Callable[[], object]) -> str:
    """What an action says, be it an error."""
    try:
        return repr(act())
    except ColdchainError as error:
        assert error.exit_code != 70
        return f"{error.message} {error.hint}"


def _restored(target: Path) -> str:
    texts = [path.read_text() for path in target.rglob("*") if path.is_file()]
    shutil.rmtree(target, ignore_errors=True)
    return " ".join(texts)


LENT = ["data", "metadata", "manifest.json", "engine_metadata", "entries.gz", "tree.gz"]


@pytest.mark.parametrize("whose", ["their folder", "root's folder, theirs by an ACL"])
@pytest.mark.parametrize("way", ["link", "hard link", "moved"])
@pytest.mark.parametrize("part", LENT)
def test_root_does_not_read_for_others_what_they_may_not(
    filled: Yard, part: str, way: str, whose: str
) -> None:
    """A file of a level is root's own, in a folder that somebody else can write."""
    yard = filled
    mine, theirs = yard.twin(part), yard.part(part)
    if whose != "their folder":
        os.chown(theirs.parent, 0, 0)
        set_acl(theirs.parent, acl([(USER, 7, NOBODY)]))
    theirs.unlink()
    if way == "link":
        theirs.symlink_to(mine)
        os.chown(theirs, NOBODY, NOBODY, follow_symlinks=False)
    elif way == "hard link":
        os.link(mine, theirs)
    else:
        shutil.copy2(mine, theirs)
    opened = _opened(mine, theirs)
    with opened as reads:
        for name, act in yard.acts().items():
            said = _told(act)
            assert not _tells(said) and SECRET not in _restored(yard.bench.target), name
    assert reads == []


@pytest.mark.parametrize("part", ["data", "metadata", "manifest.json"])
def test_what_is_not_read_for_others_says_where_it_lies_and_what_to_do(
    yard: Yard, part: str
) -> None:
    """It may be an honest mistake: the directories were given away, and not what is in them."""
    yard.fill()
    lent = yard.part(part)
    os.chown(lent, 0, 0)
    with pytest.raises(ColdchainError) as caught:
        yard.bench.restore(container=str(yard.container))
    assert str(lent) in caught.value.message
    assert "(chown)" in caught.value.message
    os.chown(lent, NOBODY, NOBODY)
    yard.bench.restore(container=str(yard.container))


def test_a_link_that_is_not_followed_says_where_it_lies_and_what_to_do(yard: Yard) -> None:
    yard.fill()
    link = yard.theirs / "link"
    link.symlink_to(yard.container)
    os.chown(link, NOBODY, NOBODY, follow_symlinks=False)
    for act in (yard.bench.backup, yard.bench.restore):
        with pytest.raises(ColdchainError) as caught:
            act(container=str(link))
        assert str(link) in caught.value.message
        assert f"to {yard.container} " in caught.value.message
        assert "name the directory that it leads to" in caught.value.hint


@contextlib.contextmanager
def _opened(*paths: Path) -> Iterator[list[str]]:
    """The paths of what is opened for reading although it is one of *paths*, as a file."""
    files = {(path.stat().st_dev, path.stat().st_ino) for path in paths}
    found: list[str] = []
    read = os.fdopen

    def fdopen(descriptor: int, *arguments: object, **named: object) -> object:
        status = os.fstat(descriptor)
        if (status.st_dev, status.st_ino) in files:
            found.append(os.readlink(f"/proc/self/fd/{descriptor}"))
        return read(descriptor, *arguments, **named)

    os.fdopen = fdopen
    try:
        yield found
    finally:
        os.fdopen = read


def test_what_is_theirs_is_read(yard: Yard) -> None:
    """The rule is about what they may not read: else nothing changes for their containers."""
    yard.fill()
    said = {name: _told(act) for name, act in yard.acts().items() if name != "admin"}
    assert "sound=True" in said["full"].replace(" ", "") or "lost=()" in said["full"]
    assert (yard.bench.target / "file").read_text() == "x"


@pytest.mark.parametrize("mode", [0o644, 0o600])
def test_what_everybody_may_read_is_no_secret(yard: Yard, mode: int) -> None:
    yard.fill()
    for path in yard.container.rglob("data"):
        if path.is_file():
            os.chown(path, 0, 0)
            path.chmod(mode)
    for backup in catalogue(yard.container):
        assert backup.restorable == (mode == 0o644)
        if mode == 0o600:
            assert "root" in backup.reason


STEPS = ["", "data", "data/tar", "data/tar/host_docs", "metadata", "metadata/tar/host_docs"]


@pytest.mark.parametrize("act", ["backups", "full", "dry run", "restore", "backup", "admin"])
@pytest.mark.parametrize("step", STEPS)
def test_a_folder_that_becomes_a_link_between_two_steps_leads_nowhere(
    filled: Yard, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, step: str, act: str
) -> None:
    """Before each call that opens, renames or makes something, a folder on the way is swapped."""
    yard = filled
    before = state(os.fsencode(yard.private))
    kept = tmp_path / "kept"
    shutil.copytree(yard.theirs, kept, symlinks=True)
    number = 0
    while True:
        shutil.rmtree(yard.theirs)
        shutil.copytree(kept, yard.theirs, symlinks=True)
        give_away(yard.theirs)
        with monkeypatch.context() as patch:
            swapped = _swap_at(patch, yard, step, number)
            said = _told(yard.acts()[act])
        assert not _tells(said) and SECRET not in _restored(yard.bench.target), number
        assert state(os.fsencode(yard.private)) == before, number
        if not swapped():
            assert number
            return
        number = max(number + 1, int(number * examples(1.5, 1.25)))


def _swap_at(patch: pytest.MonkeyPatch, yard: Yard, step: str, number: int) -> Callable[[], bool]:
    """Put a link to root's container in the place of *step* before the *number*-th call."""
    left, done = number, False
    real = {name: getattr(os, name) for name in ("open", "rename", "mkdir", "stat", "unlink")}

    def before() -> None:
        nonlocal left, done
        left -= 1
        if left >= 0 or done:
            return
        done = True
        folder = yard.container / step if step else yard.container
        if stat.S_ISDIR(folder.lstat().st_mode):
            real["rename"](folder, yard.theirs / "moved")
            os.symlink(yard.private / step, folder)
            os.chown(folder, NOBODY, NOBODY, follow_symlinks=False)

    def hooked(name: str) -> Callable[..., object]:
        def call(*arguments: object, **named: object) -> object:
            if str(named.get("dir_fd", named.get("src_dir_fd", ""))) or "theirs" in str(arguments):
                for other, function in real.items():
                    setattr(os, other, function)
                try:
                    before()
                finally:
                    for other in real:
                        setattr(os, other, hooks[other])
            return real[name](*arguments, **named)

        return call

    hooks = {name: hooked(name) for name in real}
    for name, hook in hooks.items():
        patch.setattr(os, name, hook)
    return lambda: done


@pytest.mark.parametrize(("mode", "safe"), [(0o777, False), (0o1777, True), (0o755, True)])
def test_a_spool_that_others_can_write_is_not_used(bench: Bench, mode: int, safe: bool) -> None:
    """What is checked there is used afterwards."""
    secret = {"encrypt_pass_file": str(bench.pass_file)}
    (bench.source / "file").write_text("x")
    bench.level(**secret)
    spool = bench.root / "spool"
    spool.mkdir()
    spool.chmod(mode)
    give_away(bench.container)
    found = verify(bench.container, mode="full", pass_file=bench.pass_file, spool=spool)
    assert bool(found.lost) == (not safe)
    assert safe or str(spool) in str(found.findings)
    assert list(spool.iterdir()) == []


def test_a_default_acl_opens_nothing_that_root_makes(bench: Bench) -> None:
    """Neither in a container nor on the way to a target."""
    bench.root.chmod(0o755)
    (bench.source / "file").write_text("x")
    (bench.source / "file").chmod(0o600)
    inherited = acl([(USER, 7, NOBODY)], group=7)
    places = bench.container, bench.root / "place"
    for folder in places:
        folder.mkdir()
        set_acl(folder, inherited, kind=DEFAULT)
    for _unused in range(2):
        bench.level()
        (bench.source / "more").write_text("y")
    bench.restore(restore_abs_path=str(bench.root / "place" / "new" / "and" / "deep"))
    made = [os.fspath(path) for folder in places for path in folder.rglob("*")]
    assert len(made) > 20
    (bench.root / "place" / "all").touch()
    (bench.root / "place" / "all").chmod(0o666)
    made.append(str(bench.root / "place" / "all"))

    def may(right: int, within: Path) -> str:
        found = (path for path in made if path.startswith(f"{within}/") and os.access(path, right))
        return "\n".join(found)

    assert as_nobody(lambda: may(os.W_OK, bench.root)) == str(bench.root / "place" / "all")
    assert as_nobody(lambda: may(os.R_OK, bench.container)) == ""

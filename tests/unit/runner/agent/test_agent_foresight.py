# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A dry run and the restore after it have one answer, whatever was done to a container."""

from __future__ import annotations

import gzip
import os
import random
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from agent_bench import CAP_SYS_ADMIN, Bench, capable, make_bench
from agent_containment import NO_CTYPES, NO_RIGHTS, OTHER_MACHINE, available, changed_kernel, only
from agent_hostile import (
    DIR,
    DUMP,
    LNK,
    REG,
    SYM,
    Member,
    archive,
    attacks,
    plant,
    plant_archive,
    tars_own,
)
from agent_points import verify
from cli_command import Command
from examples import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from coldchain.agent.engines.tar.restore.first_level import REFUSALS, read_first
from coldchain.agent.engines.tar.stored import gnu_tar
from coldchain.agent.process.contain import LANDLOCK, NAMESPACE
from coldchain.core.errors import ColdchainError, JobFailed
from coldchain.core.text import path_text

PARTS = ["data", "engine_metadata", "entries.gz", "tree.gz", "manifest.json", "metadata"]
HOWS = ["gone", "empty", "cut", "flipped", "longer", "other", "fifo", "directory", "twin"]
DAMAGES = st.lists(
    st.tuples(st.sampled_from(PARTS), st.sampled_from("012"), st.sampled_from(HOWS)),
    min_size=1,
    max_size=3,
)


def _damage(path: Path, how: str, chance: random.Random) -> None:
    content = path.read_bytes() if path.is_file() else b""
    if path.is_dir():
        path.rmdir()
    else:
        path.unlink(missing_ok=True)
    if how == "fifo":
        os.mkfifo(path)
    elif how == "directory":
        path.mkdir()
    elif how != "gone":
        changed = bytearray(content)
        if how == "empty":
            changed.clear()
        elif how == "cut":
            del changed[chance.randrange(len(changed) + 1) :]
        elif how == "flipped" and changed:
            changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
        elif how == "longer":
            changed += b"x"
        elif how == "other":
            changed = bytearray(chance.randbytes(len(changed)))
        elif how == "twin":
            other = next(path.parents[1].glob(f"0_*/{path.name}"), path)
            changed = bytearray(other.read_bytes()) if other.is_file() else changed
        path.write_bytes(changed)


def _asked(bench: Bench, paths: list[str], *, dry_run: bool) -> tuple[str, object]:
    """(why not, the names)."""
    try:
        report = bench.restore(restore_paths=paths, dry_run=dry_run)
    except ColdchainError as error:
        assert error.exit_code != 70
        return error.message, None
    if dry_run:
        return "", report.fields["names"]
    top = os.fsencode(bench.target)
    return "", sorted(
        path_text(os.path.relpath(os.path.join(where, name), top))
        for where, _unused, files in os.walk(top)
        for name in files
    )


@pytest.mark.long
@settings(max_examples=examples(40, 400))
@given(DAMAGES, st.integers(0, 1 << 32), st.booleans())
def test_what_a_dry_run_says_the_restore_says(
    damages: list[tuple[str, str, str]], seed: int, some: bool
) -> None:
    chance = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        bench = make_bench(Path(folder))
        (bench.source / "d").mkdir()
        for number in "012":
            (bench.source / "d" / number).write_text(number)
            (bench.source / "kept").write_text(number)
            (bench.source / f"only {number}").write_text(number)
            (bench.source / f"only {int(number) - 1}").unlink(missing_ok=True)
            bench.level()
        for part, level, how in damages:
            for path in list(bench.container.glob(f"*/tar/*/*/{level}_*/{part}")):
                _damage(path, how, chance)
        paths = ["d"] if some else []
        why_not, told = _asked(bench, paths, dry_run=True)
        why, brought = _asked(bench, paths, dry_run=False)
        if why_not:
            assert why, why_not
        elif not why:
            assert brought == told
        else:
            # A dry run does not read archives; what is read to its end has to say so, too.
            assert any(part == "data" for part, _level, _how in damages), why
            assert verify(bench.container, mode="full").lost
        shutil.rmtree(bench.target, ignore_errors=True)


@pytest.mark.parametrize("part", ["entries.gz", "tree.gz", "engine_metadata"])
@pytest.mark.parametrize("paths", [[], ["kept"]])
def test_a_part_that_no_restore_needs_stops_no_dry_run(
    bench: Bench, part: str, paths: list[str]
) -> None:
    (bench.source / "kept").write_text("x")
    bench.level()
    (path,) = bench.container.glob(f"data/tar/*/*/*/{part}")
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    assert _asked(bench, paths, dry_run=True) == ("", ["kept"])
    assert _asked(bench, paths, dry_run=False) == ("", ["kept"])


def _kernels() -> dict[str, AbstractContextManager[None]]:
    return {
        "this one": changed_kernel(""),
        "no landlock": only(NAMESPACE),
        "no namespace": only(LANDLOCK),
        "no rights": changed_kernel(NO_RIGHTS),
        "another machine": changed_kernel(OTHER_MACHINE),
        "no ctypes": changed_kernel(NO_CTYPES),
        "all switched off": only(),
    }


def _renamed(bench: Bench, odd: str) -> None:
    """A chain as freezer-agent's, with a renamed directory beside links and a name that is odd."""
    (bench.source / "d").mkdir()
    for name in (odd, "kept"):
        (bench.source / "d" / name).write_text("a file")
        (bench.source / "d" / f"link {name}").symlink_to("nowhere")
    plant_archive(bench.container, 0, tars_own(bench.source, bench.root))
    (bench.source / "d").rename(bench.source / f"e{odd}")
    plant_archive(bench.container, 1, tars_own(bench.source, bench.root))


def _moved_twice(bench: Bench) -> None:
    """A link that a level moves, and a later one writes through."""
    nest: list[Member] = [("./", DUMP, "Dd\0\0"), ("./d/", DUMP, "Ylink\0\0")]
    moved: Member = ("./", DUMP, "De\0Rd\0Te\0\0")
    plant(
        bench.container,
        [*nest, ("./d/link", SYM, str(bench.root))],
        [moved],
        [("./", DUMP, "De\0\0"), ("./e/link/new", REG, "x")],
    )


ATTACKS: dict[str, Callable[[Bench], None]] = {
    attack: lambda bench, attack=attack: plant(
        bench.container, *attacks(str(bench.root / "victim"))[attack]
    )
    for attack in attacks("/x")
}
CHAINS: dict[str, Callable[[Bench], None]] = {
    **{
        f"renamed beside {odd!r}": lambda bench, odd=odd: _renamed(bench, odd)
        for odd in ("plain", "x\ny", "x\nR link\nT z", "x\nT b")
    },
    "a link moved, then written through": _moved_twice,
}


def _ask_all_doors(command: Command, bench: Bench) -> str:
    """Why the newest point is not restored: a dry run, verify and the listing have to know it."""
    where = ["--container", str(bench.container)]
    point = [*where, "--hostname", "host", "--backup-name", "docs"]
    point += ["--restore-abs-path", str(bench.target)]
    (bench.root / "home" / "lib").mkdir(parents=True)
    answers = []
    for words in (["restore", "--dry-run", *point], ["restore", *point]):
        error = command.json(*words).get("error", {})
        answers.append((error.get("message", ""), error.get("hint", "")))
    (told,) = command.json("verify", "--full", *where)["containers"]
    (*_unused, newest) = command.json("backups", *where)["backups"]
    message, hint = answers[1]
    assert answers[0] == answers[1]
    why = [flaw["message"] for flaw in told["findings"]]
    assert why == ([f"{message} ({hint})"] if message else [])
    assert bool(told["lost"]) is bool(message)
    assert newest["restorable"] is not bool(message)
    return str(message)


@pytest.mark.long
@pytest.mark.parametrize("kernel", sorted(_kernels()))
def test_all_doors_say_what_this_process_can_restore(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    kernel: str,
) -> None:
    """A dry run at once, verify when it has read all, and the listing when verify has told it."""
    refused = set()
    for ours in (False, True):
        for name, chain in CHAINS.items():
            root = tmp_path / f"{len(list(tmp_path.iterdir()))}"
            root.mkdir()
            bench = make_bench(root)
            chain(bench)
            if ours and (root / "snapshot").exists():
                (level,) = bench.container.glob("data/tar/*/*/1_*")
                shutil.copy(root / "snapshot", level / "engine_metadata")
                assert bench.level().fields["level"] == 2
            with _kernels()[kernel]:
                if _ask_all_doors(Command(root / "home", capsys, monkeypatch), bench):
                    refused.add(name)
    held = NAMESPACE in available() and kernel in ("this one", "no landlock")
    newlines = {name for name in CHAINS if "\\n" in name}
    assert refused == {"a link moved, then written through", *(() if held else newlines)}


@pytest.mark.long
@pytest.mark.parametrize("kernel", ["this one", "all switched off"])
def test_all_doors_refuse_what_leads_outside(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    kernel: str,
) -> None:
    refused = 0
    for number, plant_it in enumerate(ATTACKS.values()):
        (tmp_path / f"{number}").mkdir()
        bench = make_bench(tmp_path / f"{number}")
        plant_it(bench)
        with _kernels()[kernel]:
            refused += bool(
                _ask_all_doors(Command(bench.root / "home", capsys, monkeypatch), bench)
            )
    assert refused > 20


@pytest.mark.parametrize(
    "members",
    [
        [("./a/../../new", REG, "x")],
        [("./link", SYM, "../up"), ("./link/new", REG, "x")],
        [("./link", SYM, "/up"), ("./link/d/", DIR, "")],
        [("./a", LNK, "./gone")],
        [("./a", LNK, "./b"), ("./b", REG, "x")],
        [("./d/", DIR, ""), ("./a", LNK, "./d")],
        [("./a", REG, "x"), ("./a/b", REG, "x")],
        [("./a", REG, "x"), ("./a/b/", DIR, "")],
        [("./a", REG, "x"), ("./b", LNK, "./a/b")],
        [("./d/x", REG, "x"), ("./d", REG, "x")],
        [("./d/", DIR, ""), ("./d/x", REG, "x"), ("./d", SYM, "x")],
    ],
)
def test_what_tar_refuses_of_a_level_0_is_foretold_where_it_is_restored(
    bench: Bench, members: list[Member]
) -> None:
    plant(bench.container, [("./kept", REG, "x"), *members])
    why, _names = _asked(bench, [], dry_run=True)
    assert why.endswith(": refused")
    assert why == _asked(bench, [], dry_run=False)[0]
    (found,) = verify(bench.container, mode="full").findings
    assert found.message.startswith(why)
    for dry_run in (True, False):
        assert _asked(bench, ["kept"], dry_run=dry_run) == ("", ["kept"])


_NAMES = st.sampled_from(["a", "b", "d", "a/b", "d/a", "d/b", "d/a/b", "a/b/d"])
_TARGETS = _NAMES | st.sampled_from(["../b", "/b", "d/../b", ".", "", "x"])
_MEMBERS = st.one_of(
    st.tuples(_NAMES.map("./{}".format), st.just(REG), st.just("x")),
    st.tuples(_NAMES.map("./{}/".format), st.just(DIR), st.just("")),
    st.tuples(_NAMES.map("./{}".format), st.sampled_from([SYM, LNK]), _TARGETS),
    st.tuples(_NAMES.map("./{}".format), st.just(LNK), _NAMES.map("./{}".format)),
)


@settings(max_examples=examples(60, 3000))
@given(st.lists(_MEMBERS, min_size=1, max_size=6))
def test_a_level_0_is_refused_as_tar_refuses_it(members: list[Member]) -> None:
    """tar is the oracle: nothing that it takes is refused, and where no link leads anywhere all
    that it refuses is."""
    packed = gzip.decompress(archive(members))
    listing = subprocess.run(
        gnu_tar.listing(incremental=False), input=packed, capture_output=True, check=True
    )
    first = read_first(lambda reader: reader.take(listing.stdout), "level 0")
    with tempfile.TemporaryDirectory() as folder:
        argv = gnu_tar.extract(root=False, incremental=False)
        done = subprocess.run(argv, input=packed, cwd=folder, capture_output=True, check=False)
    foretold = ""
    try:
        first.check()
    except JobFailed as error:
        foretold = error.message
    if foretold:
        assert done.returncode != 0, foretold
        assert any(end.encode() in done.stderr for end in REFUSALS), done.stderr
    elif done.returncode:
        assert any(kind == SYM for _name, kind, _target in members), done.stderr


def _mount(place: Path, *words: str) -> None:
    subprocess.run(["mount", *words, str(place)], check=True)


def _read_only(place: Path) -> None:
    _mount(place, "--bind", str(place))
    _mount(place, "-o", "remount,bind,ro")


def _attribute(letter: str, place: Path) -> None:
    subprocess.run(["chattr", f"+{letter}", place], check=True)


TARGETS: dict[str, tuple[Callable[[Path], object], bool]] = {
    "empty": (lambda target: None, True),
    "a directory with content for a file": (
        lambda t: (t / "file" / "x").mkdir(parents=True),
        False,
    ),
    "an empty directory for a file": (lambda t: (t / "file").mkdir(), True),
    "a directory with content for a link": (
        lambda t: (t / "link" / "x").mkdir(parents=True),
        False,
    ),
    "a file for a directory": (lambda t: (t / "d").write_text("x"), True),
    "a link for a directory": (lambda t: (t / "d").symlink_to("/etc"), True),
    "below": (lambda t: (t / "d" / "inner" / "x").mkdir(parents=True), False),
    "what is not always selected": (lambda t: (t / "other" / "x").mkdir(parents=True), False),
}
TARGETS_OF_ROOT: dict[str, tuple[Callable[[Path], object], bool]] = {
    "a mount": (lambda t: ((t / "d").mkdir(), _mount(t / "d", "-t", "tmpfs", "x")), False),
    "a mount where nothing is": (
        lambda t: ((t / "none").mkdir(), _mount(t / "none", "-t", "tmpfs", "x")),
        True,
    ),
    "a mount elsewhere": (
        lambda t: ((t / "more").mkdir(), _mount(t / "more", "-t", "tmpfs", "x")),
        True,
    ),
    "read-only": (_read_only, False),
    "immutable": (lambda t: _attribute("i", t), False),
    "append-only": (lambda t: _attribute("a", t), False),
    "an immutable file": (
        lambda t: ((t / "file").write_text("x"), _attribute("i", t / "file")),
        False,
    ),
}


@pytest.mark.parametrize("paths", [[], ["d", "file", "link", "none"]])
@pytest.mark.parametrize("name", [*TARGETS, *TARGETS_OF_ROOT])
def test_a_dry_run_tells_what_in_the_target_would_stop_the_restore(
    bench: Bench, name: str, paths: list[str]
) -> None:
    if name in TARGETS_OF_ROOT and not (os.geteuid() == 0 and capable(CAP_SYS_ADMIN)):
        pytest.skip("needs root that may mount")
    prepare, possible = {**TARGETS, **TARGETS_OF_ROOT}[name]
    for folder in ("d", "none"):
        (bench.source / folder).mkdir()
    for file in ("file", "d/inner", "other"):
        (bench.source / file).write_text(file)
    (bench.source / "link").symlink_to("file")
    bench.backup()
    bench.target.mkdir()
    why = ""
    try:
        prepare(bench.target)
        fields = {"overwrite": True, "restore_paths": paths}
        dry = bench.restore(dry_run=True, **fields)
        try:
            bench.restore(**fields)
        except ColdchainError as error:
            why = f"{error.message}; {error.hint}"
    finally:
        subprocess.run(["chattr", "-R", "-f", "-i", "-a", bench.target], check=False)
        for place in (bench.target, *bench.target.iterdir()):
            subprocess.run(["umount", "-q", place], check=False)
    assert dry.fields["refused"] == why
    assert bool(why) is not (possible or ("selected" in name and bool(paths)))

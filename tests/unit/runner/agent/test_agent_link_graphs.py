# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Random levels of links, hard links, renames and purges: nothing outside of the target changes.

Each wall for itself: the model of links without the kernel, and the kernel without the model.
"""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from agent_bench import CAP_SYS_ADMIN, capable
from agent_containment import available, only
from agent_hostile import DIR, DUMP, LNK, REG, SYM, Member, plant
from agent_trees import State, state
from cli_command import PACKAGE
from examples import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from waiting import LIMIT

from coldchain.agent.action import perform
from coldchain.agent.engines.tar.restore import extract
from coldchain.agent.engines.tar.restore.link_model import LinkModel
from coldchain.agent.process.contain import LANDLOCK, NAMESPACE
from coldchain.core.errors import ColdchainError

#: Where the victim lies, seen from the folder of the restored tree and as links may name it.
VICTIM = "VICTIM"
STEPS = ["a", "b", "c", "n\nR a\nT b"]
#: Short paths are likelier than their number.  One draw for each: most of a graph's time is draws.
PATHS = [
    path
    for length, weight in ((1, 12), (2, 3), (3, 1))
    for parts in itertools.product(STEPS, repeat=length)
    for path in ["/".join(parts)] * weight
]
#: Few names and many links: most graphs meet themselves.
_NAMES = [f"./{path}" for path in ["a", "b", "a/b", "b/a", "a/b/c"] * 32 + PATHS]
NAMES = st.sampled_from(_NAMES)
_FIRST_AIMS = ["a", "b", "c", "a/b", "../a", ".", "..", "../../victim", "./c"]
AIMS = st.sampled_from([*[VICTIM, f"{VICTIM}/sub"] * 320, *_FIRST_AIMS * 35, *_NAMES])
RENAMES = st.tuples(
    st.sampled_from(["a/file", "b/sub", VICTIM + "/file", "../../victim/file"] * 80 + _NAMES),
    st.sampled_from(["./stolen", "a/new", VICTIM + "/new", ""] * 80 + _NAMES),
).map(lambda pair: f"R{pair[0]}\0T{pair[1]}\0")
TEMPORARY = st.tuples(st.sampled_from(["X.\0", "Xa\0", "Xb/t\0", ""]), NAMES, NAMES).map(
    lambda parts: f"{parts[0]}R{parts[1]}\0T\0R\0T{parts[2]}\0" if parts[0] else ""
)
LISTS = st.builds(
    "{}{}{}\0".format,
    st.lists(st.sampled_from(STEPS), max_size=3).map(
        lambda names: "".join(f"Y{name}\0" for name in names)
    ),
    st.lists(RENAMES, max_size=2).map("".join),
    TEMPORARY,
)
KINDS = st.sampled_from([SYM, SYM, SYM, LNK, LNK, DIR, DUMP, DUMP, REG, REG, REG, b"Z"])


@st.composite
def _member(draw: st.DrawFn) -> Member:
    kind, name = draw(KINDS), draw(NAMES)
    if kind in (SYM, LNK):
        return (name, kind, draw(AIMS))
    if kind == DUMP:
        return (name + "/", kind, draw(LISTS))
    return (name + "/" if kind == DIR else name, kind, "" if kind == DIR else "evil")


MEMBERS = _member()
#: A way that leads on from what another member has named.
BAIT = st.sampled_from([[("./a", SYM, VICTIM)], [("./a/", DIR, ""), ("./a/b", SYM, VICTIM)], []])
#: Most of what chance writes at level 0 contradicts itself, and then no later level is looked at.
MORE = st.one_of(
    st.just([]),
    st.tuples(st.sampled_from(["./c", "./d", "./b"]), AIMS).map(
        lambda parts: [(parts[0], SYM, parts[1])]
    ),
    st.lists(MEMBERS, max_size=2),
)
LEVELS = st.lists(st.lists(MEMBERS, min_size=1, max_size=4), min_size=1, max_size=2)
ROOT = st.sampled_from([[("./", DIR, "")], [("./", DUMP, "Ya\0Yb\0Yc\0\0")], []])
GRAPHS = st.tuples(
    st.tuples(ROOT, BAIT, MORE).map(lambda parts: [*parts[0], *parts[1], *parts[2]]),
    st.tuples(ROOT, LEVELS).map(lambda parts: [parts[0] + level for level in parts[1]]),
).map(lambda parts: [parts[0], *parts[1]])

_COMMAND = """
import sys
from coldchain.agent.process import contain
from coldchain.agent.engines.tar.restore import extract
contain.MEANS = tuple(filter(None, sys.argv.pop(1).split(",")))
if sys.argv.pop(1) == "blind":
    extract.LinkModel.check = lambda model: []
from coldchain.cli import main
main()
"""


def _in_process(document: dict[str, object], root: Path) -> None:
    try:
        perform(document, containers_dir=root, client_id="client")
    except ColdchainError as error:
        # A hostile level is refused, or tar cannot read it: never a fault of ours.
        assert error.exit_code in (1, 65, 73), error


def _by_command(means: tuple[str, ...], model: str) -> Callable[[dict[str, object], Path], None]:
    def run(document: dict[str, object], root: Path) -> None:
        (root / "home" / "lib").mkdir(parents=True)
        (root / "home" / "action.json").write_text(json.dumps(document))
        words = ["--home", str(root / "home"), "agent", "--config", str(root / "home/action.json")]
        ended = subprocess.run(
            [sys.executable, "-c", _COMMAND, ",".join(means), model, *words],
            env={**os.environ, "PYTHONPATH": str(PACKAGE)},
            capture_output=True,
            text=True,
            check=False,
            timeout=LIMIT,
        )
        assert ended.returncode in (0, 1, 65, 73), ended.stderr
        assert "Traceback" not in ended.stderr

    return run


def _outside(root: Path) -> State:
    """All that lies beside the target; what tar reads there changes nothing."""
    found = {}
    for name in ("victim", "container", "beside"):
        for path, kept in state(os.fsencode(root / name)).items():
            found[os.fsencode(name) + b"/" + path] = kept
    return found


def _try(levels: list[list[Member]], restore: Callable[[dict[str, object], Path], None]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "victim" / "sub" / "deep").mkdir(parents=True)
        (root / "beside").mkdir()
        for path in ("victim/file", "victim/sub/deep/file", "beside/file"):
            (root / path).write_text("precious")
        aimed = [
            [
                (name, kind, text.replace(VICTIM, str(root / "victim")))
                for name, kind, text in members
            ]
            for members in levels
        ]
        plant(root / "container", *aimed)
        before = _outside(root)
        document: dict[str, object] = {
            "action": "restore",
            "container": str(root / "container"),
            "backup_name": "docs",
            "hostname": "host",
            "restore_abs_path": str(root / "target"),
        }
        restore(document, root)
        assert _outside(root) == before
        assert set(os.listdir(root)) <= {"victim", "beside", "container", "target", "home"}
        for path in (root / "target").rglob("*"):
            if path.is_file() and not path.is_symlink():
                assert path.read_text() != "precious", path


def _now_and_then(means: tuple[str, ...], model: str) -> Callable[[list[list[Member]]], None]:
    """Here, but each hundredth by the command, which takes ten times as long."""
    numbers = itertools.count(1)

    def check(levels: list[list[Member]]) -> None:
        real = next(numbers) % 100 == 0
        _try(levels, _by_command(means, model) if real else _in_process)

    return check


@pytest.mark.long
def test_without_either_wall_random_levels_get_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """The levels are such that the walls are needed: else the tests below would show nothing."""
    out = 0

    def check(levels: list[list[Member]]) -> None:
        nonlocal out
        try:
            _try(levels, _in_process)
        except AssertionError:
            out += 1

    monkeypatch.setattr(extract.LinkModel, "check", lambda model: [])
    with only():
        settings(max_examples=100)(given(GRAPHS)(check))()
    assert out >= 10


@pytest.mark.long(10)
def test_the_model_alone_holds_random_levels() -> None:
    check = _now_and_then((), "seeing")
    with only():
        settings(max_examples=examples(250, 5000))(given(GRAPHS)(check))()


@pytest.mark.long(6)
@pytest.mark.skipif(
    os.geteuid() != 0 or not capable(CAP_SYS_ADMIN), reason="needs root that may mount"
)
@pytest.mark.parametrize("means", [(NAMESPACE,), (NAMESPACE, LANDLOCK)])
def test_the_kernel_alone_holds_random_levels(
    means: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    def blind(model: LinkModel) -> list[bytes]:
        return []

    monkeypatch.setattr(extract.LinkModel, "check", blind)
    check = _now_and_then(means, "blind")
    assert set(available()) >= {NAMESPACE}
    with only(*means):
        settings(max_examples=examples(60, 1000))(given(GRAPHS)(check))()

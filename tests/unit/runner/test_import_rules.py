# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which room of the runner may import which: every import counts, also those within functions and
those for the type checker alone."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import coldchain

PACKAGE = Path(coldchain.__file__).parent

#: Room -> the rooms that it may import, beside itself.
ALLOWED: dict[str, set[str]] = {
    "core": set(),
    "schedule": {"core"},
    "lifecycle": {"core"},
    "document": {"schedule", "core"},
    "store": {"lifecycle", "core"},
    "agent": {"core"},
    "observe": {"core"},
    "execution": {"agent", "store", "core"},
    "runner": {"execution", "schedule", "lifecycle", "store", "observe", "core"},
    "selftest": {"runner", "store", "core"},
}
ALLOWED["cli"] = set(ALLOWED)
#: The entrance of ``python -m coldchain``.
ALLOWED["__main__"] = {"cli"}

#: What is still wrong: (module, module that it should not import).  Nothing is ever added here.
VIOLATIONS: set[tuple[str, str]] = set()


def modules() -> Iterator[tuple[str, Path]]:
    """The dotted name of every module, without "coldchain.", and its file."""
    for path in sorted(PACKAGE.rglob("*.py")):
        steps = path.relative_to(PACKAGE).with_suffix("").parts
        name = ".".join(steps[:-1] if steps[-1] == "__init__" else steps)
        if name:
            yield name, path


@cache
def imports(source: str, package: str) -> tuple[str, ...]:
    """The modules of ours that *source*, a module in *package*, imports, without "coldchain."."""
    return tuple(_imports(source, package))


@cache
def telling(source: str) -> tuple[list[ast.Import | ast.ImportFrom], list[str]]:
    """What *source* imports, and each text in it."""
    written: list[ast.Import | ast.ImportFrom] = []
    texts = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            written.append(node)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            texts.append(node.value)
    return written, texts


def _imports(source: str, package: str) -> Iterator[str]:
    for node in telling(source)[0]:
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            steps = package.split(".")
            base = steps[: len(steps) - node.level + 1] if node.level else []
            start = ".".join([*base, node.module] if node.module else base)
            # "from coldchain.agent import action" may mean a module or a name in one.
            names = [f"{start}.{alias.name}" for alias in node.names]
        for name in names:
            if name.startswith("coldchain."):
                yield name.partition(".")[2]


@cache
def loaded_by_name(source: str) -> tuple[str, ...]:
    """The modules of ours that *source* names in a text, as a registry does, or the begin of it."""
    texts = telling(source)[1]
    return tuple(text[10:] for text in texts if re.fullmatch(r"coldchain(\.\w+)+\.?", text))


def room(module: str) -> str:
    return module.partition(".")[0]


def test_every_room_keeps_to_its_imports() -> None:
    names = {name for name, _ in modules()}
    rooms = {room(name) for name in names}
    assert rooms <= set(ALLOWED), "a new room needs a row in the table"
    wrong = set()
    for name, path in modules():
        package = name if path.name == "__init__.py" else name.rpartition(".")[0]
        source = path.read_text("utf-8")
        written = imports(source, f"coldchain.{package}".rstrip("."))
        for imported in (*written, *loaded_by_name(source)):
            # A name in the package itself, such as its version.
            other = room(imported)
            if other in rooms and other != room(name) and other not in ALLOWED[room(name)]:
                module = imported if imported in names else imported.rpartition(".")[0]
                wrong.add((name, module))
    assert wrong - VIOLATIONS == set(), "design: what data flows to knows nothing of where from"
    assert VIOLATIONS - wrong == set(), "mended: take it out of the list"


def graph() -> dict[str, set[str]]:
    """Every module and the modules of ours that it imports."""
    names = {name for name, _ in modules()}
    found: dict[str, set[str]] = {name: set() for name in names}
    for name, path in modules():
        package = name if path.name == "__init__.py" else name.rpartition(".")[0]
        for imported in imports(path.read_text("utf-8"), f"coldchain.{package}".rstrip(".")):
            module = imported if imported in names else imported.rpartition(".")[0]
            found[name] |= {module} & names - {name}
    return found


def circle(found: dict[str, set[str]]) -> list[str]:
    """Modules that import each other in a circle; none when there is no circle."""
    left = {name: set(imported) for name, imported in found.items()}
    while free := [name for name, imported in left.items() if not imported & left.keys()]:
        for name in free:
            del left[name]
    way: list[str] = sorted(left)[:1]
    while way and way[-1] not in way[:-1]:
        way.append(min(left[way[-1]] & left.keys()))
    return way[way.index(way[-1]) :] if way else []


def test_no_modules_import_each_other_in_a_circle() -> None:
    assert circle(graph()) == []


def test_a_circle_is_told_by_its_modules() -> None:
    assert circle({"a": {"b"}, "b": {"c", "d"}, "c": {"b"}, "d": set()}) == ["b", "c", "b"]
    assert circle({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []


def test_records_are_cheap_to_define() -> None:
    """A process of the runner defines dozens: a frozen dataclass takes about four times as long as
    a NamedTuple, and brings the modules inspect, ast and dis along.  Free is what is called once,
    by a person."""
    free = {"document.convert", "document.crontab", "selftest"}
    free |= {"schedule.simulate", "schedule.simulation"}
    users = {
        name
        for name, path in modules()
        if re.search("^(from|import) dataclasses", path.read_text("utf-8"), re.MULTILINE)
    }
    assert {name for name in users if room(name) not in free and name not in free} == set()


def test_the_walk_sees_imports_of_every_kind() -> None:
    source = (
        "import coldchain.cli.show\n"
        "def lazy():\n    from coldchain.store import Store\n"
        "if TYPE_CHECKING:\n    from coldchain import runner\n"
        "from . import action\nfrom ..core import text\nimport os\n"
    )
    assert sorted(imports(source, "coldchain.agent")) == [
        *("agent.action", "cli.show", "core.text", "runner", "store.Store")
    ]


def test_the_walk_sees_what_is_loaded_by_its_name() -> None:
    source = (
        "import_module('coldchain.store.store')\n__import__('coldchain.cli')\n"
        "import_module(f'coldchain.agent.{name}')\nsay('see coldchain.cli', 'coldchain run')\n"
    )
    assert loaded_by_name(source) == ("store.store", "cli", "agent.")


def test_a_storage_knows_nothing_of_what_it_keeps() -> None:
    words = re.compile(r"\b(ENGINE|Series|Level|snapshot|snapshots|chain|chains|tar)\b")
    spoken = {
        f"{path.name}: {line.strip()}"
        for path in (PACKAGE / "agent" / "storages").rglob("*.py")
        for line in path.read_text("utf-8").splitlines()
        if words.search(line)
    }
    assert spoken == set()


def test_the_agent_names_no_engine_and_no_mode_but_in_the_registries() -> None:
    """Outside of an engine's own folder; a mode is one file."""
    agent = PACKAGE / "agent"
    for rooms, own in (("engines", {"tar"}), ("modes", {"fs"})):
        for name, path in modules():
            steps = name.split(".")
            if steps[:2] == ["agent", rooms] and len(steps) > 2 and steps[2] in own:
                continue
            inside = tuple(f"agent.{rooms}.{module}." for module in own)
            for imported in imports(path.read_text("utf-8"), f"coldchain.{name}"):
                assert not f"{imported}.".startswith(inside), f"{name} imports {imported}"
    assert len([path for path in agent.glob("*.py") if path.name != "action.py"]) <= 13

#!/usr/bin/env python3
# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which small changes of a package's code do its fast tests not notice?  (make mutants PACKAGE=...)

The changes are cosmic-ray's, a statement left out besides; the places are drawn by a seed.  Tests
run in a copy of the working tree, each change in a process of its own, and only tests that run the
changed line, the fastest first.  A change that no test notices either shows a missing test or
means nothing: those that mean nothing stand in tests/mutants/equivalent.txt with the reason.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import json
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import coverage
import parso.python.tree
import parso.tree
import pytest
from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.operators.operator import Operator
from cosmic_ray.plugins import get_operator, operator_names
from hypothesis import HealthCheck, Phase, settings
from hypothesis.internal.detection import is_hypothesis_test

ROOT = Path(__file__).resolve().parents[1]
FILES = Path("roles/runner/files")
TESTS = Path("tests/unit/runner")
EQUIVALENT = ROOT / "tests" / "mutants" / "equivalent.txt"
RESULTS = ROOT / "build" / "mutants"
#: Where the tests of a package lie, if not in the folder of its name.
FOLDERS = {
    "agent": [
        "agent",
        "cli/test_cli_archive.py",
        "cli/test_cli_doctor.py",
        "cli/test_cli_one_door.py",
        "cli/test_cli_parts.py",
        "cli/test_cli_progress.py",
        "cli/test_restore_by_runner.py",
        "cli/test_second_engine.py",
        "execution/test_what_is_told_of_an_action.py",
    ],
    "core": [
        "core",
        "store",
        "document/test_command_text.py",
        "schedule/test_schedule_clock_changes.py",
        "schedule/test_schedule_bounds.py",
        "cli/test_settings_bounds.py",
        "cli/test_only_we_can_write.py",
        "cli/test_cli_entry.py",
    ],
    "cli": [
        "cli",
        "core/test_host_zone.py",
        "document/test_notify.py",
        "observe/test_metrics.py",
        "runner/test_one_off_runs.py",
        "runner/test_schedule_boot.py",
        "runner/test_stopped_by.py",
        "runner/test_who_is_told.py",
    ],
    "document": ["document", "cli/test_cli_convert.py"],
    "execution": ["execution", "runner", "agent/test_agent_actions.py"],
    "lifecycle": ["test_lifecycle.py"],
    "observe": [
        "observe",
        "cli/test_cli_guard.py",
        "cli/test_cli_ledger.py",
        "runner/test_run_ended.py",
        "runner/test_what_is_put_on_its_way.py",
    ],
    "runner": [
        "runner",
        "cli/test_cli_control.py",
        "cli/test_cli_guard.py",
        "cli/test_cli_status.py",
        "cli/test_signals_and_locks_of_a_runner.py",
        "observe/test_metrics.py",
        "store/test_retention.py",
    ],
}
#: Operators that need arguments, or make what no mistake makes.
LEFT_OUT = ("no-op", "variable-", "Variable", "NoOp")
SLOW = 6.0
"""Seconds: a test that takes longer is not a fast one, in processor time as well as by the clock
(there times the patience: a busy machine is slower)."""
BUDGET = 12.0
"""Seconds of processor time for one change's tests; the fastest that run the line, then others."""
WAIT = 10.0
"""Seconds by the clock, times the patience, for one wait of a test (tests/helpers/waiting.py)."""
OPTIONS = [
    *("-q", "-p", "no:cacheprovider", "-p", "no:xdist", "--hypothesis-profile", "mutants"),
    *("--rootdir", ".", "-c", "pyproject.toml"),
    *("-W", "ignore::pytest.PytestAssertRewriteWarning"),  # this process has imported some before
]
# The same examples as ever; what one of them shows need not be made small.
settings.register_profile(
    "mutants",
    derandomize=True,
    deadline=None,
    database=None,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=list(HealthCheck),
)


@dataclass(frozen=True)
class Change:
    """A change of one place: *before* and *after* are the changed lines, without indentation.

    by: the test that noticed, or how the tests ended otherwise: whether a busy machine did it.
    """

    path: str
    line: int
    last_line: int
    operator: str
    occurrence: int
    before: str = ""
    after: str = ""
    outcome: str = ""
    tests: int = 0
    by: str = ""


def _is_augmented(statement: parso.tree.NodeOrLeaf) -> bool:
    sign = statement.children[1]
    return sign.type == "operator" and sign.value != "="


class LeaveOut(Operator):
    """Leaves a call out, a raise, or a change of something that is there already."""

    def mutation_positions(self, node):
        if isinstance(node, parso.python.tree.PythonNode) and node.type == "simple_stmt":
            first = node.children[0]
            if first.type in ("atom_expr", "raise_stmt", "del_stmt") or (
                first.type == "expr_stmt"
                and (_is_augmented(first) or first.children[0].type == "atom_expr")
            ):
                yield first.start_pos, first.end_pos

    def mutate(self, node, index):
        first = node.children[0]
        prefix = first.get_first_leaf().prefix
        node.children[0] = parso.python.tree.Name("pass", first.start_pos, prefix)
        return node

    @classmethod
    def examples(cls):
        return ()


def operators() -> dict[str, Operator]:
    """By name; those that one knows without arguments."""
    made: dict[str, Operator] = {"leave-out": LeaveOut()}
    for name in operator_names():
        if not any(part in name for part in LEFT_OUT):
            with contextlib.suppress(TypeError):
                made[name] = get_operator(name)()
    return made


def meaningless(source: str) -> set[int]:
    """Lines that are not run, or only tell: docstrings, the log, decorators of classes, __all__."""
    lines: set[int] = set()

    def leave(node: ast.AST) -> None:
        lines.update(range(node.lineno, (node.end_lineno or node.lineno) + 1))

    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            silent = ast.unparse(node.value.func).startswith(("log.", "logger."))
        elif isinstance(node, ast.Expr):
            silent = isinstance(node.value, ast.Constant)
        elif isinstance(node, ast.If):
            silent = "TYPE_CHECKING" in ast.unparse(node.test)
        elif isinstance(node, ast.ClassDef):
            for decorator in node.decorator_list:  # frozen=True guards us, and nobody else
                leave(decorator)
            silent = False
        else:
            silent = isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
        if silent:
            leave(node)
    return lines


def annotations(source: str) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """Where types are told: they are text, and nothing runs there."""
    spans = []
    for node in ast.walk(ast.parse(source)):
        for name in ("annotation", "returns"):
            told = getattr(node, name, None)
            if told is not None:
                begin = (told.lineno, told.col_offset)
                spans.append((begin, (told.end_lineno, told.end_col_offset)))
    return spans


def is_unpacking(node: parso.tree.NodeOrLeaf) -> bool:
    """A star that multiplies nothing: with another sign there it would be no Python any more."""
    stars = node.type == "operator" and node.value in ("*", "**")
    return stars and node.parent.type not in ("term", "power")


def places(path: Path, package: dict[str, Operator]) -> Iterator[Change]:
    """Every change that can be made in a file."""
    source = path.read_text(encoding="utf-8")
    skipped, told = meaningless(source), annotations(source)
    relative = str(path.relative_to(ROOT))
    nodes = list(ast_nodes(get_ast(source)))
    for name, operator in package.items():
        occurrence = 0
        for node in nodes:
            unpacks = is_unpacking(node)
            for begin, end in operator.mutation_positions(node):
                inside = any(first <= begin and end <= last for first, last in told)
                if begin[0] not in skipped and not inside and not unpacks:
                    yield Change(relative, begin[0], end[0], name, occurrence)
                occurrence += 1


def every(package: str) -> Iterator[Change]:
    """Every change that can be made in a package."""
    top = ROOT / FILES / "coldchain" / package
    made = operators()
    for path in sorted(top.rglob("*.py")) if top.is_dir() else [top.with_suffix(".py")]:
        yield from places(path, made)


def drawn(package: str, number: int, seed: int) -> tuple[list[Change], int]:
    """A sample of *number* changes, one a place at most, and how many places there are."""
    by_place: dict[tuple[str, int, str], list[Change]] = defaultdict(list)
    for change in every(package):
        kind = change.operator.partition("_")[0]
        by_place[change.path, change.line, kind].append(change)
    chance = random.Random(seed)
    keys = sorted(by_place)
    chosen = chance.sample(keys, min(number, len(keys)))
    return [chance.choice(by_place[key]) for key in chosen], len(keys)


class Measuring:
    """A pytest plugin: which lines each test runs, how long it takes, whether it passes."""

    def __init__(self, top: Path, slow: float) -> None:
        self.slow = slow
        self.measured = coverage.Coverage(
            data_file=str(top / ".coverage-mutants"), source=[str(top / FILES / "coldchain")]
        )
        self.took: dict[str, float] = {}
        self.bad: set[str] = set()
        self.properties: set[str] = set()

    def pytest_configure(self) -> None:
        self.measured.start()

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Those marked long are no fast ones; a tenth of a property test's examples may be."""
        items[:] = [
            item
            for item in items
            if item.get_closest_marker("long") is None
            or is_hypothesis_test(getattr(item, "obj", None))
        ]

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[object]:
        self.measured.switch_context(item.nodeid)
        if is_hypothesis_test(getattr(item, "obj", None)):
            self.properties.add(item.nodeid)
        before = sum(os.times()[:4])
        try:
            return (yield)
        finally:
            self.took[item.nodeid] = sum(os.times()[:4]) - before

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self) -> Iterator[object]:
        """Stop a test as soon as it is too slow: it fails, and does not count."""

        def stop(*_unused: object) -> None:
            pytest.fail("is not a fast one")

        signal.signal(signal.SIGALRM, stop)
        signal.setitimer(signal.ITIMER_REAL, self.slow)
        try:
            return (yield)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if not report.passed:
            self.bad.add(report.nodeid)

    def keep(self, top: Path) -> None:
        self.measured.stop()
        self.measured.save()
        properties = sorted(self.properties)
        kept = {"took": self.took, "bad": sorted(self.bad), "properties": properties}
        (top / "measured.json").write_text(json.dumps(kept))


class Hurrying:
    """A pytest plugin: a test that takes many times as long as it did without the change ends all.

    took: processor seconds of each test; times: how many times as long it may take; limit: seconds
    by the clock for one wait, of which most end without a change as soon as they have begun.
    """

    def __init__(self, took: dict[str, float], times: float, limit: float) -> None:
        self.took, self.times, self.limit = took, times, limit

    def pytest_collection_finish(self) -> None:
        if "waiting" in sys.modules:
            sys.modules["waiting"].LIMIT = self.limit

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[object]:
        signal.setitimer(signal.ITIMER_PROF, 4 + self.times * self.took.get(item.nodeid, 0.0))
        try:
            return (yield)
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)

    def keep(self, top: Path) -> None:
        """Nothing."""


class Tree:
    """A copy of the working tree, in which files are changed and tests run."""

    def __init__(self, top: Path, patience: float = 1.0) -> None:
        self.top = top
        self.patience = patience
        self.properties: set[str] = set()
        self.took: dict[str, float] = {}
        for name in ("roles", "tests", "plugins", "docs", "meta", "tools"):
            shutil.copytree(
                ROOT / name, top / name, symlinks=True, ignore=shutil.ignore_patterns("output")
            )
        for path in ROOT.iterdir():
            if path.is_file() and not path.name.startswith("."):
                shutil.copy2(path, top / path.name)

    def child(self, words: list[str], plugins: list[object], seconds: float) -> int | None:
        """What pytest with *words* ends with, in a process of its own; None: it took too long.

        seconds: of processor time, and by the clock as many times the patience.
        """
        pid = os.fork()
        if pid == 0:
            code = 70
            try:
                os.setsid()
                resource.setrlimit(resource.RLIMIT_CPU, (int(seconds) + 1, int(seconds) + 5))
                os.chdir(self.top)
                told = os.open(self.top / "output", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
                os.dup2(told, 1)
                os.dup2(told, 2)
                code = int(pytest.main([*OPTIONS, *words], plugins=plugins))
                for plugin in plugins:
                    plugin.keep(self.top)
            except BaseException:  # noqa: BLE001  it ends here
                traceback.print_exc()
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(code)
        until = time.monotonic() + self.patience * seconds
        while True:
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                return os.waitstatus_to_exitcode(status)
            if time.monotonic() > until:
                os.killpg(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
                return None
            time.sleep(0.02)

    def measure(
        self, folders: list[str]
    ) -> tuple[dict[str, float], dict[str, dict[int, set[str]]]]:
        """Fast tests with their seconds, and by file and line those that run it."""
        here = [str(TESTS / name) for name in folders]
        if self.child(
            ["--few-examples", *here], [Measuring(self.top, SLOW * self.patience)], 7200
        ) not in (0, 1):
            sys.exit((self.top / "output").read_text())
        kept = json.loads((self.top / "measured.json").read_text())
        fast = {
            name: took
            for name, took in kept["took"].items()
            if took <= SLOW and name not in kept["bad"]
        }
        self.properties = set(kept["properties"])
        self.took = kept["took"]
        data = coverage.CoverageData(str(self.top / ".coverage-mutants"))
        data.read()
        lines: dict[str, dict[int, set[str]]] = {}
        for name in data.measured_files():
            by_line = data.contexts_by_lineno(name)
            path = str(Path(name).resolve().relative_to(self.top.resolve()))
            lines[path] = {line: {c for c in tests if c in fast} for line, tests in by_line.items()}
        return fast, lines

    def try_out(self, change: Change, tests: list[str], took: float) -> Change:
        """Make the change, run the tests, take it back."""
        path = self.top / change.path
        status, source = path.stat(), path.read_text(encoding="utf-8")
        changed = mutate_code(source, operators()[change.operator], change.occurrence)
        assert changed is not None
        before, after = differing(source, changed)
        try:
            path.write_text(changed, encoding="utf-8")
            code: int | None = 0
            if tests:  # a tenth of the examples notices most
                hurrying = [Hurrying(self.took, 10, WAIT * self.patience)]
                code = self.child(["-x", "--few-examples", *tests], hurrying, 20 + 2 * took)
            properties = [name for name in tests if name in self.properties]
            if code == 0 and properties:
                hurrying = [Hurrying(self.took, 100, WAIT * self.patience)]
                code = self.child(["-x", *properties], hurrying, 20 + 12 * took)
        finally:
            path.write_text(source, encoding="utf-8")
            os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
        outcome = "timeout" if code is None else "survived" if code == 0 else "killed"
        by = "" if code == 0 else self.noticed(code)
        return replace(change, before=before, after=after, outcome=outcome, tests=len(tests), by=by)

    def noticed(self, code: int | None) -> str:
        """Which test failed with the last change; else what the tests ended with."""
        for line in (self.top / "output").read_text(errors="replace").splitlines():
            if line.startswith(("FAILED ", "ERROR ")):
                return line
        return "took too long by the clock" if code is None else f"ended with {code}"


def differing(source: str, changed: str) -> tuple[str, str]:
    """The lines that differ, without indentation, each of both as one text."""
    ours, theirs = source.splitlines(), changed.splitlines()
    while ours and theirs and ours[0] == theirs[0]:
        del ours[0], theirs[0]
    while ours and theirs and ours[-1] == theirs[-1]:
        del ours[-1], theirs[-1]
    before, after = (" ".join(map(str.strip, lines)).strip() for lines in (ours, theirs))
    return before, after


def chosen(
    change: Change, fast: dict[str, float], lines: dict[str, dict[int, set[str]]]
) -> list[str]:
    """The tests that run the changed line, then others that run its file; the fastest of both.

    What is kept for later calls, or done at import, is run by the first test that asks for it:
    others rely on it.
    """
    of_file = lines.get(change.path, {})
    of_line = set().union(*(of_file.get(n, ()) for n in range(change.line, change.last_line + 1)))
    others = set().union(*of_file.values()) - of_line
    tests, budget = [], BUDGET
    for name in (*sorted(of_line, key=fast.__getitem__), *sorted(others, key=fast.__getitem__)):
        if fast[name] <= budget:
            tests.append(name)
            budget -= fast[name]
    return tests


def judged() -> set[tuple[str, str, str]]:
    """Changes that mean nothing: file, line before, line after."""
    entries = set()
    for block in EQUIVALENT.read_text(encoding="utf-8").split("\n\n"):
        lines = [line for line in block.splitlines() if line and not line.startswith("#")]
        if lines:
            path, before, after = lines[0], lines[1][1:], lines[2][1:]
            entries.add((path.strip(), before.strip(), after.strip()))
    return entries


def main() -> int:
    """Try the changes and print which of them no test noticed; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("package", help="a folder or a module of coldchain, such as schedule")
    parser.add_argument("--number", type=int, default=100, help="so many places are drawn")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=60.0, help="then no other change is tried")
    parser.add_argument(
        "--patience",
        type=float,
        default=1.0,
        help="times the seconds that tests may take by the clock, on a busy machine",
    )
    parser.add_argument("--again", action="store_true", help="only what no test noticed last time")
    arguments = parser.parse_args()
    package = arguments.package.strip("/").removesuffix(".py")
    room, results = package.split("/")[0], RESULTS / f"{package.replace('/', '-')}.json"
    until = time.monotonic() + 60 * arguments.minutes
    done: list[Change] = []
    changes, all_places = drawn(package, arguments.number, arguments.seed)
    if arguments.again:
        before = [Change(**entry) for entry in json.loads(results.read_text())]
        done = [change for change in before if change.outcome != "survived"]
        now = {
            (change.path, change.operator, change.occurrence): change for change in every(package)
        }
        changes = [
            replace(now[key], before=change.before)
            for change in before
            if change.outcome == "survived"
            and (key := (change.path, change.operator, change.occurrence)) in now
        ]
    RESULTS.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="mutants-") as top:
        tree = Tree(Path(top), arguments.patience)
        fast, lines = tree.measure(FOLDERS.get(room, [room]))
        print(f"{package}: {all_places} places, {len(fast)} fast tests", flush=True)
        for change in changes:
            if time.monotonic() > until:
                break
            tests = chosen(change, fast, lines)
            last = tree.try_out(change, tests, sum(fast[name] for name in tests))
            if change.before not in ("", last.before):
                print(f"{change.path}:{change.line}: is another line now, and left out")
                continue
            done.append(last)
            results.write_text(json.dumps([asdict(one) for one in done], indent=1))
            if last.outcome == "survived":
                print(f"{last.path}:{last.line} ({last.operator}, {last.tests} tests)")
                print(f"- {last.before}\n+ {last.after}\n", flush=True)
    known = judged()
    means_nothing = [
        change
        for change in done
        if change.outcome == "survived"
        and (change.path, change.before.strip(), change.after.strip()) in known
    ]
    counts = Counter(change.outcome for change in done)
    noticed, counted = counts["killed"] + counts["timeout"], len(done) - len(means_nothing)
    print(
        f"{package}: {len(done)} changes of {all_places} places, seed {arguments.seed}: {noticed}"
        f" noticed, {counts['survived']} not, {len(means_nothing)} of those mean nothing:"
        f" {100 * noticed / max(counted, 1):.0f} %"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())

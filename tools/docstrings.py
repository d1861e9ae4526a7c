# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""docstrings.py [PERCENT]: how many functions and classes say what they are for, by package.

Counted are those whose name has no underscore at its front, wherever they stand: methods and
functions inside of functions too.  Fails when less than PERCENT (92) of them have a docstring, and
names those that have none.  Fails as well when one of them begins with a line "name: what it is"
instead of a sentence that says what the function or class does.
"""

from __future__ import annotations

import ast
import re
import sys
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RUNNER = ROOT / "roles" / "runner" / "files"
FILES = [
    *sorted((RUNNER / "coldchain").rglob("*.py")),
    RUNNER / "build_bundle.py",
    *sorted((ROOT / "plugins").rglob("*.py")),
    *sorted((ROOT / "tools").glob("*.py")),
]
PARAMETERS = re.compile(r"[a-z_]+(, [a-z_]+)*: ")
DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def package(path: Path) -> str:
    """The folder that a file is counted under: a package of coldchain, or the topmost one."""
    if path.is_relative_to(RUNNER / "coldchain"):
        return "/".join(path.relative_to(RUNNER).parts[:2])
    return path.relative_to(ROOT).parts[0]


def main(limit: float) -> int:
    """Print a line for each package; returns 1 when less than *limit* percent have a docstring,
    or one begins with its parameters."""
    total: Counter[str] = Counter()
    documented: Counter[str] = Counter()
    without: list[str] = []
    parameters_first: list[str] = []
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, DEFINITIONS) or node.name.startswith("_"):
                continue
            total[package(path)] += 1
            place = f"{path.relative_to(ROOT)}:{node.lineno}: {node.name}"
            text = ast.get_docstring(node)
            if text is None:
                without.append(place)
                continue
            documented[package(path)] += 1
            if PARAMETERS.match(text):
                parameters_first.append(place)
    percent = 100 * documented.total() / total.total()
    for name in sorted(total):
        print(f"{name:32} {documented[name]:4} of {total[name]:4}")
    print(f"{'all':32} {documented.total():4} of {total.total():4}, {percent:.1f} %")
    if percent < limit:
        print(*without, f"less than {limit:g} % have a docstring", sep="\n")
    if parameters_first:
        print(*parameters_first, "begin with their parameters: say first what it is", sep="\n")
    return int(percent < limit or bool(parameters_first))


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]) if len(sys.argv) > 1 else 92))

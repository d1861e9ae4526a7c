# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""lint.py [NAME...]: what reads and runs nothing, as many checks at a time as there are cores.

Each is recorded as check.py does it; ansible-lint and antsibull-docs see what is shipped, in a tree
with the name that they want.  The fragments of the changelog are left to `make sanity`, which runs
antsibull-changelog's lint over all of them.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from check import check, skip
from stage import main as stage

ROOT = Path(__file__).resolve().parent.parent
TREE = ROOT / "build" / "trees" / "lint" / "ansible_collections" / "coldchain" / "freezer"
STRICT = [
    "roles/runner/files/build_bundle.py",
    "playbooks/files/demo_tree.py",
    "playbooks/files/freezer_scheduler.py",
    # What a new engine and a new mode are copied from.
    "tests/helpers/copy_engine.py",
    "tests/helpers/stream_mode.py",
]

# The longest first.
CHECKS = {
    "ansible-lint": "ansible-lint -q",
    "mypy": "mypy",
    # mutants.py stands on tools without types, in an environment of its own.
    "mypy-tools": "mypy --strict --cache-dir .mypy_cache/tools --exclude mutants.py tools "
    + " ".join(STRICT),
    "antsibull-docs": "antsibull-docs lint-collection-docs --plugin-docs"
    " --validate-collection-refs all --skip-rstcheck .",
    # What a host's Python may lack; types and formats are checked for a newer one.
    "vermin": "vermin --quiet --target=3.9- --no-tips --violations roles/runner/files",
    "shellcheck": "shellcheck tools/coldchain .ci/run",
    "yamllint": "yamllint .",
    "argument-spec": "python tools/generate_argspec.py --check",
    "reference": "python tools/generate_reference.py --check",
    "docstrings": "python tools/docstrings.py",
    "platforms": "python tools/platforms.py",
    "commits": "python tools/commits.py",
    "ruff": "ruff check --quiet .",
    "ruff-format": "ruff format --check --quiet .",
}
IN_TREE = ("ansible-lint", "antsibull-docs")


def lint(name: str) -> int:
    """Run one check; returns its exit code."""
    command = CHECKS[name].split()
    if name in IN_TREE:
        environment = {**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(TREE.parents[2])}
        return check(name, command, together=True, cwd=TREE, env=environment)
    if name == "shellcheck":
        if shutil.which("shellcheck") is None:
            return skip(name, "not installed (make bootstrap)")
        listing = ["git", "ls-files", "-z", "-co", "--exclude-standard", "*.sh"]
        command += filter(None, subprocess.check_output(listing, text=True).split("\0"))
    return check(name, command, together=True)


def main(names: list[str]) -> int:
    """Run the checks of these names, or all; returns 1 when any has failed."""
    stage(TREE, repository=True)
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        return int(any(list(pool.map(lint, names or CHECKS))))


if __name__ == "__main__":
    os.chdir(ROOT)
    sys.exit(main(sys.argv[1:]))

# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: may change in any release.

"""The runner's own code, which this collection brings to hosts, at work on the controller.

The whole command runs in a process of its own, where the controller has its libraries. A part that needs nothing but Python is
there always.
"""

from __future__ import annotations

import functools
import importlib.util
import json
import os
import subprocess
import sys
import tarfile
import tempfile
import types
import typing as t
from pathlib import Path

FILES = Path(__file__).resolve().parents[2] / "roles" / "runner" / "files"
BUNDLE = FILES / "coldchain-bundle.tar.gz"
CODE = (
    "import sys; sys.path[:] = filter(None, sys.path);"  # modules in the working directory are not ours
    " import json; sys.path[:0] = json.loads(sys.argv.pop(1));"
    " from coldchain.cli import main; main()"
)
PATIENCE = 120  # seconds


def ask(words: t.Sequence[str], text: str) -> tuple[int, dict[str, t.Any] | None]:
    """Exit code and answer of the command ``coldchain``, in a home without anything; None when it cannot run here."""
    with tempfile.TemporaryDirectory(prefix="coldchain-") as scratch:
        home = Path(scratch, "home")
        home.mkdir(mode=0o700)
        paths = json.dumps(places(Path(scratch)))
        try:
            done = subprocess.run(
                [sys.executable, "-c", CODE, paths, "--home", str(home), "--json", *words],
                input=text,
                capture_output=True,
                text=True,
                check=False,
                timeout=PATIENCE,
                env={**os.environ, "PYTHONIOENCODING": "utf-8"},
            )
            answer: dict[str, t.Any] = json.loads(done.stdout)
        except (OSError, ValueError, subprocess.TimeoutExpired):
            return 70, None
    return done.returncode, answer


def places(scratch: Path) -> list[str]:
    """Where the runner's package and its libraries are, for sys.path; the controller may have the latter."""
    if not BUNDLE.exists():
        return [str(FILES)]
    careful: dict[str, t.Any] = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
    with tarfile.open(BUNDLE) as bundle:
        bundle.extractall(scratch / "bundle", **careful)
    return [str(scratch / "bundle" / name) for name in ("", "vendor")]


@functools.cache
def part(name: str) -> types.ModuleType:
    """A module of the runner that imports nothing of it and of its libraries; name: its file, such as cli/measures.py."""
    spec = importlib.util.spec_from_file_location(
        f"coldchain_{Path(name).stem}", FILES / "coldchain" / name
    )
    if spec is None or spec.loader is None:
        raise ImportError(f"{name} is no module")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module

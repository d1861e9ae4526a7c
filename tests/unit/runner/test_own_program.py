# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the program starts of itself finds the libraries of its release, as on a host that has none
of them anywhere else."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import tinydb

import coldchain

LIBRARIES = ("tinydb", "schedule", "jsonschema", "pyrsistent", "attr", "attrs", "tqdm")
RUN = "import sys; sys.path[:0] = sys.argv[1:3]; "
DELIVER = (
    "import pathlib, time; from coldchain.observe.delivery_process import DeliveryProcess;"
    " from coldchain.observe.outbox import Outbox; home = pathlib.Path(sys.argv[3]);"
    " process = DeliveryProcess(Outbox(home / 'lib' / 'notify'), home);"
    " process.added(); process.step(time.time()); sys.exit(process._child.wait())"
)
ANY = (
    "import subprocess; from coldchain.core.own_program import own_program;"
    " import pathlib; words = own_program(pathlib.Path(sys.argv[3]));"
    " sys.exit(subprocess.call([*words, *sys.argv[4:]], stdout=subprocess.DEVNULL))"
)


@pytest.fixture(scope="module", name="release")
def _release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As role runner unpacks one."""
    place = tmp_path_factory.mktemp("release")
    without = shutil.ignore_patterns("__pycache__")
    shutil.copytree(Path(coldchain.__file__).parent, place / "coldchain", ignore=without)
    libraries = Path(tinydb.__file__).parents[1]
    for name in LIBRARIES:
        if (libraries / name).is_dir():
            shutil.copytree(libraries / name, place / "vendor" / name, ignore=without)
    return place


@pytest.mark.parametrize(
    ("code", "words"),
    [(DELIVER, ()), (ANY, ("notify",)), (ANY, ("list",)), (ANY, ("agent", "--help"))],
)
def test_what_it_starts_of_itself_finds_its_libraries(
    release: Path, tmp_path: Path, code: str, words: tuple[str, ...]
) -> None:
    (tmp_path / "lib" / "notify").mkdir(parents=True, mode=0o700)
    python = getattr(sys, "_base_executable", sys.executable)
    done = subprocess.run(
        [python, "-I", "-S", "-c", RUN + code, release, release / "vendor", tmp_path, *words],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr

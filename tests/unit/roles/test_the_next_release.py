# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What role runner asks of a release that it has just unpacked, wherever it is asked."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import releases
import yaml

VARS = yaml.safe_load((releases.ROLE / "vars" / "main.yml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module", name="words")
def _words(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """__runner_own_program, with a Python that has none of the libraries."""
    place = tmp_path_factory.mktemp("program")
    release = releases.lay_out(place)
    python = releases.bare_python(place / "python")
    start = VARS["__runner_start"]
    assert "'-I', '-c', __runner_start, __runner_release_dir" in VARS["__runner_own_program"]
    return [str(python), "-I", "-c", start, str(release), str(release / "vendor")]


def test_the_release_starts_and_judges_its_settings(words: list[str], tmp_path: Path) -> None:
    for name in ("coldchain", "json", "tinydb"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('not ours')\n")
    settings = tmp_path / "runner.conf"
    settings.write_text("[runner]\ngrace = 5\n")

    def ask(*more: str) -> tuple[int, str]:
        done = subprocess.run(
            [*words, *more],
            cwd=tmp_path,
            env={"PYTHONPATH": str(tmp_path)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout

    assert ask("--version")[0] == 0
    assert ask("serve", "--check", str(settings))[0] == 0
    settings.write_text("[runner]\ngrace = soon\n")
    code, text = ask("serve", "--check", str(settings))
    assert code == 65 and text.startswith(f"coldchain: {settings}: grace: 'soon' is not a duration")
    assert text.count("\n") == 1

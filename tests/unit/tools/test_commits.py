# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rules for commits, tried on repositories that are made for it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

TOOL = Path(__file__).parents[3] / "tools" / "commits.py"
WHO = {
    f"GIT_{role}_{what}": value
    for role in ("AUTHOR", "COMMITTER")
    for what, value in (("NAME", "a"), ("EMAIL", "a@b"))
}


class Repository:
    """A git repository with one commit, from which the rules hold."""

    def __init__(self, place: Path) -> None:
        self.place = place
        place.mkdir()
        self.git("init", "--quiet", "--initial-branch=main")
        self.commit("x" * 100, "plugins/before.py")
        self.since = self.git("rev-parse", "HEAD").strip()

    def git(self, *words: str) -> str:
        command = ["git", "-c", "commit.gpgsign=false", *words]
        environment = {**os.environ, **WHO, "GIT_CONFIG_GLOBAL": os.devnull}
        return subprocess.check_output(command, cwd=self.place, env=environment, text=True)

    def commit(self, message: str, *names: str) -> None:
        for name in names:
            path = self.place / name
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("a") as stream:
                stream.write("more\n")
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", message)

    def judged(self, since: str | None = None) -> list[str]:
        """What the tool says; its exit code has to agree."""
        words = [sys.executable, str(TOOL), since or self.since]
        done = subprocess.run(words, cwd=self.place, capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (int(bool(done.stdout)), "")
        return done.stdout.splitlines()


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "repository")


@pytest.mark.parametrize(
    ("message", "names"),
    [
        ("Change a test", ["tests/a.py"]),
        ("Say it better", ["roles/runner/README.md"]),
        ("Mend it", ["plugins/a.py", "changelogs/fragments/mend.yml"]),
        ("Rename it\n\nIt was a bad name.\n\nChangelog: none", ["roles/runner/a.py"]),
        ("x" * 72, ["docs/a.md"]),
    ],
)
def test_what_is_as_it_should_be(repository: Repository, message: str, names: list[str]) -> None:
    repository.commit(message, *names)
    assert repository.judged() == []


@pytest.mark.parametrize(
    ("message", "names", "problem"),
    [
        ("Mend it", ["plugins/a.py"], "plugins/a.py: add a changelog fragment"),
        ("Mend it", ["docs/a.md", "roles/b/a.yml"], "roles/b/a.yml: add a changelog fragment"),
        ("Mend it\n\nChangelog: a.yml", ["plugins/a.py"], "a.yml, which is in no commit's"),
        ("x" * 73, ["docs/a.md"], "73 characters"),
    ],
)
def test_what_is_not(repository: Repository, message: str, names: list[str], problem: str) -> None:
    repository.commit(message, *names)
    repository.commit("Go on", "docs/b.md")
    (line,) = repository.judged()
    assert problem in line


def test_a_series_needs_one_fragment(repository: Repository) -> None:
    repository.commit("Begin", "plugins/a.py", "changelogs/fragments/series.yml")
    repository.commit("End\n\nChangelog: series.yml", "plugins/a.py")
    repository.git("rm", "--quiet", "changelogs/fragments/series.yml")
    repository.commit("Release")
    assert repository.judged() == []


def test_a_shallow_clone_is_judged_by_what_it_has(repository: Repository, tmp_path: Path) -> None:
    for number in range(3):
        repository.commit(f"Mend {number}", "plugins/a.py")
    source = f"file://{repository.place}"
    repository.git("clone", "--quiet", "--depth=3", source, str(tmp_path / "shallow"))
    repository.place = tmp_path / "shallow"
    assert [line.split()[1:3] for line in repository.judged()] == [["Mend", "2:"], ["Mend", "1:"]]


def test_without_a_repository_there_is_nothing_to_judge(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, str(TOOL)], cwd=tmp_path, capture_output=True)
    assert done.returncode == 0

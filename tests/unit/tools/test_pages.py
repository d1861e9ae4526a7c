# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What pages for contributors say of the repository is so."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
DECISIONS = sorted((ROOT / "docs" / "decisions").glob("*.md"))
FILES = subprocess.check_output(
    ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, text=True
).splitlines()
TESTS = "".join(
    (ROOT / name).read_text()
    for name in FILES
    if name.startswith("tests/") and name.endswith(".py") and (ROOT / name).exists()
)
#: Named, and written later: by a build, by a release, by whoever adds something.
NOT_YET = {"_version.py", "CHANGELOG.md", "NAME.py", "NAME.yml"}


def test_every_decision_has_a_number_of_its_own():
    numbers = [page.name[:3] for page in DECISIONS]
    assert len(numbers) > 40
    assert sorted(set(numbers)) == numbers


@pytest.mark.parametrize("page", DECISIONS, ids=lambda page: page.name)
def test_the_title_of_a_decision_has_the_number_of_its_file(page):
    assert page.read_text().startswith(f"# {page.name[:3]}: ")


@pytest.mark.parametrize("page", [*DECISIONS, ROOT / "CONTRIBUTING.md"], ids=lambda page: page.name)
def test_a_page_names_files_that_exist(page):
    named = re.findall(r"[\w./-]*\w\.(?:py|yml|md|sh|txt)\b", page.read_text())
    wanted = {name for name in named if name.rpartition("/")[2] not in NOT_YET}
    assert [name for name in sorted(wanted) if not _exists(name)] == []


@pytest.mark.parametrize("page", DECISIONS, ids=lambda page: page.name)
def test_a_decision_names_tests_that_exist(page):
    for name in re.findall(r"\btest_\w+(?!\w*\.py)\b", page.read_text()):
        assert f"def {name}(" in TESTS or f"/{name}.py" in "\n".join(FILES)


def test_every_room_is_on_the_map():
    page = (ROOT / "CONTRIBUTING.md").read_text()
    the_map = page[page.index("## The house") : page.index("## How to add")]
    runner = "roles/runner/files/coldchain/"
    rooms = {
        file[len(house) :].partition("/")[0]
        for house in ("", "plugins/", "tests/", "docs/", runner, f"{runner}agent/")
        for file in FILES
        if file.startswith(house) and "/" in file[len(house) :]
    }
    drawn = {room for room in rooms if re.search(rf"\b{re.escape(room)}\b", the_map)}
    ordinary = {".ci", ".github", "changelogs", "meta", "requirements", "images", "coldchain"}
    assert rooms - drawn - ordinary == set()


def _exists(name: str) -> bool:
    return any(f"/{file}".endswith(f"/{name}") for file in FILES if (ROOT / file).exists())

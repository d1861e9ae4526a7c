# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""platforms.py: is the list of platforms the same in README, in the roles' page and in their meta?

README has the table.  docs/reference/role_runner.md repeats it word for word, and the roles' meta
has what it lists, by the names of Galaxy.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent
PAGES = ("README.md", "docs/reference/role_runner.md")
ROLES = ("runner", "jobs")
# What a row of the table begins with, and Galaxy's name of it.
NAMES = {
    "Debian": "Debian",
    "Ubuntu": "Ubuntu",
    "RHEL": "EL",
    "SLES": "SLES",
    "openSUSE": "opensuse",
    "Alpine": "Alpine",
}


def table(text: str) -> list[str]:
    """The rows of the table of platforms, without its head."""
    found = re.search(r"^\| host \|.*\n\|[-|]*\n((?:\|.*\n)+)", text, re.MULTILINE)
    return found.group(1).splitlines() if found else []


def galaxy_names(rows: list[str]) -> set[str]:
    """Galaxy's names of what the rows list."""
    first = " ".join(row.split("|")[1] for row in rows)
    return {galaxy for word, galaxy in NAMES.items() if re.search(rf"\b{word}\b", first)}


def problems(root: Path) -> list[str]:
    """What does not agree, a line each."""
    tables = {page: table((root / page).read_text(encoding="utf-8")) for page in PAGES}
    found = [f"{page}: has no table of platforms" for page, rows in tables.items() if not rows]
    if len({tuple(rows) for rows in tables.values()}) > 1:
        found.append(f"{' and '.join(PAGES)}: the tables of platforms differ")
    listed = galaxy_names(tables["README.md"])
    for role in ROLES:
        path = f"roles/{role}/meta/main.yml"
        meta = yaml.safe_load((root / path).read_text(encoding="utf-8"))
        names = {entry["name"] for entry in meta["galaxy_info"]["platforms"]}
        if names != listed:
            found.append(f"{path}: has {sorted(names)}, README {sorted(listed)}")
    return found


if __name__ == "__main__":
    lines = problems(ROOT)
    print("\n".join(lines), end="\n" if lines else "")
    sys.exit(bool(lines))

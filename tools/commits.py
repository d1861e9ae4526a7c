# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""commits.py [SINCE]: each commit has a short subject, and a changelog fragment where it needs one.

A subject has at most 72 characters.  A commit that changes plugins/ or roles/ adds to
changelogs/fragments, or says in a trailer why not:

    Changelog: none                 nobody who uses the collection can notice it
    Changelog: NAME.yml             the fragment of a commit before it tells this one too

There is no branch to compare with: CI gets main, after one commit or after many.  In a clone that
lacks SINCE, the commits that it has all the same are looked at, as long as their parents are there.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

#: The last commit before this rule.
SINCE = "7e3b53e355105d3257cb54e2009301109fb814f3"

FRAGMENTS = Path("changelogs", "fragments")
LONGEST = 72


@dataclass(frozen=True)
class Commit:
    """What of a commit is judged.

    changelog: what its trailer says, "" without one; files: that it changes
    """

    number: str
    subject: str
    changelog: str
    files: list[str]


def git(*words: str) -> subprocess.CompletedProcess[str]:
    """Run a git command; its code and output."""
    return subprocess.run(["git", *words], capture_output=True, text=True, encoding="utf-8")


def commits(since: str) -> list[Commit]:
    """The commits after *since*, without merges and without those whose parents are not here."""
    form = "%x01%h%x02%P%x02%s%x02%(trailers:key=Changelog,valueonly,separator=%x20)%x02"
    if git("cat-file", "-e", since).returncode == 0:
        words = [f"{since}..HEAD"]
    elif git("rev-parse", "--is-shallow-repository").stdout.strip() == "true":
        words = ["HEAD"]
    else:
        return []  # another history than the one that the rules came with
    log = git("log", "--no-merges", "--name-only", f"--format={form}", *words)
    log.check_returncode()
    found = []
    for record in log.stdout.split("\x01")[1:]:
        number, parents, subject, changelog, files = record.split("\x02")
        if parents:
            found.append(Commit(number, subject, changelog.strip(), files.split()))
    return found


def problems(commit: Commit, fragments: set[str]) -> Iterator[str]:
    """What is wrong with a commit, in words; *fragments* are the names that there have been."""
    if len(commit.subject) > LONGEST:
        yield f"its subject has {len(commit.subject)} characters, {LONGEST} have to be enough"
    noticed = [
        name
        for name in commit.files
        if name.startswith(("plugins/", "roles/")) and not name.endswith(".md")
    ]
    if not noticed or any(Path(name).parent == FRAGMENTS for name in commit.files):
        return
    if not commit.changelog:
        yield f"it changes {noticed[0]}: add a changelog fragment, or the trailer Changelog: none"
    elif commit.changelog != "none" and commit.changelog not in fragments:
        yield f"its trailer names {commit.changelog}, which is in no commit's {FRAGMENTS}"


def main(since: str) -> int:
    """Print what is wrong with the commits after *since*; returns 1 when anything is."""
    if not Path(".git").exists() or git("rev-parse", "--verify", "-q", "HEAD").returncode:
        print("no commits here: nothing to look at")
        return 0
    ever = git("log", "--name-only", "--format=", "--", str(FRAGMENTS)).stdout.split()
    fragments = {Path(name).name for name in ever}
    lines = [
        f"{commit.number} {commit.subject}: {problem}"
        for commit in commits(since)
        for problem in problems(commit, fragments)
    ]
    sys.stdout.writelines(f"{line}\n" for line in lines)
    return int(bool(lines))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else SINCE))

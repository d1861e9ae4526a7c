# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A directory tree for the demo, and the proof that two trees are the same.

    demo_tree.py make DIRECTORY            the Python library of this machine and some hard cases
    demo_tree.py change DIRECTORY          edit, add, rename and delete
    demo_tree.py record DIRECTORY FILE     write down all there is to know about every entry
    demo_tree.py compare FILE DIRECTORY    exit 1 and name every difference

What is recorded of an entry: kind, permissions, owner, time of change to the nanosecond, content (a
hash), target of a symlink, extended attributes, and which other names are the same file.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
import sys
import sysconfig
from pathlib import Path

Entry = dict[str, object]


def make(tree: Path) -> None:
    """A tree of many files, and of every kind that a backup has to keep."""
    library = Path(sysconfig.get_path("stdlib"))
    shutil.copytree(
        library,
        tree,
        symlinks=True,
        ignore=shutil.ignore_patterns("site-packages", "dist-packages", "config-*"),
    )
    cases = tree / "hard cases"
    cases.mkdir()
    (cases / "empty directory").mkdir(mode=0o711)
    (cases / "empty file").touch(mode=0o400)
    (cases / "a\nnew line, ümlaut and 雪").write_text("names may hold all but / and NUL\n")
    (cases / "not \udcff utf-8").write_bytes(bytes(range(256)))
    program = cases / "program"
    program.write_text("#!/bin/sh\necho hello\n")
    program.chmod(0o4755)
    os.link(program, cases / "program (hard link)")
    os.link(program, tree / "program (hard link in another directory)")
    (cases / "symlink").symlink_to("program")
    (cases / "dangling symlink").symlink_to("../nowhere")
    (cases / "symlink to a directory").symlink_to("empty directory")
    with (cases / "hole").open("wb") as sparse:
        sparse.seek(20_000_000)
        sparse.write(b"end")
    old = cases / "from 1985"
    old.write_text("mtime with nanoseconds\n")
    os.utime(old, ns=(0, 500_000_000_123_456_789))


def change(tree: Path) -> None:
    """Change, add, rename and remove some of it."""
    modules = sorted(tree.glob("*.py"))
    for module in modules[::10]:
        with module.open("a", encoding="utf-8") as stream:
            stream.write("# changed\n")
    for module in modules[1::10]:
        module.unlink()
    modules[2].chmod(0o600)
    shutil.rmtree(tree / "json")
    (tree / "email").rename(tree / "email, renamed")
    shutil.copytree(tree / "asyncio", tree / "new" / "asyncio")
    cases = tree / "hard cases"
    (cases / "empty directory").rmdir()
    (cases / "empty directory").write_text("a file where a directory was\n")
    (cases / "symlink").unlink()
    (cases / "symlink").symlink_to("hole")
    (cases / "program (hard link)").unlink()


def entries(tree: Path) -> dict[str, Entry]:
    """What a comparison looks at: everything in the tree by name."""
    found: dict[str, Entry] = {}
    first_name: dict[tuple[int, int], str] = {}
    names = [tree]
    for folder, folders, files in os.walk(tree):
        names += [Path(folder, name) for name in folders + files]
    for path in sorted(names):
        status = path.lstat()
        name = path.relative_to(tree).as_posix()
        entry: Entry = {
            "kind": stat.filemode(status.st_mode)[0],
            "mode": oct(stat.S_IMODE(status.st_mode)),
            "owner": f"{status.st_uid}:{status.st_gid}",
            "mtime_ns": status.st_mtime_ns,
            "attributes": {
                key: os.getxattr(path, key, follow_symlinks=False).hex()
                for key in os.listxattr(path, follow_symlinks=False)
            },
        }
        if stat.S_ISLNK(status.st_mode):
            entry["target"] = os.readlink(path)
        elif stat.S_ISREG(status.st_mode):
            entry["size"] = status.st_size
            entry["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
            entry["same_as"] = first_name.setdefault((status.st_dev, status.st_ino), name)
        found[name] = entry
    return found


def compare(recorded: dict[str, Entry], tree: Path) -> int:
    """Print the differences of the tree from what was recorded; returns 1 when there are any."""
    there = entries(tree)
    differences = [f"missing: {name!r}" for name in recorded.keys() - there.keys()]
    differences += [f"was not there: {name!r}" for name in there.keys() - recorded.keys()]
    for name in recorded.keys() & there.keys():
        before, now = recorded[name], there[name]
        differences += [
            f"{name!r}: {key} is {now.get(key)!r}, was {before.get(key)!r}"
            for key in sorted(before.keys() | now.keys())
            if before.get(key) != now.get(key)
        ]
    if differences:
        print(f"{len(differences)} differences", *sorted(differences)[:50], sep="\n")
        return 1
    kinds = [entry["kind"] for entry in recorded.values()]
    hard = sum(entry.get("same_as", name) != name for name, entry in recorded.items())
    print(
        f"{kinds.count('-')} files ({hard} by another's hard link), {kinds.count('d')} directories"
        f" and {kinds.count('l')} symlinks are the same to the last byte, mode and nanosecond"
    )
    return 0


def main(command: str, first: str, second: str = "") -> int:
    """What the command line says; returns the exit code."""
    if command == "make":
        make(Path(first))
    elif command == "change":
        change(Path(first))
    elif command == "record":
        # JSON has no surrogates of its own: names that are not UTF-8 stay readable as escapes.
        Path(second).write_text(json.dumps(entries(Path(first))), encoding="ascii")
    elif command == "compare":
        return compare(json.loads(Path(first).read_text(encoding="ascii")), Path(second))
    else:
        print(__doc__, file=sys.stderr)
        return 64
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a restore has brought, before it goes into place: no more than is wanted, and nothing that
could do harm there."""

from __future__ import annotations

import contextlib
import grp
import os
import pwd
import shlex
import shutil
import stat
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

from coldchain.agent.engines.tar.restore import open_tree
from coldchain.agent.engines.tar.restore.extract import Seen
from coldchain.agent.engines.tar.restore.extract_guard import below
from coldchain.agent.engines.tar.restore.link_model import above
from coldchain.agent.engines.tar.restore.selected_paths import not_there
from coldchain.core.text import display_name

_ARMED = stat.S_ISUID | stat.S_ISGID


class Contents(NamedTuple):
    """What a tree holds.

    size: bytes of its files; owners: user ids; warnings: what was left out of it.
    """

    files: int
    size: int
    owners: set[int]
    warnings: list[str]


def prune(tree: int, paths: Sequence[bytes], point: str) -> None:
    """Keep only the selected *paths* of the open *tree*; JobFailed when one is not there."""
    for path in paths:
        if (
            not all(map(partial(_is_folder, tree), above(path)))
            or open_tree.kind(tree, path) is None
        ):
            raise not_there(path, point)
    selected = below(paths)
    waiting = [b""]
    while waiting:
        folder = waiting.pop()
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(folder or b".", flags, dir_fd=tree)
        try:
            for name in map(os.fsencode, os.listdir(descriptor)):
                inner = os.path.join(folder, name)
                if selected(inner):
                    continue
                if not _is_folder(descriptor, name):
                    os.unlink(name, dir_fd=descriptor)
                elif any(path.startswith(inner + b"/") for path in paths):
                    waiting.append(inner)
                else:
                    shutil.rmtree(b"/proc/self/fd/%d/%s" % (descriptor, name))
        finally:
            os.close(descriptor)


def measure(tree: int, *, disarm: bool) -> Contents:
    """What the open *tree* holds; device nodes are taken out and described.

    A device node from an archive gives whoever may open it the device behind, so it is only
    made by hand.  disarm: files belong to another user than they did; one that ran as its owner
    would let everybody act as that user.
    """
    files = total = 0
    owners = set()
    warnings = []
    armed = []
    for folder, descriptor, entries in open_tree.folders(tree):
        before = os.fstat(descriptor)
        for entry in entries:
            status = entry.stat(follow_symlinks=False)
            owners.add(status.st_uid)
            kind = stat.S_IFMT(status.st_mode)
            if kind in (stat.S_IFBLK, stat.S_IFCHR):
                os.unlink(entry.name, dir_fd=descriptor)
                os.utime(descriptor, ns=(before.st_atime_ns, before.st_mtime_ns))
                node = display_name(os.path.join(folder, os.fsencode(entry.name)))
                letter = "b" if kind == stat.S_IFBLK else "c"
                number = f"{os.major(status.st_rdev)} {os.minor(status.st_rdev)}"
                warnings.append(
                    f"device node not restored: mknod {shlex.quote(node)} {letter} {number}"
                )
            elif kind != stat.S_IFDIR:
                files += 1
                total += status.st_size if kind == stat.S_IFREG else 0
                if disarm and kind == stat.S_IFREG and status.st_mode & _ARMED:
                    mode = stat.S_IMODE(status.st_mode) & ~_ARMED
                    os.chmod(entry.name, mode, dir_fd=descriptor)
                    armed.append(display_name(os.path.join(folder, os.fsencode(entry.name))))
    if armed:
        first = ", ".join(armed[:3]) + (f" and {len(armed) - 3} more" if armed[3:] else "")
        warnings.append(f"setuid and setgid not restored, the owner is another one: {first}")
    return Contents(files, total, owners, warnings)


def foreign_owners(seen: Seen, *, numeric: bool) -> list[str]:
    """Whose files an ordinary user cannot restore as theirs: user/group as tar shows them."""
    if os.geteuid() == 0:
        return []
    # In a container the user may have no name; tar then shows the number, too.
    user, group = str(os.geteuid()), str(os.getegid())
    if not numeric:
        with contextlib.suppress(KeyError):
            user = pwd.getpwuid(os.geteuid()).pw_name
        with contextlib.suppress(KeyError):
            group = grp.getgrgid(os.getegid()).gr_name
    return sorted(seen.owners - {f"{user}/{group}"})


def _is_folder(folder: int, name: bytes) -> bool:
    return open_tree.kind(folder, name) == stat.S_IFDIR

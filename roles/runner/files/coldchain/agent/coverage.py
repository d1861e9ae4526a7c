# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What one thing that runs on this host backs up, as far as its actions tell."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from coldchain.agent.engines.registry import DEFAULT_ENGINE, engine
from coldchain.agent.modes.base import TREE
from coldchain.agent.modes.registry import DEFAULT_MODE, MODES

_WORD = re.compile(r"[\w.-]+")


class Tree(NamedTuple):
    """A directory or file that is backed up.

    path: absolute, links resolved; leaves_out: as an engine has it (see Engine.leaves_out).
    """

    path: str
    leaves_out: Callable[[bytes], bool] | None = None

    def holds(self, path: str) -> bool:
        """Whether *path* lies in the tree, and no pattern leaves it out."""
        if not is_within(path, self.path):
            return False
        steps = os.path.relpath(path, self.path).split("/")
        if steps == ["."] or self.leaves_out is None:
            return True
        member = b"."
        for step in steps:
            member += b"/" + os.fsencode(step)
            if self.leaves_out(member):
                return False
        return True


class Work(NamedTuple):
    """What a job does.  words: those of its commands; modes: of its backups."""

    name: str
    trees: tuple[Tree, ...]
    words: frozenset[str]
    modes: frozenset[str]


def work_of(name: str, actions: Iterable[Mapping[str, object]], root: str = "/") -> Work:
    """That of the canonical freezer_actions *actions*; root: where the host's files lie."""
    trees, words, modes = [], set(), set()
    for action in actions:
        kind = action.get("action", "backup")
        if kind == "exec":
            command = action.get("command", "")
            text = command if isinstance(command, str) else " ".join(map(str, _list(command)))
            words.update(_WORD.findall(text))
        elif kind == "backup" and not action.get("dry_run"):
            mode = str(action.get("mode", DEFAULT_MODE))
            modes.add(mode)
            if mode in MODES and MODES[mode].gives == TREE and action.get("path_to_backup"):
                path = os.path.expanduser(str(action["path_to_backup"]))
                keeper = engine(str(action.get("engine_name", DEFAULT_ENGINE)))
                patterns = [str(pattern) for pattern in _list(action.get("exclude"))]
                trees.append(Tree(resolved(path, root), keeper.leaves_out(patterns)))
    return Work(name, tuple(trees), frozenset(words), frozenset(modes))


def is_within(path: str, folder: str) -> bool:
    """Whether *path* is *folder* or lies below it; both absolute and without links."""
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def resolved(path: str, root: str) -> str:
    """*path* of the host whose files lie below *root*, with its links resolved."""
    return os.path.realpath(os.path.join(root, path.lstrip("/")))


def _list(value: object) -> Sequence[object]:
    return value if isinstance(value, (list, tuple)) else ()

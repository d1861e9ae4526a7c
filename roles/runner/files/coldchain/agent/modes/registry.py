# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The modes there are.  A mode is imported when an action asks for it."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple

from coldchain.agent.modes.base import TREE
from coldchain.core.errors import DataError

if TYPE_CHECKING:
    from coldchain.agent.modes.base import Mode

DEFAULT_MODE = "fs"


class ModeKind(NamedTuple):
    """A mode.  module, name: where its class is; gives: TREE or STREAM (base.py)."""

    module: str
    name: str
    gives: str


#: mode -> where it is.  A new mode is a file and a row.
MODES = {"fs": ModeKind("coldchain.agent.modes.fs", "FsMode", TREE)}


def mode(name: str) -> Mode:
    """The mode *name*; DataError when there is none."""
    kind = MODES.get(name)
    if kind is None:
        raise DataError(f"mode: {name!r} is not one of {', '.join(MODES)}")
    made: Mode = getattr(import_module(kind.module), kind.name)()
    return made

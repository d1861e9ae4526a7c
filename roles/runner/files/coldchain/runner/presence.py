# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which program is at work as the runner of an installation, and since when: ``runner.json``.

The lock tells that a runner is there; after an upgrade it may still be the one of before.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import NamedTuple

from coldchain import __version__
from coldchain.core.files import open_ours, write_atomically
from coldchain.core.instants import from_epoch, iso
from coldchain.core.locks import is_locked
from coldchain.core.paths import Paths


class Presence(NamedTuple):
    """Which runner is at work.

    alive: one is; version, since (POSIX seconds): of that one, None of a runner
    that has not told.
    """

    alive: bool
    version: str | None = None
    since: float | None = None

    def as_dict(self) -> dict[str, object]:
        """The JSON form, since as an ISO instant."""
        since = None if self.since is None else iso(from_epoch(int(self.since)))
        return {"alive": self.alive, "version": self.version, "since": since}


def is_superseded() -> bool:
    """Whether another release than the one of this process would be started now."""
    release = Path(__file__).resolve().parents[2]
    current = release.parent.parent / "current"  # as role runner lays releases out
    return current.is_symlink() and current.resolve() != release


def tell(paths: Paths) -> None:
    """Say that this program is the runner from now on; CannotWrite."""
    content = {"version": __version__, "since": round(time.time(), 3)}
    write_atomically(paths.runner, json.dumps(content).encode("ascii") + b"\n", durable=False)


def look(paths: Paths) -> Presence:
    """The runner of an installation.  Unavailable when somebody else could have written of it."""
    if is_locked(paths.foreground_lock) or not is_locked(paths.runner_lock):
        return Presence(False)
    try:
        with open(open_ours(paths.runner), "rb") as stream:
            content = json.loads(stream.read(4096))
        return Presence(True, str(content["version"]), float(content["since"]))
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return Presence(True)

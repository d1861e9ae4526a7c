# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The processes of a program that is no action, and of which nothing is to stay if it fails."""

from __future__ import annotations

import os
import signal
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from coldchain.execution.members import Mark, Member, members

_ROUNDS = 8  # of what forks meanwhile

_starting = threading.Lock()  # the mark is the limit of a process, and so of all its threads


class Background:
    """Whatever the program starts, wherever that goes to, as for an attempt (members.py)."""

    def __init__(self, attempt: Path) -> None:
        self._mark = Mark.of(attempt)

    @classmethod
    @contextmanager
    def watched(cls) -> Iterator[Background]:
        """The processes of one program, which is started in the block."""
        with tempfile.TemporaryDirectory(prefix="coldchain-program-") as directory:
            yield cls(Path(directory, "1"))

    @property
    def environment(self) -> Mapping[str, str]:
        """What the program has to have in its environment."""
        return {"COLDCHAIN_ATTEMPT": os.fspath(self._mark.attempt)}

    @contextmanager
    def starting(self) -> Iterator[None]:
        """What is started in this block is the program."""
        with _starting, self._mark.inherited():
            yield

    def kill(self) -> None:
        """End all of it."""
        known: list[Member] = []
        for _round in range(_ROUNDS):
            known = members(self._mark, None, known, set())
            if not known:
                return
            for member in known:
                member.send(signal.SIGKILL)

# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every notifier gets, and how it says that it could not deliver."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any, NamedTuple, Protocol

TIMEOUT = 10.0
"""Seconds that each step of a delivery may take."""


class Undelivered(Exception):
    """A message did not arrive.

    refused: the other side answered that it will not have this one, so others need not wait for it;
    after: it asked for so many seconds without another attempt.
    """

    def __init__(self, message: str, *, refused: bool = False, after: float = 0.0) -> None:
        super().__init__(message)
        self.message = message
        self.refused = refused
        self.after = after


class Background(Protocol):
    """The processes of a program (execution/background.py)."""

    @property
    def environment(self) -> Mapping[str, str]:
        """What the program has to have in its environment."""

    def starting(self) -> AbstractContextManager[None]:
        """What is started in this block is the program."""

    def kill(self) -> None:
        """End all of it."""


Watched = Callable[[], AbstractContextManager[Background]]
"""Begins to watch a program."""


class Task(NamedTuple):
    """One message to deliver.

    entry: of ``notify``; message: what is told (docs/reference/notify.md); credentials: what the
    entry's credentials file holds; watched: for a program that is started; log: the end of the
    run's log, "" unless that was asked for.
    """

    entry: Mapping[str, Any]
    message: Mapping[str, Any]
    credentials: Mapping[str, str]
    watched: Watched
    log: str = ""

    def text(self, name: str, default: str = "") -> str:
        """What the credentials file or else the entry says of *name*."""
        return str(self.credentials.get(name.upper()) or self.entry.get(name) or default)

    @property
    def body(self) -> str:
        """The text of the message, with the log behind it."""
        text = str(self.message["text"])
        return f"{text}\n\n{self.log}" if self.log else text


class Sender(Protocol):
    """A module of this package."""

    def send(self, task: Task) -> str:
        """Deliver; what the other side has answered, in a few words.  Raises Undelivered."""

# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Arguments that several commands have, and types of their values."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from coldchain.agent.storages.kinds import FIELDS, PORTS, STORAGES
from coldchain.core.instants import UTC, parse_duration, parse_instant

_LARGEST = 999_999_999


def whole_number(text: str) -> int:
    """The type of an argument that is a number of things.  Raises ArgumentTypeError."""
    if not text.isascii() or not text.isdigit():
        raise argparse.ArgumentTypeError(f"{text[:100]!r} is not a whole number from 0 on")
    if len(text) > len(str(_LARGEST)):
        raise argparse.ArgumentTypeError(f"{text[:100]!r} is too large: at most {_LARGEST}")
    return int(text)


def positive_number(text: str) -> int:
    """The type of an argument that is a number of things, at least one.  Raises
    ArgumentTypeError."""
    number = whole_number(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is too small: write 1 or more")
    return number


def number_up_to(most: int) -> Callable[[str], int]:
    """The type of an argument that is a number of things, at least one and at most *most*."""

    def number(text: str) -> int:
        value = positive_number(text)
        if value > most:
            raise argparse.ArgumentTypeError(f"{text!r} is too large: at most {most}")
        return value

    return number


def port(text: str) -> int:
    """The type of an argument that is a port.  Raises ArgumentTypeError."""
    number = whole_number(text)
    if not 1 <= number <= 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port: a number from 1 to 65535")
    return number


def instant_text(text: str) -> str:
    """The type of an argument that is a date, with a time or without; its zone is told later.
    Raises ArgumentTypeError."""
    try:
        year = parse_instant(text, UTC).year
    except ValueError as error:
        raise argparse.ArgumentTypeError(
            f"{error}; an offset may follow, as in 2026-11-24T02:30:00Z"
        ) from None
    if not 1970 <= year < 9999:  # so that its neighbours in any zone can be computed with
        raise argparse.ArgumentTypeError(f"{text!r} is not in the years from 1970 to 9998")
    return text


def duration_seconds(text: str) -> int:
    """The type of an argument that is a duration: seconds.  Raises ArgumentTypeError."""
    try:
        seconds = parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    if seconds > _LARGEST:
        raise argparse.ArgumentTypeError(f"{text[:100]!r} is too long: at most {_LARGEST} seconds")
    return seconds


def _tag(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 12:
        raise argparse.ArgumentTypeError(f"{text[:100]!r} is no tag: a slot in seconds since 1970")
    return int(text)


def add_scope(command: argparse.ArgumentParser) -> None:
    """What chooses the backups that a command looks at (scopes.py)."""
    command.add_argument("--container", help="only this one; by default all of this host")
    command.add_argument("--backup-name")
    command.add_argument("--hostname")
    command.add_argument("--job", metavar="JOB", help="only what this job has written")


def add_session(command: argparse.ArgumentParser) -> None:
    """What chooses the runs of a session."""
    command.add_argument("--session", metavar="ID", help="what runs of this session have left")
    command.add_argument("--tag", metavar="T", type=_tag, help="only those with this tag")


def add_scheme(command: argparse.ArgumentParser) -> None:
    """What the levels must be sealed with, for commands that read them."""
    command.add_argument(
        "--encrypt-scheme",
        choices=("freezer", "strong"),
        help="what every level must have; with a password, strong by default",
    )
    command.add_argument(
        "--accept-unsealed",
        action="store_true",
        help="take levels without a seal, too: nobody can tell who wrote them",
    )


def add_show_secrets(command: argparse.ArgumentParser) -> None:
    """The switch of commands that show documents."""
    command.add_argument(
        "--show-secrets",
        action="store_true",
        help="documents with the values of environment, and other secrets",
    )


def add_storage(command: argparse.ArgumentParser) -> None:
    """The fields of a storage, for commands that look into containers."""
    group = command.add_argument_group("where the container lies (as the fields of an action)")
    group.add_argument("--storage", choices=tuple(STORAGES), help="local by default")
    group.add_argument("--credentials-file", metavar="FILE", help="lines NAME=VALUE, mode 0600")
    for name in FIELDS:
        group.add_argument(
            f"--{name.replace('_', '-')}",
            metavar=name.rpartition("_")[2].upper(),
            type=port if name in PORTS else str,
        )

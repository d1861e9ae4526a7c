# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A program that takes a message: on its standard input, within a limit."""

from __future__ import annotations

import fcntl
import os
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence

from coldchain.core.text import printable
from coldchain.observe.notifiers.base import Undelivered, Watched

LONGEST = 25.0
"""Seconds that a program may take."""
_SAID = 200  # bytes of what it has said that are kept
_MOST_SAID = 1_048_576  # bytes of it that lie on the disk, looked at so many seconds apart:
_LOOK = 0.1


def run(
    watched: Watched, argv: Sequence[str], raw: bytes, environment: Mapping[str, str], name: str
) -> None:
    """Run *argv*, whose exit code has to be 0, with *raw* as its input; name: for people.

    Raises Undelivered; then nothing stays that it has left in the background: each attempt would
    leave more.
    """
    # Not a pipe: what a program leaves behind would keep it open.
    with watched() as background, tempfile.TemporaryFile() as said:
        fcntl.fcntl(said, fcntl.F_SETFL, os.O_APPEND)  # it goes on at the end of what is cut off
        try:
            with background.starting():
                child = subprocess.Popen(
                    argv,
                    stdin=subprocess.PIPE,
                    stdout=said,
                    stderr=subprocess.STDOUT,
                    env={**environment, **background.environment},
                    start_new_session=True,
                )
        except OSError as error:
            raise Undelivered(f"{name}: {error.strerror}") from None
        try:
            _feed(child, raw, said.fileno())
        except subprocess.TimeoutExpired:
            background.kill()
            child.wait()
            raise Undelivered(f"{name} took longer than {LONGEST:g} s") from None
        if child.returncode:
            background.kill()
            said.seek(max(0, said.seek(0, os.SEEK_END) - _SAID))
            text = printable(said.read().decode("utf-8", "replace").strip())
            how = f"{name} ended with {child.returncode}"
            raise Undelivered(f"{how}: {text}" if text else how)


def _feed(child: subprocess.Popen[bytes], raw: bytes, said: int) -> None:
    """Give it *raw* and wait for its end; TimeoutExpired after LONGEST.

    said: where it writes to, which a program that says something for ever does not fill the disk
    with.
    """
    until, given = time.monotonic() + LONGEST, raw or None
    while True:
        left = until - time.monotonic()
        try:
            child.communicate(given, timeout=max(0.0, min(_LOOK, left)))
            return
        except subprocess.TimeoutExpired:
            if left <= _LOOK:
                raise
        given = None
        if os.fstat(said).st_size > _MOST_SAID:
            os.ftruncate(said, 0)

# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A program that takes a message: on its standard input, within a limit."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Mapping, Sequence

from coldchain.core.text import printable
from coldchain.observe.notifiers.base import Undelivered, Watched

LONGEST = 25.0
"""Seconds that a program may take."""
_SAID = 200  # bytes of what it has said that are kept


def run(
    watched: Watched, argv: Sequence[str], raw: bytes, environment: Mapping[str, str], name: str
) -> None:
    """Run *argv*, whose exit code has to be 0, with *raw* as its input; name: for people.

    Raises Undelivered; then nothing stays that it has left in the background: each attempt would
    leave more.
    """
    # Not a pipe: what a program leaves behind would keep it open.
    with watched() as background, tempfile.TemporaryFile() as said:
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
            child.communicate(raw, timeout=LONGEST)
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

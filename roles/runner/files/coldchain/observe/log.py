# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The runner's own log: lines on standard error, with priorities for journald."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_PRIORITY = {
    logging.CRITICAL: 2,
    logging.ERROR: 3,
    logging.WARNING: 4,
    logging.INFO: 6,
}


class _JournalFormatter(logging.Formatter):
    """Writes "<6>text": journald takes the priority from the front; it has its own clock."""

    def format(self, record: logging.LogRecord) -> str:
        """One line with the priority that journald reads at its front."""
        text = super().format(record).replace("\n", " | ")
        return f"<{_PRIORITY.get(record.levelno, 6)}>{text}"


_UNASKED = {
    "_srcfile": None,
    "logThreads": False,
    "logProcesses": False,
    "logMultiprocessing": False,
}
"""What records would have of their origin: no line of ours has it, and to find it out takes a third
of the time that a line takes.  The standard library's HOWTO on logging names these switches."""


@contextmanager
def to_standard_error() -> Iterator[None]:
    """Send the package's log to standard error for the time of the block."""
    before = {name: getattr(logging, name) for name in _UNASKED}
    vars(logging).update(_UNASKED)
    handler = logging.StreamHandler(sys.stderr)
    if "JOURNAL_STREAM" in os.environ:
        handler.setFormatter(_JournalFormatter("%(message)s"))
    else:
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logger = logging.getLogger("coldchain")
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        vars(logging).update(before)
        logger.removeHandler(handler)
        logger.setLevel(level)

# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Declarations, requests, state and history on disk; the only code that touches the database."""

from coldchain.store.file_format import Damage
from coldchain.store.records import Change, Document, Event, JobRecord, Run, State, timing
from coldchain.store.retention import Bounds
from coldchain.store.rows import Remembered
from coldchain.store.store import WRITTEN_AGAIN, Store

__all__ = [
    "WRITTEN_AGAIN",
    "Bounds",
    "Change",
    "Damage",
    "Document",
    "Event",
    "JobRecord",
    "Remembered",
    "Run",
    "State",
    "Store",
    "timing",
]

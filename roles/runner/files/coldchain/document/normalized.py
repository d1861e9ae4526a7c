# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A document in today's spelling, and what its own spelling told on the way there."""

from __future__ import annotations

from typing import Any

from coldchain.core.errors import Problem
from coldchain.document.json_path import Place, json_path


class Normalized:
    """A document in today's spelling.

    unset: for each action, the options that it says are not set, so that action_defaults do not
    fill them; errors: contradictions that only the original spelling shows; empty_times: the
    fields of job_schedule that are there without a value; action: it was an action and no job.
    """

    def __init__(self) -> None:
        self.document: Any = None
        self.warnings: list[Problem] = []
        self.errors: list[Problem] = []
        self.unset: dict[int, set[str]] = {}
        self.empty_times: set[str] = set()
        self.action = False

    def warn(self, place: Place, message: str, hint: str = "") -> None:
        """Add a warning about *place*; hint: what to write instead."""
        self.warnings.append(Problem(json_path(place), message, hint))

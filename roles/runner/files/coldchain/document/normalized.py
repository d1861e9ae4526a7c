# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A document in today's spelling, and what its own spelling told on the way there."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from coldchain.core.errors import Problem
from coldchain.document.json_path import Place, json_path


@dataclass
class Normalized:
    """A document in today's spelling.

    unset: for each action, the options that it says are not set, so that action_defaults do not
    fill them; errors: contradictions that only the original spelling shows; empty_times: the
    fields of job_schedule that are there without a value; action: it was an action and no job.
    """

    document: Any = None
    warnings: list[Problem] = dataclasses.field(default_factory=list)
    errors: list[Problem] = dataclasses.field(default_factory=list)
    unset: dict[int, set[str]] = dataclasses.field(default_factory=dict)
    empty_times: set[str] = dataclasses.field(default_factory=set)
    action: bool = False

    def warn(self, place: Place, message: str, hint: str = "") -> None:
        """Add a warning about *place*; hint: what to write instead."""
        self.warnings.append(Problem(json_path(place), message, hint))

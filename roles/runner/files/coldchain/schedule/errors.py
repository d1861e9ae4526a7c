# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The error of this package: a schedule that cannot be accepted, with every reason."""

from __future__ import annotations

import reprlib
from collections.abc import Sequence

from coldchain.core.errors import Problem

_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxlong = _SHORT.maxother = 60


class ScheduleError(ValueError):
    """A schedule is refused.

    field names the key inside ``job_schedule`` ("schedule_minute", "dst.gap", "blackout[0].end"),
    message what is wrong, hint what to write instead.  One error may carry the problems of
    several fields; the attributes are those of the first one.
    """

    def __init__(
        self, field: str, message: str, hint: str = "", *, more: Sequence[Problem] = ()
    ) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field
        self.message = message
        self.hint = hint
        self._more = tuple(more)

    @classmethod
    def of(cls, problems: Sequence[Problem]) -> ScheduleError:
        """One error for all *problems* (at least one)."""
        first = problems[0]
        return cls(first.path, first.message, first.hint, more=problems[1:])

    def problems(self) -> list[Problem]:
        """Every problem; ``path`` is relative to job_schedule."""
        return [Problem(self.field, self.message, self.hint), *self._more]


def quoted(text: object) -> str:
    """*text* as it stands in a message, cut where it gets long or deep."""
    try:
        return _SHORT.repr(text)
    except ValueError:  # Python refuses to write out a number of more than 4300 digits
        return "so large a number"

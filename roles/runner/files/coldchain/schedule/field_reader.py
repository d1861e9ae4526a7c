# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading the fields of a mapping: every problem is gathered, with its place."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from coldchain.core.errors import Problem
from coldchain.core.text import did_you_mean
from coldchain.schedule.errors import ScheduleError, quoted

_WINDOWS = 50
_LENGTH = 60  # of a key, as it is shown
_T = TypeVar("_T")


class NotAcceptable(ValueError):
    """A value is not acceptable; the reader knows the name of its field."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class Reader:
    """Reads named values and gathers the problems instead of stopping at the first.

    given: the values that say something.
    """

    def __init__(
        self, values: Mapping[str, object], prefix: str = "", problems: list[Problem] | None = None
    ) -> None:
        self.given = {name: value for name, value in values.items() if _is_set(value)}
        self._prefix = prefix
        self._problems: list[Problem] = [] if problems is None else problems

    def problem(self, name: str, message: str, hint: str = "") -> None:
        """Note that the value of *name* is not acceptable."""
        self._problems.append(Problem(self._prefix + name, message, hint))

    def read(self, name: str, parse: Callable[[object], _T]) -> _T | None:
        """The parsed value of *name*; None when it is not given or not acceptable."""
        if name not in self.given:
            return None
        try:
            return parse(self.given[name])
        except ScheduleError as error:
            self.problem(name, error.message, error.hint)
        except NotAcceptable as error:
            self.problem(name, str(error), error.hint)
        return None

    def section(self, name: str, names: Sequence[str]) -> Reader | None:
        """The reader of a mapping; None when it is not given or not acceptable."""
        return self._inside(name, self.given[name], names) if name in self.given else None

    def sections(self, name: str, names: Sequence[str]) -> list[Reader]:
        """The readers of a list of mappings."""
        value = self.given.get(name, ())
        if not isinstance(value, (list, tuple)):
            self.problem(name, f"{quoted(value)} is not a list", f"a list of {_keys(names)}")
            return []
        if len(value) > _WINDOWS:
            self.problem(name, f"{len(value)} entries are too many", f"at most {_WINDOWS}")
            return []
        sections = [self._inside(f"{name}[{i}]", item, names) for i, item in enumerate(value)]
        return [section for section in sections if section is not None]

    def _inside(self, name: str, value: object, names: Sequence[str]) -> Reader | None:
        if not isinstance(value, Mapping):
            self.problem(name, f"{quoted(value)} is not a mapping", f"a mapping of {_keys(names)}")
            return None
        for key in value:
            if key not in names:
                near = did_you_mean(str(key)[:_LENGTH], names)
                hint = near or f"known: {', '.join(names)}"
                self.problem(f"{name}.{str(key)[:_LENGTH]}", "unknown key", hint)
        return Reader(value, f"{self._prefix}{name}.", self._problems)

    def require(self, name: str, parse: Callable[[object], _T]) -> _T | None:
        """Like read, but it has to be there."""
        if name not in self.given:
            self.problem(name, "is missing", f"add {name}")
        return self.read(name, parse)

    def check(self) -> None:
        """Raises ScheduleError when there was any problem."""
        if self._problems:
            raise ScheduleError.of(self._problems)


def _is_set(value: object) -> bool:
    return not (value is None or value is False or value == "")


def _keys(names: Sequence[str]) -> str:
    return ", ".join(names)

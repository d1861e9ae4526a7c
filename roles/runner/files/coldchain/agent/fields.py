# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a canonical freezer_action says, field by field."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from datetime import tzinfo
from pathlib import Path

from coldchain.core.errors import DataError
from coldchain.core.instants import parse_instant
from coldchain.core.rates import parse_rate


class Fields:
    """Typed access to one canonical freezer_action; the document's rules have checked it."""

    def __init__(self, action: Mapping[str, object]) -> None:
        self._action = action

    def text(self, name: str, default: str = "") -> str:
        """The field as text; *default* when it is not set."""
        value = self._action.get(name)
        return default if value is None else str(value)

    def flag(self, name: str, default: bool = False) -> bool:
        """The field as true or false; *default* when it is not set."""
        return bool(self._action.get(name, default))

    def number(self, name: str) -> float | None:
        """The field as a number; None when it is not set."""
        value = self._action.get(name)
        return value if isinstance(value, (int, float)) else None

    def whole(self, name: str) -> int:
        """The field as a whole number; 0 when it is not set."""
        return int(self.number(name) or 0)

    def texts(self, name: str) -> tuple[str, ...]:
        """The field as several texts; none when it is not set."""
        value = self._action.get(name)
        return tuple(map(str, value)) if isinstance(value, (list, tuple)) else ()

    def instant(self, name: str, zone: tzinfo) -> int | None:
        """POSIX seconds of an ISO date; one without offset is a reading of the clock in *zone*."""
        value = self.text(name)
        return math.floor(parse_instant(value, zone).timestamp()) if value else None

    def rate(self, name: str) -> int | None:
        """Bytes a second; None for no limit."""
        value = self.text(name)
        return parse_rate(value) if value else None

    def path(self, name: str) -> Path | None:
        """An absolute path, "~" expanded; the last component may be a symbolic link.

        None when it is not set.  Raises DataError when this host does not know the user in it.
        """
        value = self.text(name)
        if not value:
            return None
        expanded = os.path.expanduser(value)
        if not os.path.isabs(expanded):
            raise DataError(f"{name}: {value!r} is not in the home of a user of this host")
        return Path(os.path.normpath(expanded))

    def required_path(self, name: str) -> Path:
        """The path of a field that the action cannot do without."""
        path = self.path(name)
        assert path is not None, name
        return path

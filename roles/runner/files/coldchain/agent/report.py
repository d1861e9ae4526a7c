# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an action tells when it is done: a line for people and fields for machines."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple


class Report(NamedTuple):
    """The outcome of a successful action; *fields* depend on it and are JSON."""

    action: str
    message: str
    warnings: tuple[str, ...] = ()
    fields: Mapping[str, object] = MappingProxyType({})

    def as_dict(self) -> dict[str, object]:
        """JSON: the fields beside action, message and warnings."""
        return {
            "action": self.action,
            "message": self.message,
            "warnings": list(self.warnings),
            **self.fields,
        }

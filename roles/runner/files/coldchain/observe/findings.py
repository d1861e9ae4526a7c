# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What somebody should know about a host, with the way out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

INFO, WARNING, CRITICAL = "info", "warning", "critical"
SEVERITIES = (INFO, WARNING, CRITICAL)


class Finding(NamedTuple):
    """One thing that was noticed.

    severity: one of SEVERITIES, of which only critical means that something is not protected;
    about: what it is about ("job www", "runner"); text: what is wrong; remedy: what to do, "" where
    there is nothing to do.
    """

    severity: str
    about: str
    text: str
    remedy: str = ""

    def as_dict(self) -> dict[str, str]:
        """The JSON form."""
        return self._asdict()

    @classmethod
    def from_dict(cls, entry: Mapping[str, str]) -> Finding:
        """Read what as_dict made; what a newer release has added is passed over."""
        severity = entry.get("severity", "")
        texts = (str(entry.get(name, "")) for name in cls._fields[1:])
        return cls(severity if severity in SEVERITIES else WARNING, *texts)

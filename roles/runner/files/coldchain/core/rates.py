# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bytes a second as text, in Freezer's spelling: 500000, "512K", "1.5M"; K is 1024."""

from __future__ import annotations

import re

#: Freezer's own words for "no limit".
NO_LIMIT = ("-1", "0")
_UNITS = ("", "K", "M", "G", "T")
_RATE = re.compile(r"(\d{1,15}(?:\.\d{1,9})?)\s*([KMGT]?)", re.IGNORECASE)


def parse_rate(text: str) -> int:
    """Bytes a second; ValueError when it is no rate, or less than one byte."""
    match = _RATE.fullmatch(text.strip())
    rate = int(float(match[1]) * 1024 ** _UNITS.index(match[2].upper())) if match else 0
    if rate < 1:
        raise ValueError(f"{text!r} is not bytes a second like 500000, 512K or 1.5M")
    return rate


def rate_text(rate: int) -> str:
    """The shortest exact way to write *rate*."""
    power = 0
    while power < len(_UNITS) - 1 and rate % 1024 == 0:
        rate //= 1024
        power += 1
    return f"{rate}{_UNITS[power]}"

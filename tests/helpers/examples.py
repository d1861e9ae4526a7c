# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How many examples a property test takes: what each run can afford, more in `make torture`."""

from __future__ import annotations

from hypothesis import settings


def searching() -> bool:
    """Whether it is for examples that nobody has tried (pytest --hypothesis-profile search)."""
    return settings.get_current_profile_name() == "search"


def examples(each_run: int, searched: int) -> int:
    """The number for a test of which an example takes a tenth of a second, say."""
    return searched if searching() else each_run

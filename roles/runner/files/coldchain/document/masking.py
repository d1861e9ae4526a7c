# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A change told without the values of ``environment``: what is told ends up in logs.

plugins/module_utils/_text.py does the same for the diffs of the modules, also where no runner is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

HIDDEN = "(hidden)"
HIDDEN_CHANGED = "(hidden, changed)"


def masked(value: Any, before: Any = None) -> Any:
    """A canonical document without the values; says which are not as they were in *before*."""
    if isinstance(value, list):
        old = before if isinstance(before, list) else []
        return [masked(item, old[i] if i < len(old) else None) for i, item in enumerate(value)]
    if not isinstance(value, dict):
        return value
    earlier = before if isinstance(before, dict) else {}
    return {
        name: _hidden(inner, earlier.get(name, {}))
        if name == "environment"
        else masked(inner, earlier.get(name))
        for name, inner in value.items()
    }


def _hidden(values: Mapping[str, str], before: Mapping[str, str]) -> dict[str, str]:
    return {
        name: HIDDEN_CHANGED if before.get(name, value) != value else HIDDEN
        for name, value in values.items()
    }

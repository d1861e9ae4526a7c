# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Places in a document, and values of it, as text in messages."""

from __future__ import annotations

import json
import re
from typing import Union

Place = tuple[Union[str, int], ...]

_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,60}")
_LONGEST = 60


def json_path(place: Place) -> str:
    """("job_actions", 0, "mandatory") -> "$.job_actions[0].mandatory"."""
    path = "$"
    for step in place:
        if isinstance(step, int):
            path += f"[{step}]"
        elif _PLAIN_KEY.fullmatch(step):
            path += f".{step}"
        else:
            path += f"[{shown(step)}]"
    return path


def shown(value: object) -> str:
    """A scalar as JSON, cut where it gets long; of a list or object only what it is.

    Never fails and never takes long, whatever a document holds.
    """
    if isinstance(value, (list, tuple)):
        return "a list"
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, str):
        text = json.dumps(value[: _LONGEST + 1])
        return text if len(value) <= _LONGEST else f"{text[:_LONGEST]}..."
    if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() > 200:
        return "a number of more than 60 digits"
    if value is None or isinstance(value, (bool, int, float)):
        return json.dumps(value)
    return f"a {type(value).__name__}"

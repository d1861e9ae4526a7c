# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What no document may hold, wherever it stands.

Everything behind this door relies on it: texts that UTF-8 and the kernel's calls can carry,
numbers that fit into 64 bits, a depth that no recursion has to fear.
"""

from __future__ import annotations

import math

from coldchain.core.errors import Problem
from coldchain.document.json_path import Place, json_path, shown

DEEPEST = 12  # a full document of ours has 6 levels
LARGEST = 2**63 - 1
LONGEST_TEXT = 100_000  # characters; the kernel takes no argument above 128 KiB
_MOST_PROBLEMS = 20


def sanity_problems(raw: object) -> list[Problem]:
    """The first problems of this kind in *raw* (any Python object), none for a sound one."""
    problems: list[Problem] = []
    stack: list[tuple[object, Place]] = [(raw, ())]
    while stack and len(problems) < _MOST_PROBLEMS:
        value, place = stack.pop()
        if isinstance(value, str):
            message = _text(value)
        elif isinstance(value, dict):
            message = "is nested too deeply" if len(place) > DEEPEST else ""
            for key, item in value.items():
                if not isinstance(key, str):
                    message = f"has a key that is no text: {shown(key)}"
                elif _text(key):
                    message = f"has a key that {_text(key)}: {shown(key)}"
                elif not message and not _is_plain(item):
                    stack.append((item, (*place, key)))
        elif isinstance(value, list):
            if len(place) > DEEPEST:
                message = "is nested too deeply"
            else:
                message = ""
                stack.extend((item, (*place, index)) for index, item in enumerate(value))
        elif value is None or isinstance(value, bool):
            message = ""
        elif isinstance(value, int):
            message = "is too large a number" if abs(value) > LARGEST else ""
        elif isinstance(value, float):
            message = "" if math.isfinite(value) else "is not a number that JSON knows"
        else:
            message = f"is no JSON value but {shown(value)}"
        if message:
            problems.append(Problem(json_path(place), message))
    return problems


def _is_plain(value: object) -> bool:
    """Whether it is a text, as most values are, and sound: then it needs no look of its own."""
    return isinstance(value, str) and not _text(value)


def _text(text: str) -> str:
    if len(text) > LONGEST_TEXT:
        return f"holds more than {LONGEST_TEXT} characters"
    if text.isascii():
        return "holds a NUL character" if "\0" in text else ""
    try:
        text.encode()
    except UnicodeEncodeError:
        return "holds half of a surrogate pair, which is no character"
    return "holds a NUL character" if "\0" in text else ""

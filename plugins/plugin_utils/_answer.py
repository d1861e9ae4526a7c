# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: may change in any release.

"""The one typed reader of what hosts say of themselves: a host that was broken into says anything.

Pure.
"""

from __future__ import annotations

import datetime
import json
import math
import re
import typing as t

Answer = t.Mapping[str, t.Any]
MOST_TEXT = 64 << 20  # characters of one host's answer
LATEST = 1 << 33  # POSIX seconds: the year 2242
LARGEST = 1 << 63  # bytes

# What could pass for something else on a screen: control characters, and those that turn the direction of a text.
UNSEEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]+"
)

# What is read of an answer; a name that ends with "?" may be missing, and one in a tuple may be null.
NUMBER = (int, float)
OPTIONAL_TEXT: tuple[t.Any, ...] = (str, None)
SHAPE: dict[str, t.Any] = {
    "host?": str,
    "time?": str,
    "protected": bool,
    "runner": {"alive": bool, "version?": OPTIONAL_TEXT, "since?": OPTIONAL_TEXT},
    "jobs": [
        {
            "job_id": str,
            "state": str,
            "reasons?": [str],
            "result?": OPTIONAL_TEXT,
            "last_success?": OPTIONAL_TEXT,
            "expect_success_within?": (*NUMBER, None),
            "next_run?": OPTIONAL_TEXT,
        }
    ],
    "series": [
        {
            "job_id": str,
            "backup_name": str,
            "storage?": OPTIONAL_TEXT,
            "container?": OPTIONAL_TEXT,
            "hostname?": OPTIONAL_TEXT,
            "points?": int,
            "restorable?": int,
            "newest?": OPTIONAL_TEXT,
            "oldest?": OPTIONAL_TEXT,
            "verified?": OPTIONAL_TEXT,
            "bytes?": NUMBER,
            "error?": OPTIONAL_TEXT,
        }
    ],
    "uncovered": [{"kind": str, "what": str, "why": str}],
    "findings": [{"severity": str, "about": str, "text": str, "remedy": str}],
    "ledger?": ({"head": str, "entries": int}, None),
    "runs?": [{"job_id": str, "columns": [str], "rows": [list]}],
    "coming?": {
        "jobs": [
            {
                "job_id": str,
                "schedule?": str,
                "zone?": str,
                "seconds?": (*NUMBER, None),
                "often?": bool,
                "columns": [str],
                "rows": [list],
            }
        ],
        "clock_changes": [{"zone": str, "at": str, "seconds": int, "runs": int}],
        "collisions": [{"kind": str, "job_id": str, "at": str}],
    },
}


def status_of(answer: Answer) -> dict[str, t.Any] | None:
    """The status in the registered result of status_info; None when it has none.

    Raises ValueError, whose text names the place, for one that is not what it should be.
    """
    status: t.Any = answer
    if "text" in answer:
        text = answer["text"]
        if not isinstance(text, str) or len(text) > MOST_TEXT:
            raise ValueError("text: no text, or too long a one")
        try:
            status = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"text: no JSON: {type(error).__name__}") from None
        if not isinstance(status, dict):
            raise ValueError("text: no JSON object")
    if "protected" not in status:
        return None
    found = mistake(status, SHAPE)
    if found:
        raise ValueError(found)
    return {key: status[key] for key in (name.rstrip("?") for name in SHAPE) if key in status}


def mistake(value: t.Any, shape: t.Any, place: str = "") -> str:
    """The first place where a value has not its shape, "" when it has; see SHAPE."""
    if isinstance(shape, tuple):
        if any(not mistake(value, choice, place) for choice in shape):
            return ""
        return f"{place}: not of the right kind"
    if shape is None:
        return "" if value is None else f"{place}: not null"
    if isinstance(shape, dict):
        if not isinstance(value, t.Mapping):
            return f"{place or 'the answer'}: no object"
        for name, inner in shape.items():
            key = name.rstrip("?")
            if key in value:
                # As nearly all of them are: this is asked some hundred times a host.
                if inner is str and isinstance(value[key], str):
                    continue
                found = mistake(value[key], inner, f"{place}.{key}".lstrip("."))
                if found:
                    return found
            elif key == name:
                return f"{place}.{key}: missing".lstrip(".")
        return ""
    if isinstance(shape, list):
        # A text is a sequence, too.
        if not isinstance(value, (list, tuple)):
            return f"{place}: no list"
        if shape[0] is list:
            return ""  # rows: each is judged where it is read, so that a bad one hides no other
        for index, item in enumerate(value):
            found = mistake(item, shape[0], f"{place}[{index}]")
            if found:
                return found
        return ""
    if not isinstance(value, shape) or (shape is not bool and isinstance(value, bool)):
        return f"{place}: not of the right kind"
    if isinstance(value, float) and not math.isfinite(value):
        return f"{place}: no number"
    if shape is not bool and isinstance(value, int) and not -LARGEST < value < LARGEST:
        return f"{place}: too large"
    return ""


def clean(text: t.Any, limit: int = 1000) -> str:
    """A text of a host for one line of a screen, with nothing in it that is not seen."""
    shown = UNSEEN.sub(" ", str(text)).strip()
    return shown if len(shown) <= limit else f"{shown[: limit - 3]}..."


def instant(text: t.Any) -> int | None:
    """POSIX seconds of an ISO 8601 instant; None when it is none."""
    if not isinstance(text, str):
        return None
    try:
        read = datetime.datetime.fromisoformat(text)
        seconds = int(read.timestamp()) if read.tzinfo is not None else None
    except (ValueError, OverflowError, OSError):
        return None
    return seconds if seconds is not None and 0 <= seconds < LATEST else None


def whole(value: t.Any, limit: int = LARGEST) -> int | None:
    """A number of a host, 0 <= value < limit; None when it is none."""
    if isinstance(value, bool) or not isinstance(value, NUMBER):
        return None
    return int(value) if 0 <= value < limit else None

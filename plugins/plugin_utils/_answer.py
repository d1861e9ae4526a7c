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
MOST_TEXT = (
    16 << 20
)  # characters of one host's answer: a thousand jobs with a year of runs take less
# What is taken in of one host, so that no host takes the room of the others: of its lists, and of the rows in them together.
MOST = {"jobs": 500, "series": 500, "uncovered": 100, "findings": 200, "runs": 500}
MOST_COMING = {"jobs": 500, "clock_changes": 100, "collisions": 200}
MOST_ROWS = 100_000
NEEDED_FIRST = {"critical": 0, "warning": 1, "ok": 1, "running": 1}
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
    "ledger?": (
        {
            "head": str,
            "entries": int,
            "entry?": {"number": int, "digest": OPTIONAL_TEXT},
            "renewed?": OPTIONAL_TEXT,
        },
        None,
    ),
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
        if not isinstance(text, str):
            raise ValueError("text: no text")
        if len(text) > MOST_TEXT:
            raise ValueError(
                f"{len(text) >> 20} MB are too much to be read, {MOST_TEXT >> 20} MB are the most"
            )
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
    return bounded(
        {key: status[key] for key in (name.rstrip("?") for name in SHAPE) if key in status}
    )


def bounded(status: dict[str, t.Any]) -> dict[str, t.Any]:
    """What is taken in of a status, what needs somebody before the rest; what is left out becomes a finding."""
    left_out: list[str] = []
    made = _shortened(status, MOST, left_out)
    if made.get("coming") is not None:
        made["coming"] = _shortened(made["coming"], MOST_COMING, left_out, "coming ")
        made["coming"]["jobs"] = _with_rows(made["coming"]["jobs"], left_out, "coming runs")
    if made.get("runs") is not None:
        made["runs"] = _with_rows(made["runs"], left_out, "runs")
    if left_out:
        text = f"its answer is too long, and this is left out of it: {', '.join(left_out)}"
        finding = {"severity": "warning", "about": "answer", "text": text}
        remedy = "coldchain status shows everything there"
        made["findings"] = [{**finding, "remedy": remedy}, *made["findings"]]
    return made


def _shortened(
    holder: t.Mapping[str, t.Any], most: t.Mapping[str, int], left_out: list[str], kind: str = ""
) -> dict[str, t.Any]:
    made = dict(holder)
    for name, limit in most.items():
        items = made.get(name)
        if items is not None and len(items) > limit:
            made[name] = sorted(items, key=_need)[:limit]
            left_out.append(f"{len(items) - limit} of {len(items)} {kind}{name}")
    return made


def _need(item: t.Mapping[str, t.Any]) -> int:
    """The smaller, the more a finding or a job needs somebody; 0 for what is neither."""
    if "severity" in item:
        return NEEDED_FIRST.get(item["severity"], 2)
    return NEEDED_FIRST.get(item.get("state", ""), 0)


def _with_rows(
    entries: t.Sequence[dict[str, t.Any]], left_out: list[str], kind: str
) -> list[dict[str, t.Any]]:
    """Entries whose rows come to MOST_ROWS together, of each the last ones."""
    together = sum(len(entry["rows"]) for entry in entries)
    if together <= MOST_ROWS:
        return list(entries)
    each = MOST_ROWS // len(entries)
    made = [{**entry, "rows": entry["rows"][-each:]} for entry in entries]
    left = together - sum(len(entry["rows"]) for entry in made)
    left_out.append(f"{left} of {together} {kind}")
    return made


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

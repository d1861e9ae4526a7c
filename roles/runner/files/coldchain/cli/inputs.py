# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""JSON that people and programs hand in: one clear error for whatever it is instead."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coldchain.errors import DataError

STANDARD_INPUT = "-"


@dataclass(frozen=True)
class Documents:
    """source: for messages; items: raw documents; absent: job ids that are not to be there;
    single: the input was one document and no list."""

    source: str
    items: list[Any]
    absent: list[str]
    single: bool


def documents(name: str) -> Documents:
    """The documents in file *name* ("-": standard input).

    One document, a list of them, or {"jobs": [...], "absent": ["job id", ...]}.
    """
    source = "standard input" if name == STANDARD_INPUT else name
    value = load(name)
    if isinstance(value, list):
        return Documents(source, value, [], single=False)
    if not isinstance(value, dict):
        raise DataError(
            f"{source}: this is no job document",
            'write a JSON object, a list of objects, or {"jobs": [...]}',
        )
    if "jobs" not in value and "absent" not in value:
        return Documents(source, [value], [], single=True)
    for key in value:
        if key not in ("jobs", "absent"):
            raise DataError(f'{source}: "{key}" is unknown beside "jobs"', "known: jobs, absent")
    jobs, absent = value.get("jobs", []), value.get("absent", [])
    if not isinstance(jobs, list):
        raise DataError(f'{source}: "jobs" is no list')
    if not isinstance(absent, list) or not all(isinstance(each, str) for each in absent):
        raise DataError(f'{source}: "absent" is no list of job ids')
    return Documents(source, jobs, absent, single=False)


def load(name: str) -> Any:
    """The JSON value in file *name* ("-": standard input)."""
    source = "standard input" if name == STANDARD_INPUT else name
    text = _text(name, source)
    if not text.strip():
        raise DataError(f"{source}: is empty", "write a job document in JSON")
    try:
        return json.loads(text, object_pairs_hook=_object, parse_constant=_constant)
    except json.JSONDecodeError as error:
        hint = "see coldchain validate --schema for what a document holds"
        if name.endswith((".yml", ".yaml")):
            hint = "YAML is for the Ansible modules; this command reads JSON"
        raise DataError(
            f"{source}: not JSON: {error.msg} in line {error.lineno}, column {error.colno}", hint
        ) from None
    except RecursionError:
        raise DataError(f"{source}: is nested too deeply") from None
    except ValueError as error:  # of the two hooks, or a number with thousands of digits
        raise DataError(f"{source}: {error}") from None


def _text(name: str, source: str) -> str:
    try:
        raw = sys.stdin.buffer.read() if name == STANDARD_INPUT else Path(name).read_bytes()
    except OSError as error:
        raise DataError(f"{source}: cannot be read: {error.strerror}") from None
    except ValueError:  # a NUL in the name
        raise DataError(f"{source!r} is no name of a file") from None
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise DataError(f"{source}: is binary, not JSON", "write JSON in UTF-8") from None
    if "\0" in text:
        raise DataError(f"{source}: is binary, not JSON", "write JSON in UTF-8")
    return text


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        seen: set[str] = set()
        for key, dummy in pairs:
            if key in seen:
                raise ValueError(f"{json.dumps(key)[:80]} is given twice in one object")
            seen.add(key)
    return value


def _constant(word: str) -> Any:
    raise ValueError(f"{word} is no number in JSON")

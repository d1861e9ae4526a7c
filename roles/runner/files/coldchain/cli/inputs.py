# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""JSON, or freezer-agent's INI, that is handed in: one clear error for whatever it is instead."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from coldchain.core.errors import DataError
from coldchain.core.text import printable

STANDARD_INPUT = "-"


class Documents(NamedTuple):
    """The documents of one file, and what is to be absent.

    source: for messages; items: raw documents; positions: of each in the list that they came in;
    absent: job ids that are not to be there; single: the input was one document and no list.
    """

    source: str
    items: list[Any]
    positions: list[int]
    absent: list[str]
    single: bool


def documents(name: str) -> Documents:
    """The documents in file *name* ("-": standard input).

    One document, a list of them, {"jobs": [...], "absent": ["job id", ...]}, or an INI file of
    freezer-agent, which is one action.  A document may say {"job_id": ..., "state": "absent"}.
    Raises DataError when it is none of these.
    """
    source = source_name(name)
    value = load(name, judged=True)
    if isinstance(value, list):
        return _sorted_out(source, value, [], single=False)
    if not isinstance(value, dict):
        raise DataError(
            f"{source}: this is no job document",
            'write a JSON object, a list of objects, or {"jobs": [...]}',
        )
    # Not for the agent, whose start it would make longer by a tenth.
    from coldchain.document.normalize import kind_of

    if ("jobs" not in value and "absent" not in value) or kind_of(value):
        return _sorted_out(source, [value], [], single=True)
    for key in value:
        if key not in ("jobs", "absent"):
            raise DataError(f'{source}: "{key}" is unknown beside "jobs"', "known: jobs, absent")
    jobs, absent = value.get("jobs", []), value.get("absent", [])
    if not isinstance(jobs, list):
        raise DataError(f'{source}: "jobs" is no list', "write the documents in [ ]")
    if not isinstance(absent, list) or not all(isinstance(job_id, str) for job_id in absent):
        raise DataError(f'{source}: "absent" is no list of job ids', 'write ["JOB", ...]')
    return _sorted_out(source, jobs, absent, single=False)


def _sorted_out(source: str, jobs: list[Any], absent: list[str], *, single: bool) -> Documents:
    """The documents and what is to be absent; a state that cannot be understood stays where it is,
    for whoever looks for what is wrong with the document."""
    items, positions, gone = [], [], list(absent)
    for position, job in enumerate(jobs):
        state = job.get("state") if isinstance(job, dict) else None
        if state == "absent" and _name_of(job):
            gone.append(_name_of(job))
            continue
        if state == "present":
            job = {key: value for key, value in job.items() if key != "state"}
        items.append(job)
        positions.append(position)
    return Documents(source, items, positions, gone, single)


def _name_of(job: Mapping[str, Any]) -> str:
    """What a document with this job_id would be called, in either spelling; "" for none."""
    from coldchain.document.normalize import own_name

    name = own_name(job)
    number = isinstance(name, (int, float)) and not isinstance(name, bool)
    return str(name) if number or isinstance(name, str) else ""


def source_name(name: str) -> str:
    """What messages call the file *name*."""
    return "standard input" if name == STANDARD_INPUT else printable(name)


def load(name: str, *, judged: bool = False) -> Any:
    """The value in file *name* ("-": standard input).  Raises DataError when it cannot be read.

    judged: by who names the place of a number that is none, or is too large.
    """
    source = source_name(name)
    text = read_text(name)
    if not text.strip():
        raise DataError(f"{source}: is empty", "write a job document in JSON")
    try:
        constant = float if judged else _constant
        whole = _clipped if judged else int
        return json.loads(text, object_pairs_hook=_object, parse_constant=constant, parse_int=whole)
    except json.JSONDecodeError as error:  # whatever is JSON is no INI: [null] is a list
        if text.lstrip()[:1] in ("[", "#", ";"):
            from coldchain.document.ini import is_ini, parse_ini

            if is_ini(text):
                try:
                    return parse_ini(text)
                except DataError as other:
                    raise DataError(f"{source}: {other.message}", other.hint) from None
        hint = "see coldchain validate --schema for what a document holds"
        if name.endswith((".yml", ".yaml")):
            hint = "YAML is for the Ansible modules; this command reads JSON"
        raise DataError(
            f"{source}: not JSON: {error.msg} in line {error.lineno}, column {error.colno}", hint
        ) from None
    except RecursionError:
        raise DataError(f"{source}: is nested too deeply", "flatten the document") from None
    except ValueError as error:  # of the hooks, or a number with thousands of digits
        text = str(error).partition(": value has")[0]
        raise DataError(f"{source}: {text}", "correct it there") from None


def read_text(name: str, *, any_bytes: bool = False) -> str:
    """The text in file *name* ("-": standard input).  Raises DataError when there is none.

    any_bytes: what is not UTF-8 comes as halves of surrogate pairs.
    """
    source = source_name(name)
    try:
        raw = sys.stdin.buffer.read() if name == STANDARD_INPUT else Path(name).read_bytes()
    except OSError as error:
        raise DataError(
            f"{source}: cannot be read: {error.strerror}",
            "name a file that this user can read, or - for standard input",
        ) from None
    except ValueError:  # a NUL in the name
        raise DataError(f"{source!r} is no name of a file") from None
    try:
        text = raw.decode("utf-8-sig", "surrogateescape" if any_bytes else "strict")
    except UnicodeDecodeError:
        raise DataError(f"{source}: is binary, not JSON", "write JSON in UTF-8") from None
    if "\0" in text:
        if any_bytes:
            raise DataError(f"{source}: is binary, and no text", "name a crontab")
        raise DataError(f"{source}: is binary, not JSON", "write JSON in UTF-8")
    return text


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        seen: set[str] = set()
        for key, _unused in pairs:
            if key in seen:
                raise ValueError(f"{json.dumps(key)[:80]} is given twice in one object")
            seen.add(key)
    return value


def _clipped(digits: str) -> int:
    """The number, or one that is too large as well: Python reads 4300 digits at most."""
    return int(digits[:100])


def _constant(word: str) -> Any:
    raise ValueError(f"{word} is no number in JSON")

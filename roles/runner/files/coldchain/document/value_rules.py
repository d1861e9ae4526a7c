# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What each value of a document has to be, wherever it stands, as far as a type cannot say it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from coldchain.core.instants import parse_duration, parse_instant
from coldchain.core.names import NAME
from coldchain.core.rates import parse_rate
from coldchain.document.context import Context, Findings
from coldchain.document.fields import FORMATS, Field, fields_of
from coldchain.document.json_path import Place, shown
from coldchain.document.masking import HIDDEN, holds_mask
from coldchain.document.notify_rules import url_fault

LONGEST_DURATION = 3_155_760_000  # seconds in a century: still inside what timedelta can add

_SECRET = re.compile(r"PASSW|SECRET|TOKEN|(?<![A-Z])KEY(?![A-Z])|CREDENTIAL", re.IGNORECASE)
_DIGITS = re.compile(r"[0-9]+")


def check_values(document: Mapping[str, Any], context: Context, findings: Findings) -> None:
    """Add what is wrong with single values of *document* to *findings*."""
    for place, field, value in _walk_scalars(document, "job", ()):
        _check_format(field, value, place, context, findings)
        _check_masks(field, value, place, findings)


def _walk_scalars(value: object, level: str, place: Place) -> Iterator[tuple[Place, Field, Any]]:
    """(place, field, value) of every given field at this level and below."""
    if not isinstance(value, dict):
        return
    for field in fields_of(value, level):
        here, item = (*place, field.name), value[field.name]
        if field.elements == "dict":
            for number, element in enumerate(item):
                yield from _walk_scalars(element, field.nested, (*here, number))
        elif field.nested:
            yield from _walk_scalars(item, field.nested, here)
        else:
            yield here, field, item


def _check_format(
    field: Field, value: Any, place: Place, context: Context, findings: Findings
) -> None:
    if field.format == "name":
        if not NAME.fullmatch(value):
            findings.error(place, f"{shown(value)} is no name", f"write {FORMATS['name']}")
    elif field.format == "duration" and place[0] != "job_schedule":
        _check_duration(field, value, place, findings)
    elif field.format == "rate":
        try:
            parse_rate(value)
        except ValueError as error:
            findings.error(place, str(error), "leave it out for no limit")
    elif field.format == "path":
        if not value.startswith(("/", "~")):
            findings.error(place, f"{shown(value)} is no absolute path", "start it with /")
    elif field.format == "url":
        message, hint = url_fault(value)
        if message:
            findings.error(place, message, hint)
    elif field.format == "instant" and place[0] != "job_schedule":
        try:
            parse_instant(value, context.zone)
        except ValueError as error:
            findings.error(place, str(error), f"write {FORMATS['instant']}")
    elif isinstance(value, list):
        for number, text in enumerate(value):
            if text == "" and field.name != "command":
                findings.error((*place, number), "is empty", "leave it out")
    elif field.name in ("backup_name", "hostname"):
        first, *rest = value.split("/")
        if {first, *rest} & {"", ".", ".."} or any(_DIGITS.fullmatch(part) for part in rest):
            findings.error(
                place,
                f"{shown(value)} cannot name a directory of a container",
                "write it without .. and without empty or numeric parts between slashes",
            )
    elif field.name == "container" and ".." in value.split("/"):
        findings.error(place, f"{shown(value)} leads out of its directory", "write it without ..")
    elif field.name == "environment":
        _check_environment(value, place, findings)


def _check_masks(field: Field, value: Any, place: Place, findings: Findings) -> None:
    """A document that was shown to somebody may lack its secrets."""
    texts = value.values() if isinstance(value, dict) else value
    texts = texts if isinstance(value, (dict, list)) else (value,)
    if any(isinstance(text, str) and holds_mask(text, field.name) for text in texts):
        findings.error(
            place,
            f"{HIDDEN} stands for a secret that was not shown",
            "write the value; coldchain show --show-secrets prints it",
        )


def _check_duration(field: Field, value: Any, place: Place, findings: Findings) -> None:
    try:
        seconds = parse_duration(value)
    except ValueError:
        findings.error(place, f"{shown(value)} is no duration", 'write it as "30 minutes"')
        return
    if seconds > LONGEST_DURATION:
        findings.error(place, f"{shown(value)} is more than a century", "write a shorter one")
    elif seconds == 0 and field.name in ("timeout", "max_duration", "expect_success_within"):
        findings.error(place, "leaves no time at all", "leave it out, or write a longer one")


def _check_environment(value: Mapping[str, str], place: Place, findings: Findings) -> None:
    for name in value:
        if name == "" or "=" in name:
            findings.error((*place, name), "is no name of a variable", 'write it without "="')
        elif _SECRET.search(name):
            findings.warn(
                (*place, name),
                "a secret in a job document can be read by whoever reads the document",
                "let the command read it from a file",
            )

# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Values in the forms that were ever taken for them, in today's."""

from __future__ import annotations

import math
import re
from typing import Any

from coldchain.core.rates import NO_LIMIT
from coldchain.document.fields import Field
from coldchain.document.json_path import Place, shown
from coldchain.document.normalized import Normalized

_TRUE = frozenset({"true", "yes", "on", "1"})
_FALSE = frozenset({"false", "no", "off", "0"})
_NULL = frozenset({"none", "null"})
_WHOLE = re.compile(r"\s*([+-]?[0-9]{1,18})(?:\.0{0,18})?\s*")
_DECIMAL = re.compile(r"\s*[+-]?[0-9]{1,18}(\.[0-9]{0,18})?\s*")
NOT_SET = object()
# Fields of an action for which somebody may have chosen a word that YAML takes for false; in all
# others false is Freezer's way to say nothing.
OWN_WORDS = frozenset({"backup_name", "container", "path_to_backup", "command", "user"})
# What nobody wants to find out later of a field of ours that was to have a value.  Freezer's forms
# send their own ones empty.
WITHOUT = {
    "user": "the command runs as whoever the runner is",
    "lock": "nothing keeps the job from running beside others",
}
_STOP = 'leave it out; only "stop" stops a job'


def normalize_value(field: Field, item: Any, place: Place, modern: Normalized) -> Any:
    """*item*, in any form of a value of *field*, in today's; ``NOT_SET`` when it says nothing.

    What no form of such a value is comes back as it is.
    """
    if field.type == "bool":
        switch = _switch(item, place, modern)
        # Unlike any other switch it is a schedule, and without it there is none.
        return NOT_SET if field.name == "schedule_boot" and switch is False else switch
    blank = place[0] == "job_schedule" or field.type in ("int", "float")
    if isinstance(item, str) and (item == "" or (blank and item.isspace())):
        if field.name in WITHOUT:
            hint = "leave it out if that is meant; a variable may be missing"
            modern.warn(place, f"is empty: {WITHOUT[field.name]}", hint)
        return NOT_SET
    if field.name == "dereference_symlink":
        word = str(item).strip().lower()
        if word == "true":
            modern.warn(
                place, "true means links of both kinds, as in Horizon's form", 'write "all"'
            )
            return "all"
        if word == "none":  # one of freezer-agent's own choices, and what it does without any
            return NOT_SET
    if item is False:
        if place[-2:-1] != ("freezer_action",) or field.name in OWN_WORDS:
            hint = "leave it out, or write null; YAML takes no and off for false: quote a text"
            modern.warn(place, "false is taken as 'not set'", hint)
        return NOT_SET
    if field.type == "str":
        if field.name == "status" and item in ("completed", "running", "aborting", "aborted"):
            modern.warn(
                place, f'"{item}" is a fact of Freezer\'s API and counts as scheduled', _STOP
            )
            return "scheduled"
        text = _as_text(item)
        return NOT_SET if field.format == "rate" and text in NO_LIMIT else text
    if field.type in ("int", "float"):
        return _number(field, item, place, modern)
    if field.type == "dict":
        return _variables(item, place, modern)
    if field.type == "list" and isinstance(item, (str, int)) and item is not True:
        item = [item]
    if isinstance(item, list):
        if field.name == "command":
            for number, element in enumerate(item):
                _tell_decimal(element, (*place, number), modern)
        return [_as_text(element) for element in item] or NOT_SET
    return _as_text(item)


def is_null_as_text(field: Field, item: Any, place: Place, modern: Normalized) -> bool:
    """Whether *item* is null as text, where a text cannot be meant; the name of a job may be so."""
    if field.type not in ("bool", "int", "float") or not isinstance(item, str):
        return False
    null = item.strip().lower() in _NULL
    if null:
        modern.warn(place, f"{shown(item)} is text", "leave it out, or write null")
    return null


def _variables(item: Any, place: Place, modern: Normalized) -> Any:
    if not isinstance(item, dict):
        return item
    for key, element in item.items():
        _tell_decimal(element, (*place, key), modern)
    return {
        key: _as_text(element) for key, element in item.items() if element is not None
    } or NOT_SET


def _tell_decimal(item: Any, place: Place, modern: Normalized) -> None:
    """What a program gets of a number with a point need not be what was written: 1.10 is 1.1."""
    if isinstance(item, float):
        modern.warn(place, "is a number, whose last zeros are gone", "write it in quotes")


def switch_of(word: str) -> bool | None:
    """What a word says about a switch; None when it says nothing."""
    plain = word.strip().lower()
    return plain in _TRUE if plain in _TRUE or plain in _FALSE else None


def _switch(item: Any, place: Place, modern: Normalized) -> Any:
    if isinstance(item, str):
        value = switch_of(item)
        if value is not None:
            modern.warn(place, f"{shown(item)} is text", f"write {shown(value)} without quotes")
            return value
        return item if item.strip() else NOT_SET
    if isinstance(item, int) and not isinstance(item, bool) and item in (0, 1):
        return bool(item)
    return item


def _as_text(item: Any) -> Any:
    """A number as the text that a person would write for it; anything else as it is."""
    if isinstance(item, bool) or not isinstance(item, (int, float)):
        return item
    return str(int(item)) if item == int(item) else repr(item)


def _number(field: Field, item: Any, place: Place, modern: Normalized) -> Any:
    if isinstance(item, str):
        if item.strip().lower() == "false":  # Freezer's default of several numbers, as text
            modern.warn(
                place, f"{shown(item)} is taken as 'not set'", "leave it out, or write null"
            )
            return NOT_SET
        whole = _WHOLE.fullmatch(item)
        if whole:
            return int(whole[1])
        if field.type == "int" or not _DECIMAL.fullmatch(item):
            return item
        item = float(item)
    if isinstance(item, float) and math.isfinite(item) and item == int(item):
        return int(item)
    return item

# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A document as it may be shown: what is shown ends up in terminals, logs and results of CI."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

HIDDEN = "(hidden)"
HIDDEN_CHANGED = "(hidden, changed)"
_MASK = "(hidden"
_HIDDEN_FIELDS = ("environment", "headers")

# A password in a URL, and what follows the name of a secret in a command.
_IN_URL = re.compile(r"(://[^/\s:@]*:)([^/\s@]+)(?=@)")
# Of where somebody is told, what follows the host: chat systems have their secrets there.
_IN_NOTIFY = re.compile(r"^(https?://[^/?#]*[/?#])(.+)$", re.IGNORECASE | re.DOTALL)
_IN_COMMAND = re.compile(
    r"((?:passw(?:or)?d|passphrase|secret|token|(?:api|secret|access)[_-]?(?:access[_-]?)?key)"
    r"['\"]?\s*[=:]\s*['\"]?|authorization:\s*(?:bearer|basic)\s+)([^\s'\"]+)",
    re.IGNORECASE,
)


def masked(value: Any, before: Any = None) -> Any:
    """A document, or a part of one, without the secrets that it may hold.

    Hidden are the values of ``environment`` and ``headers``, passwords in URLs, what follows the
    host in the URL of somebody who is told, and what follows the name of a secret in a command.
    *before*: the same of an earlier document; what is hidden and not as it was there is marked as
    changed, so that a difference can be told.
    """
    return _masked(value, before, "")


def holds_mask(text: str, field: str) -> bool:
    """Whether *text*, a part of the field *field*, was made by ``masked``."""
    if _MASK not in text:
        return False
    if field in ("environment", "command", "headers", "url"):
        return HIDDEN in text or HIDDEN_CHANGED in text
    return f":{HIDDEN}@" in text or f":{HIDDEN_CHANGED}@" in text


def _masked(value: Any, before: Any, field: str) -> Any:
    """*value* of a document's *field*, which lists and objects hand on to what is in them."""
    if isinstance(value, str):
        return _text(value, before, field)
    if isinstance(value, list):
        old = before if isinstance(before, list) else []
        return [
            _masked(item, old[i] if i < len(old) else None, field) for i, item in enumerate(value)
        ]
    if not isinstance(value, dict):
        return value
    earlier = before if isinstance(before, dict) else {}
    return {
        name: _variables(inner, earlier.get(name))
        if name in _HIDDEN_FIELDS and isinstance(inner, dict)
        else _masked(inner, earlier.get(name), name)
        for name, inner in value.items()
    }


def _variables(values: Mapping[str, Any], before: Any) -> dict[str, str]:
    old = before if isinstance(before, dict) else {}
    return {
        name: HIDDEN_CHANGED if name in old and old[name] != value else HIDDEN
        for name, value in values.items()
    }


def _text(value: str, before: Any, field: str) -> str:
    hidden = _without_secrets(value, field, HIDDEN)
    if hidden is value or hidden == value or not isinstance(before, str) or before == value:
        return hidden
    if _without_secrets(before, field, HIDDEN) == hidden:
        return _without_secrets(value, field, HIDDEN_CHANGED)
    return hidden


def _without_secrets(text: str, field: str, mark: str) -> str:
    if "://" in text:
        text = _IN_URL.sub(rf"\1{mark}", text)
    if field == "url":
        text = _IN_NOTIFY.sub(rf"\1{mark}", text)
    return _IN_COMMAND.sub(rf"\1{mark}", text) if field == "command" else text

# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The message as JSON to a URL, or as the text that a template makes of it."""

from __future__ import annotations

import json
import string

from coldchain.observe.notifiers import http
from coldchain.observe.notifiers.base import Task


def send(task: Task) -> str:
    """POST the message; the status of the answer."""
    template = str(task.entry.get("template") or "")
    if template:
        is_json = template.lstrip()[:1] in ("{", "[")
        values = {
            name: _escaped(value) if is_json else str(value)
            for name, value in {**task.message, "log": task.log}.items()
        }
        body = string.Template(template).safe_substitute(values)
    else:
        is_json = True
        body = json.dumps({**task.message, **({"log": task.log} if task.log else {})})
    kind = "application/json" if is_json else "text/plain; charset=utf-8"
    own = task.entry.get("headers") or {}
    headers = {
        "Content-Type": kind,
        "Idempotency-Key": str(task.message["id"]),
        **{str(name): str(value) for name, value in own.items()},
    }
    return http.request(task, task.text("url"), body.encode(), headers)


def _escaped(value: object) -> str:
    """A value as it stands between the quotes of a JSON text."""
    return json.dumps("" if value is None else value if isinstance(value, str) else str(value))[
        1:-1
    ]

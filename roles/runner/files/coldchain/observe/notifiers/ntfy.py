# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A push message through ntfy (https://docs.ntfy.sh/publish/): the URL is that of a topic."""

from __future__ import annotations

import base64

from coldchain.observe.notifiers import http
from coldchain.observe.notifiers.base import Task
from coldchain.observe.notifiers.registry import FAILURE, FINDING, RECOVERY, SILENCE, SUCCESS

_PRIORITY = {FAILURE: "4", SILENCE: "4", FINDING: "4"}
_TAGS = {
    FAILURE: "rotating_light",
    SILENCE: "zzz",
    FINDING: "warning",
    RECOVERY: "white_check_mark",
    SUCCESS: "white_check_mark",
}
_LARGEST = 4096  # bytes: ntfy makes an attachment of what is longer


def send(task: Task) -> str:
    """Publish; the status of the answer."""
    kind = str(task.message["kind"])
    headers = {"Title": _header(str(task.message["title"])), "Priority": _PRIORITY.get(kind, "3")}
    if kind in _TAGS:
        headers["Tags"] = _TAGS[kind]
    body = task.body.encode()[:_LARGEST].decode("utf-8", "ignore").encode()
    return http.request(task, task.text("url"), body, headers)


def _header(text: str) -> str:
    """As RFC 2047 has it, where a header has no place for the text itself."""
    if text.isascii():
        return text
    return f"=?UTF-8?B?{base64.b64encode(text.encode()).decode('ascii')}?="

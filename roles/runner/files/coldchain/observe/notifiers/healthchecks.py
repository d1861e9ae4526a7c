# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pings in the way of Healthchecks (https://healthchecks.io/docs/http_api/).

A run's begin, its end with the exit status, and notes; all of one run with the same rid.
"""

from __future__ import annotations

import urllib.parse
import uuid

from coldchain.observe.notifiers import http
from coldchain.observe.notifiers.base import Task
from coldchain.observe.notifiers.registry import FAILURE, FINDING, SILENCE, START

_LARGEST = 100_000  # bytes of a body that Healthchecks keeps


def send(task: Task) -> str:
    """Ping; the status of the answer."""
    message = task.message
    parts = urllib.parse.urlsplit(task.text("url"))
    path = f"{parts.path.rstrip('/')}{_signal(task)}"
    query = parts.query
    run_id = message.get("run_id")
    if run_id:
        rid = f"rid={run_uuid(str(run_id))}"
        query = f"{query}&{rid}" if query else rid
    url = urllib.parse.urlunsplit((parts.scheme, parts.netloc, path, query, ""))
    body = b"" if message["kind"] == START else task.body.encode()[-_LARGEST:]
    return http.request(task, url, body, {"Content-Type": "text/plain; charset=utf-8"})


def _signal(task: Task) -> str:
    kind, code = task.message["kind"], task.message.get("exit_code")
    if task.message.get("test"):
        return "/log"  # which changes nothing of a check
    if kind == FAILURE and isinstance(code, int) and 0 < code < 256:
        return f"/{code}"
    # A job that was silent is down; a finding is a note.
    return {START: "/start", FAILURE: "/fail", SILENCE: "/fail", FINDING: "/log"}.get(kind, "")


def run_uuid(run_id: str) -> uuid.UUID:
    """The rid of a run, which has to be a UUID: the same for all that is told of it."""
    return uuid.uuid5(uuid.NAMESPACE_URL, f"coldchain:run:{run_id}")

# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What people are told, in words (docs/reference/notify.md).  Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from coldchain.core.instants import from_epoch, iso
from coldchain.core.text import format_bytes, format_duration, printable
from coldchain.observe.findings import Finding
from coldchain.observe.records import RunEnded
from coldchain.store import Run
from coldchain.store.records import run_message

_RUN = ("run_id", "cause", "scheduled_for", "time_started", "time_ended", "result", "reason")
_ACTION = ("action", "result", "attempts", "exit_code", "message", "duration")


def begun(host: str, run: Run) -> dict[str, Any]:
    """Of a run that begins."""
    job_id = run["job_id"]
    text = f"run {run['run_id']} ({run['cause']})"
    title = f"{host}: job {job_id} begins"
    return _message(host, job_id, run["time_started"], title, text, run["run_id"])


def ended(host: str, ended: RunEnded) -> dict[str, Any]:
    """Of a run that is over, without its log."""
    run, job_id = ended.record, ended.job_id
    good = ended.result == "success"
    what = "succeeded" if good else "was aborted" if ended.result == "aborted" else "failed"
    took = format_duration(max(0.0, ended.time_ended - ended.time_started))
    lines = [f"run {ended.run_id} ({ended.cause}) {what} after {took}"]
    why = run_message(run)
    if why and not good:
        lines.append(printable(why))
    lines += [_action(action) for action in ended.actions]
    if not good:
        lines.append(f"more: coldchain log {job_id} {ended.run_id}")
    description = ended.document.get("description")
    if description:
        lines.append(printable(str(description)))
    codes = [action.get("exit_code") for action in ended.actions if action["result"] != "success"]
    title = f"{host}: job {job_id} {what}"
    message = _message(host, job_id, ended.time_ended, title, "\n".join(lines), ended.run_id)
    return {
        **message,
        "result": ended.result,
        "exit_code": next((code for code in codes if isinstance(code, int)), None),
        "run": {
            **{name: run[name] for name in _RUN if name in run},
            "actions": [
                {name: action[name] for name in _ACTION if name in action}
                for action in ended.actions
            ],
        },
    }


def silent(host: str, job_id: str, why: str, now: float) -> dict[str, Any]:
    """What is told of a job that keeps quiet."""
    text = f"{why}\nmore: coldchain explain {job_id}"
    return _message(host, job_id, now, f"{host}: job {job_id} is silent", text)


def found(host: str, job_id: str, finding: Finding, now: float, run_id: str) -> dict[str, Any]:
    """What is told of a finding."""
    text = "\n".join(filter(None, (finding.text, finding.remedy)))
    message = _message(host, job_id, now, f"{host}: {finding.about}", text, run_id)
    return {**message, "severity": finding.severity}


def was_dead(host: str, since: float, now: float, *, stopped: bool) -> dict[str, Any]:
    """Of a runner that is at work again."""
    how = "was stopped" if stopped else "has ended without a word (killed, or the power went)"
    ago = format_duration(max(0.0, now - since))
    text = (
        f"the runner {how}; it was last seen at {iso(from_epoch(int(since)))}, {ago} ago,"
        " and is at work again\nmore: coldchain status"
    )
    return _message(host, "", now, f"{host}: the runner was not at work", text)


def tried(host: str, job_id: str, now: float) -> dict[str, Any]:
    """Of nothing: somebody tries whether messages arrive."""
    title = f"{host}: a test of coldchain"
    text = "coldchain notify --test has sent this; nothing has happened"
    return {**_message(host, job_id, now, title, text), "test": True}


def _message(
    host: str, job_id: str, time: float, title: str, text: str, run_id: str = ""
) -> dict[str, Any]:
    return {
        "host": host,
        "job_id": job_id or None,
        "run_id": run_id or None,
        "time": iso(from_epoch(int(time))),
        "title": printable(title),
        "text": text,
    }


def _action(action: Mapping[str, Any]) -> str:
    text = f"{action['action']}: {action['result']}"
    attempts = action.get("attempts", 1)
    if isinstance(attempts, int) and attempts > 1:
        text += f" after {attempts} attempts"
    if action.get("exit_code"):
        text += f", exit code {action['exit_code']}"
    size = (action.get("report") or {}).get("size")
    if isinstance(size, int):
        text += f", {format_bytes(size)} stored"
    return text

# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command notify: who is told, what is on its way, and whether messages arrive."""

from __future__ import annotations

import argparse
import os
import time
import uuid
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

from coldchain.cli.context import Call
from coldchain.cli.job_view import moment_of
from coldchain.cli.output import instant
from coldchain.core.errors import DataError, JobFailed, TryAgain
from coldchain.core.files import cannot_write, private_directory
from coldchain.core.instants import from_epoch, iso
from coldchain.core.locks import lock_within, open_lock
from coldchain.core.text import pluralize, shorten
from coldchain.execution.background import Background
from coldchain.observe.delivery import DEADLINE, Courier
from coldchain.observe.delivery_process import ALL, NO_COMMANDS
from coldchain.observe.notifiers.target import Target, address, describe, host_targets
from coldchain.observe.outbox import SENT, WITHDRAWN, Outbox
from coldchain.runner import messages

_DELIVERIES = 20


def add_arguments(command: argparse.ArgumentParser) -> None:
    """The arguments of the command."""
    command.add_argument("job", metavar="JOB", nargs="?", help="only of this job")
    what = command.add_mutually_exclusive_group()
    what.add_argument("--test", action="store_true", help="send everybody a test now")
    what.add_argument("--retry", action="store_true", help="try again now whatever waits")
    what.add_argument(
        "--withdraw",
        action="store_true",
        help="give up what waits for a target that is declared no more",
    )
    # By the runner, whose settings count: a mistake in the file that nobody has reloaded yet must
    # not keep anybody from being told.
    what.add_argument("--deliver", choices=(ALL, NO_COMMANDS), help=argparse.SUPPRESS)


def run(call: Call) -> int:
    """Exit code 1 when something could not be delivered."""
    arguments = call.arguments
    outbox = Outbox(call.paths.notify)
    asked = arguments.deliver
    allow_commands = asked == ALL if asked else call.settings.allow_exec
    courier = Courier(
        outbox,
        os.environ,
        call.paths.run_log,
        Background.watched,
        allow_commands=allow_commands,
    )
    if asked:
        return 1 if courier.deliver() else 0
    if arguments.test:
        return _test(call, courier)
    if arguments.retry:
        try:
            private_directory(call.paths.notify)
        except OSError as error:
            raise cannot_write(call.paths.notify, error) from None
        failed = courier.deliver(at_once=True)
        _show(call, outbox)
        return 1 if failed else 0
    if arguments.withdraw:
        _withdraw(call, outbox)
    _show(call, outbox)
    return 0


def _withdraw(call: Call, outbox: Outbox) -> None:
    """Take out what waits for a target that neither the settings nor a job name."""
    declared = {address(target.entry) for _job, target in _targets(call, None)}
    if not call.paths.notify.is_dir():
        return
    with ExitStack() as stack:
        for path in (outbox.turn, outbox.lock):  # whoever delivers ends after its attempts
            lock = open_lock(path)
            stack.callback(os.close, lock)
            if not lock_within(lock, DEADLINE + 5):
                raise TryAgain("messages are on their way", "try again in a minute")
        outbox.take_in()
        for waiting in outbox.waiting():
            entry = outbox.read(waiting)
            if entry is not None and address(entry["target"]) not in declared:
                message = entry["message"]
                line = {name: message.get(name) for name in ("id", "kind", "job_id", "run_id")}
                line.update(time=round(time.time(), 3), target=describe(entry["target"]))
                detail = str(entry.get("detail", ""))
                outbox.record({**line, "result": WITHDRAWN, "detail": detail})
                outbox.remove(waiting)


def _targets(call: Call, job_id: str | None) -> list[tuple[str, Target]]:
    """(job, target), "" for the host's own; of all jobs or of one."""
    found = [("", target) for target in host_targets(call.paths, call.settings)]
    records = [call.record(job_id)] if job_id else list(dict(call.store.jobs().items()).values())
    for record in records:
        found += [(record.job_id, Target.of(entry)) for entry in record.document.get("notify", ())]
    return found


def _test(call: Call, courier: Courier) -> int:
    """Send each target a message that says that it is a test."""
    now, job_id = time.time(), call.arguments.job or ""
    found = _targets(call, call.arguments.job)
    targets: dict[str, Target] = {target.key: target for _job, target in found}
    if not targets:
        raise DataError(
            "nobody is told of anything here", "declare notify, of a job or of the host"
        )
    rows = []
    for target in targets.values():
        kind = target.tell[0]
        message = {
            "id": f"test-{uuid.uuid4()}",
            "kind": kind,
            **messages.tried(call.settings.client_id, job_id, now),
        }
        attempt = courier.attempt({"target": target.entry, "message": message})
        rows.append({"target": target.label, "result": attempt.result, "detail": attempt.detail})
    if call.output.json:
        call.output.answer({"tests": rows})
    else:
        table = [(row["target"], row["result"], row["detail"]) for row in rows]
        call.output.table(("TARGET", "RESULT", "ANSWER"), table)
    return 0 if all(row["result"] == SENT for row in rows) else JobFailed.exit_code


def _show(call: Call, outbox: Outbox) -> None:
    job_id = call.arguments.job
    targets = [
        {"job_id": job or None, "target": target.label, "tell": list(target.tell)}
        for job, target in _targets(call, job_id)
    ]
    queue = [row for row in _queue(outbox) if job_id in (None, row["job_id"])]
    recorded = [row for row in outbox.recorded() if job_id in (None, row.get("job_id"))]
    deliveries = [_delivery(row) for row in recorded[:_DELIVERIES]]
    if call.output.json:
        call.output.answer({"targets": targets, "queue": queue, "deliveries": deliveries})
        return
    _print(call, targets, queue, deliveries)


def _queue(outbox: Outbox) -> list[dict[str, Any]]:
    rows = []
    for waiting in outbox.waiting():
        entry = outbox.read(waiting)
        if entry is None:
            continue
        message = entry["message"]
        rows.append(
            {
                "id": waiting.id,
                "target": Target.of(entry["target"]).label,
                "kind": message.get("kind"),
                "job_id": message.get("job_id"),
                "run_id": message.get("run_id"),
                "since": iso(from_epoch(waiting.order // 1_000_000)),
                "attempts": int(entry.get("attempts", 0)),
                "next_attempt": iso(from_epoch(waiting.due)),
                "detail": str(entry.get("detail", "")),
            }
        )
    return rows


def _delivery(row: dict[str, Any]) -> dict[str, Any]:
    when = row.get("time")
    time = iso(from_epoch(int(when))) if isinstance(when, (int, float)) else None
    return {**row, "time": time}


def _print(
    call: Call,
    targets: Sequence[dict[str, Any]],
    queue: Sequence[dict[str, Any]],
    deliveries: Sequence[dict[str, Any]],
) -> None:
    output, zone = call.output, call.settings.zone
    if not targets:
        output.line("nobody is told of anything: declare notify, of a job or of the host")
    else:
        rows = [(row["job_id"] or "all", row["target"], ", ".join(row["tell"])) for row in targets]
        output.table(("JOB", "TARGET", "TOLD OF"), rows)
    output.line()
    output.line(f"{pluralize(len(queue), 'message')} on the way")
    if queue:
        output.table(
            ("TARGET", "KIND", "JOB", "SINCE", "ATTEMPTS", "WHY"),
            [
                (
                    row["target"],
                    row["kind"],
                    row["job_id"],
                    instant(moment_of(row["since"]), zone),
                    row["attempts"],
                    shorten(row["detail"], 60),
                )
                for row in queue
            ],
        )
    if deliveries:
        output.line()
        output.table(
            ("WHEN", "TARGET", "KIND", "JOB", "RESULT", "ANSWER"),
            [
                (
                    instant(moment_of(row.get("time")), zone),
                    row.get("target"),
                    row.get("kind"),
                    row.get("job_id"),
                    row.get("result"),
                    shorten(str(row.get("detail", "")), 60),
                )
                for row in deliveries
            ],
        )

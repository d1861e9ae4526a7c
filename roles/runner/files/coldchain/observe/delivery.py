# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The process that delivers: takes messages from the outbox to whom they are for.

Messages for one target go in their order, and a target that does not answer keeps no other waiting.
What did not arrive is tried again, later each time, for three days.
"""

from __future__ import annotations

import importlib
import math
import os
import threading
import time
from collections.abc import Callable, Container, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from coldchain.core.credentials import credential_path, read_credentials
from coldchain.core.errors import CannotWrite, ColdchainError
from coldchain.core.instants import DAY
from coldchain.core.locks import is_locked, lock_within, open_lock
from coldchain.observe.notifiers.base import Sender, Task, Undelivered, Watched
from coldchain.observe.notifiers.registry import ENDED_BY_RECOVERY, NOTIFIERS, RECOVERY, ROUTINE
from coldchain.observe.notifiers.target import address, describe
from coldchain.observe.outbox import FAILED, GIVEN_UP, SENT, Outbox, WaitingMessage

FIRST, LONGEST = 2, 1800
"""Seconds before the second attempt, and the most between two: each wait is twice the last one."""
GIVE_UP = 3 * DAY
"""Seconds after which a message is given up."""
DEADLINE = 30.0
"""Seconds that one delivery may take, however slowly the other side answers."""
LINGER = 2.0
"""Seconds in which something may become due without another start of this process."""
BLIND = 60
"""Seconds before the next attempt, at least, where nothing can be written of the last one."""
_POLL = 0.1  # seconds between two looks for what was put in meanwhile
_LOG = 10_000  # bytes of the end of a run's log that are sent where that was asked for


class DeliveryAttempt(NamedTuple):
    """What came of one attempt: result is SENT or FAILED; refused, after: see Undelivered."""

    result: str
    detail: str
    refused: bool = False
    after: float = 0.0


class _Envelope(NamedTuple):
    """What has to be known of a message before it is its turn.

    target, address: as describe and address of the target say.
    """

    target: str
    address: str
    refused: bool
    kind: str
    job_id: str | None
    run_id: str | None


class Courier:
    """Delivers what lies in an outbox.

    environment: where credentials are looked up; log_of(job_id, run_id): the file of a run's log;
    watched: begins to watch a program that a notifier starts;
    allow_commands: False refuses the notifier command, as allow_exec does actions.
    """

    def __init__(
        self,
        outbox: Outbox,
        environment: Mapping[str, str],
        log_of: Callable[[str, str], Path],
        watched: Watched,
        *,
        allow_commands: bool = True,
    ) -> None:
        self._outbox, self._environment = outbox, environment
        self._log_of, self._watched, self._allow_commands = log_of, watched, allow_commands
        self._failures: list[DeliveryAttempt] = []
        self._envelopes: dict[str, _Envelope] = {}  # by the name of the message's file
        self._one_ended = threading.Event()
        self._unnoted: dict[str, Exception] = {}  # name of a file that cannot be changed -> why

    def deliver(self, *, at_once: bool = False) -> int:
        """Deliver what is due until nothing becomes due soon; how many attempts have failed.

        at_once: also what waits for its next attempt.  Nothing is done while another process
        delivers: that one takes what was put in meanwhile.  Raises what kept the end of an attempt
        from being noted: that message is not tried again before the next start of this process.
        """
        lock = open_lock(self._outbox.lock)
        try:
            if not lock_within(lock, 5.0 if at_once else 0.0):
                return 0
            self._serve_all(at_once=at_once)
            for error in self._unnoted.values():
                raise error
            return len(self._failures)
        finally:
            os.close(lock)

    def _serve_all(self, *, at_once: bool) -> None:
        """Until nothing is due, and nothing becomes due soon, or somebody else wants the messages:
        a host that sends every second would keep them for ever."""
        serving: dict[str, threading.Thread] = {}
        while True:
            serving = {key: thread for key, thread in serving.items() if thread.is_alive()}
            self._one_ended.clear()
            leave = is_locked(self._outbox.turn)
            ready = {} if leave else self._ready(serving, at_once=at_once)
            for key, waits in ready.items():
                serving[key] = threading.Thread(target=self._serve, args=(waits,), daemon=True)
                serving[key].start()
            at_once = False
            if not serving and (leave or not self._soon()):
                return
            self._one_ended.wait(_POLL)

    def _soon(self) -> bool:
        now = time.time()
        return any(waiting.due <= now + LINGER for waiting in self._waiting())

    def _waiting(self) -> list[WaitingMessage]:
        """What lies in the outbox, but for what would be tried again and again."""
        self._outbox.take_in()
        return [waiting for waiting in self._outbox.waiting() if waiting.name not in self._unnoted]

    def _ready(self, serving: Container[str], *, at_once: bool) -> dict[str, list[WaitingMessage]]:
        """What is due, by target, each in its order; nothing for those in *serving*.

        What waits for its next attempt keeps the rest of its target waiting, unless it was refused.
        That goes once more before the recovery of its job, as it may be taken by now.
        """
        now = time.time()
        waits = self._waiting()
        if not at_once and not any(is_due(waiting, now) for waiting in waits):
            return {}
        ready: dict[str, list[WaitingMessage]] = {}
        blocked: dict[str, int] = {}
        refused: dict[object, WaitingMessage] = {}
        for waiting in waits:
            envelope = self._envelope(waiting)
            if envelope is None or envelope.address in serving:
                continue
            key, of_job = envelope.address, (envelope.address, envelope.job_id)
            if at_once or (is_due(waiting, now) and key not in blocked):
                if envelope.kind == RECOVERY and of_job in refused:
                    ready.setdefault(key, []).append(refused.pop(of_job))
                ready.setdefault(key, []).append(waiting)
            elif is_due(waiting, now):  # its name tells the runner when to look again
                self._outbox.postpone(waiting, blocked[key])
            elif not envelope.refused:
                blocked[key] = max(waiting.due, blocked.get(key, 0))
            elif envelope.kind in ENDED_BY_RECOVERY:
                refused[of_job] = waiting
        return ready

    def _envelope(self, waiting: WaitingMessage) -> _Envelope | None:
        """What is read once after each attempt; None when the message is gone."""
        if waiting.name not in self._envelopes:
            entry = self._outbox.read(waiting)
            if entry is None:
                return None
            message = entry["message"]
            self._envelopes[waiting.name] = _Envelope(
                describe(entry["target"]),
                address(entry["target"]),
                bool(entry.get("refused")),
                str(message.get("kind")),
                message.get("job_id"),
                message.get("run_id"),
            )
        return self._envelopes[waiting.name]

    def _serve(self, waits: list[WaitingMessage]) -> None:
        """One attempt at each of the messages for one target that somebody still needs."""
        needed = self._newest_runs(waits)
        failures = 0  # of what nobody needs any more: the target is no better for that
        for waiting in waits:
            try:
                entry = self._outbox.read(waiting)
                if entry is None:
                    continue
                if _is_late(waiting, entry) and self._is_routine_of_another(waiting, needed):
                    failures = max(failures, _failures(entry))
                    self._outbox.remove(waiting)
                elif not self._serve_one(waiting, entry, failures) or is_locked(self._outbox.turn):
                    break
            except (OSError, ColdchainError) as error:
                self._unnoted[waiting.name] = error
                break
        self._one_ended.set()

    def _serve_one(self, waiting: WaitingMessage, entry: dict[str, Any], failures: int) -> bool:
        """One attempt; whether the next message for the same target may be tried."""
        attempt = self.attempt(entry)
        if attempt.result != SENT:
            self._failures.append(attempt)
        elif entry["message"].get("kind") == RECOVERY:
            self._drop_overtaken(waiting)
        self._note(waiting, {**entry, "failures": max(failures, _failures(entry))}, attempt)
        return attempt.result == SENT or attempt.refused  # else the others would not arrive either

    def _newest_runs(self, waits: list[WaitingMessage]) -> dict[str | None, str | None]:
        """The run that the last start or success of each job is of."""
        envelopes = filter(None, map(self._envelope, waits))
        return {it.job_id: it.run_id for it in envelopes if it.kind in ROUTINE}

    def _is_routine_of_another(
        self, waiting: WaitingMessage, newest: Mapping[str | None, str | None]
    ) -> bool:
        """Is it a start or a success, and one of a later run says as much?"""
        it = self._envelope(waiting)
        return it is not None and it.kind in ROUTINE and newest.get(it.job_id) != it.run_id

    def _drop_overtaken(self, recovery: WaitingMessage) -> None:
        """What was refused, and is over as the *recovery* tells, would be news of the past."""
        told = self._envelope(recovery)
        for waiting in self._outbox.waiting():
            it = self._envelope(waiting)
            if it is None or told is None or waiting.order >= recovery.order:
                continue
            same = (it.address, it.job_id) == (told.address, told.job_id)
            if same and it.kind in ENDED_BY_RECOVERY:
                line = {"id": waiting.id, "time": round(time.time(), 3), "target": it.target}
                line.update(kind=it.kind, job_id=it.job_id, run_id=it.run_id)
                detail = "refused until its recovery was told"
                self._outbox.record({**line, "detail": detail, "result": GIVEN_UP})
                self._outbox.remove(waiting)

    def attempt(self, entry: Mapping[str, Any]) -> DeliveryAttempt:
        """Try to deliver a message, DEADLINE seconds at most."""
        done: list[DeliveryAttempt] = []
        thread = threading.Thread(target=lambda: done.append(self._attempt(entry)), daemon=True)
        thread.start()
        thread.join(DEADLINE)
        return done[0] if done else DeliveryAttempt(FAILED, f"not done within {DEADLINE:g} s")

    def _attempt(self, entry: Mapping[str, Any]) -> DeliveryAttempt:
        target = entry["target"]
        secrets: dict[str, str] = {}
        try:
            secrets = self._credentials(target)
            task = Task(target, entry["message"], secrets, self._watched, self._log(entry))
            if target["type"] == "command" and not self._allow_commands:
                raise Undelivered("commands are switched off on this host (allow_exec)")
            module = f"coldchain.observe.notifiers.{target['type']}"
            sender: Sender = importlib.import_module(module)
            return DeliveryAttempt(SENT, _without(sender.send(task), target, secrets))
        except Undelivered as error:
            text = _without(error.message, target, secrets)
            return DeliveryAttempt(FAILED, text, error.refused, error.after)
        except ColdchainError as error:
            text = f"{error.message} ({error.hint})" if error.hint else error.message
            return DeliveryAttempt(FAILED, _without(text, target, secrets))
        except Exception as error:  # noqa: BLE001  one target's trouble is no other's
            text = f"{type(error).__name__}: {error}"
            # As if it was refused: it may be for what this message holds, and the others go on.
            return DeliveryAttempt(FAILED, _without(text, target, secrets)[:300], refused=True)

    def _credentials(self, target: Mapping[str, Any]) -> dict[str, str]:
        name = target.get("credentials_file")
        if not name:
            return {}
        path = credential_path(str(name), self._environment)
        return read_credentials(path, NOTIFIERS[target["type"]].credentials)

    def _log(self, entry: Mapping[str, Any]) -> str:
        message = entry["message"]
        job_id, run_id = message.get("job_id"), message.get("run_id")
        if entry["target"].get("send_log") is not True or not job_id or not run_id:
            return ""
        try:
            with self._log_of(str(job_id), str(run_id)).open("rb") as stream:
                stream.seek(max(0, stream.seek(0, os.SEEK_END) - _LOG))
                return stream.read().decode("utf-8", "replace")
        except OSError:
            return ""

    def _note(
        self, waiting: WaitingMessage, entry: dict[str, Any], attempt: DeliveryAttempt
    ) -> None:
        now = time.time()
        line = {
            "id": waiting.id,
            "time": round(now, 3),
            "target": describe(entry["target"]),
            "kind": entry["message"].get("kind"),
            "job_id": entry["message"].get("job_id"),
            "run_id": entry["message"].get("run_id"),
            "attempts": int(entry.get("attempts", 0)) + 1,
            "detail": attempt.detail,
        }
        if attempt.result == SENT:
            self._outbox.record({**line, "result": SENT})
            self._outbox.remove(waiting)
            return
        if now - waiting.order / 1e6 > GIVE_UP:
            self._outbox.record({**line, "result": GIVEN_UP})
            self._outbox.remove(waiting)
            return
        if line["attempts"] == 1 or entry.get("detail") != attempt.detail:
            self._outbox.record({**line, "result": FAILED})
        entry.update(attempts=line["attempts"], detail=attempt.detail, refused=attempt.refused)
        entry["failures"] = _failures(entry) + 1
        wait = min(LONGEST, FIRST << min(entry["failures"] - 1, 20))
        asked = math.ceil(now + min(LONGEST, attempt.after)) if attempt.after else 0
        due = max(int(now) + wait, asked)
        try:
            self._outbox.put_off(waiting, entry, due)
        except CannotWrite:
            # A full disk still takes another name; how often it was tried is forgotten.
            self._outbox.postpone(waiting, max(int(now) + BLIND, due))


def is_due(waiting: WaitingMessage, now: float) -> bool:
    """Has its time come?  A clock that was set back lets nothing wait longer than LONGEST."""
    return waiting.due <= now or waiting.due > now + LONGEST + 60


def _failures(entry: Mapping[str, Any]) -> int:
    """So many attempts in a row have failed, with those of messages that were dropped meanwhile."""
    return int(entry.get("failures", entry.get("attempts", 0)))


def _is_late(waiting: WaitingMessage, entry: Mapping[str, Any]) -> bool:
    """Was it tried in vain, or did it wait behind one that was?"""
    return bool(entry.get("attempts")) or waiting.due > waiting.order // 1_000_000 + 1


def _without(text: str, target: Mapping[str, Any], secrets: Mapping[str, str]) -> str:
    """*text* without what must not be recorded: the other side may have repeated it."""
    url = str(secrets.get("URL") or target.get("url") or "")
    hidden = [*secrets.values(), url, url.partition("://")[2].partition("/")[2]]
    for secret in sorted(filter(lambda it: len(it) > 3, hidden), key=len, reverse=True):
        text = text.replace(secret, "(hidden)")
    return text

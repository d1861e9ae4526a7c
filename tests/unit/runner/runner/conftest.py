# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real runner in a thread, over a real home directory."""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import waiting
from waiting import PATIENCE

from coldchain.core.paths import Paths
from coldchain.core.settings import Settings
from coldchain.runner import lock
from coldchain.runner.daemon import Runner
from coldchain.runner.signals import Inbox
from coldchain.store import Change, State, Store


class Gate:
    """What an action waits at, as a shell line, until the test opens it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.line = f"until test -e {path}; do sleep 0.05; done"

    def open(self) -> None:
        self._path.touch()


class Host:
    """One home directory; start() and stop() its runner, declare jobs, look at the result."""

    def __init__(self, home: Path) -> None:
        self._gates: list[Gate] = []
        self.paths = Paths.under(home)
        self.store = Store.open(self.paths, create=True)
        self.settings = Settings.load(self.paths)._replace(grace=1, timezone="UTC")
        self.runner: Runner | None = None
        self.code: int | None = None

    def gate(self) -> Gate:
        gate = Gate(self.paths.home / f"gate-{len(self._gates)}")
        self._gates.append(gate)
        return gate

    def open_gates(self) -> None:
        for gate in self._gates:
            gate.open()

    def start(self, **settings: Any) -> None:
        self.settings = self.settings._replace(**settings)
        self.held = lock.acquire(self.paths)
        reader, self._writer = socket.socketpair()
        reader.setblocking(False)
        self._inbox = Inbox(reader)
        self.runner = Runner(self.paths, self.settings, self._inbox)

        def work() -> None:
            assert self.runner is not None
            self.runner.recover()
            self.code = self.runner.loop()
            self.runner.close()

        self._thread = threading.Thread(target=work)
        self._thread.start()

    def send(self, *numbers: signal.Signals) -> None:
        """Let signals arrive at once."""
        self._inbox._arrived.extend(numbers)
        self._writer.send(b"s")

    def stop(self, *numbers: signal.Signals, within: float = PATIENCE) -> int | None:
        """Send TERM, or *numbers* at once, and wait for the end of the loop; its exit code."""
        import os

        if self.runner is not None:
            self.send(*(numbers or (signal.SIGTERM,)))
            waiting.joined(self._thread, within)
            self._inbox.socket.close()
            self._writer.close()
            os.close(self.held)
            self.runner = None
        return self.code

    def declare(self, job_id: str, *actions: Any, schedule: Any = None, **fields: Any) -> None:
        """An action is a shell line or (shell line, job_action fields)."""
        entries = []
        for action in actions:
            line, extra = action if isinstance(action, tuple) else (action, {})
            options = {"action": "exec", "command": ["sh", "-c", line]}
            entries.append({"freezer_action": options, **extra})
        document = {
            "job_id": job_id,
            "job_actions": entries,
            "job_schedule": schedule or {},
            **fields,
        }
        self.store.apply([Change(job_id, document)])

    def event(self, job_id: str, event: str) -> None:
        self.store.add_event(job_id, event, "a test")

    def state(self, job_id: str) -> State:
        return self.store.state(job_id) or State()

    def until(self, condition: Callable[[], Any], within: float = PATIENCE) -> Any:
        """Poll until *condition* holds; its value."""

        def told() -> object:
            return {k: s.as_row() for k, s in self.store.states().items()}

        return waiting.until(condition, within, told=told)

    def runs(self, job_id: str, count: int = 1, within: float = PATIENCE) -> list[dict[str, Any]]:
        """Wait for *count* recorded runs; newest first."""
        self.until(lambda: len(self.store.history(job_id, 99)) >= count, within)
        return self.store.history(job_id, 99)

    def settled(self, job_id: str, status: str = "stop", within: float = PATIENCE) -> State:
        def there() -> bool:
            return self.state(job_id).status == status and not self.state(job_id).run_id

        self.until(there, within)
        return self.state(job_id)


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    made = Host(tmp_path)
    yield made
    made.open_gates()
    for run in list(made.runner.runs.values()) if made.runner else []:
        if run.process is not None:
            run.process.kill()
    made.stop()
    made.store.close()

# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which process an action is: exec directly, everything else as ``coldchain agent``."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path

import coldchain
from coldchain.agent.command import Command, command
from coldchain.errors import ColdchainError
from coldchain.execution.plan import ActionSpec
from coldchain.paths import Paths
from coldchain.settings import Settings
from coldchain.store.storage import write_atomically

_SERVICE_VARIABLES = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "COLDCHAIN_RUNNER_LOCK")
# Under python -I nothing but sys.path says where the package is.
_AGENT = "import sys; sys.path.insert(0, sys.argv.pop(1)); from coldchain.cli import main; main()"


def process_of(spec: ActionSpec, paths: Paths, settings: Settings, directory: Path) -> Command:
    """The process of an attempt; directory: the attempt's own, which does not exist yet.

    Anything that keeps it from being started is a ColdchainError.
    """
    if spec.name == "exec":
        if not settings.allow_exec:
            raise ColdchainError("exec actions are switched off on this host (allow_exec)")
        return command(spec.action)
    config = directory.with_name(f"{directory.name}.json")
    raw = json.dumps({"freezer_action": spec.action}).encode("ascii")
    write_atomically(config, raw, durable=False)
    result, progress = directory / "result.json", directory / "progress.json"
    words = ["--config", config, "--result", result, "--progress", progress]
    return Command((*_agent(paths), *(str(word) for word in words)), {}, None)


def _agent(paths: Paths) -> tuple[str, ...]:
    package = Path(coldchain.__file__).resolve().parents[1]
    home = () if paths.home is None else ("--home", os.fspath(paths.home))
    return (sys.executable, "-I", "-c", _AGENT, os.fspath(package), *home, "agent")


def environment(own: Mapping[str, str], names: Mapping[str, str]) -> dict[str, str]:
    """What the process sees: ours without what belongs to the service, its *own*, and *names*."""
    ours = {key: value for key, value in os.environ.items() if key not in _SERVICE_VARIABLES}
    return {**ours, **own, **names}

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
from coldchain.store.files import write_atomically

RESULT = "result.json"
"""In the directory of an attempt: the agent's report, written as its last act."""

_LEAVES_REMNANTS = ("backup", "restore", "admin")
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
    return _agent(spec, paths, directory, "--progress", str(directory / "progress.json"))


def clean_up_of(spec: ActionSpec, paths: Paths, directory: Path) -> Command:
    """The process that removes what the killed agent of *spec* left; directory: its own."""
    return _agent(spec, paths, directory, "--clean-up")


def needs_clean_up(spec: ActionSpec, report: Mapping[str, object]) -> bool:
    """An agent that got as far as its report has left nothing behind; exec is the job's own."""
    return spec.name in _LEAVES_REMNANTS and not report


def _agent(spec: ActionSpec, paths: Paths, directory: Path, *options: str) -> Command:
    config = directory.with_name(f"{directory.name}.json")
    raw = json.dumps({"freezer_action": spec.action}).encode("ascii")
    write_atomically(config, raw, durable=False)
    package = Path(coldchain.__file__).resolve().parents[1]
    home = () if paths.home is None else ("--home", os.fspath(paths.home))
    words = [sys.executable, "-I", "-c", _AGENT, os.fspath(package), *home, "agent", *options]
    words += ["--config", str(config), "--result", str(directory / RESULT)]
    return Command(tuple(words), {}, None)


def environment(own: Mapping[str, str], names: Mapping[str, str]) -> dict[str, str]:
    """What the process sees: ours without what belongs to the service, its *own*, and *names*."""
    ours = {key: value for key, value in os.environ.items() if key not in _SERVICE_VARIABLES}
    return {**ours, **own, **names}

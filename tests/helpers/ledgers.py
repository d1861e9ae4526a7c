# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ledgers in scratch directories, and what is written into them."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from coldchain.observe.ledger.format import LOCK, Act, act
from coldchain.observe.ledger.reading import entries
from coldchain.observe.ledger.writer import Ledger
from coldchain.observe.records import RunEnded

Content = dict[str, bytes]


def done(number: int) -> Act:
    return act("event", {"job_id": f"job-{number}", "event": "start"})


def content(lib: Path) -> Content:
    paths = (path for path in lib.iterdir() if path.name != LOCK)
    return {path.name: path.read_bytes() for path in paths}


def put(lib: Path, files: Content) -> Ledger:
    shutil.rmtree(lib, ignore_errors=True)
    lib.mkdir()
    for name, raw in files.items():
        (lib / name).write_bytes(raw)
        (lib / name).chmod(0o600)
    return Ledger(lib)


@contextlib.contextmanager
def place() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as directory:
        yield Path(directory, "lib")


def said(lib: Path) -> list[dict[str, Any]]:
    return [entry for _, entry in entries(Ledger(lib))]


def ended(number: int) -> RunEnded:
    record = {
        "job_id": f"job-{number}",
        "run_id": str(number),
        "cause": "schedule",
        "scheduled_for": "2026-11-24T00:00:00+00:00",
        "time_started": 1.0,
        "time_ended": 2.0,
        "result": "success",
        "actions": [{"report": {"action": "backup", "manifest_sha256": "0" * 64, "names": ["x"]}}],
    }
    return RunEnded(record, {})

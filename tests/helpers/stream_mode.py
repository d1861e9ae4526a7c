# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A second mode, for tests of the seam alone: the bytes that a program writes and reads again.

path_to_backup names what ``cat`` prints, restore_abs_path what ``dd`` writes.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from waiting import ended

from coldchain.agent.fields import Fields
from coldchain.agent.modes.base import Stream
from coldchain.core.errors import JobFailed


def _finish(process: subprocess.Popen[bytes]) -> None:
    for stream in filter(None, (process.stdin, process.stdout)):
        stream.close()
    if ended(process):
        raise JobFailed(f"{process.args!r} ended with exit code {process.returncode}")


class CatSource(NamedTuple):
    file: Path

    @property
    def identity(self) -> str:
        return f"cat {self.file}"

    @property
    def restore_to(self) -> Mapping[str, object]:
        return {"restore_abs_path": os.fspath(self.file)}

    @contextmanager
    def open(self) -> Iterator[Stream]:
        with subprocess.Popen(["cat", self.file], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            yield Stream(process.stdout, lambda: _finish(process))


class DdTarget(NamedTuple):
    file: Path
    path: None = None

    @contextmanager
    def open(self) -> Iterator[Stream]:
        words = ["dd", f"of={self.file}", "status=none"]
        with subprocess.Popen(words, stdin=subprocess.PIPE) as process:
            assert process.stdin is not None
            yield Stream(process.stdin, lambda: _finish(process))


class StreamMode:
    def source(self, fields: Fields) -> CatSource:
        return CatSource(fields.required_path("path_to_backup"))

    def target(self, fields: Fields) -> DdTarget:
        return DdTarget(fields.required_path("restore_abs_path"))

# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""When each backup was verified on this host, how, and with what result: ``verified.json``.

    {"format": 1, "containers": {PLACE: {HOST_NAME: {"ZERO/LEVEL_TS": [time, how, result]}}}}

time: POSIX seconds; how: quick (chain, markers and sizes) or full (every byte); result: sound or
damaged.  It lies beside the database and not in the container: an archive may be mounted
read-only, and looking at it must not change it (docs/decisions/035-receipts.md).
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from coldchain.core.errors import DataError, TryAgain, remedy
from coldchain.core.files import write_atomically
from coldchain.core.instants import from_epoch, iso
from coldchain.core.locks import lock_within, open_lock

FILE = "verified.json"
FORMAT = 1
QUICK, FULL = "quick", "full"
SOUND, DAMAGED = "sound", "damaged"
_PATIENCE = 10.0  # seconds: whoever holds the lock reads, merges and writes one file


class Receipt(NamedTuple):
    """One verification, of a level or of a point in time with all that it builds on."""

    time: int
    how: str
    result: str

    def as_dict(self) -> dict[str, str]:
        """JSON, the time as an ISO date."""
        return {"time": iso(from_epoch(self.time)), "how": self.how, "result": self.result}


def damage_found(receipts: Iterable[Receipt | None]) -> Receipt | None:
    """The one among *receipts* that found damage where a quick look sees none; None without."""
    damaged = (receipt for receipt in receipts if receipt and receipt.result == DAMAGED)
    return next((receipt for receipt in damaged if receipt.how == FULL), None)


def merge(old: Receipt | None, new: Receipt) -> Receipt:
    """What stands after *new*: a quick look neither outweighs a full one nor mends its finding."""
    keeps = old is not None and old.how == FULL and new.how == QUICK and new.result == SOUND
    return old if keeps and old is not None else new


def weakest(receipts: Iterable[Receipt | None]) -> Receipt | None:
    """Of all levels that a point builds on, the weakest in each respect; None when one has none."""
    levels = []
    for receipt in receipts:
        if receipt is None:
            return None
        levels.append(receipt)
    return Receipt(
        min(level.time for level in levels),
        FULL if all(level.how == FULL for level in levels) else QUICK,
        SOUND if all(level.result == SOUND for level in levels) else DAMAGED,
    )


class Receipts:
    """The file in *directory*, read at once; not there, it is empty.

    problem: why it could not be read, "" when it could.  A backup is none the worse for it.
    """

    def __init__(self, directory: Path) -> None:
        self._path = directory / FILE
        self._containers: dict[str, Any] = {}
        self.problem = ""
        try:
            self._containers = self._read()
        except DataError as error:
            self.problem = f"{error.message} ({error.hint})" if error.hint else error.message

    def of(self, place: str, host_name: str, level: str) -> Receipt | None:
        """The receipt of one level ("ZERO/LEVEL_TS") of a container."""
        entry = self._containers.get(place, {}).get(host_name, {}).get(level)
        return None if entry is None else Receipt(*entry)

    def keep(self, place: str, outcome: Mapping[str, Mapping[str, Receipt]]) -> None:
        """Put down *outcome*, {host_name: {level: receipt}}, with every level that there still is.

        Raises CannotWrite, DataError and TryAgain.  What is not there any more is forgotten.
        """
        with self._locked():
            containers = self._read()
            series = containers.setdefault(place, {})
            for host_name, levels in outcome.items():
                before = {
                    name: Receipt(*entry) for name, entry in series.get(host_name, {}).items()
                }
                now = {name: merge(before.get(name), new) for name, new in levels.items()}
                series[host_name] = {
                    name: [receipt.time, receipt.how, receipt.result]
                    for name, receipt in now.items()
                }
            content = {"format": FORMAT, "containers": containers}
            write_atomically(self._path, json.dumps(content).encode("ascii") + b"\n")
            self._containers = containers

    def _read(self) -> dict[str, Any]:
        try:
            content = json.loads(self._path.read_bytes())
            if content["format"] != FORMAT:
                raise ValueError
            containers: dict[str, Any] = content["containers"]
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise DataError(
                f"{self._path}: cannot be read: {error.strerror}", remedy(error)
            ) from None
        except (ValueError, KeyError, TypeError):
            raise DataError(
                f"{self._path}: is not what coldchain verify wrote",
                "remove it: only the times of verifications are lost, no backup",
            ) from None
        return containers

    @contextmanager
    def _locked(self) -> Iterator[None]:
        path = self._path.with_name(f"{self._path.name}.lock")
        lock = open_lock(path)
        try:
            if not lock_within(lock, _PATIENCE):
                raise TryAgain(
                    f"{path}: held by another process for {_PATIENCE:.0f} s",
                    f"try again; fuser {path} tells which one it is",
                )
            yield
        finally:
            os.close(lock)

# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages on their way, a file each, or a line as long as nobody has looked (incoming.py); and the
record of what became of them.

The runner puts messages in; the process that delivers takes them out, or puts them off.  The name
of a file tells its place in the order, when it is due and which message it is, so that to look when
something is due is to list a directory.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from coldchain.core.errors import CannotWrite, ColdchainError
from coldchain.core.files import cannot_write, open_ours, private_directory, write_atomically
from coldchain.core.text import shorten
from coldchain.core.trusted_path import TrustedFolder
from coldchain.observe.incoming import Incoming
from coldchain.observe.notifiers.registry import ROUTINE

MOST = 1000
"""Messages that wait at most; of more, the oldest go."""
LARGEST = 32_768
"""Bytes of a message; of a larger one the RUN is left out, and then the end of its text.  With MOST
this bounds the directory, but for those that sum others up (alert_rules.LARGEST_SUMMARY)."""
_TEXT = 2000  # characters of the text of such a message, of which JSON makes 24 kB at most
_READ = 64 * LARGEST  # bytes; what is longer is none of our files
KEEP = 262_144
"""Bytes of the record of deliveries, of which half goes when it has more."""
SENT, FAILED, GIVEN_UP, DROPPED = "sent", "failed", "given-up", "dropped"
WITHDRAWN = "withdrawn"
_TAIL = 65_536


class WaitingMessage(NamedTuple):
    """A message on its way, as the name of its file tells it.

    order: microseconds since 1970 at which it was put in; due: POSIX seconds before which it is not
    tried.
    """

    order: int
    due: int
    id: str

    @property
    def name(self) -> str:
        """The name of the file."""
        return f"{self.order:017d}.{self.due:010d}.{self.id}.json"

    @classmethod
    def of(cls, name: str) -> WaitingMessage | None:
        """From the name of a file; None when that is no message."""
        parts = name.split(".")
        if len(parts) != 4 or parts[3] != "json" or not (parts[0] + parts[1]).isdigit():
            return None
        found = cls(int(parts[0]), int(parts[1]), parts[2])
        return found if found.name == name else None


class Outbox:
    """The directory of an installation's messages (``lib/notify``); made when first needed."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self._queue = place / "queue"
        self._record = place / "deliveries.jsonl"
        self._kept = TrustedFolder(self._queue)
        self._incoming = Incoming(place)

    @property
    def lock(self) -> Path:
        """Held by the one process that delivers."""
        return self.place / "lock"

    @property
    def turn(self) -> Path:
        """Held by whoever wants ``lock`` for something else than to deliver."""
        return self.place / "turn"

    def waiting(self) -> list[WaitingMessage]:
        """All messages, in the order in which they were put in.  Unavailable."""
        names = set(self._incoming.lines())
        with contextlib.suppress(FileNotFoundError), os.scandir(self._queue) as found_there:
            files = (each for each in found_there if each.is_file(follow_symlinks=False))
            names.update(each.name for each in files)
        found = filter(None, map(WaitingMessage.of, names))
        # One of both kinds is a file with a line that was to be let go of: the later one holds.
        return sorted({(each.order, each.id): each for each in sorted(found)}.values())

    def take_in(self) -> None:
        """Make files of the messages that have none yet.  For whoever delivers, or takes messages
        out.  Raises Unavailable."""
        self._incoming.take(self._file)

    def _file(self, name: str, raw: bytes) -> None:
        if WaitingMessage.of(name) is not None:  # else a part of a line, of a power cut
            self._write(self._queue / name, raw, durable=False)

    def put(self, entry: Mapping[str, Any], waiting: WaitingMessage, *, durable: bool) -> None:
        """Put a message in; raises CannotWrite.  durable: it has to survive a power cut."""
        raw, message = _raw(entry), entry["message"]
        if len(raw) > LARGEST:
            message = {**message, "run": None}
            raw = _raw({**entry, "message": message})
        if len(raw) > LARGEST and "messages" not in message:
            message["text"] = shorten(str(message.get("text", "")), _TEXT)
            raw = _raw({**entry, "message": message})
        if durable or not self._incoming.add(waiting.name, raw):
            self._write(self._queue / waiting.name, raw, durable=durable)

    def _write(self, path: Path, raw: bytes, *, durable: bool) -> None:
        try:
            write_atomically(path, raw, durable=durable, kept=self._kept)
        except CannotWrite:
            if self._queue.is_dir():
                raise
            self._make()
            write_atomically(path, raw, durable=durable, kept=self._kept)

    def _make(self) -> None:
        try:
            private_directory(self._queue)
        except OSError as error:
            raise cannot_write(self._queue, error) from None

    def read(self, waiting: WaitingMessage) -> dict[str, Any] | None:
        """The message; None when it is gone, or was damaged: then it is removed."""
        path = self._queue / waiting.name
        try:
            try:
                with open(open_ours(path), "rb") as stream:
                    raw = stream.read(_READ)
            except FileNotFoundError:
                line = self._incoming.lines().get(waiting.name)
                if line is None:
                    return None
                raw = line
            entry = json.loads(raw)
            if all(isinstance(entry[name], dict) for name in ("target", "message")):
                return dict(entry)
        except (ColdchainError, ValueError, KeyError, TypeError, RecursionError):
            pass  # damaged, or not ours
        with contextlib.suppress(OSError):
            self.remove(waiting)
            self.record({"id": waiting.id, "result": DROPPED, "detail": "its file was damaged"})
        return None

    def put_off(
        self, waiting: WaitingMessage, entry: Mapping[str, Any], due: int
    ) -> WaitingMessage:
        """Write what came of an attempt, and let the message wait until *due*."""
        later = waiting._replace(due=due)
        write_atomically(self._queue / later.name, _raw(entry), durable=False)
        if later != waiting:
            self.remove(waiting)
        return later

    def postpone(self, waiting: WaitingMessage, due: int) -> None:
        """Let a message wait until *due*."""
        later = waiting._replace(due=due).name
        with contextlib.suppress(FileNotFoundError):
            os.rename(self._queue / waiting.name, self._queue / later)
        self._incoming.replace(waiting.name, later)

    def remove(self, waiting: WaitingMessage) -> None:
        """Take a message out."""
        with contextlib.suppress(FileNotFoundError):
            (self._queue / waiting.name).unlink()
        self._incoming.replace(waiting.name)

    def make_room(self, waiting: list[WaitingMessage], now: float) -> list[WaitingMessage]:
        """Remove some of *waiting* until there is room for one more; those that stay.

        The oldest starts and successes go first, which are no news once others have followed, and
        then the oldest of all.
        """
        surplus = max(0, len(waiting) - MOST + 1)
        if surplus:
            self.take_in()
        gone = list(islice(filter(self._is_routine, waiting), surplus)) if surplus else []
        stay = [it for it in waiting if it not in gone]
        gone += stay[: surplus - len(gone)]
        for oldest in gone:
            self.remove(oldest)
            self.record(
                {"id": oldest.id, "time": now, "result": DROPPED, "detail": "too many wait"}
            )
        return [it for it in stay if it not in gone]

    def _is_routine(self, waiting: WaitingMessage) -> bool:
        entry = self.read(waiting)
        return entry is not None and entry["message"].get("kind") in ROUTINE

    # -- what became of them ---------------------------------------------------------------------

    def record(self, line: Mapping[str, Any]) -> None:
        """Note what became of a message; a full disk only loses the note."""
        raw = json.dumps(line, separators=(",", ":")).encode("ascii") + b"\n"
        with contextlib.suppress(OSError, CannotWrite):
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
            descriptor = os.open(self._record, flags, 0o600)
            try:
                os.write(descriptor, raw)
                large = os.fstat(descriptor).st_size > KEEP
            finally:
                os.close(descriptor)
            if large:
                lines = self._record.read_bytes()[-KEEP // 2 :].partition(b"\n")[2]
                write_atomically(self._record, lines, durable=False)

    def recorded(self) -> Iterator[dict[str, Any]]:
        """What became of messages, the newest first."""
        try:
            with open(open_ours(self._record), "rb") as stream:
                size = stream.seek(0, os.SEEK_END)
                stream.seek(max(0, size - _TAIL))
                lines = stream.read().splitlines()
        except FileNotFoundError:
            return
        for line in reversed(lines):
            with contextlib.suppress(ValueError):
                entry = json.loads(line)
                if isinstance(entry, dict):
                    yield entry


def _raw(entry: Mapping[str, Any]) -> bytes:
    return json.dumps(entry, separators=(",", ":")).encode("ascii")

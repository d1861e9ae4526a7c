# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What rclone does for the agent, about a directory here and in this process.

For tests of how a remote storage asks, which need hundreds of answers, and of what it makes of bad
ones; ``make storages`` holds the same storage to the same contract with the real rclone and real
servers.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

from coldchain.agent.storages.base import Arrival
from coldchain.core.errors import CannotWrite, ColdchainError, Unavailable


class RcloneOfFiles:
    """The methods of storages.rclone.program.Rclone; a remote's root is the directory *root*.

    objects: it has no directories of its own, as an object store; makes_folders: a file's folder
    need not be there before.  calls: the words of each call; arrives: what becomes of the bytes of
    a file; gone: every call fails.
    """

    def __init__(self, root: Path, *, objects: bool = False, makes_folders: bool = True) -> None:
        self.root, self.objects, self.makes_folders = root, objects, makes_folders
        self.calls: list[tuple[str, ...]] = []
        self.arrives: Callable[[bytes], bytes | None] = lambda data: data
        self.gone = False

    def asked(self, *words: str) -> list[tuple[str, ...]]:
        """The calls that begin with one of *words*; all are forgotten."""
        calls, self.calls = self.calls, []
        return [call for call in calls if call[0] in words]

    def place(self, path: str) -> Path:
        """Where rclone's *path* lies."""
        return self.root / path.partition(":")[2].lstrip("/")

    def _call(self, words: tuple[str, ...], kind: type[ColdchainError]) -> None:
        self.calls.append(words)
        if self.gone:
            raise kind("connection refused")

    @contextlib.contextmanager
    def lines(self, *words: str, last: bytes = b"") -> Iterator[Iterator[bytes]]:
        """lsjson and lsf."""
        self._call(words, Unavailable)
        yield self._lines(words, last)

    def _lines(self, words: tuple[str, ...], last: bytes) -> Iterator[bytes]:
        folder = self.place(words[-1])
        if not folder.is_dir():
            return
        if words[0] == "lsf":
            yield from (os.fsencode(name) for name in os.listdir(folder))
            return
        assert words[:3] == ("lsjson", "--recursive", "--no-mimetype") and last == b"]"
        yield b"["
        for path in folder.rglob("*"):
            row = {"Path": str(path.relative_to(folder)), "Size": path.stat().st_size}
            when = {"ModTime": "2026-11-24T10:22:33Z"}
            if path.is_file():
                yield json.dumps({**row, **when, "IsDir": False}).encode() + b","
            elif not self.objects:
                yield json.dumps({**row, "IsDir": True}).encode() + b","
        yield b"]"

    def text(self, *words: str, feed: bytes = b"", limit: float = 3600) -> str:
        """copy, of the files that are there."""
        self._call(words, Unavailable)
        assert words[0] == "copy"
        source, target = self.place(words[-2]), Path(words[-1])
        for name in map(os.fsdecode, feed.split(b"\n")[:-1]):
            with contextlib.suppress(FileNotFoundError):
                (target / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(source / name, target / name)
        return ""

    @contextlib.contextmanager
    def copy(self, root: str, folder: int, sizes: Mapping[str, int]) -> Iterator[Arrival]:
        """The files that are there, into an open folder, when their arrival is waited for."""
        self._call(("copy", root), Unavailable)

        def arrive(moved: Callable[[int], None]) -> None:
            for path in sizes:
                if self.place(root + path).is_file():
                    target = Path(f"/proc/self/fd/{folder}") / path
                    target.parent.mkdir(parents=True, exist_ok=True)
                    moved(target.write_bytes(self.place(root + path).read_bytes()))

        yield arrive

    def open(self, root: str, path: str, size: int) -> BinaryIO:
        """cat."""
        self._call(("cat", root, path), Unavailable)
        return io.BytesIO((self.place(root) / path).read_bytes())

    @contextlib.contextmanager
    def write(self, path: str) -> Iterator[Callable[[bytes], None]]:
        """rcat, bit by bit."""
        self._call(("rcat", path), CannotWrite)
        gathered = io.BytesIO()

        def sink(data: bytes) -> None:
            gathered.write(data)

        yield sink
        self._put(path, gathered.getvalue())

    def send(self, folder: str, root: str) -> None:
        """copy, of what lies in *folder*, the oldest first."""
        self._call(("send", root), CannotWrite)
        for path in sorted(Path(folder).iterdir(), key=lambda path: path.stat().st_mtime_ns):
            self._put(root + path.name, path.read_bytes())

    def do(self, *words: str, feed: bytes = b"", limit: float = 3600) -> None:
        """Whatever changes something."""
        self._call(words, CannotWrite)
        place = self.place(words[1])
        try:
            if words[0] == "rcat":
                self._put(words[1], feed)
            elif words[0] == "mkdir":
                place.mkdir(exist_ok=True)
            elif words[0] == "rmdir":
                place.rmdir()
            elif words[0] == "purge":
                shutil.rmtree(place)
                self._prune()
            elif words[0] == "moveto":
                if self.makes_folders:
                    self.place(words[2]).parent.mkdir(parents=True, exist_ok=True)
                place.rename(self.place(words[2]))
            else:
                assert words[0] == "backend"
        except OSError as error:
            raise CannotWrite(str(error)) from None

    def _put(self, path: str, data: bytes) -> None:
        arrived = self.arrives(data)
        if arrived is None:
            return
        if self.makes_folders:
            self.place(path).parent.mkdir(parents=True, exist_ok=True)
        self.place(path).write_bytes(arrived)

    def _prune(self) -> None:
        """An object store has no directory without something in it."""
        if self.objects:
            for top, _folders, _files in os.walk(self.root, topdown=False):
                if Path(top) != self.root and not os.listdir(top):
                    os.rmdir(top)

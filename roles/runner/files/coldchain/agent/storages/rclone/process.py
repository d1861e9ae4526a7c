# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A running rclone: streams in and out, one clear reason when it fails, never a hang."""

from __future__ import annotations

import contextlib
import io
import os
import resource
import select
import subprocess
import threading
from collections import deque
from collections.abc import Callable, Iterator

from coldchain.agent.process.signals import defer_signals, how_ended
from coldchain.agent.storages.rclone import limits
from coldchain.agent.storages.rclone.failures import reason
from coldchain.core.errors import ColdchainError, DataError

#: Bytes that are read at once.
BLOCK = 1 << 16
#: What is wrong, and what may be the reason.
MORE_CAME = ("more bytes came than were listed", "what is stored was changed meanwhile")

_TAIL = 40  # lines
_LINE_LIMIT = 1 << 16


class Process:
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

    def __enter__(self) -> Process:
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
                self.check(limits.PATIENCE)
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
        return bool(poll.poll(limit * 1000)) and not os.read(self._output.fileno(), BLOCK)

    def blocks(self, limit: float) -> Iterator[bytes]:
        """All that rclone prints; *limit*: seconds to wait for each block."""
        while block := self.read(BLOCK, limit):
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
            how = how_ended(code)
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
                    self._popen.wait(limits.PATIENCE)
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

    def _listen(self, raw: io.RawIOBase) -> None:
        # Without a buffer each byte of a line is read by itself.
        with io.BufferedReader(raw) as stream:
            while line := stream.readline(_LINE_LIMIT):
                self._tail.append(line.decode("utf-8", "backslashreplace").rstrip("\n"))


class FileStream(io.RawIOBase):
    """What ``rclone cat`` prints; on some storages a missing or cut file is no error to it."""

    def __init__(self, process: Process, size: int) -> None:
        self._process = process
        self._left = size

    def readable(self) -> bool:
        """Whether it can be read: always."""
        return True

    # A BufferedReader, which is the only one that reads it, hands over nothing else.
    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fill *buffer*; DataError when the file ends before its size."""
        data = self._process.read(len(buffer), limits.STALL)
        if not data:
            self._process.check(limits.FINISH)
            if self._left > 0:
                raise DataError(f"{self._left} bytes are missing", "the backup is incomplete")
        self._left -= len(data)
        if self._left < 0:
            raise DataError(*MORE_CAME)
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        """Close the stream, and end rclone."""
        if not self.closed:
            self._process.end()
        super().close()

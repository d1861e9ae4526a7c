# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""upload_limit and download_limit: a storage that lets bytes pass at a given pace."""

from __future__ import annotations

import contextlib
import io
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import BinaryIO, cast

from coldchain.agent.storages.base import Arrival, Draft, PassedOn, Storage

#: So much of a second may pass at once; what goes to a storage is cut into such pieces, because
#: one long pause would look like a dead connection.
SHARE = 0.25
#: Smaller pieces would only cost calls.
SMALLEST = 4096


class Bucket:
    """Lets *rate* bytes a second pass, never faster over any stretch beyond one piece."""

    def __init__(
        self,
        rate: int,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._rate, self._clock, self._sleep = rate, clock, sleep
        self._free = clock()  # when everything that was taken has passed at the rate
        self.piece = max(SMALLEST, int(rate * SHARE))

    def take(self, number: int) -> None:
        """Wait until *number* more bytes have had their time; an idle time is not made up for."""
        now = self._clock()
        self._free = max(self._free, now) + number / self._rate
        if self._free > now:
            self._sleep(self._free - now)


class Limited(PassedOn):
    """*storage* with at most *upload* bytes a second to it, *download* from it (None: any)."""

    def __init__(self, storage: Storage, upload: int | None, download: int | None) -> None:
        super().__init__(storage)
        self._upload = Bucket(upload) if upload else None
        self._download = Bucket(download) if download else None

    def open(self, path: str) -> BinaryIO:
        """The storage's stream, at the pace of the download."""
        stream = self._storage.open(path)
        if self._download is None:
            return stream
        return cast(BinaryIO, _SlowReader(stream, self._download))

    def fetch(self, paths: Sequence[str], folder: int) -> AbstractContextManager[Arrival] | None:
        """As the storage does it, unless there is a pace to keep."""
        return None if self._download is not None else self._storage.fetch(paths, folder)

    @contextlib.contextmanager
    def draft(self, lock: str, folder: str, marker: str) -> Iterator[Draft]:
        """The storage's draft, at the pace of the upload."""
        with self._storage.draft(lock, folder, marker) as draft:
            yield draft if self._upload is None else _SlowDraft(draft, self._upload)


class _SlowReader(io.RawIOBase):
    """Reads may be short, as those of a socket."""

    def __init__(self, stream: BinaryIO, bucket: Bucket) -> None:
        self._stream, self._bucket = stream, bucket

    def readable(self) -> bool:
        """Whether it can be read: always."""
        return True

    # read() hands over a bytearray, a BufferedReader a memoryview; Python's type is for any buffer.
    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        """Fill *buffer* as far as one piece goes, and wait for as long as that may take."""
        data = self._stream.read(min(len(buffer), self._bucket.piece))
        buffer[: len(data)] = data
        self._bucket.take(len(data))
        return len(data)

    def close(self) -> None:
        """Close the stream behind, too."""
        self._stream.close()
        super().close()


class _SlowDraft:
    def __init__(self, draft: Draft, bucket: Bucket) -> None:
        self._draft, self._bucket = draft, bucket

    @contextlib.contextmanager
    def write(self, name: str) -> Iterator[Callable[[bytes], None]]:
        """A sink that cuts what it gets into pieces and waits between them."""
        with self._draft.write(name) as sink:

            def slowly(data: bytes) -> None:
                """Pass *data* on, piece by piece."""
                for start in range(0, len(data), self._bucket.piece):
                    piece = data[start : start + self._bucket.piece]
                    self._bucket.take(len(piece))
                    sink(piece)

            yield slowly

    def commit(self, content: bytes) -> None:
        """As the storage does it."""
        self._draft.commit(content)

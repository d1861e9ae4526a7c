# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""upload_limit and download_limit: a storage that lets bytes pass at a given pace."""

from __future__ import annotations

import contextlib
import io
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import BinaryIO, cast

from coldchain.agent.layout import Level, Series
from coldchain.agent.storage import Draft, Storage

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


class Limited:
    """*storage* with at most *upload* bytes a second to it, *download* from it (None: any)."""

    def __init__(self, storage: Storage, upload: int | None, download: int | None) -> None:
        self._storage = storage
        self._upload = Bucket(upload) if upload else None
        self._download = Bucket(download) if download else None

    def names(self, folder: str) -> list[str]:
        return self._storage.names(folder)

    def size(self, path: str) -> int | None:
        return self._storage.size(path)

    def modified(self, path: str) -> float | None:
        return self._storage.modified(path)

    def open(self, path: str) -> BinaryIO:
        stream = self._storage.open(path)
        if self._download is None:
            return stream
        return cast(BinaryIO, _SlowReader(stream, self._download))

    def lock(self, series: Series) -> AbstractContextManager[None]:
        return self._storage.lock(series)

    @contextlib.contextmanager
    def draft(self, series: Series, level: Level) -> Iterator[Draft]:
        with self._storage.draft(series, level) as draft:
            yield draft if self._upload is None else _SlowDraft(draft, self._upload)

    def discard_drafts(self, series: Series) -> int:
        return self._storage.discard_drafts(series)

    def remove(self, series: Series, folder: str) -> None:
        self._storage.remove(series, folder)


class _SlowReader(io.RawIOBase):
    """Reads may be short, as those of a socket."""

    def __init__(self, stream: BinaryIO, bucket: Bucket) -> None:
        self._stream, self._bucket = stream, bucket

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        data = self._stream.read(min(len(buffer), self._bucket.piece))
        buffer[: len(data)] = data
        self._bucket.take(len(data))
        return len(data)

    def close(self) -> None:
        self._stream.close()
        super().close()


class _SlowDraft:
    def __init__(self, draft: Draft, bucket: Bucket) -> None:
        self._draft, self._bucket = draft, bucket

    @contextlib.contextmanager
    def write(self, name: str) -> Iterator[Callable[[bytes], None]]:
        with self._draft.write(name) as sink:

            def slowly(data: bytes) -> None:
                for start in range(0, len(data), self._bucket.piece):
                    piece = data[start : start + self._bucket.piece]
                    self._bucket.take(len(piece))
                    sink(piece)

            yield slowly

    def commit(self, metadata: bytes) -> None:
        self._draft.commit(metadata)

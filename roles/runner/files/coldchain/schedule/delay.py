# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How much later than its slot a run begins, so that not all hosts begin at once."""

from __future__ import annotations

from datetime import timedelta
from typing import NamedTuple

try:  # hashlib's own BLAKE2, without what else hashlib loads: OpenSSL's 4 MB of memory
    from _blake2 import blake2b
except ImportError:  # an interpreter that has it elsewhere
    from hashlib import blake2b


class Delay(NamedTuple):
    """How much later than its slot a run begins: a part of *splay* (seconds), the same in every
    process and after every restart."""

    splay: int
    fraction: float

    @classmethod
    def of(cls, key: str, splay: int, offset: int | None = None) -> Delay:
        """The delay of a job.

        key: what the part of *splay* is derived from; offset: the delay itself, where the
        document has one.
        """
        if offset is None:
            return cls(splay, splay_fraction(key) if splay else 0.0)
        # In the middle of a second, so that no rounding takes one away.
        return cls(offset, (offset + 0.5) / (offset + 1))

    def within(self, room: int) -> int:
        """Seconds of the delay where the next slot or the like leaves *room* seconds."""
        return int(self.fraction * min(self.splay + 1, room))

    @property
    def whole(self) -> timedelta:
        """The delay where nothing bounds it."""
        return timedelta(seconds=int(self.fraction * (self.splay + 1)))


def splay_fraction(key: str) -> float:
    """The place of *key* in its splay, 0 <= fraction < 1; the same on every host and every day."""
    digest = blake2b(key.encode("utf-8", "surrogatepass"), digest_size=6).digest()
    return int.from_bytes(digest, "big") / (1 << 48)

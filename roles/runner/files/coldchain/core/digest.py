# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""SHA-256 without OpenSSL: hashlib would bring 3.6 MB of libcrypto into the runner."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib import import_module
from typing import Any


def _own() -> Callable[[bytes], Any]:
    """The interpreter's own function, which the library random uses a sister of."""
    for name in ("_sha2", "_sha256"):  # from Python 3.12 on; before
        try:
            own: Callable[[bytes], Any] = import_module(name).sha256
        except ImportError:
            continue
        return own
    from hashlib import sha256  # a Python that was built without

    return sha256


_sha256 = _own()
_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"))


def sha256_hex(raw: bytes) -> str:
    """The SHA-256 of *raw*, as hexadecimal digits."""
    text: str = _sha256(raw).hexdigest()
    return text


def digest_of(value: object) -> str:
    """The SHA-256 of a JSON value in its canonical form: sorted keys, no blanks, ASCII."""
    return sha256_hex(canonical_json(value))


def canonical_json(value: object) -> bytes:
    """A JSON value in the one form in which it is digested, without a line's end."""
    return _CANONICAL.encode(value).encode("ascii")

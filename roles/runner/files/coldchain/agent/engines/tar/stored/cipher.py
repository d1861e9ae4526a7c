# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Encryption with the openssl command, and the seal that authenticates a level.

Scheme freezer is what freezer-agent does: AES-256-CFB, the key from one round of SHA-256, nothing
that would notice a change.  Scheme strong is AES-256-CTR with a key from PBKDF2, and a seal:
HMAC-SHA256, with a key of its own, over a statement that names the level, the one it was made on
and the SHA-256 of its encrypted parts.  A seal is checked before a byte is decrypted.
docs/recovery.md shows both with nothing but openssl and sha256sum.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Mapping
from typing import NamedTuple

from coldchain.agent.engines.tar.stored.layout import ENGINE_METADATA
from coldchain.agent.process.pipeline import Stage
from coldchain.agent.process.tools import executable
from coldchain.core.errors import JobFailed

#: OWASP's advice of 2023 for PBKDF2-HMAC-SHA256; about 0.2 s on a core.
ITERATIONS = 600_000
#: More would let a hostile container keep us busy for minutes.
MOST_ITERATIONS = 20_000_000
#: How everything that openssl enc has written begins.
MAGIC = b"Salted__"
#: By so many bytes it is longer than what was encrypted: the salt follows.
OVERHEAD = len(MAGIC) + 8


class Part(NamedTuple):
    """One stored file of a level: SHA-256 (hex) and size in bytes, as stored."""

    sha256: str
    size: int


class WrongPassword(JobFailed):
    """The password does not fit, or what it should fit was altered: nobody can tell which."""


class UnwantedScheme(JobFailed):
    """A level is not encrypted in the way that was asked for; that is no damage."""


class Seal(NamedTuple):
    """The authentication of one level; salt and mac in hex."""

    iterations: int
    salt: str
    mac: str

    def as_dict(self) -> dict[str, object]:
        return {
            "cipher": "aes-256-ctr",
            "kdf": "pbkdf2-hmac-sha256",
            "iterations": self.iterations,
            "mac": "hmac-sha256",
            "mac_salt": self.salt,
            "mac_value": self.mac,
        }


def covers(scheme: str | None, part: str) -> bool:
    """Whether *scheme* encrypts *part*: freezer-agent never encrypts engine_metadata."""
    return scheme == "strong" or (scheme is not None and part != ENGINE_METADATA)


def openssl(scheme: str, secret: bytes, iterations: int, *, decrypt: bool) -> Stage:
    """The stage that runs openssl for *scheme*, with the password *secret*."""
    if scheme == "strong":
        how = ["-aes-256-ctr", "-pbkdf2", "-iter", str(iterations)]
    else:
        how = ["-aes-256-cfb"]
    command = [executable("openssl"), "enc", *(["-d"] if decrypt else []), *how]
    return Stage([*command, "-md", "sha256", "-pass", "fd:"], secret=secret + b"\n")


def statement(
    host_name: str,
    level: str,
    compression: str,
    created: float,
    parent: str | None,
    parts: Mapping[str, Part],
) -> bytes:
    """The text that a seal authenticates.

    level: ZERO/LEVEL_TS; created: POSIX seconds; parent: name and digest of the level that it was
    made on, None for 0.
    """
    lines = [
        "coldchain-seal-3",
        f"{host_name}/{level}",
        f"tar {compression}",
        f"created {round(created, 3)!r}",
    ]
    if parent is not None:
        lines.append(f"parent {parent}")
    lines += [f"{name} {part.size} {part.sha256}" for name, part in sorted(parts.items())]
    return os.fsencode("\n".join(lines) + "\n")


def seal(secret: bytes, text: bytes) -> Seal:
    """A seal of *text* under the password, with a salt of its own."""
    salt = os.urandom(16)
    return Seal(ITERATIONS, salt.hex(), _mac(secret, salt, ITERATIONS, text))


def check(seal: Seal, secret: bytes, text: bytes, place: str) -> None:
    """JobFailed unless *given* is the seal of *text* under the password *secret*."""
    mac = _mac(secret, bytes.fromhex(seal.salt), seal.iterations, text)
    if not hmac.compare_digest(mac, seal.mac):
        raise WrongPassword(
            f"{place}: the seal does not fit: the password is wrong or the backup was altered",
            "check encrypt_pass_file; coldchain verify tells which parts are damaged",
        )


def _mac(secret: bytes, salt: bytes, iterations: int, text: bytes) -> str:
    key = hashlib.pbkdf2_hmac("sha256", secret, salt, iterations, 32)
    return hmac.new(key, text, hashlib.sha256).hexdigest()

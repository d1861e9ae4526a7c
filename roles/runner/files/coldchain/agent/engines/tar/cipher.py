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
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from coldchain.agent.engines.tar.layout import ENGINE_METADATA
from coldchain.agent.process.tools import executable
from coldchain.core.errors import DataError, JobFailed

#: OWASP's advice of 2023 for PBKDF2-HMAC-SHA256; about 0.2 s on a core.
ITERATIONS = 600_000
#: More would let a hostile container keep us busy for minutes.
MOST_ITERATIONS = 20_000_000
#: openssl reads at most 1023 bytes of the first line.
LONGEST_PASSWORD = 1000

#: How everything that openssl enc has written begins.
MAGIC = b"Salted__"


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


def password(pass_file: Path) -> bytes:
    """The first line of *pass_file*, as openssl reads it; DataError when it cannot serve."""
    try:
        # What took the place of a file meanwhile must not keep us waiting.
        with open(os.open(pass_file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as stream:
            if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
                raise DataError(
                    f"encrypt_pass_file {pass_file} is not a regular file",
                    "it is read several times: write the password to a file, in /dev/shm for"
                    " example",
                )
            line = stream.readline(LONGEST_PASSWORD + 2).partition(b"\n")[0]
    except OSError as error:
        raise DataError(
            f"encrypt_pass_file {pass_file} cannot be read: {error.strerror}",
            "name a file whose first line is the password",
        ) from None
    if not line or len(line) > LONGEST_PASSWORD or b"\0" in line:
        raise DataError(
            f"encrypt_pass_file {pass_file}: its first line cannot be a password",
            f"1 to {LONGEST_PASSWORD} bytes, none of them zero",
        )
    return line


def doubts(pass_file: Path) -> list[str]:
    """What is unwise about the file with the password, as warnings."""
    warnings = []
    mode = stat.S_IMODE(pass_file.stat().st_mode)
    if mode & (stat.S_IRGRP | stat.S_IROTH):
        warnings.append(
            f"{pass_file} can be read by others (mode {mode:04o}): chmod 600 {pass_file}"
        )
    if password(pass_file).startswith(b"\xef\xbb\xbf"):
        warnings.append(
            f"{pass_file}: its first line begins with a byte order mark (Windows), which is a part"
            " of the password: keep it so, or take it out and begin a new chain"
        )
    if password(pass_file).endswith(b"\r"):
        warnings.append(
            f"{pass_file}: its first line ends with a carriage return (Windows), which is a part of"
            " the password: keep it so, or take it out and begin a new chain"
        )
    return warnings


def covers(scheme: str | None, part: str) -> bool:
    """Whether *scheme* encrypts *part*: freezer-agent never encrypts engine_metadata."""
    return scheme == "strong" or (scheme is not None and part != ENGINE_METADATA)


def openssl(scheme: str, pass_file: Path, iterations: int, *, decrypt: bool) -> list[str]:
    """The openssl command of *scheme*; the password's file is named, never the password."""
    if scheme == "strong":
        how = ["-aes-256-ctr", "-pbkdf2", "-iter", str(iterations)]
    else:
        how = ["-aes-256-cfb"]
    command = [executable("openssl"), "enc", *(["-d"] if decrypt else []), *how]
    return [*command, "-md", "sha256", "-pass", f"file:{pass_file}"]


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

# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The keys of SSH servers: which are known, and what to do about one that is not."""

from __future__ import annotations

import base64
import fnmatch
import hashlib
import hmac
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from coldchain.core.errors import Unavailable

#: Type of a host key -> the signature algorithms that it stands for.
_ALGORITHMS = {"ssh-rsa": ("rsa-sha2-512", "rsa-sha2-256")}


def known_hosts(path: str) -> Iterator[bytes]:
    """The lines of the file *path*, else of those that ssh reads; Unavailable when it is none."""
    if path:
        try:
            yield from Path(path).read_bytes().splitlines()
        except OSError as error:
            raise Unavailable(
                f"ssh_known_hosts {path}: {error.strerror}",
                "name a file with the keys of the server, as ssh-keyscan prints them",
            ) from None
        return
    for own in ("~/.ssh/known_hosts", "/etc/ssh/ssh_known_hosts"):
        try:
            yield from Path(os.path.expanduser(own)).read_bytes().splitlines()
        except OSError:
            continue


def host_key_algorithms(lines: list[bytes], host: str, port: str | None) -> list[str]:
    """The algorithms of the keys that *lines* of known_hosts have for the server, in order.

    rclone must ask for one of these: it would else be shown another key of the server, and take
    that for a wrong one.
    """
    name = host if port in (None, "22") else f"[{host}]:{port}"
    algorithms: dict[str, None] = {}
    for line in lines:
        words = line.decode("utf-8", "replace").split()
        if words[:1] == ["@cert-authority"]:
            continue
        if words[:1] == ["@revoked"] or len(words) < 3 or words[0].startswith("#"):
            continue
        if _matches(words[0], name):
            algorithms.update(dict.fromkeys(_ALGORITHMS.get(words[1], (words[1],))))
    return list(algorithms)


def _matches(patterns: str, name: str) -> bool:
    """Whether a host field of known_hosts is about *name* (sshd(8), SSH_KNOWN_HOSTS)."""
    if patterns.startswith("|1|"):
        try:
            salt, digest = (base64.b64decode(part) for part in patterns[3:].split("|"))
        except ValueError:
            return False
        return hmac.new(salt, name.encode(), hashlib.sha1).digest() == digest
    alternatives = patterns.lower().split(",")
    name = name.lower()
    if any(pattern[:1] == "!" and _fits(pattern[1:], name) for pattern in alternatives):
        return False
    return any(_fits(pattern, name) for pattern in alternatives)


def _fits(pattern: str, name: str) -> bool:
    # Brackets of "[host]:port" are no character classes here.
    return fnmatch.fnmatchcase(name, pattern.replace("[", "[[]"))


def _known_hosts_file(values: Mapping[str, str]) -> str:
    return values.get("SSH_KNOWN_HOSTS") or os.path.expanduser("~/.ssh/known_hosts")


def unknown_key_hint(values: Mapping[str, str]) -> str:
    """What to do about a server whose key is not known; values: the credentials."""
    host, port = values.get("SSH_HOST", ""), values.get("SSH_PORT", "22")
    return (
        f"ssh-keyscan -p {port} {host} >> {_known_hosts_file(values)}, after comparing the"
        " fingerprints (ssh-keygen -lf) with those of the server"
    )


def changed_key_hint(values: Mapping[str, str]) -> str:
    """What to do about a server that shows another key than before; values: the credentials."""
    return (
        "the server shows another key than known_hosts has: find out why before you go on;"
        f" ssh-keygen -R takes the old one out of {_known_hosts_file(values)}"
    )

# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a location to a remote storage that is ready: credentials, host keys, rclone."""

from __future__ import annotations

import base64
import fnmatch
import hashlib
import hmac
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from coldchain.agent.credentials import credentials
from coldchain.agent.layout import Series
from coldchain.agent.location import Location
from coldchain.agent.rclone import Rclone
from coldchain.agent.remote import RemoteStorage
from coldchain.agent.remotes import remote
from coldchain.errors import Unavailable

#: Type of a host key -> the signature algorithms that it stands for.
_ALGORITHMS = {"ssh-rsa": ("rsa-sha2-512", "rsa-sha2-256")}


def connect(
    location: Location,
    locks: Path | None,
    series: Series | None,
    environment: Mapping[str, str],
    expected: int = 0,
) -> RemoteStorage:
    """A storage for *location*; no server has been asked yet.

    DataError or Unavailable for a missing credential, key file, host key or program.
    """
    found = credentials(location, environment)
    config = found.get("RCLONE_CONFIG", "") if location.storage == "rclone" else ""
    if config and not os.access(config, os.R_OK):
        # rclone takes a file that is not there for an empty one.
        raise Unavailable(
            f"rclone_config {config} is not there, or this user cannot read it",
            "rclone config file shows where rclone keeps its own",
        )
    plain = Rclone(str(location))
    plain.check_version()
    keys, algorithms = "", ""
    pass_fds: tuple[int, ...] = ()
    if location.storage == "ssh":
        lines = list(_known_hosts(found.get("SSH_KNOWN_HOSTS", "")))
        algorithms = " ".join(host_key_algorithms(lines, found["SSH_HOST"], found.get("SSH_PORT")))
        if not algorithms:
            raise Unavailable(
                f"{location}: knownhosts: no key of this server is known", _unknown_key(found)
            )
        descriptor = os.memfd_create("known_hosts")
        os.write(descriptor, b"\n".join(lines) + b"\n")
        keys, pass_fds = f"/dev/fd/{descriptor}", (descriptor,)

    def obscure(password: str) -> str:
        return plain.text("obscure", "-", feed=os.fsencode(password)).strip()

    one = remote(location, found, obscure, keys, algorithms, expected)
    rclone = Rclone(
        str(location),
        one.environment,
        one.secrets,
        own_config=location.storage == "rclone",
        pass_fds=pass_fds,
        kept=one.kept,
        hints={"unknown_key": _unknown_key(found), "changed_key": _changed_key(found)},
    )
    return RemoteStorage(location, rclone, one, locks, series)


def host_key_algorithms(lines: list[bytes], host: str, port: str | None) -> list[str]:
    """The algorithms of the keys that *lines* of known_hosts have for the server, in order.

    rclone must ask for one of these: it would else be shown another key of the server, and take
    that for a wrong one.
    """
    name = host if port in (None, "22") else f"[{host}]:{port}"
    found: dict[str, None] = {}
    for line in lines:
        words = line.decode("utf-8", "replace").split()
        if words[:1] == ["@cert-authority"]:
            continue
        if words[:1] == ["@revoked"] or len(words) < 3 or words[0].startswith("#"):
            continue
        if _matches(words[0], name):
            found.update(dict.fromkeys(_ALGORITHMS.get(words[1], (words[1],))))
    return list(found)


def _matches(patterns: str, name: str) -> bool:
    """Whether a host field of known_hosts is about *name* (sshd(8), SSH_KNOWN_HOSTS)."""
    if patterns.startswith("|1|"):
        try:
            salt, digest = (base64.b64decode(part) for part in patterns[3:].split("|"))
        except ValueError:
            return False
        return hmac.new(salt, name.encode(), hashlib.sha1).digest() == digest
    each = patterns.lower().split(",")
    name = name.lower()
    if any(one.startswith("!") and _fits(one[1:], name) for one in each):
        return False
    return any(_fits(one, name) for one in each)


def _fits(pattern: str, name: str) -> bool:
    # Brackets of "[host]:port" are no character classes here.
    return fnmatch.fnmatchcase(name, pattern.replace("[", "[[]"))


def _known_hosts(given: str) -> Iterator[bytes]:
    """The lines of the file that was given, else of those that ssh reads."""
    if given:
        try:
            yield from Path(given).read_bytes().splitlines()
        except OSError as error:
            raise Unavailable(f"ssh_known_hosts {given}: {error.strerror}") from None
        return
    for path in (Path(os.path.expanduser("~/.ssh/known_hosts")), Path("/etc/ssh/ssh_known_hosts")):
        try:
            yield from path.read_bytes().splitlines()
        except OSError:
            continue


def _known_hosts_file(found: Mapping[str, str]) -> str:
    return found.get("SSH_KNOWN_HOSTS") or os.path.expanduser("~/.ssh/known_hosts")


def _unknown_key(found: Mapping[str, str]) -> str:
    host, port = found.get("SSH_HOST", ""), found.get("SSH_PORT", "22")
    return (
        f"ssh-keyscan -p {port} {host} >> {_known_hosts_file(found)}, after comparing the"
        " fingerprints (ssh-keygen -lf) with those of the server"
    )


def _changed_key(found: Mapping[str, str]) -> str:
    return (
        "the server shows another key than known_hosts has: find out why before you go on;"
        f" ssh-keygen -R takes the old one out of {_known_hosts_file(found)}"
    )

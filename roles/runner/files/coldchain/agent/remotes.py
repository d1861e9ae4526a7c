# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a location and its credentials to what rclone has to be told.  Pure.

Everything goes into the environment of the process (RCLONE_CONFIG_COLDCHAIN_*), which only root
and its own user can read: nothing into arguments or files.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from coldchain.agent.location import Location
from coldchain.errors import DataError
from coldchain.storages import PORTS

_NAME = "coldchain"
_AMAZON = re.compile(r"(?:^|\.)s3[.-](?:dualstack\.)?([a-z]{2}(?:-[a-z]+)+-\d)\.amazonaws\.com$")
#: Bytes of one part of an upload to S3, which is kept in memory.  There are at most 10,000 parts,
#: so more than 167 GB need larger ones.
S3_PART = 16 << 20
_S3_PARTS = 10_000


@dataclass(frozen=True)
class Remote:
    """root: rclone's name of the container; folders: whether directories exist there on their own
    (in an object store they do not); secrets: texts that must never be shown; kept: the most bytes
    that rclone takes before it sends them, None when that cannot be told.
    """

    root: str
    environment: Mapping[str, str] = field(repr=False)
    secrets: tuple[str, ...] = field(repr=False)
    folders: bool = True
    kept: int | None = 0

    def path(self, path: str) -> str:
        if not path:
            return self.root
        return f"{self.root}{'' if self.root.endswith((':', '/')) else '/'}{path}"


def remote(
    location: Location,
    credentials: Mapping[str, str],
    obscure: Callable[[str], str],
    known_hosts: str = "",
    host_key_algorithms: str = "",
    expected: int = 0,
) -> Remote:
    """How rclone gets at *location*; DataError names a credential that is missing.

    obscure: rclone's own disguise for passwords, which it wants them in; known_hosts: a file with
    all known keys of SSH servers; host_key_algorithms: those that the server is known by;
    expected: the most bytes that one upload may have, as far as that can be told.
    """
    wallet = _Wallet(location, credentials, obscure)
    if location.storage == "rclone":
        return Remote(location.container, *_own_config(wallet), kept=None)
    folders, kept = True, 0
    extra: Mapping[str, str] = {}
    if location.storage == "ssh":
        settings = _ssh(wallet, known_hosts, host_key_algorithms)
    elif location.storage == "s3":
        folders, kept = False, part_size(expected)
        settings = _s3(wallet, kept)
    elif location.storage == "swift":
        folders = False
        settings, extra = {"type": "swift", "env_auth": "true"}, _openstack(wallet)
    else:
        settings = _ftp(wallet)
    environment = {
        f"RCLONE_CONFIG_{_NAME.upper()}_{name.upper()}": value
        for name, value in settings.items()
        if value
    }
    environment.update(extra)
    environment.update(wallet.files())
    root = f"{_NAME}:{location.container}"
    return Remote(root, environment, tuple(wallet.secrets), folders, kept)


class _Wallet:
    """The credentials of a storage; it remembers those that were taken out as secrets."""

    def __init__(
        self, location: Location, values: Mapping[str, str], obscure: Callable[[str], str]
    ) -> None:
        self.storage, self.values = location.storage, values
        self.secrets: list[str] = []
        self._where = location.credentials_file or "a file that credentials_file names (mode 0600)"
        self._obscure = obscure

    def need(self, *names: str) -> None:
        missing = [name for name in names if name not in self.values]
        if missing:
            raise DataError(
                f"storage {self.storage} needs {' and '.join(missing)}",
                f"write lines NAME=VALUE into {self._where},"
                " or set them in the runner's environment",
            )

    def secret(self, name: str) -> str:
        self.secrets.append(self.values[name])
        return self.values[name]

    def password(self, name: str) -> str:
        disguised = self._obscure(self.secret(name))
        self.secrets.append(disguised)
        return disguised

    def files(self) -> dict[str, str]:
        return {_FILES[name]: path for name, path in self.values.items() if name in _FILES}


def _ssh(wallet: _Wallet, known_hosts: str, host_key_algorithms: str) -> dict[str, str]:
    values = wallet.values
    settings = {
        "type": "sftp",
        "host": values["SSH_HOST"],
        "port": values.get("SSH_PORT", PORTS["ssh_port"]),
        "user": values["SSH_USERNAME"],
        "known_hosts_file": known_hosts,
        "host_key_algorithms": host_key_algorithms,
        # Nothing is run on the server: it may offer no shell, and hashing there reads everything
        # once more.
        "shell_type": "none",
        "disable_hashcheck": "true",
    }
    if "SSH_PASSWORD" in values:
        return {**settings, "pass": wallet.password("SSH_PASSWORD")}
    return {**settings, "key_file": values.get("SSH_KEY", os.path.expanduser("~/.ssh/id_rsa"))}


def _s3(wallet: _Wallet, part: int) -> dict[str, str]:
    wallet.need("ENDPOINT", "ACCESS_KEY", "SECRET_KEY")
    values = wallet.values
    return {
        "type": "s3",
        "access_key_id": values["ACCESS_KEY"],
        "secret_access_key": wallet.secret("SECRET_KEY"),
        "chunk_size": f"{part}B",
        "upload_concurrency": "1",
        **_endpoint(values["ENDPOINT"], values.get("AWS_DEFAULT_REGION", "")),
    }


def _openstack(wallet: _Wallet) -> dict[str, str]:
    """What rclone reads from the environment by itself."""
    if "OS_STORAGE_URL" not in wallet.values:
        wallet.need("OS_AUTH_URL")
    for name in ("OS_PASSWORD", "OS_AUTH_TOKEN", "OS_APPLICATION_CREDENTIAL_SECRET"):
        if name in wallet.values:
            wallet.secret(name)
    return {name: value for name, value in wallet.values.items() if name.startswith("OS_")}


def _ftp(wallet: _Wallet) -> dict[str, str]:
    wallet.need("FTP_PASSWORD")
    values = wallet.values
    settings = {
        "type": "ftp",
        "host": values["FTP_HOST"],
        "port": values.get("FTP_PORT", PORTS["ftp_port"]),
        "user": values["FTP_USERNAME"],
        "pass": wallet.password("FTP_PASSWORD"),
    }
    if wallet.storage == "ftps":
        # Some servers lose the end of a file that comes over TLS 1.3.
        settings.update(explicit_tls="true", disable_tls13="true")
    return settings


def _own_config(wallet: _Wallet) -> tuple[dict[str, str], tuple[str, ...]]:
    """The environment for an rclone.conf of one's own, and its secrets."""
    environment = wallet.files()
    if "RCLONE_CONFIG" in wallet.values:
        environment["RCLONE_CONFIG"] = wallet.values["RCLONE_CONFIG"]
    if "RCLONE_CONFIG_PASS" in wallet.values:
        environment["RCLONE_CONFIG_PASS"] = wallet.secret("RCLONE_CONFIG_PASS")
    return environment, tuple(wallet.secrets)


#: Credential -> the variable by which rclone hears of the file (its own for a CA is too new).
_FILES = {
    "CA_CERT": "SSL_CERT_FILE",
    "OS_CACERT": "SSL_CERT_FILE",
    "FTP_CERTFILE": "RCLONE_CLIENT_CERT",
    "FTP_KEYFILE": "RCLONE_CLIENT_KEY",
}


def part_size(expected: int) -> int:
    """Bytes of a part with which an upload of a quarter more than *expected* has not too many."""
    mebibyte = 1 << 20
    return max(S3_PART, -(-expected * 5 // 4 // _S3_PARTS // mebibyte) * mebibyte)


def _endpoint(endpoint: str, region: str) -> dict[str, str]:
    """Amazon wants its region named, which its endpoints tell; the others have none."""
    host = urlsplit(endpoint).hostname or endpoint.partition("/")[0]
    if not host.endswith(".amazonaws.com"):
        return {"provider": "Other", "endpoint": endpoint, "region": region}
    match = _AMAZON.search(host)
    return {
        "provider": "AWS",
        "endpoint": endpoint,
        "region": region or (match[1] if match else "us-east-1"),
    }

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
from types import MappingProxyType
from typing import NamedTuple
from urllib.parse import urlsplit

from coldchain.agent.storages.kinds import PORTS
from coldchain.agent.storages.location import Location
from coldchain.core.errors import DataError

_NAME = "coldchain"
_AMAZON = re.compile(r"(?:^|\.)s3[.-](?:dualstack\.)?([a-z]{2}(?:-[a-z]+)+-\d)\.amazonaws\.com$")
#: Bytes of one part of an upload to S3, which is kept in memory.  There are at most 10,000 parts,
#: so more than 167 GB need larger ones.
S3_PART = 16 << 20
_S3_PARTS = 10_000


class Remote(NamedTuple):
    """What rclone is told.

    root: rclone's name of the container; folders: whether directories exist there on their own
    (in an object store they do not); secrets: texts that must never be shown; max_buffered: the
    most bytes that rclone takes before it sends them, None when that cannot be told.
    """

    root: str
    environment: Mapping[str, str]
    secrets: tuple[str, ...]
    folders: bool = True
    max_buffered: int | None = 0

    def __repr__(self) -> str:
        """The place alone: environment and secrets are not for logs."""
        return f"Remote({self.root!r})"

    def path(self, path: str) -> str:
        """rclone's name of *path* in the container."""
        if not path:
            return self.root
        return f"{self.root}{'' if self.root.endswith((':', '/')) else '/'}{path}"

    def folder(self, path: str) -> str:
        """rclone's name of the folder *path*: nobody is asked whether it is a file."""
        name = self.path(path)
        return name if name.endswith((":", "/")) else f"{name}/"


def remote(
    location: Location,
    values: Mapping[str, str],
    obscure: Callable[[str], str],
    known_hosts: str = "",
    host_key_algorithms: str = "",
    expected: int = 0,
) -> Remote:
    """How rclone gets at *location*; DataError names a credential that is missing.

    values: the credentials by name; obscure: rclone's own disguise for passwords, which it wants
    them in; known_hosts: a file with all known keys of SSH servers; host_key_algorithms: those
    that the server is known by; expected: the most bytes that one upload may have, as far as that
    can be told.
    """
    credentials = Credentials(location, values, obscure)
    hints = _Hints(known_hosts, host_key_algorithms, expected)
    backend = _BACKENDS[location.storage](credentials, hints)
    environment = {
        f"RCLONE_CONFIG_{_NAME.upper()}_{name.upper()}": value
        for name, value in backend.settings.items()
        if value
    }
    return Remote(
        f"{_NAME}:{location.container}" if backend.settings else location.container,
        {**environment, **backend.variables, **credentials.files()},
        tuple(credentials.secrets),
        backend.folders,
        backend.max_buffered,
    )


class _Hints(NamedTuple):
    """What ``remote`` was told beside the credentials."""

    known_hosts: str
    host_key_algorithms: str
    expected: int


class _Backend(NamedTuple):
    """What one storage needs: the settings of the remote (none: the container names one of an
    rclone.conf), further variables, and what Remote says of it."""

    settings: Mapping[str, str]
    variables: Mapping[str, str] = MappingProxyType({})
    folders: bool = True
    max_buffered: int | None = 0


class Credentials:
    """The credentials of a storage; it remembers those that were taken out as secrets."""

    def __init__(
        self, location: Location, values: Mapping[str, str], obscure: Callable[[str], str]
    ) -> None:
        self.storage, self.values = location.storage, values
        self.secrets: list[str] = []
        self._where = location.credentials_file or "a file that credentials_file names (mode 0600)"
        self._obscure = obscure

    def need(self, *names: str) -> None:
        """DataError, with the remedy, unless all *names* are there."""
        missing = [name for name in names if name not in self.values]
        if missing:
            raise DataError(
                f"storage {self.storage} needs {' and '.join(missing)}",
                f"write lines NAME=VALUE into {self._where},"
                " or set them in the runner's environment",
            )

    def secret(self, name: str) -> str:
        """The value of *name*, which no message may show from now on."""
        self.secrets.append(self.values[name])
        return self.values[name]

    def password(self, name: str) -> str:
        """The value of *name* in rclone's disguise; neither may be shown."""
        disguised = self._obscure(self.secret(name))
        self.secrets.append(disguised)
        return disguised

    def files(self) -> dict[str, str]:
        """The variables by which rclone hears of certificates and keys in files."""
        return {_FILES[name]: path for name, path in self.values.items() if name in _FILES}


def _ssh(credentials: Credentials, hints: _Hints) -> _Backend:
    values = credentials.values
    settings = {
        "type": "sftp",
        "host": values["SSH_HOST"],
        "port": values.get("SSH_PORT", PORTS["ssh_port"]),
        "user": values["SSH_USERNAME"],
        "known_hosts_file": hints.known_hosts,
        "host_key_algorithms": hints.host_key_algorithms,
        # Nothing is run on the server: it may offer no shell, and hashing there reads everything
        # once more.
        "shell_type": "none",
        "disable_hashcheck": "true",
    }
    if "SSH_PASSWORD" in values:
        return _Backend({**settings, "pass": credentials.password("SSH_PASSWORD")})
    key_file = values.get("SSH_KEY", os.path.expanduser("~/.ssh/id_rsa"))
    return _Backend({**settings, "key_file": key_file})


def _s3(credentials: Credentials, hints: _Hints) -> _Backend:
    credentials.need("ENDPOINT", "ACCESS_KEY", "SECRET_KEY")
    values, part = credentials.values, part_size(hints.expected)
    settings = {
        "type": "s3",
        "access_key_id": values["ACCESS_KEY"],
        "secret_access_key": credentials.secret("SECRET_KEY"),
        "chunk_size": f"{part}B",
        "upload_concurrency": "1",
        **_endpoint(values["ENDPOINT"], values.get("AWS_DEFAULT_REGION", "")),
    }
    return _Backend(settings, folders=False, max_buffered=part)


def _swift(credentials: Credentials, _hints: _Hints) -> _Backend:
    """rclone reads what OpenStack needs from the environment by itself."""
    if "OS_STORAGE_URL" not in credentials.values:
        credentials.need("OS_AUTH_URL")
    for name in ("OS_PASSWORD", "OS_AUTH_TOKEN", "OS_APPLICATION_CREDENTIAL_SECRET"):
        if name in credentials.values:
            credentials.secret(name)
    variables = {name: text for name, text in credentials.values.items() if name[:3] == "OS_"}
    return _Backend({"type": "swift", "env_auth": "true"}, variables, folders=False)


def _ftp(credentials: Credentials, _hints: _Hints) -> _Backend:
    credentials.need("FTP_PASSWORD")
    values = credentials.values
    settings = {
        "type": "ftp",
        "host": values["FTP_HOST"],
        "port": values.get("FTP_PORT", PORTS["ftp_port"]),
        "user": values["FTP_USERNAME"],
        "pass": credentials.password("FTP_PASSWORD"),
    }
    if credentials.storage == "ftps":
        # Some servers lose the end of a file that comes over TLS 1.3.
        settings.update(explicit_tls="true", disable_tls13="true")
    return _Backend(settings)


def _own_config(credentials: Credentials, _hints: _Hints) -> _Backend:
    """An rclone.conf of one's own."""
    variables = {}
    if "RCLONE_CONFIG" in credentials.values:
        variables["RCLONE_CONFIG"] = credentials.values["RCLONE_CONFIG"]
    if "RCLONE_CONFIG_PASS" in credentials.values:
        variables["RCLONE_CONFIG_PASS"] = credentials.secret("RCLONE_CONFIG_PASS")
    return _Backend({}, variables, max_buffered=None)


#: Storage -> what makes its backend.
_BACKENDS: Mapping[str, Callable[[Credentials, _Hints], _Backend]] = {
    "ssh": _ssh,
    "s3": _s3,
    "swift": _swift,
    "ftp": _ftp,
    "ftps": _ftp,
    "rclone": _own_config,
}

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

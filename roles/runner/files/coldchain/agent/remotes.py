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
    root, folders = f"{_NAME}:{location.container}", True
    kept: int | None = 0
    extra: dict[str, str] = {}
    secrets: list[str] = []

    def secret(name: str) -> str:
        value = credentials[name]
        secrets.append(value)
        return value

    def password(name: str) -> str:
        disguised = obscure(secret(name))
        secrets.append(disguised)
        return disguised

    storage = location.storage
    if storage == "ssh":
        settings = {
            "type": "sftp",
            "host": credentials["SSH_HOST"],
            "port": credentials.get("SSH_PORT", "22"),
            "user": credentials["SSH_USERNAME"],
            "known_hosts_file": known_hosts,
            "host_key_algorithms": host_key_algorithms,
            # Nothing is run on the server: it may offer no shell, and hashing there reads
            # everything once more.
            "shell_type": "none",
            "disable_hashcheck": "true",
        }
        if "SSH_PASSWORD" in credentials:
            settings["pass"] = password("SSH_PASSWORD")
        else:
            settings["key_file"] = credentials.get("SSH_KEY", os.path.expanduser("~/.ssh/id_rsa"))
    elif storage == "s3":
        _need(location, credentials, "ENDPOINT", "ACCESS_KEY", "SECRET_KEY")
        folders, kept = False, part_size(expected)
        settings = {
            "type": "s3",
            "access_key_id": credentials["ACCESS_KEY"],
            "secret_access_key": secret("SECRET_KEY"),
            "chunk_size": f"{kept}B",
            "upload_concurrency": "1",
            **_endpoint(credentials["ENDPOINT"], credentials.get("AWS_DEFAULT_REGION", "")),
        }
    elif storage == "swift":
        if "OS_STORAGE_URL" not in credentials:
            _need(location, credentials, "OS_AUTH_URL")
        folders = False
        settings = {"type": "swift", "env_auth": "true"}
        extra = {name: value for name, value in credentials.items() if name.startswith("OS_")}
        for name in ("OS_PASSWORD", "OS_AUTH_TOKEN", "OS_APPLICATION_CREDENTIAL_SECRET"):
            if name in credentials:
                secret(name)
    elif storage in ("ftp", "ftps"):
        _need(location, credentials, "FTP_PASSWORD")
        settings = {
            "type": "ftp",
            "host": credentials["FTP_HOST"],
            "port": credentials.get("FTP_PORT", "21"),
            "user": credentials["FTP_USERNAME"],
            "pass": password("FTP_PASSWORD"),
        }
        if storage == "ftps":
            # Some servers lose the end of a file that comes over TLS 1.3.
            settings |= {"explicit_tls": "true", "disable_tls13": "true"}
    else:
        root, settings, kept = location.container, {}, None
        extra = (
            {"RCLONE_CONFIG": credentials["RCLONE_CONFIG"]}
            if "RCLONE_CONFIG" in credentials
            else {}
        )
        if "RCLONE_CONFIG_PASS" in credentials:
            extra["RCLONE_CONFIG_PASS"] = secret("RCLONE_CONFIG_PASS")
    for name, option in _FILES.items():
        if name in credentials:
            extra[option] = credentials[name]
    environment = {
        f"RCLONE_CONFIG_{_NAME.upper()}_{name.upper()}": value
        for name, value in settings.items()
        if value
    }
    return Remote(root, {**environment, **extra}, tuple(secrets), folders, kept)


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


def _need(location: Location, credentials: Mapping[str, str], *names: str) -> None:
    missing = [name for name in names if name not in credentials]
    if missing:
        where = location.credentials_file or "a file that credentials_file names (mode 0600)"
        raise DataError(
            f"storage {location.storage} needs {' and '.join(missing)}",
            f"write lines NAME=VALUE into {where}, or set them in the runner's environment",
        )


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

# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one place that knows which storage a location is.  The remote ones are imported on demand."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from coldchain.agent.storages.base import Access, Storage
from coldchain.agent.storages.location import Location
from coldchain.core.errors import Unavailable

if TYPE_CHECKING:
    from coldchain.agent.storages.rclone.storage import RemoteStorage

#: An rclone that is too old takes any host key, or knows no "obscure": it must not even begin.
_ASKED_FIRST = ("ssh", "ftp", "ftps", "rclone")


def open_storage(
    location: Location,
    locks: Path | None = None,
    access: Access | None = None,
    *,
    upload_limit: int | None = None,
    download_limit: int | None = None,
) -> Storage:
    """The storage behind *location*; nothing is created and nobody is asked before it is used.

    locks: where this host keeps the locks of remote storages, needed to write, and of containers
    whose file system has none; access: what will
    be looked at (default: anything); the limits: bytes a second.  DataError or Unavailable for a
    missing credential, key file, host key or program.
    """
    storage: Storage
    if location.folder is not None:
        from coldchain.agent.storages.local import LocalStorage

        storage = LocalStorage(location.folder, locks)
    else:
        storage = _connect(location, locks, access or Access(), os.environ)
    if upload_limit or download_limit:
        from coldchain.agent.storages.throttle import Limited

        return Limited(storage, upload_limit, download_limit)
    return storage


def _connect(
    location: Location, locks: Path | None, access: Access, environment: Mapping[str, str]
) -> RemoteStorage:
    """A remote storage that is ready: credentials, host keys, rclone."""
    from coldchain.agent.storages.credentials import credentials
    from coldchain.agent.storages.rclone import known_hosts
    from coldchain.agent.storages.rclone.config import remote
    from coldchain.agent.storages.rclone.program import Rclone
    from coldchain.agent.storages.rclone.storage import RemoteStorage

    values = credentials(location, environment)
    config = values.get("RCLONE_CONFIG", "") if location.storage == "rclone" else ""
    if config and not os.access(config, os.R_OK):
        # rclone takes a file that is not there for an empty one.
        raise Unavailable(
            f"rclone_config {config} is not there, or this user cannot read it",
            "rclone config file shows where rclone keeps its own",
        )
    plain = Rclone(str(location))
    # Others learn it with their first listing, which takes as long.
    version = plain.check_version() if location.storage in _ASKED_FIRST else None
    keys, algorithms = "", ""
    pass_fds: tuple[int, ...] = ()
    if location.storage == "ssh":
        lines = list(known_hosts.known_hosts(values.get("SSH_KNOWN_HOSTS", "")))
        algorithms = " ".join(
            known_hosts.host_key_algorithms(lines, values["SSH_HOST"], values.get("SSH_PORT"))
        )
        if not algorithms:
            raise Unavailable(
                f"{location}: knownhosts: no key of this server is known",
                known_hosts.unknown_key_hint(values),
            )
        descriptor = os.memfd_create("known_hosts")
        os.write(descriptor, b"\n".join(lines) + b"\n")
        keys, pass_fds = f"/dev/fd/{descriptor}", (descriptor,)

    settings = remote(location, values, plain.disguise, keys, algorithms, access.expected)
    rclone = Rclone(
        str(location),
        settings.environment,
        settings.secrets,
        own_config=location.storage == "rclone",
        pass_fds=pass_fds,
        max_buffered=settings.max_buffered,
        hints={
            "unknown_key": known_hosts.unknown_key_hint(values),
            "changed_key": known_hosts.changed_key_hint(values),
        },
    )
    return RemoteStorage(location, rclone, settings, locks, access, version)

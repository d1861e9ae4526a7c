# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a container lies: the storage, the container's name there, and how to reach it."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from coldchain.errors import DataError
from coldchain.storages import (
    DEFAULT_CONTAINER,
    LOCAL,
    PATHS,
    PORTS,
    STORAGES,
    check_credentials_file,
    container_of,
)


class Texts(Protocol):
    """The part of options.Fields that is needed here."""

    def text(self, name: str, default: str = "") -> str: ...

    def choice(self, name: str, choices: tuple[str, ...], default: str = "") -> str: ...

    def whole(self, name: str) -> int: ...

    def path(self, name: str, required_by: str = "") -> Path | None: ...


@dataclass(frozen=True)
class Location:
    """A container.

    container: Freezer's word for the place within the storage: a directory (local, ssh, ftp,
    ftps), bucket[/prefix] (s3), container[/prefix] (swift), remote:path (rclone).  options: the
    storage's own fields; credentials_file: a path, or the name of a credential;
    secrets: what freezer-agent's INI file holds itself.
    """

    storage: str
    container: str
    options: tuple[tuple[str, str], ...] = ()
    credentials_file: str = ""
    secrets: tuple[tuple[str, str], ...] = field(default=(), repr=False, compare=False)

    @classmethod
    def local(cls, folder: Path | str) -> Location:
        return cls(LOCAL, os.fspath(folder))

    @property
    def folder(self) -> Path | None:
        """The container's directory on this host's disk, None when it lies elsewhere."""
        return Path(self.container) if self.storage == LOCAL else None

    @property
    def given(self) -> dict[str, str]:
        return dict(self.options)

    @property
    def server(self) -> tuple[str, ...]:
        """What two locations share when they are one place: not the key that one comes with."""
        kinds = ("host", "port", "username", "endpoint", "config")
        return (
            self.storage,
            self.container,
            *(
                value
                for name, value in self.options
                if name.endswith(kinds) and PORTS.get(name) != value
            ),
        )

    @property
    def key(self) -> str:
        """The place in one text, as far as two descriptions of it are the same."""
        return " ".join(self.server)

    def as_fields(self) -> dict[str, object]:
        """The part of a report that says where."""
        return {"storage": self.storage, "container": self.container}

    def __str__(self) -> str:
        given = self.given
        if self.storage in (LOCAL, "rclone"):
            return self.container
        if self.storage == "s3":
            return f"{self.container} on s3 {given.get('endpoint', '')}".rstrip()
        if self.storage == "swift":
            return f"{self.container} on swift"
        protocol = self.storage[:3]
        server = f"{given.get(f'{protocol}_username')}@{given.get(f'{protocol}_host')}"
        return f"{self.container} on {self.storage} {server}"


def location(fields: Texts, containers_dir: Path) -> Location:
    """The container that an action names; DataError for what is missing or impossible."""
    storage = fields.choice("storage", tuple(STORAGES), LOCAL)
    container = fields.text("container", DEFAULT_CONTAINER)
    if storage == LOCAL:
        folder = os.path.join(containers_dir, os.path.expanduser(container))
        return Location.local(os.path.normpath(folder))
    kind = STORAGES[storage]
    options = []
    for name in kind.fields:
        if name in PATHS:
            value = os.fspath(fields.path(name) or "")
        elif name in PORTS:
            value = _port(fields, name)
        else:
            value = fields.text(name)
        if value:
            options.append((name, value))
    credentials_file = _credentials_file(fields)
    for name in kind.needs:
        if name not in dict(options) and not credentials_file and name.upper() not in os.environ:
            raise DataError(f"{name} is missing", f"storage {storage} needs it")
    return Location(
        storage,
        container_of(storage, container),
        tuple(options),
        credentials_file,
        tuple((name, value) for name in kind.secrets if (value := fields.text(name))),
    )


def _port(fields: Texts, name: str) -> str:
    port = fields.whole(name)
    if port > 65535:
        raise DataError(f"{name}: {port} is no port", "a number from 1 to 65535")
    return str(port) if port else ""


def _credentials_file(fields: Texts) -> str:
    value = fields.text("credentials_file")
    if not value:
        return ""
    check_credentials_file(value)
    return os.path.normpath(os.path.expanduser(value)) if value[0] in "/~" else value

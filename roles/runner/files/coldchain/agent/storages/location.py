# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a container lies: the storage, the container's name there, and how to reach it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Protocol

from coldchain.agent.storages.kinds import (
    DEFAULT_CONTAINER,
    LOCAL,
    PATHS,
    PORTS,
    STORAGES,
    container_of,
)
from coldchain.core.credentials import check_credentials_file
from coldchain.core.errors import DataError


class Texts(Protocol):
    """The part of options.Fields that is needed here."""

    def text(self, name: str, default: str = "") -> str:
        """The field as text."""

    def whole(self, name: str) -> int:
        """The field as a whole number, 0 when it is not set."""

    def path(self, name: str) -> Path | None:
        """The field as an absolute path, None when it is not set."""


class Location:
    """A container.

    container: Freezer's word for the place within the storage: a directory (local, ssh, ftp,
    ftps), bucket[/prefix] (s3), container[/prefix] (swift), remote:path (rclone).  options: the
    storage's own fields; credentials_file: a path, or the name of a credential;
    secrets: what freezer-agent's INI file holds itself.
    """

    def __init__(
        self,
        storage: str,
        container: str,
        options: tuple[tuple[str, str], ...] = (),
        credentials_file: str = "",
        secrets: tuple[tuple[str, str], ...] = (),
    ) -> None:
        self.storage, self.container, self.options = storage, container, options
        self.credentials_file, self.secrets = credentials_file, secrets

    def _shown(self) -> tuple[object, ...]:
        return self.storage, self.container, self.options, self.credentials_file

    def __eq__(self, other: object) -> bool:
        return self._shown() == other._shown() if isinstance(other, Location) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._shown())

    def __repr__(self) -> str:
        return f"Location{self._shown()}"

    @classmethod
    def local(cls, folder: Path | str) -> Location:
        """The container that is the directory *folder* of this host."""
        return cls(LOCAL, os.fspath(folder))

    @property
    def folder(self) -> Path | None:
        """The container's directory on this host's disk, None when it lies elsewhere."""
        return Path(self.container) if self.storage == LOCAL else None

    @property
    def settings(self) -> dict[str, str]:
        """The storage's own fields, those that were given."""
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
        if self.storage in (LOCAL, "rclone"):
            return self.container
        settings = self.settings.items()
        server = next((text for name, text in settings if name.endswith(("host", "endpoint"))), "")
        user = next((f"{text}@" for name, text in settings if name.endswith("username")), "")
        return f"{self.container} on {self.storage} {user}{server}".rstrip(" @")


def location(fields: Texts, containers_dir: Path) -> Location:
    """The container that an action names; DataError for what is missing or impossible."""
    storage = fields.text("storage", LOCAL)
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
            value = str(fields.whole(name) or "")
        else:
            value = fields.text(name)
        if value:
            options.append((name, value))
    credentials_file = _credentials_file(fields)
    for name in kind.required:
        if name not in dict(options) and not credentials_file and name.upper() not in os.environ:
            raise DataError(f"{name} is missing", f"storage {storage} needs it")
    return Location(
        storage,
        container_of(storage, container),
        tuple(options),
        credentials_file,
        tuple((name, value) for name in kind.secrets if (value := fields.text(name))),
    )


def _credentials_file(fields: Texts) -> str:
    value = fields.text("credentials_file")
    if not value:
        return ""
    check_credentials_file(value)
    return os.path.normpath(os.path.expanduser(value)) if value[0] in "/~" else value

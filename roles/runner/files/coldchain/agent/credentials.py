# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Secrets of a storage: from freezer-agent's INI, a credentials file, or the environment.

Nothing here is ever shown, logged or put on a command line.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path

from coldchain.agent.location import Location
from coldchain.errors import DataError, Unavailable
from coldchain.storages import CREDENTIALS_DIRECTORIES, STORAGES

_LIMIT = 1 << 16


def credentials(location: Location, environment: Mapping[str, str]) -> dict[str, str]:
    """What is known about how to reach *location*, by the names of Kind.credentials.

    The action itself wins over its credentials file, and that over the environment.
    """
    names = STORAGES[location.storage].credentials
    found = {name: environment[name] for name in names if environment.get(name)}
    if location.credentials_file:
        found.update(_read(_path(location.credentials_file, environment), names))
    for name, value in (*location.options, *location.secrets):
        found[name.upper()] = value
    return found


def check_private(path: Path) -> None:
    """DataError when others may read *path*, or it belongs to somebody else."""
    try:
        status = path.stat()
    except OSError as error:
        raise Unavailable(f"{path}: cannot be read: {error.strerror}") from None
    if not stat.S_ISREG(status.st_mode):
        raise DataError(f"{path} is not a file", "name a file with lines NAME=VALUE")
    if status.st_uid not in (os.geteuid(), 0):
        raise DataError(
            f"{path} belongs to user id {status.st_uid}", f"chown {os.geteuid()} {path}"
        )
    if status.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        mode = stat.S_IMODE(status.st_mode)
        raise DataError(
            f"{path} holds secrets and others can get at it (mode {mode:04o})", f"chmod 600 {path}"
        )


def _path(name: str, environment: Mapping[str, str]) -> Path:
    if name.startswith("/"):
        return Path(name)
    folders = (environment.get(variable) for variable in CREDENTIALS_DIRECTORIES)
    for folder in filter(None, folders):
        path = Path(folder, name)
        if os.path.lexists(path):
            return path
    raise Unavailable(
        f"credentials_file: there is no credential {name!r}",
        "runner_credentials of role runner makes one; those that systemd loads are there in jobs"
        " only: in a shell, --credentials-file PATH",
    )


def _read(path: Path, names: tuple[str, ...]) -> dict[str, str]:
    check_private(path)
    try:
        with path.open("rb") as stream:
            text = stream.read(_LIMIT).decode("utf-8")
    except OSError as error:
        raise Unavailable(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise DataError(f"{path}: not a text in UTF-8") from None
    found = {}
    for number, line in enumerate(text.splitlines(), 1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        name, equals, value = line.removeprefix("export ").partition("=")
        name = name.strip().upper()
        if not equals:
            raise DataError(f"{path}: line {number} is not NAME=VALUE")
        if name not in names:
            near = get_close_matches(name, names, 1)
            raise DataError(
                f"{path}: line {number}: {name if name.isidentifier() else 'this'} is unknown here",
                f"did you mean {near[0]}?" if near else f"known: {', '.join(names)}",
            )
        found[name] = _unquoted(value.strip())
    return found


def _unquoted(value: str) -> str:
    """As a shell and systemd's EnvironmentFile read the simple cases."""
    if len(value) >= 2 and value[0] == value[-1] and value[0] in "\"'":
        return value[1:-1]
    return value

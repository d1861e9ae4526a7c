# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of secrets: lines NAME=VALUE, private, found by a path or by the name of a credential.

Nothing here is ever shown, logged or put on a command line.
"""

from __future__ import annotations

import os
import shlex
import stat
from collections.abc import Collection, Mapping
from pathlib import Path

from coldchain.core.errors import DataError, Unavailable
from coldchain.core.files import cannot_read
from coldchain.core.names import CREDENTIAL
from coldchain.core.text import did_you_mean

#: The variable of the installation's own directory of credentials (paths.Paths.credentials).
CREDENTIALS_VARIABLE = "COLDCHAIN_CREDENTIALS_DIRECTORY"
#: The variables of the directories in which a bare name is looked up, systemd's before ours.
CREDENTIALS_DIRECTORIES = ("CREDENTIALS_DIRECTORY", CREDENTIALS_VARIABLE)
_LIMIT = 1 << 16


def check_credentials_file(value: str) -> None:
    """Raises DataError unless *value* is an absolute path, or could name a credential."""
    if not value.startswith(("/", "~")) and not CREDENTIAL.fullmatch(value):
        raise DataError(
            f"credentials_file: {value!r} is neither an absolute path nor the name of a credential",
            "start a path with /; a bare name is one of coldchain_credentials, or of systemd's",
        )


def check_private(path: Path) -> None:
    """Raises DataError when others may read *path*, or it belongs to somebody else."""
    os.close(_open_private(path))


def _open_private(path: Path) -> int:
    """A descriptor of the file that is judged: another one may have its name a moment later."""
    try:
        # What took the place of a file meanwhile must not keep us waiting.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise cannot_read(path, error) from None
    try:
        _check_status(path, os.fstat(descriptor))
    except DataError:
        os.close(descriptor)
        raise
    return descriptor


def _check_status(path: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise DataError(f"{path} is not a file", "name a file with lines NAME=VALUE")
    if status.st_uid not in (os.geteuid(), 0):
        raise DataError(
            f"{path} belongs to user id {status.st_uid}",
            f"chown {os.geteuid()} {shlex.quote(str(path))}",
        )
    if status.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        mode = stat.S_IMODE(status.st_mode)
        raise DataError(
            f"{path} holds secrets and others can get at it (mode {mode:04o})",
            f"chmod 600 {shlex.quote(str(path))}",
        )


def credential_path(name: str, environment: Mapping[str, str]) -> Path:
    """The file that credentials_file *name* means; Unavailable when there is no such credential."""
    if name.startswith("/"):
        return Path(name)
    folders = (environment.get(variable) for variable in CREDENTIALS_DIRECTORIES)
    for folder in filter(None, folders):
        path = Path(folder, name)
        if os.path.lexists(path):
            return path
    raise Unavailable(
        f"credentials_file: there is no credential {name!r}",
        "coldchain_credentials of role runner makes one; those that systemd loads are there in jobs"
        " only: in a shell, coldchain restore --credentials-file PATH",
    )


def read_credentials(path: Path, names: Collection[str] | None) -> dict[str, str]:
    """The values in the file *path* by their names in capital letters.

    names: those that it may hold, None for any that a variable can have.  Raises DataError or
    Unavailable with the line that is wrong, and never with what it holds.
    """
    try:
        with open(_open_private(path), "rb") as stream:
            text = stream.read(_LIMIT).decode("utf-8")
    except OSError as error:
        raise cannot_read(path, error) from None
    except UnicodeDecodeError:
        raise DataError(f"{path}: not a text in UTF-8", "write lines NAME=VALUE") from None
    values = {}
    for number, line in enumerate(text.splitlines(), 1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        name, equals, value = line.removeprefix("export ").partition("=")
        name = name.strip().upper()
        if not equals:
            raise DataError(f"{path}: line {number} is not NAME=VALUE", "# begins a comment")
        if not name.isidentifier() or (names is not None and name not in names):
            known = () if names is None else names
            raise DataError(
                f"{path}: line {number}: {name if name.isidentifier() else 'this'} is unknown here",
                did_you_mean(name, known) or (f"known: {', '.join(known)}" if known else ""),
            )
        values[name] = _unquoted(value.strip())
    return values


def _unquoted(value: str) -> str:
    """As a shell and systemd's EnvironmentFile read the simple cases."""
    if len(value) >= 2 and value[0] == value[-1] and value[0] in "\"'":
        return value[1:-1]
    return value

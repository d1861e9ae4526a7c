# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""encrypt_pass_file: where the password of backups lies."""

from __future__ import annotations

import os
import shlex
import stat
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from coldchain.core.changers import changers, user_name
from coldchain.core.errors import DataError
from coldchain.core.trusted_path import walk

#: openssl reads at most 1023 bytes of the first line.
LONGEST_PASSWORD = 1000
#: Windows begins texts in UTF-8 with it.
_MARK = b"\xef\xbb\xbf"


class PasswordFile:
    """The file *path*, whose first line is the password, as openssl reads it.

    It is read once: an action has one password, also when somebody changes the file meanwhile, and
    not one for what it encrypts and another one for the seal.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def __str__(self) -> str:
        return os.fspath(self._path)

    def read(self) -> bytes:
        """The password: the first line; DataError when it cannot serve."""
        return self._content.line

    def doubts(self) -> list[str]:
        """What is unwise about the file, as warnings."""
        warnings = []
        line, mode = self._content
        replacers = self._replacers()
        if replacers:
            user, folder = min(replacers.items())
            warnings.append(
                f"{user_name(user)} can put another file in the place of {self}, in {folder}, and"
                " so choose the password: keep it where only root and this user can write"
            )
        if mode & (stat.S_IRGRP | stat.S_IROTH):
            mend = f"chmod 600 {shlex.quote(str(self))}"
            warnings.append(f"{self} can be read by others (mode {mode:04o}): {mend}")
        if line.startswith(_MARK):
            warnings.append(
                f"{self}: its first line begins with a byte order mark (Windows), which is a part"
                " of the password: keep it so, or take it out and begin a new chain"
            )
        if line.endswith(b"\r"):
            warnings.append(
                f"{self}: its first line ends with a carriage return (Windows), which is a part of"
                " the password: keep it so, or take it out and begin a new chain"
            )
        return warnings

    def _replacers(self) -> Mapping[int, str]:
        """Who else could put another file in its place, and in which directory."""
        try:
            with walk(self._path.parent) as way:
                others, name = dict(way.others), self._path.name
                status = os.stat(name, dir_fd=way.folder, follow_symlinks=False)
                for user in changers(way.folder, status) - {0, os.geteuid()}:
                    others.setdefault(user, way.path)
                return others
        except OSError:  # gone meanwhile: it was read
            return {}

    @cached_property
    def _content(self) -> _Content:
        try:
            # What took the place of a file meanwhile must not keep us waiting.
            flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
            with open(os.open(self._path, flags), "rb") as stream:
                status = os.fstat(stream.fileno())
                if not stat.S_ISREG(status.st_mode):
                    raise DataError(
                        f"encrypt_pass_file {self} is not a regular file",
                        "write the password to a file, in /dev/shm for example",
                    )
                line = stream.readline(LONGEST_PASSWORD + 2).partition(b"\n")[0]
        except OSError as error:
            raise DataError(
                f"encrypt_pass_file {self} cannot be read: {error.strerror}",
                "name a file whose first line is the password",
            ) from None
        # A line that an editor shows as empty is one: nobody chose a byte order mark as a password.
        blank = not line.replace(_MARK, b"").strip()
        if blank or len(line) > LONGEST_PASSWORD or b"\0" in line:
            raise DataError(
                f"encrypt_pass_file {self}: its first line cannot be a password",
                f"1 to {LONGEST_PASSWORD} bytes that are no blanks alone, none of them zero",
            )
        return _Content(line, stat.S_IMODE(status.st_mode))


class _Content(NamedTuple):
    line: bytes
    mode: int

# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The mode fs: a directory or a single file of this host."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from coldchain.agent.modes.base import Tree
from coldchain.core.errors import JobFailed, remedy

if TYPE_CHECKING:
    from coldchain.agent.fields import Fields


class PathSource(NamedTuple):
    """The tree at *path*, as it is."""

    path: Path

    @property
    def identity(self) -> str:
        """The path as it is given: a link that leads elsewhere by now is still the same source."""
        return os.fspath(self.path)

    @property
    def restore_to(self) -> Mapping[str, object]:
        """The fields of a restore to the same path."""
        return {"restore_abs_path": os.fspath(self.path)}

    @contextmanager
    def open(self) -> Iterator[Tree]:
        """The tree; JobFailed when it is not there or cannot be read."""
        path = self.path
        try:
            os.lstat(path)
            mode = os.stat(path).st_mode
        except (FileNotFoundError, NotADirectoryError):
            if path.is_symlink():
                text = f"path_to_backup {path} is a link that leads nowhere"
            else:
                text = f"path_to_backup {path} does not exist"
            raise JobFailed(text, "mount or make what is meant, or name another one") from None
        except OSError as error:
            raise JobFailed(
                f"path_to_backup {path} cannot be looked at: {error.strerror}", remedy(error)
            ) from None
        if stat.S_ISBLK(mode) or stat.S_ISCHR(mode):
            raise JobFailed(
                f"path_to_backup {path} is a device: what it holds is no file",
                "name where its file system is mounted",
            )
        if stat.S_ISDIR(mode) and not os.access(path, os.R_OK | os.X_OK):
            raise JobFailed(
                f"path_to_backup {path} cannot be read by this user",
                "run the job as a user that can read it",
            )
        yield Tree(path)


class PathTarget(NamedTuple):
    """A directory, which need not exist yet."""

    path: Path

    @contextmanager
    def open(self) -> Iterator[Tree]:
        """The directory, which the engine makes."""
        yield Tree(self.path)


class FsMode:
    """path_to_backup is read, restore_abs_path is written."""

    def source(self, fields: Fields) -> PathSource:
        """What path_to_backup names."""
        return PathSource(fields.required_path("path_to_backup"))

    def target(self, fields: Fields) -> PathTarget:
        """What restore_abs_path names."""
        return PathTarget(fields.required_path("restore_abs_path"))

# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where everything lies on a host, and whether it is safe to use."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import NamedTuple

from coldchain.core.errors import AS_OWNER, OTHER_HOME, CannotWrite, Unavailable

OTHERS = stat.S_IRWXG | stat.S_IRWXO
OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


class Paths(NamedTuple):
    """The directories and files of one installation (docs/reference/paths.md)."""

    settings: Path
    lib: Path
    log: Path
    containers: Path
    home: Path | None = None

    @classmethod
    def system(cls) -> Paths:
        """The installation of the whole host."""
        return cls(
            settings=Path("/etc/coldchain/runner.conf"),
            lib=Path("/var/lib/coldchain"),
            log=Path("/var/log/coldchain"),
            containers=Path("/var/backups/coldchain"),
        )

    @classmethod
    def under(cls, home: Path) -> Paths:
        """The installation in the directory *home*."""
        home = home.absolute()
        return cls(
            settings=home / "etc" / "runner.conf",
            lib=home / "lib",
            log=home / "log",
            containers=home / "backups",
            home=home,
        )

    @property
    def credentials(self) -> Path:
        """What role runner has made of coldchain_credentials, a file each (0700)."""
        return self.settings.parent / "credentials"

    @property
    def jobs(self) -> Path:
        """The declarations."""
        return self.lib / "jobs.json"

    @property
    def events(self) -> Path:
        """The requests that nobody has acted on yet."""
        return self.lib / "events.json"

    @property
    def state(self) -> Path:
        """Status, result and next run of every job."""
        return self.lib / "state.json"

    @property
    def zone(self) -> Path:
        """The time zone that the runner works in, for whoever predicts what it will do."""
        return self.lib / "zone.json"

    @property
    def runs(self) -> Path:
        """Working directories of runs in progress, one a run."""
        return self.lib / "runs"

    @property
    def runner_lock(self) -> Path:
        """Held by the one process that runs jobs."""
        return self.lib / "runner.lock"

    @property
    def runner(self) -> Path:
        """Which program holds it, and since when."""
        return self.lib / "runner.json"

    @property
    def wake(self) -> Path:
        """The socket that wakes the runner."""
        return self.lib / "wake"

    @property
    def notify(self) -> Path:
        """Messages on their way to people, and what became of them."""
        return self.lib / "notify"

    def job_log(self, job_id: str) -> Path:
        """The directory of what is kept about the runs of a job."""
        return self.log / job_id

    def history(self, job_id: str) -> Path:
        """The finished runs of a job, a line each."""
        return self.job_log(job_id) / "history.jsonl"

    def run_log(self, job_id: str, run_id: str) -> Path:
        """What one run of a job said."""
        return self.job_log(job_id) / f"{run_id}.log"

    def create(self) -> None:
        """Make the private directories (0700); CannotWrite names the one that failed."""
        for directory in (self.lib, self.log, self.runs):
            try:
                directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            except OSError as error:
                raise CannotWrite(
                    f"{directory}: cannot be created: {error.strerror}",
                    f"{AS_OWNER}, {OTHER_HOME}",
                ) from None
        self.check()

    def check(self) -> None:
        """Refuse directories that somebody else could write: documents are code run as root."""
        for path in (self.home, self.lib, self.log, self.settings.parent, self.settings):
            if path is None:
                continue
            try:
                status = path.lstat()
            except FileNotFoundError:
                continue
            except PermissionError:
                raise _not_ours(path, "cannot be read by this user") from None
            if stat.S_ISLNK(status.st_mode):
                raise _not_ours(path, "is a symbolic link")
            if path == self.settings and not stat.S_ISREG(status.st_mode):
                raise Unavailable(f"{path}: is not a file", "move away what is there")
            if status.st_uid not in (os.geteuid(), 0):
                raise _not_ours(path, f"belongs to user id {status.st_uid}")
            if status.st_mode & OTHERS_WRITE:
                raise Unavailable(
                    f"{path}: can be written by others (mode {stat.S_IMODE(status.st_mode):04o});"
                    " job documents are code, so this is refused",
                    f"chmod go-w {path}",
                )

    def secure(self) -> list[str]:
        """At the start of a runner: close what lies in the private directories to others.

        Returns a line for each place that was open.  Unavailable when one is a link or belongs to
        somebody else.  Run logs are not looked at one by one: their directories are closed.
        """
        opened = []
        for top in (self.lib, self.log, self.runs):
            names = [os.path.join(top, name) for name in os.listdir(top)]
            for name in (os.fspath(top), *names):
                try:
                    status = os.lstat(name)
                except FileNotFoundError:
                    continue
                if stat.S_ISLNK(status.st_mode):
                    raise _not_ours(Path(name), "is a symbolic link")
                if status.st_uid not in (os.geteuid(), 0):
                    raise _not_ours(Path(name), f"belongs to user id {status.st_uid}")
                if status.st_mode & OTHERS:
                    try:
                        os.chmod(name, stat.S_IMODE(status.st_mode) & ~OTHERS)
                    except OSError as error:
                        raise CannotWrite(
                            f"{name}: is open to others and cannot be closed: {error.strerror}",
                            f"chmod go= {name}",
                        ) from None
                    mode = stat.S_IMODE(status.st_mode)
                    opened.append(f"{name}: was open to others (mode {mode:04o}), now it is not")
        return opened


def _not_ours(path: Path, why: str) -> Unavailable:
    return Unavailable(
        f"{path}: {why}",
        f"{AS_OWNER}, {OTHER_HOME}",
    )

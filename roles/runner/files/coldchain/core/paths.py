# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where everything lies on a host, and whether it is safe to use."""

from __future__ import annotations

import os
import shlex
import stat
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from coldchain.core.changers import ANYBODY, changers, user_name
from coldchain.core.errors import AS_OWNER, OTHER_HOME, CannotWrite, Unavailable, remedy
from coldchain.core.fixed_modes import mount_remedy
from coldchain.core.trusted_path import Lure, make_folder, refuse_lure, walk

OTHERS = stat.S_IRWXG | stat.S_IRWXO
OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


_path = lru_cache(maxsize=64)(Path)
"""Of what is asked for several times a run: to take a path apart takes 3 us until Python 3.12."""


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

    def run(self, run_id: str) -> Path:
        """The working directory of a run in progress."""
        return Path(f"{self.lib}/runs/{run_id}")

    @property
    def runner_lock(self) -> Path:
        """Held by the one process that runs jobs."""
        return self.lib / "runner.lock"

    @property
    def foreground_lock(self) -> Path:
        """Held by a command that runs a job itself, before it takes the lock of the runner."""
        return self.lib / "foreground.lock"

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
        return Path(f"{self.log}/{job_id}")

    def history(self, job_id: str) -> Path:
        """The finished runs of a job, a line each."""
        return _path(f"{self.log}/{job_id}/history.jsonl")

    def run_log(self, job_id: str, run_id: str) -> Path:
        """What one run of a job said."""
        return Path(self.name_of_run_log(job_id, run_id))

    def name_of_run_log(self, job_id: str, run_id: str) -> str:
        """``run_log`` as text, for who does nothing but hand it to the system, with each run."""
        return f"{self.log}/{job_id}/{run_id}.log"

    def create(self) -> None:
        """Make the private directories (0700); CannotWrite names the one that failed."""
        for directory in (self.lib, self.log, self.runs):
            try:
                make_folder(directory, 0o700, 0o755)
            except OSError as error:
                raise CannotWrite(
                    f"{directory}: cannot be created: {error.strerror}", remedy(error)
                ) from None
        self.check()

    def check(self) -> None:
        """Refuse what somebody else could write, or put another in the place of: documents are
        code run as root."""
        for path in (self.home, self.lib, self.log, self.settings.parent, self.settings):
            if path is None:
                continue
            with _looking(path) as place:
                if place is None:
                    continue
                if path == self.settings and not stat.S_ISREG(place.status.st_mode):
                    raise Unavailable(f"{path}: is not a file", "move away what is there")
                _check_owner(path, place.status)
                mode = place.status.st_mode
                if mode & OTHERS_WRITE:
                    raise Unavailable(
                        f"{path}: can be written by others (mode {stat.S_IMODE(mode):04o});"
                        " job documents are code, so this is refused",
                        mount_remedy(path) or f"chmod go-w {shlex.quote(str(path))}",
                    )
                for user, folder in place.others.items():
                    if path != self.log or not _is_groups(user, folder):
                        raise Unavailable(
                            f"{user_name(user)} can rename what lies in {folder}, and so {path};"
                            " job documents are code, so this is refused",
                            f"{mount_remedy(folder) or _closing(folder)}; {OTHER_HOME}",
                        )

    def secure(self) -> list[str]:
        """At the start of a runner: close what lies in the private directories to others.

        Returns a line for each place that was open.  Unavailable when one is a link or belongs to
        somebody else.  Run logs are not looked at one by one: their directories are closed.
        """
        opened: list[str] = []
        for top in (self.lib, self.log, self.runs):
            with _looking(top) as place:
                if place is None:
                    continue
                opened += _close(top, place.descriptor, place.status)
                for name in os.listdir(f"/proc/self/fd/{place.descriptor}"):
                    with _opened(name, place.descriptor) as inner:
                        if inner is not None:
                            opened += _close(top / name, inner, os.fstat(inner))
        return opened


class _Place(NamedTuple):
    """What lies at a path; others: who could put something else there, and in which directory."""

    descriptor: int
    status: os.stat_result
    others: Mapping[int, str]


@contextmanager
def _looking(path: Path) -> Iterator[_Place | None]:
    """What lies at *path*, open; None when nothing does.  A link there is not followed."""
    with ExitStack() as stack:
        try:
            way = stack.enter_context(walk(path.parent))
            refuse_lure(way)
            found = None if way.missing else stack.enter_context(_opened(path.name, way.folder))
        except NotADirectoryError:
            found = None
        except PermissionError:
            raise _not_ours(path, "cannot be read by this user") from None
        except Lure as lure:
            raise Unavailable(f"{lure.filename}: {lure.strerror}", lure.hint) from None
        if found is None:
            yield None
            return
        try:
            status = os.fstat(found)
        except OSError as error:  # of a dead mount, which can be opened like this
            error.filename = os.fspath(path)
            raise
        others = dict(way.others)
        for user in changers(way.folder, status) - {0, os.geteuid(), status.st_uid}:
            others.setdefault(user, way.path)
        yield _Place(found, status, others)


@contextmanager
def _opened(name: str, folder: int) -> Iterator[int | None]:
    """A descriptor of *name* in the open *folder*, itself when it is a link; None without one."""
    try:
        flags = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(name or ".", flags, dir_fd=folder)
    except FileNotFoundError:
        yield None
        return
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _closing(folder: str) -> str:
    return f"chmod go-w {shlex.quote(folder)}, and let it belong to root"


def _is_groups(user: int, folder: str) -> bool:
    """Whether a directory of root's is given to a group: the logs' is, syslog's, on Ubuntu."""
    status = os.stat(folder)
    return user == ANYBODY and not status.st_uid and not status.st_mode & stat.S_IWOTH


def _check_owner(path: Path, status: os.stat_result) -> None:
    if stat.S_ISLNK(status.st_mode):
        raise _not_ours(path, "is a symbolic link")
    if status.st_uid not in (os.geteuid(), 0):
        raise _not_ours(path, f"belongs to user id {status.st_uid}")


def _close(path: Path, descriptor: int, status: os.stat_result) -> Iterator[str]:
    """Close what is open as *descriptor* to others; a line when it was not."""
    _check_owner(path, status)
    if status.st_mode & OTHERS:
        mode = stat.S_IMODE(status.st_mode)
        try:
            os.chmod(f"/proc/self/fd/{descriptor}", mode & ~OTHERS)
        except OSError as error:
            raise CannotWrite(
                f"{path}: is open to others and cannot be closed: {error.strerror}",
                f"chmod go= {shlex.quote(str(path))}",
            ) from None
        yield f"{path}: was open to others (mode {mode:04o}), now it is not"


def _not_ours(path: Path, why: str) -> Unavailable:
    return Unavailable(
        f"{path}: {why}",
        f"{AS_OWNER}, {OTHER_HOME}",
    )

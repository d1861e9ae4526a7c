# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an engine must be able to do: keep backups in a container and bring them back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

from coldchain.core.errors import DataError

if TYPE_CHECKING:
    from coldchain.agent.modes.base import Target
    from coldchain.agent.options import BackupOptions, Common, RestoreOptions
    from coldchain.agent.progress import Meter
    from coldchain.agent.receipts import Receipt, Receipts
    from coldchain.agent.report import Report
    from coldchain.agent.storages.location import Location

#: How thoroughly ``verify`` looks.
CHECKS = ("quick", "full", "sample")


class NothingThere(DataError):
    """The container holds no backup of the given names."""


class ActionContext(NamedTuple):
    """What an action gets beside its options.

    state_dir: where this host notes what it writes elsewhere, and what was verified; spool_dir:
    where what was fetched may lie while it is looked at (default: below state_dir).
    """

    state_dir: Path
    meter: Meter
    spool_dir: Path | None = None

    @property
    def locks(self) -> Path:
        """The directory of the locks of remote storages."""
        return self.state_dir / "locks"

    @property
    def spool(self) -> Path:
        """The spool directory."""
        return self.spool_dir or self.state_dir / "spool"


class Query(NamedTuple):
    """Which backups are meant: those in a container, of one host or name where that is given.

    download_limit: bytes a second; spool: where what was fetched may lie while it is looked at;
    scheme, accept_unsealed: as an Encryption has them; encrypted: all of it is said to be.
    """

    location: Location
    hostname: str | None = None
    backup_name: str | None = None
    download_limit: int | None = None
    spool: Path | None = None
    scheme: str | None = None
    accept_unsealed: bool = False
    encrypted: bool = False


class Backup(NamedTuple):
    """One point in time that can be restored, or the reason why not.

    chain and time_stamp: POSIX seconds; ahead: it is later than now, made under a wrong clock;
    size: stored bytes; files: None when the number is not known; verified: the receipt of the last
    verification on this host.
    """

    storage: str
    container: str
    hostname: str
    backup_name: str
    chain: int
    level: int
    time: str
    time_stamp: int
    size: int
    files: int | None
    engine: str
    compression: str
    encrypted: bool
    encrypt_scheme: str | None
    restorable: bool
    reason: str
    verified: Receipt | None = None
    ahead: bool = False

    def as_dict(self) -> dict[str, object]:
        """JSON, as ``coldchain backups`` shows it."""
        return {**self._asdict(), "verified": self.verified and self.verified.as_dict()}


class Flaw(NamedTuple):
    """One thing that is wrong with what a container holds.

    kind: missing (a level or a part), truncated, altered (also swapped, or a wrong password),
    refused (by a restore of this process), unsealed (not encrypted in the way that was asked for),
    unreadable (a small file), orphaned (data that no backup owns; harmless but it takes space).
    doubtful: perhaps only the password is wrong; spare: of a part that no restore needs.
    """

    hostname: str
    backup_name: str
    chain: int
    level: int
    kind: str
    message: str
    doubtful: bool = False
    spare: bool = False

    @property
    def harmless(self) -> bool:
        """Whether no backup is the worse for it."""
        return self.kind == "orphaned"


class Verification(NamedTuple):
    """What ``verify`` found: *read* levels were read to their last byte, *checked* looked at."""

    mode: str
    findings: tuple[Flaw, ...]
    restorable: tuple[Backup, ...]
    lost: tuple[Backup, ...]
    checked: int
    read: int
    notes: tuple[str, ...]

    @property
    def sound(self) -> bool:
        """Whether nothing was found that harms a backup."""
        return all(flaw.harmless for flaw in self.findings)

    def as_dict(self) -> dict[str, object]:
        """JSON, as ``coldchain verify`` shows it."""
        return {
            "mode": self.mode,
            "sound": self.sound,
            "checked": self.checked,
            "read": self.read,
            "findings": [flaw._asdict() for flaw in self.findings],
            "restorable": [backup.as_dict() for backup in self.restorable],
            "lost": [backup.as_dict() for backup in self.lost],
            "notes": list(self.notes),
        }


class Engine(Protocol):
    """One way to keep backups, chosen by a freezer_action's engine_name.

    Every method raises a ColdchainError with the exit code of the action.
    """

    def holds(self, folder: Path) -> bool:
        """Whether the directory *folder* is a container of this engine."""

    def leaves_out(self, exclude: Sequence[str]) -> Callable[[bytes], bool] | None:
        """Tells of a member ("./a/b") of a tree whether a backup with these patterns leaves it out;
        None when they leave out nothing.  Whoever asks has asked about the directories above it."""

    def backup(self, options: BackupOptions, context: ActionContext) -> Report:
        """Write one more point in time, complete or not at all; a dry run writes nothing.

        A tree ends where another file system is mounted in it.
        """

    def restore(self, options: RestoreOptions, context: ActionContext) -> Report:
        """Bring the newest point not later than ``until`` back; a dry run lists its names."""

    def remove(self, options: Common, context: ActionContext) -> Report:
        """Remove what is due by ``removal``: the action admin; a dry run lists it."""

    def points(self, query: Query, receipts: Receipts | None = None) -> list[Backup]:
        """The points in time, oldest first within each name; *receipts* tells what was verified."""

    def verify(
        self,
        query: Query,
        check: str = "quick",
        *,
        sample: int = 0,
        pass_file: Path | None = None,
        meter: Meter | None = None,
        receipts: Receipts | None = None,
    ) -> Verification:
        """Whether what is stored is still what was written.

        check: one of CHECKS; sample: how many points are read whole, drawn by chance; receipts:
        where the outcome is put down.  NothingThere when there is nothing to verify.
        """

    def clean_up(
        self, action: str, options: Common, target: Target | None, context: ActionContext
    ) -> Report:
        """Remove what *action* left when it was killed; target: of a restore."""

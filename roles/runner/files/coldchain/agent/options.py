# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a canonical freezer_action to typed options.  What it may hold, document/ has checked."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import tzinfo
from pathlib import Path
from typing import NamedTuple

from coldchain.agent.fields import Fields
from coldchain.agent.modes.base import Content, Source, Target, Tree
from coldchain.agent.modes.registry import DEFAULT_MODE, mode
from coldchain.agent.password_file import PasswordFile
from coldchain.agent.storages.location import Location, location
from coldchain.core.instants import DAY

#: Freezer's own default, which it writes to disk unexpanded.
DEFAULT_BACKUP_NAME = "freezer_{mode}_{resource_id}"


class Encryption(NamedTuple):
    """How a container's backups are encrypted, as whoever names a password says.

    pass_file: where the password is; scheme: None is strong; accept_unsealed: levels of
    a strong chain need not be sealed, so that nobody can tell who wrote them.
    """

    pass_file: PasswordFile
    scheme: str | None = None
    accept_unsealed: bool = False

    @property
    def wanted(self) -> str:
        """The scheme that every level must have."""
        return self.scheme or "strong"

    @property
    def secret(self) -> bytes:
        """The password; DataError when there is none."""
        return self.pass_file.read()


class Removal(NamedTuple):
    """What is not newer than the cutoff goes; at most one bound is set (before: POSIX seconds).

    ahead: what is dated later than now goes, too.
    """

    older_than_days: float | None = None
    before: int | None = None
    ahead: bool = False

    def cutoff(self, now: float) -> int:
        """POSIX seconds, when it is *now*; -1 without a bound."""
        if self.before is not None:
            return self.before
        if self.older_than_days is None:
            return -1
        return math.floor(now - self.older_than_days * DAY)


class Common(NamedTuple):
    """What every action on a container has; limits: bytes a second."""

    location: Location
    mode: str
    hostname: str
    backup_name: str
    dry_run: bool
    max_priority: bool
    log_file: Path | None
    force: bool
    removal: Removal | None
    upload_limit: int | None = None
    download_limit: int | None = None


class LevelRules(NamedTuple):
    """When a backup holds only changes; 0: a bound is not set; restart_always_level: days."""

    incremental: bool = False
    max_level: int = 0
    always_level: int = 0
    restart_always_level: float = 0


class BackupOptions(NamedTuple):
    """What a backup is told.

    source: what is read; rules: full or only the changes; compression: a name in COMPRESSIONS;
    exclude: patterns of tar; dereference: which links are followed, one of DEREFERENCE;
    encryption: None for none; consistency_check: report a checksum of the whole source; sync:
    write the system's buffers out first; content: the source while it is open (see ``opened``).
    """

    common: Common
    source: Source
    rules: LevelRules
    compression: str
    exclude: tuple[str, ...]
    dereference: str | None
    encryption: Encryption | None
    fail_on_read_error: bool
    consistency_check: bool
    sync: bool
    content: Content | None = None

    @contextmanager
    def opened(self) -> Iterator[BackupOptions]:
        """These options with the source open; JobFailed when it cannot be read."""
        with self.source.open() as content:
            yield self._replace(content=content)

    @property
    def tree(self) -> Path:
        """The path of the open source, for an engine that keeps trees."""
        assert isinstance(self.content, Tree)
        return self.content.path


class RestoreOptions(NamedTuple):
    """What a restore is told.

    target: where it goes; until: the newest point not later than that (POSIX seconds; None: the
    newest there is); paths: only these (none: all); overwrite: the target may hold files;
    trust_target: the way to it is taken although others could change it; numeric_owner: files
    belong to the numbers that they had;
    checksum: what the restored files must have, as the backup reported it.
    """

    common: Common
    target: Target
    until: int | None
    paths: tuple[str, ...]
    overwrite: bool
    trust_target: bool
    numeric_owner: bool
    encryption: Encryption | None
    checksum: str | None

    @property
    def directory(self) -> Path:
        """The path of the target, for an engine that keeps trees."""
        assert self.target.path is not None
        return self.target.path


def common(fields: Fields, containers_dir: Path, client_id: str, zone: tzinfo) -> Common:
    """The options of every action.

    containers_dir: where relative containers lie; client_id: the default of hostname; zone: of
    dates without an offset.
    """
    return Common(
        location=location(fields, containers_dir),
        mode=fields.text("mode", DEFAULT_MODE),
        hostname=fields.text("hostname", client_id),
        backup_name=fields.text("backup_name", DEFAULT_BACKUP_NAME),
        dry_run=fields.flag("dry_run"),
        max_priority=fields.flag("max_priority"),
        log_file=fields.path("log_file"),
        force=fields.flag("force"),
        removal=_removal(fields, zone),
        upload_limit=fields.rate("upload_limit"),
        download_limit=fields.rate("download_limit"),
    )


def backup_options(fields: Fields, shared: Common) -> BackupOptions:
    """The options of a backup."""
    return BackupOptions(
        common=shared,
        source=mode(shared.mode).source(fields),
        rules=_rules(fields),
        compression=fields.text("compression", "gzip"),
        exclude=fields.texts("exclude"),
        dereference=fields.text("dereference_symlink") or None,
        encryption=_encryption(fields),
        fail_on_read_error=fields.text("on_read_error") == "fail",
        consistency_check=fields.flag("consistency_check"),
        sync=fields.flag("sync", default=True),
    )


def restore_options(fields: Fields, shared: Common, zone: tzinfo) -> RestoreOptions:
    """The options of a restore; zone: of dates without an offset."""
    return RestoreOptions(
        common=shared,
        target=mode(shared.mode).target(fields),
        until=fields.instant("restore_from_date", zone),
        paths=fields.texts("restore_paths"),
        overwrite=fields.flag("overwrite"),
        trust_target=fields.flag("trust_target"),
        numeric_owner=fields.flag("numeric_owner"),
        encryption=_encryption(fields),
        checksum=fields.text("consistency_checksum") or None,
    )


def _rules(fields: Fields) -> LevelRules:
    return LevelRules(
        fields.flag("incremental"),
        max_level=fields.whole("max_level"),
        always_level=fields.whole("always_level"),
        restart_always_level=fields.number("restart_always_level") or 0,
    )


def _encryption(fields: Fields) -> Encryption | None:
    pass_file = fields.path("encrypt_pass_file")
    if pass_file is None:
        return None
    scheme = fields.text("encrypt_scheme") or None
    return Encryption(PasswordFile(pass_file), scheme, fields.flag("accept_unsealed"))


def _removal(fields: Fields, zone: tzinfo) -> Removal | None:
    older_than = fields.number("remove_older_than")
    before = fields.instant("remove_before_date", zone)
    ahead = fields.flag("remove_ahead")
    if older_than is None and before is None and not ahead:
        return None
    return Removal(older_than, before, ahead)

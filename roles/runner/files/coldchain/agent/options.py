# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a freezer_action dictionary to typed options; every complaint names the field."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone, tzinfo
from pathlib import Path

from coldchain.agent.layout import ENGINE, Series
from coldchain.agent.levels import DAY, LevelRules
from coldchain.agent.location import Location, location
from coldchain.agent.tools import COMPRESSIONS
from coldchain.errors import DataError
from coldchain.instants import parse_instant
from coldchain.rates import NO_LIMIT, parse_rate

#: Freezer's own default, which it writes to disk unexpanded.
DEFAULT_BACKUP_NAME = "freezer_{mode}_{resource_id}"
SCHEMES = ("freezer", "strong")
DEREFERENCE = ("soft", "hard", "all")

_TRUE, _FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0", "none")


class HostZone(tzinfo):
    """The zone that the C library uses: TZ or /etc/localtime."""

    def utcoffset(self, dt: datetime | None) -> timedelta:
        assert dt is not None
        return dt.replace(tzinfo=None).astimezone().utcoffset() or timedelta(0)

    def dst(self, dt: datetime | None) -> timedelta | None:
        return None

    def tzname(self, dt: datetime | None) -> str | None:
        return None

    def fromutc(self, dt: datetime) -> datetime:
        return dt.replace(tzinfo=timezone.utc).astimezone().replace(tzinfo=self)


@dataclass(frozen=True)
class Encryption:
    """pass_file: its first line is the password; scheme: None lets the chain decide."""

    pass_file: Path
    scheme: str | None = None


@dataclass(frozen=True)
class Removal:
    """Chains whose newest level is not later than the cutoff go; exactly one bound is set."""

    older_than_days: float | None = None
    before: int | None = None

    def cutoff(self, now: float) -> int:
        if self.before is not None:
            return self.before
        assert self.older_than_days is not None
        return math.floor(now - self.older_than_days * DAY)


@dataclass(frozen=True)
class Common:
    """What every action on a container has; limits: bytes a second."""

    location: Location
    series: Series
    dry_run: bool
    max_priority: bool
    log_file: Path | None
    force: bool
    removal: Removal | None
    upload_limit: int | None = None
    download_limit: int | None = None


@dataclass(frozen=True)
class BackupOptions:
    common: Common
    source: Path
    rules: LevelRules
    compression: str
    exclude: tuple[str, ...]
    dereference: str | None
    encryption: Encryption | None
    fail_on_read_error: bool
    consistency_check: bool
    sync: bool


@dataclass(frozen=True)
class RestoreOptions:
    common: Common
    target: Path
    until: int | None
    paths: tuple[str, ...]
    overwrite: bool
    encryption: Encryption | None
    checksum: str | None


class Fields:
    """Typed access to one freezer_action; null, false and "" mean that a text is not given."""

    def __init__(self, action: Mapping[str, object]) -> None:
        self._values = {key.replace("-", "_"): value for key, value in action.items()}

    def text(self, name: str, default: str = "") -> str:
        value = self._values.get(name)
        if value is None or value is False or value == "":
            return default
        if not isinstance(value, str):
            raise _wrong(name, value, "a text")
        if "\0" in value:
            raise _wrong(name, value, "a text without a zero byte")
        try:
            os.fsencode(value)
        except UnicodeEncodeError:
            raise _wrong(name, value, "a text that a file could be named with") from None
        return value

    def choice(self, name: str, choices: tuple[str, ...], default: str = "") -> str:
        value = self.text(name, default)
        if value and value not in choices:
            raise _wrong(name, value, "one of " + ", ".join(choices))
        return value

    def flag(self, name: str, default: bool = False) -> bool:
        value = self._values.get(name)
        if value is None or value == "":
            return default
        if isinstance(value, bool):
            return value
        if isinstance(value, str) and value.lower() in _TRUE + _FALSE:
            return value.lower() in _TRUE
        raise _wrong(name, value, "true or false")

    def number(self, name: str) -> float | None:
        """A finite number >= 0, also as text; None when it is not given."""
        value = self._values.get(name)
        if value is None or value is False or value == "":
            return None
        if isinstance(value, str) and value.lower() in _FALSE[:1] + _FALSE[-1:]:
            return None
        try:
            if isinstance(value, bool) or not isinstance(value, (int, float, str)):
                raise ValueError
            number = float(value)
            if not 0 <= number < 1e9:
                raise ValueError
        except ValueError:
            raise _wrong(name, value, "a number not less than 0") from None
        return number

    def whole(self, name: str) -> int:
        number = self.number(name) or 0
        if number != int(number):
            raise _wrong(name, number, "a whole number")
        return int(number)

    def texts(self, name: str) -> tuple[str, ...]:
        """One text or a list of them."""
        value = self._values.get(name)
        if not isinstance(value, (list, tuple)):
            text = self.text(name)
            return (text,) if text else ()
        for item in value:
            if not isinstance(item, str) or not item or "\0" in item:
                raise _wrong(name, value, "a text or a list of texts")
        return tuple(value)

    def instant(self, name: str, zone: tzinfo) -> int | None:
        """POSIX seconds of an ISO date; one without offset is a reading of the clock in *zone*."""
        value = self.text(name)
        if not value:
            return None
        try:
            return math.floor(parse_instant(value, zone).timestamp())
        except (ValueError, OverflowError) as error:
            raise DataError(f"{name}: {error}") from None

    def rate(self, name: str) -> int | None:
        """Bytes a second; None for no limit, which Freezer writes as -1."""
        value = self._values.get(name)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            text = str(value)
        else:
            text = self.text(name)
        if not text or text in NO_LIMIT:
            return None
        try:
            return parse_rate(text)
        except ValueError as error:
            raise DataError(f"{name}: {error}") from None

    def path(self, name: str, required_by: str = "") -> Path | None:
        """An absolute path, "~" expanded; the last component may be a symbolic link."""
        value = self.text(name)
        if not value:
            if required_by:
                raise DataError(f"{name} is missing", f"a {required_by} needs an absolute path")
            return None
        expanded = os.path.expanduser(value)
        if not os.path.isabs(expanded):
            raise _wrong(name, value, "an absolute path")
        return Path(os.path.normpath(expanded))

    def required_path(self, name: str, required_by: str) -> Path:
        path = self.path(name, required_by)
        assert path is not None
        return path


def common(
    fields: Fields, containers_dir: Path, client_id: str, zone: tzinfo, *, removes: bool = False
) -> Common:
    """The options of every action; *removes*: exactly one removal bound must be given."""
    for name, only in (("mode", "fs"), ("engine_name", ENGINE)):
        if fields.text(name, only) != only:
            raise _wrong(name, fields.text(name), repr(only))
    hostname = fields.text("hostname", client_id)
    return Common(
        location=location(fields, containers_dir),
        series=Series(hostname, fields.text("backup_name", DEFAULT_BACKUP_NAME)),
        dry_run=fields.flag("dry_run"),
        max_priority=fields.flag("max_priority"),
        log_file=fields.path("log_file"),
        force=fields.flag("force"),
        removal=_removal(fields, zone, required=removes),
        upload_limit=fields.rate("upload_limit"),
        download_limit=fields.rate("download_limit"),
    )


def backup_options(fields: Fields, shared: Common) -> BackupOptions:
    return BackupOptions(
        common=shared,
        source=fields.required_path("path_to_backup", "backup"),
        rules=_rules(fields),
        compression=fields.choice("compression", tuple(COMPRESSIONS), "gzip"),
        exclude=fields.texts("exclude"),
        dereference=fields.choice("dereference_symlink", DEREFERENCE) or None,
        encryption=_encryption(fields),
        fail_on_read_error=fields.choice("on_read_error", ("warn", "fail"), "warn") == "fail",
        consistency_check=fields.flag("consistency_check"),
        sync=fields.flag("sync", default=True),
    )


def restore_options(fields: Fields, shared: Common, zone: tzinfo) -> RestoreOptions:
    checksum = fields.text("consistency_checksum") or None
    if fields.flag("consistency_check") and checksum is None:
        raise DataError(
            "consistency_check on a restore needs consistency_checksum",
            "give the consistency_checksum that the backup reported",
        )
    paths = fields.texts("restore_paths")
    if paths and checksum is not None:
        raise DataError(
            "consistency_checksum covers the whole backup",
            "leave out restore_paths or the checksum",
        )
    return RestoreOptions(
        common=shared,
        target=fields.required_path("restore_abs_path", "restore"),
        until=fields.instant("restore_from_date", zone),
        paths=paths,
        overwrite=fields.flag("overwrite"),
        encryption=_encryption(fields),
        checksum=checksum,
    )


def _rules(fields: Fields) -> LevelRules:
    rules = LevelRules(
        max_level=fields.whole("max_level"),
        always_level=fields.whole("always_level"),
        restart_always_level=fields.number("restart_always_level") or 0,
    )
    # A level option says that levels are wanted; Freezer refuses it without "incremental".
    levels = rules != LevelRules()
    return LevelRules(
        fields.flag("incremental", default=levels),
        rules.max_level,
        rules.always_level,
        rules.restart_always_level,
    )


def _encryption(fields: Fields) -> Encryption | None:
    pass_file = fields.path("encrypt_pass_file")
    scheme = fields.choice("encrypt_scheme", SCHEMES) or None
    if pass_file is None:
        if scheme is not None:
            raise DataError(
                "encrypt_scheme without encrypt_pass_file", "name the file with the password"
            )
        return None
    return Encryption(pass_file, scheme)


def _removal(fields: Fields, zone: tzinfo, *, required: bool) -> Removal | None:
    bounds = {
        "remove_older_than": fields.number("remove_older_than"),
        "remove_before_date": fields.instant("remove_before_date", zone),
        "remove_from_date": fields.instant("remove_from_date", zone),
    }
    given = [name for name, value in bounds.items() if value is not None]
    if len(given) > 1 or (required and not given):
        raise DataError(
            " and ".join(given) + " exclude each other" if given else "no removal option is given",
            "give exactly one of " + ", ".join(bounds),
        )
    if not given:
        return None
    before = bounds["remove_before_date"]
    # remove_from_date is Freezer's older name of remove_before_date and means the same.
    before = bounds["remove_from_date"] if before is None else before
    return Removal(bounds["remove_older_than"], None if before is None else int(before))


def _wrong(name: str, value: object, wanted: str) -> DataError:
    return DataError(f"{name}: {value!r} is not {wanted}")

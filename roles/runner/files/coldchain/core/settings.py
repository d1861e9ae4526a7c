# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The settings file (INI, section [runner]): every key has a default, unknown keys are errors."""

from __future__ import annotations

import configparser
import json
import os
import re
from datetime import tzinfo
from pathlib import Path
from typing import Any, NamedTuple

from coldchain.core.errors import AS_OWNER, DataError, Unavailable
from coldchain.core.host_zone import HostZone, host_zone
from coldchain.core.instants import UTC, parse_duration, parse_instant, zone
from coldchain.core.paths import Paths
from coldchain.core.text import did_you_mean

SECTION = "runner"
_HOURS = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)\s*-\s*([01]?\d|2[0-3]):([0-5]\d)")
_SERVICE = re.compile(r"[a-z][a-z0-9_-]*")


class Settings(NamedTuple):
    """Settings of one host; durations in seconds, sizes in bytes.

    timezone: an IANA name, "" for the host's own zone, which is host_zone; spool_dir: where what
    was fetched from a remote lies while it is looked at; uncovered_ignore: paths (with * ? [) and
    services that need no job; metrics_file: an absolute path, "" for none; notify: who is
    told of all jobs, as in a document; notify_cool_down, notify_summary: 0 for off;
    notify_quiet_hours: as "22:00-06:00" in the host's zone; notify_maintenance_until: an instant.
    """

    client_id: str
    timezone: str
    containers_dir: Path
    spool_dir: Path
    host_zone: HostZone
    concurrent_jobs: int = 4
    allow_exec: bool = True
    grace: int = 10
    stop_timeout: int = 90
    history_runs: int = 200
    history_days: int = 400
    history_max_bytes: int = 67_108_864
    log_max_bytes: int = 1_048_576
    uncovered_ignore: tuple[str, ...] = ()
    metrics_file: str = ""
    notify: tuple[dict[str, Any], ...] = ()
    notify_cool_down: int = 0
    notify_summary: int = 0
    notify_quiet_hours: str = ""
    notify_maintenance_until: str = ""

    @property
    def quiet_hours(self) -> tuple[int, int] | None:
        """Begin and end of notify_quiet_hours in seconds of a day; None without any."""
        return parse_hours(self.notify_quiet_hours) if self.notify_quiet_hours else None

    @property
    def maintenance_until(self) -> float:
        """notify_maintenance_until in POSIX seconds, 0 without one."""
        text = self.notify_maintenance_until
        return parse_instant(text, self.zone).timestamp() if text else 0.0

    @property
    def zone(self) -> tzinfo:
        """The zone in which the host's times are written where nothing else is said."""
        return zone(self.timezone) if self.timezone else self.host_zone.zone

    @property
    def zone_problem(self) -> str:
        """Why that zone is not the one that the host names; "" when nothing is wrong."""
        return "" if self.timezone else self.host_zone.problem

    @classmethod
    def load(
        cls, paths: Paths, local: HostZone | None = None, *, foreign: bool = False
    ) -> Settings:
        """Read ``paths.settings``; a missing file means all defaults.

        local: the host's zone where that is known already (default: it is read now); foreign: the
        file is another release's, which may know more settings.  One without a value says nothing,
        whatever its name: so an older release reads what a newer one was told nothing new by.
        DataError names the key that is wrong, Unavailable a file that cannot be read.
        """
        defaults = cls(
            client_id=os.uname().nodename,
            timezone="",
            containers_dir=paths.containers,
            spool_dir=paths.lib / "spool",
            host_zone=local or host_zone(os.environ),
        )
        parser = configparser.ConfigParser(interpolation=None)
        try:
            parser.read_string(paths.settings.read_text(encoding="utf-8"), str(paths.settings))
        except FileNotFoundError:
            return defaults
        except OSError as error:
            raise Unavailable(
                f"{paths.settings}: cannot be read: {error.strerror}",
                f"{AS_OWNER}, or see the system log for the reason",
            ) from None
        except (configparser.Error, UnicodeDecodeError) as error:
            raise DataError(f"{paths.settings}: {_unparsed(error)}") from None
        known = [name for name in cls._fields if name != "host_zone"]
        values: dict[str, Any] = {}
        for section in parser.sections():
            if section != SECTION:
                raise DataError(
                    f"{paths.settings}: unknown section [{section}]", f"only [{SECTION}] is read"
                )
            for key, text in parser.items(section):
                if key not in known and (foreign or text == ""):
                    continue
                if key not in known:
                    raise DataError(
                        f"{paths.settings}: unknown setting {key!r}",
                        did_you_mean(key, known) or f"known: {', '.join(known)}",
                    )
                if text != "":
                    values[key] = _value(paths.settings, key, text, type(getattr(defaults, key)))
        return defaults._replace(**values)


def _unparsed(error: configparser.Error | UnicodeDecodeError) -> str:
    """What is no settings file, in one line; the parser's own words name the file once more."""
    if isinstance(error, UnicodeDecodeError):
        lines = error.object.count(b"\n", 0, error.start)
        return f"line {lines + 1}: is not UTF-8"
    if isinstance(error, configparser.MissingSectionHeaderError):
        return f"line {error.lineno}: is in no section: [{SECTION}] has to come first"
    if isinstance(error, configparser.DuplicateOptionError):
        return f"line {error.lineno}: {error.option} is there twice"
    if isinstance(error, configparser.DuplicateSectionError):
        return f"line {error.lineno}: section [{error.section}] is there twice"
    if isinstance(error, configparser.ParsingError) and error.errors:
        return f"line {error.errors[0][0]}: is neither NAME = VALUE nor a comment"
    return " ".join(str(error).split())


def _value(path: Path, key: str, text: str, kind: type) -> object:
    try:
        if kind is bool:
            return configparser.ConfigParser.BOOLEAN_STATES[text.lower()]
        if key == "timezone":
            zone(text)
            return text
        if key in ("grace", "stop_timeout", "notify_cool_down", "notify_summary"):
            return parse_duration(text)
        if key == "notify_quiet_hours":
            parse_hours(text)
            return text
        if key == "notify_maintenance_until":
            parse_instant(text, UTC)
            return text
        if kind is int:
            number = int(text)
            if number < 1:
                raise ValueError(f"{number} is less than 1")
            return number
        if key == "notify":
            return _objects(text)
        if kind is tuple:
            return _things(text)
        if issubclass(kind, Path) or key == "metrics_file":
            if not os.path.isabs(text):
                raise ValueError(f"{text!r} is not an absolute path")
            return kind(text)
        return text
    except KeyError:
        raise DataError(f"{path}: {key} = {text!r} is neither yes nor no") from None
    except ValueError as error:
        raise DataError(f"{path}: {key}: {error}") from None


def _things(text: str) -> tuple[str, ...]:
    """What uncovered_ignore names, with commas or line ends between.  Raises ValueError."""
    things = tuple(thing.strip() for thing in text.replace("\n", ",").split(",") if thing.strip())
    for thing in things:
        if not os.path.isabs(thing) and not _SERVICE.fullmatch(thing):
            raise ValueError(f"{thing!r} is neither an absolute path nor the name of a service")
    return things


def _objects(text: str) -> tuple[dict[str, Any], ...]:
    """A JSON list of objects.  Raises ValueError."""
    try:
        entries = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"is no JSON: {error}") from None
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise ValueError('is no list of objects, as [{"type": "mail", "to": "root"}]')
    return tuple(entries)


def parse_hours(text: str) -> tuple[int, int]:
    """Hours like 22:00-06:00 as seconds of a day.  Raises ValueError."""
    match = _HOURS.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not like 22:00-06:00")
    numbers = [int(number) for number in match.groups()]
    begin, end = ((numbers[i] * 60 + numbers[i + 1]) * 60 for i in (0, 2))
    if begin == end:
        raise ValueError(f"{text!r} leaves nothing or everything out")
    return begin, end

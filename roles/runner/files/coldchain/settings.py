# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The settings file (INI, section [runner]): every key has a default, unknown keys are errors."""

from __future__ import annotations

import configparser
import contextlib
import dataclasses
import os
from dataclasses import dataclass
from datetime import tzinfo
from pathlib import Path

from coldchain.errors import DataError, Unavailable
from coldchain.instants import UTC, parse_duration, zone
from coldchain.paths import Paths

SECTION = "runner"


@dataclass(frozen=True)
class Settings:
    """Settings of one host; durations in seconds, sizes in bytes."""

    client_id: str
    timezone: str
    containers_dir: Path
    concurrent_jobs: int = 4
    allow_exec: bool = True
    grace: int = 10
    stop_timeout: int = 90
    history_runs: int = 200
    history_days: int = 400
    history_max_bytes: int = 67_108_864
    log_max_bytes: int = 1_048_576

    @property
    def zone(self) -> tzinfo:
        return zone(self.timezone)

    @classmethod
    def load(cls, paths: Paths) -> Settings:
        """Read ``paths.settings``; a missing file means all defaults.  DataError names the key."""
        defaults = cls(
            client_id=os.uname().nodename,
            timezone=host_timezone(),
            containers_dir=paths.containers,
        )
        parser = configparser.ConfigParser(interpolation=None)
        try:
            parser.read_string(paths.settings.read_text(encoding="utf-8"), str(paths.settings))
        except FileNotFoundError:
            return defaults
        except OSError as error:
            raise Unavailable(
                f"{paths.settings}: cannot be read: {error.strerror}",
                "run as the user that owns it, or see the system log for the reason",
            ) from None
        except (configparser.Error, UnicodeDecodeError) as error:
            raise DataError(f"{paths.settings}: {error}") from None
        known = {field.name: field.type for field in dataclasses.fields(cls)}
        given: dict[str, object] = {}
        for section in parser.sections():
            if section != SECTION:
                raise DataError(
                    f"{paths.settings}: unknown section [{section}]", f"only [{SECTION}] is read"
                )
            for key, text in parser.items(section):
                if key not in known:
                    from difflib import get_close_matches

                    near = get_close_matches(key, known, 1)
                    raise DataError(
                        f"{paths.settings}: unknown setting {key!r}",
                        f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}",
                    )
                if text != "":
                    given[key] = _value(paths.settings, key, text, str(known[key]))
        return dataclasses.replace(defaults, **given)  # type: ignore[arg-type]


def _value(path: Path, key: str, text: str, kind: str) -> object:
    try:
        if kind == "bool":
            return configparser.ConfigParser.BOOLEAN_STATES[text.lower()]
        if key == "timezone":
            zone(text)
            return text
        if key in ("grace", "stop_timeout"):
            return parse_duration(text)
        if kind == "int":
            number = int(text)
            if number < 1:
                raise ValueError(f"{number} is less than 1")
            return number
        if kind == "Path":
            if not os.path.isabs(text):
                raise ValueError(f"{text!r} is not an absolute path")
            return Path(text)
        return text
    except KeyError:
        raise DataError(f"{path}: {key} = {text!r} is neither yes nor no") from None
    except ValueError as error:
        raise DataError(f"{path}: {key}: {error}") from None


def host_timezone() -> str:
    """The host's IANA zone: TZ, /etc/timezone, the /etc/localtime link; UTC when none is told."""
    candidates = [os.environ.get("TZ", "").lstrip(":")]
    link = os.path.realpath("/etc/localtime")
    candidates.append(link.partition("/zoneinfo/")[2])
    with contextlib.suppress(OSError, UnicodeDecodeError):
        candidates.append(Path("/etc/timezone").read_text(encoding="ascii").strip())
    for name in candidates:
        try:
            if name and zone(name) is not UTC:
                return name
        except ValueError:
            continue
    return "UTC"

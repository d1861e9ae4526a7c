# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: may change in any release.

"""Where role runner has things on a host, and what probe.sh is asked and tells of them.

Nothing here reaches the host or reads a file.
"""

from __future__ import annotations

import typing as t

UNIT = "coldchain-runner.service"
UNIT_FILE = f"/etc/systemd/system/{UNIT}"
USUAL_COMMAND = "/usr/local/bin/coldchain"

Options = t.Mapping[str, t.Any]
Credentials = t.Sequence[t.Mapping[str, t.Any]]
# What probe.sh tells, by its keys.
Host = t.Mapping[str, str]


class Directory(t.TypedDict):
    """One that the role makes."""

    path: str
    mode: str


class Places(t.NamedTuple):
    """Where things are on a host; link: what the modules find the command by, "" where it has its usual place."""

    system: bool
    program: str
    command: str
    link: str
    etc: str
    settings: str
    credentials: str
    lib: str
    log: str
    backups: str
    directories: list[Directory]


class Look(t.NamedTuple):
    """The answer of probe.sh: its facts, the lines that they come from, and mode, digest and name of each credential."""

    host: Host
    lines: frozenset[str]
    secrets: list[str]


def places_of(home: str, command: str) -> Places:
    """All places, from where the installation shall be."""
    usual = f"{home}/bin/coldchain" if home else USUAL_COMMAND
    command = command if command and not home else usual
    program = f"{home}/program" if home else "/opt/coldchain"
    etc = f"{home}/etc" if home else "/etc/coldchain"
    lib = f"{home}/lib" if home else "/var/lib/coldchain"
    log = f"{home}/log" if home else "/var/log/coldchain"
    backups = f"{home}/backups" if home else "/var/backups/coldchain"
    own = [_directory(home, "0700"), _directory(f"{home}/bin", "0755")] if home else []
    # The runner refuses a directory of its own that somebody else could write.
    own += [_directory(path, "0755") for path in (program, f"{program}/releases", etc)]
    own += [_directory(path, "0700") for path in (lib, log, backups)]
    return Places(
        not home,
        program,
        command,
        command if command != usual else "",
        etc,
        f"{etc}/runner.conf",
        f"{etc}/credentials",
        lib,
        log,
        backups,
        own,
    )


def _directory(path: str, mode: str) -> Directory:
    return {"path": path, "mode": mode}


def written(credentials: Credentials) -> Credentials:
    """Those that the role writes."""
    return [credential for credential in credentials if "content" in credential]


def loaded(credentials: Credentials) -> Credentials:
    """Those that systemd loads."""
    return [credential for credential in credentials if "path" in credential]


def words(options: Options, places: Places) -> list[str]:
    """What probe.sh has to be called with."""
    files = [places.command, places.settings, *[UNIT_FILE] * places.system]
    paths = [str(credential["path"]) for credential in loaded(options["credentials"])]
    return [
        places.program,
        places.command,
        options["python"],
        UNIT,
        places.etc,
        options["containers_dir"] or places.backups,
        "\n".join(files),
        "\n".join(directory["path"] for directory in places.directories),
        "\n".join(paths),
        places.lib,
        places.credentials if keeps_secrets(options) else "",
    ]


def keeps_secrets(options: Options) -> bool:
    """Whether the answer will hold digests of secrets."""
    return options["state"] == "present" and bool(written(options["credentials"]))


def look_of(answer: str) -> Look | None:
    """What probe.sh has told; None when it did not come to its end. A terminal may have added something."""
    host = {}
    secrets = []
    lines = answer.splitlines()
    for line in lines:
        # What is told of a path is a number or nothing, and a path may have any character.
        split = line.rpartition if line.startswith(("digest:", "mode:")) else line.partition
        key, sign, value = split("=")
        if key == "secret":
            secrets.append(value)
        elif sign:
            host[key] = value
    if host.get("end") != "yes":
        return None
    return Look(host, frozenset(lines), sorted(secrets))

# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: may change in any release.

"""What role runner has to do on a host, by the options of module runner_plan and the answer of probe.sh.

Nothing here reaches the host or reads a file.
"""

from __future__ import annotations

import hashlib
import json
import re
import typing as t

from ansible_collections.coldchain.freezer.plugins.plugin_utils._old_names import renamed
from ansible_collections.coldchain.freezer.plugins.plugin_utils._runner_code import part
from ansible_collections.coldchain.freezer.plugins.plugin_utils._runner_look import (
    UNIT,
    Credentials,
    Host,
    Look,
    Options,
    Places,
    loaded,
    written,
)

DONE = "Nothing is left to do."
CREDENTIAL = part("core/names.py").CREDENTIAL
# With a blank in a path systemd 257 cannot start the unit ("Failed to deserialize").
LOADABLE = re.compile(r"/[^\s\\\"']*")
ABSOLUTE = re.compile(r"/[^/]")
# One that is not empty, in runner.conf.
SETTING = re.compile(r"[a-z_]+ = .")

# How Python and tar are installed, by the first of these names that the host's os-release has.
PACKAGES = {
    "debian": ("apt install python3", "apt install tar"),
    "ubuntu": ("apt install python3", "apt install tar"),
    "rhel": ("dnf install python3.11", "dnf install tar"),
    "fedora": ("dnf install python3", "dnf install tar"),
    "suse": ("zypper install python311", "zypper install tar"),
    "alpine": ("apk add python3", "apk add tar"),
}

# The variables of the role had no prefix of the collection once. Others may have variables of these names.
OLD_NAMES = {
    f"runner_{name}": f"coldchain_{name}"
    for name in (
        "state",
        "purge_data",
        "rollback",
        "home",
        "python",
        "client_id",
        "timezone",
        "containers_dir",
        "concurrent_jobs",
        "allow_exec",
        "grace",
        "stop_timeout",
        "history_runs",
        "history_days",
        "history_max_bytes",
        "log_max_bytes",
        "service_enabled",
        "service_state",
        "protect_system",
        "writable_paths",
        "credentials",
    )
}


class Releases(t.NamedTuple):
    """The release that shall be current, the one before it, those that nobody goes back to, and where the first one lies."""

    release: str
    release_dir: str
    previous: str
    outdated: list[str]


def releases_of(places: Places, host: Host, ours: str, *, rollback: bool) -> Releases:
    """The releases that follow. ours: the one that this collection brings."""
    current = host["current"]
    release = ours
    if rollback:
        release = current if current not in ("", ours) else host["previous"]
    previous = current if current not in ("", release) else host["previous"]
    needed = {release, previous, *host["busy"].split()}
    outdated = [name for name in host["releases"].split() if name not in needed]
    return Releases(release, f"{places.program}/releases/{release}", previous, outdated)


def todo_when_absent(options: Options, places: Places, look: Look) -> list[str]:
    """What the look does not tell of a host on which the runner is gone."""
    gone = [
        f"digest:{places.command}=",
        "moved=",
        f"mode:{places.program}=",
        f"mode:{places.etc}=",
        "unit=no",
        "serving=",
    ]
    if options["purge_data"]:
        gone += [f"mode:{places.lib}=", f"mode:{places.log}="]
        if not look.host["containers"]:
            gone.append(f"mode:{places.backups}=")
    return sorted({*gone} - look.lines)


def todo_when_present(
    options: Options,
    places: Places,
    releases: Releases,
    files: t.Mapping[str, str],
    look: Look,
) -> list[str]:
    """What the look does not tell of a host on which nothing is to do. files: the contents by path."""
    credentials = written(options["credentials"])
    there = [
        f"current={releases.release}",
        "complete=yes",
        "compiled=yes",
        *(f"digest:{path}={digest(text)}" for path, text in files.items()),
        f"command={places.link}",
        "moved=",
        "untold=no",
        f"credentials={_yes(credentials)}",
        *(
            f"mode:{directory['path']}={directory['mode'].lstrip('0')}"
            for directory in places.directories
        ),
    ]
    if places.system:
        there += [
            f"started={_yes(options['service_state'] == 'started')}",
            f"enabled={_yes(options['service_enabled'])}",
            "stale=no",
        ]
    todo = [*({*there} - look.lines), *releases.outdated]
    if credentials and look.secrets != sorted(map(_kept, credentials)):
        todo.append("credentials")
    return sorted(todo)


def _kept(credential: t.Mapping[str, t.Any]) -> str:
    """As probe.sh tells it. With the newline at its end that a private key needs."""
    text = str(credential["content"])
    return f"600 {digest(text if text.endswith(chr(10)) else text + chr(10))} {credential['name']}"


def digest(text: str) -> str:
    """As sha256sum tells it of a file with the text."""
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def _yes(value: t.Any) -> str:
    return "yes" if value else "no"


def findings(options: Options, places: Places, host: Host, variables: t.Iterable[str]) -> list[str]:
    """What is in the way whatever the state shall be, each with its remedy. variables: their names."""
    found = [] if options["ignore_old_names"] else renamed(variables, OLD_NAMES)
    home, command = options["home"], options["command"]
    if home and not ABSOLUTE.match(home):
        found.append(f'coldchain_home must be an absolute path other than /, not "{home}".')
    if command and not ABSOLUTE.match(command):
        found.append(f'coldchain_command must be an absolute path, not "{command}".')
    if places.system and host["uid"] != "0":
        found.append(
            "The system-wide runner belongs to root. Apply the role with become: true, or set coldchain_home to a"
            " directory of your own for an installation without root."
        )
    return found


def needs(
    options: Options, places: Places, releases: Releases, host: Host, todo: t.Sequence[str]
) -> list[str]:
    """What a host lacks that shall have the runner, each with its remedy."""
    found = []
    known = (PACKAGES[name] for name in host["system"].split() if name in PACKAGES)
    python, tar = (f" ({command})" if command else "" for command in next(known, ("", "")))
    if places.system and host["systemd"] != "yes":
        found.append(
            "This host does not run systemd. Set coldchain_home to a directory and let its own supervisor start"
            ' "DIR/bin/coldchain serve".'
        )
    if not host["python"]:
        found.append(
            "The runner needs Python >= 3.9 with the whole standard library (Debian: python3, not only python3-minimal)."
            f" Found: {host['seen'] or 'nothing'}. Install one{python} and, if it is neither /usr/bin/python3 nor a"
            " python3.N of the search path, name it in coldchain_python."
        )
    if host["tar"] != "gnu":
        seen = "another tar was found" if host["tar"] else "no tar was found"
        found.append(f"The runner needs GNU tar ({seen}): install the package tar{tar}.")
    if host["locked"] and todo:
        found.append(
            f"This cannot be written: {host['locked']}. Mount it read-write; for the command, coldchain_command names"
            " another place, such as /opt/coldchain/bin/coldchain."
        )
    if options["rollback"] and releases.release not in host["releases"].split():
        found.append(
            "coldchain_rollback is true, but this host has no other release than"
            f" {host['current'] or 'the one to be installed'}. Set coldchain_rollback to false."
        )
    return found


def bad_credentials(credentials: Credentials, places: Places, missing: str) -> list[str]:
    """What is wrong with coldchain_credentials. Nothing but names. missing: the files that the host does not have."""
    names = [str(credential.get("name", "")) for credential in credentials]
    misnamed = [name for name in names if not CREDENTIAL.fullmatch(name)]
    undecided = {
        name
        for name, credential in zip(names, credentials)
        if ("content" in credential) == ("path" in credential)
        or not (credential.get("content") or credential.get("path"))
    }
    paths = [
        (str(credential.get("name", "")), str(credential["path"]))
        for credential in loaded(credentials)
    ]
    unfit = [name for name, path in paths if not LOADABLE.fullmatch(path)]
    told = [
        ", ".join(map(json.dumps, misnamed))
        + " cannot be the name of a credential. It has letters, digits and _.@-, begins with a letter, a digit or _, and"
        " has at most 128 of them."
        if misnamed
        else "",
        f"a name is there twice: {', '.join(names)}." if len(names) != len({*names}) else "",
        f"{', '.join(sorted(undecided))} must have either content or path, and not an empty one."
        if undecided
        else "",
        f"{', '.join(name for name, path in paths)}: with coldchain_home there is no systemd to load it. Give its content,"
        " or name the file itself in the job."
        if paths and not places.system
        else "",
        f"{', '.join(unfit)}: path must be absolute, without blanks, quotes and backslashes."
        if unfit
        else "",
        f"no such file on this host: {missing}. Put it there before." if missing else "",
    ]
    return [f"coldchain_credentials: {finding}" for finding in told if finding]


def promise(options: Options, places: Places, release: str, settings: str) -> str:
    """What check mode says of a host that has no runner, instead of every file that would be new. settings: the text."""
    secrets = len(written(options["credentials"]))
    kept = f", {secrets} credentials" if secrets else ""
    given = [line for line in settings.splitlines() if SETTING.match(line)]
    enabled = "enabled" if options["service_enabled"] else "not enabled"
    service = f" and {UNIT}, {enabled} and {options['service_state']}" if places.system else ""
    return (
        f"Would install release {release} in {places.program}, the command {places.command}{kept} and the settings"
        f" {places.settings} ({', '.join(given)}){service}."
    )

# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: may change in any release.

"""What taking over a freezer-scheduler comes to, from what playbooks/files/freezer_scheduler.py has found on a host.

The controller converts, with the runner's own code: a host that is to be adopted has none yet. What leaves here in ``lines`` and
``skipped`` is for people; documents may hold secrets.
"""

from __future__ import annotations

import copy
import datetime
import json
import posixpath
import re
import tempfile
import typing as t
from pathlib import Path

import yaml
from ansible_collections.coldchain.freezer.plugins.plugin_utils._runner_code import ask

Found = t.Mapping[str, t.Any]
Document = dict[str, t.Any]

DEFAULT_CONTAINER = "freezer_backups"
DEFAULT_NAME = "freezer_{mode}_{resource_id}"
CRON = ("year", "month", "day", "week", "day_of_week", "hour", "minute", "second")
# Storages that want a password, and the field that stands for it.
WANT_SECRETS = {"swift": None, "s3": None, "ftp": None, "ftps": None, "ssh": "ssh_key"}
# Whatever of these is relative was so to the scheduler's directory, in today's names and in older ones.
PATHS = (
    "path_to_backup",
    "src_file",
    "restore_abs_path",
    "encrypt_pass_file",
    "ssh_key",
    "log_file",
)


class AdoptionError(Exception):
    """Why there can be no plan."""


def plan(
    found: Found, *, client_id: str = "", credentials_file: str = "", now: float | None = None
) -> dict[str, t.Any]:
    """What a host's jobs become: documents, and yaml with the same as a variable; lines, notes, skipped and problems.

    client_id, credentials_file: what the host's own variables say; now: epoch seconds. Raises AdoptionError when the controller
    cannot convert.
    """
    if now is None:
        now = datetime.datetime.now(datetime.timezone.utc).timestamp()
    converted = convert(found)
    documents: list[Document] = []
    notes = [
        f"{note['source']}: {note['path']}: {note['message']}"
        + (f" ({note['hint']})" if note["hint"] else "")
        for note in converted["notes"]
        # That it is of this host, and of a server that is left, is why it is taken over.
        if note["path"] != "$.client_id" and "Freezer's own database" not in note["message"]
    ]
    skipped = list(converted["skipped"])
    lines = []
    for document in converted["documents"]:
        fitted = copy.deepcopy(document)
        without = keep_place(fitted, found, client_id, credentials_file)
        if without:
            reason = f"{without}: name a file on the host with coldchain_adopt_credentials_file"
            skipped.append({"source": f"job {document['job_id']}", "reason": reason})
            continue
        notes += [f"job {document['job_id']}: {text}" for text in keep_time(fitted, found, now)]
        if runs_as_somebody(fitted, found):
            notes.append(f"job {document['job_id']}: its commands go on running as {found['user']}")
        documents.append(fitted)
        lines += described(fitted, found, client_id)
    return {
        "documents": documents,
        "yaml": as_variable(documents),
        "lines": lines,
        "notes": notes,
        "skipped": skipped,
        "problems": problems(found),
    }


def convert(found: Found) -> dict[str, t.Any]:
    """The answer of ``coldchain convert``, whose sources are called as on the host."""
    files = found["files"]
    skipped = [
        {"source": file["name"], "reason": file["error"]} for file in files if "error" in file
    ]
    readable = [file for file in files if "text" in file]
    if not readable:
        return {"documents": [], "notes": [], "skipped": skipped}
    with tempfile.TemporaryDirectory(prefix="coldchain-") as scratch:
        names = {}
        for number, file in enumerate(readable):
            path = Path(scratch, f"{number:05}.conf")
            path.write_text(anchored(file["text"], found), encoding="utf-8")
            names[str(path)] = file["name"]
        _code, answer = ask(["convert", "--from", "freezer", *names], "")
    if answer is None or "documents" not in answer:
        raise AdoptionError(
            "the runner's code cannot run on the controller: install the collection from its artifact, or build the bundle"
            " (python3 roles/runner/files/build_bundle.py)"
        )
    for entry in (*answer["notes"], *answer["skipped"]):
        entry["source"] = names.get(entry["source"], entry["source"])
    return {**answer, "skipped": skipped + answer["skipped"]}


def anchored(text: str, found: Found) -> str:
    """A document whose paths lead where they led the scheduler, and text that is none, or none that says one thing, as it is."""

    def once(pairs: list[tuple[str, t.Any]]) -> Document:
        if len({name for name, _value in pairs}) != len(pairs):
            raise ValueError("a name that is given twice: whoever converts says so")
        return dict(pairs)

    def walked(value: t.Any) -> t.Any:
        if isinstance(value, list):
            return [walked(item) for item in value]
        if isinstance(value, dict):
            return {name: led(name, walked(item)) for name, item in value.items()}
        return value

    def led(name: str, value: t.Any) -> t.Any:
        is_path = isinstance(value, str) and value and name.replace("-", "_") in PATHS
        return absolute(value, found) if is_path else value

    try:
        return json.dumps(walked(json.loads(text.removeprefix("\ufeff"), object_pairs_hook=once)))
    except (ValueError, RecursionError):
        return text


def actions(document: Document) -> t.Iterator[tuple[Document, Document]]:
    """Each action's options, and what they mean with the defaults of the job."""
    defaults = document.get("action_defaults") or {}
    for action in document["job_actions"]:
        options = action["freezer_action"]
        yield options, {**defaults, **options}


def keep_place(document: Document, found: Found, client_id: str, credentials_file: str) -> str:
    """Let every action find what Freezer's finds: containers, names, secrets. Returns what it lacks."""
    for options, meant in actions(document):
        if meant.get("action") == "exec":
            continue
        storage = meant.get("storage", "local")
        if storage == "local":
            options["container"] = absolute(meant.get("container") or DEFAULT_CONTAINER, found)
        if client_id and client_id != found["host"] and not meant.get("hostname"):
            options["hostname"] = found["host"]
        instead = WANT_SECRETS.get(storage)
        if storage in WANT_SECRETS and not meant.get("credentials_file"):
            if instead and meant.get(instead):
                continue
            if not credentials_file:
                return f"storage {storage} has no credentials"
            options["credentials_file"] = credentials_file
    return ""


def absolute(path: str, found: Found) -> str:
    """A path as the scheduler's agent reads it."""
    if path == "~" or path.startswith("~/"):
        path = found["home"] + path[1:]
    return posixpath.normpath(posixpath.join(found["cwd"], path))


def keep_time(document: Document, found: Found, now: float) -> list[str]:
    """Let nothing run again that the scheduler has run already; notes."""
    schedule = document.setdefault("job_schedule", {})
    for name in ("event", "result", "time_created", "time_started", "time_ended"):
        schedule.pop(name, None)
    repeats = schedule.get("schedule_interval") or any(
        f"schedule_{name}" in schedule for name in CRON
    )
    date = schedule.get("schedule_date")
    notes = []
    if schedule.get("status") == "stop":
        notes.append("is stopped, and stays so")
    elif not date and not repeats:
        schedule["status"] = "stop"
        notes.append("has no time: it ran when the scheduler began, and is declared stopped")
    elif date and passed(str(date), now):
        schedule["status"] = "stop"
        notes.append(f"its date {date} is over: it is declared stopped")
    else:
        schedule.pop("status", None)
    zone = found["zone"]
    named = re.fullmatch(r"[A-Za-z_]+(/[A-Za-z0-9_+-]+)*", zone) is not None
    if named and (date or repeats) and not schedule.get("schedule_timezone"):
        schedule["schedule_timezone"] = zone
        notes.append(f"keeps to the scheduler's own time zone, {zone}")
    return notes


def passed(date: str, now: float) -> bool:
    """Whether a date of a schedule is over; the host's zone may be another one, so a day near it is."""
    text = date.strip().replace(" ", "T")
    text = f"{text[:-1]}+00:00" if text.endswith("Z") else text
    try:
        when = datetime.datetime.fromisoformat(text)
    except ValueError:
        return False
    if when.tzinfo is not None:
        return when.timestamp() <= now
    return when.replace(tzinfo=datetime.timezone.utc).timestamp() <= now + 14 * 3600


def runs_as_somebody(document: Document, found: Found) -> bool:
    """Keep commands from becoming root's where the scheduler was not; whether there are any."""
    if found["user"] in ("", "root", found["me"]):
        return False
    commands = [options for options, meant in actions(document) if meant.get("action") == "exec"]
    for options in commands:
        options.setdefault("user", found["user"])
    return bool(commands)


def described(document: Document, found: Found, client_id: str) -> list[str]:
    """A line for each action, with the chain that it goes on with."""
    schedule = document["job_schedule"]
    times = [
        f"{name[9:]} {value}" for name, value in schedule.items() if name.startswith("schedule_")
    ]
    when = "stopped" if schedule.get("status") == "stop" else ", ".join(times)
    head = f"{document['job_id']} ({when})"
    lines = []
    for _options, meant in actions(document):
        action = meant.get("action", "backup")
        if action == "exec":
            lines.append(f"{head}: exec")
            continue
        container = meant.get("container", DEFAULT_CONTAINER)
        text = f"{head}: {action} {meant.get('path_to_backup', meant.get('restore_abs_path', ''))}".rstrip()
        text += f", container {container}"
        if meant.get("storage", "local") == "local" and action == "backup":
            host = meant.get("hostname") or client_id or found["host"]
            series = (
                found["containers"]
                .get(container, {})
                .get(f"{host}_{meant.get('backup_name') or DEFAULT_NAME}")
            )
            text += f": {continued(meant, series)}"
        lines.append(text)
    return lines


def continued(meant: Document, series: list[int] | None) -> str:
    """Whether a backup goes on with what is in its container."""
    if not series:
        return "nothing of it is there, a new chain begins"
    count, newest, stamp = series
    when = datetime.datetime.fromtimestamp(stamp, datetime.timezone.utc)
    levels = (
        f"{count} level{'s' * (count != 1)} there, the newest {newest} of {when:%Y-%m-%dT%H:%M:%SZ}"
    )
    wants = ("incremental", "max_level", "always_level", "restart_always_level")
    if not any(meant.get(name) not in (None, False) for name in wants):
        return f"{levels}; full as before, a new chain each time"
    return f"{levels}; the next one goes on with it"


class _Dumper(yaml.SafeDumper):
    """Block YAML in which Ansible finds no template."""

    def text(self, value: str) -> yaml.Node:
        tag = "!unsafe" if re.search(r"\{[{%#]", value) else "tag:yaml.org,2002:str"
        return self.represent_scalar(tag, value)


_Dumper.add_representer(str, _Dumper.text)


def as_variable(documents: t.Sequence[Document]) -> str:
    """The documents as a list of the inventory's."""
    plain = json.loads(json.dumps({"freezer_jobs_adopted": documents}))
    return "---\n" + yaml.dump(
        plain, Dumper=_Dumper, sort_keys=False, width=120, allow_unicode=True
    )


def problems(found: Found) -> list[str]:
    """Why this scheduler cannot be taken over from here."""
    texts = []
    for scheduler in found["schedulers"]:
        if scheduler["elsewhere"]:
            texts.append(
                f"freezer-scheduler (pid {scheduler['pid']}) runs in a container: it reads files that are not this host's."
                " Stop it where it is, and name a directory with its jobs with coldchain_adopt_jobs_dir"
            )
    directories = sorted({scheduler["jobs_dir"] for scheduler in found["schedulers"]})
    if (
        len(
            {
                (scheduler["cwd"], scheduler["user"], scheduler["zone"])
                for scheduler in found["schedulers"]
            }
        )
        > 1
    ):
        texts.append(
            f"several schedulers run here, not alike: adopt {', '.join(directories)} one by one with coldchain_adopt_jobs_dir"
        )
    return texts

# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of ``coldchain doctor`` that have to do with what the jobs need."""

from __future__ import annotations

import os
import shlex
import stat
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from coldchain.agent.storages.kinds import LOCAL
from coldchain.cli.health_host import room
from coldchain.cli.health_patient import Patient, some_of
from coldchain.cli.scopes import Scope, scope_of
from coldchain.core.credentials import credential_path
from coldchain.core.errors import ColdchainError, TryAgain, Unavailable, from_os_error
from coldchain.core.instants import from_epoch
from coldchain.core.text import format_bytes, pluralize
from coldchain.observe.findings import INFO, WARNING, Finding
from coldchain.observe.notifiers.target import host_targets

_SECRETS = ("encrypt_pass_file", "credentials_file", "ssh_key", "ftp_keyfile", "rclone_config")
_READ = stat.S_IRGRP | stat.S_IROTH | stat.S_IWGRP | stat.S_IWOTH
_LEAST = 100_000_000  # bytes that the database and the logs should have


def secrets(patient: Patient) -> Iterator[Finding]:
    """Nobody else can read the files with passwords and keys, and they are there."""
    used: dict[str, str] = {}
    for job_id, options in patient.actions():
        for name in _SECRETS:
            if options.get(name):
                used.setdefault(options[name], f"{name} of job {job_id}")
    for of, entry in _notify(patient):
        if entry.get("credentials_file"):
            used.setdefault(str(entry["credentials_file"]), f"credentials_file of {of}")
    for name, of in used.items():
        path = _place_of(name, patient)
        if path is None:
            continue
        try:
            mode = stat.S_IMODE(os.stat(path).st_mode)
        except OSError as error:
            text = f"{path} ({of}) cannot be used: {error.strerror}"
            yield Finding(
                WARNING,
                "secrets",
                text,
                "put the file there, or apply a document that names another one",
            )
            continue
        if mode & _READ:
            text = f"{path} ({of}) is open to others (mode {mode:04o})"
            yield Finding(WARNING, "secrets", text, f"chmod 600 {shlex.quote(str(path))}")


def _notify(patient: Patient) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """What declares a target of messages, and the entry."""
    for job_id, record in patient.records.items():
        if not record.stopped:
            for entry in record.document.get("notify", ()):
                yield f"notify of job {job_id}", entry
    for target in host_targets(patient.paths, patient.settings):
        yield "notify in the settings", target.entry


def _place_of(name: str, patient: Patient) -> Path | None:
    """The file that a document means; None of a credential that systemd may load for the unit."""
    if name.startswith(("/", "~")):
        return Path(name)
    try:
        return credential_path(name, os.environ)
    except Unavailable:
        return None if patient.paths.home is None else patient.paths.credentials / name


def containers(patient: Patient) -> Iterator[Finding]:
    """Only root and this user can change what lies in a container, or put another in its place."""
    from coldchain.core.changers import changers, user_name
    from coldchain.core.fixed_modes import mount_remedy
    from coldchain.core.trusted_path import walk

    for folder, job_id in patient.local_containers.items():
        about = f"container {folder}"
        try:
            with walk(folder) as way:
                others = dict(way.others)
                if not way.missing:
                    for user in changers(way.folder, None) - {0, os.geteuid()}:
                        others.setdefault(user, str(folder))
        except OSError as error:
            text = f"it cannot be used by job {job_id}: {error.strerror}"
            yield Finding(
                WARNING, about, text, f"ls -ld {shlex.quote(str(folder))} shows what it is"
            )
            continue
        for user, place in others.items():
            text = f"{user_name(user)} can change what lies in {place}"
            quoted = shlex.quote(str(place))
            mend = mount_remedy(place) or f"chown root: {quoted}; chmod go-w {quoted}"
            yield Finding(WARNING, about, text, mend)


def space(patient: Patient) -> Iterator[Finding]:
    """Each file system has room for the largest of the last backups of each job, once more."""
    needs: dict[int, list[int]] = {}
    places: dict[int, tuple[Path, int]] = {}
    look = lru_cache(room)
    for folder in patient.local_containers:
        place, device, free = look(folder)
        places[device] = place, free
    for job_id in patient.records:
        largest: dict[tuple[int, str], int] = {}
        for run in patient.runs(job_id):
            for entry in run.get("actions", ()):
                report = entry.get("report") or {}
                size, container = report.get("size"), report.get("container")
                if report.get("storage") == LOCAL and isinstance(size, int) and container:
                    device = look(Path(container))[1]
                    key = device, str(report.get("backup_name"))
                    largest[key] = max(size, largest.get(key, 0))
        for (device, _name), size in largest.items():
            needs.setdefault(device, []).append(size)
    for device, (place, free) in places.items():
        need = sum(needs.get(device, ()))
        if free < need:
            text = (
                f"{format_bytes(free)} are free, and the next runs of"
                f" {pluralize(len(needs[device]), 'backup')} may need {format_bytes(need)}"
            )
            remedy = "make room, or remove older backups (an admin action with remove_older_than)"
            yield Finding(WARNING, f"file system of {place}", text, remedy)
    paths = patient.paths
    uses: dict[int, tuple[Path, int, list[str]]] = {}
    own = {"the database": paths.lib, "messages": paths.notify, "the logs": paths.log}
    for what, path in own.items():
        place, device, free = room(path)
        uses.setdefault(device, (place, free, []))[2].append(what)
    for place, free, (*others, last) in uses.values():
        if free < _LEAST:
            whats = f"{', '.join(others)} and {last}" if others else last
            text = f"{format_bytes(free)} are free for {whats}"
            yield Finding(WARNING, f"file system of {place}", text, "make room there")


def schedules(patient: Patient) -> Iterator[Finding]:
    """Each job that is not stopped on purpose can run some day, or has run."""
    from coldchain.runner.runs_to_come import runs_to_come

    again = "correct job_schedule and apply the document again"
    for job_id, outlook in patient.outlooks.items():
        record = patient.records[job_id]
        if outlook.trigger is None:
            text = f"its schedule cannot be used on this host: {outlook.state.unusable}"
            yield Finding(WARNING, f"job {job_id}", text, again)
        elif not (record.stopped or outlook.state.last_run or outlook.state.queue):
            busy = outlook.state.active or outlook.due is not None
            if not busy and next(runs_to_come(outlook, patient.now), None) is None:
                text = "it has never run, and its schedule has no run to come"
                yield Finding(WARNING, f"job {job_id}", text, again)


def collisions(patient: Patient) -> Iterator[Finding]:
    """Jobs do not write the same backup, and do not wait for each other's lock."""
    from coldchain.cli.collisions import Locks
    from coldchain.runner.runs_to_come import runs_to_come

    writing: dict[tuple[object, ...], list[str]] = {}
    for job_id, options in patient.actions("backup"):
        scope = patient.scope(options)
        if scope is not None:
            key = (scope.location, scope.hostname, scope.backup_name)
            if job_id not in writing.setdefault(key, []):
                writing[key].append(job_id)
    for (location, _host, name), jobs in writing.items():
        if len(jobs) > 1:
            text = f"{some_of(jobs)} write the same backup in {location}"
            yield Finding(WARNING, f"backup {name}", text, "give each its own backup_name")
    documents = {
        job_id: (record.document, from_epoch(record.anchor))
        for job_id, record in patient.records.items()
    }

    def took(job_id: str) -> float | None:
        runs = patient.runs(job_id)
        return max(0.0, runs[0]["time_ended"] - runs[0]["time_started"]) if runs else None

    locks = Locks(patient.settings, documents, took)
    begins: dict[object, list[str]] = {}
    for job_id, outlook in patient.outlooks.items():
        coming = None if outlook.trigger is None else next(runs_to_come(outlook, patient.now), None)
        if coming is None:
            continue
        begins.setdefault(coming.at, []).append(job_id)
        mark = locks.mark(patient.records[job_id].document, coming.at).strip(" ()")
        if mark:
            text = f"at its next run it may have to wait: {mark}"
            remedy = "give one of them another time, or schedule_splay"
            yield Finding(WARNING, f"job {job_id}", text, remedy)
    places = patient.settings.concurrent_jobs
    for at, jobs in begins.items():
        if len(jobs) > places:
            text = f"{some_of(jobs)} begin together at {at:%Y-%m-%d %H:%M %Z}, and {places} may run"
            remedy = "schedule_splay spreads them; concurrent_jobs in the settings lets more run"
            yield Finding(INFO, "schedules", text, remedy)


def storages(patient: Patient) -> Iterator[Finding]:
    """Each storage answers, and takes what a backup would write there."""
    tried: dict[tuple[object, str], tuple[str, Scope, Mapping[str, Any]]] = {}
    for job_id, options in patient.actions("backup", "restore", "admin", "info"):
        try:
            scope = scope_of(patient.call, options)
        except ColdchainError as error:
            text = f"its storage cannot be used: {error.message}"
            yield Finding(WARNING, f"job {job_id}", text, error.hint)
            continue
        key = scope.location, scope.engine_name
        if key not in tried or options["action"] == "backup":
            tried[key] = job_id, scope, options
    for job_id, scope, options in tried.values():
        about = f"storage {scope.location}"
        try:
            _try_storage(patient, scope, write=options["action"] == "backup")
        except TryAgain as error:
            yield Finding(INFO, about, f"it is in use just now: {error.message}", error.hint)
        except ColdchainError as error:
            text = f"job {job_id} cannot use it: {error.message}"
            yield Finding(WARNING, about, text, error.hint)
        except OSError as error:
            failure = from_os_error(error)
            text = f"job {job_id} cannot use it: {error.strerror or error}"
            yield Finding(WARNING, about, text, "" if failure is None else failure.hint)


def _try_storage(patient: Patient, scope: Scope, *, write: bool) -> None:
    """Write a few bytes where a backup would lie, never committed, so that they are removed again;
    another engine is asked for what it has."""
    from coldchain.agent.engines.base import Query
    from coldchain.agent.engines.registry import DEFAULT_ENGINE, engine
    from coldchain.agent.process.signals import abort_on_signal
    from coldchain.agent.storages.registry import open_storage

    with abort_on_signal():
        if scope.engine_name != DEFAULT_ENGINE:
            query = Query(scope.location, scope.hostname, scope.backup_name)
            engine(scope.engine_name).points(query)
            return
        storage = open_storage(scope.location, patient.paths.lib / "locks")
        storage.names("metadata")
        if write:
            name = "coldchain-doctor"
            with storage.lock(name):
                storage.discard_drafts(name)
                folder = f"data/{name}/{int(patient.now)}"
                marker = f"metadata/{name}/{int(patient.now)}/probe"
                with storage.draft(name, folder, marker) as draft, draft.write("probe") as sink:
                    sink(b"coldchain doctor was here\n")

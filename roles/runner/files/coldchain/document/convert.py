# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Other systems' jobs as canonical documents, with a note for everything that changed its meaning.

Pure: sources come as values or text.  One source that is no job never keeps another from being one.
"""

from __future__ import annotations

import copy
import hashlib
import json
import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from coldchain.core.errors import Problem
from coldchain.core.names import NAME
from coldchain.document.canonical_form import STOP, stopped
from coldchain.document.checking import check, no_document
from coldchain.document.context import Context
from coldchain.document.crontab import read_crontab
from coldchain.document.freezer_meaning import actions_of, keep_meaning
from coldchain.document.json_path import shown
from coldchain.document.normalize import (
    JOB_ID,
    OLD_SPELLING,
    OPTIONS_HOLDERS,
    kind_of,
    normalize,
    own_name,
)
from coldchain.document.sanity import sanity_problems

_LISTS = ("jobs", "sessions", "actions", "clients")


@dataclass(frozen=True)
class Note:
    """Something that means other than it did; source: a file, or a line of one ("cron:3")."""

    source: str
    problem: Problem

    def as_dict(self) -> dict[str, str]:
        """The JSON form."""
        return {"source": self.source, **self.problem.as_dict()}


@dataclass
class Conversion:
    """What has become of the sources.

    documents: canonical, each with a job_id of its own; skipped: (source, reason) of what is no
    job, or one that cannot be had here.
    """

    documents: list[dict[str, Any]] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {
            "documents": self.documents,
            "notes": [note.as_dict() for note in self.notes],
            "skipped": [{"source": source, "reason": reason} for source, reason in self.skipped],
        }


@dataclass
class _Candidate:
    """A job before it is checked.

    own_id: its job_id was the source's own; job_id: what the source says, whether a job can be
    called so or not; mark: as in CrontabEntry.
    """

    source: str
    document: dict[str, Any]
    name: str
    mark: str
    own_id: bool = False
    job_id: object = None
    notes: list[Problem] = field(default_factory=list)

    @property
    def known_as(self) -> str:
        """What its source calls it, where that calls it anything."""
        return self.name if self.job_id in (None, "") else str(self.job_id)


class Converter:
    """Gathers sources; ``result`` makes documents of all of them.

    context: what the documents are checked against; its client_id is not compared.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._candidates: list[_Candidate] = []
        self._sessions: list[tuple[str, Mapping[str, Any]]] = []
        self._result = Conversion()

    def skip(self, source: str, reason: str) -> None:
        """Put on record that *source* gave no job."""
        self._result.skipped.append((source, reason))

    def add_crontab(self, source: str, text: str, *, system: bool) -> None:
        """The jobs of a crontab; system: its lines name a user before the command."""
        entries = read_crontab(text, system=system)
        for entry in entries:
            place = f"{source}:{entry.number}"
            if entry.document is None:
                self.skip(place, entry.skipped)
            else:
                self._candidates.append(
                    _Candidate(place, entry.document, entry.name, entry.mark, notes=entry.notes)
                )
        if not entries:
            self.skip(source, "holds no entry")

    def add_freezer(self, source: str, value: object) -> None:
        """The jobs in a value of Freezer's: a job as its API, scheduler or Horizon has it, an
        action, a session, or lists of them, as deep as they lie."""
        before = len(self._candidates), len(self._sessions), len(self._result.skipped)
        for item in _items(value, 0):
            self._add_item(source, item)
        if before == (len(self._candidates), len(self._sessions), len(self._result.skipped)):
            self.skip(source, "holds no job, action or session")

    def _add_item(self, source: str, item: object) -> None:
        if not isinstance(item, dict):
            self.skip(source, no_document(item).message)
            return
        # Lists of ours, for module jobs, say so.
        if item.get("state") == "absent":
            self.skip(source, f"is to be absent: {shown(own_name(item))}")
            return
        if item.get("state") == "present":
            item = {key: value for key, value in item.items() if key != "state"}
        kind = kind_of(item)
        if kind == "job":
            self._add_job(source, item)
        elif kind == "action":
            job_id = own_name(item) or item.get("action_id")
            options = {key: value for key, value in item.items() if key not in JOB_ID}
            whole = options.keys() & OPTIONS_HOLDERS
            action = options if whole else {"freezer_action": options}
            self._add_job(source, {"job_id": job_id, "job_actions": [action]})
        elif kind == "session":
            self._sessions.append((source, item))
        elif kind == "client" or "client" in item or "client_id" in item:
            self.skip(source, "describes a client: hosts are in the inventory here")
        else:
            self.skip(source, f"is no job: it has {', '.join(sorted(map(str, item))[:5])}")

    def _add_job(self, source: str, job: Mapping[str, Any]) -> None:
        text = json.dumps(job, sort_keys=True, default=str)
        mark = hashlib.sha256(text.encode()).hexdigest()[:6]
        job_id = own_name(job)
        document = {key: copy.deepcopy(job[key]) for key in job if key not in JOB_ID}
        own_id = isinstance(job_id, str) and NAME.fullmatch(job_id) is not None
        name = str(job_id) if own_id else _name_of(document, job_id)
        candidate = _Candidate(source, document, name, mark, own_id, job_id)
        self._candidates.append(candidate)

    def result(self) -> Conversion:
        """Every source as far as it could be converted."""
        self._join_sessions()
        self._name_candidates()
        for candidate in self._candidates:
            self._finish(candidate)
        return self._result

    def _join_sessions(self) -> None:
        """A session's schedule and id go to its jobs: without a server, that is what it is."""
        for source, session in self._sessions:
            jobs = session.get("jobs")
            members = [str(name) for name in jobs] if isinstance(jobs, (dict, list)) else []
            here = [candidate for candidate in self._candidates if candidate.known_as in members]
            absent = sorted(set(members) - {candidate.known_as for candidate in here})
            if not here:
                self.skip(source, f"session of jobs that are not here: {', '.join(absent) or '-'}")
                continue
            if absent:
                self.note(source, Problem("$.jobs", f"not among the sources: {', '.join(absent)}"))
            if session.get("hold_off") is not None:
                self.note(
                    source,
                    Problem(
                        "$.hold_off",
                        "has no effect: jobs of a session start by their common schedule",
                    ),
                )
            for candidate in here:
                candidate.document["session_id"] = session["session_id"]
                if isinstance(session.get("schedule"), dict) and session["schedule"]:
                    own = candidate.document.pop("job-schedule", None)
                    own = candidate.document.get("job_schedule", own)
                    stays = {"status": STOP} if isinstance(own, dict) and stopped(own) else {}
                    candidate.document["job_schedule"] = {**session["schedule"], **stays}
                    candidate.notes.append(
                        Problem("$.job_schedule", f"is that of session {session['session_id']}")
                    )

    def _name_candidates(self) -> None:
        """A job_id for each: its own, or the name of what it does; a mark where two would share it,
        which is the same again at the next conversion."""
        sharing: dict[str, set[str]] = {}
        for candidate in self._candidates:
            sharing.setdefault(candidate.name, set()).add(candidate.mark)
        seen: set[str] = set()
        candidates, self._candidates = self._candidates, []
        for candidate in candidates:
            job_id = candidate.name
            if len(sharing[job_id]) > 1:
                job_id = f"{candidate.name[:120]}-{candidate.mark}"
            if job_id in seen:
                self.skip(candidate.source, f"is the same as another source of {candidate.name}")
                continue
            seen.add(job_id)
            self._candidates.append(candidate)
            why = ""
            if candidate.own_id and job_id != candidate.name:
                why = f"another source has {candidate.name} too"
            elif not candidate.own_id and candidate.job_id not in (None, ""):
                why = f"{shown(candidate.job_id)} is no name for a job"
            if why:
                candidate.notes.append(Problem("$.job_id", why, f"now {job_id}"))
            candidate.document["job_id"] = job_id

    def _finish(self, candidate: _Candidate) -> None:
        notes = list(candidate.notes)
        checked = check(
            candidate.document, self._context, lambda modern: notes.extend(keep_meaning(modern))
        )
        if checked.document is None:
            first, *others = checked.errors
            reason = f"{first.path}: {first.message}"
            if others:
                reason += f" (and {len(others)} more)"
            self.skip(candidate.source, reason)
            return
        self._result.documents.append(checked.document)
        for problem in (*notes, *checked.warnings):
            # The canonical form has today's names.
            if not problem.message.endswith(OLD_SPELLING):
                self.note(candidate.source, problem)

    def note(self, source: str, problem: Problem) -> None:
        """Put on record what a reader of *source* should know."""
        self._result.notes.append(Note(source, problem))


def _items(value: object, depth: int) -> Iterator[object]:
    """What is to be documents, in lists and wrappers as deep as it lies."""
    if depth > 8:
        return
    if isinstance(value, (list, tuple)):
        for item in value:
            yield from _items(item, depth + 1)
    elif isinstance(value, dict):
        lists = [key for key in _LISTS if isinstance(value.get(key), list)]
        if lists and "job_actions" not in value and "session_id" not in value:
            for key in lists:
                yield from _items(value[key], depth + 1)
        elif isinstance(value.get("job"), dict):
            yield {**{key: value[key] for key in value if key != "job"}, **value["job"]}
        elif value:
            yield value
    else:
        yield value


def _name_of(raw: object, job_id: object) -> str:
    """What a job without a usable job_id may be called: like that, or after what it does."""
    name = _slug(job_id[:200]) if isinstance(job_id, str) else ""
    if name:
        return name
    document = {} if sanity_problems(raw) else normalize(raw).document
    texts: list[object] = [
        options.get(key)
        for _unused, options in actions_of(document)
        for key in ("backup_name", "command")
    ]
    for text in (*texts, document.get("description")):
        words = text if isinstance(text, list) else str(text or "").split()
        first = str(words[0]).rsplit("/", 1)[-1] if words else ""
        name = _slug(first)
        if name:
            return name
    return "job"


def _slug(text: str) -> str:
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", plain).strip("-.")[:60]

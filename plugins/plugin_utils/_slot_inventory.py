# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: may change in any release.

"""The slots of an inventory, as the variables of a play give them."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import typing as t
from pathlib import Path

from ansible import constants as C
from ansible.errors import AnsibleError
from ansible_collections.coldchain.freezer.plugins.plugin_utils import _slot_fleet as fleets
from ansible_collections.coldchain.freezer.plugins.plugin_utils._runner_code import part

measures = part("cli/measures.py")

Offsets = dict[str, dict[tuple[str, str], int]]
Problems = dict[str, list[str]]


class Inventory:
    """What the variables of all hosts come to. Reading them takes longer than all the rest, so hosts share it."""

    def __init__(self, variables: t.Mapping[str, t.Any], slots: t.Any, status: list[str]) -> None:
        if "hostvars" not in variables:
            raise AnsibleError(
                "slots: there is no inventory here, whose hosts share the slots. Use it in a play."
            )
        self.hosts = sorted(map(str, variables["groups"]["all"]))
        self.hostvars = variables["hostvars"]
        # 5: {...} in YAML is slot "5".
        self.slots = (
            {str(name): slots[name] for name in slots} if isinstance(slots, t.Mapping) else slots
        )
        self.status = status

    def placed(self, host: str, jobs: t.Sequence[t.Any]) -> dict[str, t.Any]:
        """The jobs of a host, each in its place, and what is wrong."""
        problems = [fault for job in jobs if fleets.has_slot(job) for fault in fleets.faults(job)]
        own = {
            fleets.member(host, job)
            for job in jobs
            if fleets.has_slot(job) and not fleets.faults(job)
        }
        if problems or not own:
            return {"jobs": jobs, "problems": problems}
        slots = self.slots or {}
        fleet, found, wrong = self._shared(own)
        for unseen in sorted(own - set(fleet.members)):
            problems.append(
                f"job {unseen.job_id} is in slot {unseen.slot}, and the variables of the inventory do not have it so for"
                f" {host}, where all hosts look. Declare it in group_vars or host_vars, not in the play."
            )
        for name in ("", *sorted({member.slot for member in own})):
            problems += wrong.get(name, [])
        if problems:
            return {"jobs": jobs, "problems": problems}
        return {"jobs": [self._with_place(host, job, slots, found) for job in jobs], "problems": []}

    @staticmethod
    def _with_place(host: str, job: t.Any, slots: t.Mapping[str, t.Any], found: Offsets) -> t.Any:
        if not fleets.has_slot(job):
            return job
        placed = fleets.member(host, job)
        return fleets.with_place(
            job, slots[placed.slot]["within"], found[placed.slot][host, placed.job_id]
        )

    def whole(
        self,
    ) -> tuple[list[dict[str, t.Any]], dict[str, t.Any], Offsets, Problems, list[str]]:
        """For the plan: the documents of all hosts in their places, the slots, the places, what is wrong, the files."""
        fleet = fleets.read(self.hosts, self.hostvars)
        slots = self.slots or fleet.slots
        try:
            found, problems = fleets.place(fleet, slots, self.durations())
        except ValueError as error:
            return [], {}, {}, {"": [str(error)]}, []
        documents = []
        for host in self.hosts if not problems else ():
            variables = self.hostvars[host]
            if variables.get("coldchain_state") == "absent":
                continue
            for job in fleets.merged(variables):
                if not isinstance(job, t.Mapping) or job.get("state") == "absent":
                    continue
                if fleets.has_slot(job):
                    problems.setdefault(host, []).extend(
                        f"{host}: {fault}" for fault in fleets.faults(job)
                    )
                    if problems[host]:
                        continue
                    job = self._with_place(host, job, slots, found)
                document = {**fleets.body(job), "client_id": host}
                document.pop("state", None)
                documents.append(document)
        return documents, slots, found, {k: v for k, v in problems.items() if v}, self.status

    def durations(self) -> dict[tuple[str, str], int]:
        """How long runs took, by the status files. ValueError names the file and the remedy."""
        files = [(path, _content(path)) for path in self.status]
        try:
            return t.cast("dict[tuple[str, str], int]", measures.measured(files))
        except ValueError as error:
            raise ValueError(
                f"coldchain_slots_status: {error}. Write it with: {measures.WAY_OUT}."
            ) from None

    def _shared(self, own: set[fleets.Member]) -> tuple[fleets.Fleet, Offsets, Problems]:
        """The fleet and its places, found once for all of the processes that work on hosts.

        What does not show a job of this host as it is was read for something else, an earlier play, and is read anew, once.
        """
        path = Path(C.DEFAULT_LOCAL_TMP, f"coldchain-slots-{self._digest()}.json")
        try:
            stream = path.open("a+", encoding="utf-8")
        except OSError:  # then each reads for itself
            return _kept(self._read(own))
        with stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            stream.seek(0)
            shared = _parsed(stream.read())
            if shared is None or not (shared["last"] or own <= set(_kept(shared)[0].members)):
                shared = self._read(own)
                with contextlib.suppress(OSError):  # a full disk: the next one reads anew
                    stream.truncate(0)
                    json.dump(shared, stream, default=str)
                    stream.flush()
        return _kept(shared)

    def _read(self, own: set[fleets.Member]) -> dict[str, t.Any]:
        """The fleet and its places, as JSON."""
        fleet = fleets.read(self.hosts, self.hostvars)
        found, problems = fleets.place(fleet, self.slots or {}, self.durations())
        rows = {name: [[*key, at] for key, at in places.items()] for name, places in found.items()}
        last = not own <= set(fleet.members)
        return {"members": fleet.members, "found": rows, "problems": problems, "last": last}

    def _digest(self) -> str:
        """Of all that the places follow from, but for the jobs themselves."""
        files = []
        for name in self.status:
            try:
                status = Path(name).stat()
            except OSError:
                continue  # and durations() says so
            files.append([name, status.st_mtime_ns, status.st_size])
        text = json.dumps([self.hosts, self.slots, files], default=str, sort_keys=True)
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:24]


def _content(path: str) -> t.Any:
    """What the JSON of a status file holds, None when it is no JSON. ValueError names the file and the remedy."""
    try:
        text = Path(path).expanduser().read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise ValueError(
            f"coldchain_slots_status: {path} cannot be read: {reason}. Name a file that playbook status has"
            " written on this controller (coldchain_status_json), or leave coldchain_slots_status empty."
        ) from None
    return _parsed(text)


def _parsed(text: str) -> dict[str, t.Any] | None:
    """The JSON of a text, None when it is none or not all of it."""
    try:
        return t.cast("dict[str, t.Any]", json.loads(text))
    except ValueError:
        return None


def _kept(shared: t.Mapping[str, t.Any]) -> tuple[fleets.Fleet, Offsets, Problems]:
    members = [fleets.Member(*row) for row in shared["members"]]
    found = {
        name: {(host, job_id): at for host, job_id, at in rows}
        for name, rows in shared["found"].items()
    }
    return fleets.Fleet(members, {}, {}), found, shared["problems"]

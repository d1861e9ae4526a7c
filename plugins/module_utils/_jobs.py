# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: may change in any release.

"""Modules job and jobs: one body. A single job is a list of one.

The host's ``coldchain apply`` decides what changes, in check mode too: what is predicted and what is done cannot differ.
"""

from __future__ import annotations

import typing as t

from ansible_collections.coldchain.freezer.plugins.module_utils._arguments import (
    JobModule,
    Problem,
    given,
    job_options,
    refuse,
)
from ansible_collections.coldchain.freezer.plugins.module_utils._cli import (
    CliError,
    Coldchain,
    RunnerMissing,
)
from ansible_collections.coldchain.freezer.plugins.module_utils._text import (
    document_text,
    masked,
)

Entry = dict[str, t.Any]


class Wanted(t.NamedTuple):
    """One item of the task. document: None when the job shall be absent."""

    index: int
    job_id: str
    document: dict[str, t.Any] | None


def run_job(module: JobModule) -> t.NoReturn:
    """Declare the one job of the module's parameters, and end the module."""
    entry = declare(module, [wanted(0, module.params)])[0]
    module.exit_json(changed=changes(entry), job=public(entry), diff=difference(entry))


def run_jobs(module: JobModule) -> t.NoReturn:
    """Declare the jobs of the list in one transaction, and end the module."""
    items = [wanted(index, item) for index, item in enumerate(module.params["jobs"])]
    purge, allow_empty = module.params["purge"], module.params["allow_empty"]
    if purge and not allow_empty and all(item.document is None for item in items):
        module.fail_json(
            msg="purge with no job to keep would remove every job of this host, so it is refused."
            " If that is what you want, set allow_empty to true. Nothing was changed on this host."
        )
    flags = ["--purge"] * purge + ["--allow-empty"] * allow_empty
    entries = declare(module, items, flags)
    module.exit_json(
        changed=any(changes(entry) for entry in entries),
        jobs=[public(entry) for entry in entries],
        diff=[difference(entry) for entry in entries if changes(entry)],
    )


def wanted(index: int, item: t.Mapping[str, t.Any]) -> Wanted:
    """Read one item of validated parameters."""
    if item["state"] == "absent":
        return Wanted(index, item["job_id"], None)
    document = given(job_options(), item)
    del document["state"]
    return Wanted(index, item["job_id"], document)


def declare(
    module: JobModule, items: t.Sequence[Wanted], flags: t.Sequence[str] = ()
) -> list[Entry]:
    """Apply (in check mode: ask what would be applied), surface the warnings, return one entry a job."""
    client = Coldchain(module)
    first, repeated = unique(items)
    if repeated:
        refuse(module, repeated + foreseen(client, first))
    try:
        entries = apply(client, first, ["--check"] * module.check_mode + list(flags))
    except RunnerMissing as missing:
        if not module.check_mode:
            module.fail_json(msg=missing.message)
        module.warn(missing.message + " Check mode goes on as if it were there, without any job.")
        return [would_be(item) for item in items]
    except CliError as error:
        if error.errors:
            refuse(module, located(error, first))
        module.fail_json(msg=error.message)
    for entry in entries:
        for warning in entry.get("warnings") or ():
            module.warn(problem(Wanted(0, entry["job_id"], None), warning).line(listed=False))
    return entries


def apply(client: Coldchain, items: t.Sequence[Wanted], flags: t.Sequence[str]) -> list[Entry]:
    request = {
        "jobs": [item.document for item in items if item.document is not None],
        "absent": [item.job_id for item in items if item.document is None],
    }
    return client.call("apply", "-", *flags, data=request)["jobs"]


def unique(items: t.Sequence[Wanted]) -> tuple[list[Wanted], list[Problem]]:
    """The first item of every job_id, and a problem for each further one."""
    first: dict[str, Wanted] = {}
    problems = []
    for item in items:
        earlier = first.setdefault(item.job_id, item)
        if earlier is not item:
            message = f"already used by jobs[{earlier.index}]"
            hint = "every job of a host needs its own job_id"
            problems.append(Problem(item.index, item.job_id, "job_id", message, hint))
    return list(first.values()), problems


def foreseen(client: Coldchain, items: t.Sequence[Wanted]) -> list[Problem]:
    """What the runner would refuse too: a task that is refused anyway shall name everything at once."""
    try:
        apply(client, items, ["--check"])
    except CliError as error:
        return located(error, items)
    return []


def located(error: CliError, items: t.Sequence[Wanted]) -> list[Problem]:
    """The runner counts the documents that it was sent; the user counts the items of the task."""
    sent = [item for item in items if item.document is not None]
    by_id = {item.job_id: item for item in items}
    problems = []
    for finding in error.errors:
        number = finding.get("index")
        if isinstance(number, int) and 0 <= number < len(sent):
            item = sent[number]
        else:
            item = by_id.get(finding.get("job_id") or "", items[0])
        problems.append(problem(item, finding))
    return problems


def problem(item: Wanted, finding: t.Mapping[str, t.Any]) -> Problem:
    """What the runner has found, with the path as users write it: without the root "$."."""
    path = str(finding.get("path") or "")
    path = path[1:].lstrip(".") if path.startswith("$") else path
    return Problem(item.index, item.job_id, path, finding["message"], finding.get("hint") or "")


def would_be(item: Wanted) -> Entry:
    """The entry of a host that has no runner yet, and so no jobs."""
    return {
        "job_id": item.job_id,
        "change": "unchanged" if item.document is None else "created",
        "before": None,
        "after": item.document,
        "next_runs": [],
    }


def changes(entry: Entry) -> bool:
    return entry["change"] != "unchanged"


def public(entry: Entry) -> Entry:
    return {name: entry[name] for name in ("job_id", "change", "before", "after", "next_runs")}


def difference(entry: Entry) -> dict[str, str]:
    """Before and after for Ansible's --diff: the document and what it does to the calendar."""
    calendar = entry.get("calendar") or {}
    header = "job {}".format(entry["job_id"])
    return {
        "before_header": header,
        "after_header": header,
        "before": document_text(masked(entry["before"]), calendar.get("before") or ()),
        "after": document_text(
            masked(entry["after"], entry["before"]), calendar.get("after") or ()
        ),
    }

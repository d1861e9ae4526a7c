# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: may change in any release.

"""Modules job and jobs: one body. A single job is a list of one.

The host's ``coldchain apply`` judges the documents and decides what changes, in check mode too: what is predicted and what
is done cannot differ.
"""

from __future__ import annotations

import typing as t

from ansible_collections.coldchain.freezer.plugins.module_utils._arguments import (
    JobModule,
    items,
    problem,
)
from ansible_collections.coldchain.freezer.plugins.module_utils._cli import (
    CliError,
    Coldchain,
    RunnerMissing,
)

Entry = dict[str, t.Any]


def run_job(module: JobModule) -> t.NoReturn:
    """Declare the one job of the module's parameters, and end the module."""
    entry = declare(module, items(module.raw))[0][0]
    module.exit_json(changed=changes(entry), job=public(entry), diff=difference(entry))


def run_jobs(module: JobModule) -> t.NoReturn:
    """Declare the jobs of the list in one transaction, and end the module."""
    documents = items(module.raw)
    purge, allow_empty = module.params["purge"], module.params["allow_empty"]
    if purge and not allow_empty and not any(map(is_present, documents)):
        module.fail_json(
            msg="purge with no job to keep would remove every job of this host, so it is refused."
            " If that is what you want, set allow_empty to true. Nothing was changed on this host."
        )
    flags = ["--purge"] * purge + ["--allow-empty"] * allow_empty
    entries, undeclared = declare(module, documents, flags)
    module.exit_json(
        changed=any(changes(entry) for entry in entries),
        jobs=[public(entry) for entry in entries],
        undeclared=undeclared,
        diff=[difference(entry) for entry in entries if changes(entry)],
    )


def is_present(item: t.Any) -> bool:
    """Whether an item of a list is a job that shall be there."""
    return not (isinstance(item, dict) and item.get("state") == "absent")


def declare(
    module: JobModule, documents: t.Sequence[t.Any], flags: t.Sequence[str] = ()
) -> tuple[list[Entry], list[str]]:
    """Apply (in check mode: ask what would be applied) and surface the warnings.

    Returns one entry a job, and the jobs of the host that no document names.
    """
    flags = [*flags, *["--check"] * module.check_mode]
    if module.params["show_secrets"]:
        flags.append("--show-secrets")
    try:
        answer = Coldchain(module).call("apply", "-", *flags, data={"jobs": documents})
    except RunnerMissing as missing:
        if not documents:
            return [], []
        if not module.check_mode:
            module.fail_json(msg=missing.message)
        module.warn(missing.message + " Check mode goes on as if it were there, without any job.")
        module.results["unchecked"] = True
        return [would_be(item) for item in documents], []
    except CliError as error:
        if error.errors:
            module.refuse([problem(finding) for finding in error.errors])
        module.fail_json(msg=error.message)
    entries: list[Entry] = answer["jobs"]
    for entry in entries:
        for warning in entry.get("warnings") or ():
            finding = dict(warning, job_id=entry["job_id"], index=0)
            module.warn(problem(finding).line(listed=False))
    return entries, answer.get("undeclared", [])


def would_be(item: t.Any) -> Entry:
    """The entry of a host that has no runner yet, and so no jobs, and nobody who judges documents."""
    job_id = item.get("job_id") if isinstance(item, dict) else None
    return {
        "job_id": job_id or "?",
        "change": "created" if is_present(item) else "unchanged",
        "before": None,
        "after": None,
        "next_runs": [],
    }


def changes(entry: Entry) -> bool:
    """Whether anything happens to the job."""
    return entry["change"] != "unchanged"


def public(entry: Entry) -> Entry:
    """The part of the command's answer that the modules return."""
    return {name: entry[name] for name in ("job_id", "change", "before", "after", "next_runs")}


def difference(entry: Entry) -> dict[str, str]:
    """Before and after for Ansible's --diff: the document and what it does to the calendar."""
    header = "job {}".format(entry["job_id"])
    text = entry.get("diff") or {"before": "", "after": "# its document is not checked yet\n"}
    return {
        "before_header": header,
        "after_header": header,
        "before": text["before"],
        "after": text["after"],
    }

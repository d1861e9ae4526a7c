# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: may change in any release.

"""Modules job_info, backup_info and status_info: read, never change; what does not exist is an answer, not a failure."""

from __future__ import annotations

import json
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.coldchain.freezer.plugins.module_utils._cli import (
    CliError,
    Coldchain,
    RunnerMissing,
)


def run_job_info(module: AnsibleModule) -> t.NoReturn:
    """End the module with the jobs asked for (all when none is named) and the names that are unknown."""
    params = module.params
    names: list[str] = params["job_id"] or []
    arguments = ["list"]
    if params["status"]:
        arguments += ["--status", params["status"]]
    if params["session_id"] is not None:
        # In one word: a value may begin with a dash.
        arguments.append(f"--session={params['session_id']}")
    if params["documents"]:
        arguments.append("--documents")
        if params["show_secrets"]:
            arguments.append("--show-secrets")
    if params["history"]:
        arguments += ["--history", str(params["history"])]
    # So may a name; without one, all jobs are asked for.
    arguments += ["--", *names] if names else []
    answer = ask(module, arguments, {"jobs": [], "unknown": names, "runner_alive": False})
    results = {
        name: answer[name]
        for name in ("jobs", "unknown", "runner_alive", "session")
        if name in answer
    }
    if params["history"]:
        # It is the newest of runs.
        results["jobs"] = [
            {name: value for name, value in job.items() if name != "last_run"}
            for job in results["jobs"]
        ]
    module.exit_json(changed=False, msg=jobs_line(answer), **results)


def run_line(run: t.Mapping[str, t.Any]) -> str:
    """A run in a line: its result, and what its actions say."""
    words = [str(action["message"]) for action in run.get("actions") or () if action.get("message")]
    return "; ".join([f"{run['job_id']}: {run['result']}", *words])


def jobs_line(answer: t.Mapping[str, t.Any]) -> str:
    """The jobs in a line: how many there are, and which of them somebody should look at."""
    jobs = answer["jobs"]
    words = ["1 job" if len(jobs) == 1 else f"{len(jobs)} jobs"]
    for result in ("fail", "aborted"):
        names = [job["job_id"] for job in jobs if job.get("result") == result]
        if names:
            words.append(f"{result}: {', '.join(names)}")
    running = [job["job_id"] for job in jobs if job.get("status") in ("running", "aborting")]
    if running:
        words.append(f"running: {', '.join(running)}")
    stopped = [
        job["job_id"]
        for job in jobs
        if (job.get("stopped_by") or {}).get("what") in ("event", "unusable")
    ]
    if stopped:
        words.append(f"stopped: {', '.join(stopped)}")
    if answer["unknown"]:
        words.append(f"unknown: {', '.join(answer['unknown'])}")
    coming = sorted((job["next_run"], job["job_id"]) for job in jobs if job.get("next_run"))
    if coming:
        words.append("next is {1} at {0}".format(*coming[0]))
    if not answer["runner_alive"]:
        words.append("the runner is down")
    return "; ".join(words)


def run_backup_info(module: AnsibleModule) -> t.NoReturn:
    """End the module with the backups that match every given option."""
    filters = {
        "container": "--container",
        "backup_name": "--backup-name",
        "hostname": "--hostname",
        "job_id": "--job",
    }
    arguments = ["backups"]
    for name, option in filters.items():
        if module.params[name] is not None:
            # In one word: a value may begin with a dash.
            arguments.append(f"{option}={module.params[name]}")
    module.exit_json(changed=False, backups=ask(module, arguments, {"backups": []})["backups"])


# Exit codes of "coldchain status": protected, not protected, no runner at work.
STATUS_CODES = (0, 1, 69)


def run_status_info(module: AnsibleModule) -> t.NoReturn:
    """End the module with the host's status, and what a person wants to know of it."""
    days = module.params["days"]
    if days is not None and days < 1:
        module.fail_json(msg=f"days: {days} is too small: write 1 or more")
    entry = module.params["ledger_entry"]
    if entry is not None and entry < 1:
        module.fail_json(msg=f"ledger_entry: {entry} is too small: write 1 or more")
    nothing = {
        "protected": False,
        "runner": {"alive": False, "version": None, "since": None},
        **{name: [] for name in ("jobs", "series", "uncovered", "findings")},
    }
    arguments = ["status"] if days is None else ["status", "--days", str(days)]
    if entry is not None:
        arguments += ["--ledger-entry", str(entry)]
    status = ask(module, arguments, nothing, STATUS_CODES)
    if module.params["as_text"]:
        status = {"msg": status_line(status), "text": json.dumps(status, separators=(",", ":"))}
        module.exit_json(changed=False, **status)
    module.exit_json(changed=False, msg=status_line(status), **status)


def status_line(status: dict[str, t.Any]) -> str:
    """Whether a host is protected, and else the first thing that needs somebody."""
    if "host" not in status:
        return "not protected: the coldchain runner is not installed"
    name, number = status["host"], len(status["jobs"])
    if status["protected"]:
        what = f"{number} job{'' if number == 1 else 's'}" if number else "but no job is declared"
        return f"{name} is protected: {what}"
    needing = [finding for finding in status["findings"] if finding["severity"] == "critical"]
    first = f": {needing[0]['about']}: {needing[0]['text']}" if needing else ""
    more = f"; and {len(needing) - 1} more" if len(needing) > 1 else ""
    return f"{name} is not protected{first}{more}"


def ask(
    module: AnsibleModule,
    arguments: list[str],
    nothing: dict[str, t.Any],
    answered: t.Container[int] = (0,),
) -> dict[str, t.Any]:
    """The command's answer. On a host that has no runner yet a check mode run goes on, with ``nothing``.

    answered: as in Coldchain.call.
    """
    try:
        return Coldchain(module).call(*arguments, answered=answered)
    except RunnerMissing as missing:
        if not module.check_mode:
            module.fail_json(msg=missing.message)
        module.warn(missing.message)
        return nothing
    except CliError as error:
        if not (module.check_mode and error.unknown_job):
            module.fail_json(msg=error.message)
        module.warn(f"{error.message}; outside check mode an earlier task must declare it.")
        return nothing

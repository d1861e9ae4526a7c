# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: may change in any release.

"""Module job_event: ask the runner to do something with a job now, and tell what came of it."""

from __future__ import annotations

import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.coldchain.freezer.plugins.module_utils._cli import (
    CliError,
    Coldchain,
    RunnerMissing,
)

LAST_LINES = 20

# (event, status) that changes nothing, unless another event still waits for its turn (the job's own "event").
WITHOUT_EFFECT = {("start", "running"), ("stop", "stop"), ("abort", "stop")}


def run_event(module: AnsibleModule) -> t.NoReturn:
    """Send the event of the module's parameters (in check mode: predict it), and end the module."""
    client = Coldchain(module)
    job_id, event = module.params["job_id"], module.params["event"]
    try:
        job = current(client, job_id)
        if module.check_mode:
            if job is None and event != "remove":
                module.warn(
                    f"job '{job_id}' is not declared on this host; outside check mode an earlier task must declare it."
                )
            module.exit_json(
                changed=would_change(event, job), job_id=job_id, event=event, run=None, job=job
            )
        if job is None and event == "remove":
            module.exit_json(changed=False, job_id=job_id, event=event, run=None, job=None)
        answer = client.call(*command(module.params))
    except RunnerMissing as missing:
        if not module.check_mode:
            module.fail_json(msg=missing.message)
        module.warn(missing.message)
        module.exit_json(
            changed=would_change(event, None), job_id=job_id, event=event, run=None, job=None
        )
    except CliError as error:
        if error.answer.get("run"):
            fail_with_run(module, client, error)
        # After a wait in vain: what the run is doing.
        told = {name: error.answer[name] for name in ("job",) if error.answer.get(name)}
        module.fail_json(msg=error.message, **told)
    run = answer.get("run")
    module.exit_json(
        changed=answer["changed"], job_id=job_id, event=event, run=run, job=answer.get("job")
    )


def command(params: t.Mapping[str, t.Any]) -> list[str]:
    arguments = ["event", params["job_id"], params["event"]]
    if params["wait"]:
        arguments += ["--wait", "--timeout", str(params["timeout"])]
    return arguments


def current(client: Coldchain, job_id: str) -> dict[str, t.Any] | None:
    """The job as ``list`` shows it; None when it is not declared."""
    jobs = client.call("list", job_id)["jobs"]
    return jobs[0] if jobs else None


def would_change(event: str, job: t.Mapping[str, t.Any] | None) -> bool:
    """What the event would do to a job in this state."""
    if job is None:
        return event != "remove"
    status, waiting = job["status"], job["event"]
    if waiting == event:
        return (event, status) == ("abort", "aborting")  # the second time it is KILL
    return bool(waiting) or (event, status) not in WITHOUT_EFFECT


def fail_with_run(module: AnsibleModule, client: Coldchain, error: CliError) -> t.NoReturn:
    """The run has failed: its record and the end of its log belong into the result, before anybody has to look."""
    run = error.answer["run"]
    message, lines = [error.message], []
    try:
        log = client.call("log", run["job_id"], run["run_id"])
    except CliError as unread:
        message.append(unread.message)
    else:
        lines = log["text"].splitlines()[-LAST_LINES:]
        message.append("The end of {}:".format(log["path"]))
    module.fail_json(
        msg="\n".join(message + lines),
        changed=error.answer["changed"],
        job_id=module.params["job_id"],
        event=module.params["event"],
        job=error.answer.get("job"),
        run=run,
        log=lines,
    )

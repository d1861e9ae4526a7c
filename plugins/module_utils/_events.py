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
from ansible_collections.coldchain.freezer.plugins.module_utils._info import run_line

LAST_LINES = 20


def run_event(module: AnsibleModule) -> t.NoReturn:
    """Send the event of the module's parameters (in check mode: ask what it would do), and end the module."""
    client = Coldchain(module)
    job_id, event = module.params["job_id"], module.params["event"]
    asked = {"job_id": job_id, "event": event}
    if not job_id.strip():  # to remove what is not there would be no change, and no variable missed
        module.fail_json(msg="job_id is empty, it has to name a job", **asked)
    try:
        answer = client.call(*command(module.params, check=module.check_mode))
    except RunnerMissing as missing:
        if not module.check_mode:
            module.fail_json(msg=missing.message, **asked)
        module.warn(missing.message)
        answer = {"changed": event != "remove"}
    except CliError as error:
        if error.answer.get("run"):
            fail_with_run(module, client, error)
        if not error.unknown_job or (event != "remove" and not module.check_mode):
            # After a wait in vain: what the run is doing, and what the event has changed all the same.
            kept = ("job", "changed")
            progress = {name: error.answer[name] for name in kept if error.answer.get(name)}
            module.fail_json(msg=error.message, **asked, **progress)
        if event != "remove":
            module.warn(
                f"job '{job_id}' is not declared on this host; outside check mode an earlier task must declare it."
            )
        answer = {"changed": event != "remove"}
    module.exit_json(
        changed=answer["changed"],
        **asked,
        msg=told(module.params, answer, check=module.check_mode),
        run=answer.get("run"),
        job=job_beside(answer),
    )


def told(params: t.Mapping[str, t.Any], answer: t.Mapping[str, t.Any], *, check: bool) -> str:
    """In a line: what became of the event."""
    run = answer.get("run")
    if run:
        return run_line(run)
    if not answer["changed"]:
        said = "changes nothing"
    elif check:
        said = "would be asked for"
    else:
        said = "is done" if params["wait"] else "is asked for"
    return f"{params['job_id']}: {params['event']} {said}"


def job_beside(answer: t.Mapping[str, t.Any]) -> dict[str, t.Any] | None:
    """The job, without the record of the run when that is beside it."""
    job, run = answer.get("job"), answer.get("run")
    if job and run and (job.get("last_run") or {}).get("run_id") == run["run_id"]:
        return {name: value for name, value in job.items() if name != "last_run"}
    return job


def command(params: t.Mapping[str, t.Any], *, check: bool) -> list[str]:
    """The words of the command for the module's parameters; what cannot be used is refused in check mode, too."""
    wait = ["--wait", "--timeout", str(params["timeout"])] if params["wait"] else []
    # A name may begin with a dash.
    return ["event", *["--check"] * check, *wait, "--", params["job_id"], params["event"]]


def fail_with_run(module: AnsibleModule, client: Coldchain, error: CliError) -> t.NoReturn:
    """The run has failed: its record and the end of its log belong into the result, before anybody has to look."""
    message, lines = explained(client, error)
    module.fail_json(
        msg=message,
        changed=error.answer["changed"],
        job_id=module.params["job_id"],
        event=module.params["event"],
        job=job_beside(error.answer),
        run=error.answer["run"],
        log=lines,
    )


def explained(client: Coldchain, error: CliError) -> tuple[str, list[str]]:
    """Why the run in the command's answer has failed, with the end of its log: the message, and those lines."""
    run = error.answer["run"]
    message, lines = [error.message], []
    try:
        log = client.call("log", run["job_id"], run["run_id"])
    except CliError as unread:
        message.append(unread.message)
    else:
        lines = log["text"].splitlines()[-LAST_LINES:]
        message.append("The end of {}:".format(log["path"]))
    return "\n".join(message + lines), lines

# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: may change in any release.

"""Module restore: the runner brings a backup back, so that a lost connection does not end it.

What is asked for goes to ``coldchain restore`` on standard input. Check mode is its dry run.
"""

from __future__ import annotations

import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.coldchain.freezer.plugins.module_utils._arguments import restore_options
from ansible_collections.coldchain.freezer.plugins.module_utils._cli import (
    CliError,
    Coldchain,
    RunnerMissing,
)
from ansible_collections.coldchain.freezer.plugins.module_utils._events import explained

Answer = dict[str, t.Any]

KINDS = ("created", "replaced", "left_alone")


def run_restore(module: AnsibleModule) -> t.NoReturn:
    """Restore what the module's parameters name (in check mode: tell what that would do), and end the module."""
    client = Coldchain(module)
    fields = {
        name: module.params[name]
        for name in ("job_id", *restore_options())
        if module.params[name] is not None
    }
    looked: Answer = {}
    if module.check_mode or module._diff:
        looked = look(module, client, fields)
    results = foreseen(looked) if looked else {}
    if module.check_mode:
        if looked["refused"]:
            module.fail_json(msg=f"The restore would be refused: {looked['refused']}", **results)
        for warning in looked["warnings"]:
            module.warn(warning)
        told = looked["message"].removeprefix("dry run: ").removesuffix("; nothing was written")
        module.exit_json(changed=True, msg=told, job_id=None, run=None, **results)
    answer = restore(module, client, fields)
    run = answer["run"]
    if run is None:
        msg = f"{answer['job_id']} was asked for; the runner restores it"
    else:
        msg = run["actions"][0]["message"]
        for warning in run["actions"][0].get("report", {}).get("warnings", ()):
            module.warn(warning)
    module.exit_json(changed=True, msg=msg, job_id=answer["job_id"], run=run, **results)


def look(module: AnsibleModule, client: Coldchain, fields: Answer) -> Answer:
    """What the restore would do. Ends the module when that cannot be told; in check mode an earlier task may have to
    install the runner or declare the job yet."""
    try:
        arguments = ["restore", "--options", "-", "--dry-run", "--by-runner", *wait(module)]
        return client.call(*arguments, data=fields)
    except RunnerMissing as missing:
        go_on_without(module, missing.message)
    except CliError as error:
        if not error.unknown_job:
            module.fail_json(msg=error.message)
        later = "outside check mode an earlier task must declare it, and it must have run."
        go_on_without(module, f"{error.message}; {later}")


def go_on_without(module: AnsibleModule, message: str) -> t.NoReturn:
    """End the module because something is missing: in check mode as one that lets the play go on."""
    if not module.check_mode:
        module.fail_json(msg=message)
    module.warn(message)
    module.exit_json(changed=True, msg=message, job_id=None, run=None)


def restore(module: AnsibleModule, client: Coldchain, fields: Answer) -> Answer:
    """Let the runner do it; ends the module when that fails or takes longer than is waited for."""
    arguments = ["restore", "--options", "-", "--by-runner", *wait(module)]
    try:
        return client.call(*arguments, data=fields)
    except CliError as error:
        if not error.answer.get("run"):
            module.fail_json(msg=error.message)
        message, lines = explained(client, error)
        run, job_id = error.answer["run"], error.answer["job_id"]
        module.fail_json(msg=message, changed=True, job_id=job_id, run=run, log=lines)


def wait(module: AnsibleModule) -> list[str]:
    """How long to wait for the end, in words of the command."""
    return ["--timeout", str(module.params["timeout"])] if module.params["wait"] else ["--no-wait"]


def foreseen(looked: Answer) -> Answer:
    """What a restore makes of the files that are there: counts and names, and the same as a difference."""
    created, replaced, left = (looked[kind]["names"] for kind in KINDS)
    brought = {name: f"{name}  # as of {looked['time']}" for name in (*created, *replaced)}
    header = looked["restore_abs_path"]
    return {
        **{kind: looked[kind] for kind in KINDS},
        "point": {
            name: looked[name] for name in ("source", "chain", "level", "time", "time_stamp")
        },
        "diff": {
            "before_header": header,
            "after_header": header,
            "before": lines(sorted([*replaced, *left])),
            "after": lines([brought.get(name, name) for name in sorted([*brought, *left])]),
        },
    }


def lines(names: t.Sequence[str]) -> str:
    """The names as text, one in a line."""
    return "".join(f"{name}\n" for name in names)

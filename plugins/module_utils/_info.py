# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: may change in any release.

"""Modules job_info and backup_info: read, never change; what does not exist is an answer, not a failure."""

from __future__ import annotations

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
    arguments = ["list", *names]
    if params["status"]:
        arguments += ["--status", params["status"]]
    if params["session_id"] is not None:
        # In one word: a value may begin with a dash.
        arguments.append(f"--session={params['session_id']}")
    if params["documents"]:
        arguments.append("--documents")
    if params["history"]:
        arguments += ["--history", str(params["history"])]
    answer = ask(module, arguments, {"jobs": [], "unknown": names, "runner_alive": False})
    results = {name: answer[name] for name in ("jobs", "unknown", "runner_alive")}
    module.exit_json(changed=False, **results)


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


def ask(module: AnsibleModule, arguments: list[str], nothing: dict[str, t.Any]) -> dict[str, t.Any]:
    """The command's answer. On a host that has no runner yet a check mode run goes on, with ``nothing``."""
    try:
        return Coldchain(module).call(*arguments)
    except RunnerMissing as missing:
        if not module.check_mode:
            module.fail_json(msg=missing.message)
        module.warn(missing.message)
        return nothing
    except CliError as error:
        module.fail_json(msg=error.message)

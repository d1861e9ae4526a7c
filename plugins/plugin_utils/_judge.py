# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: may change in any release.

"""Modules job and jobs on a host that has no runner yet: the controller judges the documents.

The runner's own code lies in this collection. It is asked what it would do on a host without any job; where it cannot run
on the controller, which needs its libraries for that, nobody has judged, and the result says so.
"""

from __future__ import annotations

import json
import typing as t

from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action.normal import ActionModule as NormalAction
from ansible_collections.coldchain.freezer.plugins.module_utils._arguments import (
    items,
    judged,
    problem,
    refusal,
)
from ansible_collections.coldchain.freezer.plugins.module_utils._jobs import (
    changes,
    difference,
    public,
)
from ansible_collections.coldchain.freezer.plugins.plugin_utils._runner_code import ask


class JudgedAction(NormalAction):
    """The module, as always; after check mode on a host without a runner its result is completed."""

    def run(self, tmp: t.Any = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        arguments = dict(self._task.args)  # Ansible adds its own to them
        result: dict[str, t.Any] = super().run(tmp, task_vars)
        if not result.get("unchecked"):
            return result
        listed = "jobs" in arguments
        refused = bool(result.get("failed"))  # by Ansible, which knows of no document
        documents = judged(arguments) if refused else items(arguments)
        answer = judge(documents, show_secrets=boolean(arguments.get("show_secrets"), strict=False))
        if answer is None:
            self._display.warning(
                "What the jobs say is not checked: the runner's code cannot run on the controller."
            )
            return result
        del result["unchecked"]
        if not refused:
            return {**result, **completed(answer, listed)}
        if "error" in answer:
            found = map(problem, answer["error"]["errors"])
            result.update(refusal(found, listed=listed, first=result["msg"]))
        return result


def judge(documents: t.Any, *, show_secrets: bool = False) -> dict[str, t.Any] | None:
    """What ``coldchain apply --check`` answers for any host without jobs; None when it cannot run here."""
    flags = ["--show-secrets"] * show_secrets
    text = json.dumps({"jobs": documents}, default=str)
    code, answer = ask(["apply", "--check", "--any-host", *flags, "-"], text)
    if answer is None:
        return None
    refused = answer.get("error")
    # Anything but a judgement about the documents: a library is missing, a bug.
    return None if code and not (refused or {}).get("errors") else answer


def completed(answer: dict[str, t.Any], listed: bool) -> dict[str, t.Any]:
    """The part of the module's result that the answer tells."""
    if "error" in answer:
        found = map(problem, answer["error"]["errors"])
        return {"failed": True, "changed": False, **refusal(found, listed=listed)}
    # The calendar would be in the zone of the controller.
    entries = [dict(entry, next_runs=[]) for entry in answer["jobs"]]
    for entry in entries:
        entry["diff"] = {
            side: text.partition("# next runs:")[0] for side, text in entry["diff"].items()
        }
    changed = any(changes(entry) for entry in entries)
    if not listed:
        return {
            "changed": changed,
            "job": public(entries[0]),
            "diff": difference(entries[0]),
        }
    return {
        "changed": changed,
        "jobs": [public(entry) for entry in entries],
        "diff": [difference(entry) for entry in entries if changes(entry)],
    }

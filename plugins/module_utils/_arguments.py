# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: may change in any release.

"""Argument specifications put together, and modules whose documents the command judges.

Ansible converts options, stops at the first one that it refuses and does not say in which job of a list it stands. A job
document is judged by one judge, the host's command: it gets what the task says, as it was written, and names every
problem of every job at once. The options in the specification are for ansible-doc and for linters.
"""

from __future__ import annotations

import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.coldchain.freezer.plugins.module_utils._argspec import (
    JOB_OPTIONS,
    RESTORE_OPTIONS,
)
from ansible_collections.coldchain.freezer.plugins.module_utils._cli import (
    CliError,
    Coldchain,
    RunnerMissing,
)

Spec = dict[str, dict[str, t.Any]]

# Ansible's own word for the value of an option with no_log.
HIDDEN = "VALUE_SPECIFIED_IN_NO_LOG_PARAMETER"

# Options of module job that are no part of its document; state is one of an item of a list.
BESIDE = ("home", "show_secrets")

UNTOUCHED = "Nothing was changed on this host."


def home_options() -> Spec:
    """Where the installation is."""
    return {"home": {"type": "path"}}


def secrets_options() -> Spec:
    """Whether documents are returned with what they keep secret."""
    return {"show_secrets": {"type": "bool", "default": False}}


def identity_options() -> Spec:
    """Which job it is, and whether it shall exist."""
    return {
        "job_id": {"type": "str", "required": True},
        "state": {"type": "str", "default": "present", "choices": ["present", "absent"]},
    }


def document_options() -> Spec:
    """The fields of a job document; what may hold secrets is not logged."""
    return JOB_OPTIONS


def restore_options() -> Spec:
    """Which backup, and how it comes back: fields of a freezer_action."""
    return RESTORE_OPTIONS


def list_options() -> Spec:
    """A list of jobs, each a document as the command takes it."""
    return {"jobs": {"type": "list", "elements": "dict", "required": True, "no_log": True}}


def purge_options() -> Spec:
    """What becomes of the jobs that a list does not name."""
    return {
        "purge": {"type": "bool", "default": False},
        "allow_empty": {"type": "bool", "default": False},
    }


class Problem(t.NamedTuple):
    """One thing that is wrong. path is dotted from the job ("job_schedule.schedule_minute"), "" for the job itself."""

    index: int
    job_id: str
    path: str
    message: str
    hint: str = ""

    def line(self, listed: bool) -> str:
        """For people; ``listed``: the job stands in a list, so its position helps."""
        job = f"jobs[{self.index}] (job_id '{self.job_id}')" if listed else f"job '{self.job_id}'"
        parts = [job, self.path, self.message] if self.path else [job, self.message]
        return ": ".join(parts) + (f" ({self.hint})" if self.hint else "")


def problem(finding: t.Mapping[str, t.Any]) -> Problem:
    """What the command has found, with the path as users write it: without the root "$."."""
    path = str(finding.get("path") or "")
    path = path[1:].lstrip(".") if path.startswith("$") else path
    return Problem(
        int(finding.get("index") or 0),
        str(finding.get("job_id") or "?"),
        path,
        finding["message"],
        finding.get("hint") or "",
    )


def items(arguments: t.Mapping[str, t.Any]) -> t.Any:
    """The documents of a task of module job or jobs, as the command takes them."""
    if "jobs" in arguments:
        return arguments["jobs"]
    return [{name: value for name, value in arguments.items() if name not in BESIDE}]


def judged(arguments: t.Mapping[str, t.Any]) -> list[t.Any]:
    """The documents of a task that Ansible has refused: without what it has refused of them itself."""
    documents = items(arguments)
    if not isinstance(documents, list):
        return []
    if "jobs" in arguments or documents[0].get("state") == "absent":
        return documents
    return [{name: value for name, value in documents[0].items() if name != "state"}]


def refusal(problems: t.Iterable[Problem], *, listed: bool, first: str = "") -> dict[str, t.Any]:
    """msg and errors of a result that tells all problems; *first*: what Ansible has refused before."""
    ordered = sorted(problems, key=lambda item: item.index)
    lines = [*filter(None, [first]), *(item.line(listed) for item in ordered), UNTOUCHED]
    return {"msg": "\n".join(lines), "errors": [item._asdict() for item in ordered]}


class JobModule(AnsibleModule):
    """AnsibleModule that leaves the judgement of job documents to the command.

    ``raw`` holds the options as the task says them, ``results`` what is returned beside everything else; Ansible sees
    those options only that are no part of a document. What may hold secrets is in no log: neither the host's, nor the
    result's invocation, which -vvv shows.
    """

    def __init__(self, own: Spec, documents: Spec) -> None:
        """*documents*: the options that are documents or parts of one; *own*: the others."""
        self.raw: dict[str, t.Any] = {}
        self.results: dict[str, t.Any] = {}
        self._own = own
        self._ready = False
        super().__init__(argument_spec={**documents, **own}, supports_check_mode=True)
        self._ready = True

    def _load_params(self) -> None:
        super()._load_params()
        self.raw = {
            name: value for name, value in self.params.items() if not name.startswith("_ansible_")
        }
        for name in self.raw.keys() - self._own.keys():
            if "jobs" not in self.argument_spec:
                # Of a job, what is no option is a problem of its document.
                del self.params[name]
            elif name == "jobs" and isinstance(self.raw["jobs"], list):
                self.params["jobs"] = []

    def exit_json(self, **kwargs: t.Any) -> t.NoReturn:
        """End with a result that shows no secret of the arguments."""
        super().exit_json(invocation=self._invocation(), **self.results, **kwargs)

    def fail_json(self, msg: str, **kwargs: t.Any) -> t.NoReturn:
        """Fail with a result that shows no secret of the arguments."""
        if not self._ready:  # Ansible refuses an option of ours
            kwargs = {**self._with_findings(msg), **kwargs}
            msg = kwargs.pop("msg")
        super().fail_json(msg=msg, invocation=self._invocation(), **kwargs)

    def _with_findings(self, msg: str) -> dict[str, t.Any]:
        """What Ansible refuses, all of it, and what the command finds in the documents of the task."""
        checked = getattr(self, "validation_result", None)
        others = checked.error_messages[1:] if checked is not None else []
        msg = "\n".join([msg, *others])
        documents = judged(self.raw)
        if not documents or not isinstance(self.params.setdefault("home", None), (str, type(None))):
            return {"msg": msg}
        try:
            Coldchain(self).call("apply", "--check", "-", data={"jobs": documents})
        except RunnerMissing:
            return {"msg": msg, "unchecked": True}
        except CliError as error:
            if error.errors:
                listed = "jobs" in self.raw
                return refusal(map(problem, error.errors), listed=listed, first=msg)
        return {"msg": msg}

    def _invocation(self) -> dict[str, t.Any]:
        """The options that hold no secret, and the names of the others."""
        shown = {name: value if name in self._own else HIDDEN for name, value in self.raw.items()}
        return {"module_args": shown}

    def refuse(self, problems: t.Sequence[Problem]) -> t.NoReturn:
        """End the module with all problems in one message, and as data in ``errors``."""
        told = refusal(problems, listed="jobs" in self.argument_spec)
        self.fail_json(told["msg"], errors=told["errors"])

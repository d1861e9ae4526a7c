# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: may change in any release.

"""Argument specifications put together, and what a refused argument looks like.

Ansible stops at the first option it refuses and does not say in which job of a list it stands. A problem in a document
must look the same whether Ansible or the runner finds it: every one, with its index, job_id and path.
"""

from __future__ import annotations

import difflib
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.coldchain.freezer.plugins.module_utils._argspec import JOB_OPTIONS

Spec = dict[str, dict[str, t.Any]]

RELATIONS = (
    "mutually_exclusive",
    "required_together",
    "required_one_of",
    "required_if",
    "required_by",
)

PRESENT_NEEDS_ACTIONS = [("state", "present", ("job_actions",))]


def home_options() -> Spec:
    return {"home": {"type": "path"}}


def job_options() -> Spec:
    """The options of one job: the whole document, its identity and whether it shall exist."""
    return {
        "job_id": {"type": "str", "required": True},
        "state": {"type": "str", "default": "present", "choices": ["present", "absent"]},
        **JOB_OPTIONS,
    }


def jobs_options() -> Spec:
    """A list of jobs, each with the options of one."""
    job = {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": job_options(),
        "required_if": PRESENT_NEEDS_ACTIONS,
    }
    return {
        "jobs": job,
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


def refuse(module: AnsibleModule, problems: t.Sequence[Problem], **results: t.Any) -> t.NoReturn:
    """End the module with all problems in one message, and as data in ``errors``."""
    listed = "jobs" in module.params
    ordered = sorted(problems, key=lambda problem: problem.index)
    lines = [problem.line(listed) for problem in ordered]
    module.fail_json(
        msg="\n".join([*lines, "Nothing was changed on this host."]),
        errors=[problem._asdict() for problem in ordered],
        **results,
    )


class JobModule(AnsibleModule):
    """AnsibleModule whose refusals of job options name every problem and its place."""

    def fail_json(self, msg: str, **kwargs: t.Any) -> t.NoReturn:
        result = getattr(self, "validation_result", None)
        if result is not None and result.errors.messages and "errors" not in kwargs:
            problems = list(self._problems())
            if problems:
                refuse(self, problems)
        super().fail_json(msg, **kwargs)

    def _problems(self) -> t.Iterator[Problem]:
        listed = self.params.get("jobs")
        if "jobs" not in self.argument_spec:
            jobs, spec = [self.params], self.argument_spec
            relations = {"required_if": self.required_if}
        elif isinstance(listed, list):
            jobs, spec = listed, self.argument_spec["jobs"]["options"]
            relations = self.argument_spec["jobs"]
        else:
            return
        for index, job in enumerate(jobs):
            if not isinstance(job, dict):
                yield Problem(index, "?", "", f"a job must be a mapping of options, not {job!r}")
                continue
            for path, message, hint in findings(spec, job, relations):
                yield Problem(index, str(job.get("job_id") or "?"), path, message, hint)


def findings(
    spec: Spec,
    values: t.Mapping[str, t.Any],
    relations: t.Mapping[str, t.Any] | None = None,
    at: str = "",
) -> t.Iterator[tuple[str, str, str]]:
    """Everything that Ansible would refuse in ``values``, level by level: (path, message, hint)."""
    names = dict(spec)
    for option in spec.values():
        names.update((alias, option) for alias in option.get("aliases", ()))
    for name, value in values.items():
        path = at + str(name)
        option = names.get(name)
        if option is None:
            close = difflib.get_close_matches(str(name), list(names), 1)
            known = "known are {}".format(", ".join(sorted(spec)))
            yield path, "there is no such option", f"did you mean {close[0]}?" if close else known
        elif value is None:
            continue
        elif "options" not in option:
            alone = {name: dict(option, required=False, aliases=[])}
            for message in _refusals(alone, {name: value}):
                yield path, message, ""
        elif option["type"] == "list":
            for index, element in enumerate(value if isinstance(value, list) else [value]):
                yield from _nested(option, element, f"{path}[{index}]")
        else:
            yield from _nested(option, value, path)
    for name, option in spec.items():
        spellings = [name, *option.get("aliases", ())]
        if option.get("required") and all(values.get(each) is None for each in spellings):
            yield at + name, "is required", ""
    flat: Spec = {name: {"type": "raw"} for name in names}
    known = {name: value for name, value in values.items() if name in names and value is not None}
    wanted = {name: (relations or {}).get(name) for name in RELATIONS}
    for message in _refusals(flat, known, **wanted):
        yield at.rstrip("."), message, ""


def _nested(
    option: t.Mapping[str, t.Any], value: t.Any, path: str
) -> t.Iterator[tuple[str, str, str]]:
    if isinstance(value, dict):
        return findings(option["options"], value, option, path + ".")
    return iter([(path, f"must be a mapping of options, not {value!r}", "")])


def _refusals(spec: Spec, values: t.Mapping[str, t.Any], **relations: t.Any) -> list[str]:
    return ArgumentSpecValidator(spec, **relations).validate(dict(values)).error_messages


def given(spec: Spec, values: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """What the user has set: Ansible fills every other option, at every depth, with None.

    Aliases are left behind (Ansible keeps them beside the option they stand for). ``false`` for a text option means "not
    set", as in a job document; Ansible has already made the text "False" of it.
    """
    chosen = {}
    for name, option in spec.items():
        value = values.get(name)
        if value is None or (value == "False" and option.get("type", "str") in ("str", "path")):
            continue
        if "options" in option:
            if option["type"] == "list":
                value = [given(option["options"], element) for element in value]
            else:
                value = given(option["options"], value)
        chosen[name] = value
    return chosen

# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Module runner_plan: one command on the host, and the rest on the controller."""

from __future__ import annotations

import contextlib
import re
import shlex
import typing as t
from pathlib import Path

from ansible.plugins.action import ActionBase
from ansible.plugins.loader import lookup_loader
from ansible.utils.unsafe_proxy import wrap_var
from ansible_collections.coldchain.freezer.plugins.plugin_utils import _runner_plan as plans
from ansible_collections.coldchain.freezer.plugins.plugin_utils._bundle import bundle
from ansible_collections.coldchain.freezer.plugins.plugin_utils._runner_look import (
    UNIT_FILE,
    Host,
    Look,
    Places,
    keeps_secrets,
    loaded,
    look_of,
    places_of,
    words,
)

ROLE = Path(__file__).resolve().parents[2] / "roles" / "runner"
SPEC = {
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "purge_data": {"type": "bool", "default": False},
    "rollback": {"type": "bool", "default": False},
    "home": {"type": "str", "default": ""},
    "command": {"type": "str", "default": ""},
    "python": {"type": "str", "default": ""},
    "containers_dir": {"type": "str", "default": ""},
    "service_enabled": {"type": "bool", "default": True},
    "service_state": {"type": "str", "choices": ["started", "stopped"], "default": "started"},
    "credentials": {"type": "list", "elements": "dict", "default": []},
    "ignore_old_names": {"type": "bool", "default": False},
}
# What the role's templates use of the variables of a host.
VARIABLE = re.compile(r"\b(?:coldchain_\w+|ansible_managed)")
Result = dict[str, t.Any]


class ActionModule(ActionBase):
    """See modules/runner_plan.py."""

    _supports_check_mode = True
    _supports_diff = False

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> Result:
        """Look, and say what is to do; a failure tells everything that is in the way."""
        result: Result = super().run(tmp, task_vars)
        variables = task_vars or {}
        _validated, options = self.validate_argument_spec(argument_spec=SPEC)
        places = places_of(options["home"], options["command"])
        answer = self._answer(words(options, places), secret=keeps_secrets(options))
        look = look_of(answer["stdout"])
        if look is None or answer["rc"]:
            return {**result, **_unanswered(answer)}
        found = plans.findings(options, places, look.host, variables)
        if options["state"] == "absent":
            todo = plans.todo_when_absent(options, places, look)
            return {**result, **_told(found, todo, look, places)}
        return {**result, **self._present(options, places, look, found, variables)}

    def _answer(self, arguments: list[str], *, secret: bool) -> Result:
        """What the host's shell says to probe.sh, as module raw would ask: a host without a usable Python answers too."""
        script = (ROLE / "files" / "probe.sh").read_text(encoding="utf-8")
        command = shlex.join(["/bin/sh", "-c", script, "probe.sh", *arguments])
        with self._unseen() if secret else contextlib.nullcontext():
            return dict(self._low_level_execute_command(command, executable=False))

    @contextlib.contextmanager
    def _unseen(self) -> t.Iterator[None]:
        """The connection shows no output at -vvv, as if the task had no_log, which would hide what is in the way, too."""
        context = self._connection._play_context
        before = context.no_log
        context.no_log = True
        try:
            yield
        finally:
            context.no_log = before

    def _present(
        self,
        options: Result,
        places: Places,
        look: Look,
        found: list[str],
        variables: t.Mapping[str, t.Any],
    ) -> Result:
        """The plan for a host that shall have the runner."""
        ours = bundle()["release"]
        releases = plans.releases_of(places, look.host, ours, rollback=options["rollback"])
        files = self._files(options, places, look.host, variables)
        todo = plans.todo_when_present(options, places, releases, files, look)
        checked = self._task.check_mode
        found += plans.needs(options, places, releases, look.host, todo)
        # In check mode an earlier task may have promised to make a file.
        missing = "" if checked else look.host["missing"]
        found += plans.bad_credentials(options["credentials"], places, missing)
        if not found and checked and not look.host["current"]:
            text = plans.promise(options, places, ours, files[places.settings])
            return {"changed": True, "msg": text, "_ansible_verbose_always": True}
        return _told(found, todo, look, places, **releases._asdict())

    def _files(
        self, options: Result, places: Places, host: Host, variables: t.Mapping[str, t.Any]
    ) -> dict[str, str]:
        """What the role makes of its templates for the host, by path."""
        templates = {places.command: "coldchain.j2", places.settings: "runner.conf.j2"}
        if places.system:
            templates[UNIT_FILE] = "coldchain-runner.service.j2"
        # The names that vars/main.yml of the role gives to what this returns.
        known: Result = {f"__runner_{name}": value for name, value in places._asdict().items()}
        known["__runner_host"] = host
        known["__runner_loaded"] = loaded(options["credentials"])
        # ansible-core 2.18 evaluates whatever text it finds in a variable, and what a host has told may look like a template.
        known = wrap_var(known)
        lookup = lookup_loader.get(
            "ansible.builtin.template", loader=self._loader, templar=self._templar
        )
        files = {}
        for path, name in templates.items():
            template = ROLE / "templates" / name
            # Their values: of templates the lookup would evaluate each one each time that it is named, and it copies what it gets.
            used = set(VARIABLE.findall(template.read_text(encoding="utf-8"))) & variables.keys()
            known.update(
                (variable, wrap_var(self._templar.template(variables[variable])))
                for variable in used - known.keys()
            )
            files[path] = str(lookup.run([str(template)], dict(known))[0])
        return files


def _told(found: list[str], todo: list[str], look: Look, places: Places, **more: t.Any) -> Result:
    if found:
        return {"failed": True, "msg": found}
    return {
        "changed": False,
        "msg": todo or plans.DONE,
        "todo": todo,
        "host": dict(look.host),
        "places": places._asdict(),
        **more,
    }


def _unanswered(answer: t.Mapping[str, t.Any]) -> Result:
    """For a host whose shell did not come to the end of probe.sh."""
    output = [line for line in answer["stdout"].splitlines() if "secret=" not in line]
    said = (answer["stderr"].strip() or "\n".join(output)).splitlines()[-1:]
    told = [f"The look at this host did not come to its end (exit code {answer['rc']})."]
    return {
        "failed": True,
        "msg": " ".join([*told, *(f"Its shell has said: {line}" for line in said)]),
        "rc": answer["rc"],
        "stdout": "\n".join(output),
        "stderr": answer["stderr"],
    }

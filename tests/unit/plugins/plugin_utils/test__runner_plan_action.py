# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The action runner_plan: what it asks a host, and what it shows of the answer."""

from __future__ import annotations

import hashlib
import shlex
import subprocess
from types import SimpleNamespace

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import lookup_loader
from ansible.template import Templar
from ansible_collections.coldchain.freezer.plugins.action import runner_plan
from ansible_collections.coldchain.freezer.plugins.modules import runner_plan as documented
from ansible_collections.coldchain.freezer.plugins.plugin_utils import _runner_plan

DEFAULTS = yaml.safe_load((runner_plan.ROLE / "defaults" / "main.yml").read_text())
SECRET = {"name": "s3", "content": "KEY=hunter2"}
DIGEST = hashlib.sha256(b"KEY=hunter2\n").hexdigest()


class Looking(runner_plan.ActionModule):
    """Asks this machine, or is told what a host would answer."""

    answer = None

    def _low_level_execute_command(self, cmd, **more):
        self.asked, self.unseen = cmd, self._connection._play_context.no_log
        assert more == {"executable": False}
        if self.answer is not None:
            return self.answer
        done = subprocess.run(shlex.split(cmd), capture_output=True, text=True, check=False)
        return {"rc": done.returncode, "stdout": done.stdout, "stderr": done.stderr}


@pytest.fixture(autouse=True)
def _alone(monkeypatch):
    monkeypatch.setattr(runner_plan.ActionBase, "run", lambda self, tmp, task_vars: {})
    # By its short name, which needs no loader of collections.
    short = SimpleNamespace(get=lambda name, **more: lookup_loader.get(name[16:], **more))
    monkeypatch.setattr(runner_plan, "lookup_loader", short)
    monkeypatch.setattr(runner_plan, "bundle", lambda: {"release": "1.0.0-ours"})


@pytest.fixture
def look(tmp_path):
    """What a look returns: at a home in a directory of its own, with the role's defaults."""

    def run(check_mode=False, answer=None, more=None, **args):
        args.setdefault("home", f"{tmp_path}/home")
        variables = {**DEFAULTS, "coldchain_home": args["home"], **(more or {})}
        action = Looking.__new__(Looking)
        action._task = SimpleNamespace(
            args=args, check_mode=check_mode, async_val=0, action="x", collections=[]
        )
        action._loader = DataLoader()
        action._templar = Templar(action._loader, variables)
        action._connection = SimpleNamespace(_play_context=SimpleNamespace(no_log=False))
        action._play_context = None
        action.answer = answer
        result = action.run(task_vars=variables)
        assert action._connection._play_context.no_log is False
        return SimpleNamespace(asked=action.asked, unseen=action.unseen, **result)

    return run


def test_all_of_a_host_without_a_runner_is_to_do(look, tmp_path):
    found = look()
    home = f"{tmp_path}/home"
    assert found.msg == found.todo and found.changed is False
    assert {"current=1.0.0-ours", "complete=yes", f"mode:{home}/lib=700"} <= set(found.todo)
    assert found.places["directories"][0] == {"path": home, "mode": "0700"}
    assert found.release_dir == f"{home}/program/releases/1.0.0-ours"
    assert not found.unseen


def test_nothing_is_left_to_do_where_the_runner_never_was(look):
    found = look(state="absent")
    assert (found.msg, found.todo) == (_runner_plan.DONE, [])
    assert not hasattr(found, "release")


def test_check_mode_promises_what_a_run_would_do(look):
    found = look(check_mode=True, more={"coldchain_client_id": "web1"})
    assert found.changed and "client_id = web1" in found.msg
    assert not hasattr(found, "host")
    assert look(check_mode=True, state="absent").changed is False
    assert look(check_mode=True, rollback=True).failed


def test_the_digest_of_a_secret_is_asked_for_unseen_and_returned_nowhere(look, tmp_path):
    kept = tmp_path / "home" / "etc" / "credentials"
    kept.mkdir(parents=True)
    (kept / "s3").write_text("KEY=hunter2\n")
    (kept / "s3").chmod(0o600)
    found = look(credentials=[SECRET])
    assert found.unseen and found.host["credentials"] == "yes"
    assert "credentials" not in found.todo, "it was seen that it is as it shall be"
    (kept / "s3").chmod(0o644)
    assert "credentials" in look(credentials=[SECRET]).todo
    told = f"secret=600 {DIGEST} s3"
    broken = look(credentials=[SECRET], answer={"rc": 0, "stdout": f"a=1\n{told}", "stderr": ""})
    assert broken.failed and broken.stdout == "a=1"
    for result in (found, broken):
        assert "hunter2" not in str(result) and DIGEST not in str(result)


@pytest.mark.parametrize(
    ("code", "output", "errors", "last"),
    [
        (127, "", "sh: not found\n", "sh: not found"),
        (1, "sudo: a password is required\n", "", "sudo: a password is required"),
        (0, "uid=0\r\ntar=gnu\r\n", "", "tar=gnu"),
        (1, "", "", "(exit code 1)."),
    ],
)
def test_a_look_that_does_not_come_to_its_end_fails_with_what_was_said(
    look, code, output, errors, last
):
    found = look(answer={"rc": code, "stdout": output, "stderr": errors})
    assert found.failed and f"did not come to its end (exit code {code})" in found.msg
    assert found.msg.endswith(last)
    assert (found.rc, found.stderr, found.stdout.splitlines()) == (
        code,
        errors,
        output.splitlines(),
    )


def test_all_findings_come_in_one_message_without_anything_else(look):
    found = look(python="/bin/true", rollback=True, home="somewhere", command="x")
    assert found.failed and len(found.msg) == 4
    assert not hasattr(found, "host")


def test_a_file_of_systemd_s_is_no_finding_in_check_mode(look, tmp_path):
    file = [{"name": "a", "path": f"{tmp_path}/none"}]
    given = {"home": "", "credentials": file}
    (missing,) = [text for text in look(**given).msg if "no such file" in text]
    assert f"{tmp_path}/none" in missing
    said = look(check_mode=True, **given)
    assert "no such file" not in str(said.msg)


def test_the_variables_of_the_role_are_rendered_once_and_those_of_others_are_not(look):
    def settings(**more):
        wanted = look(more=more).todo
        (line,) = [told for told in wanted if "/runner.conf=" in told]
        return line

    trusted = getattr(__import__("ansible.template", fromlist=["x"]), "trust_as_template", str)
    plain = settings(coldchain_client_id="web1")
    assert settings(coldchain_client_id=trusted("{{ mine }}"), mine="web1") == plain
    assert settings(coldchain_client_id="web1", coldchain_other=trusted("{{ none }}")) == plain
    assert settings(coldchain_client_id="web2") != plain


def test_the_options_are_those_of_the_documentation():
    told = yaml.safe_load(documented.DOCUMENTATION)["options"]
    for about in told.values():
        del about["description"]
    assert told == runner_plan.SPEC


def test_all_that_is_returned_is_documented(look):
    found = vars(look()).keys() - {"asked", "unseen", "changed"}
    assert yaml.safe_load(documented.RETURN).keys() == found

# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One format, one door: agent and run take and refuse the same documents, in the same words."""

from __future__ import annotations

import copy
import io
import json
import sys
from typing import Any

import pytest
from cli_command import Command
from document_strategies import ACTIONS, crooked, damaged, documents, json_values, respelled
from examples import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from waiting import output

from coldchain.agent.report import Report

OPTIONS = st.sampled_from(
    [
        ("encrypt_pass_flie", "/root/key"),
        ("exlude", "*.tmp"),
        ("max_backup_level", 3),
        ("max-backup-level", "3"),
        ("engine_name", "rsync"),
        ("engine", "tar"),
        ("mode", "mysql"),
        ("mysql_conf", "/etc/my.cnf"),
        ("nova_inst_id", "1"),
        ("lvm_srcvol", "/dev/x/y"),
        ("snapshot", True),
        ("ssh_password", "x"),
        ("storage", "ssh"),
        ("storage", "swift"),
        ("container", "../x"),
        ("path_to_backup", "relative"),
        ("restore_from_date", "soon"),
        ("remove_older_than", -1),
        ("hostname", False),
        ("sync", "False"),
        ("dry_run", "1"),
        ("max_level", "False"),
        ("max_level", "True"),
        ("sync", "None"),
        ("sync", "5"),
        ("no_incremental", True),
        ("timeout", 120),
        ("command", ["true"]),
        ("command", "'open"),
        ("shell", True),
        ("user", None),
    ]
)


@st.composite
def one_action_documents(draw: st.DrawFn) -> Any:
    """Documents of one action in every form that they have, sound and broken."""
    action: dict[str, Any] = copy.deepcopy(draw(st.sampled_from(ACTIONS)))
    for name, value in draw(st.lists(OPTIONS, max_size=2)):
        action[name] = value
    if draw(st.integers(0, 4)) == 0:
        action[draw(st.sampled_from(sorted(action)))] = draw(st.one_of(json_values, crooked))
    form = draw(st.integers(0, 6))
    if form == 0:
        return action
    if form > 4:  # in a list, or what is no object
        lists = [[{"freezer_action": action}], {"jobs": [{"freezer_action": action}]}, []]
        return draw(st.one_of(st.sampled_from(lists), json_values))
    if form == 1:
        return {"freezer_action": action}
    beside = draw(st.sampled_from([{}, {"mandatory": True}, {"max_retries": "x"}, {"x": 1}]))
    if form == 2:
        return {"freezer_action": action, **beside}
    if form == 3:
        return {"job_id": "x", "job_actions": [{"freezer_action": action, **beside}]}
    document = draw(documents())
    document["job_actions"] = document["job_actions"][:1]
    return draw(respelled(document)) if draw(st.booleans()) else document


class Doors:
    """run and agent up to the point where something would be done."""

    def __init__(self, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
        self.command = command
        self.done: list[Any] = []
        monkeypatch.setattr("coldchain.runner.foreground.run_now", self._run_now)
        monkeypatch.setattr("coldchain.cli.agent.perform", self._perform)
        monkeypatch.setattr("coldchain.execution.command.run", self._perform)

    def _run_now(self, paths: Any, settings: Any, document: Any, *rest: Any) -> dict[str, Any]:
        self.done.append(document["job_actions"][0]["freezer_action"])
        return {
            "job_id": document["job_id"],
            "run_id": "r",
            "time_started": 0,
            "time_ended": 0,
            "result": "success",
        }

    def _perform(self, action: Any, **options: Any) -> Report:
        self.done.append(action)
        return Report(action["action"], "done", (), {})

    def says(self, raw: str, *words: str) -> tuple[int, Any, str]:
        """The exit code, what is about to be done, and what is told on standard error."""
        self.done.clear()
        before = sys.stdin
        sys.stdin = io.TextIOWrapper(io.BytesIO(raw.encode("utf-8", "surrogatepass")))
        try:
            self.command(*words)
        finally:
            sys.stdin = before
        return self.command.code, list(self.done), self.command.err


@pytest.fixture
def doors(command: Command, monkeypatch: pytest.MonkeyPatch) -> Doors:
    return Doors(command, monkeypatch)


def in_processes(command: Command, raw: str) -> list[tuple[int, str, str]]:
    """What agent and run say of a document, each in a process of its own."""
    config = command.home / "action.json"
    config.write_text(raw, encoding="utf-8", errors="surrogatepass")
    told = []
    for words in (["agent", "--config", str(config)], ["run", str(config)]):
        process = command.process(*words, stdout=-1, stderr=-1)
        out, err = output(process, 60)
        told.append((process.returncode, out, err))
    return told


@pytest.mark.long
def test_agent_and_run_take_and_refuse_alike(doors: Doors) -> None:
    accepted, refused = [], []

    @settings(max_examples=examples(200, 2000))
    @given(one_action_documents())
    def compare(document: Any) -> None:
        raw = json.dumps(document)
        agent = doors.says(raw, "agent", "--config", "-")
        run = doors.says(raw, "run", "-")
        assert agent == run
        (accepted if agent[0] == 0 else refused).append(raw)
        assert agent[0] == 0 or (agent[0] == 65 and not agent[1])

    compare()
    for raw in refused[::50]:
        of_agent, of_run = in_processes(doors.command, raw)
        assert of_agent == of_run
        assert of_agent[0] == 65
    assert len(accepted) > 25
    assert len(refused) > 50


OVER = ({"schedule_date": "2020-01-01"}, {"schedule_hour": 3, "schedule_end_date": "2020-01-01"})


@pytest.mark.long
def test_apply_and_validate_take_and_refuse_alike(command: Command) -> None:
    counted = {True: 0, False: 0}

    @settings(max_examples=examples(200, 2000))
    @given(damaged(), st.sampled_from([None, *OVER]))
    def compare(document: dict[str, Any], schedule: Any) -> None:
        document.update({} if schedule is None else {"job_schedule": schedule})
        raw = json.dumps(document).encode("utf-8", "surrogatepass")
        told = command.json("validate", "-", data=raw)
        applied = command.json("apply", "--check", "-", data=raw)
        if "error" in told:  # no JSON at all: Infinity
            assert applied == told
            return
        counted[command.code == 0] += 1
        problems = applied["error"]["errors"] if "error" in applied else []
        assert command.code == (65 if told["errors"] else 0)
        assert [{key: each[key] for key in ("path", "message", "hint")} for each in problems] == (
            told["errors"]
        )

    compare()
    assert min(counted.values()) > 25


@pytest.mark.parametrize(
    "lines",
    [
        "[action]\naction = backup\npath_to_backup = /srv\nencrypt_pass_flie = /root/key\n",
        "[default]\naction = backup\npath_to_backup = /srv\nexlude = x\n",
        "# of us\n[job:x]\naction = backup\npath_to_backup = /srv\nmode = mysql\n",
        "[action]\naction = backup\nsnapshot = True\nlvm_srcvol = /dev/v/x\npath_to_backup = /m\n",
        "[action]\nno line\n",
        "[storage:a]\nstorage = local\n[storage:b]\nstorage = ssh\n[default]\naction = info\n",
        "[action]\naction = info\n[default]\naction = backup\n",
    ],
)
def test_both_refuse_an_ini_file_alike(doors: Doors, lines: str) -> None:
    agent = doors.says(lines, "agent", "--config", "-")
    assert agent == doors.says(lines, "run", "-")
    assert agent[0] == 65
    assert not agent[1]


def test_every_form_of_freezer_agents_ini_means_its_action(doors: Doors) -> None:
    wanted = {"action": "backup", "storage": "local", "path_to_backup": "/srv", "container": "/c"}
    plain = "action = backup\nmode = fs\npath_to_backup = /srv\nhostname = False\nlog_file = None\n"
    for lines in (
        f"[action]\n{plain}storage = local\ncontainer = /c\n",
        f"[default]\n{plain}storage = local\ncontainer = /c\n",
        f"[job:x]\n{plain}[storage:y]\nstorage = local\ncontainer = /c\n",
        f"\n; of us\n[default]\naction = backup\n[job:x]\n{plain}container = /c\nstorage = local\n",
    ):
        for words in (("agent", "--config", "-"), ("run", "-")):
            code, done, told = doors.says(lines, *words)
            assert (code, told) == (0, "")
            (action,) = done
            assert action == {**wanted, "mode": "fs"}
    raw = lines.encode()
    assert doors.command("validate", "-", data=raw) == 0
    assert doors.command("apply", "--check", "-", data=raw) == 65  # it has no name to go by
    assert "job_id" in doors.command.err
    assert doors.command("apply", "--check", "--job-id", "j", "-", data=raw) == 0
    assert "+ j: created" in doors.command.out
    named = {"job": {"job_id": "j", "freezer_action": wanted}}
    assert doors.command("apply", "--check", "--job-id", "k", "-", data=named) == 64
    assert "called j" in doors.command.err
    assert doors.command("apply", "--check", "--job-id", "j", "-", data=named["job"]) == 0
    assert doors.command("apply", "--check", "--job-id", "j", "-", data=[named["job"]]) == 64


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("a%%b", "a%b"),
        ("%%", "%"),
        ("%(container)s/x", "/c/x"),
        ("%%(container)s", "%(container)s"),
        ("%Y", "%Y"),  # freezer-agent gives up on it
        ("100%", "100%"),
        ("%Y %%", "%Y %%"),
    ],
)
def test_a_percent_sign_of_an_ini_file_is_what_it_is_to_freezer_agent(
    doors: Doors, written: str, meant: str
) -> None:
    lines = (
        f"[action]\naction = backup\npath_to_backup = /srv\ncontainer = /c\nexclude = {written}\n"
    )
    for words in (("agent", "--config", "-"), ("run", "-")):
        code, done, told = doors.says(lines, *words)
        assert (code, told, done[0]["exclude"]) == (0, "", [meant])


def test_an_option_of_an_ini_file_that_is_meant_and_not_there_is_named(doors: Doors) -> None:
    lines = "[action]\naction = backup\npath_to_backup = /x\nssh_password = %(base)s/x\n"
    agent = doors.says(lines, "agent", "--config", "-")
    assert agent == doors.says(lines, "run", "-")
    assert agent[0] == 65 and "ssh_password in [action]" in agent[2] and "base" not in agent[2]


def test_agent_performs_one_action_and_says_who_performs_more(doors: Doors) -> None:
    action = {"freezer_action": {"action": "info"}}
    raw = json.dumps({"job_id": "x", "job_actions": [action, action]})
    code, done, told = doors.says(raw, "agent", "--config", "-")
    assert (code, done) == (65, [])
    assert "holds 2 actions" in told
    assert "coldchain run" in told


def test_the_result_file_of_a_refusal_names_every_problem(command: Command) -> None:
    config, result = command.home / "action.json", command.home / "result.json"
    config.write_text('{"action": "backup", "exlude": "x", "path_to_backup": "x"}')
    assert command("agent", "--config", str(config), "--result", str(result)) == 65
    told = json.loads(result.read_text())
    assert [each["path"].rpartition(".")[2] for each in told["errors"]] == [
        "exlude",
        "path_to_backup",
    ]
    assert "exlude: is unknown" in told["message"]
    words = command.err
    assert command("run", str(config)) == 65
    assert command.err == words


def test_the_doors_are_the_same_in_a_process_of_their_own(command: Command) -> None:
    raw = '{"action": "backup", "path_to_backup": "/srv", "encrypt_pass_flie": "/root/key"}'
    told = in_processes(command, raw)
    assert told[0] == told[1]
    assert told[0][0] == 65
    assert "did you mean encrypt_pass_file?" in told[0][2]

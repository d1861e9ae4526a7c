# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Arguments, homes, exit codes, and the ways in which a command can end."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cli_command import PACKAGE, Command, exec_job
from waiting import output

import coldchain
import coldchain.cli.list
from coldchain.cli import entry, run, selftest
from coldchain.core.errors import UsageError
from coldchain.selftest import SelftestResult


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["frob"],
        ["list", "--no-such"],
        ["list", "--status", "odd"],
        ["history", "x", "-n", "-1"],
        ["history", "x", "-n", "9" * 20],
        ["event", "x", "explode"],
        ["validate"],
        ["next", "x", "y"],
        ["lis"],
        ["simulate", "x"],
    ],
)
def test_a_wrong_command_line_is_exit_code_64(command: Command, words: list[str]) -> None:
    assert command(*words) == 64
    assert command.out == ""
    assert command.err.startswith("coldchain: ")
    assert command.error(*words)["message"]


def test_json_may_stand_before_and_after_the_command(command: Command) -> None:
    for words in (["--json", "show", "x"], ["show", "--json", "x"], ["show", "x", "--json"]):
        assert command(*words) == 69
        assert json.loads(command.out)["error"]["code"] == 69
        assert command.err == ""


def test_help_and_version_end_with_0(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["--help"], ["--version"], *([name, "--help"] for name in entry._COMMANDS)):
        with pytest.raises(SystemExit) as ended:
            run(words)
        assert ended.value.code in (0, None)
        assert capsys.readouterr().out
    with pytest.raises(SystemExit):
        run(["--version"])
    assert capsys.readouterr().out == f"coldchain {coldchain.__version__}\n"


def test_the_home_comes_from_option_launcher_variable_in_this_order(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    homes = {}
    for name in ("option", "launcher", "variable"):
        homes[name] = tmp_path / name
        Command.__call__(_at(command, homes[name]), "apply", "-", data=exec_job(name))
        assert command.code == 0
    monkeypatch.setenv("COLDCHAIN_HOME", str(homes["variable"]))

    def listed(*words: str, launcher: Path | None = None) -> list[str]:
        command._capsys.readouterr()
        assert run([*words, "--json", "list"], default_home=launcher) == 0
        return [job["job_id"] for job in json.loads(command._capsys.readouterr().out)["jobs"]]

    assert listed() == ["variable"]
    assert listed(launcher=homes["launcher"]) == ["launcher"]
    assert listed("--home", str(homes["option"]), launcher=homes["launcher"]) == ["option"]


def _at(command: Command, home: Path) -> Command:
    home.mkdir(mode=0o700)
    command.home = home
    return command


def test_where_nothing_is_installed_the_remedy_is_named(command: Command) -> None:
    for words in (["list"], ["show", "x"], ["history", "x"], ["event", "x", "start"]):
        error = command.error(*words)
        assert command.code == 69
        assert "coldchain.freezer.runner" in error["hint"]
        assert "--home DIR" in error["hint"]
    assert list(command.home.iterdir()) == []


def test_where_nothing_was_declared_a_list_is_empty(command: Command) -> None:
    (command.home / "lib").mkdir(mode=0o700)
    assert command.json("list")["jobs"] == []
    assert command("list") == 0
    assert command.out.startswith("JOB")


@pytest.mark.parametrize("words", [["list"], ["apply", "-"], ["serve"], ["agent", "--config", "-"]])
def test_a_home_that_others_can_write_is_refused(command: Command, words: list[str]) -> None:
    command.home.chmod(0o777)
    error = command.error(*words, data=exec_job("x"))
    assert error["code"] == 69
    assert "can be written by others" in error["message"]
    assert error["hint"] == f"chmod go-w {command.home}"
    assert list(command.home.iterdir()) == []


def test_a_database_that_is_not_ours_is_refused(command: Command) -> None:
    assert command("apply", "-", data=exec_job("x")) == 0
    jobs = command.home / "lib" / "jobs.json"
    jobs.write_text('{"something": "else"}')
    error = command.error("list")
    assert error["code"] == 65
    assert str(jobs) in error["message"]
    command("apply", "-", data=exec_job("y"))
    assert command.code == 65
    assert jobs.read_text() == '{"something": "else"}'


def test_a_settings_file_with_a_mistake_is_named(command: Command) -> None:
    settings = command.home / "etc" / "runner.conf"
    settings.parent.mkdir(mode=0o755)
    settings.write_text("[runner]\nconcurent_jobs = 3\n")
    settings.chmod(0o644)
    error = command.error("apply", "-", data=exec_job("x"))
    assert error["code"] == 65
    assert "concurrent_jobs" in error["hint"]
    settings.write_text("[runner]\nof_a_later_release =\n")
    assert command("apply", "-", data=exec_job("x")) == 0


def test_a_bug_of_ours_is_exit_code_70_with_a_traceback(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(call: Any) -> int:
        raise ZeroDivisionError("oops")

    monkeypatch.setattr(coldchain.cli.list, "run", broken)
    assert command("list") == 70
    assert "Traceback" in command.err
    assert "oops" in command.err
    assert command.error("list")["code"] == 70


def test_an_interrupt_is_no_traceback(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(call: Any) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(coldchain.cli.list, "run", interrupted)
    assert command("list") == 130
    assert command.err == ""


def test_a_reader_that_goes_away_is_no_traceback(command: Command) -> None:
    command("apply", "-", data=[exec_job(f"job{number}") for number in range(600)])
    reading, writing = os.pipe()
    os.close(reading)
    process = command.process("list", stdout=writing, stderr=subprocess.PIPE)
    os.close(writing)
    _, error = output(process)
    assert process.returncode == 141
    assert "Traceback" not in error
    assert "Exception ignored" not in error


@pytest.mark.parametrize("words", [["list"], ["--json", "list"]])
def test_an_answer_that_cannot_be_written_is_an_error(command: Command, words: list[str]) -> None:
    command("apply", "-", data=exec_job("j"))
    with open("/dev/full", "w") as full:
        process = command.process(*words, stdout=full, stderr=subprocess.PIPE)
        _, error = output(process)
    assert process.returncode == 73
    assert "standard output or a file: No space left on device" in error
    assert "Traceback" not in error and "Exception ignored" not in error


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_standard_streams_are_no_bug(command: Command, closed: str) -> None:
    """A database that is opened in place of one of them would get the answer written into it."""
    words = f'"$0" -m coldchain --home {command.home} "$@" {closed}'
    environment = {**os.environ, "PYTHONPATH": str(PACKAGE)}
    file = command.home / "document"
    file.write_text(json.dumps(exec_job("j")))
    for arguments in (["apply", str(file)], ["list"]):
        process = subprocess.run(
            ["sh", "-c", words, sys.executable, *arguments], env=environment, capture_output=True
        )
        assert process.returncode == 0 and b"Traceback" not in process.stderr, process.stderr
    assert command.json("list")["jobs"][0]["job_id"] == "j"


def test_a_killed_action_is_no_success_where_the_end_of_children_is_ignored(
    command: Command,
) -> None:
    job = exec_job("j", "sh", "-c", "kill -KILL $PPID; sleep 3600")
    assert command("apply", "-", data=job) == 0
    words = ["env", "--ignore-signal=CHLD", sys.executable, "-m", "coldchain", "--home"]
    environment = {**os.environ, "PYTHONPATH": str(PACKAGE)}
    subprocess.run([*words, str(command.home), "run", "j"], env=environment, check=False)
    assert command.json("list", "j")["jobs"][0]["result"] == "fail"


def test_no_command_is_deaf_to_what_whoever_started_the_runner_ignores(command: Command) -> None:
    """As nohup, or a shell in whose background it is; or to what that one holds back."""
    job = exec_job("j", "grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status")
    deaf = ["env", "--ignore-signal=INT,QUIT,HUP,TERM", "--block-signal=USR1,ALRM,TERM"]
    words = [*deaf, sys.executable, "-m", "coldchain", "--home", str(command.home), "run", "-"]
    told = subprocess.run(
        words,
        env={**os.environ, "PYTHONPATH": str(PACKAGE)},
        input=json.dumps(job),
        capture_output=True,
        text=True,
        check=False,
    )
    masks = re.findall(r"Sig\w+:\s+([0-9a-f]+)", told.stdout)
    # The C library keeps two for itself, which nobody else can send.
    ours = sum(1 << number - 1 for number in signal.valid_signals())
    assert [int(mask, 16) & ours for mask in masks] == [0, 0], told


def _pipe(path: Path) -> None:
    os.mkfifo(path, 0o600)


def _folder(path: Path) -> None:
    path.mkdir(mode=0o700)


@pytest.mark.parametrize("odd", [_pipe, _folder])
@pytest.mark.parametrize("name", ["etc/runner.conf", "lib/jobs.json", "lib/state.json"])
def test_what_is_no_file_is_named_and_not_waited_for(
    command: Command, name: str, odd: Callable[[Path], None]
) -> None:
    command("apply", "-", data=exec_job("j"))
    path = command.home / name
    path.parent.mkdir(mode=0o700, exist_ok=True)
    path.unlink(missing_ok=True)
    odd(path)
    assert command.error("list") == {
        "code": 69,
        "message": f"{path}: is not a file",
        "hint": "move away what is there",
        "errors": [],
    }
    assert command("serve") == 69


@pytest.mark.parametrize(
    "words",
    [
        ["list"],
        ["list", "--documents"],
        ["status"],
        ["show", "x"],
        ["history", "x"],
        ["next", "x"],
        ["log", "x"],
    ],
)
def test_reading_commands_import_only_what_they_need(command: Command, words: list[str]) -> None:
    assert command("apply", "-", data=exec_job("x")) == 0
    assert command("run", "x") == 0  # what no runner has seen yet has to be predicted
    code = (
        "import sys; from coldchain.cli import run; run(sys.argv[1:]);"
        "print(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "--home", str(command.home), *words],
        env={**os.environ, "PYTHONPATH": str(PACKAGE)},
        capture_output=True,
        text=True,
        check=True,
    )
    modules = set(done.stderr.splitlines()[-1].split())
    assert "coldchain.cli.entry" in modules
    assert not modules & {
        "jsonschema",
        "schedule",
        "subprocess",
        "asyncio",
        "coldchain.document.rules",
    }
    if words[0] not in ("next", "status"):
        assert "coldchain.schedule" not in modules
    if words[0] != "status":  # which looks for programs
        assert not modules & {"lzma", "shutil"}


def test_a_backup_imports_nothing_of_a_restore(command: Command, tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    config = tmp_path / "action.json"
    config.write_text(
        json.dumps(
            {
                "freezer_action": {
                    "action": "backup",
                    "path_to_backup": str(tmp_path / "source"),
                    "container": str(tmp_path / "container"),
                }
            }
        )
    )
    code = (
        "import sys; sys.path.insert(0, sys.argv.pop(1)); from coldchain.cli import run;"
        "run(sys.argv[1:]); print(*sys.modules, file=sys.stderr)"
    )
    # Without site, which has imports of its own.
    words = [sys.executable, "-I", "-S", "-c", code, str(PACKAGE), "--home", str(command.home)]
    done = subprocess.run(
        [*words, "agent", "--canonical", "--config", str(config)],
        capture_output=True,
        text=True,
        check=True,
    )
    modules = set(done.stderr.splitlines()[-1].split())
    assert "coldchain.agent.engines.tar.backup.action" in modules
    assert not modules & {
        "coldchain.agent.engines.tar.restore.action",
        "coldchain.execution.command",
        "coldchain.store",
    }
    assert not modules & {"difflib", "socket", "traceback", "jsonschema"}
    assert not modules & {"coldchain.document", "dataclasses", "inspect"}


@pytest.mark.parametrize(
    ("line", "sure"),
    [
        ("list", True),
        ("list list", True),
        ("--home list --json list", True),
        ("--home=x show j --no-such", True),
        ("--home x --home y event j strat", True),
        ("--home --json list", True),
        ("--home --home list", False),
        ("bogus list", False),
        ("--bogus list", False),
        ("--json=1 list", False),
        ("-- list", False),
        ("--home", False),
    ],
)
def test_a_command_line_means_the_same_where_only_its_command_is_known(
    line: str, sure: bool
) -> None:
    words, answers = line.split(), []
    called, alone = entry._command_of(words)
    assert alone == sure
    for only in (alone, False):
        try:
            answers.append(str(vars(entry._parser(called, only).parse_args(words))))
        except UsageError as error:
            answers.append(f"{error.message}: {error.hint}")
    assert answers[0] == answers[1]


@pytest.mark.parametrize("words", [["--help"], ["restore", "--help"]])
def test_help_is_as_wide_as_the_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    longest = []
    for width in (60, 120):
        monkeypatch.setenv("COLUMNS", str(width))
        with pytest.raises(SystemExit):
            run(words)
        longest.append(max(map(len, capsys.readouterr().out.splitlines())))
    assert longest[0] < 80 < longest[1] < 120


def test_an_idle_runner_carries_nothing_of_the_agent_and_no_openssl(command: Command) -> None:
    schedule = {"schedule_hour": "3", "schedule_splay": "1 hours"}
    assert command("apply", "-", data=exec_job("x", job_schedule=schedule)) == 0
    code = (
        "import gc, sys; from coldchain.cli import run; run(sys.argv[1:]);"
        "print(gc.isenabled(), gc.get_freeze_count() > 10_000, file=sys.stderr);"
        "print(*sys.modules, file=sys.stderr)"
    )
    # Coverage, where it measures, has imports of its own in every process.
    environment = {key: os.environ[key] for key in os.environ if not key.startswith("COVERAGE_")}
    process = subprocess.Popen(
        [sys.executable, "-c", code, "--home", str(command.home), "serve"],
        env={**environment, "PYTHONPATH": str(PACKAGE)},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None
        assert any("runner ready: 1 jobs" in line for line in process.stderr)
        process.send_signal(signal.SIGTERM)
        dummy, error = output(process)
    finally:
        process.kill()
    *dummy, collector, names = error.splitlines()
    assert collector == "True True"  # garbage is looked for, but not in what was loaded
    modules = set(names.split())
    assert "coldchain.runner.daemon" in modules
    assert not modules & {"jsonschema", "coldchain.document.rules", "_hashlib", "ssl", "tempfile"}
    assert not modules & {"lzma", "shutil"}
    working = ("action", "engines.tar", "process.pipeline", "storages.local", "storages.rclone")
    prefixes = tuple(f"coldchain.agent.{name}" for name in working)
    assert not [name for name in modules if name.startswith(prefixes)]


def test_what_steers_a_terminal_is_shown_and_not_sent(command: Command) -> None:
    job = exec_job("x", description="\x1b[31mred\u202e \N{SNOWMAN}")
    assert command("apply", "-", data=job) == 0
    for words in (["list"], ["explain", "x"], ["show", "x"], ["apply", "--check", "-"]):
        assert command(*words, data={**job, "description": "\x1b]0;x"}) == 0
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f\u202e]", command.out + command.err)


def test_an_output_that_cannot_say_a_character_still_gets_a_line(command: Command) -> None:
    assert command("apply", "-", data=exec_job("x", description="täglich")) == 0
    process = subprocess.run(
        [sys.executable, "-m", "coldchain", "--home", str(command.home), "list"],
        env={**os.environ, "PYTHONPATH": str(PACKAGE), "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "t\\xe4glich" in process.stdout


@pytest.mark.parametrize("lost", [[], ["j: a run is lost"]])
def test_a_selftest_can_be_repeated_and_keeps_the_evidence(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lost: list[str]
) -> None:
    homes = []

    def tortured(home: Path, rounds: int, seed: int, _tell: Any) -> SelftestResult:
        homes.append(home)
        return SelftestResult(str(home), seed, rounds, violations=lost)

    monkeypatch.setattr(selftest, "torture", tortured)
    words = ("selftest", "--directory", str(tmp_path), "--rounds", "3")
    answer = command.json(*words, "--seed", "7")
    assert (answer["seed"], answer["rounds"], command.code) == (7, 3, int(bool(lost)))
    assert command(*words, "--seed", "7") == int(bool(lost))
    assert f"{len(lost)} violations" in command.out
    assert (f"everything is kept in {homes[-1]} (seed 7)" in command.err) is bool(lost)
    assert [home.is_dir() for home in homes] == [bool(lost)] * 2
    drawn = {command.json(*words)["seed"] for dummy in range(3)}
    assert len(drawn) > 1 and all(0 <= seed < 10**6 for seed in drawn)

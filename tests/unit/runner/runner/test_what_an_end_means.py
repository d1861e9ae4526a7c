# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the end of an action makes of it: its result, and whether it is tried again."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest

from coldchain.execution.process import Ending, Process
from coldchain.execution.run_log import RunLog
from coldchain.store import Change

AGAIN = {"max_retries": 2, "max_retries_interval": 0}


def only_action(host: Any) -> dict[str, Any]:
    (action,) = host.runs("j")[0]["actions"]
    return dict(action)


@pytest.mark.parametrize(
    ("line", "result", "attempts", "message"),
    [
        ("kill -TERM $$", "aborted", 1, "killed by SIGTERM (exit code 143)"),
        ("exit 143", "fail", 3, "exit code 143"),
        ("sh -c 'kill -TERM $$'; exit $?", "fail", 3, "exit code 143"),
        ("kill -KILL $$", "fail", 3, "killed by SIGKILL (exit code 137)"),
        ("exit 137", "fail", 3, "exit code 137"),
        ("exit 75", "fail", 1, "exit code 75 (exit code 75: not tried again)"),
        ("no-such-program", "fail", 3, "exit code 127: command not found"),
    ],
)
def test_a_signal_is_told_from_an_exit_code(
    host: Any, line: str, result: str, attempts: int, message: str
) -> None:
    host.declare("j", (line, AGAIN), ("true", {}))
    host.start()
    run = host.runs("j")[0]
    first, second = run["actions"]
    assert (first["result"], first["attempts"], first["message"]) == (result, attempts, message)
    assert run["result"] == result and second["result"] == "skipped"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"command": ["no-such-program"]}, "there is no program 'no-such-program'"),
        ({"command": ["eval", "touch x"]}, "there is no program 'eval'"),
        ({"command": ["/no/such/program"]}, "there is no program /no/such/program"),
        ({"command": ["true"], "user": "no-such-user"}, "no user 'no-such-user'"),
    ],
)
def test_what_would_fail_again_is_not_tried_again(
    host: Any, fields: dict[str, Any], message: str
) -> None:
    entry = {"freezer_action": {"action": "exec", **fields}, **AGAIN}
    host.store.apply([Change("j", {"job_id": "j", "job_actions": [entry], "job_schedule": {}})])
    host.start()
    action = only_action(host)
    assert (action["result"], action["attempts"]) == ("fail", 1)
    assert action["message"].startswith("could not be started: ") and message in action["message"]


def test_a_working_directory_that_is_missing_is_named_and_tried_again(host: Any) -> None:
    options = {"action": "exec", "command": ["true"], "working_directory": "/not/mounted"}
    document = {"job_id": "j", "job_actions": [{"freezer_action": options, **AGAIN}]}
    host.store.apply([Change("j", {**document, "job_schedule": {}})])
    host.start()
    action = only_action(host)
    assert action["attempts"] == 3 and "working_directory /not/mounted" in action["message"]


@pytest.mark.parametrize("missing", ["openssl", "nothing"])
def test_an_agent_that_lacks_a_program_is_not_tried_again(
    host: Any, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    """A path that is not there may be mounted later, a program installs nobody meanwhile."""
    place = host.paths.home
    (place / "source").mkdir()
    options = {"action": "backup", "backup_name": "b", "container": str(place / "c")}
    options["path_to_backup"] = str(place / ("source" if missing == "openssl" else "not-mounted"))
    if missing == "openssl":
        (place / "key").write_text("secret\n")
        (place / "key").chmod(0o600)
        options["encrypt_pass_file"] = str(place / "key")
        (place / "bin").mkdir()
        for name in ("tar", "gzip", "sh"):
            (place / "bin" / name).symlink_to(str(shutil.which(name)))
        monkeypatch.setenv("PATH", str(place / "bin"))
    document = {"job_id": "j", "job_actions": [{"freezer_action": options, **AGAIN}]}
    host.store.apply([Change("j", {**document, "job_schedule": {}})])
    host.start()
    action = only_action(host)
    assert action["result"] == "fail" and action["attempts"] == (1 if missing == "openssl" else 3)


def test_an_agent_that_is_terminated_is_aborted_and_not_tried_again(host: Any) -> None:
    place = host.paths.home
    (place / "source").mkdir()
    os.mkfifo(place / "key", 0o600)  # the agent waits here for its password
    options = {"action": "backup", "backup_name": "b", "container": str(place / "c")}
    options |= {"path_to_backup": str(place / "source"), "encrypt_pass_file": str(place / "key")}
    document = {"job_id": "j", "job_actions": [{"freezer_action": options, **AGAIN}]}
    host.store.apply([Change("j", {**document, "job_schedule": {}})])
    host.start()
    host.until(lambda: host.runner.runs and host.runner.runs["j"].process)
    process = host.runner.runs["j"].process

    def agent() -> int:
        return next((m.pid for m in process.members() if m.command.startswith("python")), 0)

    pid = host.until(agent)
    # Its handler is there when the signal is caught (bit 14 of the mask).
    host.until(
        lambda: (
            int(Path(f"/proc/{pid}/status").read_text().partition("SigCgt:\t")[2].split()[0], 16)
            & (1 << signal.SIGTERM - 1)
        )
    )
    os.kill(pid, signal.SIGTERM)
    action = only_action(host)
    assert (action["result"], action["attempts"], action["exit_code"]) == ("aborted", 1, 143)


SECRETS = {
    "SECRET_KEY": "s3cr3t",
    "ACCESS_KEY": "s3cr3t",
    "SSH_PASSWORD": "s3cr3t",
    "FTP_PASSWORD": "s3cr3t",
    "OS_PASSWORD": "s3cr3t",
    "RCLONE_CONFIG_PASS": "s3cr3t",
    "RCLONE_CONFIG_X_PASS": "s3cr3t",
    "AWS_SECRET_ACCESS_KEY": "s3cr3t",
}


def test_secrets_of_storages_are_not_told_to_commands(
    host: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in {**SECRETS, "GREETING": "hello"}.items():
        monkeypatch.setenv(name, text)
    out = host.paths.home / "out"
    options = {"action": "exec", "command": f"env >{out}", "shell": True}
    options["environment"] = {"OS_PASSWORD": "its own"}
    document = {"job_id": "j", "job_actions": [{"freezer_action": options}], "job_schedule": {}}
    host.store.apply([Change("j", document)])
    host.start()
    assert host.runs("j")[0]["result"] == "success"
    text = out.read_text()
    assert "s3cr3t" not in text
    assert "GREETING=hello\n" in text and "OS_PASSWORD=its own\n" in text


@pytest.mark.parametrize(
    "shell", [name for name in ("dash", "bash", "busybox") if shutil.which(name)]
)
def test_every_shell_says_when_a_signal_has_ended_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shell: str
) -> None:
    """What /bin/sh is on Debian, Fedora and Alpine."""
    words = [str(shutil.which(shell)), *(["sh"] if shell == "busybox" else [])]
    real = os.posix_spawn

    def spawn(path: str, argv: list[str], *more: Any, **options: Any) -> int:
        assert [path, *argv[:2]] == ["/bin/sh", "/bin/sh", "-c"]
        return real(words[0], [*words, *argv[1:]], *more, **options)

    for number, (line, ending) in enumerate(
        [
            ("exit 143", Ending(143)),
            ("kill -TERM $$", Ending(143, signal.SIGTERM)),
            ("kill -KILL $$", Ending(137, signal.SIGKILL)),
            ("kill -SEGV $$", Ending(139, signal.SIGSEGV)),
            ("exit 0", Ending(0)),
            ("exit 200", Ending(200)),
        ]
    ):
        with monkeypatch.context() as patch:
            patch.setattr(os, "posix_spawn", spawn)
            process = Process.start(
                tmp_path / str(number),
                ["/bin/sh", "-c", line],
                environment=dict(os.environ),
                working_directory=None,
                log=RunLog(tmp_path / "log"),
            )
        assert process.ended(20)
        assert process.finish() == (ending, []), line
    assert (tmp_path / "log").read_text() == ""

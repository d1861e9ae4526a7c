# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""`coldchain doctor`: each thing that it knows is made to happen, and mended as it says."""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import stat
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from agent_users import as_nobody
from cli_command import Command, exec_job, timed_job
from job_histories import DAY

import coldchain.cli
from coldchain.agent.process import contain
from coldchain.cli import health, health_host, health_jobs, health_programs
from coldchain.core.paths import Paths

NIGHTLY = {"schedule_hour": "3"}
Found = dict[str, dict[str, str]]


@pytest.fixture(autouse=True)
def _a_clock_that_is_right(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel(monkeypatch, 0)


def kernel(monkeypatch: pytest.MonkeyPatch, status: int, result: int = 0) -> None:
    """A kernel that says this of its clock."""
    real = ctypes.CDLL

    class Kernel:
        @staticmethod
        def adjtimex(buffer: Any) -> int:
            offset = 40 if ctypes.sizeof(ctypes.c_long) == 8 else 20
            buffer[offset : offset + 4] = status.to_bytes(4, "little")
            return result

    def library(name: Any, *rest: Any, **more: Any) -> Any:
        return Kernel if name is None else real(name, *rest, **more)

    monkeypatch.setattr(ctypes, "CDLL", library)


def backup(job_id: str, container: str = "all", **options: Any) -> dict[str, Any]:
    action = {"action": "backup", "path_to_backup": "/etc", "container": container}
    action = {**action, "backup_name": job_id, **options}
    return {
        "job_id": job_id,
        "job_actions": [{"freezer_action": action}],
        "job_schedule": NIGHTLY,
    }


def told(command: Command, *words: str) -> Found:
    """What is found beside the runner that is not there, by what it is about."""
    answer = command.json("doctor", *words)
    severities = {finding["severity"] for finding in answer["findings"]}
    assert command.code == int(severities - {"info"} != set())
    assert all(f["remedy"] for f in answer["findings"] if f["severity"] != "info")
    return {f["about"]: f for f in answer["findings"] if f["about"] not in ("runner", "unit")}


def program(folder: Path, name: str, lines: str) -> None:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\n{lines}\n")
    path.chmod(0o755)


def test_a_host_with_nothing_to_say(command: Command, runner: subprocess.Popen[str]) -> None:
    assert command("apply", "-", data=[backup("a"), exec_job("off", "/nowhere")]) == 0
    answer = command.json("doctor", "--storages")
    assert command.code == 0, answer
    # Of an ordinary user's restores not every kernel contains what they do.
    about = {finding["about"] for finding in answer["findings"]} - {"containment"}
    assert about == {"unit", "programs"}
    assert {finding["severity"] for finding in answer["findings"]} == {"info"}
    assert "tar 1." in next(f["text"] for f in answer["findings"] if f["about"] == "programs")
    assert command("doctor") == 0 and "info: programs: " in command.out
    assert command.json("backups")["backups"] == []


def test_only_where_nothing_was_found_that_is_said(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert command("apply", "-", data=exec_job("j")) == 0
    assert command("doctor") == 1 and "nothing was found" not in command.out
    monkeypatch.setattr(health, "examine", lambda _patient, *, storages: iter(()))
    assert command("doctor") == 0 and command.out == "nothing was found\n"


def test_without_a_runner_nothing_starts(command: Command) -> None:
    assert command("doctor") == 69  # nothing is installed here
    assert command("apply", "-", data=[backup("a")]) == 0
    assert command("doctor") == 1
    assert f"critical: runner: no runner is at work here: nothing will start\n  -> {command.home}"
    assert "bin/coldchain serve" in command.out


def test_what_others_could_write_is_not_read(command: Command) -> None:
    assert command("apply", "-", data=[backup("a")]) == 0
    (command.home / "lib").chmod(0o777)
    (finding,) = command.json("doctor")["findings"]
    assert command.code == 1
    assert (finding["severity"], finding["about"]) == ("critical", "permissions")
    subprocess.run(finding["remedy"].split(), check=True)
    assert "permissions" in told(command)  # still open to who reads
    for line in ("chmod go= ", f"{command.home}/lib"):
        assert line in told(command)["permissions"]["remedy"]
    assert "permissions" in {f["about"] for f in command.json("status")["findings"]}
    subprocess.run(told(command)["permissions"]["remedy"].split(), check=True)
    assert "permissions" not in told(command)
    (command.home / "etc").mkdir(mode=0o700, exist_ok=True)
    (command.home / "etc" / "runner.conf").write_text("[runner]\nconcurrent_jobs = many\n")
    (command.home / "etc" / "runner.conf").chmod(0o600)
    (finding,) = command.json("doctor")["findings"]
    assert finding["about"] == "settings" and "concurrent_jobs" in finding["text"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_another_user_is_told_whom_it_belongs_to(command: Command, tmp_path: Path) -> None:
    assert command("apply", "-", data=[backup("a")]) == 0
    for parent in (tmp_path, *tmp_path.parents):
        if parent.stat().st_uid == 0 and parent != Path("/"):
            parent.chmod(parent.stat().st_mode | 0o011)
    assert as_nobody(lambda: str(coldchain.cli.run(["--home", str(command.home), "doctor"]))) == (
        "69"
    )


def test_clocks(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    assert command("apply", "-", data=[backup("a")]) == 0
    assert "clock" not in told(command)
    kernel(monkeypatch, 0x0040)
    assert "nothing keeps the clock" in told(command)["clock"]["text"]
    kernel(monkeypatch, 0, -1)
    assert told(command)["clock"]["severity"] == "info"
    kernel(monkeypatch, 0)
    past = time.time() - 10 * DAY
    monkeypatch.setattr(time, "time", lambda: past)
    assert "behind what is on record" in told(command)["clock"]["text"]
    assert "clock" in {f["about"] for f in command.json("status")["findings"]}


def test_time_zones(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    assert command("apply", "-", data=[backup("a")]) == 0
    monkeypatch.setenv("TZ", "Nowhere/Land")
    assert "read in UTC" in told(command)["time zone"]["text"]


def test_units(command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert command("apply", "-", data=[backup("a")]) == 0
    system = Paths.under(command.home)._replace(home=None)
    monkeypatch.setattr(Paths, "system", classmethod(lambda cls: system))
    state = tmp_path / "state"
    program(tmp_path / "bin", "systemctl", f"cat {state}")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setattr(health_host, "SYSTEMD", tmp_path / "no")

    def unit() -> list[str]:
        command._capsys.readouterr()
        coldchain.cli.run(["--json", "doctor"])
        findings = json.loads(command._capsys.readouterr().out)["findings"]
        return [f"{f['text']} -> {f['remedy']}" for f in findings if f["about"] == "unit"]

    assert unit() == ["systemd is not at work here: no unit starts the runner -> "]
    monkeypatch.setattr(health_host, "SYSTEMD", tmp_path)
    good = "LoadState=loaded\nUnitFileState=enabled\nNeedDaemonReload=no\nNoNewPrivileges=yes\n"
    for content, expected in (
        (good, ""),
        ("LoadState=not-found\n", "role coldchain.freezer.runner"),
        (good.replace("enabled", "disabled"), "systemctl enable"),
        (good.replace("Reload=no", "Reload=yes"), "systemctl daemon-reload"),
        (good.replace("Privileges=yes", "Privileges=no"), "systemctl cat"),
    ):
        state.write_text(content)
        lines = unit()
        assert len(lines) == bool(expected) and expected in "".join(lines)
    program(tmp_path / "bin", "systemctl", "echo no bus >&2; exit 1")
    assert "no bus" in unit()[0]


def test_a_kernel_that_contains_nothing(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    assert command("apply", "-", data=[backup("a")]) == 0
    monkeypatch.setattr(contain, "MEANS", ())
    assert "does not contain restores" in told(command)["containment"]["text"]
    assert not list((command.home / "lib").glob("doctor-*"))


def test_secrets(command: Command, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    assert command("apply", "-", data=[backup("a", encrypt_pass_file=str(secret))]) == 0
    assert "No such file" in told(command)["secrets"]["text"]
    secret.write_text("x")
    secret.chmod(0o644)
    remedy = told(command)["secrets"]["remedy"]
    assert remedy == f"chmod 600 {secret}"
    subprocess.run(remedy.split(), check=True)
    assert "secrets" not in told(command)


def test_containers_that_others_can_write(command: Command, tmp_path: Path) -> None:
    place = tmp_path / "open" / "container"
    place.mkdir(parents=True)
    assert command("apply", "-", data=[backup("a", str(place))]) == 0
    about = f"container {place}"
    assert about not in told(command)
    for folder in (place, place.parent):
        folder.chmod(0o777)
        finding = told(command)[about]
        assert f"can change what lies in {folder}" in finding["text"]
        assert about in {f["about"] for f in command.json("status")["findings"]}
        subprocess.run(finding["remedy"].partition("; ")[2].split(), check=True)
        assert about not in told(command)
    shutil.rmtree(place)
    place.write_text("a file")
    assert "Not a directory" in told(command)[about]["text"]


def test_room_for_the_database(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    assert command("apply", "-", data=[backup("a")]) == 0
    monkeypatch.setattr(health_jobs, "_LEAST", 1 << 62)
    about = {f"file system of {command.home / name}" for name in ("lib", "log")}
    assert about <= told(command).keys()


def test_room_for_the_next_backup(command: Command, tmp_path: Path) -> None:
    assert command("apply", "-", data=[backup("a"), backup("b", str(tmp_path / "x" / "y"))]) == 0
    assert not [about for about in told(command) if about.startswith("file system")]
    half = os.statvfs(tmp_path).f_bavail * os.statvfs(tmp_path).f_frsize * 3 // 5
    for job_id, container in (("a", str(command.home / "backups" / "all")), ("b", str(tmp_path))):
        report = {"storage": "local", "container": container, "backup_name": "n", "size": half}
        entry = {"action": "backup", "result": "success", "attempts": 1, "report": report}
        run = {"run_id": "r", "time_started": 1, "time_ended": 2, "result": "success"}
        path = command.home / "log" / job_id / "history.jsonl"
        path.parent.mkdir(mode=0o700)
        path.write_text(json.dumps({**run, "job_id": job_id, "actions": [entry]}) + "\n")
    (finding,) = (f for about, f in told(command).items() if about.startswith("file system"))
    assert "the next runs of 2 backups may need" in finding["text"]
    assert "2 backups" in " ".join(f["text"] for f in command.json("status")["findings"])


def test_programs(command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("password")
    secret.chmod(0o600)
    sealed = backup("a", encrypt_pass_file=str(secret), compression="zstd")
    remote = backup("r", "c:/x", storage="rclone")
    lost = {**exec_job("e", "/nowhere/tool"), "job_schedule": NIGHTLY}
    own = {**exec_job("own", "./tool"), "job_schedule": NIGHTLY}
    assert command("apply", "-", data=[sealed, remote, lost, own]) == 0
    bare = tmp_path / "bin"
    program(bare, "tar", "echo bsdtar 3.5")
    program(bare, "rclone", "echo rclone v1.53.1")
    program(bare, "gzip", "exit 1")
    monkeypatch.setenv("PATH", str(bare))
    assert not {"program zstd", "program openssl"} & told(command).keys()  # the runner has them
    monkeypatch.setattr(health_programs, "USUAL_PATH", str(bare))
    found = told(command)
    assert found["program zstd"]["remedy"].startswith("apt-get install zstd")
    assert found["program openssl"]["text"].endswith("needed by a")
    assert "is not GNU tar" in found["program tar"]["text"]
    assert "is too old: rclone v1.53.1" in found["program rclone"]["text"]
    assert "/nowhere/tool is not there" in found["job e"]["text"] and "job own" not in found
    assert "(does not tell its version)" in found["programs"]["text"]
    cheap = {f["about"] for f in command.json("status")["findings"]}
    assert {"program zstd", "program openssl", "job e"} <= cheap and "program tar" not in cheap


def test_schedules_that_lead_to_nothing_or_to_each_other(command: Command) -> None:
    night = {"schedule_hour": "3", "schedule_minute": "0"}
    jobs = [
        {**timed_job("never", schedule_year="2020", schedule_hour="3")},
        {**timed_job("one", **night), "lock": "disk"},
        {**timed_job("two", **night), "lock": "disk"},
        *(timed_job(f"many{number}", **night) for number in range(4)),
        {**backup("x"), "job_schedule": {"schedule_hour": "5"}},
        {**backup("y", backup_name="x"), "job_schedule": {"schedule_hour": "7"}},
        *(backup(f"w{number}", backup_name="w") for number in range(3)),
        *(backup(f"v{number}", backup_name="v") for number in range(5)),
    ]
    assert command("apply", "-", data=jobs) == 0
    found = told(command)
    assert "no run to come" in found["job never"]["text"]
    findings = command.json("doctor")["findings"]
    assert [f["about"] for f in findings if "no run to come" in f["text"]] == ["job never"]
    assert "lock disk: also due: two" in found["job one"]["text"]
    for name, jobs in (("x", "x, y"), ("w", "w0, w1, w2"), ("v", "v0, v1, v2 and 2 more")):
        assert found[f"backup {name}"]["text"].startswith(f"{jobs} write the same backup in ")
    assert (
        found["schedules"]["severity"] == "info" and "and 4 may run" in found["schedules"]["text"]
    )


def test_storages_are_tried_on_request(command: Command, tmp_path: Path) -> None:
    away = tmp_path / "file"
    away.write_text("in the way")
    jobs = [backup("a"), backup("b", str(away / "x")), backup("r", "c:/x", storage="rclone")]
    assert command("apply", "-", data=jobs) == 0
    assert not [about for about in told(command) if about.startswith("storage")]
    found = told(command, "--storages")
    assert "job b cannot use it" in found[f"storage {away}/x"]["text"]
    (remote,) = (f for about, f in found.items() if about.startswith("storage") and "c:" in about)
    assert "job r cannot use it" in remote["text"]
    about = f"storage {command.home}/backups/all"
    assert about not in found
    if os.geteuid() != 0:
        shutil.rmtree(command.home / "backups" / "all")
        (command.home / "backups").chmod(stat.S_IRUSR | stat.S_IXUSR)
        assert "job a cannot use it" in told(command, "--storages")[about]["text"]
        (command.home / "backups").chmod(0o700)

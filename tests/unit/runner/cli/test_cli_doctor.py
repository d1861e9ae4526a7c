# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""`coldchain doctor`: each thing that it knows is made to happen, and mended as it says."""

from __future__ import annotations

import contextlib
import ctypes
import io
import json
import os
import re
import shutil
import stat
import subprocess
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from agent_users import NOBODY, as_nobody, give_away
from cli_command import Command, exec_job, timed_job
from job_histories import DAY

import coldchain.cli
import coldchain.store
from coldchain.agent.engines import registry
from coldchain.agent.engines.base import Query
from coldchain.agent.process import contain
from coldchain.agent.storages.location import Location
from coldchain.cli import health, health_host, health_jobs, health_programs
from coldchain.cli.scopes import Scope
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
    # What there is needs none.
    assert all(f["remedy"] for f in answer["findings"] if f["about"] not in ("programs",))
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


@pytest.mark.parametrize("raw", [b"{broken", b"[]", None])
@pytest.mark.parametrize("name", ["jobs", "state"])
def test_a_database_that_cannot_be_read_is_critical_and_told_once(
    command: Command, name: str, raw: bytes | None
) -> None:
    lost = exec_job("b", "nosuchprogram", job_schedule=NIGHTLY)
    assert command("apply", "-", data=[backup("a"), lost]) == 0
    path = command.home / "lib" / f"{name}.json"
    path.with_name(f"{path.name}.previous").unlink(missing_ok=True)
    path.unlink(missing_ok=True)
    path.mkdir(0o700) if raw is None else path.write_bytes(raw)
    path.chmod(0o600 if raw else 0o700)
    about = [it for it in command.json("doctor")["findings"] if str(path) in it["text"]]
    assert command.code == 1
    assert [(it["severity"], it["about"]) for it in about] == [("critical", "database")]
    assert "move" in about[0]["remedy"]
    assert ("job b" in told(command)) == (name == "state"), "the rest is looked at"


def of_the_database(command: Command) -> list[dict[str, str]]:
    """What doctor says of it, and status as well."""
    told = [
        [it for it in command.json(word)["findings"] if it["about"] == "database"]
        for word in ("doctor", "status")
    ]
    assert told[0] == told[1]
    return told[0]


@pytest.mark.parametrize("damage", ["garbage", "gone"])
@pytest.mark.parametrize("name", ["jobs", "state", "events"])
def test_a_damaged_database_file_is_told_until_somebody_has_looked(
    command: Command, name: str, damage: str
) -> None:
    """Today's declarations are not those that are used: whoever removed a job would not know."""
    assert command("apply", "-", data=[exec_job("a"), exec_job("b")]) == 0
    assert command("apply", "-", data=[exec_job("c")]) == 0
    assert command("run", "a") == 0
    for job_id in "ab":
        assert command("event", job_id, "start") == 0
    path = command.home / "lib" / f"{name}.json"
    assert of_the_database(command) == []
    path.unlink()
    if damage == "garbage":
        path.write_bytes(b"garbage")
        path.chmod(0o600)
    (finding,) = of_the_database(command)
    assert finding["severity"] == ("critical" if name == "jobs" else "warning")
    assert finding["text"].startswith(
        f"{path}: is {'damaged' if damage == 'garbage' else 'missing'}"
    )
    assert f"{path}.previous is used" in finding["text"]
    assert "the next start of the runner" in finding["remedy"]
    assert of_the_database(command) == [finding], "for as long as it lies there"
    # Writers of these three: the command of declarations and requests, the runner of its state.
    if name == "jobs":
        assert command("apply", "-", data=[exec_job("d")]) == 0
    elif name == "events":
        assert command("event", "c", "start") == 0
    else:
        assert command("run", "a") == 0
    (finding,) = of_the_database(command)
    (aside,) = path.parent.glob(f"{name}.json.damaged-*")
    assert finding["severity"] == "warning" and aside.name in finding["text"]
    assert aside.stat().st_size == (7 if damage == "garbage" else 0)
    kept = path.with_name(f"{path.name}.previous")
    assert not kept.exists() or kept.read_bytes()[:12] == b'{"_format":{', "no damage stays there"
    subprocess.run(["sh", "-c", finding["remedy"].partition("no more: ")[2]], check=True)
    assert of_the_database(command) == []


def test_a_damaged_file_never_becomes_the_generation_before(command: Command) -> None:
    """Also of a process that has read it before it writes."""
    for job_id in "abc":
        assert command("apply", "-", data=exec_job(job_id)) == 0
    store = coldchain.store.Store.open(Paths.under(command.home), create=False)
    store.paths.jobs.write_bytes(b"garbage")
    assert list(store.jobs()) == ["a", "b"]
    store.remove_declaration("b")
    store.close()
    (aside,) = store.paths.lib.glob("jobs.json.damaged-*")
    assert aside.read_bytes() == b"garbage"
    store.paths.jobs.unlink()
    assert {it["job_id"] for it in command.json("list")["jobs"]} <= {"a", "b"} and not command.code


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


def metrics_of(command: Command) -> dict[str, str] | None:
    """What doctor says of the file for Prometheus, and status as well."""
    told = [
        [it for it in command.json(word)["findings"] if it["about"] == "metrics"]
        for word in ("doctor", "status")
    ]
    assert told[0] == told[1] and len(told[0]) < 2
    return told[0][0] if told[0] else None


def test_a_file_for_prometheus_that_no_runner_could_write(command: Command, tmp_path: Path) -> None:
    """Whether or not one is at work: else the first to know is who misses its values."""
    assert command("apply", "-", data=exec_job("j")) == 0
    file = tmp_path / "of node's" / "coldchain.prom"
    (command.home / "etc").mkdir(mode=0o700)
    (command.home / "etc" / "runner.conf").write_text(f"[runner]\nmetrics_file = {file}\n")
    finding = metrics_of(command)
    assert finding and f"there is no directory {file.parent}" in finding["text"]
    subprocess.run(["sh", "-c", finding["remedy"].partition(",")[0]], check=True)
    assert metrics_of(command) is None
    file.mkdir()
    finding = metrics_of(command)
    assert finding and "is a directory" in finding["text"]
    file.rmdir()
    file.parent.rmdir()
    file.parent.touch()
    finding = metrics_of(command)
    assert finding and "Not a directory" in finding["text"] and finding["remedy"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
@pytest.mark.parametrize("kind", ["of another", "of another and sticky", "ours"])
def test_a_directory_of_another_user_for_prometheus(tmp_path: Path, kind: str) -> None:
    for parent in (tmp_path, *tmp_path.parents):
        if parent.stat().st_uid == 0 and parent != Path("/"):
            parent.chmod(parent.stat().st_mode | 0o011)
    place = tmp_path / "node"
    place.mkdir()
    place.chmod(0o1777 if "sticky" in kind else 0o755)
    (place / "x.prom").touch()

    def look() -> str:
        return " -> ".join(health_host._unwritable(place / "x.prom"))

    assert look() == " -> "  # root's
    if kind == "ours":
        os.chown(place, NOBODY, -1)
        assert as_nobody(look) == " -> "
        return
    told = as_nobody(look)
    if "sticky" in kind:
        assert f"{place}/x.prom belongs to the user root" in told and f"rm {place}/x.prom" in told
        (place / "x.prom").unlink()
    else:
        assert f"cannot write in {place}, which belongs to the user root" in told
        assert "setfacl" in told
        place.chmod(0o777)
    assert as_nobody(look) == " -> "


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
@pytest.mark.parametrize("name", [".", "queue"])
@pytest.mark.parametrize("mode", [0o700, 0o755])
def test_messages_whose_directory_is_of_another_user(
    command: Command, tmp_path: Path, name: str, mode: int
) -> None:
    """Nobody is told, and no message can tell that; the rest of the answers is there."""
    assert command("apply", "-", data=exec_job("j")) == 0
    place = command.home / "lib" / "notify" / name
    place.mkdir(mode=0o700, parents=True)
    give_away(command.home)
    os.chown(place, 0, 0)
    place.chmod(mode)
    for parent in (tmp_path, *tmp_path.parents):
        if parent.stat().st_uid == 0 and parent != Path("/"):
            parent.chmod(parent.stat().st_mode | 0o011)

    def look(word: str) -> list[dict[str, str]]:
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            coldchain.cli.run(["--home", str(command.home), "--json", word])
        return [it for it in json.loads(said.getvalue())["findings"] if it["about"] == "notify"]

    for word in ("doctor", "status"):
        found = json.loads(as_nobody(lambda word=word: json.dumps(look(word))))
        assert len(found) == 1 and "nobody can be told of anything: " in found[0]["text"]
        remedy = found[0]["remedy"].partition("as root: ")[2]
    subprocess.run(["sh", "-c", remedy], check=True)
    assert as_nobody(lambda: json.dumps(look("doctor"))) == "[]"


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

    start = "let what boots this host start: coldchain serve"
    assert unit() == [f"systemd is not at work here: no unit starts the runner -> {start}"]
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


@pytest.mark.parametrize("name", ["of two's words", "$(touch harm); x"])
def test_a_remedy_is_a_command_whatever_the_path_is(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And that path is one word of it."""
    home, secret, place = (tmp_path / name / part for part in ("home", "secret", "container"))
    for folder in (home, place):
        folder.mkdir(mode=0o700, parents=True)
    secret.touch()
    command = Command(home, capsys, monkeypatch)
    document = backup("a", str(place), encrypt_pass_file=str(secret))
    assert command("apply", "-", data=document) == 0
    settings = home / "etc" / "runner.conf"
    settings.parent.mkdir(mode=0o700, exist_ok=True)
    settings.touch()
    for path, mode in ((secret, 0o644), (place, 0o777), (home / "lib", 0o777), (settings, 0o666)):
        path.chmod(mode)
        for dummy in range(3):  # what is open to others in two ways is told one after the other
            for finding in command.json("doctor")["findings"]:
                remedy = re.search(r"\b(chmod|chown) .*", finding["remedy"])
                if remedy:
                    subprocess.run(["sh", "-c", remedy[0]], cwd=tmp_path, check=True)
        assert path.stat().st_mode & 0o777 != mode, path
    assert os.listdir(tmp_path) == [name]


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


@pytest.mark.parametrize("of", ["action", "notify of job a", "notify in the settings"])
def test_credentials_are_found_by_their_names(command: Command, of: str) -> None:
    entry = {"type": "ntfy", "credentials_file": "mine"}
    folder = command.home / "etc" / "credentials"
    folder.mkdir(mode=0o700, parents=True)
    job = backup("a")
    if of == "action":
        remote = {"storage": "s3", "endpoint": "https://s3.example", "credentials_file": "mine"}
        job = backup("a", **remote)
    elif of == "notify of job a":
        job["notify"] = [entry]
    else:
        settings = command.home / "etc" / "runner.conf"
        settings.write_text(f"[runner]\nnotify = {json.dumps([entry])}\n")
    assert command("apply", "-", data=[job]) == 0
    missing = told(command)["secrets"]["text"]
    assert "No such file" in missing and str(folder / "mine") in missing
    assert of == "action" or f"credentials_file of {of}" in missing
    (folder / "mine").write_text("URL=https://ntfy.example/x\n")
    (folder / "mine").chmod(0o644)
    subprocess.run(told(command)["secrets"]["remedy"].split(), check=True)
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
    assert f"file system of {command.home / 'lib'}" in told(command)


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


# -- the last that is well, and the first that is not ----------------------------------------------


@pytest.mark.parametrize("behind", [-DAY, 60.0, 60.5, 90.4])
def test_a_clock_may_be_a_minute_behind(
    command: Command, monkeypatch: pytest.MonkeyPatch, behind: float
) -> None:
    assert command("apply", "-", data=backup("a")) == 0
    newest = time.time()
    monkeypatch.setattr(coldchain.store.Store, "newest_entry", lambda _store: newest + behind)
    monkeypatch.setattr(time, "time", lambda: newest)
    text = f"the clock is {behind:.0f} s behind what is on record here, so it is or was wrong"
    found = told(command)
    assert (found["clock"]["text"] == text) if behind > 60 else ("clock" not in found)


@pytest.mark.parametrize(
    ("mode", "open_to"),
    [(0o600, 0), (0o700, 0), (0o711, 0), (0o640, 1), (0o604, 1), (0o620, 1), (0o602, 1)],
)
def test_who_can_read_or_change_a_secret(
    command: Command, tmp_path: Path, mode: int, open_to: int
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("x")
    secret.chmod(mode)
    jobs = [backup(name, encrypt_pass_file=str(secret)) for name in "ab"]
    assert command("apply", "-", data=jobs) == 0
    texts = [f["text"] for f in command.json("doctor")["findings"] if f["about"] == "secrets"]
    of = f"{secret} (encrypt_pass_file of job a)"
    assert texts == [f"{of} is open to others (mode {mode:04o})"] * open_to


def rooms(monkeypatch: pytest.MonkeyPatch, free: dict[str, int], default: int = 10**15) -> None:
    """File systems with so much room, by what a path on them begins with."""

    def room(path: Path) -> tuple[Path, int, int]:
        for number, (begin, left) in enumerate(free.items(), 1):
            if str(path).startswith(begin):
                return Path(begin), number, left
        return Path("/"), 0, default

    monkeypatch.setattr(health_jobs, "room", room)


def test_room_for_the_largest_of_the_last_backups(
    command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    near, far = str(tmp_path / "near"), str(tmp_path / "far")
    jobs = [backup("a", near), backup("b", near), backup("c", far)]
    assert command("apply", "-", data=jobs) == 0

    def entry(container: str, name: str, size: Any, storage: str = "local") -> dict[str, Any]:
        report = {"storage": storage, "container": container, "backup_name": name, "size": size}
        return {"action": "backup", "result": "success", "attempts": 1, "report": report}

    runs = {
        "a": [[entry(near, "x", 3000)], [entry(near, "x", 7000)], [entry(near, "x", 5000)]],
        "b": [[entry(near, "y", 2000), entry(near, "z", 1000), entry("", "x", 10**9)]],
        "c": [
            [entry(far, "x", None), entry(far, "y", 10**9, "s3"), {"action": "exec"}],
            [entry(far, "x", 400)],
        ],
    }
    for job_id, actions in runs.items():
        path = command.home / "log" / job_id / "history.jsonl"
        path.parent.mkdir(mode=0o700)
        run = {"job_id": job_id, "time_started": 1, "time_ended": 2, "result": "success"}
        lines = [{**run, "run_id": f"r{n}", "actions": made} for n, made in enumerate(actions)]
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))

    def systems() -> dict[str, str]:
        found = command.json("doctor")["findings"]
        return {f["about"]: f["text"] for f in found if f["about"].startswith("file system")}

    rooms(monkeypatch, {near: 10_000, far: 400})
    assert systems() == {}
    rooms(monkeypatch, {near: 9_999, far: 399})
    assert systems() == {
        f"file system of {near}": "10.0 kB are free, and the next runs of 3 backups may need"
        " 10.0 kB",
        f"file system of {far}": "399 B are free, and the next runs of 1 backup may need 400 B",
    }
    rooms(monkeypatch, {str(command.home): 100_000_000})
    assert systems() == {}
    rooms(monkeypatch, {str(command.home): 99_999_999})
    text = "100.0 MB are free for the database, messages and the logs"
    assert systems() == {f"file system of {command.home}": text}
    messages = command.home / "lib" / "notify"
    rooms(monkeypatch, {str(messages): 99_999_999})
    assert systems() == {f"file system of {messages}": "100.0 MB are free for messages"}


@pytest.mark.parametrize(("jobs", "told_of"), [(4, ""), (5, "e0, e1, e2 and 2 more")])
def test_how_many_may_begin_together(command: Command, jobs: int, told_of: str) -> None:
    night = {"schedule_hour": "3", "schedule_minute": "0"}
    assert command("apply", "-", data=[timed_job(f"e{n}", **night) for n in range(jobs)]) == 0
    text = told(command).get("schedules", {}).get("text", "")
    assert text.partition(" begin together at ")[0] == told_of
    assert text.endswith(", and 4 may run" if told_of else "")


def test_what_writes_the_same_backup(command: Command, tmp_path: Path) -> None:
    """The same name of the same host in the same container, of jobs that may run; once a job."""
    apart = [
        backup("a", backup_name="n"),
        backup("b", backup_name="n", container="other"),
        backup("c", backup_name="n", hostname="elsewhere"),
        backup("d", backup_name="m"),
        {**backup("off", backup_name="n"), "job_schedule": {"status": "stop"}},
    ]
    twice = backup("t", backup_name="t")
    twice["job_actions"] *= 2
    assert command("apply", "-", data=[*apart, twice]) == 0
    assert not [about for about in told(command) if about.startswith("backup ")]
    assert command("apply", "-", data=backup("e", backup_name="n")) == 0
    (finding,) = (f for about, f in told(command).items() if about.startswith("backup "))
    assert finding["about"] == "backup n"
    assert finding["text"] == f"a, e write the same backup in {command.home}/backups/all"


def test_what_a_command_is_looked_for_in(command: Command, tmp_path: Path) -> None:
    program(tmp_path / "own", "tool", "true")
    path = {"PATH": str(tmp_path / "own")}
    jobs = {
        "blank": ({"command": ["tool"]}, True),
        "own": ({"command": ["tool"], "environment": path}, False),
        "other": ({"command": ["tool"], "environment": {"PATH": "/nowhere"}}, True),
        "sh": ({"command": ["sh"], "environment": {"A": "b"}}, False),
        "text": ({"command": "tool"}, False),
        "relative": ({"command": ["own/nothing"]}, False),
        "absolute": ({"command": [str(tmp_path / "own" / "tool")]}, False),
        "not there": ({"command": [str(tmp_path / "own" / "x")]}, True),
    }
    documents = []
    for job_id, (options, _missed) in jobs.items():
        action = {"freezer_action": {"action": "exec", **options}}
        name = job_id.replace(" ", "-")
        documents.append({"job_id": name, "job_actions": [action], "job_schedule": NIGHTLY})
    assert command("apply", "-", data=documents) == 0
    missed = {about for about in told(command) if about.startswith("job ")}
    wanted = {f"job {name.replace(' ', '-')}" for name, (_options, bad) in jobs.items() if bad}
    assert missed == wanted


@pytest.mark.parametrize(
    ("options", "needed"),
    [
        ({}, {"tar", "gzip"}),
        ({"compression": "zstd"}, {"tar", "zstd"}),
        ({"compression": "bzip2", "max_priority": True}, {"tar", "bzip2", "ionice"}),
        ({"encrypt_pass_file": "/p", "compression": "xz"}, {"tar", "xz", "openssl"}),
        ({"storage": "rclone", "container": "r:x"}, {"tar", "gzip", "rclone"}),
        ({"action": "admin", "remove_older_than": 5}, set()),
        (
            {"action": "admin", "remove_older_than": 5, "storage": "rclone", "container": "r:x"},
            {"rclone"},
        ),
    ],
)
def test_which_programs_an_action_needs(
    command: Command, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], needed: set[str]
) -> None:
    own = {"a": backup("a", **options), "b": backup("b", **options)}
    for job in own.values():
        if options.get("action") == "admin":
            del job["job_actions"][0]["freezer_action"]["path_to_backup"]
        job["job_actions"] *= 2
    assert command("apply", "-", data=list(own.values())) == 0
    monkeypatch.setattr(health_programs, "_which", lambda _name, _path=None: None)
    texts = {about: f["text"] for about, f in told(command).items() if "program " in about}
    assert texts == {
        f"program {name}": f"{name} is not installed, and needed by a, b" for name in needed
    }


@pytest.mark.parametrize("name", ["a-first", "tar-2", "zz-last"])
def test_another_engine_is_asked_for_what_it_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    asked = []
    other = SimpleNamespace(points=asked.append)
    monkeypatch.setattr(registry, "engine", lambda wanted: {name: other}[wanted])
    place = Location.local(tmp_path / "none")
    patient: Any = SimpleNamespace(paths=Paths.under(tmp_path), now=0.0)
    health_jobs._try_storage(patient, Scope(place, name, "h", "b"), write=True)
    assert asked == [Query(place, "h", "b")]
    assert list(tmp_path.iterdir()) == []

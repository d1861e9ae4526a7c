# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a declared backup to restored files, through the command alone."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
from cli_command import Command
from waiting import ended, until


def backup_job(source: Path, **options: Any) -> dict[str, Any]:
    action = {
        "action": "backup",
        "path_to_backup": str(source),
        "backup_name": "docs",
        "container": "first",
        **options,
    }
    return {
        "job_id": options.get("backup_name", "docs"),
        "job_actions": [{"freezer_action": action}],
        "job_schedule": {"schedule_hour": 3, "status": "stop"},
    }


@pytest.fixture
def source(command: Command, tmp_path: Path) -> Path:
    """A directory that was backed up twice, as level 0 and 1."""
    source = tmp_path / "source"
    (source / "deep").mkdir(parents=True)
    (source / "deep" / "one").write_text("1")
    (source / "two").write_text("2")
    assert command("apply", "-", data=backup_job(source, max_level=5)) == 0
    assert command("run", "docs") == 0
    (source / "two").write_text("22")
    assert command("run", "docs") == 0
    return source


def test_backups_of_all_jobs_of_one_and_of_a_container(command: Command, source: Path) -> None:
    other = backup_job(source, backup_name="other", container="second", hostname="elsewhere")
    assert command("apply", "-", data=other) == 0
    assert command("run", "other") == 0

    def found(*words: str) -> list[tuple[str, int]]:
        backups = command.json("backups", *words)["backups"]
        return [(backup["backup_name"], backup["level"]) for backup in backups]

    docs = [("docs", 0), ("docs", 1)]
    assert found() == [*docs, ("other", 0)]
    assert found("--job", "docs") == docs
    assert found("--job", "other") == [("other", 0)]
    assert found("--container", "second") == [("other", 0)]
    assert found("--container", str(command.home / "backups" / "first")) == docs
    assert found("--backup-name", "other") == [("other", 0)]
    assert found("--hostname", "elsewhere") == [("other", 0)]
    assert found("--hostname", "nobody") == []
    assert found("--container", "none") == []
    assert command.error("backups", "--job", "dox")["code"] == 65
    first = f"docs of {docs_host(command)}, in {command.home}/backups/first\n"
    assert command("backups") == 0
    assert command.out.count(" yes\n") == 3
    assert command.out.startswith(first)
    assert "\n\nother of elsewhere, in " in command.out


def docs_host(command: Command) -> str:
    return str(command.json("backups", "--job", "docs")["backups"][0]["hostname"])


def test_a_name_begins_no_line_of_its_own_among_the_backups(
    command: Command, tmp_path: Path
) -> None:
    (tmp_path / "source").mkdir()
    forged = "first\nwww of web9, in -srv: all of it can be restored"
    assert command("apply", "-", data=backup_job(tmp_path / "source", container=forged)) == 0
    assert command("run", "docs") == 0
    assert command("backups") == 0
    heading, head, point = command.out.splitlines()
    assert "first\\nwww" in heading and head.startswith("TIME") and point.endswith("yes")


def test_backups_where_nothing_is_declared_is_an_empty_list(command: Command) -> None:
    assert command.json("backups")["backups"] == []
    assert command("backups") == 0
    assert command.err.startswith("coldchain: no ")


def test_the_backups_of_a_removed_job_are_found(
    command: Command, source: Path, tmp_path: Path
) -> None:
    deep = backup_job(source, backup_name="deep", container="some/where")
    assert command("apply", "-", data=[backup_job(source, max_level=5), deep]) == 0
    assert command("run", "deep") == 0
    before = command.json("backups")["backups"]
    assert len(before) == 3
    assert command("apply", "-", "--purge", "--allow-empty", data=[]) == 0
    assert command.json("backups")["backups"] == before
    hint = command.error("restore", "--job", "docs")["hint"]
    assert "--container" in hint
    shutil.rmtree(command.home / "lib")  # and of a host that was installed anew
    assert command.json("backups")["backups"] == before
    assert command.json("verify")["sound"]
    assert "--container" in command.error("restore", "--job", "docs")["hint"]
    words = ["--container", "first", "--backup-name", "docs"]
    assert command("restore", *words, "--restore-abs-path", str(tmp_path / "t")) == 0
    assert (tmp_path / "t" / "two").read_text() == "22"


def test_what_is_not_there_is_said(command: Command, source: Path) -> None:
    assert command("backups", "--container", "nowhere") == 0
    assert "there is no " in command.err
    assert "nowhere" in command.err
    assert command("backups", "--backup-name", "dosc") == 0
    assert "no such backup in " in command.err
    # A script that verifies what is not there must not go on.
    for words in (["--container", "nowhere"], ["--backup-name", "dosc"], ["--hostname", "x"]):
        assert command.error("verify", *words)["code"] == 65
    assert command.error("verify", "--sample", "0")["code"] == 64


def test_a_name_that_one_container_lacks_is_found_in_another(
    command: Command, source: Path
) -> None:
    other = backup_job(source, backup_name="other", container="second")
    assert command("apply", "-", data=other) == 0
    assert command("run", "other") == 0
    answer = command.json("verify", "--backup-name", "other")
    assert (command.code, answer["containers"][0]["checked"]) == (0, 1)


def test_a_container_that_cannot_be_read_hides_nothing_of_the_others(
    command: Command, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert command("apply", "-", data=backup_job(source, backup_name="x", container="x")) == 0
    bad = command.home / "backups" / "x"
    (bad / "metadata" / "tar").mkdir(parents=True)
    real = os.listdir

    def listdir(folder: int) -> list[Any]:
        if os.readlink(f"/proc/self/fd/{folder}").startswith(str(bad)):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return real(folder)

    monkeypatch.setattr(os, "listdir", listdir)
    answer = command.json("backups")
    assert command.code == answer["error"]["code"] == 65
    assert len(answer["backups"]) == 2
    assert command("backups") == 65
    assert command.out.count(" yes\n") == 2
    assert str(bad) in command.err
    answer = command.json("verify")
    assert command.code == answer["error"]["code"] == 65
    assert answer["containers"][0]["checked"] == 2
    assert command("verify") == 65
    assert "2 points in time can be restored, 0 lost" in command.out
    assert str(bad) in command.err
    assert command.error("backups", "--container", "x")["code"] == 65


def test_times_can_be_given_back_and_tables_fit_a_terminal(
    command: Command, source: Path, tmp_path: Path
) -> None:
    assert command("verify", "--full") == 0
    assert command("backups") == 0
    lines = command.out.splitlines()
    assert max(map(len, lines[1:])) < 80
    times = [line.split()[0] for line in lines[2:]]
    words = ["restore", "--container", "first", "--backup-name", "docs"]
    for number, (moment, text) in enumerate(zip(times, ("2", "22"))):
        target = str(tmp_path / f"target{number}")
        assert command(*words, "--restore-abs-path", target, "--restore-from-date", moment) == 0
        assert Path(target, "two").read_text() == text


def test_when_it_was_verified_is_kept(
    command: Command, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def verified() -> list[Any]:
        return [each["verified"] for each in command.json("backups")["backups"]]

    assert verified() == [None, None]
    assert command("verify") == 0
    assert [each["how"] for each in verified()] == ["quick", "quick"]
    for dummy in range(1000):  # until chance has drawn level 0
        command.json("verify", "--sample", "1")
        if verified()[0]["how"] != "quick":
            break
    assert command("verify", "--full") == 0
    assert {each["how"] for each in verified()} == {"full"}
    full = verified()
    assert command("verify") == 0
    assert verified() == full, "a quick look takes nothing back"
    level_0 = next((command.home / "backups/first/data").glob("tar/*/*/0_*/data"))
    damage(level_0)
    assert command("verify", "--full") == 1
    assert [each["result"] for each in verified()] == ["damaged", "damaged"]
    # A quick look sees nothing, but what is known to be damaged is not offered as restorable.
    assert command("verify") == 0
    backups = command.json("backups")["backups"]
    assert [each["restorable"] for each in backups] == [False, False]
    assert "found damaged at " in backups[1]["reason"]
    damage(level_0)
    assert command("verify", "--full") == 0
    assert [each["restorable"] for each in command.json("backups")["backups"]] == [True, True]
    # The action info tells it too; a new chain has not been verified.
    config, result = command.home / "info.json", command.home / "result.json"
    config.write_text(json.dumps({"action": "info", "container": "first"}))
    assert command("agent", "--config", str(config), "--result", str(result)) == 0
    assert json.loads(result.read_text())["backups"][0]["verified"]["how"] == "full"


def damage(path: Path) -> None:
    """Turn one byte around; the second time it is as before."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)


def test_the_archive_stays_as_it_is_and_may_be_read_only(command: Command, source: Path) -> None:
    container = command.home / "backups" / "first"
    before = {path: path.lstat().st_mtime_ns for path in container.rglob("*")}
    assert command("verify", "--full") == 0
    assert command("backups") == 0
    assert {path: path.lstat().st_mtime_ns for path in container.rglob("*")} == before


def test_receipts_that_cannot_be_read_or_kept_are_no_obstacle(
    command: Command, source: Path
) -> None:
    (command.home / "lib" / "verified.json").write_text("garbage")
    assert command("backups") == 0
    assert command.out.count("never") == 2
    assert "verified.json" in command.err
    assert command("verify", "--full") == 0
    assert "verified.json" in command.err
    assert (command.home / "lib" / "verified.json").read_text() == "garbage"


@pytest.mark.long
def test_a_wrong_password_marks_nothing_as_damaged(
    command: Command, source: Path, tmp_path: Path
) -> None:
    for name, text in (("right", "secret\n"), ("wrong", "guess\n")):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o600)
    password = str(tmp_path / "right")
    for scheme in ("strong", "freezer"):
        job = backup_job(
            source, backup_name=scheme, encrypt_pass_file=password, encrypt_scheme=scheme
        )
        assert command("apply", "-", data=job) == 0
        assert command("run", scheme) == 0
        assert command("verify", "--job", scheme, "--full") == 0  # the job knows the password
        (good,) = command.json("backups", "--job", scheme)["backups"]
        assert good["verified"]["how"] == "full"
        wrong = ["--encrypt-pass-file", str(tmp_path / "wrong")]
        answer = command.json("verify", "--job", scheme, "--full", *wrong)
        assert command.code == 1
        assert "password" in answer["containers"][0]["findings"][0]["message"]
        assert command.json("backups", "--job", scheme)["backups"] == [good]
        words = ["restore", "--job", scheme, "--restore-abs-path", str(tmp_path / "t")]
        error = command.error(*words, *wrong)
        assert error["code"] == 1
        assert "password" in error["message"]
        assert "--encrypt-pass-file" in error["hint"]
        missing = command.error(*words, "--encrypt-pass-file", str(tmp_path / "none"))
        assert missing["code"] == 65
        assert "cannot be read" in missing["message"]
        assert not (tmp_path / "t").exists()


def test_restore_of_a_job_brings_back_what_it_writes_where_it_was(
    command: Command, source: Path, tmp_path: Path
) -> None:
    words = ["restore", "--job", "docs"]
    error = command.error(*words)  # the files are still there
    assert "--overwrite" in error["hint"]
    assert command(*words, "--dry-run") == 0
    assert command.out.splitlines()[:2] == ["deep/one", "two"]
    assert "would be refused: " in command.err
    (source / "two").unlink()
    assert command(*words, "--overwrite") == 0
    assert (source / "two").read_text() == "22"
    shutil.rmtree(source)
    assert command(*words, "--dry-run") == 0
    assert command.out.splitlines()[:2] == ["deep/one", "two"]
    assert not source.exists()
    assert command(*words) == 0
    assert (source / "two").read_text() == "22"
    assert command(*words, "--restore-abs-path", str(tmp_path / "elsewhere"), "deep") == 0
    assert (tmp_path / "elsewhere" / "deep" / "one").read_text() == "1"
    assert command.error("restore", "--job", "dosc")["hint"].startswith("did you mean docs")


def test_a_job_of_several_backups_or_none_asks_which(
    command: Command, source: Path, tmp_path: Path
) -> None:
    job = backup_job(source, backup_name="a")
    job["job_actions"] += backup_job(source, backup_name="b")["job_actions"]
    job["job_actions"].append({"freezer_action": {"action": "exec", "command": "true"}})
    assert command("apply", "-", data=job) == 0
    assert command("run", "a") == 0
    target = ["--restore-abs-path", str(tmp_path / "t")]
    error = command.error("restore", "--job", "a", *target)
    assert (error["code"], error["message"]) == (64, "job a writes a, b")
    assert "--backup-name" in error["hint"]
    assert command("restore", "--job", "a", "--backup-name", "b", *target) == 0
    none = {"job_id": "n", "job_actions": job["job_actions"][2:], "job_schedule": {}}
    assert command("apply", "-", data=none) == 0
    assert "writes no backup" in command.error("restore", "--job", "n", *target)["message"]


def test_a_file_that_was_backed_up_alone_comes_back_to_its_directory(
    command: Command, source: Path, tmp_path: Path
) -> None:
    assert command("apply", "-", data=backup_job(source / "two", backup_name="single")) == 0
    assert command("run", "single") == 0
    source.chmod(0o750)
    error = command.error("restore", "--job", "single")
    assert error["message"] == f"{source / 'two'} is there already"
    assert "--overwrite" in error["hint"]
    for changed in (lambda path: path.write_text("changed"), Path.unlink):
        changed(source / "two")
        before, mine = _modes(source), source.stat().st_mtime_ns
        assert command("restore", "--job", "single", "--dry-run") == 0
        assert (_modes(source), source.stat().st_mtime_ns) == (before, mine)
        overwrite = ["--overwrite"] if (source / "two").exists() else []
        assert command("restore", "--job", "single", *overwrite) == 0
        assert (source / "two").read_text() == "22"
        assert _modes(source)["."] == 0o750
    moved = backup_job(source / "three", backup_name="single")
    assert command("apply", "-", data=moved) == 0
    error = command.error("restore", "--job", "single")
    assert "holds the single file two" in error["message"]
    assert not (source / "three").exists()


@pytest.mark.parametrize("option", ["--restore-from-date", "--restore-abs-path", "--hostname"])
def test_an_empty_value_is_not_taken_for_none(command: Command, source: Path, option: str) -> None:
    assert command("apply", "-", data=backup_job(source)) == 0
    assert command("run", "docs") == 0
    error = command.error("restore", "--job", "docs", "--overwrite", option, "")
    assert error["message"] == f"{option} is empty"


def _modes(folder: Path) -> dict[str, int]:
    found = {str(path.relative_to(folder)): path for path in folder.rglob("*")}
    return {name: path.lstat().st_mode & 0o7777 for name, path in {**found, ".": folder}.items()}


def test_each_bad_input_is_one_error_that_names_the_way_out(
    command: Command, source: Path, tmp_path: Path
) -> None:
    target = ["--restore-abs-path", str(tmp_path / "t")]

    def hint(*words: str) -> str:
        return str(command.error("restore", *words)["hint"])

    host = docs_host(command)
    assert "--job JOB" in hint()
    # Names that can be typed, and no directories of the container: those are HOST_NAME.
    for wrong in ("dosc", f"{host}_docs"):
        told = hint("--container=first", f"--backup-name={wrong}", *target)
        assert told == "did you mean docs?"
    told = hint("--container=first", "--backup-name=docs", "--hostname=elsewhere", *target)
    assert told == f"written by other hosts: {host}; hostname says by which"
    assert "no such directory" in hint("--container=nowhere", "--backup-name=docs", *target)
    known = ["--container=first", "--backup-name=docs", *target]
    assert "the oldest one is of " in hint(*known, "--restore-from-date=2020-01-01")
    error = command.error("restore", *known, "--restore-from-date=yesterday")
    assert error["message"].startswith("--restore-from-date: 'yesterday'")
    for path in (command.home / "backups/first").glob("data/tar/*/*/1_*/data"):
        path.write_bytes(path.read_bytes()[:-1])
    newest = hint(*known)
    assert newest.startswith("the newest that can be restored: --restore-from-date ")
    for path in (command.home / "backups/first").glob("metadata/tar/*/*/1_*/metadata"):
        path.write_text("[]")
    assert hint(*known) == f"the backup is damaged; {newest}"
    assert command("restore", *known, "--restore-from-date", newest.split()[-1]) == 0
    assert (tmp_path / "t" / "two").read_text() == "2"


def test_a_restore_whose_terminal_goes_away_leaves_nothing_behind(
    command: Command, source: Path, tmp_path: Path
) -> None:
    (source / "big").write_bytes(os.urandom(8_000_000))
    assert command("apply", "-", data=backup_job(source, download_limit="100K")) == 0
    assert command("run", "docs") == 0
    before = sorted(path.name for path in tmp_path.iterdir())
    target = str(tmp_path / "target")
    process = command.process("restore", "--job", "docs", "--restore-abs-path", target)
    until(lambda: sorted(path.name for path in tmp_path.iterdir()) != before, told=process.poll)
    process.send_signal(signal.SIGHUP)
    assert ended(process) == 143
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_verify_tells_which_points_are_lost_and_which_are_left(
    command: Command, source: Path
) -> None:
    level_1 = next((command.home / "backups/first/data").glob("tar/*/*/1_*/data"))
    level_1.unlink()
    assert command("verify") == 1
    before, after = command.out.split("can still be restored:")
    assert before.startswith("missing: level 1 of ")
    assert "lost:" in before
    assert before.count(" no: ") == 1
    assert after.count(" yes\n") == 1
    assert after.splitlines()[-1].endswith("1 point in time can be restored, 1 lost")


def test_names_in_a_container_forge_no_line(command: Command, source: Path) -> None:
    container = command.home / "backups" / "first"
    for tree in ("data", "metadata"):
        copy = container / tree / "tar" / "host_a\nforged: b\n"
        shutil.copytree(container / tree / "tar" / f"{docs_host(command)}_docs", copy)
    (manifest,) = container.glob(f"data/tar/{docs_host(command)}_docs/*/1_*/manifest.json")
    text = manifest.read_text().replace('"parent": "', '"parent": "\\nforged: ')
    manifest.write_text(text)
    for words in (["backups"], ["verify"], ["verify", "--full"]):
        command(*words)
        assert "forged: " in command.out
        assert not [line for line in command.out.splitlines() if line.startswith("forged: ")]


def test_restore_brings_the_newest_state_back(
    command: Command, source: Path, tmp_path: Path
) -> None:
    target = tmp_path / "target"
    words = ["restore", "--container", "first", "--backup-name", "docs"]
    answer = command.json(*words, "--restore-abs-path", str(target))
    assert command.code == 0
    assert answer["action"] == "restore"
    assert (target / "two").read_text() == "22"
    assert (target / "deep" / "one").read_text() == "1"
    # Not over files that are there, unless told so.
    error = command.error(*words, "--restore-abs-path", str(target))
    assert error["code"] != 0
    assert "overwrite" in error["message"] + error["hint"]
    assert command(*words, "--restore-abs-path", str(target), "--overwrite") == 0


def test_restore_of_some_paths_into_a_relative_directory(
    command: Command, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["restore", "--container", "first", "--backup-name", "docs"]
    assert command(*words, "--restore-abs-path", "part", "deep/one") == 0
    assert (tmp_path / "part" / "deep" / "one").read_text() == "1"
    assert not (tmp_path / "part" / "two").exists()


def test_restore_of_what_is_not_there_is_one_error(command: Command, tmp_path: Path) -> None:
    words = ["restore", "--container", "c", "--restore-abs-path", str(tmp_path / "t")]
    error = command.error(*words, "--backup-name", "none")
    assert "none" in error["message"] + error["hint"] or "c" in error["message"]
    assert not (tmp_path / "t" / "x").exists()
    assert command.error(*words)["code"] == 64


def test_agent_performs_one_action(command: Command, tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "file").write_text("x")
    config, result = tmp_path / "action.json", tmp_path / "result.json"
    action = {"action": "backup", "path_to_backup": str(tmp_path / "source"), "backup_name": "b"}
    config.write_text(json.dumps({"freezer_action": action}))
    assert command("agent", "--config", str(config), "--result", str(result)) == 0
    assert json.loads(result.read_text())["action"] == "backup"
    assert list((command.home / "backups").iterdir()) != []
    config.write_text("[action]\naction = backup\n")
    assert command("agent", "--config", str(config), "--result", str(result)) == 65
    assert "path_to_backup" in json.loads(result.read_text())["message"]


def test_a_credential_is_found_by_its_name(command: Command) -> None:
    folder = command.home / "etc" / "credentials"
    folder.mkdir(parents=True)
    words = "backups --storage s3 --endpoint http://127.0.0.1:1 --container b --credentials-file"
    (folder / "s3").write_text("SECRETKEY=x\n")
    (folder / "s3").chmod(0o600)
    assert f"{folder}/s3: line 1" in command.error(*words.split(), "s3")["message"]
    assert "no credential 's4'" in command.error(*words.split(), "s4")["message"]


def test_a_scheme_is_asked_for_on_the_command_line(
    command: Command, source: Path, tmp_path: Path
) -> None:
    password = tmp_path / "password"
    password.write_text("secret\n")
    password.chmod(0o600)
    job = backup_job(
        source,
        backup_name="mine",
        container="mine",
        encrypt_pass_file=str(password),
        encrypt_scheme="freezer",
    )
    assert command("apply", "-", data=job) == 0
    assert command("run", "mine") == 0
    (point,) = command.json("backups", "--job", "mine", "--encrypt-scheme", "strong")["backups"]
    assert (point["restorable"], point["reason"]) == (
        False,
        "encrypt_scheme freezer, strong was asked for",
    )
    (point,) = command.json("backups", "--job", "mine", "--encrypt-scheme", "freezer")["backups"]
    assert point["restorable"]
    target = tmp_path / "target"
    words = ["restore", "--job", "mine", "--restore-abs-path", str(target)]
    error = command.error(*words, "--encrypt-scheme", "strong")
    assert "--encrypt-scheme freezer reads" in error["hint"]
    assert "--accept-unsealed takes" in error["hint"]
    assert not target.exists()
    # The job knows its own scheme.
    assert command(*words) == 0
    report = command.json(*words, "--overwrite", "--encrypt-scheme", "strong", "--accept-unsealed")
    assert any(line.startswith("accept_unsealed: ") for line in report["warnings"])
    verified = ["verify", "--job", "mine", "--full"]
    assert command(*verified) == 0
    answer = command.json(*verified, "--encrypt-scheme", "strong")
    assert command.code == 1
    assert [flaw["kind"] for flaw in answer["containers"][0]["findings"]] == ["unsealed"]
    assert command(*verified, "--encrypt-scheme", "strong", "--accept-unsealed") == 0

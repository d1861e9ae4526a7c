# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options, exec, admin, info, and the command line's entrance."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from agent_bench import CAP_SYS_ADMIN, CAP_SYS_NICE, Bench, capable
from agent_chains import age
from agent_hostile import REG, plant
from agent_points import catalogue
from agent_users import as_nobody, give_away, in_a_child
from checked_actions import checked_action
from hypothesis import given
from hypothesis import strategies as st
from waiting import joined

from coldchain.agent.action import perform
from coldchain.agent.engines.tar.stored.gnu_tar import unquote
from coldchain.agent.progress import Meter, Progress, into_file, into_log
from coldchain.cli import run
from coldchain.core.errors import ColdchainError, DataError, JobFailed, NoProgram
from coldchain.core.instants import from_epoch, iso
from coldchain.core.text import display_name, format_bytes
from coldchain.execution import command


@pytest.mark.parametrize(
    ("fields", "place"),
    [
        ({"path_to_backup": None}, "path_to_backup"),
        ({"path_to_backup": "relative"}, "path_to_backup"),
        ({"path_to_backup": "/no-such-place"}, "path_to_backup"),
        ({"compression": "rar"}, "compression"),
        ({"max_level": -1}, "max_level"),
        ({"max_level": 1.5}, "max_level"),
        ({"always_level": True}, "always_level"),
        ({"restart_always_level": "nan"}, "restart_always_level"),
        ({"exclude": [{}]}, "exclude"),
        ({"storage": "tape"}, "storage"),
        ({"storage": "ssh", "ssh_username": "u"}, "ssh_host"),
        ({"storage": "rclone", "container": "no-remote"}, "name of a remote"),
        ({"mode": "nova"}, "mode"),
        ({"engine_name": "rsync"}, "engine_name"),
        ({"dereference_symlink": "some"}, "dereference_symlink"),
        ({"encrypt_scheme": "strong"}, "encrypt_pass_file"),
        ({"encrypt_pass_file": "/no-such-place"}, "encrypt_pass_file"),
        ({"remove_older_than": 1, "remove_before_date": "2026-01-01"}, "exclude each other"),
        ({"on_read_error": "ignore"}, "on_read_error"),
        ({"dry_run": "maybe"}, "dry_run"),
        ({"backup_name": "\ud800"}, "backup_name"),
    ],
)
def test_bad_options_name_their_field_and_write_nothing(bench: Bench, fields, place) -> None:
    with pytest.raises(ColdchainError, match=place):
        bench.backup(**fields)
    assert not bench.container.exists()


def test_false_and_null_mean_not_given(bench: Bench) -> None:
    report = bench.perform(
        "backup",
        path_to_backup=str(bench.source),
        hostname=False,
        encrypt_pass_file=False,
        max_priority=False,
        exclude=None,
        log_file="",
    )
    assert report.fields["hostname"] == "client"
    assert report.fields["encrypt_scheme"] is None


@pytest.mark.parametrize("nothing", [False, None, ""])
def test_no_option_takes_false_for_a_value(bench: Bench, nothing: object) -> None:
    names = (
        "compression exclude dereference_symlink encrypt_scheme on_read_error max_level"
        " always_level restart_always_level incremental dry_run consistency_check max_priority"
        " force encrypt_pass_file log_file upload_limit download_limit backup_name"
        " remove_older_than remove_before_date remove_from_date restore_from_date restore_paths"
        " overwrite consistency_checksum"
    )
    fields = dict.fromkeys(names.split(), nothing)
    report = bench.backup(**fields)
    assert (report.fields["level"], report.fields["compression"]) == (0, "gzip")
    bench.restore(**fields)


def test_freezers_words_for_nothing_in_an_ini_are_nothing(bench: Bench) -> None:
    ini = f"[action]\naction = backup\nsync = False\npath_to_backup = {bench.source}\n"
    ini += "hostname = False\nencrypt_pass_file = None\nmax_priority = false\nincremental = true\n"
    code, result = _main(bench, ini)
    assert (code, result["hostname"], result["encrypt_scheme"]) == (0, "host", None)


def test_relative_containers_lie_under_the_containers_directory(bench: Bench) -> None:
    report = bench.backup(container="a b/c%")
    assert report.fields["container"] == str(bench.root / "a b" / "c%")


def test_level_options_imply_incremental_unless_it_is_denied(bench: Bench) -> None:
    assert bench.backup(**{"max-level": "2"}).fields["level"] == 0
    assert bench.backup(max_level=2).fields["level"] == 1
    with pytest.raises(DataError, match="incremental: is false, but max_level"):
        bench.backup(max_level=2, incremental=False)
    assert bench.backup().fields["level"] == 0


@given(st.binary(min_size=1, max_size=30).filter(lambda name: b"\0" not in name))
def test_quoted_names_come_back(name: bytes) -> None:
    quoted = b"".join(
        b"\\%03o" % byte if byte < 32 or byte > 126 or byte in b'"\\' else bytes([byte])
        for byte in name
    )
    assert unquote(quoted) == name


def test_sizes_for_people() -> None:
    texts = [format_bytes(n) for n in (0, 999, 1000, 3_400_000, 10**12)]
    assert texts == ["0 B", "999 B", "1.0 kB", "3.4 MB", "1.0 TB"]


def test_names_are_shown_on_one_line() -> None:
    shown_names = [
        display_name(name) for name in (b"a b", "grüße".encode(), b"\xff", b"x\ny\x1b[31m\x7f")
    ]
    assert shown_names == ["a b", "grüße", "\\xff", "x\\ny\\x1b[31m\\x7f"]


@pytest.mark.skipif(
    os.geteuid() != 0 or not capable(CAP_SYS_NICE) or not capable(CAP_SYS_ADMIN),
    reason="needs root that may raise priorities; it becomes somebody else",
)
def test_the_priority_is_raised_and_its_refusal_is_no_failure(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def backup() -> str:
        report = bench.backup(max_priority=True)
        priority = os.getpriority(os.PRIO_PROCESS, 0)
        disk = subprocess.run(["ionice", "-p", str(os.getpid())], capture_output=True, check=True)
        return " ".join([str(priority), disk.stdout.decode().strip(), *report.warnings])

    assert in_a_child(backup) == "-19 realtime: prio 0"
    give_away(bench.root)
    assert "only root may raise the CPU priority" in as_nobody(backup)
    for name in ("tar", "gzip"):
        (tmp_path / name).symlink_to(str(shutil.which(name)))
    monkeypatch.setenv("PATH", str(tmp_path))
    raised = in_a_child(lambda: bench.backup(max_priority=True).warnings[0])
    assert raised == "max_priority: the program ionice is not installed on this host"


# exec


def test_a_line_is_split_without_a_shell() -> None:
    action = {"command": "echo 'a b' \\$x | cat"}
    assert command.stages(action) == [["echo", "a b", "$x"], ["cat"]]
    assert command.stages({**action, "shell": True}) == [["/bin/sh", "-c", action["command"]]]
    assert command.stages({"command": ["x", "y | z"]}) == [["x", "y | z"]]
    with pytest.raises(DataError, match="command: holds >"):
        command.stages({"command": "echo > x"})


def test_every_command_of_a_pipeline_runs(bench: Bench) -> None:
    out = bench.root / "out.gz"
    line = f"seq 1 200000 | grep -v 7 | sort -rn | dd bs=64K of={out}"
    assert bench.perform("exec", command=line).fields["exit_code"] == 0
    numbers = [number for number in range(200_000, 0, -1) if "7" not in str(number)]
    assert out.read_text().split() == list(map(str, numbers))


@pytest.mark.parametrize(
    ("line", "how"),
    [
        ("false | cat", "exit code 1"),
        ("cat | false | cat", "exit code 1"),
        ("sh -c 'exit 3' | sh -c 'exit 4' | true", "exit code 4"),
        ("sh -c 'kill -TERM \\$\\$' | cat", "signal 15"),
        ("yes | head -n 1", "exit code 141"),
    ],
)
def test_a_pipeline_fails_as_one_with_pipefail_does(bench: Bench, line: str, how: str) -> None:
    with pytest.raises(JobFailed, match=f"the pipeline ended with {how}"):
        bench.perform("exec", command=line.replace("\\$", "$"))


def test_a_pipeline_names_the_program_that_is_not_there(bench: Bench) -> None:
    with pytest.raises(ColdchainError, match="no program 'no-such-program'"):
        bench.perform("exec", command="true | no-such-program")


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"command": ""},
        {"command": "'open"},
        {"command": [{}]},
        {"command": ["a"], "shell": True},
        {"command": "true", "user": "no such user"},
        {"command": "true", "environment": {"A=B": "x"}},
        {"command": "true", "environment": {"A": []}},
    ],
)
def test_bad_commands_are_refused(fields: dict[str, object]) -> None:
    with pytest.raises(DataError):
        command.command(checked_action({"action": "exec", **fields}))


def test_exec_runs_in_its_place_with_its_environment(bench: Bench) -> None:
    code = "import os; open('out', 'w').write(os.environ['GREETING'])"
    bench.perform(
        "exec",
        command=[sys.executable, "-c", code],
        environment={"GREETING": "hello"},
        working_directory=str(bench.root),
    )
    assert (bench.root / "out").read_text() == "hello"
    with pytest.raises(JobFailed, match="exit code 3"):
        bench.perform("exec", command="sh -c 'exit 3'")
    with pytest.raises(NoProgram, match="there is no program /no-such-place/program"):
        bench.perform("exec", command="/no-such-place/program")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_exec_as_another_user() -> None:
    words = command.command({"command": "id -un", "user": "nobody"}).argv
    output = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    assert output.strip() == "nobody"
    made = command.command({"command": "id", "user": "nobody", "environment": {"USER": "x"}})
    assert made.environment["HOME"] == pwd.getpwnam("nobody").pw_dir
    assert (made.environment["LOGNAME"], made.environment["USER"]) == ("nobody", "x")
    own = pwd.getpwuid(os.geteuid()).pw_name
    assert command.command({"command": "id", "user": own}).argv == (shutil.which("id"),)


def test_a_program_is_a_path_and_no_command_of_a_shell(tmp_path: Path) -> None:
    own = tmp_path / "eval"
    own.write_text("#!/bin/sh\n")
    for name in ("eval", "exit", ".", "cd", "no-such-program"):
        with pytest.raises(NoProgram) as refusal:
            command.command({"command": [name, "echo x"], "environment": {"PATH": str(tmp_path)}})
        assert refusal.value.hopeless
        assert ("shell: true" in refusal.value.hint) == (name != "no-such-program")
    with pytest.raises(NoProgram, match="cannot be executed") as refusal:
        command.command({"command": ["./eval"], "working_directory": str(tmp_path)})
    assert refusal.value.hint == f"chmod +x {tmp_path}/./eval"
    own.chmod(0o755)
    for fields in (
        {"command": ["eval"], "environment": {"PATH": f"/nowhere:{tmp_path}"}},
        {"command": ["./eval"], "working_directory": str(tmp_path)},
        {"command": [str(own)]},
    ):
        (path,) = command.command(fields).argv
        assert os.path.samefile(path, own) and path.startswith("/")


# admin and info


AGES = {0: [20, 10, 5], 1: [3, 1]}


@pytest.mark.parametrize(
    ("older_than", "force", "left"),
    [(25, False, 2), (15, False, 2), (7, False, 2), (4, False, 1), (0, False, 1), (0, True, 0)],
)
def test_chains_go_whole_by_their_newest_level_and_the_last_good_one_stays(
    bench: Bench, older_than: float, force: bool, left: int
) -> None:
    age(bench, AGES)
    report = bench.perform("admin", remove_older_than=older_than, force=force)
    assert len({one.chain for one in bench.catalogue()}) == left
    assert len(report.fields["removed"]) == 2 - left
    assert len(list(bench.container.glob("data/tar/host_docs/*"))) == left


@pytest.mark.parametrize("option", ["remove_before_date", "remove_from_date"])
@pytest.mark.parametrize(("earlier", "left"), [(0, 1), (1, 2)])
def test_a_date_removes_chains_up_to_their_newest_level(
    bench: Bench, option: str, earlier: int, left: int
) -> None:
    age(bench, AGES)
    newest_of_old = max(one.time_stamp for one in bench.catalogue() if one.level == 2)
    date = iso(from_epoch(newest_of_old - earlier))
    report = bench.perform("admin", **{option: date}, dry_run=True)
    assert len(report.fields["removed"]) == 2 - left
    assert len(bench.catalogue()) == 5
    bench.perform("admin", **{option: date})
    assert len({one.chain for one in bench.catalogue()}) == left


def test_file_systems_are_flushed_before_a_backup_unless_denied(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed: list[bool] = []
    monkeypatch.setattr(os, "sync", lambda: flushed.append(bench.container.exists()))
    bench.backup(sync=False)
    bench.backup(sync=None, dry_run=True)
    assert not flushed
    bench.backup(sync=None)
    assert len(flushed) == 1


def test_a_broken_newer_chain_does_not_cost_the_last_good_one(bench: Bench) -> None:
    age(bench, AGES)
    newest = max(bench.container.glob("data/tar/host_docs/*/0_*/data"))
    newest.unlink()
    bench.perform("admin", remove_older_than=2)
    assert [one.restorable for one in bench.catalogue()] == [True, True, True, False, False]


def test_removal_after_a_backup_spares_what_was_just_written(bench: Bench) -> None:
    age(bench, AGES)
    report = bench.level(remove_older_than=4)
    # Freezer would have counted from level 0 and removed the chain it just continued.
    assert report.fields["level"] in (0, 2)
    assert len(report.fields["removed"]) == 1
    assert bench.catalogue()[-1].time_stamp == report.fields["time_stamp"]


def test_admin_of_nothing_and_without_a_bound_are_errors(bench: Bench) -> None:
    with pytest.raises(DataError, match="nothing says what is to be removed"):
        bench.perform("admin")
    with pytest.raises(JobFailed, match="no backup"):
        bench.perform("admin", remove_older_than=1)


def test_names_come_from_the_manifest_where_underscores_are_ambiguous(bench: Bench) -> None:
    bench.backup(hostname="a_b", backup_name="c_d/e")
    (one,) = bench.catalogue()
    assert (one.hostname, one.backup_name, one.restorable) == ("a_b", "c_d/e", True)
    assert catalogue(bench.container, "a_b")[0].backup_name == "c_d/e"
    assert catalogue(bench.container, None, "c_d/e")[0].hostname == "a_b"
    assert catalogue(bench.container, "a", "b_c_d/e")
    assert catalogue(bench.container, "x") == []
    report = bench.perform("info", hostname="a_b", backup_name="c_d/e")
    assert report.message.startswith("1 level of 1 backup in ")


# the entrance


def _main(bench: Bench, text: str) -> tuple[int, dict[str, object]]:
    home, config, result = (bench.root / name for name in ("home", "config", "result.json"))
    home.mkdir(mode=0o700, exist_ok=True)
    (home / "etc").mkdir(exist_ok=True)
    (home / "etc" / "runner.conf").write_text("[runner]\nclient_id = host\n")
    config.write_text(text)
    words = ["--home", str(home), "agent", "--config", str(config), "--result", str(result)]
    code = run([*words, "--progress", str(bench.root / "progress.json")])
    return code, json.loads(result.read_text())


def test_json_and_freezers_ini_are_read(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    fields = {"path_to_backup": str(bench.source), "backup_name": "100%", "sync": False}
    code, result = _main(bench, json.dumps({"freezer_action": {"action": "backup", **fields}}))
    assert (code, result["level"], result["hostname"]) == (0, 0, "host")
    ini = "[action]\naction = backup\nmax-level = 3\nsync = False\nbackup_name = 100%\n"
    ini += f"path_to_backup = {bench.source}\n"
    assert _main(bench, ini)[1]["level"] == 1
    assert "level 1 of 100%: 0 files" in capsys.readouterr().out
    assert json.loads((bench.root / "progress.json").read_text())["message"] == "writing level 1"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("{", 65),
        ("junk", 65),
        ('{"action": "dance"}', 65),
        ('{"action": "backup", "path_to_backup": "/no-such-place"}', 1),
        ('{"action": "exec", "command": "false"}', 1),
    ],
)
def test_failures_have_a_code_a_message_and_a_result(bench: Bench, text: str, code: int) -> None:
    got, result = _main(bench, text)
    assert got == code
    assert result["message"]


def test_the_log_file_tells_what_happened(bench: Bench) -> None:
    log = bench.root / "agent.log"
    bench.backup(log_file=str(log))
    with pytest.raises(JobFailed):
        bench.restore(log_file=str(log), backup_name="other")
    lines = log.read_text().splitlines()
    assert [line.split(" ", 3)[1:3] for line in lines] == [
        ["INFO", "backup"],
        ["INFO", "backup"],
        ["INFO", "restore"],
        ["ERROR", "restore"],
    ]


def test_progress_is_told_at_most_once_a_second(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    told: list[Progress] = []
    meter = Meter(told.append)
    meter.begin("reading", 100)
    for _ in range(50):  # 5 s
        clock[0] += 0.1
        meter.bytes += 1
        meter.tick()
    assert [one.bytes for one in told] == pytest.approx([0, 10, 20, 30, 40, 50], abs=5)
    assert all(one.rate == 10.0 for one in told[1:])
    into_file(tmp_path / "p")(told[0])
    assert json.loads((tmp_path / "p").read_text())["total"] == 100


def test_many_threads_tell_one_at_a_time() -> None:
    telling = threading.Lock()
    overlaps = []

    def tell(dummy: Progress) -> None:
        overlaps.append(not telling.acquire(blocking=False))
        time.sleep(0.001)
        telling.release()

    meter = Meter(tell)
    meter.INTERVAL = 0.0

    def work() -> None:
        for _ in range(200):
            meter.tick()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        joined(thread)
    assert len(overlaps) > 1
    assert not any(overlaps)


def test_a_log_gets_a_line_every_few_seconds_and_fewer_as_hours_pass() -> None:
    lines: list[str] = []
    now = 0.0
    tell = into_log(lines.append, lambda: now)
    for second in range(36_000):
        now = second
        tell(Progress("writing level 0", 2, second * 10**6, 36 * 10**9, 10.0**6, 0.0))
        if second == 4:
            assert lines == []
        if second == 60:
            assert len(lines) == 12
    assert 200 < len(lines) < 400
    assert lines[0] == (
        "progress: writing level 0: 2 files, 5.0 MB of 36.0 GB, 1.0 MB/s, 9 h 59 min left"
    )


def test_progress_that_cannot_be_written_ends_nothing(tmp_path: Path) -> None:
    def full(text: str) -> None:
        raise OSError(28, "No space left on device")

    moment = Progress("reading", 1, 2, 3, 4.0, 5.0)
    into_file(tmp_path / "missing" / "p")(moment)
    into_log(full, iter([0.0, 10.0]).__next__)(moment)


def _totals(bench: Bench, **fields: object) -> list[Progress]:
    told: list[Progress] = []
    options = {"container": str(bench.container), "backup_name": "docs", "sync": False}
    perform(
        {"action": "backup", "path_to_backup": str(bench.source), **options, **fields},
        containers_dir=bench.root,
        client_id="host",
        progress=told.append,
    )
    return [moment for moment in told if moment.phase.startswith("writing level ")]


@pytest.mark.parametrize("files", [1, 300])
def test_a_full_backup_expects_what_the_last_one_was(bench: Bench, files: int) -> None:
    for number in range(files):
        (bench.source / f"file{number}").write_bytes(b"x" * (30_000_000 // files))

    assert _totals(bench)[0].total == 0
    first, *dummy = _totals(bench)
    (archive,) = (bench.container / "data").glob(f"tar/*/{bench.catalogue()[-1].chain}/*/data")
    length = len(subprocess.run(["gunzip", "-c", archive], capture_output=True, check=True).stdout)
    assert first.estimated
    assert first.total == pytest.approx(length, rel=0.05)
    assert {moment.total for moment in _totals(bench, incremental=True)} == {0}  # not foreseen


def test_a_full_backup_expects_nothing_of_what_tells_nothing(bench: Bench) -> None:
    """freezer-agent's levels say no size, another source's say another one's."""
    plant(bench.container, [("./file", REG, "x" * 1000)])
    (bench.source / "file").write_bytes(b"x" * 1000)
    other = bench.root / "other"
    other.mkdir()
    assert _totals(bench)[0].total == 0
    assert _totals(bench)[0].total > 1000
    # What cannot be read is passed over: the one before it tells.
    newest = bench.catalogue()[-1].chain
    next(bench.container.glob(f"data/tar/host_docs/{newest}/*/manifest.json")).write_text("{")
    assert _totals(bench)[0].total > 1000
    assert _totals(bench, path_to_backup=str(other))[0].total == 0
    assert _totals(bench)[0].total == 0, "the newest one is of another source"


def test_names_begin_no_lines_in_messages_and_logs(bench: Bench) -> None:
    """Whoever names a backup cannot forge a line, or talk to a terminal."""
    name = "a\nERROR \x1b[31mforged"
    log = bench.root / "log"
    told = [bench.backup(backup_name=name, log_file=str(log)).message]
    told.append(bench.restore(backup_name=name, log_file=str(log)).message)
    with pytest.raises(ColdchainError) as refusal:
        bench.restore(backup_name=f"{name}x", log_file=str(log))
    told.append(refusal.value.message)
    told += log.read_text().splitlines()
    assert len(told) == 3 + 6
    assert not [line for line in told if "\n" in line or "\x1b" in line]
    assert all(line[:4].isdigit() for line in told[3:])

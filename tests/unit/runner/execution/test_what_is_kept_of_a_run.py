# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""run.json and the agent's report: what is no such thing, and what cannot be found out."""

from __future__ import annotations

import errno
import json
import os
import signal
import stat
from pathlib import Path
from typing import Any

import pytest

from coldchain.core.errors import CannotWrite, Unavailable
from coldchain.core.paths import Paths
from coldchain.core.settings import Settings
from coldchain.execution import cgroup, run_log, runfile
from coldchain.execution.outcome import read_report
from coldchain.execution.plan import ActionSpec, Attempt
from coldchain.execution.run import Cause, JobRun
from coldchain.execution.runfile import RunProgress

CAUSE = Cause("schedule", "2026-05-01T00:00:00+00:00")
DOCUMENT = {"job_actions": [{"freezer_action": {"action": "exec", "command": ["true"]}}]}


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    record = runfile.new_record("j", CAUSE)
    progress = RunProgress([ActionSpec({"action": "exec"}), ActionSpec({})])
    progress.attempts[0] += [Attempt("fail", 3, 1.5), Attempt("fail", None, 2.5)]
    progress.skipped[1] = True
    progress.aborted, progress.killed, progress.uncleaned = "because", True, (0, 2)
    runfile.write(tmp_path, DOCUMENT, record, progress, new=True)
    document, kept, again = runfile.read(tmp_path)
    assert (document, kept, vars(again)) == (DOCUMENT, record, vars(progress))
    assert (tmp_path / "run.json").stat().st_mode & 0o777 == 0o600
    assert (record["job_id"], record["cause"]) == ("j", "schedule")
    assert record["scheduled_for"] == CAUSE.scheduled_for
    pending = progress.actions[0]
    assert pending["action"] == "exec" and pending["attempts"] == 0 and pending["duration"] == 0.0


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b'{"document": {}, "record": {}}'])
def test_what_is_no_record_is_told_as_such(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "run.json").write_bytes(content)
    with pytest.raises(ValueError, match=r"run\.json: "):
        runfile.read(tmp_path)


@pytest.mark.parametrize(
    ("number", "raised"),
    [
        (errno.ENOENT, ValueError),
        (errno.ENOTDIR, ValueError),
        (errno.EISDIR, ValueError),
        (errno.EIO, ValueError),  # a bad sector: it is lost
        (errno.EACCES, Unavailable),
        (errno.EMFILE, Unavailable),
        (errno.ENOMEM, Unavailable),
    ],
)
def test_a_record_is_lost_only_where_that_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, raised: type[Exception]
) -> None:
    def read_bytes(dummy: Path) -> bytes:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(Path, "read_bytes", read_bytes)
    with pytest.raises(raised, match=r"run\.json: "):
        runfile.read(tmp_path)


@pytest.mark.parametrize(
    ("content", "report"),
    [
        (b'{"message": "done"}', {"message": "done"}),
        (b"{}", {}),
        (b"[1]", {}),
        (b'"text"', {}),
        (b"{", {}),
        (b"\xff", {}),
        (None, {}),
    ],
)
def test_a_report_is_an_object_or_nothing(
    tmp_path: Path, content: bytes | None, report: dict[str, Any]
) -> None:
    path = tmp_path / "result.json"
    if content is not None:
        path.write_bytes(content)
    assert read_report(path) == report


@pytest.mark.parametrize("blocked", ["log", "runs"])
def test_a_run_that_has_no_place_is_refused_and_leaves_nothing(
    tmp_path: Path, blocked: str
) -> None:
    tmp_path.chmod(0o700)
    paths = Paths.under(tmp_path)
    paths.create()
    path = paths.job_log("j") if blocked == "log" else paths.runs
    if blocked == "runs":
        path.rmdir()
    path.write_text("in the way")
    with pytest.raises(CannotWrite, match=str(path)):
        JobRun.create(paths, Settings.load(paths), "j", DOCUMENT, CAUSE)
    if blocked == "log":
        assert list(paths.runs.iterdir()) == []


def test_a_run_that_the_disk_does_not_take_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tmp_path.chmod(0o700)
    paths = Paths.under(tmp_path)
    paths.create()

    def full(*dummy: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        with pytest.raises(CannotWrite, match="No space left"):
            JobRun.create(paths, Settings.load(paths), "j", DOCUMENT, CAUSE)
    assert list(paths.runs.iterdir()) == []
    run = JobRun.create(paths, Settings.load(paths), "j", DOCUMENT, CAUSE)
    assert json.loads((run.directory / "run.json").read_text())["record"]["job_id"] == "j"


def test_groups_go_with_all_below_and_a_full_one_later(tmp_path: Path) -> None:
    """Directories stand for groups: the kernel refuses to remove one with a process in it."""
    full, empty = tmp_path / "coldchain-full", tmp_path / "coldchain-empty"
    (full / "inner").mkdir(parents=True)
    (empty / "inner" / "inmost").mkdir(parents=True)
    (full / "inner" / "process").touch()
    cgroup.remove(full)
    assert full.is_dir()
    (full / "cgroup.procs").write_text("0\n12\n")
    (full / "inner" / "cgroup.procs").write_text("345\n")
    assert sorted(cgroup.processes(full)) == [12, 345]
    for path in (
        full / "cgroup.procs",
        full / "inner" / "cgroup.procs",
        full / "inner" / "process",
    ):
        path.unlink()
    cgroup.remove(empty)
    assert list(tmp_path.iterdir()) == [], "the one that was full, too"
    full.mkdir()
    cgroup.remove(empty)
    assert full.is_dir(), "nobody asks for that one again"
    cgroup.remove(tmp_path / "coldchain-never-there")
    assert cgroup.processes(tmp_path / "coldchain-never-there") == []


def test_a_log_s_descriptor_is_closed_whatever_happens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "log"
    written = run_log.RunLog(log)
    written.close()
    written.note("# one")  # from now on the directory of all logs is held
    written.close()
    held = set(os.listdir("/proc/self/fd"))
    written.note("# two")
    written.close()
    assert log.read_text() == "# one\n# two\n"

    def full(*dummy: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        with pytest.raises(OSError, match="No space left"):
            written.note("# three")
    written.close()
    assert set(os.listdir("/proc/self/fd")) == held


SERVICE = "/system.slice/coldchain-runner.service"
VERSION_2 = "30 23 0:26 / /sys/fs/cgroup rw shared:4 - cgroup2 cgroup2 rw\n"
VERSION_1 = "31 23 0:27 / /sys/fs/cgroup/system\\040d rw - cgroup cgroup rw,xattr,name=systemd\n"
OTHER = "32 23 0:28 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n"


@pytest.mark.parametrize(
    ("groups", "mounts", "place"),
    [
        (f"0::{SERVICE}\n", VERSION_2, f"/sys/fs/cgroup{SERVICE}"),
        (f"4:cpu:/\n1:name=systemd:{SERVICE}\n", VERSION_1, f"/sys/fs/cgroup/system d{SERVICE}"),
        (f"1:name=systemd:/x.service\n0::{SERVICE}\n", VERSION_1 + VERSION_2,
         f"/sys/fs/cgroup{SERVICE}"),
        (f"7::{SERVICE}\n", VERSION_2, None),  # not that of version 2
        (f"0::{SERVICE}\n", OTHER, None),
        (f"4:cpu:{SERVICE}\n", OTHER, None),
        ("", VERSION_2, None),
    ],
)  # fmt: skip
def test_our_own_group_is_found_where_it_is_mounted(
    monkeypatch: pytest.MonkeyPatch, groups: str, mounts: str, place: str | None
) -> None:
    def read_text(path: Path, *dummy: str) -> str:
        return {"/proc/self/cgroup": groups, "/proc/self/mountinfo": mounts}[str(path)]

    monkeypatch.setattr(Path, "read_text", read_text)
    monkeypatch.setattr(os, "access", lambda *dummy: True)
    monkeypatch.setattr(os, "getxattr", lambda *dummy: b"1")
    found = cgroup.delegated.__wrapped__()
    assert found == (None if place is None else Path(place))
    monkeypatch.setattr(os, "getxattr", lambda *dummy: b"0")
    assert cgroup.delegated.__wrapped__() is None, "systemd has not left it to us"


def groups_below(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Directories below *base* stand for the groups that systemd leaves to us."""
    base.mkdir(exist_ok=True)
    monkeypatch.setattr(cgroup, "delegated", lambda: base)


def test_each_attempt_has_a_group_of_its_own_where_there_can_be_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempt, base = tmp_path / "run" / "1.2", tmp_path / "base"
    monkeypatch.setattr(cgroup, "delegated", lambda: None)
    cgroup.create(attempt)
    assert cgroup.find(attempt) is None
    cgroup.sweep()
    groups_below(base, monkeypatch)
    assert cgroup.find(attempt) is None
    cgroup.create(attempt)
    cgroup.create(attempt)
    assert cgroup.find(attempt) == base / "coldchain-run-1.2"
    (base / "of-others").mkdir()
    cgroup.sweep()
    assert [path.name for path in base.iterdir()] == ["of-others"]
    base.joinpath("of-others").rmdir()
    base.rmdir()
    base.touch()  # nothing can be made there
    cgroup.create(attempt)
    assert cgroup.find(attempt) is None


def test_without_kill_a_group_is_frozen_while_its_processes_are_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed: list[tuple[int, str]] = []
    (tmp_path / "inner").mkdir()
    (tmp_path / "cgroup.procs").write_text("7\n0\n")
    (tmp_path / "inner" / "cgroup.procs").write_text("8\n")

    def kill(pid: int, number: int) -> None:
        assert number == signal.SIGKILL
        killed.append((pid, freeze.read_text() if freeze.exists() else "-"))
        if len(killed) > 3:
            (tmp_path / "cgroup.procs").write_text("")
        if pid == 8:
            (tmp_path / "inner" / "cgroup.procs").write_text("")
            raise ProcessLookupError

    monkeypatch.setattr(os, "kill", kill)
    freeze = tmp_path / "cgroup.freeze"
    freeze.touch()
    cgroup.kill(tmp_path)
    assert killed == [(7, "1"), (8, "1"), (7, "1"), (7, "1")] and freeze.read_text() == "0"
    freeze.unlink()
    (tmp_path / "inner" / "cgroup.procs").unlink()
    killed.clear()
    monkeypatch.setattr(os, "kill", lambda pid, _number: killed.append((pid, "")))
    (tmp_path / "cgroup.procs").write_text("9\n")
    cgroup.kill(tmp_path)
    assert len(killed) == 8, "who forks faster than that is left to the next look"
    assert not freeze.exists()
    (tmp_path / "cgroup.kill").touch()
    cgroup.kill(tmp_path)
    assert (tmp_path / "cgroup.kill").read_text() == "1" and len(killed) == 8


def test_only_logins_that_a_process_of_ours_has_opened_are_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cgroup, "_SESSIONS", str(tmp_path / "none"))
    assert cgroup.logins([7]) == set()
    monkeypatch.setattr(cgroup, "_SESSIONS", str(tmp_path))
    os.mkfifo(tmp_path / "c1.ref")
    scopes = {7: "session-1.scope", 8: "session-2.scope", 9: "other.scope"}
    for pid, scope in scopes.items():
        (tmp_path / f"c{pid}").write_text(f"# x\nSCOPE={scope}\nLEADER={pid}\n")
    (tmp_path / "c4").write_text("SCOPE=session-4.scope\nLEADER=\n")
    (tmp_path / "c5").write_text("LEADER=7\n")
    (tmp_path / "c6").write_bytes(b"\xff")
    places = {"7": ["/g/session-1.scope", "/h/x"], "8": ["/g/session-2.scope"], "9": ["/g/x"]}
    monkeypatch.setattr(cgroup, "_places_of", lambda pid: map(Path, places[pid]))
    assert cgroup.logins([7, 9]) == {Path("/g/session-1.scope")}
    assert cgroup.logins([8]) == {Path("/g/session-2.scope")}
    assert cgroup.logins([5]) == set()


@pytest.mark.parametrize(
    ("place", "marked", "ours"),
    [
        ("x.service", ["x.service"], True),
        ("x.service/runner", ["x.service"], True),  # DelegateSubgroup=
        ("x.service/runner", ["x.service/runner"], True),
        ("user.slice/x.service", ["user.slice"], False),
        ("x.service/deep/deeper", ["x.service"], False),
        ("x.service", [], False),
    ],
)
@pytest.mark.parametrize("writable", [True, False])
def test_a_group_is_ours_where_systemd_says_so_and_it_can_be_written(
    monkeypatch: pytest.MonkeyPatch, place: str, marked: list[str], ours: bool, writable: bool
) -> None:
    def getxattr(directory: Path, name: str) -> bytes:
        if str(directory) in marked and name == "user.delegate":
            return b"1"
        raise OSError(errno.ENODATA, "no such attribute")

    monkeypatch.setattr(os, "getxattr", getxattr)
    monkeypatch.setattr(os, "access", lambda path, how: writable and (path, how) == asked)
    asked = (Path(place), os.W_OK)
    assert cgroup._is_delegated(Path(place)) == (ours and writable)


@pytest.mark.parametrize("limit", [4096, 10_000])
def test_a_log_is_cut_where_it_is_longer_than_its_head_and_twice_its_tail(
    tmp_path: Path, limit: int
) -> None:
    log = tmp_path / "log"
    assert run_log.bound(log, limit) is False
    run_log.RunLog(log).note("ends\ud800")
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
    assert run_log.read(log) == "ends\\ud800\n"
    blocks = (run_log.HEAD + 2 * limit) // 4096
    log.write_bytes(b"".join(b"%7d\n" % number for number in range(blocks * 512)))
    assert run_log.bound(log, limit) is False
    with log.open("ab") as stream:
        stream.write(b"x" * 4096 * 2)
    whole = log.read_bytes()
    assert run_log.bound(log, limit) is True
    assert log.stat().st_size == len(whole)
    text = run_log.read(log)
    head, line, tail = text.partition("\n[... ")
    left, said, tail = tail.partition(" bytes left out ...]\n")
    assert line and said and head.encode() == whole[: run_log.HEAD]
    assert whole.endswith(tail.encode()) and limit <= len(tail) < limit + 2 * 4096
    assert len(head) + int(left) + len(tail) == len(whole)
    assert run_log.read(log, 10) == "x" * 10 and run_log.read(log, len(text)) == text
    assert run_log.bound(log, limit) is False, "it is short enough now"

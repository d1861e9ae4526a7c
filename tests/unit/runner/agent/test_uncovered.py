# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What lies and runs on a host, and no job backs it up."""

from __future__ import annotations

import shutil
import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest
import waiting

from coldchain.agent.coverage import Work, work_of
from coldchain.agent.database_servers import running
from coldchain.agent.uncovered import Host, uncovered


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A host's files: /etc, /home with two people, /srv as a file system of its own."""
    for name in (
        "etc/passwd",
        "home/anna/letter",
        "home/bob/letter",
        "srv/www/index",
        "root/.cache",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    (tmp_path / "opt").mkdir()
    (tmp_path / "srv" / "lost+found").mkdir()
    mount(tmp_path, "/", "8:1")
    mount(tmp_path, "/srv", "8:2")
    return tmp_path


def mount(root: Path, point: str, device: str, part: str = "/", kind: str = "ext4") -> None:
    table = root / "proc" / "self" / "mountinfo"
    table.parent.mkdir(parents=True, exist_ok=True)
    with table.open("a") as stream:
        stream.write(f"30 1 {device} {part} {point} rw,relatime shared:1 - {kind} /dev/x rw\n")


def backup(*paths: str, **options: Any) -> list[dict[str, Any]]:
    return [{"action": "backup", "path_to_backup": path, **options} for path in paths]


def told(root: Path, *works: Work, **host: Any) -> dict[str, str]:
    return {thing.what: thing.why for thing in uncovered(works, Host(str(root), **host))}


def of(root: Path, *actions: dict[str, Any], name: str = "j") -> Work:
    return work_of(name, actions, str(root))


def test_directories_with_content_that_no_job_backs_up(root: Path) -> None:
    assert told(root).keys() == {"/etc", "/home", "/srv"}
    assert told(root)["/home"] == "no job backs it up (2 entries)"
    # Every tree ends where another file system begins.
    (srv,) = told(root, of(root, *backup("/"))).items()
    assert srv == ("/srv", "job j backs up what is above it, but not what is mounted here")
    assert told(root, of(root, *backup("/", "/srv"))) == {}
    assert told(root, of(root, *backup("/etc", "/home", "/srv", dry_run=True))).keys() == {
        "/etc",
        "/home",
        "/srv",
    }


@pytest.mark.parametrize("kind", ["restore", "admin", "info", "exec"])
def test_only_a_backup_backs_up(root: Path, kind: str) -> None:
    """What the others say beside of trees and databases is not what they do."""
    process(root, "mysqld")
    paths = "/etc", "/home", "/srv"
    said = {"action": kind, "mode": "mysql"}
    assert told(root, of(root, *backup(*paths, mode="mysql"))).keys() == {*paths}
    other = [{**action, **said} for action in backup(*paths)]
    assert told(root, of(root, *other)) == told(root)
    assert "mysql" in told(root) and {*paths} < told(root).keys()


def test_a_part_of_a_directory_is_not_all_of_it(root: Path) -> None:
    rest = backup("/etc", "/srv")
    assert told(root, of(root, *rest, *backup("/home/anna"))) == {
        "/home": "a part of it is in no backup: bob"
    }
    (root / "home" / "bob" / "music").mkdir()
    assert told(root, of(root, *rest, *backup("/home/anna", "/home/bob/music"))) == {
        "/home": "a part of it is in no backup: bob/letter"
    }
    assert told(root, of(root, *rest, *backup("/home/anna", "/home/bob"))) == {}


@pytest.mark.parametrize(
    ("exclude", "expected"),
    [
        ("*.mp3", {}),
        ("bob", {}),  # on purpose
        ("home", {"/home": "job j leaves it out by exclude"}),
        ("./home/*", {"/home": "job j leaves it out by exclude"}),
    ],
)
def test_exclusions_are_respected(root: Path, exclude: str, expected: dict[str, str]) -> None:
    work = of(root, *backup("/", "/srv", exclude=[exclude]))
    assert told(root, work) == expected


def test_links_lead_where_the_content_lies(root: Path) -> None:
    shutil.move(root / "home", root / "data")
    (root / "home").symlink_to("data")
    assert "/home" in told(root)
    assert told(root, of(root, *backup("/etc", "/srv", "/data"))) == {}
    assert told(root, of(root, *backup("/etc", "/srv", "/home"))) == {}
    (root / "home").unlink()
    (root / "home").mkdir()
    (root / "home" / "anna").symlink_to("../data/anna")
    assert told(root, of(root, *backup("/etc", "/srv", "/data"))) == {}


@pytest.mark.parametrize(("device", "covered"), [("8:1", True), ("8:3", False)])
def test_a_tree_ends_at_another_file_system_and_not_at_any_mount(
    root: Path, device: str, covered: bool
) -> None:
    """As tar sees it: what is mounted from the same one is a directory like others."""
    mount(root, "/home", device, part="/home")
    assert (told(root, of(root, *backup("/", "/srv"))) == {}) is covered


def test_mounts_of_note(root: Path) -> None:
    for name in ("data/x", "again/x", "boot/x", "mnt/store/all/x", "nfs/x", "sub/x"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    mount(root, "/data", "8:3")
    mount(root, "/again", "8:3", part="/part")  # a second name of what is there
    mount(root, "/boot", "8:4")
    mount(root, "/mnt/store", "8:5")
    mount(root, "/nfs", "0:50", kind="nfs4")
    mount(root, "/sub", "8:1", part="/@sub", kind="btrfs")
    work = of(root, *backup("/etc", "/home", "/srv"))
    assert told(root, work).keys() == {"/data", "/mnt/store", "/sub"}
    assert told(root, work, own=("/mnt/store/all",)).keys() == {"/data", "/sub"}
    assert told(root, of(root, *backup("/", "/srv", "/data", "/mnt/store"))).keys() == {"/sub"}


def test_what_is_ignored(root: Path) -> None:
    work = of(root, *backup("/etc"))
    assert told(root, work, ignore=("/srv", "/home/bob")).keys() == {"/home"}
    assert told(root, work, ignore=("/srv", "/home/*")) == {}
    assert told(root, work, ignore=("/s*", "/home")) == {}


def process(root: Path, name: str) -> None:
    folder = root / "proc" / str(100 + len(list((root / "proc").iterdir())))
    folder.mkdir(parents=True)
    (folder / "comm").write_text(f"{name}\n")


def test_a_database_server_needs_a_dump(root: Path) -> None:
    process(root, "postgres")
    process(root, "redis-server")
    for name in ("var/lib/postgresql/15/main", "var/lib/redis/dump.rdb"):
        (root / name).mkdir(parents=True)
    files = of(root, *backup("/etc", "/home", "/srv"), name="files")
    missing = told(root, files)
    assert missing["postgresql"] == "it runs (process postgres), and no job dumps it"
    assert missing.keys() == {"postgresql", "redis"}  # and their directories are not told twice

    # Copied while they change: good enough for redis alone.
    copied = told(root, files, of(root, *backup("/var/lib"), name="lib"))
    assert copied.keys() == {"postgresql"}
    assert "job lib copies its files while it writes them" in copied["postgresql"]

    dump = {"action": "exec", "command": ["pg_dumpall", "-f", "/srv/all.sql"]}
    assert told(root, files, of(root, dump)).keys() == {"redis"}
    line = {"action": "exec", "command": "/usr/bin/pg_dump x | zstd > /srv/x", "shell": True}
    assert told(root, files, of(root, line)).keys() == {"redis"}
    stop = {"action": "exec", "command": ["systemctl", "stop", "postgresql.service"]}
    assert told(root, files, of(root, stop)).keys() == {"postgresql", "redis"}
    assert told(root, files, of(root, stop, *backup("/var/lib"))) == {}
    assert told(root, files, ignore=("postgresql", "redis")) == {}


def sockets(root: Path, *rows: tuple[str, str]) -> None:
    """A table of sockets as /proc/net/unix: flags and path of each."""
    table = root / "proc" / "net" / "unix"
    table.parent.mkdir(parents=True, exist_ok=True)
    head = "Num       RefCount Protocol Flags    Type St Inode Path\n"
    lines = [f"0000: 00000002 00000000 {flags} 0001 01 1 {path}".rstrip() for flags, path in rows]
    table.write_text(head + "".join(f"{line}\n" for line in lines))


def test_what_shows_that_a_server_runs(root: Path) -> None:
    """Its processes, then the sockets that it listens at, three of them all together."""
    listens, talks = "00010000", "00000000"
    sockets(root, (listens, "/run/b/.s.PGSQL.1"), (talks, "/run/a/mysql.sock"), (listens, ""))
    assert [(found.name, found.evidence) for found in running(str(root))] == [
        ("postgresql", "socket /run/b/.s.PGSQL.1")
    ]
    rows = [(listens, f"/run/{name}/.s.PGSQL.1") for name in "dcba"]
    sockets(root, *rows, (listens, "/x/.s.PGSQL.1.lock"), (listens, "/a b/mysqld.sock"))
    process(root, "postmaster")
    process(root, "postgres-not")
    assert [(found.name, found.evidence) for found in running(str(root))] == [
        (
            "postgresql",
            "process postmaster, socket /run/a/.s.PGSQL.1, socket /run/b/.s.PGSQL.1",
        ),
        ("mysql", "socket /a b/mysqld.sock"),
    ]
    (root / "proc" / "net" / "unix").unlink()
    (root / "proc" / "5").mkdir()  # ended meanwhile
    assert [found.evidence for found in running(str(root))] == ["process postmaster"]


@pytest.mark.parametrize(
    ("people", "named"),
    [
        ("bc", "b, c"),
        ("bcd", "b, c, d"),
        ("bcde", "b, c, d and 1 more"),
        ("bcdef", "b, c, d and 2"),
    ],
)
def test_three_parts_are_named(root: Path, people: str, named: str) -> None:
    shutil.rmtree(root / "home")
    for name in ("a", *people):
        (root / "home" / name).mkdir(parents=True)
    work = of(root, *backup("/etc", "/srv", "/home/a"))
    assert told(root, work)["/home"].startswith(f"a part of it is in no backup: {named}")


@pytest.mark.parametrize(
    ("patterns", "path", "ignored"),
    [
        (("/srv",), "/srv", True),
        (("/srv",), "/srv/a/b", True),
        (("/srv/",), "/srv/a", True),
        (("/srv",), "/srv2", False),
        (("/s?v/*",), "/srv/a", True),
        (("/s?v/*",), "/srv", False),
        (("postgresql", "/a"), "/a/x", True),
        ((), "/srv", False),
    ],
)
def test_what_is_above_is_ignored_as_well(
    patterns: tuple[str, ...], path: str, ignored: bool
) -> None:
    assert Host(ignore=patterns).is_ignored(path) is ignored


@pytest.mark.parametrize(
    ("point", "part", "kind", "note"),
    [
        ("/data", "/", "ext4", True),
        ("/data", "/", "zfs", True),
        ("/data", "/", "nfs4", False),
        ("/data", "/sub", "xfs", False),
        ("/data", "/@data", "btrfs", True),
        ("/var", "/", "ext4", False),
        ("/var/lib/x", "/", "ext4", True),
        ("/boot", "/", "ext4", False),
        ("/boot/efi", "/", "ext4", False),
        ("/bootleg", "/", "ext4", True),
        ("/var/lib/docker", "/", "xfs", False),
        ("/var/lib/docker/volumes", "/", "xfs", False),
    ],
)
def test_which_mounts_are_of_note(root: Path, point: str, part: str, kind: str, note: bool) -> None:
    (root / point.lstrip("/")).mkdir(parents=True)
    (root / point.lstrip("/") / "file").touch()
    mount(root, point, "8:9", part, kind)
    work = of(root, *backup("/etc", "/home", "/srv"))
    known = point == "/var/lib/docker/volumes"  # a service, whatever is mounted there
    assert told(root, work) == ({point: "no job backs it up (1 entry)"} if note or known else {})


def all_running() -> dict[str, str]:
    return {server.name: server.evidence for server in running()}


def test_a_real_process_and_a_real_socket_are_seen(tmp_path: Path) -> None:
    shutil.copy("/bin/sleep", tmp_path / "mongod")
    process = subprocess.Popen([tmp_path / "mongod", "60"])
    try:
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(str(tmp_path / ".s.PGSQL.5432"))
            listening.listen()
            # A program that has begun gets its name an instant later.
            waiting.until(lambda: "mongodb" in all_running())
            seen = all_running()
    finally:
        process.kill()
        waiting.ended(process)
    assert seen["mongodb"] == "process mongod"
    assert f"socket {tmp_path}/.s.PGSQL.5432" in seen["postgresql"]

# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The database servers that run on this host, by their processes and sockets."""

from __future__ import annotations

import re
from collections.abc import Set
from pathlib import Path
from typing import NamedTuple


class Server(NamedTuple):
    """A kind of database server: how one that runs is recognised, and what backs it up.

    processes: names as the kernel cuts them, 15 characters; sockets: a regular expression of their
    paths; folders: where the data mostly lies; tools: programs that make a copy which can be
    restored; modes: of ours that do; units: of systemd; files_do: the files make such a copy.
    """

    name: str
    processes: tuple[str, ...]
    sockets: str
    folders: tuple[str, ...]
    tools: tuple[str, ...]
    modes: tuple[str, ...] = ()
    units: tuple[str, ...] = ()
    files_do: bool = False

    def is_dumped_by(self, words: Set[str], modes: Set[str]) -> bool:
        """Whether a job with these words in its commands and these modes makes a copy of it."""
        return not words.isdisjoint(self.tools) or not modes.isdisjoint((self.name, *self.modes))

    def is_stopped_by(self, words: Set[str]) -> bool:
        """Whether a job with these words in its commands stops it meanwhile."""
        units = {self.name, *self.units}
        named = units | {f"{unit}.service" for unit in units}
        return "stop" in words and not words.isdisjoint(named)


SERVERS = (
    Server(
        "postgresql",
        ("postgres", "postmaster"),
        r".*/\.s\.PGSQL\.\d+",
        ("/var/lib/postgresql", "/var/lib/pgsql"),
        ("pg_dump", "pg_dumpall", "pg_basebackup", "pgbackrest", "barman", "wal-g"),
        modes=("postgres", "pgsql"),
    ),
    Server(
        "mysql",
        ("mysqld", "mariadbd"),
        r".*/mysqld?\.sock",
        ("/var/lib/mysql",),
        (
            *("mysqldump", "mariadb-dump", "mysqlpump", "mysqlsh", "mydumper"),
            *("xtrabackup", "mariabackup", "mariadb-backup"),
        ),
        modes=("mariadb",),
        units=("mariadb", "mysqld"),
    ),
    Server(
        "mongodb",
        ("mongod",),
        r".*/mongodb-\d+\.sock",
        ("/var/lib/mongodb", "/var/lib/mongo"),
        ("mongodump", "pbm"),
        modes=("mongo",),
        units=("mongod",),
    ),
    Server(
        "redis",
        ("redis-server", "valkey-server"),
        r".*/(redis|valkey)[^/]*\.sock",
        ("/var/lib/redis", "/var/lib/valkey"),
        ("redis-cli", "valkey-cli"),
        units=("redis-server", "valkey", "valkey-server"),
        files_do=True,  # dump.rdb is replaced as a whole
    ),
    Server(
        "openldap",
        ("slapd",),
        r".*/ldapi",
        ("/var/lib/ldap",),
        ("slapcat",),
        units=("slapd",),
    ),
    Server(
        "clickhouse",
        ("clickhouse-serv",),
        "",
        ("/var/lib/clickhouse",),
        ("clickhouse-backup", "clickhouse-client"),
        units=("clickhouse-server",),
    ),
    Server(
        "etcd",
        ("etcd",),
        "",
        ("/var/lib/etcd",),
        ("etcdctl", "etcdutl"),
    ),
    Server(
        "influxdb",
        ("influxd", "influxdb3"),
        "",
        ("/var/lib/influxdb", "/var/lib/influxdb2"),
        ("influx", "influxd"),
    ),
    Server(
        "mssql",
        ("sqlservr",),
        "",
        ("/var/opt/mssql",),
        ("sqlcmd",),
        modes=("sqlserver",),
        units=("mssql-server",),
    ),
    Server(
        "firebird",
        ("firebird", "fbserver"),
        "",
        ("/var/lib/firebird",),
        ("gbak", "nbackup"),
    ),
)


class Running(NamedTuple):
    """A server that runs.  evidence: the process or the sockets that show it."""

    server: Server
    evidence: str

    @property
    def name(self) -> str:
        """The name of the server."""
        return self.server.name


def running(root: str = "/") -> list[Running]:
    """The servers that run on the host whose /proc lies below *root*, those in containers too."""
    processes, sockets = _processes(Path(root, "proc")), _sockets(Path(root, "proc"))
    found = []
    for server in SERVERS:
        names = [name for name in server.processes if name in processes]
        paths = [path for path in sockets if server.sockets and re.fullmatch(server.sockets, path)]
        evidence = [f"process {name}" for name in names] + [f"socket {path}" for path in paths]
        if evidence:
            found.append(Running(server, ", ".join(evidence[:3])))
    return found


def _processes(proc: Path) -> set[str]:
    """The names of all processes."""
    names = set()
    for folder in proc.glob("[0-9]*"):
        try:
            names.add((folder / "comm").read_text("utf-8", "replace").rstrip("\n"))
        except OSError:  # ended meanwhile
            continue
    return names


def _sockets(proc: Path) -> list[str]:
    """The paths of all sockets that something listens at, in the order of their names."""
    try:
        lines = (proc / "net" / "unix").read_text("utf-8", "replace").splitlines()[1:]
    except OSError:
        return []
    # Num RefCount Protocol Flags Type St Inode Path; SO_ACCEPTCON in the flags.
    fields = [line.split(maxsplit=7) for line in lines]
    return sorted({row[7] for row in fields if len(row) == 8 and int(row[3], 16) & 0x10000})

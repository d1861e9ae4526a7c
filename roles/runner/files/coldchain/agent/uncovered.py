# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What lies and runs on this host, and no job backs it up.

No tree is walked: a directory of note is looked into, and the directories on the way from it to
what the jobs back up.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from coldchain.agent.coverage import Tree, Work, is_within, resolved
from coldchain.agent.database_servers import SERVERS, Running, Server, running
from coldchain.agent.mounts import Mount, mounts
from coldchain.core.text import pluralize, printable

#: Directories that somebody would miss.
FOLDERS = ("/etc", "/home", "/root", "/srv", "/opt", "/var/www")
#: Of services that keep what people gave them below /var/lib; those of database servers beside.
_SERVICES = (
    "awx bind cassandra consul couchdb dovecot elasticsearch forgejo gitea gitlab grafana"
    " headscale hass homeassistant jenkins jellyfin kafka keycloak ldap libvirt/images lxc lxd"
    " mailman mailman3 minio mosquitto named neo4j netbox nextcloud opensearch paperless"
    " plexmediaserver prometheus puppetserver rabbitmq rundeck samba sonarqube tftpboot teleport"
    " tomcat unifi vault vaultwarden victoria-metrics vikunja wireguard zabbix zookeeper"
    " docker/volumes containers/storage/volumes"
)
#: What every host has in its directories of note, and nobody misses.
_NOTHING = frozenset(
    (
        *(".ansible", ".bash_history", ".bash_logout", ".bashrc", ".cache", ".config", ".cshrc"),
        *(".lesshst", ".local", ".profile", ".tcshrc", ".viminfo", ".wget-hsts", "lost+found"),
    )
)
#: File systems on disks of the host; what is mounted from elsewhere is backed up there.
_KINDS = ("bcachefs", "btrfs", "ext2", "ext3", "ext4", "f2fs", "jfs", "nilfs2", "xfs", "zfs")
#: Mount points that hold what the system makes again, or whose directories of note are FOLDERS.
_OF_THE_SYSTEM = ("/", "/usr", "/usr/local", "/var", "/var/cache", "/var/log", "/var/tmp", "/tmp")
_PARTS_OF_THE_SYSTEM = (
    *("/boot", "/dev", "/proc", "/run", "/snap", "/sys", "/nix", "/ostree", "/sysroot"),
    *("/var/lib/containers", "/var/lib/docker", "/var/lib/kubelet", "/var/snap"),
)
_MOST_ENTRIES = 2000
_NAMED = 3


class Uncovered(NamedTuple):
    """Something that no job backs up.

    kind: "path" or "service"; what: the path or the service's name; why: in words.
    """

    kind: str
    what: str
    why: str

    def as_dict(self) -> dict[str, str]:
        """The JSON form."""
        return self._asdict()


class _Host(NamedTuple):
    root: str = "/"
    own: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()


class Host(_Host):  # without __slots__: a cached property needs a place
    """Where to look, and what needs no job.

    root: where the host's files lie; own: directories that hold backups, or the runner itself;
    ignore: paths, with * ? [, and names of services.
    """

    @cached_property
    def mounted(self) -> list[Mount]:
        """What is mounted on the host."""
        return mounts(Path(self.root, "proc/self/mountinfo"))

    def is_ignored(self, path: str) -> bool:
        """Whether somebody has said that *path*, or a directory above it, needs no job."""
        patterns = [
            pattern for thing in self.ignore for pattern in (thing, f"{thing.rstrip('/')}/*")
        ]
        return any(fnmatchcase(path, pattern) for pattern in patterns)


def uncovered(works: Sequence[Work], host: Host) -> list[Uncovered]:
    """The database servers that run and the directories of note that no one of *works* covers."""
    seen = running(host.root)
    found = _servers([server for server in seen if server.name not in host.ignore], works, host)
    spoken_for = {server.name for server in seen} | set(host.ignore)
    folders = [path for server in SERVERS if server.name in spoken_for for path in server.folders]
    return [*found, *_paths(works, host, folders)]


# -- directories ----------------------------------------------------------------------------------


def _paths(works: Sequence[Work], host: Host, spoken_for: Iterable[str]) -> Iterator[Uncovered]:
    names = [*FOLDERS, *(f"/var/lib/{name}" for name in _SERVICES.split())]
    names += [folder for server in SERVERS for folder in server.folders]
    names += [os.fsdecode(mount.point) for mount in host.mounted if _is_of_note(mount)]
    look = _Look(works, host)
    seen: set[str] = set()
    for name in sorted(set(names).difference(spoken_for)):
        folder = resolved(name, host.root)
        if folder not in seen and os.path.isdir(folder) and not host.is_ignored(name):
            seen.add(folder)
            why = look.why(name, folder)
            if why:
                yield Uncovered("path", printable(name), printable(why))


def _is_of_note(mount: Mount) -> bool:
    point = os.fsdecode(mount.point)
    if mount.kind not in _KINDS or point in _OF_THE_SYSTEM:
        return False
    # A part of a file system under a second name, but for subvolumes.
    if mount.part != b"/" and mount.kind != "btrfs":
        return False
    return not any(is_within(point, top) for top in _PARTS_OF_THE_SYSTEM)


class _Look:
    """Directories of *host* against what *works* back up."""

    def __init__(self, works: Sequence[Work], host: Host) -> None:
        self._host = host
        self._trees = [(tree, work.name) for work in works for tree in work.trees]
        self._own = [resolved(path, host.root) for path in host.own]
        self._mounts = {resolved(os.fsdecode(m.point), host.root): m for m in host.mounted}

    def why(self, name: str, folder: str) -> str:
        """Why *folder* (for people *name*) is not covered; "" when it is, or holds nothing."""
        entries = self._entries(name, folder)
        missing = [path for path in entries if not self._covered(path)]
        inside = any(self._on_the_way(path) for path in [folder, *missing])
        if inside:
            missing = list(self._without(name, folder, missing))
        if not missing:
            return ""
        if inside:
            return f"a part of it is in no backup: {_some(missing, folder)}"
        if len(missing) < len(entries):  # what a pattern leaves out of it is left out on purpose
            return ""
        for tree, job in self._trees:
            if is_within(folder, tree.path):
                if self._border(tree.path, folder):
                    return f"job {job} backs up what is above it, but not what is mounted here"
                return f"job {job} leaves it out by exclude"
        return f"no job backs it up ({pluralize(len(entries), 'entry')})"

    def _on_the_way(self, folder: str) -> bool:
        """Whether a tree that is backed up lies below *folder*."""
        return any(
            tree.path != folder and is_within(tree.path, folder) for tree, _job in self._trees
        )

    def _entries(self, name: str, folder: str) -> list[str]:
        """What lies in it that somebody might miss."""
        try:
            with os.scandir(folder) as listing:
                names = [entry.name for _unused, entry in zip(range(_MOST_ENTRIES), listing)]
        except OSError:
            return []
        paths = [os.path.join(folder, entry) for entry in sorted(names) if entry not in _NOTHING]
        ignored = self._host.is_ignored
        return [
            path
            for path in paths
            if not ignored(os.path.join(name, os.path.basename(path)))
            and not any(is_within(path, own) for own in self._own)
            and path not in self._mounts  # looked at on its own, or not at all
        ]

    def _without(self, name: str, folder: str, missing: Iterable[str]) -> Iterator[str]:
        """Of *missing*, instead of a directory on the way to a tree what is missing in that."""
        for path in missing:
            if self._on_the_way(path):
                below = os.path.join(name, os.path.basename(path))
                inside = [entry for entry in self._entries(below, path) if not self._covered(entry)]
                yield from self._without(below, path, inside)
            else:
                yield path

    def _covered(self, path: str) -> bool:
        places = {path, os.path.realpath(path)}  # a link is good when what it leads to is
        return any(
            tree.holds(place) and not self._border(tree.path, place)
            for tree, _job in self._trees
            for place in places
        )

    def _border(self, top: str, path: str) -> bool:
        """Whether another file system is mounted between *top* and *path*."""
        device = self._device(top)
        return any(
            point != top
            and is_within(point, top)
            and is_within(path, point)
            and (mount.device != device or mount.kind == "btrfs")
            for point, mount in self._mounts.items()
        )

    def _device(self, path: str) -> str:
        """That of the file system that *path* lies in."""
        points = [point for point in self._mounts if is_within(path, point)]
        return self._mounts[max(points, key=len)].device if points else ""


def _some(paths: Sequence[str], folder: str) -> str:
    names = [os.path.relpath(path, folder) for path in paths[:_NAMED]]
    more = len(paths) - len(names)
    return ", ".join(names) + (f" and {more} more" if more else "")


# -- database servers -----------------------------------------------------------------------------


def _servers(servers: Iterable[Running], works: Sequence[Work], host: Host) -> Iterator[Uncovered]:
    for found in servers:
        server = found.server
        if any(server.is_dumped_by(work.words, work.modes) for work in works):
            continue
        trees = [
            (tree, work)
            for work in works
            for tree in work.trees
            if _holds_one(tree, server, host.root)
        ]
        if any(server.is_stopped_by(work.words) or server.files_do for _tree, work in trees):
            continue
        why = f"it runs ({found.evidence}), and no job dumps it"
        if trees:
            why += f"; job {trees[0][1].name} copies its files while it writes them"
        yield Uncovered("service", server.name, printable(why))


def _holds_one(tree: Tree, server: Server, root: str) -> bool:
    return any(tree.holds(resolved(folder, root)) for folder in server.folders)

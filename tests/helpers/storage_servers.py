# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real servers of every kind on loopback, each in a directory of its own."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import waiting

HOST = "127.0.0.1"
SECRET = "s3cret and 'spaces'"
ACCESS_KEY = "AKIAEXAMPLE"
STARTING = waiting.PATIENCE + 20
"""Seconds for the start of a server."""

_FTPD = """
import sys
from pyftpdlib.authorizers import DummyAuthorizer
from pyftpdlib.handlers import FTPHandler, TLS_FTPHandler
from pyftpdlib.servers import FTPServer
port, folder, password, certificate = sys.argv[1:]
authorizer = DummyAuthorizer()
authorizer.add_user("u", password, folder, perm="elradfmwMT")
handler = FTPHandler
if certificate:
    handler = TLS_FTPHandler
    handler.certfile = certificate
    handler.tls_control_required = handler.tls_data_required = True
handler.authorizer = authorizer
FTPServer(("127.0.0.1", int(port)), handler).serve_forever()
"""

# swift-ring-builder would be started nine times for the same.
_RINGS = """
import sys
from swift.common.ring import RingBuilder
host, *rings = sys.argv[1:]
for path, port in zip(rings[::2], rings[1::2]):
    builder = RingBuilder(part_power=4, replicas=1, min_part_hours=1)
    place = {"region": 1, "zone": 1, "ip": host, "port": int(port), "device": "d1"}
    builder.add_dev({**place, "weight": 1})
    builder.rebalance()
    builder.get_ring().save(path)
"""


@dataclass
class Server:
    """A storage.

    fields: of an action, without the container; secrets: NAME=VALUE; folder: where the files of
    its containers lie, None when they cannot be found on the disk.
    """

    name: str
    fields: dict[str, object]
    container: str = "{}"
    secrets: dict[str, str] = field(default_factory=dict)
    folder: Path | None = None
    commands: Sequence[Sequence[str]] = ()
    ports: Sequence[int] = ()
    log: Path | None = None
    environment: dict[str, str] = field(default_factory=dict)
    prepare: Callable[[], None] = lambda: None
    _processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self) -> None:
        assert self.log is not None or not self.commands
        for command in self.commands:
            assert self.log is not None
            # Where what it spools goes when it is killed.
            place = {"TMPDIR": str(self.log.parent)}
            with self.log.open("ab") as log:
                self._processes.append(
                    subprocess.Popen(
                        command,
                        stdin=subprocess.DEVNULL,
                        stdout=log,
                        stderr=log,
                        start_new_session=True,
                        env={**os.environ, **place, **self.environment},
                    )
                )

        def told() -> object:
            return self.log and self.log.read_text()[-2000:]

        for port in self.ports:
            waiting.until(lambda port=port: listening(port), STARTING, told=told, pause=0.02)
        self.prepare()

    def everyone(self) -> list[int]:
        """Its processes, and those that serve somebody (sshd's sessions)."""
        return [pid for process in self._processes for pid in descendants(process.pid)]

    def kill(self) -> None:
        """No time to say good-bye."""
        for pid in self.everyone():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for process in self._processes:
            waiting.ended(process)
        self._processes.clear()


def descendants(pid: int) -> list[int]:
    """*pid* and all that came from it, also what has made itself leader of a new session."""
    found = [pid]
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            if int(stat.read_text().rpartition(")")[2].split()[1]) == pid:
                found += descendants(int(stat.parent.name))
    return found


def listening(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection((HOST, port), 1):
        return True
    return False


def free_port() -> int:
    """A port that nobody else is given as long as we live: not another server, not a client.

    It stays bound without listening, which with SO_REUSEADDR keeps no server from it.
    """
    reserved = socket.socket()
    reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    reserved.bind((HOST, 0))
    _RESERVED.append(reserved)
    return int(reserved.getsockname()[1])


@dataclass(frozen=True)
class Makers:
    """root: for the servers' directories; venv: with rclone and the servers from PyPI."""

    root: Path
    venv: Path

    @property
    def rclone(self) -> str:
        return str(self.venv / "bin" / "rclone")

    def _place(self, name: str) -> Path:
        folder = self.root / name
        folder.mkdir()
        return folder

    def _known(self, name: str, port: int) -> Path:
        """A known_hosts with the keys of the server on *port*, as an administrator makes it."""
        path = self.root / f"{name}.known_hosts"

        def scan() -> None:
            path.write_bytes(
                subprocess.run(
                    ["ssh-keyscan", "-p", str(port), HOST], capture_output=True, check=True
                ).stdout
            )

        self.scans[name] = scan
        return path

    @property
    def scans(self) -> dict[str, Callable[[], None]]:
        return _SCANS

    def _served(self, name: str, protocol: str, *more: str) -> Server:
        """One of ``rclone serve``."""
        port, folder = free_port(), self._place(name)
        command = [self.rclone, "serve", protocol, "--addr", f"{HOST}:{port}", *more, str(folder)]
        return Server(
            name,
            {},
            folder=folder,
            commands=[command],
            ports=[port],
            log=self.root / f"{name}.log",
            environment={"RCLONE_CONFIG": os.devnull},
        )

    def local(self) -> Server:
        folder = self._place("local")
        return Server("local", {}, container=f"{folder}/{{}}", folder=folder)

    def ssh_openssh(self, name: str = "openssh") -> Server | str:
        """OpenSSH with a key, and nothing but SFTP."""
        sshd = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin")
        if sshd is None:
            return "sshd is not installed (apt install openssh-server)"
        if os.geteuid() != 0:
            return "sshd lets only root log in somebody"
        os.makedirs("/run/sshd", exist_ok=True)
        folder, port, base = self._place(name), free_port(), self._place(f"{name}-keys")
        for key in ("host_ed25519", "host_rsa", "id"):
            kind = key.partition("_")[2] or "ed25519"
            command = ["ssh-keygen", "-q", "-t", kind, "-N", "", "-f", str(base / key)]
            # The smallest that everybody takes, of which half as much is tried.
            command += ["-b", "2048"] * (kind == "rsa")
            subprocess.run(command, check=True)
        config = base / "sshd.conf"
        lines = [
            f"Port {port}",
            f"ListenAddress {HOST}",
            f"HostKey {base}/host_ed25519",
            f"HostKey {base}/host_rsa",
            f"AuthorizedKeysFile {base}/id.pub",
            "StrictModes no",
            "PidFile none",
            "UsePAM no",
            "PermitRootLogin prohibit-password",
            "Subsystem sftp internal-sftp",
            "ForceCommand internal-sftp",
        ]
        config.write_text("\n".join(lines) + "\n")
        known = self._known(name, port)
        return Server(
            name,
            {
                "storage": "ssh",
                "ssh_host": HOST,
                "ssh_port": port,
                "ssh_username": "root",
                "ssh_key": str(base / "id"),
                "ssh_known_hosts": str(known),
            },
            container=f"{folder}/{{}}",
            folder=folder,
            commands=[[sshd, "-D", "-e", "-f", str(config)]],
            ports=[port],
            log=self.root / f"{name}.log",
            prepare=self.scans[name],
        )

    def ssh_password(self) -> Server:
        server = self._served("sftp", "sftp", "--user", "u", "--pass", SECRET)
        known = self._known("sftp", server.ports[0])
        server.fields = {
            "storage": "ssh",
            "ssh_host": HOST,
            "ssh_port": server.ports[0],
            "ssh_username": "u",
            "ssh_known_hosts": str(known),
        }
        server.secrets = {"SSH_PASSWORD": SECRET}
        server.prepare = self.scans["sftp"]
        return server

    def s3_rclone(self) -> Server:
        server = self._served("s3", "s3", "--auth-key", f"{ACCESS_KEY},{SECRET}")
        server.fields = {
            "storage": "s3",
            "endpoint": f"http://{HOST}:{server.ports[0]}",
            "access_key": ACCESS_KEY,
        }
        server.secrets = {"SECRET_KEY": SECRET}
        server.container = "bucket/{}"
        return server

    def s3_moto(self) -> Server:
        port = free_port()
        return Server(
            "moto",
            {"storage": "s3", "endpoint": f"http://{HOST}:{port}", "access_key": ACCESS_KEY},
            container="bucket/{}",
            secrets={"SECRET_KEY": SECRET},
            commands=[[str(self.venv / "bin" / "moto_server"), "-H", HOST, "-p", str(port)]],
            ports=[port],
            log=self.root / "moto.log",
        )

    def _ftpd(self, name: str, certificate: str) -> Server:
        port, folder = free_port(), self._place(name)
        python = str(self.venv / "bin" / "python")
        command = [python, "-c", _FTPD, str(port), str(folder), SECRET, certificate]
        return Server(
            name,
            {"storage": name, "ftp_host": HOST, "ftp_port": port, "ftp_username": "u"},
            secrets={"FTP_PASSWORD": SECRET},
            folder=folder,
            commands=[command],
            ports=[port],
            log=self.root / f"{name}.log",
        )

    def ftp(self) -> Server:
        return self._ftpd("ftp", "")

    def ftps(self) -> Server:
        """With a certificate of an authority that only ca_cert knows."""
        both = self.root / "ftps.pem"
        words = ["openssl", "req", "-x509", "-newkey", "ec", "-nodes", "-days", "2"]
        words += ["-pkeyopt", "ec_paramgen_curve:prime256v1"]
        words += ["-subj", "/CN=localhost", "-addext", f"subjectAltName=IP:{HOST}"]
        key, certificate = self.root / "ftps.key", self.root / "ftps.crt"
        words += ["-keyout", str(key), "-out", str(certificate)]
        subprocess.run(words, check=True, capture_output=True)
        both.write_text(key.read_text() + certificate.read_text())
        server = self._ftpd("ftps", str(both))
        server.fields["ca_cert"] = str(certificate)
        return server

    def webdav(self) -> Server:
        """Reached by a remote of an rclone.conf."""
        server = self._served("webdav", "webdav", "--user", "u", "--pass", SECRET)
        config = self.root / "rclone.conf"
        hidden = subprocess.run(
            [self.rclone, "obscure", "-"], input=SECRET, capture_output=True, text=True, check=True
        ).stdout.strip()
        url = f"http://{HOST}:{server.ports[0]}"
        config.write_text(
            f"[dav]\ntype = webdav\nvendor = other\nurl = {url}\nuser = u\npass = {hidden}\n"
        )
        config.chmod(0o600)
        server.fields = {"storage": "rclone", "rclone_config": str(config)}
        server.container = "dav:{}"
        return server

    def swift(self) -> Server | str:
        """OpenStack's own: proxy, account, container and object server, with tempauth."""
        bin_ = self.venv.parent / "swift" / "bin"
        if not (bin_ / "swift-proxy-server").exists():
            return f"Swift is not installed in {bin_.parent} (make storages says why)"
        memcached = shutil.which("memcached")
        if memcached is None:
            return "memcached is not installed (apt install memcached)"
        base = self._place("swift")
        (base / "disk" / "d1").mkdir(parents=True)
        names = ("account", "container", "object", "proxy", "memcached")
        ports = {name: free_port() for name in names}
        (base / "swift.conf").write_text(
            "[swift-hash]\nswift_hash_path_suffix = a\nswift_hash_path_prefix = b\n"
            "[storage-policy:0]\nname = Policy-0\ndefault = yes\n"
        )
        common = f"swift_dir = {base}\nbind_ip = {HOST}\nworkers = 0\nuser = {_user()}\n"
        common += f"log_address = {base}/nowhere\n"
        commands = [[memcached, "-l", HOST, "-p", str(ports["memcached"]), "-m", "16"]]
        if os.geteuid() == 0:
            commands[0] += ["-u", "root"]
        kept = ("account", "container", "object")
        rings = [word for name in kept for word in (f"{base}/{name}.ring.gz", str(ports[name]))]
        subprocess.run([bin_ / "python", "-c", _RINGS, HOST, *rings], check=True)
        for name in kept:
            config = base / f"{name}.conf"
            config.write_text(
                f"[DEFAULT]\n{common}bind_port = {ports[name]}\ndevices = {base}/disk\n"
                f"mount_check = false\n[pipeline:main]\npipeline = {name}-server\n"
                f"[app:{name}-server]\nuse = egg:swift#{name}\n"
            )
            commands.append([str(bin_ / f"swift-{name}-server"), str(config)])
        filters = ("catch_errors", "dlo", "slo", "bulk")
        config = base / "proxy.conf"
        config.write_text(
            f"[DEFAULT]\n{common}bind_port = {ports['proxy']}\n[pipeline:main]\n"
            "pipeline = catch_errors cache tempauth bulk dlo slo proxy-server\n"
            "[app:proxy-server]\nuse = egg:swift#proxy\naccount_autocreate = true\n"
            f"[filter:tempauth]\nuse = egg:swift#tempauth\nuser_test_tester = {SECRET[:6]} .admin\n"
            f"[filter:cache]\nuse = egg:swift#memcache\n"
            f"memcache_servers = {HOST}:{ports['memcached']}\n"
            + "".join(f"[filter:{name}]\nuse = egg:swift#{name}\n" for name in filters)
        )
        commands.append([str(bin_ / "swift-proxy-server"), str(config)])
        return Server(
            "swift",
            {"storage": "swift"},
            secrets={
                "OS_AUTH_URL": f"http://{HOST}:{ports['proxy']}/auth/v1.0",
                "OS_USERNAME": "test:tester",
                "OS_PASSWORD": SECRET[:6],
            },
            container="container/{}",
            commands=commands,
            ports=list(ports.values()),
            log=self.root / "swift.log",
            environment={"SWIFT_DIR": str(base), "PYTHONWARNINGS": "ignore"},
        )


_RESERVED: list[socket.socket] = []
_SCANS: dict[str, Callable[[], None]] = {}


def _user() -> str:
    return pwd.getpwuid(os.geteuid()).pw_name


NAMES = (
    "local",
    "ssh_openssh",
    "ssh_password",
    "s3_rclone",
    "s3_moto",
    "ftp",
    "ftps",
    "webdav",
    "swift",
)

# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A restore of five levels from S3 behind a slow line: its time, and how often each byte is read.

.venv/bin/python tests/benchmarks/remote_restore.py [--delay 0.05] [--megabytes 20] [--rounds 3]
    [--against CHECKOUT]

rclone serves S3 on loopback; a relay before it lets the first byte of each answer wait and counts
what passes.  --against names another checkout of this project, which writes a chain of its own and
restores it in turns with this one, each from a compiled copy as the role installs it.  Prints
medians; CPU seconds are those of the restore and all that it starts, and the ratios are to the
other checkout.  Needs rclone (the one of `make storages` is found).
"""

from __future__ import annotations

import argparse
import compileall
import json
import os
import random
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HOST, KEY, SECRET = "127.0.0.1", "access", "secret-of-the-benchmark"
LEVELS = 5


class Relay(threading.Thread):
    """Passes connections on to *port*, each answer *delay* seconds late; counts its bytes."""

    def __init__(self, port: int, delay: float) -> None:
        super().__init__(daemon=True)
        self.port, self.delay = port, delay
        self.answered = self.requests = 0
        self._listener = socket.create_server((HOST, 0))
        self.own_port = self._listener.getsockname()[1]

    def run(self) -> None:
        """Accept until the process ends."""
        while True:
            client, _address = self._listener.accept()
            server = socket.create_connection((HOST, self.port))
            for source, aim, answers in ((client, server, False), (server, client, True)):
                threading.Thread(
                    target=self._pass, args=(source, aim, answers), daemon=True
                ).start()

    def _pass(self, source: socket.socket, aim: socket.socket, answers: bool) -> None:
        waited = 0.0
        try:
            while data := source.recv(1 << 16):
                # A pause before it means that these are the first bytes of an answer.
                if answers and time.monotonic() - waited > self.delay / 2:
                    time.sleep(self.delay)
                waited = time.monotonic()
                if answers:
                    self.answered += len(data)
                else:
                    self.requests += data.count(b" HTTP/1.1\r\n")
                aim.sendall(data)
            aim.shutdown(socket.SHUT_WR)
        except OSError:
            pass


def free_port() -> int:
    """A port that nobody has just now."""
    with socket.create_server((HOST, 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def agent(package: Path, home: Path, action: dict[str, object]) -> tuple[float, float]:
    """Perform *action* with the runner in *package*: wall seconds and CPU seconds."""
    config = home / "action.json"
    config.write_text(json.dumps(action))
    config.chmod(0o600)
    before, begin = os.times(), time.monotonic()
    subprocess.run(
        [sys.executable, "-m", "coldchain", "--home", home, "agent", "--config", config],
        env={**os.environ, "PYTHONPATH": str(package)},
        check=True,
        stdout=subprocess.DEVNULL,
    )
    wall, after = time.monotonic() - begin, os.times()
    used = after.children_user + after.children_system
    return wall, used - before.children_user - before.children_system


class Chain:
    """A chain of LEVELS levels, which *checkout* writes and restores."""

    def __init__(self, checkout: Path, place: Path, relay: Relay, megabytes: int) -> None:
        self.checkout, self.relay = checkout, relay
        self.home = place / f"home{len(list(place.glob('home*')))}"
        self.package = place / f"package-{self.home.name}"
        shutil.copytree(checkout / "roles" / "runner" / "files", self.package)
        compileall.compile_dir(self.package, quiet=2)
        self.home.mkdir(mode=0o700)
        credentials = self.home / "credentials"
        credentials.write_text(f"SECRET_KEY={SECRET}\n")
        credentials.chmod(0o600)
        self.where: dict[str, object] = {
            "storage": "s3",
            "endpoint": f"http://{HOST}:{relay.own_port}",
            "access_key": KEY,
            "credentials_file": str(credentials),
            "container": f"bucket/{self.home.name}",
            "backup_name": "b",
            "hostname": "h",
        }
        source = self.home / "source"
        source.mkdir()
        backup = {"action": "backup", "path_to_backup": str(source), "incremental": True,
                  "sync": False, **self.where}  # fmt: skip
        chance = random.Random(1)
        for level in range(LEVELS):
            (source / f"f{level}").write_bytes(chance.randbytes(megabytes * 1_000_000 // LEVELS))
            agent(self.package, self.home, backup)
            time.sleep(1.1)
        served = (place / "served").rglob(f"{self.home.name}/**/data")
        self.stored = sum(path.stat().st_size for path in served)
        self.costs: list[tuple[float, float, int, int]] = []

    def restore(self) -> None:
        """Restore it, and note wall and CPU seconds, requests and bytes read."""
        target = self.home / "target"
        shutil.rmtree(target, ignore_errors=True)
        requests, answered = self.relay.requests, self.relay.answered
        action = {"action": "restore", "restore_abs_path": str(target), **self.where}
        wall, cpu = agent(self.package, self.home, action)
        self.costs.append(
            (wall, cpu, self.relay.requests - requests, self.relay.answered - answered)
        )

    def medians(self) -> list[float]:
        """Of what was noted."""
        return [statistics.median(column) for column in zip(*self.costs)]


def main() -> None:
    """Print a line for each checkout."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--delay", type=float, default=0.05)
    parser.add_argument("--megabytes", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--against", type=Path)
    arguments = parser.parse_args()
    checkouts = [ROOT, *([arguments.against.resolve()] if arguments.against else [])]
    venv = ROOT / "build" / "venvs" / "storages" / "bin"
    os.environ["PATH"] = f"{venv}:{os.environ['PATH']}"
    with tempfile.TemporaryDirectory(prefix="remote-restore-") as scratch:
        place = Path(scratch)
        port = free_port()
        served = place / "served"
        (served / "bucket").mkdir(parents=True)
        server = subprocess.Popen(
            ["rclone", "serve", "s3", "--addr", f"{HOST}:{port}", "--auth-key", f"{KEY},{SECRET}",
             str(served)],
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            while True:
                try:
                    socket.create_connection((HOST, port)).close()
                    break
                except OSError:
                    time.sleep(0.05)
            relay = Relay(port, arguments.delay)
            relay.start()
            chains = [Chain(checkout, place, relay, arguments.megabytes) for checkout in checkouts]
            for _round in range(arguments.rounds):
                for chain in chains:
                    chain.restore()
        finally:
            server.terminate()
            server.wait()
    for chain in chains:
        wall, cpu, requests, read = chain.medians()
        print(
            f"{chain.checkout}: {LEVELS} levels restored in {wall:.2f} s (CPU {cpu:.2f} s),"
            f" {requests:.0f} requests, {read / 1e6:.1f} MB read of {chain.stored / 1e6:.1f} stored"
        )
    if chains[1:]:
        now, then = (chain.medians() for chain in chains)
        print(f"ratio: {now[0] / then[0]:.2f} of the time, {now[1] / then[1]:.2f} of the CPU time")


if __name__ == "__main__":
    main()

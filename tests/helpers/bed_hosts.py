# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Booted hosts of tests/bed, with playbooks against them as an administrator plays them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from playbooks import COLLECTIONS, Played

BED = Path(__file__).resolve().parents[1] / "bed" / "bed.sh"
NEEDED = ("podman", "runc", "mmdebstrap")


class Hosts:
    """Hosts that have booted.  ``directory``: the bed's, with keys and addresses."""

    def __init__(self, directory: Path, names: Mapping[str, str], volume: str = "") -> None:
        self.directory = directory
        self.names = names
        self._environment = {**os.environ, "BED_DIR": str(directory), "BED_PREFIX": "ccfleet"}
        self._environment["BED_VOLUME"] = volume

    def bed(self, *words: str) -> None:
        """What bed.sh does: up, stop NAME, start NAME, down."""
        done = subprocess.run(
            [BED, *words], env=self._environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def inventory(self, variables: Mapping[str, Mapping[str, Any]], user: str) -> Path:
        """Write an inventory of ours, with variables by host, reached as *user*."""
        addresses = self._addresses()
        ssh = (
            f"-F /dev/null -o UserKnownHostsFile={self.directory}/known_hosts"
            " -o StrictHostKeyChecking=yes -o ServerAliveInterval=1 -o ServerAliveCountMax=5"
            " -o ControlMaster=auto -o ControlPersist=30s"
        )
        every = {
            "ansible_user": user,
            "ansible_python_interpreter": "/usr/bin/python3",
            # Whoever logs in there has to be able to make it; here it is the one of the Makefile.
            "ansible_remote_tmp": "/tmp/.ansible-${USER}/tmp",
            "ansible_ssh_private_key_file": str(self.directory / "id"),
            "ansible_ssh_common_args": ssh,
        }
        hosts = {
            name: {"ansible_host": addresses[name], **variables.get(name, {})}
            for name in self.names
        }
        path = self.directory / "fleet.yml"
        path.write_text(yaml.safe_dump({"all": {"hosts": hosts, "vars": every}}))
        return path

    def _addresses(self) -> dict[str, str]:
        lines = (self.directory / "hosts").read_text().splitlines()
        return {name: address for name, address, dummy in map(str.split, lines)}

    def inside(self, name: str, *words: str, check: bool = True) -> str:
        """What a command prints on the host itself, as root: no SSH in between."""
        done = subprocess.run(
            ["podman", "exec", f"ccfleet-{name}", *words],
            env={**self._environment, "CONTAINERS_CONF": str(self.directory / "containers.conf")},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0 or not check, done.stdout + done.stderr
        return done.stdout

    def coldchain(self, name: str, *words: str) -> Any:
        """The JSON that the host's command prints, whatever its exit code."""
        return json.loads(self.inside(name, "coldchain", "--json", *words, check=False))

    @contextmanager
    def cut_off(self, name: str) -> Iterator[None]:
        """Nobody reaches the host in the block; what runs on it goes on."""
        pid = subprocess.check_output(
            ["podman", "inspect", "--format", "{{.State.Pid}}", f"ccfleet-{name}"], text=True
        ).strip()
        link = ["nsenter", "--target", pid, "--net", "ip", "link", "set", "eth0"]
        subprocess.run([*link, "down"], check=True)
        # Or who connects again sends into nothing until his patience ends, a minute with Ansible
        # here; so he soon hears that there is no such host.
        subprocess.run(["ip", "neighbour", "flush", "to", self._addresses()[name]], check=True)
        try:
            yield
        finally:
            subprocess.run([*link, "up"], check=True)


@contextmanager
def booted(directory: Path, names: Mapping[str, str], volume: str = "") -> Iterator[Hosts]:
    """Hosts by name and suite of Debian, gone again at the end of the block.

    volume: FROM:TO:ro, what they mount.
    """
    hosts = Hosts(directory, names, volume)
    try:
        hosts.bed("up", *(f"{name}:{suite}" for name, suite in names.items()))
        yield hosts
    finally:
        hosts.bed("down")


def lacking() -> str:
    """Why this machine boots no hosts; "" when it does."""
    if os.geteuid() != 0:
        return "needs root"
    missing = [each for each in NEEDED if shutil.which(each) is None]
    return f"needs {', '.join(missing)} (make bootstrap)" if missing else ""


def play(
    inventory: Path,
    playbook: str | Path,
    *options: str,
    collections: Path = COLLECTIONS,
    **variables: object,
) -> Played:
    """Run a playbook of *collections* to its end; keywords become extra variables."""
    done = subprocess.run(
        words(inventory, playbook, *options, **variables),
        env={**environment(), "ANSIBLE_COLLECTIONS_PATH": str(collections)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return Played(done.returncode, done.stdout)


def words(inventory: Path, playbook: str | Path, *options: str, **variables: object) -> list[str]:
    """The command line that runs a playbook."""
    ansible = Path(sys.executable).with_name("ansible-playbook")
    return [
        str(ansible),
        f"--inventory={inventory}",
        f"--extra-vars={json.dumps(variables)}",
        *options,
        str(playbook),
    ]


def environment() -> dict[str, str]:
    """Where Ansible finds the collection, no colour, and modules that are no files on the way."""
    return {
        **os.environ,
        "ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS),
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_TIMEOUT": "60",
        # Half of the connections; ansible_pipelining=False is what Ansible itself does.
        "ANSIBLE_PIPELINING": "true",
    }

# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A fleet from nothing to its retirement, by the commands of the guides, on one prepared site.

Changed are only the places: the inventory has one host, which is a home on this machine, and /etc
and the like are directories of the test.  tests/fleet restores what another host has written.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import waiting
import yaml
from playbooks import COLLECTIONS, ROOT

GUIDES = ROOT / "docs" / "guide"
HOST = "web1.example.org"
BLOCK = re.compile(r"```(\w+)\n([\s\S]*?)```|((?:^    .*\n)+)", re.MULTILINE)


def commands(page: str, beginning: str) -> list[str]:
    """The commands of a guide that begin so, each with the lines that it goes on in."""
    text = (GUIDES / f"{page}.md").read_text(encoding="utf-8")
    lines = [match[2] or match[3] for match in BLOCK.finditer(text) if match[1] in (None, "bash")]
    joined = re.sub(r" *\\\n *", " ", "".join(lines))
    found = [line.strip() for line in joined.splitlines()]
    return [line.partition("   #")[0] for line in found if line.startswith(beginning)]


def blocks(page: str, language: str = "yaml") -> list[str]:
    text = (GUIDES / f"{page}.md").read_text(encoding="utf-8")
    return [match[2] for match in BLOCK.finditer(text) if match[1] == language]


class Site:
    """What the guides' reader has: an inventory, its hosts, and a shell on the controller."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.collections = root / "collections"
        self.home = root / "hosts" / HOST
        self.runner: subprocess.Popen[bytes] | None = None

    def translated(self, text: str) -> str:
        """The places of the guides, on this machine; without sudo and the other hosts."""
        text = re.sub(r"(?<![\w.])/(etc|var/www|srv)\b", rf"{self.root}/\1", text)
        text = re.sub(r"        (web2|db1).example.org:\n", "", text)
        return text.replace(" -b ", " ").replace("db1.example.org", HOST)

    def shell(self, command: str, code: int = 0) -> str:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", self.translated(command)],
            cwd=self.root,
            env={
                **os.environ,
                "ANSIBLE_COLLECTIONS_PATH": str(self.collections),
                "ANSIBLE_NOCOLOR": "1",
                # Whoever would ask a package index or Galaxy, fails.
                "PIP_INDEX_URL": "http://127.0.0.1:9/",
                "PIP_EXTRA_INDEX_URL": "",
                "PIP_CONFIG_FILE": os.devnull,
                "ANSIBLE_GALAXY_SERVER": "http://127.0.0.1:9/",
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == code, done.stdout
        return done.stdout

    def write(self, block: str) -> None:
        """A block that begins with the name of its file."""
        match = re.match(r"# (\S+)\n", block)
        assert match, block
        path = self.root / match[1]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self.translated(block))

    def serve(self) -> None:
        """What systemd does on other hosts."""
        program = self.home / "bin" / "coldchain"
        self.runner = subprocess.Popen([program, "serve"], stderr=subprocess.DEVNULL)
        waiting.until((self.home / "lib" / "wake").exists, told=self.runner.poll)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path)
    for name in ("etc", "var/www"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "file").write_text(name)
    variables = tmp_path / "inventory" / "group_vars" / "all"
    variables.mkdir(parents=True)
    here = {
        "ansible_connection": "local",
        "ansible_python_interpreter": sys.executable,
        "coldchain_home": f"{tmp_path}/hosts/{{{{ inventory_hostname }}}}",
        "coldchain_client_id": "{{ inventory_hostname }}",
        "coldchain_become": False,
    }
    (variables / "here.yml").write_text(yaml.safe_dump(here))
    yield site
    if site.runner:
        site.runner.terminate()
        waiting.ended(site.runner)


@pytest.mark.long(60)
def test_a_fleet_from_nothing_to_its_retirement(site: Site) -> None:
    without_a_network(site)
    first_fleet(site)
    from_cron(site)
    in_a_project(site)
    retired(site)


def without_a_network(site: Site) -> None:
    """air-gap.md: nothing but the file is on the controller."""
    (artifact,) = (ROOT / "build" / "dist").glob("*.tar.gz")
    os.link(artifact, site.root / "coldchain-freezer-0.1.0.tar.gz")
    hosts, everywhere, web = blocks("quick-start")[:3]
    (site.root / "inventory" / "hosts.yml").write_text(site.translated(hosts))
    for block in (everywhere, web):
        # A file beside a directory of that name would not be read.
        site.write(block.replace("group_vars/all.yml", "group_vars/all/jobs.yml"))
    (block,) = blocks("air-gap", "bash")
    said = site.shell(block)
    assert "Successfully verified" in said


def first_fleet(site: Site) -> None:
    """quick-start.md, from its third step on."""
    look, do = commands("quick-start", "ansible-playbook -i inventory coldchain.freezer.site")
    said = site.shell(look)
    assert "Would install release" in said and "job_id: www" in said
    assert not site.home.exists()
    site.shell(do)
    site.serve()
    (start,) = commands("quick-start", "ansible -i")
    assert site.shell(with_home(start)).count("etc: success") == 1
    (morning,) = commands("quick-start", "ansible-playbook -i inventory coldchain.freezer.status")
    table = site.shell(morning)
    assert re.search(r"web1\S+ +protected +2/2", table)


def with_home(command: str) -> str:
    """An ad hoc command has no variables for a module's options: the home is one of them."""
    return command.replace("event=start", "event=start home={{coldchain_home}}")


def from_cron(site: Site) -> None:
    """from-cron.md: a crontab becomes variables, and the plan of the host."""
    bin_ = site.home / "bin"
    (bin_ / "crontab").write_text("#!/bin/sh\necho '5 4 * * * docker ps --format {{.Names}}'\n")
    (bin_ / "crontab").chmod(0o755)
    (site.root / "etc" / "crontab").write_text("17 3 * * * root /opt/backup.sh\n")
    (site.root / "etc" / "cron.d").mkdir()
    (site.root / "etc" / "cron.d" / "php").write_text("@daily www-data php /cron.php\n")
    for block in blocks("from-cron", "bash"):
        said = site.shell(f"PATH={bin_}:$PATH\n" + re.sub(r"\bdb1\b", HOST, block))
    assert "job_id: docker" in said and "{{.Names}}" in said
    assert "changed=1 " in said


def in_a_project(site: Site) -> None:
    """awx.md: what a project's update does, and a template: a second run that changes nothing."""
    requirements, playbook, environment = blocks("awx")
    site.write(requirements.replace("https://artifacts.example.org", str(site.root)))
    path = site.root / "collections" / "requirements.yml"
    path.write_text(path.read_text().replace("type: url", "type: file"))
    installed = "ansible-galaxy collection install --force -r collections/requirements.yml"
    site.shell(f"{installed} -p project")
    site.write(playbook)
    cron = site.root / "inventory" / "host_vars" / HOST / "cron.yml"
    cron.unlink()
    cron.parent.rmdir()
    said = site.shell("ANSIBLE_COLLECTIONS_PATH=project ansible-playbook -i inventory site.yml")
    assert len(re.findall(r"changed=0 .* failed=0", said)) == 1
    definition = yaml.safe_load(environment)
    (collection,) = definition["dependencies"]["galaxy"]["collections"]
    (build_file,) = definition["additional_build_files"]
    # Files come to /build, where ansible-builder asks Galaxy's client to install.
    name = Path(build_file["src"]).name
    assert collection == {"name": f"/build/{build_file['dest']}/{name}", "type": "file"}
    shipped = COLLECTIONS / "ansible_collections/coldchain/freezer/meta/execution-environment.yml"
    assert yaml.safe_load(shipped.read_text()) == {"version": 1, "dependencies": {}}


def retired(site: Site) -> None:
    """retire.md: everything is still there but the runner, and the host stays green."""
    verify, _elsewhere, look, do = commands("retire", "ansible-playbook")
    assert look == f"{do} --check"  # that it is what is done then is tried in tests of the role
    (start,) = commands("retire", "ansible -i")
    site.shell(f"{site.home}/bin/coldchain run www")
    assert "job_id=www event=start" in start
    assert re.search(r"web1\S+ +sound", site.shell(verify))
    said = site.shell(do)
    home = site.home
    assert str(home / "backups") in said
    assert not (home / "bin" / "coldchain").exists()
    assert not (home / "program").exists()
    assert (home / "lib" / "jobs.json").exists()
    assert list((home / "backups" / "www").glob("data/tar/*/*/*/data"))
    assert site.runner
    waiting.ended(site.runner)
    (variables,) = blocks("retire")
    site.write(variables)
    again = site.shell(f"ansible-playbook -i inventory coldchain.freezer.site --limit {HOST}")
    assert re.search(r"changed=0 .* failed=0", again)

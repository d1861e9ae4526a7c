# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A small fleet lives through its days: five booted hosts, played over SSH by somebody who is not
root there.  The tests are one story, in order."""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bed_hosts
import pytest
from bed_hosts import Hosts, booted
from playbooks import ROOT, Played, next_release
from waiting import PATIENCE, until

NAMES = {
    "web1": "bookworm",
    "web2": "bookworm",
    "db1": "trixie",
    "mail1": "bookworm",
    "old1": "bookworm",
}
#: What each host backs up, and the job that does it.
JOBS = {"web1": "www", "web2": "www", "db1": "pg", "mail1": "mail", "old1": "old"}
SITE, STATUS = "coldchain.freezer.site", "coldchain.freezer.status"
RESTORE, REPORT = "coldchain.freezer.restore", "coldchain.freezer.report"
UPGRADE = "coldchain.freezer.upgrade"
#: What keeps a runner from its work on one host only, until it is put right there.
FAULT = 'if __import__("os").path.exists("/srv/old/unlike-all-others"): raise OSError("broken")'

#: The real freezer-scheduler, if there is one for the Python of the hosts (tools/fleet.sh).
FREEZER = ROOT / "build" / "venvs" / "freezer"
HAS_FREEZER = (FREEZER / "lib" / "python3.11").is_dir()
UNIT = """[Service]
Environment=PYTHONWARNINGS=ignore PYTHONPATH=/etc/freezer:/mnt/freezer/lib/python3.11/site-packages
ExecStart=/usr/bin/python3 /mnt/freezer/bin/freezer-scheduler --scheduler-no-api \\
  --scheduler-no-daemon -f /etc/freezer/scheduler/conf.d start
[Install]
WantedBy=multi-user.target
"""

#: Who is told of a backup's success, by a process that the runner starts beside its own.
TOLD = {"type": "command", "command": ["sh", "-c", "cat >> /run/told"], "tell": ["success"]}

#: SSH and Python on the way, where nothing but the machine holds anything up.
SOON = PATIENCE + 6


def backup(name: str, **more: Any) -> dict[str, Any]:
    action = {"action": "backup", "path_to_backup": f"/srv/{name}", "backup_name": name}
    return {
        "job_id": name,
        "job_actions": [{"freezer_action": {**action, "container": name, **more}}],
        "job_schedule": {"schedule_interval": "1 days"},
    }


def waits(until_there: str) -> dict[str, Any]:
    """A job whose work ends when a file is there."""
    command = f"touch {until_there}.began; until test -e {until_there}; do sleep 0.2; done"
    return {
        "job_id": "waits",
        "job_actions": [{"freezer_action": {"action": "exec", "command": ["sh", "-c", command]}}],
        "job_schedule": {"status": "stop"},
    }


def inventory_variables() -> dict[str, dict[str, Any]]:
    return {
        "web1": {"freezer_jobs": [backup("www", download_limit="200K")]},
        "web2": {"freezer_jobs": [backup("www")]},
        "db1": {"freezer_jobs": [{**backup("pg"), "notify": [TOLD]}, waits("/run/go")]},
        "mail1": {"freezer_jobs": [backup("mail")]},
        "old1": {"freezer_jobs": [backup("old")]},
    }


class Fleet:
    """The hosts and what the administrator's inventory says of them now."""

    def __init__(self, hosts: Hosts) -> None:
        self.hosts = hosts
        self.variables = inventory_variables()
        self.collections = bed_hosts.COLLECTIONS

    @property
    def inventory(self) -> Path:
        return self.hosts.inventory(self.variables, "admin")

    def play(self, playbook: str, *options: str, **variables: Any) -> Played:
        return bed_hosts.play(
            self.inventory, playbook, *options, collections=self.collections, **variables
        )

    def releases(self) -> dict[str, str]:
        """The release that each host has."""
        look = ("readlink", "/opt/coldchain/current")
        return {name: self.hosts.inside(name, *look).strip() for name in NAMES}

    def unprotected(self) -> list[str]:
        return [name for name in NAMES if not self.hosts.coldchain(name, "status")["protected"]]

    def state(self, name: str, job: str) -> dict[str, Any]:
        (found,) = self.hosts.coldchain(name, "list", job)["jobs"]
        return dict(found)


@pytest.fixture(scope="module")
def fleet() -> Iterator[Fleet]:
    lacking = bed_hosts.lacking()
    if lacking:
        pytest.skip(lacking)
    volume = f"{FREEZER}:/mnt/freezer:ro" if HAS_FREEZER else ""
    with (
        tempfile.TemporaryDirectory() as directory,
        booted(Path(directory), NAMES, volume) as hosts,
    ):
        for name, folder in JOBS.items():
            make = f"mkdir -p /srv/{folder} && head -c 1500000 /dev/urandom > /srv/{folder}/data"
            hosts.inside(name, "sh", "-c", f"{make} && hostname > /srv/{folder}/name")
        yield Fleet(hosts)


def reported(data: Path) -> list[dict[str, Any]]:
    """The hosts in the report's JSON."""
    table = json.loads(data.read_text())["hosts"]
    return [dict(zip(table["columns"], row)) for row in table["rows"]]


def lines(output: str, host: str) -> list[str]:
    return re.findall(rf"^(?:ok|skipping|changed): \[{host}\].*", output, re.MULTILINE)


def counters(output: str, host: str) -> dict[str, int]:
    recap = output.rpartition("PLAY RECAP")[2]
    (line,) = (each for each in recap.splitlines() if each.startswith(host + " "))
    return {name: int(number) for name, number in re.findall(r"(\w+)=(\d+)", line)}


def test_it_is_rolled_out_in_batches_and_the_second_time_there_is_nothing_to_do(
    fleet: Fleet,
) -> None:
    planned = fleet.play(SITE, "--check", "--diff", "--limit=web1")
    assert planned.code == 0, planned.output
    assert "www" in planned.output
    assert fleet.hosts.inside("web1", "ls", "/opt") == ""
    limited = fleet.play(SITE, "--limit=web1,db1", "--forks=1")
    assert limited.code == 0, limited.output
    assert fleet.hosts.inside("mail1", "ls", "/opt") == ""
    rolled = fleet.play(SITE)
    assert rolled.code == 0, rolled.output
    assert counters(rolled.output, "web1")["changed"] == 0
    again = fleet.play(SITE)
    assert again.code == 0, again.output
    for name in NAMES:
        assert counters(again.output, name)["changed"] == 0, again.output
        assert len(lines(again.output, name)) <= 10, again.output


def test_every_host_is_seen_to_be_protected(fleet: Fleet) -> None:
    for name, job in JOBS.items():
        fleet.hosts.inside(name, "coldchain", "event", job, "start", "--wait")
    looked = fleet.play(STATUS)
    assert looked.code == 0, looked.output
    assert len(re.findall(r'"\w+ +protected ', looked.output)) == len(NAMES), looked.output


def test_a_message_leaves_a_host(fleet: Fleet) -> None:
    """A host has the libraries of the release only, and whatever its Python brings along."""
    said = until(lambda: fleet.hosts.inside("db1", "sh", "-c", "cat /run/told || true"))
    message = json.loads(said.splitlines()[0])
    assert (message["kind"], message["job_id"]) == ("success", "pg")


def test_one_job_is_changed_on_one_host(fleet: Fleet) -> None:
    fleet.variables["mail1"]["freezer_jobs"][0]["job_schedule"]["schedule_interval"] = "2 days"
    planned = fleet.play(SITE, "--check", "--diff")
    assert planned.code == 0, planned.output
    changed = {name for name in NAMES if counters(planned.output, name)["changed"]}
    assert changed == {"mail1"}
    assert re.search(r"^-.*1 days.*\n\+.*2 days", planned.output, re.MULTILINE), planned.output
    assert "1 days" in json.dumps(fleet.hosts.coldchain("mail1", "show", "mail"))
    played = fleet.play(SITE, "--limit=mail1")
    assert played.code == 0, played.output
    assert "2 days" in json.dumps(fleet.hosts.coldchain("mail1", "show", "mail"))


def test_one_setting_is_changed_on_one_host_by_its_tag(fleet: Fleet) -> None:
    fleet.variables["mail1"]["coldchain_concurrent_jobs"] = 5
    given = ("--limit=mail1", "--tags=coldchain_configure")
    played = fleet.play(SITE, *given, ansible_pipelining=False)
    assert played.code == 0, played.output
    assert counters(played.output, "mail1")["changed"] == 2, "the file, and a runner that is told"
    assert fleet.hosts.coldchain("mail1", "list")["runner_alive"]


def test_a_host_comes_back_from_a_reboot(fleet: Fleet, tmp_path: Path) -> None:
    page, data = tmp_path / "report.html", tmp_path / "report.json"
    first = fleet.play(REPORT, coldchain_report=str(page), coldchain_report_days=2)
    assert first.code == 0, first.output
    assert {host["name"] for host in reported(data)} == set(NAMES)
    fleet.hosts.bed("stop", "mail1")
    away = fleet.play(STATUS)
    assert away.code != 0
    assert re.search(r'"mail1 +unreachable ', away.output), away.output
    again = fleet.play(REPORT, coldchain_report=str(page), coldchain_report_days=2)
    assert again.code == 0, again.output
    states = {host["name"]: host["state"] for host in reported(data)}
    assert states.pop("mail1") == "unreachable" and set(states.values()) == {"protected"}
    (host,) = (host for host in reported(data) if host["name"] == "mail1")
    assert host["last_known"] is not None
    assert "mail1" in page.read_text()
    fleet.hosts.bed("start", "mail1")
    until(lambda: fleet.hosts.coldchain("mail1", "list")["runner_alive"], within=SOON)
    back = fleet.play(STATUS)
    assert back.code == 0, back.output
    assert fleet.state("mail1", "mail")["last_run"]["result"] == "success"


def test_a_killed_runner_comes_back_beside_its_run(fleet: Fleet) -> None:
    hosts = fleet.hosts
    hosts.inside("db1", "coldchain", "event", "waits", "start")
    until(lambda: hosts.inside("db1", "ls", "/run/go.began", check=False), within=SOON)
    before = hosts.coldchain("db1", "status")["runner"]["since"]
    hosts.inside(
        "db1", "systemctl", "kill", "--kill-whom=main", "--signal=KILL", "coldchain-runner"
    )
    until(lambda: hosts.coldchain("db1", "status")["runner"]["since"] not in (None, before), SOON)
    assert fleet.state("db1", "waits")["status"] == "running"
    hosts.inside("db1", "touch", "/run/go")
    until(lambda: fleet.state("db1", "waits")["result"] == "success", within=SOON)
    runs = hosts.coldchain("db1", "history", "waits")["runs"]
    assert [run["result"] for run in runs] == ["success"]


def test_a_host_that_is_cut_off_during_a_run_goes_on(fleet: Fleet, tmp_path: Path) -> None:
    hosts = fleet.hosts
    hosts.inside("db1", "rm", "-f", "/run/go", "/run/go.began")
    task = {"job_id": "waits", "event": "start", "wait": True, "timeout": 300}
    start = [{"hosts": "db1", "become": True, "gather_facts": False}]
    start[0]["tasks"] = [{"coldchain.freezer.job_event": task}]
    playbook = tmp_path / "start.yml"
    playbook.write_text(json.dumps(start))
    playing = subprocess.Popen(
        bed_hosts.words(fleet.inventory, playbook),
        env=bed_hosts.environment(),
        stdout=subprocess.PIPE,
        text=True,
    )
    until(lambda: hosts.inside("db1", "ls", "/run/go.began", check=False), within=SOON)
    with hosts.cut_off("db1"):
        said, dummy = playing.communicate()
        assert "UNREACHABLE" in said and playing.returncode != 0, said
        assert fleet.state("db1", "waits")["status"] == "running"
        hosts.inside("db1", "touch", "/run/go")
        until(lambda: fleet.state("db1", "waits")["result"] == "success", within=SOON)
    looked = fleet.play(STATUS, "--limit=db1")
    assert looked.code == 0, looked.output


def test_a_restore_goes_on_when_its_host_is_cut_off(fleet: Fleet) -> None:
    hosts = fleet.hosts
    asked = {"coldchain_hosts": "web1", "coldchain_restore_job": "www"}
    asked["coldchain_restore_target"] = "/srv/restored"
    looked = fleet.play(RESTORE, "--check", "--diff", **asked)
    assert looked.code == 0, looked.output
    assert "data" in looked.output and hosts.inside("web1", "ls", "/srv").split() == ["www"]
    playing = subprocess.Popen(
        bed_hosts.words(fleet.inventory, RESTORE, **asked),
        env=bed_hosts.environment(),
        stdout=subprocess.PIPE,
        text=True,
    )
    until(lambda: restoring(hosts), within=SOON, told=playing.poll)
    with hosts.cut_off("web1"):
        said, dummy = playing.communicate()
        assert "UNREACHABLE" in said and playing.returncode != 0, said
    # The same line waits for what goes on, or finds that it is done.
    again = fleet.play(RESTORE, **asked)
    assert "restored www as of " in again.output, again.output
    hosts.inside("web1", "cmp", "/srv/www/data", "/srv/restored/data")
    runs = hosts.coldchain("web1", "history", "restore:www")["runs"]
    assert [run["result"] for run in runs].count("success") == 1


def restoring(hosts: Hosts) -> bool:
    jobs = hosts.coldchain("web1", "list")["jobs"]
    return any(job["job_id"].startswith("restore:") and job["status"] == "running" for job in jobs)


def test_an_upgrade_ends_with_the_batch_in_which_a_host_does_not_come_through(
    fleet: Fleet, tmp_path: Path
) -> None:
    # The batches: db1 and mail1, old1 and web1, web2.
    before = fleet.releases()
    assert len(set(before.values())) == 1
    # From here on the controller has the next release, too.
    fleet.collections = next_release(tmp_path, "next", "runner/serving.py", FAULT)
    given = {"coldchain_serial": 2, "coldchain_upgrade_timeout": 10}
    fleet.hosts.inside("old1", "touch", "/srv/old/unlike-all-others")
    stopped = fleet.play(UPGRADE, **given)
    assert stopped.code != 0
    assert "again and is as it was before. No further batch" in stopped.output, stopped.output
    after = fleet.releases()
    assert {name for name in NAMES if after[name] != before[name]} == {"db1", "mail1", "web1"}
    recap = stopped.output.rpartition("PLAY RECAP")[2]
    assert re.search(r"^old1 .* failed=1 ", recap, re.MULTILINE), recap
    assert "web2" not in recap, "the third batch has not begun"
    assert fleet.unprotected() == []

    fleet.hosts.inside("old1", "rm", "/srv/old/unlike-all-others")
    upgraded = fleet.play(UPGRADE, "--limit=old1,web2", **given)
    assert upgraded.code == 0, upgraded.output
    assert set(fleet.releases().values()) == {after["web1"]}
    assert fleet.unprotected() == []


def test_one_host_s_backup_comes_back_on_another(fleet: Fleet) -> None:
    target = "/srv/from-web2"
    asked = {"coldchain_hosts": "mail1", "coldchain_restore_from": "web2"}
    asked |= {"coldchain_restore_job": "www", "coldchain_restore_target": target}
    carried = fleet.play(RESTORE, "--diff", **asked, ansible_pipelining=False)
    assert carried.code == 0, carried.output
    assert f" to {target}" in carried.output
    assert "path_content" not in carried.output, "no difference names what was carried along"
    assert fleet.hosts.inside("mail1", "cat", f"{target}/name") == "web2\n"
    assert fleet.hosts.inside("mail1", "ls", "/var/lib/coldchain/carried") == ""


def test_a_host_is_retired_and_keeps_its_backups(fleet: Fleet) -> None:
    fleet.variables["old1"]["coldchain_state"] = "absent"
    retired = fleet.play(SITE)
    assert retired.code == 0, retired.output
    assert not any(counters(retired.output, name)["changed"] for name in NAMES if name != "old1")
    assert fleet.hosts.inside("old1", "sh", "-c", "ls -d /opt/coldchain* || true") == ""
    assert fleet.hosts.inside("old1", "ls", "/var/backups/coldchain") == "old\n"
    again = fleet.play(SITE, "--limit=old1")
    assert (again.code, counters(again.output, "old1")["changed"]) == (0, 0), again.output


@pytest.mark.skipif(not HAS_FREEZER, reason="no freezer-scheduler for the hosts' Python")
def test_a_freezer_scheduler_is_taken_over_and_given_back(fleet: Fleet) -> None:
    hosts = fleet.hosts
    del fleet.variables["old1"]
    action = {"action": "backup", "mode": "fs", "storage": "local", "container": "/srv/freezer"}
    action |= {"path_to_backup": "/srv/old", "backup_name": "old"}
    job = {"job_id": "taken", "job_actions": [{"freezer_action": action}]}
    job["job_schedule"] = {"schedule_interval": "1 days"}
    files = {
        "/etc/freezer/scheduler/conf.d/job_taken.conf": json.dumps(job),
        "/etc/systemd/system/freezer-scheduler.service": UNIT,
        # What an environment of its own would do: Debian's distutils is not whole.
        "/etc/freezer/sitecustomize.py": "import _distutils_hack; _distutils_hack.add_shim()",
    }
    for path, text in files.items():
        write = f"mkdir -p {path.rpartition('/')[0]} && cat > {path} <<'END'\n{text}\nEND"
        hosts.inside("old1", "sh", "-c", write)
    hosts.inside("old1", "systemctl", "enable", "--now", "freezer-scheduler")

    def active() -> str:
        return hosts.inside("old1", "systemctl", "is-active", "freezer-scheduler", check=False)

    def log() -> str:
        return hosts.inside("old1", "journalctl", "-u", "freezer-scheduler", "-n", "30")

    until(lambda: "Created job taken" in log(), SOON, told=log)
    assert active() == "active\n", log()

    limit = {"coldchain_hosts": "old1"}
    planned = fleet.play("coldchain.freezer.adopt", "--check", **limit)
    assert planned.code == 0 and "taken" in planned.output, planned.output
    assert active() == "active\n"
    adopted = fleet.play("coldchain.freezer.adopt", **limit)
    assert adopted.code == 0, adopted.output
    assert active() == "inactive\n"
    assert fleet.state("old1", "taken")["status"] == "scheduled"
    again = fleet.play("coldchain.freezer.adopt", **limit)
    assert (again.code, counters(again.output, "old1")["changed"]) == (0, 0), again.output
    back = fleet.play("coldchain.freezer.unadopt", **limit)
    assert back.code == 0, back.output
    assert active() == "active\n"
    # What the retired runner had declared is kept, and was there before.
    assert "taken" not in {job["job_id"] for job in hosts.coldchain("old1", "list")["jobs"]}

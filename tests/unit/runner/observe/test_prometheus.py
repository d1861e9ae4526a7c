# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real Prometheus fetches what a real runner tells, through a real node exporter."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cli_command import Command
from storage_servers import free_port
from waiting import PATIENCE, ended, until

DOCS = Path(__file__).parents[4] / "docs"
PROGRAMS = ("prometheus", "prometheus-node-exporter")
MISSING = [name for name in PROGRAMS if not shutil.which(name)]
STARTS = PATIENCE + 20
TOLD = PATIENCE + 40
"""Seconds: the runner renews its file after 15, and Prometheus asks every second."""


class Prometheus:
    def __init__(self, port: int) -> None:
        self._url = f"http://127.0.0.1:{port}/api/v1/"

    def ask(self, what: str, **parameters: str) -> Any:
        url = f"{self._url}{what}?{urllib.parse.urlencode(parameters)}"
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(url, timeout=60) as answer:
            return json.load(answer)["data"]

    def query(self, expression: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.ask("query", query=expression)["result"]
        return found

    def firing(self) -> set[tuple[str, str]]:
        """Of jobs: how full the disk of the test is, is another matter."""
        alerts = self.ask("alerts")["alerts"]
        return {
            (each["labels"]["alertname"], each["labels"]["job_id"])
            for each in alerts
            if each["state"] == "firing" and "job_id" in each["labels"]
        }

    def up(self) -> bool:
        with contextlib.suppress(OSError, ValueError):
            return bool(self.query("up == 1"))
        return False


@pytest.fixture
def prometheus(tmp_path: Path) -> Iterator[Prometheus]:
    """Looks at the files in tmp_path / "node", with the shipped rules where the guide has them."""
    (tmp_path / "node").mkdir()
    guide = (DOCS / "guide" / "monitoring.md").read_text()
    rules = re.findall(r"^rule_files:\n  - (.+)$", guide, re.M)
    for place in rules:
        (tmp_path / place).parent.mkdir()
        shutil.copy(DOCS / "prometheus" / "alerts.yml", tmp_path / place)
    ports = free_port(), free_port()
    configuration = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": rules,
        "scrape_configs": [
            {"job_name": "node", "static_configs": [{"targets": [f"127.0.0.1:{ports[0]}"]}]}
        ],
    }
    (tmp_path / "prometheus.yml").write_text(json.dumps(configuration))
    exporter = [PROGRAMS[1], "--collector.disable-defaults", "--collector.textfile"]
    exporter += [f"--collector.textfile.directory={tmp_path / 'node'}"]
    exporter += [f"--web.listen-address=127.0.0.1:{ports[0]}"]
    server = [PROGRAMS[0], f"--config.file={tmp_path / 'prometheus.yml'}"]
    server += [f"--storage.tsdb.path={tmp_path / 'tsdb'}"]
    server += [f"--web.listen-address=127.0.0.1:{ports[1]}"]
    processes = []
    with (tmp_path / "log").open("wb") as log:
        for words in (exporter, server):
            processes.append(subprocess.Popen(words, cwd=tmp_path, stdout=log, stderr=log))
    try:
        found = Prometheus(ports[1])
        until(found.up, STARTS, told=(tmp_path / "log").read_text, pause=0.2)
        yield found
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            ended(process)


@pytest.mark.long(20)
@pytest.mark.skipif(bool(MISSING), reason=f"{' and '.join(MISSING)}: not installed")
def test_alerts_fire_and_recover_and_every_panel_has_data(
    command: Command, prometheus: Prometheus, tmp_path: Path
) -> None:
    source = tmp_path / "source"
    source.write_text("x" * 1000)
    flag = tmp_path / "flag"
    (command.home / "etc").mkdir(mode=0o700)
    settings = f"[runner]\nmetrics_file = {tmp_path / 'node' / 'coldchain.prom'}\n"
    (command.home / "etc" / "runner.conf").write_text(settings)
    action = {"action": "backup", "path_to_backup": str(source), "container": "c"}
    later = {"schedule_interval": "10 days"}
    jobs = [
        {"job_id": name, "job_actions": [{"freezer_action": each}], "job_schedule": later}
        for name, each in (
            ("www", {**action, "backup_name": "www"}),
            ("flaky", {"action": "exec", "command": ["test", "-e", str(flag)]}),
        )
    ]
    assert command("apply", "-", data=jobs) == 0
    assert command("run", "www") == 0
    assert command("verify") == 0
    runner = command.process("serve", stderr=subprocess.DEVNULL)
    try:
        until(lambda: command.json("list")["runner_alive"], STARTS)
        assert command("event", "flaky", "start", "--wait") == 1
        until(lambda: ("ColdchainJobFailed", "flaky") in prometheus.firing(), TOLD, pause=0.3)
        assert prometheus.firing() == {("ColdchainJobFailed", "flaky")}

        board = json.loads((DOCS / "prometheus" / "dashboard.json").read_text())
        queries = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
        assert len(queries) >= len(board["panels"]) > 10
        for query in queries:
            assert prometheus.query(query.replace("$host", ".*")), query
        (variable,) = (v for v in board["templating"]["list"] if v["name"] == "host")
        metric, label = re.fullmatch(r"label_values\((\w+), (\w+)\)", variable["query"]).groups()
        assert all(label in each["metric"] for each in prometheus.query(metric))
        assert prometheus.query("node_textfile_scrape_error == 0")

        flag.touch()
        assert command("event", "flaky", "start", "--wait") == 0
        until(lambda: prometheus.firing() == set(), TOLD, pause=0.3)
        assert prometheus.query('coldchain_job_runs_total{job_id="flaky",result="fail"} == 1')
        assert prometheus.query('coldchain_job_runs_total{job_id="flaky",result="success"} == 1')
    finally:
        runner.terminate()
        ended(runner)
    until(lambda: prometheus.query("coldchain_runner_up == 0"), TOLD, pause=0.3)

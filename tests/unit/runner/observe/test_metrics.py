# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What monitoring is told is what happened, in a form that Prometheus reads."""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
import subprocess
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from cli_command import Command, exec_job
from hypothesis import given, settings
from hypothesis import strategies as st

from coldchain.core.errors import CannotWrite
from coldchain.core.paths import Paths
from coldchain.core.settings import Settings
from coldchain.observe import tally as counted
from coldchain.observe.metrics import METRICS, HostFacts, JobFacts, exposition, verifications
from coldchain.observe.records import RunEnded
from coldchain.observe.tally import Tally
from coldchain.runner import metrics as keeping
from coldchain.runner.metrics import MetricsKeeper, publish
from coldchain.store import Store

DOCS = Path(__file__).parents[4] / "docs"
HOST = HostFacts(1.5, "0.1.0", "3.9.2", True, 1.0, True, (3, True), {'/b"\\\n': 5})

numbers = st.none() | st.integers(0, 10**15)
reports = st.fixed_dictionaries(
    {"action": st.sampled_from(["backup", "restore", "admin"])},
    optional={
        "bytes": numbers,
        "files": numbers,
        "size": numbers,
        "free_bytes": numbers,
        "storage": st.just("local"),
        "container": st.text(max_size=5),
        "hostname": st.just("h"),
        "backup_name": st.just("b"),
    },
)
actions = st.fixed_dictionaries(
    {"attempts": st.integers(0, 4)}, optional={"report": reports | st.none()}
)
runs = st.fixed_dictionaries(
    {
        "result": st.sampled_from(counted.RESULTS),
        "time_started": st.floats(0, 1e9),
        "time_ended": st.floats(0, 1e9),
        "actions": st.lists(actions, max_size=3),
    }
)


@settings(max_examples=40)
@given(st.lists(runs, max_size=6))
def test_a_tally_is_what_the_runs_were_and_survives_the_disk(
    tmp_path_factory: pytest.TempPathFactory, newest_first: list[dict[str, Any]]
) -> None:
    tally = Tally.of(newest_first)
    results = Counter(run["result"] for run in newest_first)
    assert {name: getattr(tally, name) for name in counted.RESULTS} == {
        name: results[name] for name in counted.RESULTS
    }
    attempts = [a["attempts"] for run in newest_first for a in run["actions"]]
    assert tally.retries == sum(number - 1 for number in attempts if number > 1)
    good = next((run for run in newest_first if run["result"] == "success"), None)
    assert tally.good == (None if good is None else good["time_ended"])
    if good is not None:
        told = [
            a["report"]["bytes"] for a in good["actions"] if (a.get("report") or {}).get("bytes")
        ]
        assert (tally.read or 0) == sum(told)
    lib = tmp_path_factory.getbasetemp()
    counted.save(lib, {"j": tally})
    assert counted.load(lib) == {"j": tally}


@pytest.mark.parametrize(
    "raw",
    [b"", b"[]", b"{", b'{"format": 2}', b'{"format": 1, "jobs": []}', b"\0" * 9]
    + [b'{"format": 1, "jobs": {"j": %s}}' % row for row in (b"1", b'{"success": "x"}')],
)
def test_a_spoilt_file_of_counters_is_made_again(raw: bytes, tmp_path: Path) -> None:
    (tmp_path / counted.FILE).write_bytes(raw)
    assert counted.load(tmp_path) == {}


def facts(job_id: str, tally: Tally) -> JobFacts:
    return JobFacts(job_id, "ok", False, 7.0, 60.5, tally, 3.0, True)


@given(st.lists(st.text(max_size=8), unique=True, max_size=4), st.lists(runs, max_size=3))
def test_any_name_is_a_label_for_the_official_parser(
    names: list[str], newest_first: list[dict[str, Any]]
) -> None:
    parser = pytest.importorskip("prometheus_client.parser", reason="only in .venv")
    tally = Tally.of(newest_first)
    raw = exposition(HOST, [facts(name, tally) for name in names])
    families = list(parser.text_string_to_metric_families(raw.decode()))
    told = {sample.name for family in families for sample in family.samples}
    assert told <= METRICS.keys() and len(families) == len({f.name for f in families})
    readable = [name.encode("utf-8", "backslashreplace").decode() for name in names]
    for family in families:
        labels = [sample.labels for sample in family.samples]
        assert len({json.dumps(each, sort_keys=True) for each in labels}) == len(labels)
        if family.name == "coldchain_job_needs_attention":
            assert [each["job_id"] for each in labels] == readable
        if family.name == "coldchain_container_free_bytes":
            assert labels == [{"container": '/b"\\\n'}]
        if family.name == "coldchain_job_runs":
            assert family.type == "counter"
            assert [s.value for s in family.samples][:1] == [tally.success]


@pytest.mark.skipif(not shutil.which("promtool"), reason="promtool (prometheus) is not installed")
def test_promtool_has_nothing_against_names_and_units(command: Command, tmp_path: Path) -> None:
    source = tmp_path / "file"
    source.write_text("x" * 1000)
    action = {"action": "backup", "path_to_backup": str(source), "container": "c"}
    backup = {"job_id": "b", "job_actions": [{"freezer_action": {**action, "backup_name": "b"}}]}
    assert command("apply", "-", data=[backup, exec_job("bad", "false")]) == 0
    assert command("run", "b") == 0
    assert command("run", "bad") == 1
    assert command("verify") == 0
    assert command("metrics") == 0
    checked = subprocess.run(
        ["promtool", "check", "metrics"], input=command.out, capture_output=True, text=True
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")
    values = dict(line.rsplit(" ", 1) for line in command.out.splitlines() if line[0] != "#")
    assert values['coldchain_job_runs_total{job_id="bad",result="fail"}'] == "1"
    assert values['coldchain_job_runs_total{job_id="b",result="success"}'] == "1"
    assert values['coldchain_job_last_success_read_bytes{job_id="b"}'] == "1000"
    assert values['coldchain_job_state{job_id="bad",state="stopped"}'] == "1"
    assert values['coldchain_job_verify_damaged{job_id="b"}'] == "0"
    assert values["coldchain_runner_up"] == "0"
    assert {name.partition("{")[0] for name in values} >= METRICS.keys() - {
        "coldchain_job_next_run_timestamp_seconds",
        "coldchain_job_expect_success_within_seconds",
        "coldchain_runner_start_time_seconds",
    }
    assert command.json("metrics")["metrics"].startswith("# HELP coldchain_build_info")
    # And the file, when a run in the foreground is over; it tells that no runner is at work.
    (command.home / "etc").mkdir(mode=0o700)
    file = tmp_path / "node" / "coldchain.prom"
    (command.home / "etc" / "runner.conf").write_text(f"[runner]\nmetrics_file = {file}\n")
    assert command("run", "b") == 0, "a directory that is not there stops no job"
    file.parent.mkdir()
    assert command("run", "b") == 0
    assert 'coldchain_job_runs_total{job_id="b",result="success"} 3' in file.read_text()
    assert "coldchain_runner_up 0" in file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o644 and len(list(file.parent.iterdir())) == 1


def test_a_runner_that_renews_nothing_is_told(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from coldchain.runner import presence

    assert command("apply", "-", data=exec_job("x")) == 0
    monkeypatch.setattr(presence, "look", lambda _: presence.Presence(True, "0", 1.0))
    (command.home / "etc").mkdir(mode=0o700)
    file = tmp_path / "coldchain.prom"
    conf = command.home / "etc" / "runner.conf"
    conf.write_text(f"[runner]\nmetrics_file = {file}\n")

    def told() -> list[str]:
        findings = command.json("status")["findings"]
        return [each["text"] for each in findings if each["about"] == "metrics"]

    assert "No such file" in told()[0]
    file.write_text("")
    assert told() == []
    os.utime(file, (1, 1))
    assert "was not renewed for" in told()[0]
    begun = presence.Presence(True, "0", time.time() - 60)
    monkeypatch.setattr(presence, "look", lambda _: begun)
    assert told() == [], "it has not had the time"
    monkeypatch.setattr(presence, "look", lambda _: begun._replace(since=None))
    assert "was not renewed for" in told()[0]
    conf.write_text("[runner]\nmetrics_file = node/x.prom\n")
    assert "metrics_file: 'node/x.prom' is not an absolute" in command.error("status")["message"]


def test_a_file_for_all_is_not_written_through_what_others_put_there(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("kept")
    path = tmp_path / "node" / "x.prom"
    path.parent.mkdir()
    for lay in (os.link, os.symlink):
        lay(precious, path)
        publish(path, b"1\n")
        assert (precious.read_text(), path.read_bytes()) == ("kept", b"1\n")
        path.unlink()
    path.mkdir()
    with pytest.raises(CannotWrite, match=r"x\.prom: cannot be written"):
        publish(path, b"2\n")
    assert os.listdir(path.parent) == ["x.prom"]


def test_a_verification_is_found_by_place_and_name() -> None:
    receipts = {
        "local /b": {"h_n": {"1/0_1": [50, "quick", "sound"], "1/1_2": [70, "full", "sound"]}},
        "local /bb": {"h_n": {"1/0_1": [99, "quick", "sound"]}},
        "ssh /b host": {"h_n": {"1/0_1": [10, "quick", "damaged"]}},
    }
    assert verifications(receipts, [("local /b", "h_n")]) == (70.0, False)
    assert verifications(receipts, [("ssh /b", "h_n")]) == (None, True)
    assert verifications(receipts, [("local /b", "h_m")]) == (None, None)


def test_the_reference_names_every_metric_and_the_rest_no_other() -> None:
    page = (DOCS / "reference" / "metrics.md").read_text()
    rows = re.findall(r"^\| `(coldchain_\w+)[{`].*?\| (\w+) \|", page, re.M)
    assert dict(rows) == {name: kind for name, (kind, _) in METRICS.items()}
    for name in ("alerts.yml", "alerts_test.yml", "dashboard.json"):
        used = set(re.findall(r"\bcoldchain_\w+", (DOCS / "prometheus" / name).read_text()))
        assert used <= METRICS.keys()
    guide = (DOCS / "guide" / "monitoring.md").read_text()
    alerts = re.findall(r"alert: (\w+)", (DOCS / "prometheus" / "alerts.yml").read_text())
    assert set(re.findall(r"\bColdchain\w+", guide)) == set(alerts)


@pytest.mark.long(2)
@pytest.mark.skipif(not shutil.which("promtool"), reason="promtool (prometheus) is not installed")
def test_every_alert_fires_and_recovers_in_time(tmp_path: Path) -> None:
    rules = (DOCS / "prometheus" / "alerts.yml").read_text()
    test = (DOCS / "prometheus" / "alerts_test.yml").read_text()
    for name in re.findall(r"alert: (\w+)", rules):
        assert test.count(f"alertname: {name}\n") == 1 and f"alertname: {name}}}" in test, name
    done = subprocess.run(
        ["promtool", "test", "rules", DOCS / "prometheus" / "alerts_test.yml"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


class Hours:
    """A clock in the place of the module time."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    time = monotonic


def test_the_file_is_renewed_after_runs_but_not_all_the_time(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert command("apply", "-", data=exec_job("j")) == 0
    paths = Paths.under(command.home)
    store = Store.open(paths, create=False)
    clock, file = Hours(), tmp_path / "x.prom"
    monkeypatch.setattr(keeping, "time", clock)
    written: list[float] = []

    def seen(path: Path, raw: bytes) -> None:
        written.append(clock.now)
        publish(path, raw)

    monkeypatch.setattr(keeping, "publish", seen)
    settings = Settings.load(paths)._replace(metrics_file=str(file))
    keeper = MetricsKeeper(store, settings, store.state, lambda: False, live=True)

    def pass_on(seconds: int, *, runs: bool = False) -> list[float]:
        written.clear()
        for _ in range(seconds):
            clock.now += 1
            if runs:
                record = {"job_id": "j", "run_id": "r", "result": "success", "actions": []}
                times = {"time_started": clock.now, "time_ended": clock.now}
                for _twice in range(2):  # after a crash a run is told once more
                    keeper(RunEnded({**record, **times}, {}))
            keeper.step()
        return [now - written[0] for now in written]

    assert pass_on(181) == [0, 60, 120, 180]
    assert pass_on(30) == []
    assert pass_on(1, runs=True) == [0], "at once"
    assert pass_on(60, runs=True) == [0, 15, 30, 45]
    keeper.close()
    text = file.read_text()
    # The first one was counted from the history, which this test does not write.
    assert 'coldchain_job_runs_total{job_id="j",result="success"} 61' in text
    assert "coldchain_runner_up 0" in text
    store.close()


def test_prometheus_is_told_although_the_counters_have_no_room(
    command: Command,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert command("apply", "-", data=exec_job("j")) == 0
    paths, file = Paths.under(command.home), tmp_path / "x.prom"
    store = Store.open(paths, create=False)
    settings = Settings.load(paths)._replace(metrics_file=str(file))
    keeper = MetricsKeeper(store, settings, store.state, lambda: False, live=True)

    def full(lib: Path, tallies: object) -> None:
        raise CannotWrite(f"{lib}: No space left on device")

    monkeypatch.setattr(keeping.counted, "save", full)
    keeper.step()
    assert 'coldchain_job_needs_attention{job_id="j"} 0' in file.read_text()
    keeper.close()
    assert "coldchain_runner_up 0" in file.read_text()
    assert caplog.text.count("No space left on device") == 1
    store.close()


def test_a_kill_before_the_counters_were_written_loses_no_run(
    command: Command, tmp_path: Path
) -> None:
    def counted(text: str) -> str:
        [line] = [x for x in text.splitlines() if x.startswith(total)]
        return line.removeprefix(total)

    total = 'coldchain_job_runs_total{job_id="j",result="success"} '
    assert command("apply", "-", data=exec_job("j")) == 0
    paths, file = Paths.under(command.home), tmp_path / "x.prom"
    assert command("run", "j") == 0
    before = (paths.lib / "metrics.json").read_bytes()
    for _ in range(3):
        assert command("run", "j") == 0
    (paths.lib / "metrics.json").write_bytes(before)
    assert counted(command.json("metrics")["metrics"]) == "4"
    store = Store.open(paths, create=False)
    settings = Settings.load(paths)._replace(metrics_file=str(file))
    keeper = MetricsKeeper(store, settings, store.state, lambda: False, live=True)
    keeper.step()
    keeper.close()
    store.close()
    assert counted(file.read_text()) == "4"
    assert command("run", "j") == 0
    assert counted(command.json("metrics")["metrics"]) == "5"

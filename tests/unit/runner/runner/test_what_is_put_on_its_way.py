# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the runner puts into the outbox for whom, also while the disk does not take it."""

from __future__ import annotations

import json
import time
from datetime import datetime, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from coldchain.core.instants import DAY
from coldchain.core.paths import Paths
from coldchain.core.settings import Settings
from coldchain.observe.findings import WARNING, Finding
from coldchain.observe.outbox import Outbox
from coldchain.observe.records import RunEnded
from coldchain.runner import alerts as alerts_module
from coldchain.runner import silence_watch
from coldchain.runner.alerts import Alerts
from coldchain.runner.silence import LATEST, Silence
from coldchain.store import JobRecord

OPS = {"type": "ntfy", "url": "https://ntfy.example.org/ops"}


def make(paths: Paths, **settings: Any) -> Alerts:
    known = Settings.load(paths)._replace(client_id="web1", **settings)
    jobs: Any = SimpleNamespace(on_record=None, states={})
    watch = {"doubted": lambda: False, "orderly": lambda: True}
    store: Any = None
    return Alerts(paths, known, store, jobs, live=False, **watch)


class Host:
    """Runners one after the other, on a clock of its own."""

    def __init__(self, paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
        self._paths, self._patch = paths, monkeypatch
        self.now, self.doubted = 1_800_000_000.0, False
        self.jobs: Any = SimpleNamespace(on_record=None, states={"j"})
        self.store: Any = SimpleNamespace(job=lambda _job_id: RECORD)
        self.runner: Alerts
        monkeypatch.setattr(time, "time", lambda: self.now)
        monkeypatch.setattr(time, "monotonic", lambda: self.now)

    def start(self, **settings: Any) -> None:
        """Another runner; the one before is as if it was killed."""
        known = Settings.load(self._paths)._replace(client_id="web1", **settings)
        watch = {"doubted": lambda: self.doubted, "orderly": lambda: True}
        alerts = Alerts(self._paths, known, self.store, self.jobs, live=True, **watch)
        self._patch.setattr(alerts._process, "step", lambda now: None)
        self.runner = alerts
        self.wait(0)

    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.runner.step()

    def told(self) -> list[str]:
        return [message["kind"] for message in messages(self._paths)]


RECORD = JobRecord("j", {"job_id": "j"}, 1, 1.0, 1.0, 1.0)


@pytest.fixture
def host(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> Host:
    return Host(paths, monkeypatch)


def ended(result: str = "fail", *notify: dict[str, Any], **record: Any) -> RunEnded:
    action = {"action": "exec", "result": result, "exit_code": 3, "message": "exit code 3"}
    run = {"job_id": "j", "run_id": "r1", "cause": "schedule", "scheduled_for": "x", **record}
    run.update(time_started=1.0, time_ended=2.0, result=result, actions=[action])
    return RunEnded(run, {"job_id": "j", "description": "the shop", "notify": list(notify)})


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    paths = Paths.under(tmp_path / "home")
    paths.create()
    return paths


def messages(paths: Paths) -> list[dict[str, Any]]:
    box = Outbox(paths.notify)
    entries = [box.read(waiting) for waiting in box.waiting()]
    return [{**entry["message"], "to": entry["target"]["url"]} for entry in entries if entry]


def test_those_of_the_job_and_of_the_host_are_told_and_nobody_twice(paths: Paths) -> None:
    own = {"type": "ntfy", "url": "https://ntfy.example.org/own"}
    alerts = make(paths, notify=(OPS,))
    alerts(ended("fail", own, OPS))
    assert [message["to"][-3:] for message in messages(paths)] == ["own", "ops"]
    [first, _second] = messages(paths)
    assert first["title"] == "web1: job j failed" and first["exit_code"] == 3
    assert "the shop" in first["text"] and "coldchain log j r1" in first["text"]
    again = make(paths, notify=(OPS,))  # another runner, which is told once more of that run
    again(ended("fail", own, OPS))
    assert len({message["id"] for message in messages(paths)}) == 2
    again(ended("success", own, run_id="r2"))
    assert [message["kind"] for message in messages(paths)][-2:] == ["recovery"] * 2


@pytest.mark.parametrize(
    ("action", "words"),
    [
        ({}, "exec: fail, exit code 3"),
        ({"exit_code": 0}, "exec: fail"),
        ({"exit_code": None, "attempts": 1}, "exec: fail"),
        ({"attempts": 3}, "exec: fail after 3 attempts, exit code 3"),
        ({"report": {"size": 4_200_000}}, "exec: fail, exit code 3, 4.2 MB stored"),
        ({"report": {"size": "x"}}, "exec: fail, exit code 3"),
    ],
)
def test_a_message_tells_of_each_action_what_became_of_it(
    paths: Paths, action: dict[str, Any], words: str
) -> None:
    run = ended("fail")
    run.record["actions"][0].update(action)
    make(paths, notify=(OPS,))(run)
    (message,) = messages(paths)
    assert words in message["text"].splitlines(), message["text"]


def test_what_the_guard_finds_is_told_to_those_who_ask_for_it(paths: Paths) -> None:
    finding = Finding(WARNING, "job j", "it shrank to a tenth", "look at it").as_dict()
    deaf = {**OPS, "url": "https://ntfy.example.org/x"}
    alerts = make(paths, notify=({**OPS, "tell": ["finding"]}, deaf))
    alerts(ended("success", findings=[finding, finding]))
    told = messages(paths)
    assert [(it["kind"], it["severity"], it["to"]) for it in told] == [
        ("finding", "warning", OPS["url"])
    ] * 2
    assert told[0]["text"] == "it shrank to a tenth\nlook at it"
    assert told[0]["id"] != told[1]["id"]


def test_what_the_disk_does_not_take_waits_in_memory_and_harms_nobody(
    paths: Paths, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(alerts_module, "_AGAIN", 0.0)
    monkeypatch.setattr(alerts_module, "_PENDING", 3)
    alerts = make(paths, notify=(OPS,))
    monkeypatch.setattr(alerts._process, "step", lambda now: None)
    paths.notify.touch()  # in the way
    for number in range(6):
        alerts(ended(run_id=f"r{number}"))
    assert "messages cannot be written" in caplog.text
    paths.notify.unlink()
    alerts.step()
    assert [message["run_id"] for message in messages(paths)] == ["r3", "r4", "r5"]


def test_a_disk_that_takes_nothing_is_tried_again_after_a_while(
    paths: Paths, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    clock = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    alerts = make(paths, notify=(OPS,))
    monkeypatch.setattr(alerts._process, "step", lambda now: None)
    for number in range(2):
        if number:
            paths.notify.rename(paths.notify.with_name("gone"))
        paths.notify.touch()  # in the way
        alerts(ended(run_id=f"r{number}"))
        paths.notify.unlink()
        alerts.step()
        clock[0] += alerts_module._AGAIN - 0.1
        alerts.step()
        assert not paths.notify.exists(), "it is not tried all the time"
        clock[0] += 0.1
        alerts.step()
        assert [message["run_id"] for message in messages(paths)] == [f"r{number}"]
        assert caplog.text.count("messages cannot be written") == 1 + number


def test_what_is_held_back_is_known_to_the_next_runner_as_well(
    paths: Paths, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    make(paths, notify=(OPS,), notify_summary=600)(ended())
    assert not messages(paths) and not caplog.records
    later = time.time() + 601
    monkeypatch.setattr(time, "time", lambda: later)
    alerts = make(paths, notify=(OPS,), notify_summary=600)
    monkeypatch.setattr(alerts._process, "step", lambda now: None)
    alerts.step()
    assert [message["kind"] for message in messages(paths)] == ["failure"]


def test_a_bug_of_ours_does_not_end_the_runner(
    paths: Paths, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    alerts = make(paths, notify=(OPS,))

    def broken(*_words: Any) -> Any:
        raise ZeroDivisionError

    monkeypatch.setattr(alerts._rules, "due", broken)
    alerts.step()
    alerts.step()
    assert caplog.text.count("could not be decided") == 1


def test_a_state_that_is_no_state_is_forgotten(
    paths: Paths, caplog: pytest.LogCaptureFixture
) -> None:
    paths.notify.mkdir(mode=0o700)
    for raw in ("[", "[]", "{}", '{"open": 1, "held": {}}', '{"open": {}, "held": {"x": {}}}'):
        (paths.notify / "state.json").write_text(raw)
        (paths.notify / "state.json").chmod(0o600)
        caplog.clear()
        make(paths)(ended("fail", OPS))
        assert "what was told is forgotten" in caplog.text, raw
    assert json.loads((paths.notify / "state.json").read_text())["open"]["j"]


def test_how_long_a_host_was_off_is_told_when_its_clock_is_believed(
    host: Host, paths: Paths
) -> None:
    host.start(notify=(OPS,))
    host.now += 3 * DAY
    host.doubted = True
    host.start(notify=(OPS,))
    host.runner.close()  # and one more start before anybody knows the time
    host.wait(10)
    host.start(notify=(OPS,))
    host.wait(30)
    assert not host.told()
    host.doubted = False
    host.wait(30)
    host.wait(60)
    (message,) = messages(paths)
    assert message["kind"] == "silence" and "3 d" in message["text"], message["text"]
    host.runner.close()
    host.start(notify=(OPS,))
    assert len(host.told()) == 1, "it was stopped for no time at all"


@pytest.mark.parametrize("kept", [{"notify_summary": 7200}, {"notify_quiet_hours": "00:00-23:59"}])
def test_a_runner_that_is_killed_again_and_again_is_told_once_however_long_that_is_kept_back(
    host: Host, paths: Paths, kept: dict[str, Any]
) -> None:
    at_once = {"type": "healthchecks", "url": "https://hc.example.org/x", "tell": ["silence"]}
    for _kill in range(11):
        host.start(notify=(OPS, at_once), **kept)
        host.wait(600)
    assert [it["to"] for it in messages(paths)] == [at_once["url"]] * 2, "each hour, to a machine"
    host.wait(DAY)
    (held,) = (it for it in messages(paths) if it["to"] == OPS["url"])
    assert "messages" not in held, "nothing but the first one was kept"


def test_a_silence_of_the_maintenance_is_told_when_that_is_over(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    silent = Silence("no run has succeeded", None, 600, host.now + LATEST)
    monkeypatch.setattr(silence_watch, "silence", lambda *_words: silent)
    for name in ("judge_by", "runs_to_judge"):
        monkeypatch.setattr(silence_watch, name, lambda *_words: None)
    plain = {"knows": lambda _job_id: True, "outlook": lambda _job_id: None}
    host.jobs.timetable = SimpleNamespace(**plain)
    over = datetime.fromtimestamp(host.now + 600, timezone.utc).isoformat()
    host.start(notify=(OPS,), notify_maintenance_until=over)
    host.jobs.on_record(RECORD)
    host.wait(1)
    host.wait(598)
    assert not host.told()
    host.wait(2)
    assert host.told() == ["silence"]
    host.wait(LATEST)
    assert host.told() == ["silence"], "and once"

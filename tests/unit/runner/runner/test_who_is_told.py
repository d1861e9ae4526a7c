# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A runner and its process that delivers: what arrives where, also after a kill."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import waiting
from cli_command import Command, exec_job
from homes import Home, document
from receivers import Answer, Receiver, Request
from waiting import PATIENCE

from coldchain.execution.background import Background
from coldchain.observe.delivery import Courier
from coldchain.observe.outbox import Outbox, WaitingMessage

SECRET = "0f3c-s3cret"
STOPPED = {"status": "stop"}


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    place = tmp_path / "home"
    (place / "etc" / "credentials").mkdir(mode=0o700, parents=True)
    place.chmod(0o700)
    found = Home(place, tmp_path / "runner.log")
    found.log_file.touch()
    try:
        yield found
    finally:
        found.stop()


def aim(home: Home, server: Receiver, **fields: Any) -> dict[str, Any]:
    """An entry of notify whose URL is a secret."""
    path = home.path / "etc" / "credentials" / "hook"
    path.write_text(f"URL={server.url}/{SECRET}\n")
    path.chmod(0o600)
    return {"type": "webhook", "credentials_file": "hook", **fields}


def declare(home: Home, *documents: Any) -> None:
    code, answer = home.run("apply", "-", given=list(documents))
    assert code == 0, answer


def start(home: Home, job_id: str, code: int = 0) -> None:
    assert home.run("event", job_id, "start", "--wait")[0] == code


def told(server: Receiver) -> list[dict[str, Any]]:
    return [json.loads(request.body) for request in server.requests]


def kinds(server: Receiver) -> list[tuple[str, Any]]:
    return [(message["kind"], message["job_id"]) for message in told(server)]


def retried(line: str, **fields: Any) -> Any:
    job = document("j", line, STOPPED, **fields)
    job["job_actions"][0].update(max_retries=2, max_retries_interval=0)
    return job


def test_a_failure_is_told_after_the_last_attempt_and_its_end_after_that(
    home: Home, server: Receiver
) -> None:
    tell = ["start", "success", "failure", "recovery"]
    declare(home, retried(f"echo {SECRET}; test -e ok", notify=[aim(home, server, tell=tell)]))
    home.start()
    start(home, "j", 1)
    home.until(lambda: len(server.requests) == 2)
    (Path(home.path, "ok")).touch()
    declare(home, retried(f"test -e {home.path}/ok", notify=[aim(home, server, tell=tell)]))
    start(home, "j")
    home.until(lambda: len(server.requests) == 4)
    start(home, "j")
    home.until(lambda: len(server.requests) == 6)
    expected = ["start", "failure", "start", "recovery", "start", "success"]
    assert [kind for kind, _job in kinds(server)] == expected
    failure, recovery = told(server)[1], told(server)[3]
    assert failure["run"]["actions"][0]["attempts"] == 3 and failure["exit_code"] == 1
    assert failure["run_id"] == home.runs("j")[2]["run_id"]
    assert "failed after" in failure["text"] and "log" not in failure
    assert recovery["title"].endswith("job j succeeded again")
    home.until(lambda: not home.run("notify")[1]["queue"])
    answer = home.run("notify", "j")[1]
    assert [row["result"] for row in answer["deliveries"]] == ["sent"] * 6
    for path in home.path.rglob("*"):  # but where it was written, and in the log of the run
        if path.is_file() and path.name != "hook" and path.suffix != ".log":
            assert SECRET.encode() not in path.read_bytes() or path.name.startswith("jobs.json")
    assert SECRET not in home.log() and SECRET not in json.dumps(told(server))


def test_messages_survive_a_kill_and_keep_their_names(home: Home, server: Receiver) -> None:
    server.answers = lambda request: Answer(503)
    declare(home, document("j", "false", STOPPED, notify=[aim(home, server)]))
    home.start()
    start(home, "j", 1)
    # Once or more often: what does not arrive is soon tried again.
    home.until(lambda: any(row["attempts"] for row in home.run("notify")[1]["queue"]))
    assert home.runner is not None
    os.killpg(home.runner.pid, signal.SIGKILL)  # the process that delivers is of its group
    waiting.ended(home.runner)
    code, status = home.run("status")
    finding = next(row for row in status["findings"] if row["about"].startswith("notify"))
    assert code == 69 and "could not be delivered" in finding["text"]
    assert SECRET not in json.dumps(status)
    [attempts] = [row["attempts"] for row in home.run("notify")[1]["queue"]]
    tried = len(server.requests)
    server.answers = lambda request: Answer()
    home.start()
    home.until(lambda: len(server.requests) > tried, within=PATIENCE + 2**attempts)
    home.until(lambda: not home.run("notify")[1]["queue"])
    assert len({message["id"] for message in told(server)}) == 1
    came = len(server.requests)
    assert home.run("notify", "--retry")[0] == 0 and len(server.requests) == came


def settings(home: Home, **values: str) -> None:
    lines = ["[runner]", *(f"{name} = {value}" for name, value in values.items()), ""]
    (home.path / "etc" / "runner.conf").write_text("\n".join(lines))


def killed(home: Home) -> None:
    """The runner is killed, with the process that delivers, and another one begins."""
    assert home.runner is not None
    os.killpg(home.runner.pid, signal.SIGKILL)
    waiting.ended(home.runner)
    home.start()


def arrived(home: Home, server: Receiver, number: int, within: float = PATIENCE) -> None:
    """So many messages came and are on record: of none is it open whether it comes once more."""
    home.until(lambda: len(server.requests) == number, within=within)
    home.until(lambda: not home.run("notify")[1]["queue"])


def test_a_cool_down_goes_on_after_a_kill_and_keeps_no_recovery_back(
    home: Home, server: Receiver
) -> None:
    pause = 8.0
    settings(home, notify_cool_down=f"{pause:g} seconds")
    declare(home, document("j", "test -e ok", STOPPED, notify=[aim(home, server)]))
    home.start()
    first = time.time()
    start(home, "j", 1)
    arrived(home, server, 1)
    start(home, "j", 1)  # kept back
    if time.time() > first + pause:
        pytest.skip("this machine took longer than the cool-down")
    killed(home)
    declare(home, document("j", "true", STOPPED, notify=[aim(home, server)]))
    start(home, "j")
    arrived(home, server, 2)
    in_time = time.time() < first + pause
    declare(home, document("j", "exit 3", STOPPED, notify=[aim(home, server)]))
    start(home, "j", 1)
    killed(home)
    arrived(home, server, 3, within=PATIENCE + pause)
    assert not in_time or time.time() >= first + pause
    assert [kind for kind, _job in kinds(server)] == ["failure", "recovery", "failure"]
    last = told(server)[2]
    assert "messages" not in last and last["exit_code"] == 3, "what is over is not told late"


def test_maintenance_drops_alarms_after_a_kill_too_and_keeps_no_recovery_back(
    home: Home, server: Receiver
) -> None:
    known, new = "known", "new"
    declare(
        home, *(document(it, "false", STOPPED, notify=[aim(home, server)]) for it in (known, new))
    )
    home.start()
    start(home, known, 1)
    arrived(home, server, 1)
    home.stop()
    settings(home, notify_maintenance_until="2090-01-01T00:00:00+00:00")
    home.start()
    for job_id in (known, new):
        start(home, job_id, 1)
    killed(home)
    declare(
        home, *(document(it, "true", STOPPED, notify=[aim(home, server)]) for it in (known, new))
    )
    for job_id in (new, known):
        start(home, job_id)
    arrived(home, server, 2)
    assert kinds(server) == [("failure", known), ("recovery", known)]
    home.stop()
    settings(home, notify_maintenance_until="2020-01-01T00:00:00+00:00")
    home.start()
    declare(home, document(new, "false", STOPPED, notify=[aim(home, server)]))
    start(home, new, 1)
    arrived(home, server, 3)
    assert kinds(server)[2] == ("failure", new)


@pytest.mark.parametrize("room", ["later", "never"])
def test_what_the_disk_does_not_take_is_told_later_or_named_in_the_log(
    home: Home, server: Receiver, room: str
) -> None:
    declare(home, document("j", "false", STOPPED, notify=[aim(home, server)]))
    home.start()
    start(home, "j", 1)
    arrived(home, server, 1)
    queue = home.path / "lib" / "notify" / "queue"
    queue.rmdir()
    queue.touch()  # in which not even root can write
    start(home, "j", 1)
    home.until(lambda: "messages cannot be written" in home.log())
    if room == "later":
        queue.unlink()
        arrived(home, server, 2)
    home.stop()
    assert ("nobody is told of it" in home.log()) == (room == "never")
    assert len(server.requests) == (2 if room == "later" else 1)


def test_silence_is_told_once_and_its_end(home: Home, server: Receiver) -> None:
    job = document("j", "true", STOPPED, expect_success_within=1, notify=[aim(home, server)])
    home.start()
    job["job_schedule"] = {"schedule_date": "2090-01-01"}
    declare(home, job, document("other", "true", {"schedule_date": "2090-01-01"}))
    start(home, "j")
    home.until(lambda: server.requests, within=PATIENCE + 35)
    [message] = told(server)
    assert message["kind"] == "silence" and "one within 1.0 s is expected" in message["text"]
    start(home, "j")
    home.until(lambda: len(server.requests) == 2)
    assert kinds(server) == [("silence", "j"), ("recovery", "j")]


def test_the_host_is_told_of_all_jobs_and_of_a_runner_that_was_dead(
    home: Home, server: Receiver
) -> None:
    entry = json.dumps([aim(home, server)])
    settings = home.path / "etc" / "runner.conf"
    settings.write_text(f"[runner]\nnotify = {entry}\nnotify_maintenance_until = 2000-01-01\n")
    declare(home, document("j", "false", STOPPED))
    home.start()
    start(home, "j", 1)
    home.until(lambda: kinds(server) == [("failure", "j")])
    assert home.runner is not None
    home.runner.terminate()
    waiting.ended(home.runner)
    home.start()  # after an orderly stop nobody is told
    # Until the end of its first tick the sign of life is that of the one that stopped.
    alive = home.path / "lib" / "notify" / "alive"
    home.until(lambda: alive.stat().st_size == 0)
    home.runner.kill()
    waiting.ended(home.runner)
    home.start()
    home.until(lambda: len(server.requests) == 2)
    dead = told(server)[1]
    assert (dead["kind"], dead["job_id"]) == ("silence", None)
    assert "has ended without a word" in dead["text"]


def test_what_a_notifier_leaves_running_is_no_process_of_a_run(
    home: Home, server: Receiver, tmp_path: Path
) -> None:
    """The runner adopts what loses its parent, and must not take it for a job's (subreaper)."""
    waits = "while ! test -e end; do sleep 0.1; done; touch left"
    line = f"cd {tmp_path}; setsid -f sh -c '{waits}'"
    notify = [{"type": "command", "command": ["sh", "-c", line], "tell": ["failure"]}]
    held = f"touch {tmp_path}/going; while ! test -e {tmp_path}/go; do sleep 0.1; done"
    declare(home, document("bad", "false", STOPPED, notify=notify))
    declare(home, document("long", held, STOPPED))
    home.start()
    assert home.run("event", "long", "start")[0] == 0
    home.until((tmp_path / "going").exists)
    start(home, "bad", 1)
    home.until(lambda: home.run("notify", "bad")[1]["deliveries"])
    assert home.run("event", "long", "abort", "--wait")[0] == 0
    (tmp_path / "end").touch()
    home.until((tmp_path / "left").exists)
    run = home.runs("long")[0]
    assert not run["actions"][0].get("survivors") and not run["actions"][0].get("left_behind")


def test_the_process_that_delivers_outlives_a_reload_and_is_let_go_of(
    home: Home, tmp_path: Path
) -> None:
    script = f"touch {tmp_path}/begun; while ! test -e {tmp_path}/go; do sleep 0.1; done"
    notify = [{"type": "command", "command": ["sh", "-c", script]}]
    declare(home, document("j", "false", STOPPED, notify=notify))
    home.start()
    start(home, "j", 1)
    home.until((tmp_path / "begun").exists)
    assert home.runner is not None
    pid = home.runner.pid
    os.kill(pid, signal.SIGHUP)
    home.until(lambda: home.log().count("runner ready") == 2)
    (tmp_path / "go").touch()
    children = Path(f"/proc/{pid}/task/{pid}/children")
    home.until(lambda: not children.read_text())
    assert [row["result"] for row in home.run("notify")[1]["deliveries"]] == ["sent"]


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("notify = {}", "no list of objects"),
        ("notify = [{]", "is no JSON"),
        ('notify = [{"type": "mial"}]', "[0]: type: one of healthchecks,"),
        ('notify = [{"type": "mail"}]', "[0]: to is missing"),
        ('notify = [{"type": "ntfy", "url": "ftp://x"}]', "[0]: url: is no URL"),
        ('notify = [{"type": "ntfy", "url": "https://x", "on": ["off"]}]', "[0]: tell: a list of"),
        (
            'notify = [{"type": "ntfy", "url": "https://x", "tell": ["on"]}]',
            "tell: a list of start",
        ),
        ('notify = [{"type": "ntfy", "ulr": "https://x"}]', "did you mean url?"),
        ("notify_quiet_hours = 22-6", "'22-6' is not like 22:00-06:00"),
        ("notify_quiet_hours = 06:00-06:00", "leaves nothing or everything out"),
        ("notify_maintenance_until = soon", "'soon' is not a date"),
    ],
)
def test_a_setting_that_is_wrong_names_its_place(command: Command, line: str, text: str) -> None:
    assert command("apply", "-", data=exec_job("x")) == 0
    settings = command.home / "etc" / "runner.conf"
    settings.parent.mkdir(mode=0o755, exist_ok=True)
    settings.write_text(f"[runner]\n{line}\n")
    error = command.error("notify")
    assert error["code"] == 65 and str(settings) in error["message"] and text in error["message"]


def test_a_mistake_in_the_settings_keeps_nobody_from_being_told(
    home: Home, server: Receiver, tmp_path: Path
) -> None:
    """The runner goes on with those that it has read, and so does the process that delivers."""
    settings = home.path / "etc" / "runner.conf"
    settings.write_text("[runner]\nallow_exec = yes\n")
    command = {"type": "command", "command": ["touch", str(tmp_path / "told")]}
    held = f"while ! test -e {tmp_path}/go; do sleep 0.1; done; false"
    declare(home, document("j", held, STOPPED, notify=[aim(home, server), command]))
    home.start()
    assert home.run("event", "j", "start")[0] == 0
    settings.write_text("[runner\n")
    (tmp_path / "go").touch()
    home.until(lambda: kinds(server) == [("failure", "j")])
    home.until((tmp_path / "told").exists)
    assert home.run("status")[0] == 65


def test_a_test_message_reaches_everybody_and_tells_who_it_did_not(
    home: Home, server: Receiver
) -> None:
    server.answers = lambda request: Answer(403 if "bad" in request.path else 200)
    bad = {"type": "ntfy", "url": f"{server.url}/bad"}
    declare(home, document("j", "true", STOPPED, notify=[aim(home, server), bad]))
    code, answer = home.run("notify", "--test", "j")
    assert code == 1 and [row["result"] for row in answer["tests"]] == ["sent", "failed"]
    assert answer["tests"][1]["detail"].startswith("HTTP 403")
    assert told_test(server.requests[0]) and home.run("notify")[1]["queue"] == []
    assert home.run("notify", "--test")[0] == 1
    code, answer = home.run("notify", "--test", "nobody")
    assert code == 65


def told_test(request: Request) -> bool:
    return bool(json.loads(request.body)["test"])


def test_what_is_withdrawn_is_so_while_messages_are_sent_without_a_pause(
    home: Home, server: Receiver
) -> None:
    """Whoever delivered went on for as long as something was due; a withdrawal gave up then."""
    gone = {"type": "webhook", "url": f"{server.url}/gone"}
    here = {"type": "webhook", "url": f"{server.url}/here"}
    outbox = Outbox(home.path / "lib" / "notify")

    def put(target: dict[str, Any], later: int = 0) -> None:
        order = int(time.time() * 1e6)
        entry = {"target": target, "message": {"id": f"m{order}", "kind": "failure"}}
        due = order // 1_000_000 + later
        outbox.put(entry, WaitingMessage(order, due, f"m{order}"), durable=True)

    def answer(request: Request) -> Answer:
        put(here)  # as a host that has always something to tell
        return Answer()

    server.answers = answer
    declare(home, document("a", "true", STOPPED, notify=[here]))
    put(here)
    courier = Courier(outbox, {}, lambda *_unused: home.path, Background.watched)
    sending = threading.Thread(target=courier.deliver)
    sending.start()
    home.until(lambda: server.requests)
    put(gone, later=1000)
    with waiting.at_most():
        code, told = home.run("notify", "--withdraw")
    assert code == 0 and "withdrawn" in {row["result"] for row in told["deliveries"]}
    assert len(told["queue"]) <= 1
    waiting.joined(sending)


def test_what_waits_for_a_target_that_was_taken_out_is_withdrawn(
    home: Home, server: Receiver
) -> None:
    def entry(place: str) -> dict[str, Any]:
        return {"type": "webhook", "url": f"{server.url}/{place}"}

    server.answers = lambda request: Answer(503)
    jobs = [
        document(name, "false", STOPPED, notify=[entry(place)])
        for name, place in (("a", "old"), ("b", "kept"), ("c", "removed"))
    ]
    declare(home, *jobs)
    for name in "abc":
        assert home.run("run", name)[0] == 1
    declare(home, {**jobs[0], "notify": [entry("new")]})
    assert home.run("event", "c", "remove")[0] == 0
    code, answer = home.run("notify", "--withdraw")
    assert code == 0 and [row["job_id"] for row in answer["queue"]] == ["b"]
    gone = {row["job_id"] for row in answer["deliveries"] if row["result"] == "withdrawn"}
    assert gone == {"a", "c"}
    server.answers = lambda request: Answer()
    assert home.run("notify", "--retry")[0] == 0
    findings = home.run("status")[1]["findings"]
    assert not [row for row in findings if row["about"].startswith("notify")]

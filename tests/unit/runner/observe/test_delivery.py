# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages on their way: none is lost, none waits for another target, and all have a bound."""

from __future__ import annotations

import errno
import itertools
import json
import os
import subprocess
import time
from collections.abc import Callable
from email.utils import formatdate
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import waiting
from receivers import Answer, Receiver, receiver

from coldchain.core.errors import CannotWrite
from coldchain.core.instants import DAY
from coldchain.core.locks import lock_within, open_lock
from coldchain.execution.background import Background
from coldchain.observe import delivery, delivery_findings, delivery_process, outbox
from coldchain.observe.alert_rules import MOST_HELD, Occasion, Policy, Rules
from coldchain.observe.delivery import Courier
from coldchain.observe.delivery_process import DeliveryProcess
from coldchain.observe.notifiers.target import Target
from coldchain.observe.outbox import Outbox, WaitingMessage


@pytest.fixture
def box(tmp_path: Path) -> Outbox:
    (tmp_path / "notify").mkdir(mode=0o700)
    return Outbox(tmp_path / "notify")


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that stands still: what did not arrive is not due once more because a test takes
    long, and deliver() waits for nothing that becomes due."""
    told = [time.time()]
    monkeypatch.setattr(delivery, "LINGER", -10.0)
    monkeypatch.setattr(delivery, "time", SimpleNamespace(time=lambda: told[0]))
    return told


def courier(box: Outbox) -> Courier:
    return Courier(box, {}, lambda job, run: box.place, Background.watched)


_order = itertools.count()


def place_of(name: str) -> WaitingMessage:
    """That of a message which is put in now, behind the others."""
    present = delivery.time.time()
    return WaitingMessage(int(present * 1_000_000) + next(_order), int(present), name)


def put(box: Outbox, url: str, name: str, **message: Any) -> WaitingMessage:
    wait = place_of(name)
    told = {"id": name, "kind": "failure", "host": "h", "title": "t", "text": "x", **message}
    box.put({"target": {"type": "webhook", "url": url}, "message": told}, wait, durable=False)
    return wait


def came(server: Receiver) -> list[str]:
    return [json.loads(request.body)["id"] for request in server.requests]


def results(box: Outbox) -> list[tuple[str, str]]:
    return [(row["id"], row["result"]) for row in box.recorded()][::-1]


def test_messages_arrive_in_their_order_and_are_on_record(box: Outbox, server: Receiver) -> None:
    for number in range(5):
        put(box, server.url, f"m{number}")
    assert courier(box).deliver() == 0
    assert came(server) == [f"m{number}" for number in range(5)]
    assert box.waiting() == []
    assert results(box) == [(f"m{number}", "sent") for number in range(5)]


def test_what_did_not_arrive_waits_longer_each_time_and_the_rest_behind_it(
    box: Outbox, server: Receiver, now: list[float]
) -> None:
    server.answers = lambda request: Answer(503)
    put(box, server.url, "m0")
    put(box, server.url, "m1")
    waits = []
    for attempt in range(1, 13):
        assert courier(box).deliver(at_once=True) == 1
        first, second = box.waiting()
        entry = box.read(first)
        assert entry and entry["attempts"] == attempt and entry["detail"].startswith("HTTP 503")
        waits.append(first.due - int(now[0]))
        assert second.id == "m1" and came(server) == ["m0"] * attempt
    assert waits == [min(2**attempt, delivery.LONGEST) for attempt in range(1, 13)]
    assert courier(box).deliver() == 0  # neither is due: the second one waits with the first
    assert came(server) == ["m0"] * 12
    [finding] = delivery_findings.findings(box, now[0])
    assert finding.text.startswith("2 messages could not be delivered for ")
    assert "HTTP 503" in finding.text and "--retry" in finding.remedy
    server.answers = lambda request: Answer()
    assert courier(box).deliver(at_once=True) == 0
    assert came(server)[-2:] == ["m0", "m1"] and box.waiting() == []
    assert list(delivery_findings.findings(box, now[0])) == []


def http_date(moment: float) -> str:
    return formatdate(moment, usegmt=True)


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(
    ("wanted", "least"),
    [
        (lambda now: "100", 100),
        (lambda now: "0", 2),
        (lambda now: "9" * 10, delivery.LONGEST),
        (lambda now: http_date(now + 300), 299),  # a date has whole seconds
        (lambda now: time.asctime(time.gmtime(now + 300)), 299),
        (lambda now: http_date(now - 300), 2),
        (lambda now: http_date(now + 10 * DAY), delivery.LONGEST),
        (lambda now: "soon", 2),
        (lambda now: "-5", 2),
        (lambda now: "Mon, 99 Abc 2026 99:99:99 GMT", 2),
        (lambda now: "", 2),
    ],
)
@pytest.mark.parametrize("ahead", [0, 5000], ids=["the same clock", "another clock"])
def test_no_attempt_comes_before_the_time_that_the_other_side_asks_for(
    box: Outbox,
    server: Receiver,
    now: list[float],
    status: int,
    wanted: Callable[[float], str],
    least: int,
    ahead: int,
) -> None:
    theirs = now[0] + ahead
    said = [("Retry-After", wanted(theirs)), ("Date", http_date(theirs))]
    server.answers = lambda request: Answer(status, tuple(said), own_date=True)
    put(box, server.url, "m0")
    assert courier(box).deliver() == 1
    put(box, server.url, "m1")
    [first, _second] = box.waiting()
    begun = now[0]
    assert begun + least <= first.due + (least == 2) <= begun + least + 2
    for now[0] in (begun, (begun + first.due) / 2, first.due - 0.01):
        assert courier(box).deliver() == 0
        assert came(server) == ["m0"]
    now[0] = first.due
    server.answers = lambda request: Answer()
    assert courier(box).deliver() == 0
    assert came(server) == ["m0", "m0", "m1"]


def test_that_nobody_tries_to_deliver_is_told(box: Outbox) -> None:
    """The process that delivers may end at once, or never be started: no message tells of that."""
    put(box, "https://x", "m0")
    now = time.time()
    assert list(delivery_findings.findings(box, now + 60)) == []
    [finding] = delivery_findings.findings(box, now + 600)
    assert finding.text == "1 message should have left by now, and nothing has tried it"
    assert "--retry" in finding.remedy
    assert list(delivery_findings.findings(box, now - 86400)) == []  # the clock was set back


def test_what_is_refused_keeps_no_other_message_waiting(
    box: Outbox, server: Receiver, now: list[float]
) -> None:
    server.answers = lambda request: Answer(400 if b'"m0"' in request.body else 200)
    put(box, server.url, "m0")
    put(box, server.url, "m1")
    assert courier(box).deliver() == 1
    put(box, server.url, "m2")
    courier(box).deliver()
    assert came(server) == ["m0", "m1", "m2"]
    assert [waiting.id for waiting in box.waiting()] == ["m0"]


def test_what_cannot_be_put_into_bytes_keeps_no_other_message_waiting(
    box: Outbox, server: Receiver, now: list[float]
) -> None:
    bad = put(box, server.url, "m0", text="\udcff")
    entry = box.read(bad)
    assert entry is not None
    entry["target"]["template"] = "$text"  # one that another entry for this URL does not have
    box.put(entry, bad, durable=False)
    put(box, server.url, "m1")
    assert courier(box).deliver() == 1
    assert came(server) == ["m1"]
    assert [waiting.id for waiting in box.waiting()] == ["m0"]


def test_a_target_that_hangs_keeps_no_other_waiting(
    box: Outbox, server: Receiver, now: list[float]
) -> None:
    with receiver() as other:
        other.answers = lambda request: Answer(hang=True)

        def late(request: Any) -> Answer:  # the one that hangs is let go when the other is done
            if b'"m3"' in request.body:
                other.closing.set()
            elif b'"m1"' in request.body:
                put(box, server.url, "m3")
            return Answer()

        server.answers = late
        put(box, other.url, "m0")
        put(box, server.url, "m1")
        courier(box).deliver()
    assert came(server) == ["m1", "m3"]


def test_commands_of_one_program_are_targets_of_their_own(
    box: Outbox, tmp_path: Path, now: list[float]
) -> None:
    for number, line in enumerate(("exit 3", f"touch {tmp_path}/told")):
        place = place_of(f"m{number}")
        entry = {"type": "command", "command": ["sh", "-c", line]}
        message = {"id": place.id, "kind": "failure", "host": "h", "title": "t", "text": "x"}
        box.put({"target": entry, "message": message}, place, durable=False)
    assert courier(box).deliver() == 1
    assert (tmp_path / "told").exists()
    assert [waiting.id for waiting in box.waiting()] == ["m0"]


def test_a_ping_that_came_too_late_gives_way_to_a_later_one(
    box: Outbox, server: Receiver, now: list[float]
) -> None:
    server.answers = lambda request: Answer(503)
    for number in range(3):
        put(box, server.url, f"s{number}", kind="success", job_id="j", run_id=f"r{number}")
    courier(box).deliver()
    put(box, server.url, "f", kind="failure", job_id="j", run_id="r3")
    server.answers = lambda request: Answer()
    courier(box).deliver(at_once=True)
    assert came(server) == ["s0", "s2", "f"]  # s1 only waited behind s0, which is as late


def test_hours_without_an_answer_neither_hurries_nor_comes_back_as_a_flood(
    box: Outbox, server: Receiver, now: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job that begins each minute, one that failed once, and a receiver that is down."""
    monkeypatch.setattr(delivery, "LONGEST", 600)
    monkeypatch.setattr(outbox, "MOST", 20)
    server.answers = lambda request: Answer(503)

    def tell(name: str, kind: str, job_id: str, run_id: str) -> None:
        target = {"type": "webhook", "url": server.url}
        message = {"id": name, "kind": kind, "job_id": job_id, "run_id": run_id}
        assert len(box.make_room(box.waiting(), now[0])) < 20
        box.put({"target": target, "message": message}, place_of(name), durable=False)

    tell("bad", "failure", "other", "x")
    for minute in range(180):
        tell(f"s{minute}", "start", "j", f"r{minute}")
        tell(f"e{minute}", "success", "j", f"r{minute}")
        for _look in range(6):  # as the runner does
            now[0] += 10
            if any(delivery.is_due(waiting, now[0]) for waiting in box.waiting()):
                courier(box).deliver()
        if minute == 90:
            tell("good", "recovery", "other", "y")
    tried = came(server)
    assert len(tried) < 12 + 3 * 3600 / delivery.LONGEST and set(tried) == {"bad"}
    server.answers = lambda request: Answer()
    server.requests.clear()
    now[0] += delivery.LONGEST + 60
    assert courier(box).deliver() == 0
    assert came(server) == ["bad", "good", "s179", "e179"] and box.waiting() == []


def test_what_takes_the_place_of_another_is_tried_no_sooner(
    box: Outbox, server: Receiver, now: list[float]
) -> None:
    server.answers = lambda request: Answer(503)
    pauses = []
    for number in range(8):
        put(box, server.url, f"s{number}", kind="start", job_id="j", run_id=f"r{number}")
        courier(box).deliver(at_once=True)
        pauses.append(max(waiting.due for waiting in box.waiting()) - now[0])
    assert came(server) == [f"s{number}" for number in range(8)]
    assert pauses[-1] > 200 and [waiting.id for waiting in box.waiting()] == ["s7"]


@pytest.mark.parametrize("taken", [True, False])
def test_what_was_refused_never_comes_after_its_recovery(
    box: Outbox, server: Receiver, now: list[float], taken: bool
) -> None:
    """taken: is the failure, too, once the recovery is?"""
    server.answers = lambda request: Answer(403)
    for number in range(3):
        put(box, server.url, f"f{number}", kind="failure", job_id="j", run_id=f"r{number}")
    put(box, server.url, "other", kind="failure", job_id="k", run_id="r")
    assert courier(box).deliver() == 4
    server.requests.clear()
    server.answers = lambda request: Answer(200 if taken or b'"f' not in request.body else 403)
    put(box, server.url, "good", kind="recovery", job_id="j", run_id="r3")
    courier(box).deliver()
    assert came(server) == ["f2", "good"]
    assert [waiting.id for waiting in box.waiting()] == ["other"]
    assert ("f0", "given-up") in results(box)
    [finding] = delivery_findings.findings(box, now[0])
    assert finding.text.startswith("1 message could not be delivered")
    courier(box).deliver(at_once=True)
    assert came(server)[2:] == ["other"]


def test_starts_and_successes_make_room_first(box: Outbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "MOST", 6)
    kinds = ["failure", "start", "success", "recovery", "start", "finding", "failure", "silence"]
    for number, kind in enumerate(kinds):
        box.make_room(box.waiting(), time.time())
        put(box, "https://x", f"{kind}-{number}", kind=kind)
    left = [waiting.id for waiting in box.waiting()]
    names = ["failure-0", "recovery-3", "start-4", "finding-5", "failure-6", "silence-7"]
    assert left == names
    for number in range(2):
        stay = box.make_room(box.waiting(), time.time())
        assert stay == box.waiting()
        put(box, "https://x", f"new-{number}", kind="silence")
    assert [waiting.id for waiting in box.waiting()] == [*names[1:2], *names[3:], "new-0", "new-1"]


def test_a_message_is_given_up_after_three_days(
    box: Outbox, server: Receiver, now: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    server.answers = lambda request: Answer(503)
    put(box, server.url, "m0")
    monkeypatch.setattr(delivery, "GIVE_UP", -1)
    assert courier(box).deliver() == 1
    assert box.waiting() == [] and results(box) == [("m0", "given-up")]
    [finding] = delivery_findings.findings(box, now[0])
    assert finding.text.startswith("1 message of the last day will not be delivered: HTTP 503")


def test_the_outbox_and_its_record_have_a_bound(
    box: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "MOST", 10)
    monkeypatch.setattr(outbox, "KEEP", 1000)
    for number in range(30):
        box.make_room(box.waiting(), time.time())
        put(box, "https://x", f"m{number:02}", run={"actions": ["x" * outbox.LARGEST]})
    waits = box.waiting()
    assert [waiting.id for waiting in waits] == [f"m{number}" for number in range(20, 30)]
    box.take_in()
    assert box.waiting() == waits
    assert all((box.place / "queue" / waiting.name).stat().st_size < 300 for waiting in waits)
    assert (box.place / "deliveries.jsonl").stat().st_size <= 1100
    assert results(box)[-1] == ("m19", "dropped")


@pytest.mark.parametrize("text", ["x" * 700, "\U0001f600" * 60_000])
def test_what_is_large_arrives(box: Outbox, server: Receiver, text: str) -> None:
    rules, target = Rules(Policy(summary=600)), Target.of({"type": "webhook", "url": server.url})
    for number in range(MOST_HELD):
        message = {"host": "h", "title": f"job {number} failed", "text": text}
        rules.tell(Occasion("failure", f"job-{number}", 1e9, f"e{number}", message), [target])
    [summary] = rules.due(1e9 + 601)
    put(box, server.url, "many", **summary.message)
    put(box, server.url, "one", text=text, run={"actions": [text]})
    box.take_in()
    files = [box.place / "queue" / waiting.name for waiting in box.waiting()]
    assert files[1].stat().st_size <= outbox.LARGEST
    assert courier(box).deliver() == 0
    assert came(server) == ["many", "one"] and [it[1] for it in results(box)] == ["sent", "sent"]
    assert len(json.loads(server.requests[0].body)["messages"]) == MOST_HELD


def test_what_is_damaged_or_not_ours_harms_nobody(box: Outbox, server: Receiver) -> None:
    first = put(box, server.url, "m0")
    box.take_in()
    queue = box.place / "queue"
    for number, raw in enumerate((b"{", b"[]", b"{}")):
        (queue / WaitingMessage(number, 1, "broken").name).write_bytes(raw)
    for name in ("README", f"{first.name}.tmp", "a.b.c.json", "1.1.short.json", "4.4.y.txt"):
        (queue / name).write_bytes(b"x")
    (queue / WaitingMessage(7, 1, "directory").name).mkdir()
    os.mkfifo(queue / WaitingMessage(8, 1, "fifo").name)
    (queue / WaitingMessage(9, 1, "link").name).symlink_to("/etc/hostname")
    (box.place / "deliveries.jsonl").write_bytes(b"{\n\xff\n[]\n")
    assert courier(box).deliver() == 0
    assert came(server) == ["m0"]
    assert sorted(row["result"] for row in box.recorded()) == ["dropped"] * 3 + ["sent"]
    assert box.waiting() == []


@pytest.mark.parametrize("a_file", [True, False])
def test_a_full_disk_lets_nobody_be_asked_again_and_again(
    box: Outbox, server: Receiver, monkeypatch: pytest.MonkeyPatch, a_file: bool
) -> None:
    """a_file: the message is one already, or still a line among those that came in."""
    server.answers = lambda request: Answer(503)
    put(box, server.url, "m0")
    if a_file:
        box.take_in()

    def full(path: Path, raw: bytes, **how: Any) -> None:
        raise CannotWrite(f"{path}: No space left on device")

    monkeypatch.setattr(outbox, "write_atomically", full)
    began = int(time.time())
    with waiting.at_most():
        assert courier(box).deliver() == 1
    assert came(server) == ["m0"]
    [later] = box.waiting()
    assert later.due >= began + delivery.BLIND and box.read(later)


@pytest.mark.parametrize("a_file", [True, False])
def test_a_full_disk_loses_the_note_alone_when_the_record_has_to_be_cut(
    box: Outbox, server: Receiver, monkeypatch: pytest.MonkeyPatch, a_file: bool
) -> None:
    put(box, server.url, "m0")
    if a_file:
        box.take_in()

    def full(path: Path, raw: bytes, **how: Any) -> None:
        raise CannotWrite(f"{path}: No space left on device")

    monkeypatch.setattr(outbox, "KEEP", 0)
    monkeypatch.setattr(outbox, "write_atomically", full)
    with waiting.at_most():
        assert courier(box).deliver() == 0
    assert came(server) == ["m0"] and box.waiting() == []


def test_what_cannot_be_taken_out_is_sent_once_and_told(
    box: Outbox, server: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(box, server.url, "m0")

    def read_only(self: Outbox, waiting: WaitingMessage) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(Outbox, "remove", read_only)
    with waiting.at_most(), pytest.raises(OSError, match="Read-only"):
        courier(box).deliver()
    assert came(server) == ["m0"]


def test_a_clock_that_was_set_back_lets_nothing_wait(box: Outbox, server: Receiver) -> None:
    wait = put(box, server.url, "m0")
    box.postpone(wait, wait.due + 10 * 86400)
    courier(box).deliver()
    assert came(server) == ["m0"]


def test_only_one_process_delivers(box: Outbox, server: Receiver) -> None:
    put(box, server.url, "m0")
    lock = open_lock(box.lock)
    assert lock_within(lock)
    with waiting.at_most():
        assert courier(box).deliver() == 0
    assert came(server) == []


def test_while_another_process_delivers_none_is_started_each_second(
    box: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What waits is still due when one of ours has left it to the process of an earlier runner."""
    starts: list[float] = []
    clock = [1000.0]

    class Delivers:
        """The process, within this one."""

        def __init__(self, *dummy: Any, **dummies: Any) -> None:
            starts.append(clock[0])
            code = courier(box).deliver()
            self.poll = lambda: code

    monkeypatch.setattr(subprocess, "Popen", Delivers)
    pause = delivery_process._AT_LEAST
    monkeypatch.setattr(delivery_process, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    put(box, "http://127.0.0.1:9/", "m0")
    lock = open_lock(box.lock)
    assert lock_within(lock)
    try:
        process = DeliveryProcess(box, None)
        for _step in range(41):
            process.step(time.time())
            clock[0] += pause / 4
    finally:
        os.close(lock)
    gaps = [later - before for before, later in zip(starts, starts[1:])]
    assert gaps and min(gaps) >= 2 * pause and max(gaps) < 3 * pause, "but it goes on trying"


def test_a_target_that_is_down_costs_no_process_for_each_message(
    box: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only when something may be sent one is started: not to put off what has just come."""
    starts: list[int] = []

    class Delivers:
        """The process, within this one; at its end something waits."""

        def __init__(self, *dummy: Any, **dummies: Any) -> None:
            starts.append(courier(box).deliver())

        def poll(self) -> int:
            return 1 if starts[-1] else 0

    monkeypatch.setattr(delivery, "LINGER", -1.0)
    monkeypatch.setattr(delivery, "FIRST", 600)
    monkeypatch.setattr(delivery_process, "_AT_LEAST", 0.0)
    monkeypatch.setattr(subprocess, "Popen", Delivers)
    process = DeliveryProcess(box, None)

    def tell(url: str, name: str) -> None:
        target, now = {"type": "webhook", "url": url}, time.time()
        message = WaitingMessage(time.time_ns() // 1000, process.due(target, now), name)
        told = {"id": name, "kind": "failure", "host": "h", "title": "t", "text": "x"}
        box.put({"target": target, "message": told}, message, durable=False)
        process.added(message, target)
        for _unused in range(2):  # its start, and its end
            process.step(time.time())

    down = "http://127.0.0.1:9/"
    for number in range(9):
        tell(down, f"m-{number}")
    assert starts == [1] and len(box.waiting()) == 9
    with receiver() as up:
        tell(up.url, "other")
        assert starts == [1, 0] and [it.id for it in box.waiting()].count("other") == 0
        tell(down, "m-9")
        assert starts == [1, 0], "it knows that still"
    process.step(time.time() + 700)
    assert len(starts) == 3, "what is due is tried"

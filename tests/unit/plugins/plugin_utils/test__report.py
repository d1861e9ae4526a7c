# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report of a fleet: what it says, what it compares, and what a hostile host can do to it."""

from __future__ import annotations

import json
import re

import fleet_answers
import pytest
from ansible_collections.coldchain.freezer.plugins.plugin_utils import (
    _answer,
    _report,
    _report_before,
    _report_page,
    _report_runs,
)
from fleet_answers import DAY, NOW

DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


def rows(document, table):
    columns = document[table]["columns"]
    return [dict(zip(columns, row, strict=True)) for row in document[table]["rows"]]


def changed(number=0, **changes):
    """The answer of one host, with some of it changed."""
    return {"text": json.dumps({**fleet_answers.status(number, 3, 30), **changes})}


def again(report):
    """As the next report reads it."""
    return _report_before.read(json.dumps(report.document))


def built(*args, **kwargs):
    made = _report.build(*args, **kwargs)
    # What is written is read again without a word.
    assert again(made) == made.document
    return made


def values(packed, digits=2, steps=28):
    numbers = [int(packed[at : at + digits], 36) for at in range(0, len(packed), digits)]
    return [2 ** ((number - 1) / steps) if number else 0 for number in numbers]


def test_the_worst_come_first_and_everything_points_to_its_host():
    answers = fleet_answers.answers(30, 4, 60)
    made = built(answers, NOW, 60)
    hosts = rows(made.document, "hosts")
    assert [host["state"] for host in hosts[:2]] == ["unreachable", "no answer"]
    states = [host["state"] for host in hosts]
    assert states == sorted(
        states, key=["unreachable", "no answer", "not protected", "protected"].index
    )
    assert made.document["fleet"]["hosts"]["not protected"] == states.count("not protected") == 4
    assert not made.protected and made.summary.startswith("6 of 30 hosts need somebody: ")
    for table in ("jobs", "series"):
        listed = rows(made.document, table)
        assert [row["host"] for row in listed] == sorted(row["host"] for row in listed)
        for row in listed:
            told = json.loads(answers[hosts[row["host"]]["name"]]["text"])
            (own,) = (one for one in told[table] if one["job_id"] == row["job_id"])
            if table == "jobs":
                assert (row["state"], row["reason"]) == (own["state"], "; ".join(own["reasons"]))
            else:
                assert (row["points"], row["bytes"]) == (own["points"], own["bytes"])
    (srv,) = rows(made.document, "uncovered")
    named = {hosts[index]["name"] for index in srv["hosts"]}
    assert (srv["what"], len(named)) == ("/srv", 10)
    assert {hosts[row[0]]["name"] for row in made.document["coming"]["collisions"]["rows"]} == {
        fleet_answers.host_name(number) for number in (1, 11, 21)
    }


def test_runs_are_singly_for_a_fortnight_and_by_the_day_before():
    answer = fleet_answers.status(0, 1, 60)
    given = answer["runs"][0]["rows"]
    given[-2][2] = "aborted"
    (job,) = rows(built({"a": {"text": json.dumps(answer)}}, NOW, 60).document, "jobs")
    starts, results, seconds, sizes = job["recent"]
    assert job["daily"] is not None and len(job["daily"][0]) == 60 - 14
    assert len(starts) == len(results) == 14 and results[-2] == "a"
    at, singly = 0, []
    for step in starts:
        at += step
        singly.append(at)
    assert singly == [row[0] for row in given[-14:]] and seconds == [row[1] for row in given[-14:]]
    for near, row in zip(values(sizes, 3, 1000), given[-14:], strict=True):
        assert near == pytest.approx(row[3] or 0, rel=0.00035)
    first = NOW // DAY - 59
    for row in given[:-14]:
        day = row[0] // DAY - first
        assert job["daily"][0][day] == row[2][0]
        assert values(job["daily"][1])[day] == pytest.approx(row[1], rel=0.0126)
        assert values(job["daily"][2])[day] == pytest.approx(row[3] or 0, rel=0.0126)


def test_several_runs_a_day_become_one_mark():
    answer = fleet_answers.status(0, 1, 60)
    day = (NOW // DAY - 30) * DAY
    often = [[NOW // DAY * DAY - step * 600, 5, "success", 7, None, None] for step in range(2000)]
    answer["runs"][0]["rows"] = [
        [day + 5, 10, "success", 100, None, None],
        [day + 50, 30, "fail", None, None, None],
        [day + DAY, 10, "fail", None, None, None],
        [day + DAY + 9, 10, "fail", None, None, None],
        *often,
    ]
    (job,) = rows(built({"a": {"text": json.dumps(answer)}}, NOW, 60).document, "jobs")
    letters, lengths, sizes = job["daily"]
    place = 60 - 1 - 30
    assert letters[place : place + 3] == "mf." and len(letters) == 60
    assert values(lengths)[place] == pytest.approx(20, rel=0.0126)
    assert values(sizes)[place] == pytest.approx(100, rel=0.0126) and values(sizes)[place + 1] == 0
    assert letters.endswith("..sssssssssssssss") and len(job["recent"][0]) == 30


@pytest.mark.parametrize("value", [1, 2, 3, 59, 61, 10**6, 123456789, 10**13])
def test_few_digits_are_near_enough(value):
    (two,), (three,) = _report_runs.codes([value]), _report_runs.codes([value], 3)
    assert values(two)[0] == pytest.approx(value, rel=0.0126)
    assert values(three, 3, 1000)[0] == pytest.approx(value, rel=0.00035)


def test_few_digits_at_their_ends():
    assert _report_runs.codes([0, None, 0.4, 1]) == ["00", "00", "00", "01"]
    assert _report_runs.codes([2**63 - 1, 10**14]) == ["zz", "zz"]
    assert _report_runs.codes([2**63 - 1, 0], 3) == ["zzz", "000"]


def test_a_session_is_as_good_as_its_worst_host():
    def host(*runs):
        answer = fleet_answers.status(0, 1, 30)
        answer["runs"][0]["rows"] = [
            [NOW - DAY * back, 5, result, 7, NOW - DAY * back, "nightly"] for back, result in runs
        ]
        return {"text": json.dumps(answer)}

    answers = {
        "a": host((3, "success"), (2, "success"), (1, "success")),
        "b": host((3, "success"), (2, "fail")),
    }
    made = built(answers, NOW, 30).document
    assert [(row["result"], row["hosts"], row["missing"]) for row in rows(made, "sessions")] == [
        ("incomplete", 1, 1),
        ("fail", 2, 0),
        ("success", 2, 0),
    ]
    names = [host["name"] for host in rows(made, "hosts")]
    assert rows(made, "sessions")[1]["others"] == [[names.index("b"), "etc", "f"]]


def test_the_week_of_the_whole_fleet():
    coming = built(fleet_answers.answers(30, 5, 30), NOW, 30).document["coming"]
    assert sum(coming["hours"]) == 28 * 5 * 7 and len(coming["hours"]) == 7 * 24
    (change,) = rows({"x": coming["clock_changes"]}, "x")
    assert (change["zone"], change["hosts"], change["runs"]) == ("Europe/Berlin", 28, 28 * 5)
    (shared,) = rows({"x": coming["shared"]}, "x")
    assert (shared["storage"], shared["container"], shared["hosts"]) == ("s3", "backups-eu", 28)
    assert 1 < shared["at_once"] <= coming["peak"]["runs"] <= 28 * 5


def test_runs_that_touch_do_not_meet():
    assert _report_runs._peak([(0, 10), (10, 20), (5, 10)]) == (2, 5)
    assert _report_runs._peak([(3, 3)]) == (0, None)


# -- the report before ----------------------------------------------------------------------------


def ledger(entries, head, **more):
    return changed(ledger={"entries": entries, "head": head, **more})


def grown(digest, renewed=None):
    """Of a host that was asked which digest entry 10 has now."""
    return ledger(5000, "b", entry={"number": 10, "digest": digest}, renewed=renewed)


@pytest.mark.parametrize(
    ("now", "found"),
    [
        (ledger(10, "a"), ""),
        (grown("a"), ""),
        (grown("z"), "its ledger was written anew: entry 10 is another one than it was before"),
        (grown(None), "has no entry 10 any more"),
        (grown("z", "2026-11-24"), "(a new one began on 2026-11-24, after the one before was put"),
        (ledger(1, "b", renewed="2026-11-24"), "has 1 now (a new one began on 2026-11-24"),
        (ledger(9, "a"), "its ledger had 10 entries and has 9 now"),
        (ledger(10, "b"), "the head is another one"),
        (changed(ledger=None), "its ledger had 10 entries and is gone"),
        ({"unreachable": True, "msg": "x"}, ""),
    ],
)
def test_an_edited_history_is_seen_from_outside(now, found):
    first = built({"a": ledger(10, "a")}, NOW - DAY, 30)
    assert first.altered == []
    second = built({"a": now}, NOW, 30, again(first))
    (host,) = rows(second.document, "hosts")
    if not found:
        assert second.altered == [] and host["altered"] is None
        return
    (line,) = second.altered
    assert line.startswith("a: ") and found in line
    assert (second.protected, host["state"], host["problems"][0][0]) == (
        False,
        "not protected",
        "ledger",
    )
    # It does not heal by itself, whatever the ledger says from then on.
    third = built({"a": ledger(50, "c")}, NOW + DAY, 30, again(second))
    assert third.altered == second.altered
    gone = built({"a": changed(ledger=None)}, NOW + DAY, 30, again(third), ["a"])
    assert gone.altered == []
    assert built({"a": changed(ledger=None)}, NOW + DAY, 30, again(gone)).altered == []
    assert built({"a": ledger(1, "x")}, NOW + DAY, 30, again(gone)).altered == []
    accepted = built({"a": ledger(50, "c")}, NOW + DAY, 30, again(third), ["a"])
    assert accepted.altered == [] and accepted.protected
    assert built({"a": ledger(50, "c")}, NOW, 30, again(accepted)).altered == []
    assert len(built({"a": ledger(50, "d")}, NOW, 30, again(accepted)).altered) == 1


@pytest.mark.parametrize("more", [{}, {"entry": {"number": 9, "digest": "a"}}])
def test_a_ledger_that_has_grown_untold_is_a_warning(more):
    first = built({"a": ledger(10, "a")}, NOW - DAY, 30)
    assert _report_before.Previous(again(first)).entries() == {"a": 10}
    second = built({"a": ledger(12, "b", **more)}, NOW, 30, again(first))
    (host,) = rows(second.document, "hosts")
    assert second.altered == [] and host["state"] == "protected"
    severity, about, text, remedy = host["notes"][-1]
    assert (severity, about) == ("warning", "ledger") and "has not told its entry 10" in text
    assert remedy.endswith("coldchain ledger verify --seen 10:a")


def without_a_ledger():
    """The answer of a release that knows none."""
    answer = fleet_answers.status(0, 3, 30)
    del answer["ledger"]
    return {"text": json.dumps(answer)}


def test_a_new_host_has_no_ledger_and_has_lost_none():
    first = built({"a": changed(ledger=None)}, NOW - DAY, 30)
    assert built({"a": changed(ledger=None)}, NOW, 30, again(first)).altered == []


def test_a_ledger_is_remembered_over_nights_without_an_answer():
    report = built({"a": ledger(10, "a"), "b": changed(1)}, NOW, 30)
    for answers in ({"b": changed(1)}, {"a": {"unreachable": True}}, {"a": without_a_ledger()}):
        report = built(answers, NOW, 30, again(report))
        assert report.altered == []
    (host,) = rows(report.document, "hosts")
    assert host["notes"][-1][:2] == ["warning", "ledger"]
    assert len(built({"a": ledger(9, "z")}, NOW, 30, again(report)).altered) == 1


def test_what_was_known_last_of_a_host_stays_until_it_answers():
    answers = fleet_answers.answers(10, 3, 30, NOW - DAY)
    away = next(name for name, answer in answers.items() if "text" in answer)
    report = built(answers, NOW - DAY, 30)
    known = json.loads(answers[away]["text"])
    for nights in range(3):
        report = built(
            {away: {"unreachable": True, "msg": "no route"}}, NOW + nights * DAY, 30, again(report)
        )
        (host,) = rows(report.document, "hosts")
        last = host["last_known"]
        assert (host["time"], last["state"]) == (None, "protected")
        assert last["time"] == _answer.instant(known["time"])
        assert [row[0] for row in last["jobs"]] == [job["job_id"] for job in known["jobs"]]
        assert last["series"][0][2] == _answer.instant(known["series"][0]["newest"])
        others = {host["name"] for host in report.document["not_asked"]}
        assert len(others) == 7 and away not in others
    later = built({away: changed()}, NOW + 91 * DAY, 30, again(report))
    assert (
        later.document["not_asked"] == [] and rows(later.document, "hosts")[0]["last_known"] is None
    )


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "no JSON"),
        ("[" * 100_000, "no JSON"),
        ("[]", "no report"),
        ('{"format": "coldchain-report", "version": 2}', "version 2"),
        ('{"format": "coldchain-report", "version": 1, "time": 1}', "hosts: missing"),
    ],
)
def test_what_is_no_report_is_refused(text, reason):
    with pytest.raises(ValueError, match=reason):
        _report_before.read(text)


@pytest.mark.parametrize("known", [{}, {"time": "yesterday"}])
def test_a_damaged_report_is_refused_or_what_is_damaged_is_left_out(known):
    document = built({"a": changed(), "b": {"unreachable": True}}, NOW, 30).document
    broken = json.loads(json.dumps(document))
    broken["not_asked"].append({"name": "c", "entries": None, "head": None, "last_known": known})
    with pytest.raises(ValueError, match="it is damaged: not_asked"):
        _report_before.read(json.dumps(broken))
    broken = json.loads(json.dumps(document))
    columns, hosts = broken["hosts"]["columns"], broken["hosts"]["rows"]
    next(row for row in hosts if row[0] == "b")[columns.index("last_known")] = known
    broken["jobs"]["rows"].append([["no", "number"]])
    report = built({"a": {"unreachable": True}}, NOW, 30, _report_before.read(json.dumps(broken)))
    (host,) = rows(report.document, "hosts")
    assert host["last_known"]["state"] == "protected"
    assert report.document["not_asked"] == []


# -- hosts that somebody else has taken over ------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "[" * 100_000,
        "null",
        json.dumps({"protected": "yes"}),
        json.dumps({**fleet_answers.status(0, 1, 9), "jobs": {"a": 1}}),
        json.dumps({**fleet_answers.status(0, 1, 9), "jobs": [{"job_id": ["x"], "state": "ok"}]}),
        json.dumps({**fleet_answers.status(0, 1, 9), "ledger": {"head": 1, "entries": "x"}}),
        json.dumps({**fleet_answers.status(0, 1, 9), "ledger": {"head": "", "entries": True}}),
        json.dumps(
            {**fleet_answers.status(0, 1, 9), "series": [{"job_id": "x", "backup_name": None}]}
        ),
        '{"protected": true, "runner": NaN}',
        json.dumps({**fleet_answers.status(0, 1, 9), "ledger": {"head": "", "entries": 10**400}}),
    ],
)
def test_an_answer_of_another_kind_is_a_finding(text):
    made = built({"bad": {"text": text}, "good": changed()}, NOW, 30)
    bad, good = rows(made.document, "hosts")
    assert (bad["name"], bad["state"], good["state"]) == ("bad", "no answer", "protected")
    assert "is no status: " in bad["problems"][0][1]


def test_a_bad_row_hides_no_other_one():
    answer = fleet_answers.status(0, 1, 9)
    good = len(answer["runs"][0]["rows"])
    bad = [None, [], "x", {}, [1e400], [-1, 2, "success"], [NOW, 5, "great", 1, None, None]]
    bad += [[NOW, 5, "success", "large", None, None], [NOW, 10**30, "success", 1, None, None]]
    bad += [[True, 5, "fail", 1, None, None], [NOW, 5, ["fail"], 1, None, None]]
    answer["runs"][0]["rows"] += bad
    answer["coming"]["jobs"][0]["rows"] += [None, {}, ["x"], [10**400], [-5]]
    made = built({"a": {"text": json.dumps(answer)}}, NOW, 30).document
    assert made["fleet"]["unread_runs"] == len(bad)
    assert len(rows(made, "jobs")[0]["recent"][0]) == good
    assert len(rows(made, "jobs")[0]["coming"]) == 7


EVIL = "</script><img src=x onerror=alert(1)>\u202e\u2028&amp;\x00'\"\ud800"


def test_what_hosts_say_stays_text():
    answer = json.loads(
        json.dumps(fleet_answers.status(3, 1, 9)).replace("etc", "X").replace("/srv", "X")
    )
    answer = json.loads(
        json.dumps(answer).replace('"X"', json.dumps(EVIL)).replace("its last", "</script>")
    )
    report = built({EVIL: {"text": json.dumps(answer)}}, NOW, 30)
    text = json.dumps(report.document, separators=(",", ":"))
    page = _report_page.page(report.document, text)
    page.encode()
    assert page.count("</script>") == 2 and "<img" not in page
    (data,) = re.findall(r'<script type="application/json" id="data">(.*)</script>', page)
    assert json.loads(data) == report.document
    (shown,) = {host["name"] for host in rows(report.document, "hosts")}
    assert shown.startswith("</script><img") and not _answer.UNSEEN.search(shown)
    assert "default-src 'none'; script-src 'sha256-" in page
    # Nothing of it may look like a place of the skeleton.
    again = built({"@DATA@": changed(), "@SUMMARY@": {"msg": "@SCRIPT@"}}, NOW, 30).document
    page = _report_page.page(again, json.dumps(again))
    assert page.count("@DATA@") >= 1 and page.count("Copyright") == 3


def test_long_texts_are_cut():
    made = built({"a": {"msg": "x" * 10**6}, "b" * 1000: {}}, NOW, 30)
    assert len(json.dumps(made.document)) < 10_000

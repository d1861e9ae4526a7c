# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts that somebody has taken over answer anything: they take no room of the others, and what is
left out is said."""

from __future__ import annotations

import copy
import json
import random

import fleet_answers
import pytest
from ansible_collections.coldchain.freezer.plugins.plugin_utils import (
    _answer,
    _fleet,
    _report,
    _report_page,
)
from fleet_answers import COLUMNS, DAY, NOW

GOOD = {
    f"good{number}": {"text": json.dumps(fleet_answers.status(number, 3, 30))}
    for number in range(5)
}
EVIL = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\u202e\x1b[31m\x00"
DEEP = json.loads("[" * 150 + "]" * 150)
MOST_ROOM = 800_000  # characters that one host adds to the report, whatever it says
SCALARS = [
    *(None, True, False, 0, -1, 1, 2**53, 2**63, 10**30, -(10**30), 1e308, float("nan"), 0.5),
    *("", EVIL, "x" * 100_000, "9999-12-31T23:59:59+00:00", "0001-01-01T00:00:00+00:00", "true"),
    *(
        float("inf"),
        [],
        {},
        DEEP,
        [None] * 1000,
        {EVIL: EVIL},
        [[]],
        ["a", 1],
        NOW,
        NOW + 900 * DAY,
    ),
]


def status(number=0):
    """Of its own: what is altered in it is altered in no other one."""
    return json.loads(json.dumps(fleet_answers.status(number, 3, 30)))


def places(value, place=()):
    """Every place in a value, the value itself left out."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, item in items:
        yield (*place, key)
        if isinstance(item, (dict, list)):
            yield from places(item, (*place, key))


def altered(seed):
    """The answer of a host with some of it replaced, doubled a thousand times, or missing."""
    chance = random.Random(seed)
    answer = status(seed % 40)
    for _unused in range(chance.randrange(1, 5)):
        every = list(places(answer))
        place = chance.choice(every)
        holder = answer
        for step in place[:-1]:
            holder = holder[step]
        what = chance.random()
        if what < 0.2 and isinstance(holder, dict):
            del holder[place[-1]]
        elif what < 0.35 and isinstance(holder, list):
            holder[:] = holder * (3000 // len(holder))
        else:
            holder[place[-1]] = copy.deepcopy(chance.choice(SCALARS))
    return answer


def rows_of(document, name, table):
    """The rows of a host, without its number."""
    columns = document["hosts"]["columns"].index("name")
    index = [row[columns] for row in document["hosts"]["rows"]].index(name)
    if table == "hosts":
        return document["hosts"]["rows"][index]
    return [row[1:] for row in document[table]["rows"] if row[0] == index]


def made_of(answers):
    """The document, once it is known to be JSON, and a page in which nothing of it is markup."""
    document = _report.build(answers, NOW, 30).document
    text = json.dumps(document, separators=(",", ":"), allow_nan=False)
    page = _report_page.page(document, text)
    page.encode()
    assert page.count("</script>") == 2
    assert "<img" not in page
    assert "\x1b" not in text
    return document, len(text)


ALONE, ROOM = made_of(GOOD)


def check(hostile):
    """What a hostile host cannot do. Returns its row, and what it says in notes and problems."""
    document, room = made_of({**GOOD, "hostile": hostile})
    assert room - ROOM < MOST_ROOM
    for name in GOOD:
        for table in ("hosts", "jobs", "series"):
            assert rows_of(document, name, table) == rows_of(ALONE, name, table)
    look = _fleet.overview({**GOOD, "hostile": hostile})
    assert len(look["table"]) < 300
    assert all(len(line) < 1000 for line in look["table"])
    row = dict(zip(document["hosts"]["columns"], rows_of(document, "hostile", "hosts")))
    return row, json.dumps([row["problems"], row["notes"]])


@pytest.mark.parametrize("block", range(4))
def test_whatever_a_host_answers_the_others_are_told_as_ever(block):
    states = set()
    for seed in range(block * 50, block * 50 + 50):
        # As text, as status_info gives it, and as Ansible reads it.
        answer = altered(seed)
        states.add(check({"text": json.dumps(answer)})[0]["state"])
        states.add(check(answer)[0]["state"])
    assert {"no answer", "protected"} <= states, "neither all nor none is refused"


JOB, SERIES = status()["jobs"][0], status()["series"][0]
WIDE = {
    "jobs": [{**JOB, "job_id": f"j{number}", "reasons": ["x" * 400]} for number in range(4000)],
    "series": [{**SERIES, "storage": "s3", "container": f"c{number}"} for number in range(4000)],
    "uncovered": [{"kind": "path", "what": f"/{number}", "why": EVIL} for number in range(4000)],
    "findings": [
        {"severity": "critical", "about": f"a{number}", "text": "t" * 700, "remedy": EVIL}
        for number in range(4000)
    ],
    "runs": [
        {
            "job_id": JOB["job_id"],
            "columns": COLUMNS,
            "rows": [
                [NOW - 200_000 + number, 1, "success", 5, NOW - number, f"s{number}"]
                for number in range(150_000)
            ],
        }
    ],
}


@pytest.mark.parametrize("name", WIDE)
def test_what_is_too_much_is_left_out_and_said(name):
    row, told = check({"text": json.dumps({**status(), name: WIDE[name], "protected": False})})
    count = sum(len(each.get("rows", "x")) for each in WIDE[name])
    kind = "runs" if name == "runs" else name
    assert f"of {count} {kind}" in told
    assert "is left out of it" in told
    assert row["state"] == "not protected"


def test_what_needs_somebody_is_left_out_last():
    jobs = [{**JOB, "job_id": f"j{number}"} for number in range(2000)]
    jobs[1900]["state"] = "failed"
    findings = [
        {"severity": "info", "about": "x", "text": "x", "remedy": ""} for _unused in range(2000)
    ]
    findings.append({"severity": "critical", "about": "job j1900", "text": "it", "remedy": ""})
    answer = {**status(), "jobs": jobs, "findings": findings, "protected": False}
    document, _room = made_of({"a": answer})
    assert [row[1] for row in document["jobs"]["rows"] if row[2] == "failed"] == ["j1900"]
    (problem,) = rows_of(document, "a", "hosts")[document["hosts"]["columns"].index("problems")]
    assert problem[:2] == ["job j1900", "it"]


def test_an_answer_that_is_too_long_to_be_read_is_a_finding():
    text = '{"protected": "' + "x" * _answer.MOST_TEXT + '"}'
    row, told = check({"text": text})
    assert row["state"] == "no answer"
    assert "16 MB are too much to be read" in told


def test_sessions_of_the_future_hide_none_of_today():
    answer = status()
    rows = [
        [NOW - 60 - number, 5, "success", 1, NOW + (2 + number) * DAY, "x"] for number in range(500)
    ]
    answer["runs"][0]["rows"] = rows
    document, _room = made_of({**fleet_answers.answers(12, 5, 20), "hostile": answer})
    assert {row[0] for row in document["sessions"]["rows"]} == {"nightly"}

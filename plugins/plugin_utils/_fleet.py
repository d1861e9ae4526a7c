# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: may change in any release.

"""A fleet at a glance, from what module status_info has answered for each host. Pure but for the clock."""

from __future__ import annotations

import datetime
import re
import typing as t
from xml.sax.saxutils import escape, quoteattr

from ansible_collections.coldchain.freezer.plugins.plugin_utils._answer import (
    Answer,
    clean,
    status_of,
)

# From the worst on; what a host is, in words.
UNREACHABLE, NO_ANSWER, NO_RUNNER, UNPROTECTED, PROTECTED = STATES = (
    "unreachable",
    "no answer",
    "no runner",
    "not protected",
    "protected",
)
HEADS = ("HOST", "STATE", "JOBS", "WHAT NEEDS SOMEBODY")
MOST_WARNINGS = 3  # of a host in the table; the JSON has all
LONGEST = 160  # characters of a line's text; the JSON has all of it
# What XML 1.0 cannot hold.
NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class Host(t.NamedTuple):
    """One host of the fleet.

    name: in the inventory; state: one of STATES; problems: ``{"about", "text", "remedy"}``, what needs somebody; status: what
    the host has answered, None when it has not.
    """

    name: str
    state: str
    problems: list[dict[str, str]]
    status: dict[str, t.Any] | None

    @property
    def need(self) -> tuple[int, int, str]:
        """The smaller, the more it needs somebody."""
        return STATES.index(self.state), -len(self.problems), self.name

    @property
    def jobs(self) -> str:
        """How many of its jobs need nobody, of how many."""
        if self.status is None:
            return "-"
        needing = {problem["about"] for problem in self.problems}
        names = [job["job_id"] for job in self.status["jobs"]]
        return f"{sum(f'job {name}' not in needing for name in names)}/{len(names)}"

    def as_dict(self) -> dict[str, t.Any]:
        """The JSON form."""
        return {
            "host": self.name,
            "state": self.state,
            "problems": self.problems,
            "status": self.status,
        }


def host_of(name: str, answer: Answer) -> Host:
    """What the registered result of status_info says of a host."""
    if answer.get("unreachable"):
        return Host(name, UNREACHABLE, [_problem(answer)], None)
    try:
        status = status_of(answer)
    except ValueError as error:
        text = f"what it has answered is no status: {error}"
        return Host(name, NO_ANSWER, [_problem({"msg": text})], None)
    if status is None:
        return Host(name, NO_ANSWER, [_problem(answer)], None)
    problems = [
        {key: finding[key] for key in ("about", "text", "remedy")}
        for finding in status["findings"]
        if finding["severity"] == "critical"
    ]
    if status["protected"]:
        return Host(name, PROTECTED, [], status)
    if not status["runner"]["alive"]:
        return Host(name, NO_RUNNER, problems or [_problem(answer)], status)
    return Host(name, UNPROTECTED, problems, status)


def _problem(answer: Answer) -> dict[str, str]:
    text = str(answer.get("msg") or "the host was not asked").strip()
    return {"about": "host", "text": text, "remedy": ""}


def fleet(answers: t.Mapping[str, Answer]) -> list[Host]:
    """The hosts, worst first."""
    hosts = [host_of(name, answer) for name, answer in answers.items()]
    return sorted(hosts, key=lambda host: host.need)


def table(hosts: t.Sequence[Host]) -> list[str]:
    """A line for each host, and for each thing of it that needs somebody or is a warning."""
    rows = [HEADS]
    for host in hosts:
        idle = host.status is not None and not host.status["jobs"]
        lines = [_line(problem) for problem in host.problems]
        lines += _warnings(host)
        lines = lines or ["(no job)" if idle else ""]
        rows.append((host.name, host.state, host.jobs, lines[0]))
        rows += [("", "", "", line) for line in lines[1:]]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADS) - 1)]
    return [
        "  ".join([*(text.ljust(width) for text, width in zip(row, widths)), row[-1]]).rstrip()
        for row in rows
    ]


def _warnings(host: Host) -> list[str]:
    """The first things that somebody should know although the host is protected."""
    findings = [] if host.status is None else host.status["findings"]
    warnings = [finding for finding in findings if finding["severity"] == "warning"]
    lines = [f"warning: {_line(finding)}" for finding in warnings]
    more = f"and {len(lines) - MOST_WARNINGS} more warnings (coldchain status shows them there)"
    return [*lines[:MOST_WARNINGS], more] if len(lines) > MOST_WARNINGS + 1 else lines


def _line(problem: t.Mapping[str, str]) -> str:
    text = " ".join(problem["text"].split())
    if problem["about"] != "host":
        text = f"{problem['about']}: {text}"
    return clean(text, LONGEST)


def summary(hosts: t.Sequence[Host]) -> str:
    """How many hosts need somebody, and which."""
    needing = [host.name for host in hosts if host.state != PROTECTED]
    if not needing:
        return f"{len(hosts)} of {len(hosts)} hosts are protected"
    names = ", ".join(needing[:10]) + (f" and {len(needing) - 10} more" if needing[10:] else "")
    return f"{len(needing)} of {len(hosts)} hosts need somebody: {names}"


def junit(hosts: t.Sequence[Host]) -> str:
    """JUnit's XML: a suite for each host, a case for its runner, each job and each backup."""
    suites = []
    for host in hosts:
        problems = {problem["about"]: problem for problem in host.problems}
        names = ["host"]
        if host.status is not None:
            names += ["runner", *(f"job {job['job_id']}" for job in host.status["jobs"])]
            names += [f"backup {series['backup_name']}" for series in host.status["series"]]
        names = list(dict.fromkeys([*names, *problems]))
        cases = "".join(_case(host.name, name, problems.get(name)) for name in names)
        count = f'tests="{len(names)}" failures="{len(problems)}"'
        suites.append(f"  <testsuite name={_quoted(host.name)} {count}>\n{cases}  </testsuite>\n")
    return f'<?xml version="1.0" encoding="utf-8"?>\n<testsuites>\n{"".join(suites)}</testsuites>\n'


def _case(host: str, name: str, problem: t.Mapping[str, str] | None) -> str:
    head = f"    <testcase classname={_quoted(host)} name={_quoted(name)}"
    if problem is None:
        return f"{head}/>\n"
    text = escape(NOT_XML.sub("?", "\n".join(filter(None, (problem["text"], problem["remedy"])))))
    return (
        f"{head}>\n      <failure message={_quoted(problem['text'])}>{text}</failure>\n"
        "    </testcase>\n"
    )


def _quoted(text: str) -> str:
    return quoteattr(NOT_XML.sub("?", text))


def overview(answers: t.Mapping[str, Answer]) -> dict[str, t.Any]:
    """Everything at once, as the filter returns it."""
    hosts = fleet(answers)
    protected = all(host.state == PROTECTED for host in hosts)
    now = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)
    return {
        "protected": protected,
        "summary": summary(hosts),
        "table": table(hosts),
        "json": {
            "time": now.isoformat(),
            "protected": protected,
            "hosts": [host.as_dict() for host in hosts],
        },
        "junit": junit(hosts),
    }

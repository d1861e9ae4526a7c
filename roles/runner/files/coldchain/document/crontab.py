# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the lines of a crontab to job documents, as Debian's cron and cronie read them.  Pure."""

from __future__ import annotations

import hashlib
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from coldchain.core.errors import Problem
from coldchain.core.text import printable
from coldchain.document.sanity import LONGEST_TEXT
from coldchain.schedule.cron import MONTHS, WEEKDAYS

_NICKNAMES = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_LIMITS = {"minute": (0, 59), "hour": (0, 23), "day": (1, 31), "month": (1, 12), "weekday": (0, 7)}
# cron counts from Sunday, which is 0 and 7; here 0 is Monday.
_NAMES = {"month": ("", *MONTHS), "weekday": (WEEKDAYS[6], *WEEKDAYS[:6])}
_VARIABLE = re.compile(r"(\"[^\"]+\"|'[^']+'|[A-Za-z_]\w*)\s*=\s*(.*)", re.ASCII)
_TERM = re.compile(r"(?:(\*)|(\w+)(?:-(\w+))?)(?:/(\d{1,4}))?", re.ASCII)
#: What a shell would act upon; a command without any of it is a list of arguments.
_SHELL_SIGN = re.compile(r"[|&;<>()$`\\*?\[\]{}!\n]|(?:^|\s)[~#]")
_SHELL_WORDS = ("cd", ".", ":", "source", "exec", "export", "eval", "set", "umask", "ulimit", "if",
                "for", "while", "case", "command", "trap", "wait")  # fmt: skip
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=", re.ASCII)
_WRAPPERS = ("nice", "ionice", "nohup", "chronic", "env", "time", "setsid", "exec", "sudo")
_INTERPRETERS = ("sh", "bash", "dash", "zsh", "ksh", "python3", "python", "perl", "php", "ruby")
#: Variables that speak to cron, and not to the command.
_OF_CRON = ("MAILTO", "MAILFROM", "CONTENT_TYPE", "CONTENT_TRANSFER_ENCODING", "CRON_TZ",
            "RANDOM_DELAY", "START_HOURS_RANGE", "SHELL", "LOGNAME", "USER")  # fmt: skip
#: Those of them that no document has.
_TO_NOBODY = frozenset(_OF_CRON) - {"CRON_TZ", "SHELL"}


@dataclass(frozen=True)
class CrontabEntry:
    """What became of one line of a crontab.

    number: of the line, from 1; name: what its job may be called; mark: tells it from another of
    the same name, and stays the same as long as the line does; document: the job without job_id,
    None where the line cannot be one, and then *skipped* says why; notes: what means something else
    than it did in cron, each with its place in the document.
    """

    number: int
    name: str = ""
    mark: str = ""
    document: dict[str, Any] | None = None
    skipped: str = ""
    notes: list[Problem] = field(default_factory=list)


class _Refused(ValueError):
    """A line that has no counterpart here, or that cron would not take either."""


def read_crontab(text: str, *, system: bool) -> list[CrontabEntry]:
    """The entries of a crontab, in their order; empty lines, comments and variables are none.

    text: bytes that are not UTF-8 are halves of surrogate pairs; system: its lines name a user
    before the command, as in /etc/crontab and /etc/cron.d.
    """
    variables: dict[str, str] = {}
    entries: list[CrontabEntry] = []
    for number, raw in enumerate(text.lstrip("\ufeff").split("\n"), 1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        variable = _VARIABLE.fullmatch(line)
        if variable is not None:
            variables[_unquoted(variable[1])] = _unquoted(variable[2])
            continue
        try:
            entries.append(_entry(number, line, variables, system))
        except _Refused as error:
            entries.append(CrontabEntry(number, skipped=str(error)))
    return entries


def _entry(number: int, line: str, variables: Mapping[str, str], system: bool) -> CrontabEntry:
    notes: list[Problem] = []
    if len(line) > LONGEST_TEXT:
        raise _Refused(f"it has more than {LONGEST_TEXT} characters")
    if _is_odd(line):
        raise _Refused("it is not in UTF-8, which documents are in")
    for name, value in variables.items():
        if _is_odd(name + value) and name not in _TO_NOBODY:
            raise _Refused(
                f"its variable {printable(name)} is not in UTF-8, which documents are in"
            )
    # SUSE's cron does not log a line that begins with a dash.
    schedule, rest = _schedule(line.lstrip("-"), notes)
    user = ""
    if system:
        user, rest = _first_word(rest)
    if not rest:
        raise _Refused("there is no command")
    command, data = _split_input(rest)
    if not command:
        raise _Refused("there is no command")
    action = _action(command, data, user, variables)
    _add_variables(schedule, variables, notes)
    _add_notes(command, variables, notes)
    document: dict[str, Any] = {
        "description": f"from a crontab: {line}"[:500],
        "job_actions": [{"freezer_action": action}],
        "job_schedule": schedule,
    }
    mark = hashlib.sha256(line.encode("utf-8", "surrogateescape")).hexdigest()[:6]
    return CrontabEntry(number, _name(command), mark, document, notes=notes)


# -- when ----------------------------------------------------------------------------------------


def _schedule(line: str, notes: list[Problem]) -> tuple[dict[str, Any], str]:
    """The job_schedule of a line, and what follows its five fields or nickname."""
    first, rest = _first_word(line)
    if first.startswith("@"):
        if first.lower() == "@reboot":
            return {"schedule_boot": True}, rest
        spec = _NICKNAMES.get(first.lower())
        if spec is None:
            raise _Refused(f"{first} has no counterpart here")
        return _cron_fields(spec.split(), notes), rest
    words = []
    rest = line
    for _field in _LIMITS:
        word, rest = _first_word(rest)
        words.append(word)
    if not rest:
        raise _Refused("it is neither a variable nor five fields and a command")
    return _cron_fields(words, notes), rest


def _cron_fields(words: list[str], notes: list[Problem]) -> dict[str, Any]:
    values = {name: _values(name, word) for name, word in zip(_LIMITS, words)}
    texts = dict(zip(_LIMITS, words))
    schedule: dict[str, Any] = {"schedule_minute": _text("minute", texts, values)}
    if texts["hour"] != "*":
        schedule["schedule_hour"] = _text("hour", texts, values)
    if len(values["month"]) < 12:
        schedule["schedule_month"] = _text("month", texts, values)
    weekdays = sorted({(number - 1) % 7 for number in values["weekday"]})
    names = _spans([WEEKDAYS[number] for number in weekdays], weekdays)
    every_day, every_weekday = len(values["day"]) == 31, len(weekdays) == 7
    # A field that begins with a star restricts together with the other one; two that do not begin
    # with one are alternatives (crontab(5): "the command will be run when either field matches").
    if texts["day"].startswith("*") or texts["weekday"].startswith("*"):
        if not every_day:
            schedule["schedule_day"] = _text("day", texts, values)
        if not every_weekday:
            schedule["schedule_day_of_week"] = names
    elif not every_day and not every_weekday:
        schedule["schedule_day"] = f"{_text('day', texts, values)},{names}"
        notes.append(
            Problem(
                "$.job_schedule.schedule_day",
                "in cron a day of the month and a weekday are alternatives",
                "weekdays in schedule_day say just that; schedule_day_of_week would restrict it",
            )
        )
    for name in ("minute", "hour"):
        # In cron a star decides that the job keeps its pace when the clock changes; it is gone
        # where the values had to be listed.
        text = schedule.get(f"schedule_{name}", "*")
        if texts[name].startswith("*") and "*" not in text:
            schedule["dst"] = {"gap": "skip", "overlap": "both"}
    return schedule


def _values(name: str, text: str) -> set[int]:
    """The numbers that a field of cron names."""
    low, high = _LIMITS[name]
    numbers: set[int] = set()
    for term in text.lower().split(","):
        match = _TERM.fullmatch(term)
        if match is None:
            raise _Refused(f"{name} {text}: {term or 'an empty part'} is not understood")
        star, first, last, step = match.groups()
        stride = int(step) if step is not None else 1
        start = low if star else _number(name, text, first)
        end = high if star else _number(name, text, last) if last else start
        if step is not None and not star and not last:
            raise _Refused(
                f"{name} {text}: what a step after a single number means differs between crons;"
                f" write {first}-{high}/{step} or {first}"
            )
        if stride == 0 or start > end:
            raise _Refused(f"{name} {text}: {term} names nothing")
        numbers.update(range(start, end + 1, stride))
    return numbers


def _number(name: str, text: str, word: str) -> int:
    low, high = _LIMITS[name]
    names = _NAMES.get(name, ())
    if word[:3] in names and word.isalpha():
        return names.index(word[:3])
    if not word.isdigit() or len(word) > 4 or not low <= int(word) <= high:
        raise _Refused(f"{name} {text}: {word} is not from {low} to {high}")
    return int(word)


def _text(name: str, texts: Mapping[str, str], values: Mapping[str, set[int]]) -> str:
    """A field as schedule_NAME takes it: as it was written wherever that means the same."""
    text = texts[name].lower()
    low, high = _LIMITS[name]
    strides = [int(step) for step in re.findall(r"/(\d+)", text)]
    if all(stride <= high - low for stride in strides) and not re.search(r"[a-z]{4}|-\d+/", text):
        return text
    return ",".join(str(number) for number in sorted(values[name]))


def _spans(names: list[str], numbers: list[int]) -> str:
    """mon-fri or mon,wed: ascending weekdays, three or more in a row drawn together."""
    parts: list[str] = []
    start = 0
    for index in range(1, len(numbers) + 1):
        if index < len(numbers) and numbers[index] == numbers[index - 1] + 1:
            continue
        run = names[start:index]
        parts += [f"{run[0]}-{run[-1]}"] if len(run) > 2 else run
        start = index
    return ",".join(parts)


# -- what ----------------------------------------------------------------------------------------


def _action(
    command: str, data: str | None, user: str, variables: Mapping[str, str]
) -> dict[str, Any]:
    action: dict[str, Any] = {"action": "exec"}
    shell = variables.get("SHELL", "/bin/sh")
    if data is not None:
        command = f"printf '%s\\n' {shlex.quote(data)} | {{\n{command}\n}}"
    if not _needs_shell(command):
        action["command"] = shlex.split(command)
    elif shell in ("/bin/sh", "/usr/bin/sh"):
        action["command"] = command
        action["shell"] = True
    else:
        action["command"] = [shell, "-c", command]
    if user:
        action["user"] = user
    environment = {name: value for name, value in variables.items() if name not in _OF_CRON}
    if environment:
        action["environment"] = environment
    return action


def _needs_shell(command: str) -> bool:
    if _SHELL_SIGN.search(command):
        return True
    try:
        words = shlex.split(command)
    except ValueError:  # an open quote: the shell's own complaint is the honest one
        return True
    return not words or words[0] in _SHELL_WORDS or _ASSIGNMENT.match(words[0]) is not None


def _split_input(text: str) -> tuple[str, str | None]:
    """The command and its standard input, without the end of its last line, None when there is
    none: the first % begins that, further ones are new lines."""
    parts = re.split(r"(?<!\\)%", text)
    command, *lines = (part.replace("\\%", "%") for part in parts)
    # cron ends the input with a line's end unless it has one, and writes nothing for nothing.
    data = "\n".join(lines)
    if not data:
        return command.strip(), None
    return command.strip(), data[:-1] if data.endswith("\n") else data


def _add_variables(
    schedule: dict[str, Any], variables: Mapping[str, str], notes: list[Problem]
) -> None:
    if variables.get("CRON_TZ"):
        schedule["schedule_timezone"] = variables["CRON_TZ"]
    delay = variables.get("RANDOM_DELAY", "")
    if delay.isdigit() and 0 < int(delay) <= 1440:
        schedule["schedule_splay"] = f"{int(delay)} minutes"
        notes.append(
            Problem(
                "$.job_schedule.schedule_splay",
                "RANDOM_DELAY is another one at each run, the splay of a job is always the same",
            )
        )


def _add_notes(command: str, variables: Mapping[str, str], notes: list[Problem]) -> None:
    place = "$.job_actions[0].freezer_action"
    if variables.get("MAILTO"):
        reader = printable(variables["MAILTO"])
        notes.append(
            Problem(
                place,
                f"cron mails its output to {reader}, which is not done here",
                "coldchain log shows it; failed runs are seen in coldchain list",
            )
        )
    if re.search(r"(?:^|\s)\.{1,2}/", command):
        notes.append(
            Problem(
                f"{place}.command",
                "cron runs it in the home directory of its user, and a path in it is relative",
                "name that directory in working_directory, or write the whole path",
            )
        )


# -- names ---------------------------------------------------------------------------------------


def _name(command: str) -> str:
    """What the job of *command* may be called: the program that it is about."""
    for word in _programs(command):
        name = re.sub(r"[^A-Za-z0-9_.-]+", "-", word.rsplit("/", 1)[-1]).strip("-.")
        name = re.sub(r"\.(?:sh|py|pl|rb)$", "", name)
        if name:
            return name[:60]
    return "command"


def _programs(command: str) -> Iterator[str]:
    """The words that name programs, those that only lead to another one left out."""
    for part in re.split(r"&&|\|\||[;|&\n(){}]", command):
        try:
            words = shlex.split(part)
        except ValueError:
            words = part.split()
        while words and (
            _ASSIGNMENT.match(words[0])
            or words[0].startswith("-")
            or words[0].isdigit()
            or words[0].rsplit("/", 1)[-1] in _WRAPPERS
        ):
            words.pop(0)
        if not words or words[0] in ("cd", "test", "[", "set", "export", "umask", ":", "printf"):
            continue
        base = words[0].rsplit("/", 1)[-1]
        scripts = [word for word in words[1:] if not word.startswith("-")]
        yield (
            scripts[0] if base in _INTERPRETERS and scripts and " " not in scripts[0] else words[0]
        )


def _is_odd(text: str) -> bool:
    """Are there bytes in it that are not UTF-8?"""
    return any("\ud800" <= sign <= "\udfff" for sign in text)


def _first_word(text: str) -> tuple[str, str]:
    word, _unused, rest = text.strip().replace("\t", " ").partition(" ")
    return word, rest.strip()


def _unquoted(text: str) -> str:
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'" else text

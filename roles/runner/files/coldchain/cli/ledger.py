# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command ledger: who did what on this host, and is that record whole?"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator, Mapping
from datetime import MAXYEAR, datetime
from typing import Any

from coldchain.cli.arguments import instant_text
from coldchain.cli.context import Call
from coldchain.cli.output import instant
from coldchain.cli.preview import instant_of
from coldchain.core.digest import sha256_hex
from coldchain.core.errors import ColdchainError, JobFailed, UsageError
from coldchain.core.text import pluralize
from coldchain.observe.ledger.check import LedgerVerdict, verify
from coldchain.observe.ledger.reading import entries
from coldchain.observe.ledger.renewal import renew
from coldchain.observe.ledger.writer import Ledger

_SEEN = re.compile(r"([0-9]{1,15}):([0-9a-f]{64})")


def add_arguments(command: argparse.ArgumentParser) -> None:
    """The arguments of the command."""
    command.add_argument(
        "what",
        metavar="verify|export|renew",
        nargs="?",
        choices=("verify", "export", "renew"),
        help="check that nothing was altered; print all entries and the head as JSON lines; put the"
        " ledger aside and begin another one",
    )
    command.add_argument(
        "--since", metavar="INSTANT", type=instant_text, help="only the entries from then on"
    )
    command.add_argument(
        "--seen",
        metavar="N:DIGEST",
        type=_seen,
        help="with verify: entry N had this digest once (entries and head of an earlier status)",
    )


def _seen(text: str) -> tuple[int, str]:
    match = _SEEN.fullmatch(text)
    if match is None:
        raise argparse.ArgumentTypeError(
            f"{text[:100]!r} is no entry and its digest: write NUMBER:64_HEXADECIMAL_DIGITS, as"
            " coldchain status --json tells them"
        )
    return int(match[1]), match[2]


def run(call: Call) -> int:
    """Show the entries, print them for machines, or check them: 1 when something was altered."""
    arguments = call.arguments
    if arguments.since is not None and arguments.what is not None:
        raise UsageError(f"--since is not for {arguments.what}", "it needs every entry")
    if arguments.seen is not None and arguments.what != "verify":
        raise UsageError("--seen is for verify", "coldchain ledger verify --seen N:DIGEST")
    ledger = Ledger(call.paths.lib, call.store.ledger_entries)
    if arguments.what == "verify":
        return _verify(call, ledger)
    if arguments.what == "export":
        return _export(call, ledger)
    if arguments.what == "renew":
        return _renew(call, ledger)
    return _show(call, ledger)


def _verify(call: Call, ledger: Ledger) -> int:
    verdict = verify(ledger, call.arguments.seen)
    if call.output.json:
        call.output.answer(verdict.as_dict())
    else:
        _tell(call, verdict)
    return 0 if verdict.ok else JobFailed.exit_code


def _tell(call: Call, verdict: LedgerVerdict) -> None:
    line = call.output.line
    for problem in verdict.problems:
        line(f"altered: {problem}", "bad")
    for note in verdict.notes:
        line(f"note: {note}")
    if not verdict.ok:
        line(f"the ledger of {pluralize(verdict.entries, 'entry')} was ALTERED", "bad")
    elif verdict.head is None:
        line("the ledger has no entry yet")
    else:
        line(f"{pluralize(verdict.entries, 'entry')}, all as they were written", "good")
        line(f"head {verdict.head}")


def _export(call: Call, ledger: Ledger) -> int:
    """Every line as it is, and as the last one {"head": {...}}, which is that of the last one
    before it: what is not counted yet may be written anew after a power cut."""
    try:
        head = ledger.head()
    except (ValueError, ColdchainError):
        head = None
    for line, _unused in entries(ledger):
        sys.stdout.write(line.decode("ascii", "backslashreplace") + "\n")
        if head is not None and sha256_hex(line) == head.digest:
            break
    call.output.answer({"head": None if head is None else head._asdict()})
    return 0


def _renew(call: Call, ledger: Ledger) -> int:
    place, head = renew(ledger)
    if call.output.json:
        aside = None if place is None else str(place)
        call.output.answer({"entries": head.entries, "head": head.digest, "aside": aside})
    else:
        before = "there was none before" if place is None else f"the one before is {place}"
        call.output.line(f"a new ledger begins; {before}")
    return 0


def _show(call: Call, ledger: Ledger) -> int:
    asked = call.arguments.since
    since = None if asked is None else instant_of(call, asked)
    chosen = _chosen(ledger, since)
    if call.output.json:
        call.output.answer({"entries": list(chosen)})
        return 0
    for entry in chosen:
        when = _time_of(entry)
        moment = instant(when, call.settings.zone) if when is not None else "?"
        call.output.line(f"{moment}  {_who(entry)}  {describe(entry)}")
    return 0


def _chosen(ledger: Ledger, since: datetime | None) -> Iterator[dict[str, Any]]:
    for _unused, entry in entries(ledger):
        when = _time_of(entry)
        if since is None or when is None or when >= since:
            yield entry


def _time_of(entry: Mapping[str, Any]) -> datetime | None:
    """When an entry was written; None for a time that is not one of ours, as it was altered."""
    try:
        when = datetime.fromisoformat(entry["time"])
    except (KeyError, TypeError, ValueError):
        return None
    # Without an offset it compares with none, and at either end no zone can tell it.
    return when if when.tzinfo is not None and 1 < when.year < MAXYEAR else None


def _who(entry: Mapping[str, Any]) -> str:
    who = entry.get("who")
    if not isinstance(who, dict):
        return "?"
    user = str(who.get("user") or f"user id {who.get('uid')}")
    return f"{who['sudo']} ({user})" if who.get("sudo") else user


def describe(entry: Mapping[str, Any]) -> str:
    """What an entry says, in a line for people; an altered one may say anything."""
    what, job = str(entry.get("what")), str(entry.get("job_id", ""))
    if what == "apply":
        jobs = entry.get("jobs")
        done = jobs if isinstance(jobs, list) else []
        names = [f"{x.get('job_id')} {x.get('change')}" for x in done if isinstance(x, dict)]
        return f"apply: {', '.join(names)}"
    if what == "event":
        return f"event: {entry.get('event')} {job}"
    if what == "run":
        return f"run: {job} {entry.get('result')}{_of_actions(entry)}"
    if what in ("restore", "verify", "agent"):
        about = entry.get("backup_name") or entry.get("container") or entry.get("job_id") or ""
        target = f" to {entry['restore_abs_path']}" if entry.get("restore_abs_path") else ""
        name = f"agent: {entry.get('action')}" if what == "agent" else what
        result = str(entry.get("result", ""))
        return f"{name}: " + " ".join(filter(None, (f"{about}{target}", result)))
    return f"{what}: {entry.get('text', entry.get('did', ''))}"


def _of_actions(entry: Mapping[str, Any]) -> str:
    told = []
    actions = entry.get("actions")
    for action in actions if isinstance(actions, list) else []:
        digest = str(action.get("manifest_sha256", ""))[:12] if isinstance(action, dict) else ""
        if digest:
            told.append(f"stored {action.get('backup_name')} {digest}")
    return f" ({', '.join(told)})" if told else ""

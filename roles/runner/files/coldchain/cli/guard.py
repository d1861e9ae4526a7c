# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command guard: what of a job's runs is not like those before, told from its history again."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from coldchain.cli.context import Call
from coldchain.cli.job_view import moment_of, require_known
from coldchain.cli.output import instant
from coldchain.core.text import pluralize
from coldchain.observe import guard
from coldchain.observe.comparison import Verdict
from coldchain.store import Run

_ALL = 1 << 30


def add_arguments(command: argparse.ArgumentParser) -> None:
    """The arguments of the command."""
    command.add_argument("job", metavar="JOB")
    command.add_argument(
        "--explain",
        action="store_true",
        help="with the figures of the last run, whether or not they are unusual",
    )


def run(call: Call) -> int:
    """Every run of the history beside those before it: 0, or 1 when the last one is unusual."""
    job_id = call.arguments.job
    require_known(call, job_id)
    record = call.store.job(job_id)
    checks = guard.wanted({} if record is None else record.document)
    runs = call.store.history(job_id, _ALL)
    found = [
        {"run_id": run["run_id"], "time_ended": run["time_ended"], **entry}
        for run, verdicts in guard.replay(runs, checks)
        for entry in guard.entries(job_id, str(run["run_id"]), verdicts)
    ]
    verdicts = _verdicts(runs, checks) if call.arguments.explain else []
    if call.output.json:
        answer: dict[str, Any] = {"job_id": job_id, "checks": list(checks), "runs": len(runs)}
        explained = [verdict._asdict() for verdict in verdicts]
        call.output.answer({**answer, "findings": found, "verdicts": explained})
    else:
        _show(call, len(runs), checks, found, verdicts)
    return int(any(entry["run_id"] == runs[0]["run_id"] for entry in found))


def _verdicts(runs: Sequence[Run], checks: Sequence[str]) -> list[Verdict]:
    samples = [guard.sample_of(run) for run in runs[: guard.KNOWN + 1]]
    return guard.judge(samples[0], samples[1:], checks, explain=True) if samples else []


def _show(
    call: Call,
    number: int,
    checks: Sequence[str],
    found: Sequence[dict[str, Any]],
    verdicts: Sequence[Verdict],
) -> None:
    line, zone = call.output.line, call.settings.zone
    if not checks:
        line("the guard is switched off for this job (guard in its document)")
    line(f"{pluralize(number, 'run')} in the history, {len(found) or 'nothing'} unusual")
    for entry in found:
        line(f"{instant(moment_of(entry['time_ended']), zone)}  {entry['text']}", "doubtful")
        line(f"  -> {entry['remedy']}")
    if verdicts:
        line()
        line("The last run:", "head")
    for verdict in verdicts:
        about = f" ({verdict.about})" if verdict.about else ""
        line(f"{verdict.check}{about}: {verdict.text}", "doubtful" if verdict.found else "")

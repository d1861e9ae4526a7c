# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command log: the log of one run."""

from __future__ import annotations

import argparse

from coldchain.cli.context import Call
from coldchain.cli.job_view import RUN_ID, require_known
from coldchain.core.errors import DataError
from coldchain.core.files import cannot_read


def add_arguments(command: argparse.ArgumentParser) -> None:
    """The arguments of the command."""
    command.add_argument("job", metavar="JOB")
    command.add_argument("run", metavar="RUN", nargs="?")


def run(call: Call) -> int:
    """The log of a run in progress, of the named run, or of the last one."""
    from coldchain.execution import run_log

    job_id, run_id = call.arguments.job, call.arguments.run
    require_known(call, job_id)
    state = call.store.state(job_id)
    if run_id is None:
        runs = call.store.history(job_id, 1)
        run_id = (state.run_id if state else None) or (runs[0]["run_id"] if runs else None)
        if run_id is None:
            raise DataError(
                f"job {job_id} has not run yet", f"coldchain explain {job_id} tells why"
            )
    path = call.paths.run_log(job_id, run_id)
    try:
        if not RUN_ID.fullmatch(run_id):
            raise FileNotFoundError
        text = run_log.read(path)
    except FileNotFoundError:
        if state is None or not state.active or state.run_id != run_id:
            raise DataError(
                f"job {job_id} has no log of a run {run_id[:100]!r}",
                f"coldchain history {job_id} lists its runs",
            ) from None
        text = ""  # it has just begun, and has said nothing yet
    except OSError as error:
        raise cannot_read(path, error) from None
    if call.output.json:
        call.output.answer({"job_id": job_id, "run_id": run_id, "path": str(path), "text": text})
    else:
        call.output.text(text)
    return 0

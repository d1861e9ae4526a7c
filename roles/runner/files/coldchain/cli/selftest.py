# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command that tortures a disk: selftest."""

from __future__ import annotations

import random
import shutil
import sys
import tempfile
from pathlib import Path

from coldchain.cli.call import Call
from coldchain.errors import CannotWrite, JobFailed
from coldchain.selftest import Outcome, torture


def selftest(call: Call) -> int:
    """Torture a scratch installation; exit code 1 and the evidence kept when something is lost."""
    arguments = call.arguments
    place = Path(arguments.directory or ".").absolute()
    try:
        home = Path(tempfile.mkdtemp(prefix="coldchain-selftest-", dir=place))
    except OSError as error:
        raise CannotWrite(
            f"{place}: no scratch directory can be made there: {error.strerror}",
            "name a directory on the disk to test: --directory DIR",
        ) from None
    seed = random.randrange(10**6) if arguments.seed is None else arguments.seed
    watched = sys.stderr.isatty() and not call.output.json
    outcome = torture(home, arguments.rounds, seed, _tell if watched else _silent)
    if call.output.json:
        call.output.answer(outcome.as_dict())
    else:
        call.output.line(
            f"{outcome.rounds} rounds, {outcome.kills} kills, {outcome.declarations} declarations"
            f" and {outcome.events} events acknowledged, {outcome.runs} runs recorded:"
            f" {len(outcome.violations)} violations"
        )
        for violation in outcome.violations:
            call.output.line(f"  {violation}")
        if outcome.violations:
            call.output.note(f"everything is kept in {home} (seed {seed})")
    if outcome.violations:
        return JobFailed.exit_code
    shutil.rmtree(home, ignore_errors=True)
    return 0


def _silent(dummy: Outcome) -> None:
    pass


def _tell(outcome: Outcome) -> None:
    sys.stderr.write(f"\rround {outcome.rounds}, {outcome.kills} kills \r")
    sys.stderr.flush()

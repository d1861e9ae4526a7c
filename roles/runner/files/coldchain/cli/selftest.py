# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command that tortures a disk: selftest."""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
from pathlib import Path

from coldchain.cli.arguments import positive_number, whole_number
from coldchain.cli.context import Call
from coldchain.core.errors import CannotWrite, JobFailed
from coldchain.selftest import SelftestResult, torture


def add_arguments(command: argparse.ArgumentParser) -> None:
    """The arguments of the command."""
    command.add_argument("--rounds", metavar="N", type=positive_number, default=50)
    command.add_argument(
        "--directory", metavar="DIR", help="a scratch directory on the disk to test (here)"
    )
    command.add_argument("--seed", metavar="N", type=whole_number, help="repeat an earlier one")


def run(call: Call) -> int:
    """Torture a scratch installation; exit code 1 and the evidence kept when something is lost."""
    arguments = call.arguments
    place = Path(arguments.directory or ".").absolute()
    try:
        home = Path(tempfile.mkdtemp(prefix="coldchain-selftest-", dir=place))
    except OSError as error:
        raise CannotWrite(
            f"{place}: no scratch directory can be made there: {error.strerror}",
            "name a directory on the disk to test: coldchain selftest --directory DIR",
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


def _silent(_unused: SelftestResult) -> None:
    pass


def _tell(outcome: SelftestResult) -> None:
    sys.stderr.write(f"\rround {outcome.rounds}, {outcome.kills} kills \r")
    sys.stderr.flush()

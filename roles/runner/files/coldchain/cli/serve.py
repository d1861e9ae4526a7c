# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command serve: be the runner."""

from __future__ import annotations

import argparse
from pathlib import Path

from coldchain.cli.context import Call, judge
from coldchain.core.errors import Unavailable
from coldchain.core.settings import Settings

CHECKS_PATHS = True
"""Settings are judged before they lie where nobody else can write."""


def add_arguments(command: argparse.ArgumentParser) -> None:
    """The arguments of the command."""
    command.add_argument(
        "--check",
        metavar="FILE",
        help="only say whether FILE could be the settings, which are not those that are there",
    )


def run(call: Call) -> int:
    """Be the runner until a signal ends it."""
    if call.arguments.check is not None:
        return _check(call)
    call.paths.check()
    from coldchain.runner.serving import serve as be_the_runner

    settings = Settings.load(call.paths)  # not call.settings: in the zone of the runner before us
    judge(call.paths, settings)
    return be_the_runner(call.paths, settings)


def _check(call: Call) -> int:
    """0 where a runner would begin with these settings; else the error that it would end with."""
    paths = call.paths._replace(settings=Path(call.arguments.check))
    if not paths.settings.exists():
        raise Unavailable(f"{paths.settings}: there is no such file", "name the file to check")
    judge(paths, Settings.load(paths))
    if call.output.json:
        call.output.answer({"settings": str(paths.settings)})
    else:
        call.output.line(f"{paths.settings} can be the settings", "good")
    return 0

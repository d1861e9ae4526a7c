# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command serve: be the runner."""

from __future__ import annotations

import argparse

from coldchain.cli.context import Call


def add_arguments(command: argparse.ArgumentParser) -> None:
    """The arguments of the command."""


def run(call: Call) -> int:
    """Be the runner until a signal ends it."""
    from coldchain.core.settings import Settings
    from coldchain.runner.serving import serve as be_the_runner

    # Not call.settings: those are in the zone of the runner before us.
    return be_the_runner(call.paths, Settings.load(call.paths))

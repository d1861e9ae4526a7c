# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""``coldchain serve``: the runner from its lock to its end."""

from __future__ import annotations

import gc
import logging
import os
from pathlib import Path

from coldchain.core import host_zone
from coldchain.core.errors import CannotWrite
from coldchain.core.paths import Paths
from coldchain.core.settings import Settings
from coldchain.execution import orphans
from coldchain.observe import log
from coldchain.runner import lock, presence
from coldchain.runner.daemon import Runner
from coldchain.runner.signals import caught, hold

logger = logging.getLogger(__name__)


def serve(paths: Paths, settings: Settings) -> int:
    """Run jobs until a signal says otherwise (docs/reference/command.md); the exit code."""
    # Signals first: from the moment that the lock tells of us, a TERM is an orderly stop.
    with log.to_standard_error(), caught() as inbox, orphans.adopted():
        paths.create()
        for line in paths.secure():
            logger.warning("%s", line)
        held = lock.acquire(paths)
        _tell_zone(paths, settings)
        _tell_presence(paths)
        gc.disable()  # until all is loaded: none of it is garbage
        runner = Runner(paths, settings, inbox)
        try:
            runner.recover()
            gc.freeze()  # it stays: no later look for garbage passes over it
            gc.enable()
            code = runner.loop()
        finally:
            runner.close()
        if runner.reexec:
            hold(inbox)
            lock.hand_over(held)
            argv = Path("/proc/self/cmdline").read_bytes().split(b"\0")[:-1]
            # An upgrade of the interpreter has put another file in its place.
            os.execv(os.readlink("/proc/self/exe").removesuffix(" (deleted)"), argv)
    os.close(held)
    return code


def _tell_presence(paths: Paths) -> None:
    """For `coldchain status`; a full disk is no reason not to run."""
    try:
        presence.tell(paths)
    except CannotWrite as error:
        logger.warning("%s (%s)", error.message, error.hint)


def _tell_zone(paths: Paths, settings: Settings) -> None:
    """Into the log, and for previews, which have to foresee what this runner will do."""
    if settings.zone_problem:
        logger.warning("schedules are read in UTC: %s", settings.zone_problem)
    else:
        logger.info("schedules are read in %s", settings.timezone or settings.host_zone.name)
    if host_zone.read(paths.zone) != settings.host_zone:
        settings.host_zone.write(paths.zone)

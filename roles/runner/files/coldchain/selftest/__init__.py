# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Torture the store and the runner on a user's own disk: ``coldchain selftest``.

Processes that declare jobs and ask for events, and the runner itself, are killed with SIGKILL at
random points; after every round an oracle compares what is on disk with what was acknowledged.
"""

from coldchain.selftest.harness import SelftestResult, torture

__all__ = ["SelftestResult", "torture"]

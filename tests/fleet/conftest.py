# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A process that looks after what a killed test run would leave behind."""

from __future__ import annotations

import guardian

# Before anything takes a copy of the environment.
guardian.start()


def pytest_unconfigure() -> None:
    guardian.stop()

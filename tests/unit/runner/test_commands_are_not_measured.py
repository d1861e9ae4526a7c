# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands that tests start run without coverage, which conftest.py begins and ends by test."""

from __future__ import annotations

import os

import pytest


# Others than the first come after it has been begun anew.  What has no workers measures all.
@pytest.mark.parametrize("case", range(3))
def test_no_command_is_told_to_measure_itself(case: int) -> None:
    is_worker = "PYTEST_XDIST_WORKER" in os.environ
    assert not (is_worker and "COVERAGE_PROCESS_CONFIG" in os.environ)

# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How many examples property tests get, and which.

They get the same ones in every run, so that a change of ours is what lets a test fail; ``make
torture`` searches among new ones (pytest --hypothesis-profile search).

pytest --quick: a tenth of them.  For the second to sixth Python, where the question is whether the
code runs there at all: the first one has tried all, and each takes minutes of both cores.
"""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.internal.detection import is_hypothesis_test

_SETTINGS = (
    "_hypothesis_internal_use_settings"  # where hypothesis.settings, as a decorator, puts it
)

# Not from the clock, and not by chance: a busy machine takes long for one example.
settings.register_profile(
    "search",
    deadline=None,
    suppress_health_check=[
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
        HealthCheck.filter_too_much,
    ],
)
settings.register_profile("same", settings.get_profile("search"), derandomize=True)
settings.load_profile("same")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--quick", action="store_true", help="a tenth of the examples")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--quick"):
        return
    tests = {item.obj for item in items if isinstance(item, pytest.Function)}
    for test in filter(is_hypothesis_test, tests):
        own = getattr(test, _SETTINGS, settings.default)
        setattr(test, _SETTINGS, settings(own, max_examples=max(own.max_examples // 10, 10)))

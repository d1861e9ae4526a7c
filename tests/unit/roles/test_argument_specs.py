# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A role's defaults, its documented options and its settings file say the same."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from coldchain.core.settings import Settings

ROLES = Path(__file__).parents[3] / "roles"


def load(path: Path) -> dict[str, object]:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("role", sorted(path.name for path in ROLES.iterdir()))
def test_defaults_are_what_the_argument_spec_says(role: str) -> None:
    defaults = load(ROLES / role / "defaults" / "main.yml")
    options = load(ROLES / role / "meta" / "argument_specs.yml")["argument_specs"]["main"][
        "options"
    ]
    assert list(defaults) == list(options)
    computed = {name for name, value in defaults.items() if "{{" in str(value)}
    documented = {name: option.get("default") for name, option in options.items()}
    for name in computed:
        assert documented.pop(name) is None
    assert documented == {name: value for name, value in defaults.items() if name not in computed}


def test_every_setting_of_the_runner_has_a_variable_with_its_default() -> None:
    defaults = load(ROLES / "runner" / "defaults" / "main.yml")
    template = (ROLES / "runner" / "templates" / "runner.conf.j2").read_text(encoding="utf-8")
    written = set(re.findall(r"^(\w+) = ", template, re.MULTILINE))
    fields = set(Settings._fields) - {"host_zone"}  # which is what the host says, and no setting
    assert written == fields
    for name in fields:
        expected = Settings._field_defaults.get(name, "")
        expected = list(expected) if isinstance(expected, tuple) else expected
        assert defaults[f"coldchain_{name}"] == expected

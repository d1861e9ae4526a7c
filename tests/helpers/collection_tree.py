# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The import name of the collection, which ansible-test gives it and a plain checkout does not."""

from __future__ import annotations

import sys
import types
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def make_importable() -> None:
    """Give it a place in a process that knows no ansible_collections yet."""
    places: dict[str, list[str]] = {
        "ansible_collections": [],
        "ansible_collections.coldchain": [],
        "ansible_collections.coldchain.freezer": [str(ROOT)],
    }
    for name, path in places.items():
        module = sys.modules.get(name) or types.ModuleType(name)
        module.__path__ = list(getattr(module, "__path__", [])) + path
        sys.modules[name] = module
        parent, dot, child = name.rpartition(".")
        if dot:
            setattr(sys.modules[parent], child, module)

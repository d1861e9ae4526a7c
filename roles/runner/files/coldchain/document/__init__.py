# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The job document: fields, schema, spelling, checks, canonical form.  Pure: no I/O, no clock.

The names below are imported when they are asked for: whoever only hides secrets of a document, as
``list`` does, needs no calendar.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from coldchain.document.canonical_form import canonical, difference, imported_facts, is_same
    from coldchain.document.checking import Checked, check
    from coldchain.document.context import Context

__all__ = ["Checked", "Context", "canonical", "check", "difference", "imported_facts", "is_same"]

_MODULES = {"Checked": "checking", "check": "checking", "Context": "context"}


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = import_module(f"{__name__}.{_MODULES.get(name, 'canonical_form')}")
    return getattr(module, name)

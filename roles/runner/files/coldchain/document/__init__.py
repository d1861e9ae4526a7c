# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The job document: fields, schema, spelling, checks, canonical form.  Pure: no I/O, no clock."""

from coldchain.document.canonical_form import canonical, difference, imported_facts
from coldchain.document.checking import Checked, check
from coldchain.document.rules import Context

__all__ = ["Checked", "Context", "canonical", "check", "difference", "imported_facts"]

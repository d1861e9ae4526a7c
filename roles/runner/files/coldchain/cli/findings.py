# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Findings as people read them, in 80 columns."""

from __future__ import annotations

from collections.abc import Sequence

from coldchain.cli.output import Output
from coldchain.observe.findings import Finding

_TONES = {"critical": "bad", "warning": "doubtful", "info": ""}


def show_findings(output: Output, findings: Sequence[Finding]) -> None:
    """What was found, the remedy below each."""
    for finding in findings:
        text = f"{finding.severity}: {finding.about}: {finding.text}"
        output.paragraph(text, _TONES[finding.severity])
        # A command stays in one piece: somebody will copy it.
        if finding.remedy:
            output.line(f"  -> {finding.remedy}")

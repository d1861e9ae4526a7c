# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""max_priority: the best CPU and disk priority, as far as the system allows."""

from __future__ import annotations

import os
import subprocess

from coldchain.agent.process.tools import executable
from coldchain.core.errors import Unavailable

_NICE = -19


def raise_priority() -> list[str]:
    """Raise this process and all that it starts; what was refused, as warnings."""
    warnings = []
    try:
        os.setpriority(os.PRIO_PROCESS, 0, _NICE)
    except PermissionError:
        warnings.append("max_priority: only root may raise the CPU priority")
    try:
        command = [executable("ionice"), "-c", "1", "-n", "0", "-p", str(os.getpid())]
    except Unavailable as error:
        # A backup at the usual pace is better than none.
        return [*warnings, f"max_priority: {error.message}"]
    result = subprocess.run(command, check=False, capture_output=True)
    if result.returncode:
        warnings.append("max_priority: the disk priority could not be raised")
    return warnings

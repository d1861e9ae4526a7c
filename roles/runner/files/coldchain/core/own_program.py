# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Starting this program once more, as another process of the same release."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import coldchain

START = (
    "import os, sys; place = sys.argv.pop(1);"
    " sys.path[:0] = [place, os.path.join(place, 'vendor')];"
    " from coldchain.cli import main; main()"
)
"""Under python -I nothing but sys.path says where the package and the libraries of its bundle are:
the same two places that the command of a host names (templates/coldchain.j2)."""


def own_program(home: Path | None) -> list[str]:
    """The words that start it; those of a command come behind them.

    home: of the installation, None for the system's.
    """
    place = Path(coldchain.__file__).resolve().parents[1]
    words = [sys.executable, "-I", "-c", START, os.fspath(place)]
    return words if home is None else [*words, "--home", os.fspath(home)]

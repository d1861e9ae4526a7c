# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Starting this program once more, as another process of the same release."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import coldchain

_PLACES = (
    "import os, sys; place = sys.argv.pop(1);"
    " sys.path[:0] = [place, os.path.join(place, 'vendor')]; "
)
"""Under python -I nothing but sys.path says where the package and the libraries of its bundle are:
the same two places that the command of a host names (templates/coldchain.j2)."""
START = _PLACES + "from coldchain.cli import main; main()"


def own_program(home: Path | None) -> list[str]:
    """The words that start it; those of a command come behind them.

    home: of the installation, None for the system's.
    """
    words = _words(START)
    return words if home is None else [*words, "--home", os.fspath(home)]


def own_code(code: str) -> list[str]:
    """The words that start *code*, which imports what it wants of this release; its arguments come
    behind them."""
    return _words(_PLACES + code)


def _words(code: str) -> list[str]:
    place = Path(coldchain.__file__).resolve().parents[1]
    return [sys.executable, "-I", "-c", code, os.fspath(place)]

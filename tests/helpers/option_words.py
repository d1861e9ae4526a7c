# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options of the command line in messages, which users of the modules read as well."""

from __future__ import annotations

import re

# A whole command, as in "coldchain verify --job j --full reads all of it", is advice for everybody.
_COMMAND = re.compile(r"coldchain (?:(?![;,:(]|\. ).)*")
_OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*")


def bare_options(text: str) -> list[str]:
    """Options in *text* that stand for themselves: nobody who has typed no command has them."""
    return _OPTION.findall(_COMMAND.sub("", text))

# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ``coldchain`` command: the only entrance, for people, modules and systemd alike.

Every command lies in a module of its kind and imports what it needs when it runs: reading ones
must not pay for jsonschema, which takes longer to import than everything else together.
"""

from coldchain.cli.entry import main, run

__all__ = ["main", "run"]

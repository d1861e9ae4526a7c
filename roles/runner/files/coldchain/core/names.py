# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be a name of jobs, locks and slots, and of credentials.  Pure, without any import of
ours: the controller checks names by this file, too."""

from __future__ import annotations

import re

#: Of a job, a lock or a slot: it names files as well, so no dot or dash in front.
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
#: What a person has to write for it.
NAME_FORM = "letters, digits and . _ - (at most 128, the first one no dot or dash)"
#: Of a credential: systemd's may hold an @.
CREDENTIAL = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@-]{0,127}")

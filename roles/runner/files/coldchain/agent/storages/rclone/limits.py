# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long rclone may take for what, in seconds."""

from __future__ import annotations

#: Without a byte, while there is one to move, after which a storage counts as dead.
STALL = 300.0
#: For what is still on its way when all bytes have been handed over.
FINISH = 900.0
#: Bytes a second of the slowest line on which what rclone has buffered counts as on its way, and
#: the seconds that it gets when nobody knows how much that is.
SLOWEST, MAX_UPLOAD_WAIT = 20_000, 86_400.0
#: A process that ignores SIGTERM is killed after so long.
PATIENCE = 10.0
#: For an answer that needs nobody else.
AT_ONCE = 60.0
#: Between two looks at how much has been copied.
LOOK = 0.2

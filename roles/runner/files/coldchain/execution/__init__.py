# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One run of one job: its actions in order, attempts, time limits, abort, and its record."""

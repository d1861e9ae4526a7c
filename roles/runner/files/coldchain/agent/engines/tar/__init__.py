# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Engine tar: levels and chains of GNU tar archives in freezer-agent's own layout."""

# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The fixtures of the fault tests."""

from homes import home, small_disk

__all__ = ["home", "small_disk"]

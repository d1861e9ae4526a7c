# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the bytes lie: one module or package a storage, chosen in registry."""

# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ways to tell somebody: each is a module with ``send``, and a row in registry.py."""

# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a backup is kept: one package or module an engine, chosen by engine_name."""

# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ledger: who did what on this host, in lines that nobody can change unseen."""

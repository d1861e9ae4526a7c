# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The coldchain runner: executes Freezer job documents on one host and keeps the record."""

__version__ = "0.1.0"

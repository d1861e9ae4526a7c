# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Running programs: pipelines, signals, priority, and the tools with their packages."""

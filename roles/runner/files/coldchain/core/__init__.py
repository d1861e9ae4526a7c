# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every room stands on, no domain: errors, instants, paths, settings, files, locks."""

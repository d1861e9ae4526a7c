# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The runner: serving.py is ``coldchain serve``, foreground.py ``coldchain run``.

Nothing is imported here: previews need outlook.py and no daemon.
"""

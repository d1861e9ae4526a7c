# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""``python -m coldchain``."""

from coldchain.cli import main

if __name__ == "__main__":
    main()

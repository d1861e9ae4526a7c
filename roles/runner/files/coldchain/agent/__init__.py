# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The agent: performs one freezer_action and knows nothing of jobs.

``coldchain.agent.action`` is its entrance.  Nothing is imported here: the runner, which starts exec
actions by itself, needs a few small modules of this package and must not carry the others.
"""

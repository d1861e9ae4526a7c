# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The agent: performs one freezer_action and knows nothing of jobs.

``coldchain.agent.action`` is its entrance.  Nothing is imported here: the runner, which starts an
exec action by itself, needs one small module of this package and must not carry the others.
"""

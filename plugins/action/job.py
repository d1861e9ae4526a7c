# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Module job, whose documents the controller judges where the host cannot."""

from __future__ import annotations

from ansible_collections.coldchain.freezer.plugins.plugin_utils._judge import JudgedAction


class ActionModule(JudgedAction):
    """See plugin_utils/_judge.py."""

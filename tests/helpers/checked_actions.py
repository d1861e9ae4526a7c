# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Actions for the agent that have come through the door that every document comes through."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

from coldchain.cli.vocabulary import vocabulary
from coldchain.core.errors import DataError
from coldchain.document import Context, check


def checked_action(options: Mapping[str, object]) -> dict[str, Any]:
    """The canonical form of the freezer_action *options*; DataError when it is refused."""
    context = Context(None, timezone.utc, datetime.now(timezone.utc), vocabulary())
    raw = {"job_id": "x", "freezer_action": dict(options)}
    checked = check(raw, context.for_a_run("x", os.environ))
    if checked.document is None:
        lines = [f"{each.path}: {each.message}" for each in checked.errors]
        raise DataError("; ".join(lines), problems=checked.errors)
    action: dict[str, Any] = checked.document["job_actions"][0]["freezer_action"]
    return action

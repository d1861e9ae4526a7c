# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The calendar of a declared or proposed job, as the runner sees it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from coldchain.schedule import Trigger, build
from coldchain.schedule.preview import Upcoming, preview
from coldchain.settings import Settings

SECOND = timedelta(seconds=1)


def trigger_of(
    document: Mapping[str, Any], anchor: datetime, settings: Settings, *, client_id: str = ""
) -> Trigger:
    """The trigger of a canonical document.

    anchor: the instant of the declaration, or of the last change of the schedule; client_id: the
    host that the job is for when it is not this one.

    ScheduleError (a ValueError) when the host cannot use the schedule any more.
    """
    return build(
        document.get("job_schedule", {}),
        zone=settings.zone,
        created=anchor.replace(microsecond=0),
        key=f"{client_id or settings.client_id}/{document['job_id']}",
    )


def upcoming(trigger: Trigger, after: datetime, number: int, *, fresh: bool) -> list[Upcoming]:
    """The next runs; of a *fresh* declaration also the one that is due with the declaration."""
    if fresh and trigger.kind == "once":
        after = after - SECOND
    return preview(trigger, after, number)

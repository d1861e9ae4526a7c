# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The oracle of the selftest sees a job that is not armed although it should be, and no other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from virtual_host import VirtualHost, virtual_host

from coldchain.selftest import oracle


@pytest.fixture
def host(tmp_path: Path) -> Iterator[VirtualHost]:
    with virtual_host(tmp_path) as made:
        yield made


def faults(host: VirtualHost) -> list[str]:
    return oracle.armed(host.store, host.settings(), host.now)


def test_a_job_that_nobody_armed_is_found(host: VirtualHost) -> None:
    host.declare("never-seen", schedule_hour="3")
    assert ["never-seen" in fault for fault in faults(host)] == [True]
    host.start()
    host.declare("stopped", schedule_hour="3", status="stop")
    host.declare("over", schedule_date="2020-01-01T00:00:00")
    host.declare("by-event", schedule_hour="3")
    host.event("by-event", "stop")
    host.tick()
    assert faults(host) == []
    host.stop()
    state = host.state("never-seen")
    host.store.commit_states({"never-seen": state._replace(next_run=None, status="stop")})
    assert len(faults(host)) == 1
    by_event = host.state("by-event")
    host.store.commit_states({"by-event": by_event._replace(stopped_by=None)})
    assert len(faults(host)) == 2, "a stop that nobody is named for is none"

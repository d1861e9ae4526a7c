# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every example of Freezer's page on jobs is accepted and does what its text says."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from coldchain.cli.vocabulary import vocabulary
from coldchain.document import Checked, Context, check
from coldchain.schedule import Trigger, build

SEED = Path(__file__).parents[3] / "fixtures" / "seed"
NOW = datetime(2026, 11, 25, 12, 0, tzinfo=timezone.utc)


def example(name: str) -> Any:
    (path,) = SEED.glob(f"*-{name}.json")
    return json.loads(path.read_text(encoding="utf-8"))


def accepted(name: str) -> Checked:
    raw = example(name)
    client = raw.get("job", raw).get("client_id")
    ours = None if client is None else client.rpartition("_")[2]
    checked = check(raw, Context(ours, timezone.utc, NOW, vocabulary()))
    assert checked.errors == []
    return checked


def document(name: str) -> dict[str, Any]:
    found = accepted(name).document
    assert found is not None
    return found


def trigger(name: str) -> Trigger:
    schedule = document(name)["job_schedule"]
    return build(schedule, zone=timezone.utc, created=NOW, key="h/j")


@pytest.mark.parametrize("path", sorted(SEED.glob("*.json")), ids=lambda path: path.stem)
def test_each_is_accepted_and_its_old_names_are_told(path: Path) -> None:
    checked = accepted(path.stem.partition("-")[2])
    warned = {problem.path for problem in checked.warnings}
    text = path.read_text(encoding="utf-8")
    for old in (
        "src_file",
        "max_backup_level",
        "no_incremental",
        "max_retry_interval",
        "job_action",
    ):
        if f'"{old}"' in text:
            assert any(path.endswith(f".{old}") for path in warned), old


def test_the_backup_action_in_todays_names() -> None:
    (action,) = document("backup-action")["job_actions"]
    assert action["freezer_action"] == {
        "action": "backup",
        "mode": "fs",
        "path_to_backup": "/home/tylerdurden/project_mayhem",
        "backup_name": "project_mayhem_backup",
        "container": "my_backup_container",
        "incremental": True,
        "max_level": 7,
        "always_level": 2,
        "restart_always_level": 30,
        "encrypt_pass_file": "/etc/private_key_file",
        "max_priority": False,
        "log_file": "/var/log/freezer.log",
    }


def test_the_restore_action_takes_the_other_hosts_backup() -> None:
    (action,) = document("restore-action")["job_actions"]
    assert action["freezer_action"] == {
        "action": "restore",
        "backup_name": "project_mayhem_backup",
        "container": "my_backup_container",
        "hostname": "another_host",
        "max_priority": True,
        "restore_abs_path": "/home/tylerdurden/project_mayhem",
    }


def test_the_one_shot_runs_at_its_date_and_never_again() -> None:
    once = trigger("one-shot")
    at = datetime(2015, 6, 2, 16, 20, tzinfo=timezone.utc)
    occurrence = once.next(datetime(2015, 1, 1, tzinfo=timezone.utc))
    assert occurrence is not None and occurrence.at == at
    assert once.next(at) is None


def test_the_daily_job_is_started_and_keeps_its_time() -> None:
    assert "status" not in document("daily")["job_schedule"]
    occurrence = trigger("daily").next(NOW)
    assert occurrence is not None
    assert occurrence.at == datetime(2026, 11, 25, 16, 20, tzinfo=timezone.utc)


def test_multiple_choices_are_those_days_in_those_months() -> None:
    calendar = trigger("multiple-choices")
    at = datetime(2027, 6, 28, 12, tzinfo=timezone.utc)
    found = []
    for _ in range(4):
        occurrence = calendar.next(at)
        assert occurrence is not None
        at = occurrence.at
        found.append(f"{at:%a %Y-%m-%d %H:%M:%S}")
    # July and August are left out.
    assert found == [
        "Wed 2027-06-30 03:25:00",
        "Wed 2027-09-01 03:25:00",
        "Fri 2027-09-03 03:25:00",
        "Mon 2027-09-06 03:25:00",
    ]


def test_the_finished_job_stays_finished_with_its_result() -> None:
    checked = accepted("finished")
    assert checked.document is not None
    assert checked.document["job_schedule"] == {"status": "stop"}
    assert checked.imported == {
        "result": "success",
        "time_created": 1234,
        "time_started": 1234,
        "time_ended": 4321,
        "schedule_time": "2015-06-02T16:20:00",
    }


def test_action_defaults_are_equivalent_to_the_same_options_in_every_action() -> None:
    assert document("action-defaults") == document("action-defaults-expanded")
    logs = [
        each["freezer_action"]["log_file"] for each in document("action-defaults")["job_actions"]
    ]
    assert logs == ["/tmp/freezer_tmp_log"] * 2 + ["/home/user3/specific_log_file"]

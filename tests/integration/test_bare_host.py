# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check mode on a host that has no runner yet: the controller judges the documents."""

from __future__ import annotations

from pathlib import Path

from playbooks import Play


def job(job_id: str, **schedule: object) -> dict[str, object]:
    action = {"action": "exec", "command": ["true"], "environment": {"PGPASSWORD": "hunter2"}}
    return {
        "job_id": job_id,
        "job_actions": [{"freezer_action": action}],
        "job_schedule": schedule,
    }


def book(*tasks: dict[str, object]) -> list[dict[str, object]]:
    return [{"hosts": "localhost", "gather_facts": False, "tasks": list(tasks)}]


def test_every_problem_of_every_job_is_told(play: Play, tmp_path: Path) -> None:
    items = [job("a", schedule_minute="99"), {**job("b"), "containr": "x"}, job("a")]
    task = {"coldchain.freezer.jobs": {"home": str(tmp_path / "none"), "jobs": items}}
    gone = {"home": str(tmp_path / "none"), **job("c", schedule_hour=99), "state": "gone"}
    refused = {"coldchain.freezer.job": gone, "ignore_errors": True}  # by Ansible, for its state
    played = play(book(refused, task), "--check")
    assert played.code != 0
    first, _between, text = played.output.replace("\\n", "\n").partition(
        "\nTASK [coldchain.freezer.jobs]"
    )
    assert "got: gone" in first
    assert "job 'c': job_schedule.schedule_hour: '99' is out of range" in first
    assert "jobs[0] (job_id 'a'): job_schedule.schedule_minute: '99' is out of range" in text
    assert "jobs[1] (job_id 'b'): containr: is unknown" in text
    assert "jobs[2] (job_id 'a'): job_id:" in text
    assert "Nothing was changed on this host." in text
    assert "hunter2" not in played.output


def test_what_would_be_is_told_in_every_way_that_a_task_can_be_run(
    play: Play, tmp_path: Path
) -> None:
    home = {"home": str(tmp_path / "none")}
    one = {"coldchain.freezer.job": {**home, **job("a", schedule_hour=3, time_created=1)}}
    named = {**job("b"), "job_id": "{{ item }}", "client_id": "elsewhere"}
    fine = "result.job.after.job_schedule.schedule_hour == '3' and result.unchecked is undefined"
    played = play(
        book(
            {**one, "register": "result"},
            {
                "ansible.builtin.assert": {
                    "that": [fine, "result.changed", "'job_id: a' in result.diff.after"]
                }
            },
            {"coldchain.freezer.job": {**home, **named}, "loop": ["b", "c"], "register": "looped"},
            {"ansible.builtin.assert": {"that": "looped.results | length == 2 and looped.changed"}},
            {**one, "delegate_to": "localhost"},
            {
                "coldchain.freezer.jobs": {"jobs": [job("d"), {"job_id": "e", "state": "absent"}]},
                "module_defaults": {"group/coldchain.freezer.coldchain": home},
                "register": "listed",
            },
            {
                "ansible.builtin.assert": {
                    "that": "listed.jobs | map(attribute='change') == ['created', 'unchanged']"
                }
            },
        ),
        "--check",
        "--diff",
    )
    assert played.code == 0, played.output
    assert 'schedule_hour: "3"' in played.output
    assert "next runs" not in played.output
    assert "hunter2" not in played.output


def test_outside_check_mode_and_with_async_the_hosts_answer_stands(
    play: Play, tmp_path: Path
) -> None:
    task = {"coldchain.freezer.job": {"home": str(tmp_path / "none"), **job("a")}}
    awaited = {**task, "async": 60, "poll": 1}
    played = play(book({**task, "ignore_errors": True}, awaited))
    assert played.code != 0 and played.ignored == 1, played.output
    assert played.output.count("Apply the role coldchain.freezer.runner") >= 2, played.output

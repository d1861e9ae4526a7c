#!/usr/bin/python
# Copyright: (c) 2026, coldchain.freezer contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: job_info
short_description: What the jobs of a host are doing, have done and will do
version_added: 0.1.0
author:
  - coldchain.freezer contributors (@coldchain-freezer)
description:
  - Returns the jobs of a host with their status, the result of the last run and the time of the next one, in one call.
  - On request also their documents and the records of their runs.
extends_documentation_fragment:
  - coldchain.freezer._attributes
  - coldchain.freezer._attributes.secrets
  - coldchain.freezer._attributes.reads
options:
  job_id:
    description:
      - Return only these jobs. All jobs of the host when it is not set.
      - A job that does not exist is named in RV(unknown) and is not a failure.
    type: list
    elements: str
  status:
    description:
      - Return only jobs with this status.
    type: str
    choices: [scheduled, running, aborting, stop, removing]
  session_id:
    description:
      - Return only jobs of this session.
      - Jobs with one C(session_id) on several hosts carry the same C(session_tag) in their runs for the same
        instant of their schedule, so the runs of the whole fleet can be gathered by it.
    type: str
  documents:
    description:
      - Return the job documents as well.
    type: bool
    default: false
  history:
    description:
      - Return the records of the last so many runs of every job as well.
    type: int
    default: 0
seealso:
  - module: coldchain.freezer.job
  - module: coldchain.freezer.backup_info
"""

EXAMPLES = r"""
- name: Look at all jobs
  coldchain.freezer.job_info:
  register: backups

- name: Stop the play when a job has not succeeded
  ansible.builtin.assert:
    that: backups.jobs | selectattr("result", "in", ["fail", "aborted"]) | list | length == 0
    fail_msg: "{{ backups.msg }}"

- name: The last ten runs of one job, and its document
  coldchain.freezer.job_info:
    job_id: [db-nightly]
    documents: true
    history: 10

# The runs that belong together carry the same session_tag.
- name: What every host has of one session
  coldchain.freezer.job_info:
    session_id: nightly
    history: 1
  register: session
"""

RETURN = r"""
jobs:
  description: The jobs.
  returned: success
  type: list
  elements: dict
  contains:
    job_id:
      description: Name of the job.
      type: str
      sample: db-nightly
    description:
      description: What the job is for.
      type: str
      sample: The customer database
    session_id:
      description: The session that the job belongs to; V(null) when it belongs to none.
      type: str
      sample: nightly
    status:
      description: One of V(scheduled), V(running), V(aborting), V(stop) and V(removing).
      type: str
      sample: scheduled
    event:
      description: A request that the runner has not dealt with yet; empty when there is none.
      type: str
      sample: ""
    result:
      description: Result of the last run, one of V(success), V(fail) and V(aborted); empty when there was none.
      type: str
      sample: success
    next_run:
      description: When the job runs next, in UTC; V(null) when it does not.
      type: str
      sample: "2026-11-25T02:30:00+00:00"
    stopped_by:
      description: What keeps the job from its schedule; V(null) when nothing does.
      type: dict
      contains:
        what:
          description:
            - V(declaration) - its document says C(status=stop).
            - V(event) - somebody stopped or aborted it; it stays so until somebody starts it.
            - V(over) - its schedule has no later run.
            - V(unusable) - the host cannot use its schedule.
          type: str
          sample: event
        who:
          description: Who sent the event; V(null) when it was none.
          type: str
          sample: root
        when:
          description: Since when, in UTC.
          type: str
          sample: "2026-11-25T02:30:00+00:00"
    survivors:
      description: Processes (C(pid), C(command)) that a run waits for which was told to end, because not even SIGKILL ends them.
      type: list
      elements: dict
      sample: []
    reason:
      description: Why the job is in this status, where that is worth saying.
      type: str
      sample: ""
    time_started:
      description: When the newest run started, in seconds since 1970; V(null) when there was none.
      type: float
      sample: 1795507017.484
    time_ended:
      description: When it ended; V(null) when it has not.
      type: float
      sample: 1795507021.002
    last_run:
      description: The record of the last finished run; V(null) when there was none. With O(history) it is the first of C(runs).
      returned: when O(history) is 0
      type: dict
      sample:
        run_id: 20261124T023000Z-b8ae392e
        job_id: db-nightly
        cause: schedule
        scheduled_for: "2026-11-24T02:30:00+00:00"
        time_started: 1795487400.015
        time_ended: 1795487404.402
        result: success
        actions:
          - action: backup
            result: success
            attempts: 1
            exit_code: 0
            message: "level 2 of pg: 412 files, 1.1 MB read, 18 KB stored in 4.3 s"
            duration: 4.3
        log: /var/log/coldchain/db-nightly/20261124T023000Z-b8ae392e.log
    progress:
      description:
        - What a run is doing at the moment; V(null) when the job does not run or waits for its next attempt.
        - C(action) and C(attempt) count from 1. C(bytes) and C(files) are done so far in what C(message) names, C(rate) is bytes
          a second. C(total) and C(eta_seconds) are V(null) where they cannot be known, as in an increment.
        - C(estimated) says that C(total) is taken from the last full backup.
      type: dict
      sample:
        run_id: 20261124T023000Z-b8ae392e
        action: 1
        attempt: 1
        message: writing level 2
        files: 11280
        bytes: 104857600
        total: null
        estimated: false
        rate: 26214400.0
        eta_seconds: null
        time: 1795487404.1
    document:
      description: The job document in canonical form.
      returned: when O(documents=true)
      type: dict
    runs:
      description: The records of the last runs, newest first.
      returned: when O(history) is more than 0
      type: list
      elements: dict
session:
  description:
    - How the newest run of the session went on this host. Runs for one slot have the same C(session_tag) on every host, so
      that the results of several hosts can be put together.
    - C(result) is V(running) while one of its jobs runs, V(fail) when one has failed or was aborted, V(success) when all have
      succeeded, and empty while not all of them have run. C(jobs) has the result of each with that tag.
  returned: when O(session_id) is given and a runner is installed
  type: dict
  sample:
    session_id: nightly
    session_tag: 1795487400
    result: success
    jobs:
      db-nightly: success
msg:
  description: What somebody should look at, in a line. In a failure, why.
  returned: always
  type: str
  sample: "3 jobs; fail: db-nightly; next is etc at 2026-11-25T02:30:00+00:00"
unknown:
  description: Those of O(job_id) that are not declared on this host.
  returned: success
  type: list
  elements: str
  sample: []
runner_alive:
  description: Whether the runner is at work. Nothing will start when it is not.
  returned: success
  type: bool
  sample: true
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.coldchain.freezer.plugins.module_utils._arguments import (
    home_options,
    secrets_options,
)
from ansible_collections.coldchain.freezer.plugins.module_utils._info import run_job_info


def main() -> None:
    """The module."""
    spec = dict(
        home_options(),
        **secrets_options(),
        job_id={"type": "list", "elements": "str"},
        status={"type": "str", "choices": ["scheduled", "running", "aborting", "stop", "removing"]},
        session_id={"type": "str"},
        documents={"type": "bool", "default": False},
        history={"type": "int", "default": 0},
    )
    run_job_info(AnsibleModule(argument_spec=spec, supports_check_mode=True))


if __name__ == "__main__":
    main()

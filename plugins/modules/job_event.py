#!/usr/bin/python
# Copyright: (c) 2026, coldchain.freezer contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: job_event
short_description: Start, stop, abort or remove a job of a host
version_added: 0.1.0
author:
  - coldchain.freezer contributors (@coldchain-freezer)
description:
  - Asks the runner of a host to do something with one of its jobs now, and can wait until that has come to its end.
  - To say how a job shall be from now on, declare it with M(coldchain.freezer.job). This module is for the moment.
extends_documentation_fragment:
  - coldchain.freezer._attributes
  - coldchain.freezer._attributes.changes
options:
  job_id:
    description:
      - Name of the job.
    type: str
    required: true
  event:
    description:
      - V(start) runs a scheduled job now; its schedule stays as it is. A running job goes on, and nothing changes.
      - V(start) lets a stopped job follow its schedule again. It runs at once only when its schedule has no later run, as that of a one-shot job.
      - V(stop) lets a run in progress come to its end and starts no further one until the job is started again.
      - V(abort) is V(stop) that also ends a run in progress. A second one ends it by force.
      - V(remove) takes the job out of the declarations, after a run in progress has ended. Its history and its backups are kept.
    type: str
    choices: [start, stop, abort, remove]
    required: true
  wait:
    description:
      - Wait until the runner has dealt with the event; for V(start) until the run has ended.
      - With V(start) the module then fails when the run fails, and shows the end of the run's log.
      - It fails as well when V(start) runs nothing, because it only lets a stopped job follow its schedule again; started once more, the job runs.
      - Waiting needs the runner to be up. Without it the event is kept until the runner is.
    type: bool
    default: false
  timeout:
    description:
      - Seconds to wait at most. The module fails after that; the run goes on.
    type: int
    default: 3600
attributes:
  check_mode:
    support: full
    details:
      - The answer of C(coldchain event --check). A job that is not declared yet is taken as one that an earlier task would have declared, with a warning.
  diff_mode:
    support: none
    details:
      - An event changes no declaration, except for V(remove).
  idempotent:
    support: partial
    details:
      - O(event=start) runs the job each time that it is not running already. The other events change nothing the second time.
seealso:
  - module: coldchain.freezer.job
  - module: coldchain.freezer.job_info
"""

EXAMPLES = r"""
- name: Back up before the upgrade, and go on only when that has succeeded
  coldchain.freezer.job_event:
    job_id: db-nightly
    event: start
    wait: true
    timeout: 7200

- name: No backups while the storage is being moved
  coldchain.freezer.job_event:
    job_id: srv-nightly
    event: stop

- name: End the run that is in the way
  coldchain.freezer.job_event:
    job_id: srv-nightly
    event: abort
    wait: true
"""

RETURN = r"""
job_id:
  description: Name of the job.
  returned: always
  type: str
  sample: db-nightly
event:
  description: The event that was asked for.
  returned: always
  type: str
  sample: start
msg:
  description: The same in a line, for people. In a failure, why.
  returned: always
  type: str
  sample: "db-nightly: success; level 2 of pg: 412 files, 1.1 MB read, 18 KB stored in 4.3 s"
job:
  description:
    - The job after the event, as M(coldchain.freezer.job_info) shows it; V(null) when there is none.
    - Without C(last_run) when that is RV(run).
    - When O(timeout) has passed, its C(progress) tells how far the run is; so does the message.
  returned: success, when O(timeout) has passed, or when V(start) has run nothing
  type: dict
run:
  description:
    - The record of the run that the event was about. V(null) when O(wait=false), or when there was none to wait for.
  returned: success, or when the run has failed
  type: dict
  sample:
    run_id: 20261124T013000Z-b8ae392e
    job_id: db-nightly
    cause: event
    scheduled_for: "2026-11-24T01:30:00+00:00"
    time_started: 1795483800.015
    time_ended: 1795483804.402
    result: success
    actions:
      - action: backup
        result: success
        attempts: 1
        exit_code: 0
        duration: 4.3
    log: /var/log/coldchain/db-nightly/20261124T013000Z-b8ae392e.log
log:
  description: The last lines of the run's log.
  returned: when the run has failed
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.coldchain.freezer.plugins.module_utils._arguments import home_options
from ansible_collections.coldchain.freezer.plugins.module_utils._events import run_event


def main() -> None:
    """The module."""
    spec = dict(
        home_options(),
        job_id={"type": "str", "required": True},
        event={"type": "str", "required": True, "choices": ["start", "stop", "abort", "remove"]},
        wait={"type": "bool", "default": False},
        timeout={"type": "int", "default": 3600},
    )
    run_event(AnsibleModule(argument_spec=spec, supports_check_mode=True))


if __name__ == "__main__":
    main()

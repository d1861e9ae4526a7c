#!/usr/bin/python
# Copyright: (c) 2026, coldchain.freezer contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: jobs
short_description: Declare all backup, restore and exec jobs of a host in one call
version_added: 0.1.0
author:
  - coldchain.freezer contributors (@coldchain-freezer)
description:
  - Declares a list of jobs in the OpenStack Freezer job format in one transaction. Either all of them are declared, or none when any is refused.
  - Every item is a job document; M(coldchain.freezer.job) documents its fields. One call for hundreds of jobs costs about as much as one for a single job.
  - With O(purge=true) the list is the whole truth, and jobs that it does not name are removed.
extends_documentation_fragment:
  - coldchain.freezer._attributes.secrets
  - coldchain.freezer._attributes
  - coldchain.freezer._attributes.changes
options:
  jobs:
    description:
      - The jobs. They are checked together and declared in one transaction, or none of them is.
      - Each is a job document, with the options of M(coldchain.freezer.job) as its fields, or whatever else C(coldchain apply) takes,
        such as a document of Freezer's API or scheduler.
      - C(state=absent) beside a C(job_id) takes that job out of the declarations.
      - Two jobs with one C(job_id) are refused.
    type: list
    elements: dict
    required: true
  purge:
    description:
      - Remove the jobs of this host that O(jobs) does not name, as if they were there with C(state=absent).
      - Their histories and their backups are kept.
    type: bool
    default: false
  allow_empty:
    description:
      - Let O(purge=true) remove every job of the host when O(jobs) declares none.
      - Without it such a task is refused, since an empty list is more often a misspelt variable than an intention.
    type: bool
    default: false
attributes:
  check_mode:
    support: full
    details:
      - On a host that has no runner yet the controller judges the jobs, and they are reported as ones that would be created, with a warning.
  diff_mode:
    support: full
    details:
      - Shows every changed job document before and after, and what the change does to its next runs.
  idempotent:
    support: full
    details:
      - A job without any time in its schedule runs once. Declaring it again does not run it again.
notes:
  - V(false) for an option that is a text means "not set", as in a job document.
  - Quote times of day such as C("18:00"). YAML reads them as a number otherwise.
seealso:
  - module: coldchain.freezer.job
  - module: coldchain.freezer.job_info
"""

EXAMPLES = r"""
- name: Declare the jobs that group_vars and host_vars define, and nothing else
  coldchain.freezer.jobs:
    jobs: "{{ backup_jobs }}"
    purge: true

- name: Declare two jobs and withdraw a third one
  coldchain.freezer.jobs:
    jobs:
      - job_id: etc-hourly
        job_actions:
          - freezer_action:
              action: backup
              path_to_backup: /etc
              backup_name: etc
              container: etc
              max_level: 23
        job_schedule:
          schedule_minute: "5"
      - job_id: home-nightly
        action_defaults:
          container: home
          exclude: ["*.iso", ".cache"]
        job_actions:
          - freezer_action:
              action: backup
              path_to_backup: /home
              backup_name: home
        job_schedule:
          schedule_hour: "1"
          schedule_splay: 2 hours
          blackout:
            - start: "07:00"
              end: "19:00"
              day_of_week: mon-fri
      - job_id: home-weekly
        state: absent
"""

RETURN = r"""
jobs:
  description:
    - The jobs of the task, and those that O(purge=true) has removed, with what has happened (or would happen, in check mode) to their declarations.
  returned: success
  type: list
  elements: dict
  contains:
    job_id:
      description: Name of the job.
      type: str
      sample: home-nightly
    change:
      description: What has happened to the declaration, one of V(created), V(updated), V(unchanged) and V(removed).
      type: str
      sample: created
    before:
      description: The job document as it was, in canonical form; V(null) when there was none.
      type: dict
    after:
      description: The job document as it is now, in canonical form; V(null) when there is none.
      type: dict
    next_runs:
      description: The next instants at which the job will run, in UTC.
      type: list
      elements: str
      sample: ["2026-11-25T00:17:40+00:00"]
undeclared:
  description:
    - The jobs of the host that O(jobs) does not name. They stay, and go on running, unless O(purge=true) has removed them.
  returned: success
  type: list
  elements: str
  sample: [www-of-last-year]
unchecked:
  description: That nobody has judged what the documents say, neither the host nor the controller.
  returned: in check mode, on a host without a runner, when the runner's code cannot run on the controller
  type: bool
  sample: true
errors:
  description: Everything that is wrong with the jobs, also to be read in C(msg).
  returned: when any job is refused
  type: list
  elements: dict
  contains:
    index:
      description: Position of the job in O(jobs), from V(0).
      type: int
      sample: 2
    job_id:
      description: Name of the job.
      type: str
      sample: db
    path:
      description: Place in the job document; empty when it is the job as a whole.
      type: str
      sample: job_schedule.schedule_minute
    message:
      description: What is wrong.
      type: str
      sample: "'99' is out of range"
    hint:
      description: What to write instead; empty when there is nothing to add.
      type: str
      sample: "allowed: 0-59"
"""

from ansible_collections.coldchain.freezer.plugins.module_utils._arguments import (
    JobModule,
    home_options,
    list_options,
    purge_options,
    secrets_options,
)
from ansible_collections.coldchain.freezer.plugins.module_utils._jobs import run_jobs


def main() -> None:
    """The module."""
    run_jobs(
        JobModule(
            own=dict(purge_options(), **home_options(), **secrets_options()),
            documents=list_options(),
        )
    )


if __name__ == "__main__":
    main()

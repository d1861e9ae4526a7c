#!/usr/bin/python
# Copyright: (c) 2026, coldchain.freezer contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: job
short_description: Declare one backup, restore or exec job of a host
version_added: 0.1.0
author:
  - coldchain.freezer contributors (@coldchain-freezer)
description:
  - Declares a job in the OpenStack Freezer job format. The runner on the host executes it on time and keeps the record.
  - The options are the fields of the job document, in the names of today's Freezer API; spellings of older releases are aliases.
  - A changed job applies from its next run. A run in progress keeps what it started with.
  - What a run leaves behind (its status, result and times) is no part of a declaration. Use M(coldchain.freezer.job_info) to see it.
  - For more than one job use M(coldchain.freezer.jobs), which declares all jobs of a host in one call.
extends_documentation_fragment:
  - coldchain.freezer._document
  - coldchain.freezer._attributes.secrets
  - coldchain.freezer._attributes
  - coldchain.freezer._attributes.changes
attributes:
  check_mode:
    support: full
    details:
      - On a host that has no runner yet the controller judges the job, and it is reported as one that would be created, with a warning.
  diff_mode:
    support: full
    details:
      - Shows the job document before and after, and what the change does to its next runs.
  idempotent:
    support: full
    details:
      - A job without any time in its schedule runs once. Declaring it again does not run it again.
notes:
  - V(false) for an option that is a text means "not set", as in a job document.
  - Quote times of day such as C("18:00"). YAML reads them as a number otherwise.
seealso:
  - module: coldchain.freezer.jobs
  - module: coldchain.freezer.job_event
  - module: coldchain.freezer.job_info
"""

EXAMPLES = r"""
- name: Back up /srv every night, with a full backup once a week
  coldchain.freezer.job:
    job_id: srv-nightly
    description: The web server's files
    job_actions:
      - freezer_action:
          action: backup
          path_to_backup: /srv
          backup_name: srv
          container: srv
          max_level: 6
    job_schedule:
      schedule_hour: "2"
      schedule_minute: "30"
      schedule_timezone: Europe/Berlin

- name: Dump the database, back the dump up, and remove it whatever happened
  coldchain.freezer.job:
    job_id: db-nightly
    job_actions:
      - freezer_action:
          action: exec
          command: [pg_dumpall, --file, /var/backups/pg/all.sql]
          user: postgres
        max_retries: 2
        max_retries_interval: 120
      - freezer_action:
          action: backup
          path_to_backup: /var/backups/pg
          backup_name: pg
          container: pg
      - freezer_action:
          action: exec
          command: [rm, -f, /var/backups/pg/all.sql]
        mandatory: true
    job_schedule:
      schedule_interval: 1 days
      schedule_start_date: "2026-01-01T03:00:00"

- name: Restore one directory as it was on a certain evening, once and now
  coldchain.freezer.job:
    job_id: restore-srv
    job_actions:
      - freezer_action:
          action: restore
          backup_name: srv
          container: srv
          restore_abs_path: /srv/restored
          restore_from_date: "2026-03-14T20:00:00"

- name: Take a job out of the declarations; its history and its backups are kept
  coldchain.freezer.job:
    job_id: srv-nightly
    state: absent
"""

RETURN = r"""
job:
  description: The job and what has happened (or would happen, in check mode) to its declaration.
  returned: success
  type: dict
  contains:
    job_id:
      description: Name of the job.
      type: str
      sample: srv-nightly
    change:
      description: What has happened to the declaration, one of V(created), V(updated), V(unchanged) and V(removed).
      type: str
      sample: updated
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
      sample: ["2026-11-25T01:30:00+00:00", "2026-11-26T01:30:00+00:00"]
unchecked:
  description: That nobody has judged what the documents say, neither the host nor the controller.
  returned: in check mode, on a host without a runner, when the runner's code cannot run on the controller
  type: bool
  sample: true
errors:
  description: Everything that is wrong with the job, also to be read in C(msg).
  returned: when the job is refused
  type: list
  elements: dict
  contains:
    index:
      description: Position of the job in the task, always V(0) for this module.
      type: int
      sample: 0
    job_id:
      description: Name of the job.
      type: str
      sample: srv-nightly
    path:
      description: Place in the job document.
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
    document_options,
    home_options,
    identity_options,
    secrets_options,
)
from ansible_collections.coldchain.freezer.plugins.module_utils._jobs import run_job


def main() -> None:
    """The module."""
    run_job(
        JobModule(
            own=dict(identity_options(), **home_options(), **secrets_options()),
            documents=document_options(),
        )
    )


if __name__ == "__main__":
    main()

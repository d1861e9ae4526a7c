#!/usr/bin/python
# Copyright: (c) 2026, coldchain.freezer contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: restore
short_description: Restore a backup on a host
version_added: 0.1.0
author:
  - coldchain.freezer contributors (@coldchain-freezer)
description:
  - Brings a backup back, or some paths of it, as it was last or at any earlier point in time, to where it came from or elsewhere.
  - The runner of the host does it. A lost connection does not end it, and C(coldchain history) keeps it on record.
    The same task run again while it goes on waits for it and starts no other one.
  - Name a job of the host that writes the backup with O(job_id), or the backup itself with O(container), O(backup_name) and
    O(restore_abs_path). What is not set is taken from the job.
extends_documentation_fragment:
  - coldchain.freezer._attributes
  - coldchain.freezer._attributes.changes
  - coldchain.freezer._document.restore
options:
  job_id:
    description:
      - A job of this host that writes the backup. Container, name and password file are taken from it, and its path when
        O(restore_abs_path) is not set.
      - When it writes several backups, O(backup_name) or O(container) chooses one.
    type: str
  wait:
    description:
      - Wait until the restore has ended, and fail when it fails.
    type: bool
    default: true
  timeout:
    description:
      - Seconds to wait at most. The module fails after that; the restore goes on.
    type: int
    default: 3600
attributes:
  check_mode:
    support: full
    details:
      - The answer of C(coldchain restore --dry-run), which reads the backup's lists of files and the names in the target.
      - A job that is not declared yet, or a runner that is not installed yet, is a warning.
  diff_mode:
    support: full
    details:
      - The names of the files, those that come out of the backup with its time.
      - It costs a dry run before the restore.
  idempotent:
    support: none
    details:
      - A restore brings back every file that it is about, each time. Whether a file in the target is still what the backup holds is
        nothing that its size and time can tell. Without O(overwrite) a target that holds something is refused.
seealso:
  - module: coldchain.freezer.backup_info
  - module: coldchain.freezer.job_info
"""

EXAMPLES = r"""
- name: What would come back, and what would be replaced?
  coldchain.freezer.restore:
    job_id: www
    overwrite: true
  check_mode: true
  register: looked

- name: Back to where it came from, as it was last
  coldchain.freezer.restore:
    job_id: www
    overwrite: true

- name: One directory, as it was on Saturday evening, beside the original
  coldchain.freezer.restore:
    job_id: www
    restore_from_date: "2026-11-21T20:00:00"
    restore_paths: [htdocs/shop]
    restore_abs_path: /srv/restored

- name: What another host has written, from a container that both can read
  coldchain.freezer.restore:
    container: /mnt/nas/pg
    backup_name: pg
    hostname: db1
    restore_abs_path: /srv/restored
    timeout: 14400
"""

RETURN = r"""
msg:
  description: What was restored, or would be, in one line; after a failure why, with the end of the log.
  returned: always
  type: str
  sample: "restored www as of 2026-11-21T02:30:00+00:00 (level 2): 412 files, 1.1 MB in 4.3 s to /srv/restored"
job_id:
  description:
    - What the restore is called on the host, for C(coldchain log), C(coldchain history), C(coldchain event) and M(coldchain.freezer.job_info).
    - V(null) in check mode.
  returned: success, or when the restore has failed
  type: str
  sample: restore:www
run:
  description:
    - The record of the run. Its action's C(report) has what was restored, in numbers.
    - V(null) in check mode and when O(wait=false).
  returned: success, or when the restore has failed
  type: dict
  sample:
    run_id: 20261124T013000Z-b8ae392e
    job_id: restore:www
    cause: event
    request:
      id: 5d0ff3c2a3d04c0b9d1f1c6f6c1f7f3a
      by: admin
    scheduled_for: "2026-11-24T01:30:00+00:00"
    time_started: 1795483800.015
    time_ended: 1795483804.402
    result: success
    actions:
      - action: restore
        result: success
        attempts: 1
        exit_code: 0
        message: "restored www as of 2026-11-21T02:30:00+00:00 (level 2): 412 files, 1.1 MB in 4.3 s to /srv/restored"
        duration: 4.3
    log: /var/log/coldchain/restore:www/20261124T013000Z-b8ae392e.log
created:
  description: The files that were not there, C(count) of them; C(names) has the first 1,000, relative to the target.
  returned: when the backup can be read, in check mode, and in diff mode once it is restored
  type: dict
  sample:
    count: 1
    names: [htdocs/index.html]
replaced:
  description: The files that were there and come out of the backup, in the same form.
  returned: when the backup can be read, in check mode, and in diff mode once it is restored
  type: dict
left_alone:
  description: The files in the target that the backup does not hold, and that stay as they are, in the same form.
  returned: when the backup can be read, in check mode, and in diff mode once it is restored
  type: dict
point:
  description:
    - What is restored. C(source) has the fields that lead another host to the same backup, which can read it where the storage
      is not V(local); C(chain) is the time of the full backup that it builds on, C(time) its own.
  returned: when the backup can be read, in check mode, and in diff mode once it is restored
  type: dict
  sample:
    source:
      storage: local
      container: /var/backups/coldchain/www
      hostname: web1
      backup_name: www
    chain: 1795487400
    level: 2
    time: "2026-11-21T02:30:00+00:00"
    time_stamp: 1795489200
log:
  description: The last lines of the restore's log.
  returned: when the restore has failed
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.coldchain.freezer.plugins.module_utils._arguments import (
    home_options,
    restore_options,
)
from ansible_collections.coldchain.freezer.plugins.module_utils._restore import run_restore


def main() -> None:
    """The module."""
    spec = dict(
        home_options(),
        **restore_options(),
        job_id={"type": "str"},
        wait={"type": "bool", "default": True},
        timeout={"type": "int", "default": 3600},
    )
    run_restore(AnsibleModule(argument_spec=spec, supports_check_mode=True))


if __name__ == "__main__":
    main()

#!/usr/bin/python
# Copyright: (c) 2026, coldchain.freezer contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: backup_info
short_description: The backups that a host can restore
version_added: 0.1.0
author:
  - coldchain.freezer contributors (@coldchain-freezer)
description:
  - Returns the backups that lie in a container, in one call, and says of each whether it can be restored.
  - A backup that freezer-agent has written is listed as well.
extends_documentation_fragment:
  - coldchain.freezer._attributes
  - coldchain.freezer._attributes.reads
options:
  container:
    description:
      - Look into this container only. A relative one lies under the host's directory for containers.
      - When neither it nor O(job_id) is set, every container of the host's jobs is looked into, and what else lies in that directory,
        as the backups of a job that was removed.
    type: str
  backup_name:
    description:
      - Return only backups of this name.
    type: str
  hostname:
    description:
      - Return only backups that this host has made.
    type: str
  job_id:
    description:
      - Return only what the backup actions of this job write.
    type: str
seealso:
  - module: coldchain.freezer.job
  - module: coldchain.freezer.job_info
"""

EXAMPLES = r"""
- name: Which backups of the database are there?
  coldchain.freezer.backup_info:
    job_id: db-nightly
  register: found

- name: Refuse to go on without one that can be restored
  ansible.builtin.assert:
    that: found.backups | selectattr("restorable") | list | length > 0

- name: The newest backup has been read in full within the last week
  ansible.builtin.assert:
    that:
      - (newest.verified or {}).how | default("never") == "full"
      - (now(utc=true) - (newest.verified.time | to_datetime("%Y-%m-%dT%H:%M:%S+00:00"))).days < 7
  vars:
    newest: "{{ found.backups | sort(attribute='time_stamp') | last | default({'verified': none}) }}"
"""

RETURN = r"""
backups:
  description: The backups.
  returned: success
  type: list
  elements: dict
  contains:
    storage:
      description: Where the container lies, as in a job's action; V(local) is the host's own disk.
      type: str
      sample: local
    container:
      description: Directory that holds the backup.
      type: str
      sample: /var/backups/coldchain/pg
    hostname:
      description: Host that has made it.
      type: str
      sample: db1
    backup_name:
      description: Name of the backup.
      type: str
      sample: pg
    chain:
      description: The chain of a full backup and its increments that it belongs to, as the time of the full one in seconds since 1970.
      type: int
      sample: 1795487400
    level:
      description: Level in the chain; V(0) is a full backup.
      type: int
      sample: 2
    time:
      description: When it was made, in UTC.
      type: str
      sample: "2026-11-24T02:30:00+00:00"
    time_stamp:
      description: The same in seconds since 1970, as it stands in the backup's name.
      type: int
      sample: 1795487400
    size:
      description: Bytes that it takes in the container.
      type: int
      sample: 18231
    files:
      description: Number of files in it; V(null) when that is not recorded.
      type: int
      sample: 412
    engine:
      description: Engine that has written it.
      type: str
      sample: tar
    compression:
      description: How it is compressed.
      type: str
      sample: gzip
    encrypted:
      description: Whether a password is needed to restore it.
      type: bool
      sample: false
    encrypt_scheme:
      description: How it is encrypted; V(null) when it is not.
      type: str
    restorable:
      description: Whether it and everything that it builds on is there, and was not found damaged when all of it was read.
      type: bool
      sample: true
    reason:
      description: Why it cannot be restored; empty when it can.
      type: str
      sample: ""
    ahead:
      description: Whether its time lies ahead of the clock of this host, as of one that was made under a wrong clock.
      type: bool
      sample: false
    verified:
      description:
        - When C(coldchain verify) on this host has last checked it and all that it builds on; V(null) when it never has.
        - C(how) is V(full) when every byte was read, V(quick) when chain and sizes were looked at. C(result) is V(sound) or V(damaged).
      type: dict
      sample:
        time: "2026-11-24T04:00:12+00:00"
        how: full
        result: sound
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.coldchain.freezer.plugins.module_utils._arguments import home_options
from ansible_collections.coldchain.freezer.plugins.module_utils._info import run_backup_info


def main() -> None:
    """The module."""
    names = ("container", "backup_name", "hostname", "job_id")
    spec = dict(home_options(), **{name: {"type": "str"} for name in names})
    run_backup_info(AnsibleModule(argument_spec=spec, supports_check_mode=True))


if __name__ == "__main__":
    main()

#!/usr/bin/python
# Copyright: (c) 2026, coldchain.freezer contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: status_info
short_description: Is this host protected?
version_added: 0.1.0
author:
  - coldchain.freezer contributors (@coldchain-freezer)
description:
  - Returns in one call whether a host is protected. The state of every job with its reasons, the points in time that can be
    restored, the runner, what no job covers, and what to do.
  - A host that is not protected is an answer and no failure; RV(msg) says in one line what a person wants to know.
extends_documentation_fragment:
  - coldchain.freezer._attributes
  - coldchain.freezer._attributes.reads
options:
  days:
    description:
      - Return the runs of the last so many days as well, and what the next 7 days bring.
    type: int
  ledger_entry:
    description:
      - Return as well which digest the entry of the ledger with this number has now. Whoever has noted RV(ledger) before
        compares it, as M(coldchain.freezer.fleet_report) does; the lookup P(coldchain.freezer.report_ledgers#lookup)
        says which number a host is to be asked for.
    type: int
  as_text:
    description:
      - Return all of it but RV(msg) as one JSON text, RV(text). It is for plays that pass it on as it is, with the
        runs of many hosts, because Ansible looks at every value of a result.
    type: bool
    default: false
seealso:
  - module: coldchain.freezer.job_info
  - module: coldchain.freezer.backup_info
"""

EXAMPLES = r"""
- name: Is this host protected?
  coldchain.freezer.status_info:
  register: status

- name: Stop the play when it is not
  ansible.builtin.assert:
    that: status.protected
    fail_msg: "{{ status.msg }}"

- name: Also with the runs of a month
  coldchain.freezer.status_info:
    days: 30

- name: The same, to be read by a filter
  coldchain.freezer.status_info:
    days: 30
    as_text: true
"""

RETURN = r"""
msg:
  description: Whether the host is protected, and else the first thing that needs somebody.
  returned: always
  type: str
  sample: "web1 is not protected: job www: failed: its last run failed 3 h 2 min ago: path_to_backup /srv/www does not exist; and 1 more"
text:
  description: Everything below, as JSON.
  returned: when O(as_text=true)
  type: str
  sample: '{"host": "web1", "protected": true}'
host:
  description: The host's name in job documents (C(client_id)).
  returned: when a runner is installed
  type: str
  sample: web1
time:
  description: When it was asked, in UTC.
  returned: when a runner is installed
  type: str
  sample: "2026-11-25T06:30:00+00:00"
protected:
  description:
    - No job needs somebody, every backup job that has succeeded has a point in time that can be restored, a runner is at work, and
      no other of RV(findings) is critical.
  returned: success unless O(as_text=true)
  type: bool
  sample: false
runner:
  description: Whether a runner is at work (C(alive)), its C(version), and C(since) when; the last two are V(null) when it is not known.
  returned: success unless O(as_text=true)
  type: dict
  sample:
    alive: true
    version: 0.1.0
    since: "2026-11-20T08:00:00+00:00"
jobs:
  description: The declared jobs.
  returned: success unless O(as_text=true)
  type: list
  elements: dict
  contains:
    job_id:
      description: Name of the job.
      type: str
      sample: www
    state:
      description:
        - The first of these that holds - V(unusable), V(stopped), V(failed), V(stale), V(late), V(never), V(running), V(ok).
        - V(ok) and V(running) need nobody, and neither does V(stopped) by a declaration.
      type: str
      sample: failed
    reasons:
      description: Everything that holds of the job, the decisive one first.
      type: list
      elements: str
      sample: ["its last run failed 3 h 2 min ago: path_to_backup /srv/www does not exist"]
    stopped_by:
      description: What stops the job (C(what), C(who), C(when)), as M(coldchain.freezer.job_info) returns it; V(null) when nothing does.
      type: dict
    result:
      description: Result of the last run; empty when there was none.
      type: str
      sample: fail
    last_success:
      description: When the last success ended, in UTC; V(null) when there was none.
      type: str
      sample: "2026-11-24T02:31:10+00:00"
    age_seconds:
      description: Seconds since then.
      type: int
      sample: 100730
    expect_success_within:
      description: How old it may be before the job is V(stale), in seconds; V(null) when nothing is expected.
      type: int
      sample: 90670
    next_run:
      description: When the job runs next, in UTC; V(null) when it does not.
      type: str
      sample: "2026-11-26T02:30:00+00:00"
    last_run:
      description: The record of the last finished run, as M(coldchain.freezer.job_info) returns it; V(null) when there was none.
      type: dict
series:
  description: What the jobs back up, a row for each job and backup.
  returned: success unless O(as_text=true)
  type: list
  elements: dict
  contains:
    job_id:
      description: The job that writes it.
      type: str
      sample: www
    storage:
      description: Where the container lies.
      type: str
      sample: local
    container:
      description: The container.
      type: str
      sample: /var/backups/coldchain/www
    backup_name:
      description: Name of the backup.
      type: str
      sample: www
    hostname:
      description: Host that has made it.
      type: str
      sample: web1
    points:
      description: How many points in time there are.
      type: int
      sample: 9
    restorable:
      description: How many of them can be restored.
      type: int
      sample: 9
    newest:
      description: The newest that can be restored, in UTC; V(null) when none can.
      type: str
      sample: "2026-11-24T02:30:00+00:00"
    oldest:
      description: The oldest that can be restored, in UTC; V(null) when none can.
      type: str
      sample: "2026-11-16T02:30:00+00:00"
    verified:
      description: When one of them was last found sound by C(coldchain verify) on this host, in UTC; V(null) when that never was.
      type: str
      sample: "2026-11-24T04:00:12+00:00"
    bytes:
      description: Bytes that they take in the container.
      type: int
      sample: 91231882
    error:
      description: Why it is not known what can be restored; V(null) when it is.
      type: str
uncovered:
  description:
    - Database servers that run and directories of note that no job covers, each with its C(kind) (V(path) or V(service)), C(what) and C(why).
    - They do not change whether the host is protected. C(coldchain_uncovered_ignore) of role runner takes what needs no job.
  returned: success unless O(as_text=true)
  type: list
  elements: dict
  sample:
    - kind: path
      what: /srv
      why: no job backs it up (3 entries)
findings:
  description:
    - What somebody should know, with C(severity) (V(critical), V(warning) or V(info); the critical ones first), C(about), C(text) and C(remedy).
  returned: success unless O(as_text=true)
  type: list
  elements: dict
  sample:
    - severity: critical
      about: job www
      text: "failed: its last run failed 3 h 2 min ago: path_to_backup /srv/www does not exist"
      remedy: coldchain log www tells more
ledger:
  description:
    - The record of who did what on the host. Kept elsewhere, C(coldchain ledger verify --seen ENTRIES:HEAD) tells later whether
      it still is the same one. V(null) as long as it has no entry.
  returned: when a runner is installed
  type: dict
  contains:
    entries:
      description: How many entries it has.
      returned: always
      type: int
      sample: 4711
    head:
      description: The SHA-256 of the last one.
      returned: always
      type: str
      sample: 71dc888f89d9b5c2a40cfa15c7ab6e0ecc7be1ac4c4bd7e1a0e5c9a1f3b3d8ce
    entry:
      description: The entry that was asked for, C(number), and its SHA-256, C(digest), which is V(null) when it is not there or was given up.
      returned: when O(ledger_entry) is given
      type: dict
      sample:
        number: 4650
        digest: 0b2d1f0b0e6f9c1f2f3b7b5a4e4f6c7d8e9fa0b1c2d3e4f5061728394a5b6c7d
    renewed:
      description: When it was begun in the place of one that C(coldchain ledger renew) has put aside; V(null) when it was not.
      returned: when O(ledger_entry) is given
      type: str
      sample: "2026-11-24T09:00:00+00:00"
runs:
  description:
    - The runs of every job, oldest first, in rows of C(columns) - C(started) in seconds since 1970, C(seconds), C(result), C(bytes)
      that were stored, C(session_tag) and C(session_id).
  returned: when O(days) is given and a runner is installed
  type: list
  elements: dict
  sample:
    - job_id: www
      columns: [started, seconds, result, bytes, session_tag, session_id]
      rows:
        - [1795487400, 70, success, 91231882, null, null]
coming:
  description:
    - What the next C(days) bring. C(jobs), each with its C(schedule) in words, C(zone), the C(seconds) that its last run took, and rows of
      C(columns), when it runs (C(at)) and for which C(slot), in seconds since 1970; C(often) says that it runs more than 144 times a day, and
      then no row is listed.
    - C(clock_changes) of the zones with runs on such a day, and C(collisions), the first time that a job would have to wait for another one
      or would lose a run (C(kind), C(job_id), C(at)).
  returned: when O(days) is given and a runner is installed
  type: dict
  sample:
    days: 7
    jobs:
      - job_id: www
        schedule: at 02:30 every day (Europe/Berlin)
        zone: Europe/Berlin
        seconds: 70
        often: false
        columns: [at, slot]
        rows:
          - [1795570200, 1795570200]
    clock_changes: []
    collisions:
      - kind: lock_wait
        job_id: www
        at: "2026-11-26T01:30:00+00:00"
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.coldchain.freezer.plugins.module_utils._arguments import home_options
from ansible_collections.coldchain.freezer.plugins.module_utils._info import run_status_info


def main() -> None:
    """The module."""
    spec = dict(
        home_options(),
        days={"type": "int"},
        ledger_entry={"type": "int"},
        as_text={"type": "bool", "default": False},
    )
    run_status_info(AnsibleModule(argument_spec=spec, supports_check_mode=True))


if __name__ == "__main__":
    main()

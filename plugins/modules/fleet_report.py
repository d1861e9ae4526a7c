#!/usr/bin/python
# Copyright: (c) 2026, coldchain.freezer contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: fleet_report
short_description: A fleet's backups as one HTML file and as JSON
version_added: 0.1.0
author:
  - coldchain.freezer contributors (@coldchain-freezer)
description:
  - Writes two files on the controller from what M(coldchain.freezer.status_info) has returned for each host.
  - The HTML file holds everything it shows; it loads nothing, and browsers are told to let it load nothing.
  - The next report reads the JSON file. Hosts that do not answer then are shown as they were, and a ledger that has lost entries or has
    others in their place is found, which nothing on the host itself could be trusted to tell.
  - Of a ledger that has grown the answer has to tell the entry that the report before has seen last (O(coldchain.freezer.status_info#module:ledger_entry)).
    Otherwise the host has a warning.
  - It runs on the controller, and connects to no host.
extends_documentation_fragment:
  - coldchain.freezer._attributes.controller
options:
  path:
    description:
      - The HTML file. Its directory has to be there. Others than its owner cannot read it.
    type: path
    required: true
  json:
    description:
      - The JSON file. By default it lies beside O(path), with C(.json) in the place of C(.html).
    type: path
  previous:
    description:
      - The JSON file of the report to compare with. By default the one that is in the place of O(json), if any. With an empty text nothing is
        compared.
    type: str
  answers:
    description:
      - The registered result of M(coldchain.freezer.status_info) for each host, by the host's name, best with O(ignore:as_text=true). A host
        without an answer is one that needs somebody.
    type: dict
    required: true
  days:
    description:
      - The days whose runs are shown, which is what M(coldchain.freezer.status_info) was asked for.
    type: int
    default: 30
  accept:
    description:
      - Hosts whose ledgers are taken as they are now, after somebody has found out why they were altered.
    type: list
    elements: str
    default: []
seealso:
  - module: coldchain.freezer.status_info
"""

EXAMPLES = r"""
- name: Ask every host
  coldchain.freezer.status_info:
    days: 90
    ledger_entry: "{{ lookup('coldchain.freezer.report_ledgers', '/srv/reports/backups.html')[inventory_hostname] | default(omit) }}"
    as_text: true
  register: answer
  failed_when: false
  ignore_unreachable: true

- name: Write the report
  coldchain.freezer.fleet_report:
    path: /srv/reports/backups.html
    days: 90
    answers: "{{ dict(ansible_play_hosts_all | zip(ansible_play_hosts_all | map('extract', hostvars) | map(attribute='answer', default={}))) }}"
  run_once: true
"""

RETURN = r"""
msg:
  description: How many hosts need somebody, and which.
  returned: always
  type: str
  sample: "1 of 12 hosts need somebody: web1"
path:
  description: The HTML file.
  returned: success
  type: str
  sample: /srv/reports/backups.html
json:
  description: The JSON file.
  returned: success
  type: str
  sample: /srv/reports/backups.json
protected:
  description: Whether nothing needs somebody.
  returned: success
  type: bool
  sample: false
altered:
  description: What is wrong with ledgers, a line for each host.
  returned: success
  type: list
  elements: str
  sample: ["web1: its ledger had 812 entries and has 640 now"]
"""

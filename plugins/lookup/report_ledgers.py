# Copyright: (c) 2026, coldchain.freezer contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: report_ledgers
short_description: What a report has seen of the ledgers of its hosts
version_added: 0.1.0
author:
  - coldchain.freezer contributors (@coldchain-freezer)
description:
  - Reads the JSON file of the report before, and returns for each host the number of the last entry that its ledger had then.
  - M(coldchain.freezer.status_info) takes that number as O(coldchain.freezer.status_info#module:ledger_entry). Its answer tells
    M(coldchain.freezer.fleet_report) whether the ledger goes on from what it was, or was written anew and has grown since.
options:
  _terms:
    description: The HTML file of the report, as O(coldchain.freezer.fleet_report#module:path).
    type: list
    elements: str
    required: true
  json:
    description: As O(coldchain.freezer.fleet_report#module:json).
    type: path
  previous:
    description: As O(coldchain.freezer.fleet_report#module:previous).
    type: str
seealso:
  - module: coldchain.freezer.fleet_report
"""

EXAMPLES = r"""
- name: Ask for what the report before has seen
  coldchain.freezer.status_info:
    days: 30
    ledger_entry: "{{ lookup('coldchain.freezer.report_ledgers', '/srv/reports/backups.html')[inventory_hostname] | default(omit) }}"
    as_text: true
  register: answer
"""

RETURN = r"""
_raw:
  description: For each report the numbers of the last entries, by the names of the hosts. Without a report before there are none.
  type: list
  elements: dict
"""

import typing as t

from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase
from ansible.utils.path import unfrackpath
from ansible_collections.coldchain.freezer.plugins.plugin_utils._report_before import Previous
from ansible_collections.coldchain.freezer.plugins.plugin_utils._report_files import (
    files_of,
    read_before,
)


class LookupModule(LookupBase):
    """See DOCUMENTATION."""

    def run(self, terms: t.Any, variables: t.Any = None, **kwargs: t.Any) -> list[dict[str, int]]:
        """The numbers of each report."""
        self.set_options(var_options=variables, direct=kwargs)
        made = []
        for path in terms:
            try:
                _page, data = files_of(unfrackpath(path, follow=False), self.get_option("json"))
                before = read_before(data, self.get_option("previous"))
            except ValueError as error:
                raise AnsibleLookupError(str(error)) from None
            made.append(Previous(before or {}).entries())
        return made

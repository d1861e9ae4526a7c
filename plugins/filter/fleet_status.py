# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: fleet_status
short_description: A fleet at a glance
version_added: 0.1.0
author:
  - coldchain.freezer contributors (@coldchain-freezer)
description:
  - Makes a table, JSON and JUnit's XML of what M(coldchain.freezer.status_info) has returned for each host, worst first.
  - A host that could not be reached, or whose task has failed, is one that needs somebody.
positional: _input
options:
  _input:
    description: The registered result of M(coldchain.freezer.status_info) for each host, by the host's name.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Show the fleet
  ansible.builtin.debug:
    msg: "{{ (answers | coldchain.freezer.fleet_status).table }}"
  vars:
    answers: "{{ dict(ansible_play_hosts_all | zip(ansible_play_hosts_all | map('extract', hostvars, 'answer'))) }}"
"""

RETURN = r"""
_value:
  description:
    - C(protected), whether nothing needs somebody. C(summary), one line. C(table), lines, worst first, with one for each thing that needs
      somebody, and for the first warnings of each host. C(json), for programs. C(junit), JUnit's XML with a suite for each host and a case
      for each job and backup.
  type: dict
"""

import typing as t

from ansible.errors import AnsibleFilterError
from ansible_collections.coldchain.freezer.plugins.plugin_utils._fleet import overview


def fleet_status(answers: t.Any) -> dict[str, t.Any]:
    """The filter."""
    if not isinstance(answers, t.Mapping):
        raise AnsibleFilterError("fleet_status: not a dictionary of results by host")
    return overview(answers)


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, t.Any]:
        """By name."""
        return {"fleet_status": fleet_status}

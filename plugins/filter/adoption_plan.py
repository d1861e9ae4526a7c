# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: adoption_plan
short_description: What taking over a freezer-scheduler comes to
version_added: 0.1.0
author:
  - coldchain.freezer contributors (@coldchain-freezer)
description:
  - Converts the jobs that playbook C(coldchain.freezer.adopt) has found on a host, and says what becomes of each.
  - The documents may hold secrets; what is for people holds none.
positional: _input
options:
  _input:
    description: What C(freezer_scheduler.py look) of the playbook has answered on the host.
    type: dict
    required: true
  client_id:
    description: The host's name in the runner's settings, when it is not its own.
    type: str
    default: ""
  credentials_file:
    description: The file on the host with the secrets of storages that want one.
    type: str
    default: ""
"""

EXAMPLES = r"""
- name: Show what would become of the jobs
  ansible.builtin.debug:
    msg: "{{ (answer | coldchain.freezer.adoption_plan).lines }}"
"""

RETURN = r"""
_value:
  description:
    - C(documents), for M(coldchain.freezer.jobs), and C(yaml) with the same for the inventory. C(lines), one for each action.
    - C(notes), what means other than it did. C(skipped), what is no job here, with the reason. C(problems), why nothing can be taken over.
  type: dict
"""

import typing as t

from ansible.errors import AnsibleFilterError
from ansible_collections.coldchain.freezer.plugins.plugin_utils._adoption import AdoptionError, plan


def adoption_plan(
    found: t.Any, client_id: str = "", credentials_file: str = ""
) -> dict[str, t.Any]:
    """The filter."""
    if not isinstance(found, t.Mapping) or "files" not in found:
        raise AnsibleFilterError("adoption_plan: not what was found on a host")
    try:
        return plan(found, client_id=client_id, credentials_file=credentials_file)
    except AdoptionError as error:
        raise AnsibleFilterError(f"adoption_plan: {error}") from None


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, t.Any]:
        """By name."""
        return {"adoption_plan": adoption_plan}

# Copyright: (c) 2026, coldchain.freezer contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: declared_jobs
short_description: The jobs that the lists of a host declare
version_added: 0.1.0
author:
  - coldchain.freezer contributors (@coldchain-freezer)
description:
  - Merges C(freezer_jobs) and every variable C(freezer_jobs_SOMETHING) that the host has, in the order of their names; of two documents with
    one C(job_id) the later one wins as a whole.
  - Jobs that name a slot get their place in it, as C(schedule_splay) and C(schedule_offset). The places follow from the job lists of all
    hosts of the inventory, whatever hosts the play is limited to.
  - The role P(coldchain.freezer.jobs#role) uses it.
options:
  state:
    description: As for the role. With V(absent) there is no runner to declare jobs to, and the lists are not looked at.
    type: str
    choices: [present, absent]
    default: present
  slots:
    description: The slots by their names, as in C(coldchain_slots) of the role.
    type: raw
  status:
    description: Files that say how long runs take, as in C(coldchain_slots_status) of the role.
    type: list
    elements: path
    default: []
  ignore_old_names:
    description: Whether variables with the old names of the role are another role's.
    type: bool
    default: false
seealso:
  - plugin: coldchain.freezer.slots
    plugin_type: lookup
"""

EXAMPLES = r"""
- name: Which jobs would this host get?
  ansible.builtin.debug:
    msg: "{{ lookup('coldchain.freezer.declared_jobs', slots=coldchain_slots).jobs | map(attribute='job_id') }}"
"""

RETURN = r"""
_raw:
  description: One dictionary. C(jobs), the documents, and C(problems), a list of texts with nothing but names in them.
  type: list
  elements: dict
"""

import typing as t

from ansible.plugins.lookup import LookupBase
from ansible_collections.coldchain.freezer.plugins.plugin_utils._old_names import renamed
from ansible_collections.coldchain.freezer.plugins.plugin_utils._slot_fleet import (
    has_slot,
    is_list,
    list_names,
    merged,
)

NEW_NAMES = {
    "jobs_purge": "coldchain_jobs_purge",
    "jobs_allow_empty": "coldchain_jobs_allow_empty",
    "jobs_home": "coldchain_home",
}


class LookupModule(LookupBase):
    """See DOCUMENTATION."""

    def run(
        self, terms: t.Any, variables: dict[str, t.Any] | None = None, **kwargs: t.Any
    ) -> list[dict[str, t.Any]]:
        """One dictionary; terms are not looked at."""
        self.set_options(var_options=variables, direct=kwargs)
        variables = variables or {}
        jobs: list[t.Any] = []
        problems = [] if self.get_option("ignore_old_names") else renamed(variables, NEW_NAMES)
        if self.get_option("state") == "present":
            names = list_names(variables)
            lists = {name: self._templar.template(variables[name]) for name in names}
            wrong = [name for name in names if not is_list(lists[name])]
            problems += [f"{name} must be a list of job documents." for name in wrong]
            jobs = [] if wrong else merged(lists)
        if any(map(has_slot, jobs)):
            placed = self._placed(jobs, variables)
            jobs, problems = placed["jobs"], problems + placed["problems"]
        return [{"jobs": jobs, "problems": problems}]

    def _placed(self, jobs: list[t.Any], variables: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
        # What most hosts do without costs the others nothing.
        from ansible_collections.coldchain.freezer.plugins.plugin_utils._slot_inventory import (
            Inventory,
        )

        inventory = Inventory(variables, self.get_option("slots"), self.get_option("status"))
        try:
            return inventory.placed(str(variables["inventory_hostname"]), jobs)
        except ValueError as error:
            return {"jobs": jobs, "problems": [str(error)]}

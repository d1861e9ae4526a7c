# Copyright: (c) 2026, coldchain.freezer contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: slots
short_description: The place of each job in the slots that hosts share
version_added: 0.1.0
author:
  - coldchain.freezer contributors (@coldchain-freezer)
description:
  - Tells the place of each job of the inventory that names a slot, and what the calendar of all jobs comes to. The places follow from the
    job lists (C(freezer_jobs), C(freezer_jobs_SOMETHING)) of all hosts of the inventory, whatever hosts the play is limited to.
  - The playbook C(coldchain.freezer.slots) uses it. P(coldchain.freezer.declared_jobs#lookup) gives the jobs of one host their places.
options:
  slots:
    description:
      - The slots by their names. Each has C(at_once), how many runs there may be at the same time, C(within), the length of the window,
        and C(lasts), how long a run takes where no measure of it is given (10 minutes).
      - Without it what the hosts' variable C(coldchain_slots) says.
    type: raw
  status:
    description: Files of the controller that the playbooks C(coldchain.freezer.status) (C(coldchain_status_json)) and C(coldchain.freezer.report)
      (its JSON) have written. The longest run of a job in them is how long the job is taken to last.
    type: list
    elements: path
    default: []
  days:
    description: How many days the calendar goes through.
    type: int
    default: 7
"""

EXAMPLES = r"""
- name: Where is every job of the fleet in its slot?
  ansible.builtin.debug:
    msg: "{{ lookup('coldchain.freezer.slots').table }}"
"""

RETURN = r"""
_raw:
  description:
    - One dictionary. C(problems), a list of texts, C(table), lines, C(slots), for each the C(places) (C(host), C(job_id), C(offset) in
      seconds), C(calendar), what C(coldchain simulate) answers, or nothing when it cannot run on the controller, and C(held), whether no
      slot has more runs at once than it may.
  type: list
  elements: dict
"""

import typing as t

from ansible.plugins.lookup import LookupBase
from ansible_collections.coldchain.freezer.plugins.plugin_utils._slot_inventory import Inventory
from ansible_collections.coldchain.freezer.plugins.plugin_utils._slot_plan import plan


class LookupModule(LookupBase):
    """See DOCUMENTATION."""

    def run(
        self, terms: t.Any, variables: dict[str, t.Any] | None = None, **kwargs: t.Any
    ) -> list[dict[str, t.Any]]:
        """One dictionary; terms are not looked at."""
        self.set_options(var_options=variables, direct=kwargs)
        inventory = Inventory(variables or {}, self.get_option("slots"), self.get_option("status"))
        return [plan(*inventory.whole(), days=self.get_option("days"))]

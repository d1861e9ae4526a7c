# Copyright: (c) 2026, coldchain.freezer contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: bundle
short_description: The runner's release that this collection brings to hosts
version_added: 0.1.0
author:
  - coldchain.freezer contributors (@coldchain-freezer)
description:
  - Returns what the role P(coldchain.freezer.runner#role) would install, as the archive's description says it.
  - In a collection from a tarball or Galaxy the archive is there. In a git checkout it is built on the controller first when it is
    missing or a source has changed, which needs pip and a package index once.
"""

EXAMPLES = r"""
- name: Which release would hosts get?
  ansible.builtin.debug:
    msg: "{{ lookup('coldchain.freezer.bundle').release }}"
"""

RETURN = r"""
_raw:
  description: One dictionary with C(release), C(version), C(sha256) and the like.
  type: list
  elements: dict
"""

import typing as t

from ansible.plugins.lookup import LookupBase
from ansible_collections.coldchain.freezer.plugins.plugin_utils._bundle import bundle


class LookupModule(LookupBase):
    """See DOCUMENTATION."""

    def run(self, terms: t.Any, variables: t.Any = None, **kwargs: t.Any) -> list[dict[str, t.Any]]:
        """One description; terms are not looked at."""
        return [bundle()]

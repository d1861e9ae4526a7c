#!/usr/bin/python
# Copyright: (c) 2026, coldchain.freezer contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: runner_plan
short_description: What the role runner has to do on a host
version_added: 0.1.0
author:
  - coldchain.freezer contributors (@coldchain-freezer)
description:
  - Looks at a host with one command of its shell, as C(ansible.builtin.raw) would run it, and works out on the controller what the role
    P(coldchain.freezer.runner#role) has to do there. Changes nothing.
  - It needs no Python on the host. It fails with everything that the host lacks and that is wrong with the options, each with its remedy.
  - What the options do not say, the settings and the unit, it takes from the variables of the role, which begin with C(coldchain_).
  - It is the first task of the role. There is no need to call it elsewhere.
extends_documentation_fragment:
  - coldchain.freezer._attributes.controller
options:
  state:
    description:
      - The C(coldchain_state) of the role.
    type: str
    choices: [present, absent]
    default: present
  purge_data:
    description:
      - The C(coldchain_purge_data) of the role.
    type: bool
    default: false
  rollback:
    description:
      - The C(coldchain_rollback) of the role.
    type: bool
    default: false
  home:
    description:
      - The C(coldchain_home) of the role, as the host knows the path.
    type: str
    default: ""
  command:
    description:
      - The C(coldchain_command) of the role.
    type: str
    default: ""
  python:
    description:
      - The C(coldchain_python) of the role.
    type: str
    default: ""
  containers_dir:
    description:
      - The C(coldchain_containers_dir) of the role.
    type: str
    default: ""
  service_enabled:
    description:
      - The C(coldchain_service_enabled) of the role.
    type: bool
    default: true
  service_state:
    description:
      - The C(coldchain_service_state) of the role.
    type: str
    choices: [started, stopped]
    default: started
  credentials:
    description:
      - The C(coldchain_credentials) of the role. Neither they nor their digests are returned or shown.
    type: list
    elements: dict
    default: []
  ignore_old_names:
    description:
      - The C(coldchain_ignore_old_names) of the role.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Look at the host
  coldchain.freezer.runner_plan:
    home: "{{ coldchain_home }}"
  register: plan

- name: Is there something to do?
  ansible.builtin.debug:
    var: plan.todo
"""

RETURN = r"""
msg:
  description:
    - What is to do, as in RV(todo), or that there is nothing.
    - In check mode, for a host that has no runner, what would be installed; nothing else is returned then.
    - When it fails, all that is in the way.
  returned: always
  type: raw
  sample: Nothing is left to do.
todo:
  description: What the host does not say of itself and would, were it as it shall be.
  returned: success
  type: list
  elements: str
  sample: ["current=0.1.0-a36adcc58c17", "started=yes"]
host:
  description: What the host says of itself, but for its credentials.
  returned: success
  type: dict
  sample: {"python": "/usr/bin/python3", "tar": "gnu", "systemd": "yes"}
places:
  description: Where things are on the host.
  returned: success
  type: dict
  sample: {"command": "/usr/local/bin/coldchain", "etc": "/etc/coldchain"}
release:
  description: The release that shall be the current one.
  returned: success, with O(state=present)
  type: str
  sample: 0.1.0-a36adcc58c17
release_dir:
  description: Its directory.
  returned: success, with O(state=present)
  type: str
  sample: /opt/coldchain/releases/0.1.0-a36adcc58c17
previous:
  description: The release to go back to, empty when there is none.
  returned: success, with O(state=present)
  type: str
  sample: ""
outdated:
  description: Releases that nobody goes back to.
  returned: success, with O(state=present)
  type: list
  elements: str
  sample: []
"""

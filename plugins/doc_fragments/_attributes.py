# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: may change in any release.

"""What every module says about itself in the same words."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  home:
    description:
      - The directory of a single-directory installation, as the role's variable C(coldchain_home) made it.
      - When it is not set, the system's installation is used.
    type: path
attributes:
  action_group:
    description: Use C(group/coldchain.freezer.coldchain) in C(module_defaults) to set defaults for this module.
    support: full
    membership:
      - coldchain.freezer.coldchain
  platform:
    description: Target operating systems and families.
    support: full
    platforms: posix
requirements:
  - Python 3.9 or newer on the host.
  - The coldchain runner on the host; the role P(coldchain.freezer.runner#role) installs it.
"""

    # A module that returns documents.
    SECRETS = r"""
options:
  show_secrets:
    description:
      - Return documents with the secrets that they hold.
      - Otherwise hidden are the values of C(environment), passwords in URLs, and what follows the name of a secret in a C(command).
      - Neither the host's log nor the invocation that C(-vvv) shows holds a document.
      - The items of a C(loop) are shown by Ansible itself, with C(-vvv) in spite of a C(label). Loop over names, or use
        M(coldchain.freezer.jobs), which needs no loop.
    type: bool
    default: false
"""

    # A module that changes the host.
    CHANGES = r"""
attributes:
  check_mode:
    description: Can run in C(check_mode) and return the changed status prediction without modifying the host.
  diff_mode:
    description: Returns what has changed (or would change, in C(check_mode)) when in diff mode.
  idempotent:
    description: When run twice in a row outside C(check_mode) with the same arguments, the second run reports no change.
"""

    # An info module.
    READS = r"""
attributes:
  check_mode:
    description: Can run in C(check_mode) and return the changed status prediction without modifying the host.
    support: full
    details:
      - This module reads and never changes anything.
      - On a host that has no runner yet it answers in C(check_mode) with empty lists and a warning, and fails otherwise.
  diff_mode:
    description: Returns what has changed (or would change, in C(check_mode)) when in diff mode.
    support: N/A
    details:
      - This module reads and never changes anything.
  idempotent:
    description: When run twice in a row outside C(check_mode) with the same arguments, the second run reports no change.
    support: full
    details:
      - This module reads and never changes anything.
"""

    # A module that works on the controller, for what other tasks then do.
    CONTROLLER = r"""
attributes:
  check_mode:
    description: Can run in check mode and says whether it would change anything, without writing.
    support: full
  diff_mode:
    description: Returns what has changed in diff mode.
    support: none
  platform:
    description: Where it runs.
    support: full
    platforms: posix
"""

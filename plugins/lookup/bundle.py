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

import fcntl
import functools
import json
import subprocess
import sys
import typing as t
from pathlib import Path

from ansible.errors import AnsibleError
from ansible.plugins.lookup import LookupBase

COLLECTION = Path(__file__).resolve().parents[2]
FILES = COLLECTION / "roles" / "runner" / "files"


# Once a process: a controller's processes that work on hosts are copies of one that may know it already.
@functools.cache
def bundle() -> dict[str, t.Any]:
    """The description of the bundle, which is built when it has to be; AnsibleError when it cannot."""
    manifest, archive = (FILES / f"coldchain-bundle.{end}" for end in ("json", "tar.gz"))
    # ansible-galaxy writes it; what it has installed is not edited.
    if (COLLECTION / "MANIFEST.json").exists() and manifest.exists() and archive.exists():
        return t.cast("dict[str, t.Any]", json.loads(manifest.read_text(encoding="utf-8")))
    script = FILES / "build_bundle.py"
    # Of all the hosts' processes one builds, and the others find it done.
    with script.open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = subprocess.run(
            [sys.executable, str(script)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode:
        raise AnsibleError(f"The runner's bundle cannot be built. {done.stderr.strip()}")
    return t.cast("dict[str, t.Any]", json.loads(done.stdout))


class LookupModule(LookupBase):
    """See DOCUMENTATION."""

    def run(self, terms: t.Any, variables: t.Any = None, **kwargs: t.Any) -> list[dict[str, t.Any]]:
        """One description; terms are not looked at."""
        return [bundle()]

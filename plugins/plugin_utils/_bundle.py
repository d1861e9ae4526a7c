# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: may change in any release.

"""The runner's release that this collection brings to hosts."""

from __future__ import annotations

import fcntl
import functools
import json
import subprocess
import sys
import typing as t
from pathlib import Path

from ansible.errors import AnsibleError
from ansible_collections.coldchain.freezer.plugins.plugin_utils._runner_code import BUNDLE, FILES

COLLECTION = Path(__file__).resolve().parents[2]
MANIFEST = FILES / "coldchain-bundle.json"


# Once a process: a controller's processes that work on hosts are copies of one that may know it already.
@functools.cache
def bundle() -> dict[str, t.Any]:
    """The description of the bundle, which is built when it has to be; AnsibleError when it cannot."""
    # ansible-galaxy writes it; what it has installed is not edited.
    if (COLLECTION / "MANIFEST.json").exists() and MANIFEST.exists() and BUNDLE.exists():
        return t.cast("dict[str, t.Any]", json.loads(MANIFEST.read_text(encoding="utf-8")))
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

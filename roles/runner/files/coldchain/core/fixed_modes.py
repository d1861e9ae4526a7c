# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""File systems on which owners and modes are a mount's: neither chmod nor chown mends them."""

from __future__ import annotations

import os
from pathlib import Path

_MOUNTS = Path("/proc/self/mountinfo")  # proc(5)
_MASK, _MODES = "umask=077", "file_mode=0600,dir_mode=0700"
#: By type: what lets nobody but one user in.
_OPTIONS = {
    **dict.fromkeys(("vfat", "msdos", "exfat", "ntfs", "ntfs3", "fuseblk", "hfsplus"), _MASK),
    **dict.fromkeys(("cifs", "smb3"), _MODES),
}


def mount_remedy(path: str | os.PathLike[str]) -> str:
    """How the file system of *path* is mounted for this user alone, where only that helps.

    Empty elsewhere.
    """
    try:
        number = os.stat(path).st_dev
        lines = _MOUNTS.read_text("utf-8", "surrogateescape").splitlines()
    except OSError:
        return ""
    device = f"{os.major(number)}:{os.minor(number)}"
    for fields in (line.split() for line in lines):
        kind = fields[fields.index("-") + 1]
        if fields[2] == device and kind in _OPTIONS:
            return (
                f"{kind} keeps no owners and modes, so chmod changes nothing: mount it with"
                f" uid={os.geteuid()},{_OPTIONS[kind]}"
            )
    return ""

# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""ACLs in the kernel's own form (linux/posix_acl_xattr.h): setfacl need not be there."""

from __future__ import annotations

import os
import struct
from collections.abc import Sequence
from pathlib import Path

ACCESS, DEFAULT = "system.posix_acl_access", "system.posix_acl_default"
#: Tags of entries.
USER, OWN_GROUP, GROUP = 0x02, 0x04, 0x08
_OWNER, _MASK, _OTHER, _NO_ONE = 0x01, 0x10, 0x20, 2**32 - 1


def acl(entries: Sequence[tuple[int, int, int]], *, group: int = 5, mask: int = 7) -> bytes:
    """entries: (USER or GROUP, rights, number); group: the rights of the own group."""
    rest = [(_OWNER, 7, _NO_ONE), (OWN_GROUP, group, _NO_ONE), (_MASK, mask, _NO_ONE)]
    order = sorted([*rest, *entries, (_OTHER, 0, _NO_ONE)])
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in order)


def set_acl(path: Path, raw: bytes, *, kind: str = ACCESS) -> None:
    os.setxattr(path, kind, raw)

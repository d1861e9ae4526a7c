# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who can put something else into a directory: by its owner, mode and group, and by its ACL."""

from __future__ import annotations

import contextlib
import grp
import os
import pwd
import stat
import struct
from collections.abc import Collection
from typing import NamedTuple

#: Among those who could change a way: more users than one can name.
ANYBODY = -1
_ACL = "system.posix_acl_access"
#: Tags and right of its entries (linux/posix_acl_xattr.h, linux/posix_acl.h).
_ACL_USER, _ACL_OWN_GROUP, _ACL_GROUP, _ACL_WRITE = 0x02, 0x04, 0x08, 0x02


def changers(folder: int, following: os.stat_result | None) -> set[int]:
    """``writers`` of the open *folder*."""
    status = os.fstat(folder)
    return writers(status, following, listed_writers(folder, status))


class Listed(NamedTuple):
    """Who may write a directory by its ACL, beside its owner and everybody.

    named: users (or ANYBODY) with an entry of their own; group: its own group may.
    """

    named: Collection[int] = ()
    group: bool = True


_BY_MODE = Listed()


def listed_writers(folder: int, status: os.stat_result) -> Listed:
    """Whom an ACL of the open *folder* lets write; without one its group, as the mode has it.

    What its default ACL says counts for nobody: it gives nothing in the directory itself, and what
    is made there gets no more of it than the mode leaves, with which it is made.
    """
    if not status.st_mode & stat.S_IWGRP:  # of a directory with an ACL that is its mask
        return _BY_MODE
    try:
        acl = os.getxattr(f"/proc/self/fd/{folder}", _ACL)
    except OSError:  # it has none
        return _BY_MODE
    entries = list(struct.iter_unpack("<HHI", acl[4:]))
    may = [(tag, number) for tag, rights, number in entries if rights & _ACL_WRITE]
    named = {number for tag, number in may if tag == _ACL_USER}
    if any(tag == _ACL_GROUP and number for tag, number in may):
        named.add(ANYBODY)
    return Listed(named, any(tag == _ACL_OWN_GROUP for tag, _unused in may))


def _group_writes(folder: os.stat_result, listed: Listed) -> bool:
    """Whether others can write *folder* because they are in its group."""
    by_mode = bool(folder.st_mode & stat.S_IWGRP) and listed.group
    return by_mode and not _private_group(folder.st_gid, folder.st_uid)


def writers(
    folder: os.stat_result, following: os.stat_result | None, listed: Listed = _BY_MODE
) -> set[int]:
    """Who can rename or replace an entry of *folder*; ANYBODY for more than its owners.

    following: the entry, None when it is still to be made; listed: ``listed_writers``.  In a
    directory with the sticky bit only the owner of the entry and that of the directory can.
    """
    found = {folder.st_uid}
    open_to_all = bool(folder.st_mode & stat.S_IWOTH) or _group_writes(folder, listed)
    if (open_to_all or listed.named) and folder.st_mode & stat.S_ISVTX:
        found |= {following.st_uid} if following is not None else set()
    else:
        found |= {*listed.named, *([ANYBODY] if open_to_all else [])}
    return found


def _private_group(group: int, user: int) -> bool:
    """Whether nobody but the *user* is in the *group*, as far as this host knows; or only root.

    A group of the user's own has the same number, or the same name.
    """
    if group == 0:
        return True
    with contextlib.suppress(KeyError):
        own, name = grp.getgrgid(group), pwd.getpwuid(user).pw_name
        return (group == user or own.gr_name == name) and set(own.gr_mem) <= {name}
    return group == user


def user_name(user: int) -> str:
    """The user for people: a name where it has one."""
    if user == ANYBODY:
        return "users other than its owner"
    try:
        return f"the user {pwd.getpwuid(user).pw_name}"
    except KeyError:
        return f"the user with the number {user}"


def who_gains(folder: int, file: os.stat_result) -> int | None:
    """Somebody (user id or ANYBODY) for whom we would read what that one may not; None for nobody.

    Who can write the open *folder*, by its mode or its ACL, could have put a *file* of somebody
    else there: a hard link, or what was renamed.
    """
    if file.st_mode & stat.S_IROTH:
        return None
    status = os.fstat(folder)
    if status.st_mode & stat.S_IWOTH:
        return ANYBODY
    listed = listed_writers(folder, status)
    read_by_group = file.st_gid == status.st_gid and file.st_mode & stat.S_IRGRP
    if _group_writes(status, listed) and not read_by_group:
        return ANYBODY
    could = {status.st_uid, *listed.named} - {0, os.geteuid(), file.st_uid}
    return min(could, default=None)

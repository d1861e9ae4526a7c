# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a restore would refuse a chain for, told from the lists of its levels before it is begun."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial

from coldchain.agent.engines.tar.restore.extract import judge, list_members
from coldchain.agent.engines.tar.restore.link_model import LinkModel, plain
from coldchain.agent.engines.tar.stored import fetch_group, gnu_tar, member_index
from coldchain.agent.engines.tar.stored.layout import DATA, ENTRIES
from coldchain.agent.engines.tar.stored.level_list import open_list
from coldchain.agent.engines.tar.stored.level_reader import StoredLevel, checked_blocks
from coldchain.agent.options import Encryption
from coldchain.agent.storages.base import Storage


def check_links(
    source: Callable[[StoredLevel], Storage],
    levels: Sequence[StoredLevel],
    encryption: Encryption | None,
) -> list[str]:
    """Raise JobFailed as the restore of *levels* does when one would write outside; warnings.

    The links that earlier levels have made stand for those of the tree.  Some of them are gone by
    then, which does no harm: tar lists each directory in each level, and one that is where a link
    was replaces it.  A level without a list, freezer-agent's, is read itself where it is small.
    source: from where a level is read.
    """
    links: set[bytes] = set()
    told: list[str] = []
    for number, level in enumerate(levels):
        before = links if number else None
        model = _read(source(level), level, encryption, before, _Links(links).add, told)
        if model is None:
            if levels[1:]:
                told.append(f"{level.place}: whether its links lead outside was not told")
            break
        if number:
            links.difference_update(model.check())
    return told


class _Links:
    """Keeps a set of links up to date with the members of a level."""

    def __init__(self, links: set[bytes]) -> None:
        self._links = links

    def add(self, members: Iterable[gnu_tar.Member]) -> None:
        """A member is a link from now on, or none any more."""
        for member in members:
            name = plain(member.name)
            target = plain(member.target) if member.kind == "h" and member.target else None
            if member.kind == "l" or target in self._links:
                self._links.add(name)
            elif member.kind != "d":
                self._links.discard(name)


def _read(
    storage: Storage,
    level: StoredLevel,
    encryption: Encryption | None,
    before: set[bytes] | None,
    add: Callable[[Iterable[gnu_tar.Member]], None],
    told: list[str],
) -> LinkModel | None:
    """What the *level* does to a tree with the links *before*, and let *add* see its members.

    before: None for a level that goes into an empty folder.  told: where a list is damaged, that is
    added.  None when the level is not read.
    """
    with open_list(storage, level, encryption) as index:
        if index is not None:
            # Once for each: all of them together would cost much memory.
            model = LinkModel(before or (), level.place)
            model.add(member_index.read(index))
            add(member_index.read(index))
            return model
    if ENTRIES in level.parts:
        told.append(f"{level.place}: its list of entries was damaged; a restore does without it")
    size = storage.size(level.path(DATA)) or 0
    if level.metadata.seal is not None or size > fetch_group.TOGETHER:
        return None
    source = partial(checked_blocks, storage, level)
    model = LinkModel((), level.place)
    if before is not None:
        # As where the kernel holds tar: whether it will is told by the restore.
        model = judge(before, level, source, encryption, held=True)
    list_members(level, source, encryption, lambda listing: add(gnu_tar.members(listing)))
    return model

# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a restore by this process would refuse a chain for, told before one is begun."""

from __future__ import annotations

import functools
import os
import subprocess
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from coldchain.agent.engines.tar.restore.extract import judge, list_members
from coldchain.agent.engines.tar.restore.extract_guard import everything
from coldchain.agent.engines.tar.restore.first_level import FirstLevel, read_first
from coldchain.agent.engines.tar.restore.link_model import LinkModel
from coldchain.agent.engines.tar.stored import fetch_group, gnu_tar, member_index
from coldchain.agent.engines.tar.stored.fetch_group import open_spool
from coldchain.agent.engines.tar.stored.layout import DATA, ENTRIES, Level
from coldchain.agent.engines.tar.stored.level_fetch import Source
from coldchain.agent.engines.tar.stored.level_list import open_list
from coldchain.agent.engines.tar.stored.level_reader import StoredLevel, checked_blocks
from coldchain.agent.options import Encryption
from coldchain.agent.process.contain import NAMESPACE, containment
from coldchain.agent.storages.base import Storage
from coldchain.core.errors import JobFailed


def kernel_holds(spool: Path | None) -> Callable[[], bool]:
    """Whether the kernel would keep tar in its folder, if this process restored: asked once.

    spool: a private directory, where that is tried; None: a temporary one.
    """

    @functools.cache
    def held() -> bool:
        with open_spool(spool) as folder:
            path = os.fsencode(os.path.realpath(f"/proc/self/fd/{folder}"))
            with containment(path, folder) as contained:
                subprocess.run(
                    contained.argv([gnu_tar.program(), "--version"]),
                    check=False,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    pass_fds=contained.pass_fds,
                    cwd=contained.working_directory,
                )
                return NAMESPACE in contained.given

    return held


class Refused(JobFailed):
    """A restore would refuse the level."""


class Foresight:
    """Judges the levels of a chain as they are read whole, each after the one it was made on.

    held: whether the kernel would keep tar in its folder.
    """

    def __init__(self, held: Callable[[], bool]) -> None:
        self._held = held
        self._links: dict[Level, set[bytes]] = {}

    def read(
        self,
        parent: Level | None,
        level: StoredLevel,
        source: Source,
        encryption: Encryption | None,
    ) -> None:
        """Let tar read *level* to its end, and judge it if *parent*, its own, was read before.

        Raises JobFailed when it cannot be read, Refused as a restore would refuse it.
        """
        before = None if parent is None else self._links.get(parent)
        if before is not None:
            self._links[level.level] = _after(judge(before, level, source, encryption, self._held))
            return
        first = read_first(
            lambda reader: list_members(level, source, encryption, reader.take), level.place
        )
        if level.level.number == 0:
            self._links[level.level] = _checked(first)


def check_links(
    source: Callable[[StoredLevel], Storage],
    levels: Sequence[StoredLevel],
    encryption: Encryption | None,
    held: Callable[[], bool],
    selected: Callable[[bytes], bool] = everything,
) -> list[str]:
    """Raise JobFailed as the restore of *levels* does when one would write outside; warnings.

    The links that earlier levels have made stand for those of the tree.  Some of them are gone by
    then, which does no harm: tar lists each directory in each level, and one that is where a link
    was replaces it.  A level without a list, freezer-agent's, is read itself where it is small.
    source: from where a level is read; held: whether the kernel would keep tar in its folder;
    selected: which names are restored.
    """
    links: set[bytes] | None = None
    told: list[str] = []
    for level in levels:
        links = _read(source(level), level, encryption, links, told, held, selected)
        if links is None:
            if levels[1:]:
                told.append(f"{level.place}: whether its links lead outside was not told")
            break
    return told


def _read(
    storage: Storage,
    level: StoredLevel,
    encryption: Encryption | None,
    before: set[bytes] | None,
    told: list[str],
    held: Callable[[], bool],
    selected: Callable[[bytes], bool],
) -> set[bytes] | None:
    """The links after the *level* in a tree with the links *before*.

    before: None for a level that goes into an empty folder.  told: where a list is damaged, that is
    added.  None when the level is not read.
    """
    with open_list(storage, level, encryption) as index:
        if index is not None:
            if before is None:
                listed: int = index
                return _checked(
                    read_first(
                        lambda reader: reader.add(member_index.read(listed)), level.place, selected
                    )
                )
            model = LinkModel(before, level.place)
            model.add(member_index.read(index))
            return _after(model)
    if ENTRIES in level.parts:
        told.append(f"{level.place}: its list of entries was damaged; a restore does without it")
    size = storage.size(level.path(DATA)) or 0
    if level.metadata.seal is not None or size > fetch_group.TOGETHER:
        return None
    source = partial(checked_blocks, storage, level)
    if before is not None:
        return _after(judge(before, level, source, encryption, held))
    return _checked(
        read_first(
            lambda reader: list_members(level, source, encryption, reader.take),
            level.place,
            selected,
        )
    )


def _after(model: LinkModel) -> set[bytes]:
    """The links after the level that *model* has read; Refused when a restore would refuse it."""
    try:
        return model.links.difference(model.check())
    except JobFailed as error:
        raise Refused(error.message, error.hint) from None


def _checked(first: FirstLevel) -> set[bytes]:
    """The links after the level 0 that was read; Refused when tar would refuse it."""
    try:
        first.check()
    except JobFailed as error:
        raise Refused(error.message, error.hint) from None
    return first.links

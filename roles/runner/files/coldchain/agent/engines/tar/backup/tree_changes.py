# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What of the source is not as in the list of the level before, and which of it tar has stored."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Iterable

from coldchain.agent.engines.tar.backup.source_tree import Tree
from coldchain.agent.engines.tar.stored import snapshot, tree_list

_NAMES = re.compile(rb"[^ ]+ [^ ]+ [^ ]+ ([^\0]+)\0")


class Differences:
    """In what the source differs from a list.

    fresh: names by folder that the list lacks or has otherwise, joined by zeros, which takes a
    third of the memory of a set; old: those among them that tar would take for stored; stale:
    members that are left out now although the list has them.
    """

    def __init__(self) -> None:
        self.fresh: dict[bytes, bytes] = {}
        self.old: list[bytes] = []
        self.stale: list[bytes] = []

    def names(self, folder: bytes) -> set[bytes]:
        """The fresh names of *folder*."""
        joined = self.fresh.get(folder)
        return set(joined.split(b"\0")) if joined else set()


def compare(
    before: Iterable[tuple[bytes, bytes]],
    tree: Tree,
    begun: int,
    anew: Collection[bytes] = (),
    *,
    links: bool = True,
) -> Differences:
    """What of *tree* is not as in the list *before* (folders and their records).

    begun: when the level of the list was begun, by the clock of then, nanoseconds; anew: folders
    that tar will save with all that is in them; links: files with several names are stored as
    such, so that all names have to be fresh when one of them is.
    """
    differences = Differences()
    left = set(tree.blocks)
    for folder, block in before:
        now = tree.blocks.get(folder)
        if now is None or folder not in left or folder in anew:
            continue
        left.remove(folder)
        out = tree.left_out.get(folder)
        if block == now and not out:
            continue
        then = frozenset(block.split(b"\0"))
        differing = [record for record in now.split(b"\0") if record not in then]
        known: dict[bytes, bytes] = {}
        if out or (differing and b"?" in block):
            known = dict(map(tree_list.split, block.split(b"\0")[:-1]))
        fresh = []
        for record in differing:
            name, facts = tree_list.split(record)
            if facts.startswith(b"d") or _same(known.get(name), facts):
                continue
            fresh.append(name)
            if all(int(moment) < begun for moment in facts.split(b" ")[1:]):
                differences.old.append(folder + b"/" + name)
        if fresh:
            differences.fresh[folder] = b"\0".join(fresh)
        differences.stale += [folder + b"/" + name for name in out or () if name in known]
    for folder in left:
        recorded = tree.blocks[folder].split(b"\0")[:-1]
        if recorded:
            differences.fresh[folder] = b"\0".join(
                tree_list.split(record)[0] for record in recorded
            )
    if links and tree.links:
        _join_links(tree, differences)
    return differences


def _join_links(tree: Tree, differences: Differences) -> None:
    """Let all names of a file be fresh when one of them is."""
    folders = {folder for places in tree.links.values() for folder, _other in places}
    fresh = {folder: differences.names(folder) for folder in folders}
    for places in tree.links.values():
        if any(name in fresh[folder] for folder, name in places):
            for folder, name in places:
                fresh[folder].add(name)
    differences.fresh.update(
        {folder: b"\0".join(names) for folder, names in fresh.items() if names}
    )


def _same(then: bytes | None, now: bytes) -> bool:
    """Whether two facts agree; "?" stands for what was not recorded."""
    if then == now or then is None:
        return then is not None
    if b"?" not in then:
        return False
    old, new = then[1:].split(b" "), now[1:].split(b" ")
    if then[:1] not in (b"?", now[:1]):
        return False
    for one, other in zip(old, new):
        if one.endswith(b"?"):
            # Whole seconds, or nothing at all.
            if not other.startswith(one[:-1]) or (len(one) > 1 and len(other) - len(one) != 8):
                return False
        elif one != other:
            return False
    return True


def settle(
    tree: Tree,
    found: Differences,
    snar: int,
    *,
    unreadable: Collection[bytes],
    vanished: Collection[bytes],
    replaced: Collection[bytes] = (),
    first: bool,
) -> None:
    """Let *tree* and the snapshot in *snar*, as tar has left it, hold only what is stored.

    unreadable, vanished: members that tar could not save; replaced: folders that did not stay what
    they were; first: it is a level 0, so nothing was stored before.
    """
    # tar has noted what lies in a directory before it saves any of it.
    lost = {*replaced, *tree.folders.keys() & {*unreadable, *vanished}}
    if lost:
        lies_in = within(lost)
        snapshot.drop(snar, set(filter(lies_in, snapshot.folders(snar))))
        for folder in list(filter(lies_in, tree.blocks)):
            del tree.blocks[folder]
    unread, gone, mounted = map(_by_folder, (unreadable, vanished, tree.elsewhere))
    recorded: set[bytes] = set()

    def entries(folder: bytes, names: list[bytes]) -> list[bytes] | None:
        block = tree.blocks.get(folder)
        if block is None:
            return None
        recorded.add(folder)
        out = tree.left_out.get(folder, {})
        fresh = found.names(folder)
        bad, missing, foreign = (part.get(folder, set()) for part in (unread, gone, mounted))
        doubtful = out or bad or missing or (first and any(map(_is_old, names)))
        if fresh and not doubtful:
            unsaved = {entry[1:] for entry in names if _is_old(entry)}
            doubtful = not unsaved.isdisjoint(fresh)
        if not doubtful and set(_NAMES.findall(block)) == {entry[1:] for entry in names}:
            return None
        records = {tree_list.split(record)[0]: record for record in block.split(b"\0")[:-1]}
        kept, stored = [], [tree_list.unknown(name) for name in bad]
        for entry in names:
            name = entry[1:]
            if name in bad or name in missing:
                continue
            record = records.get(name)
            if _is_old(entry):
                if not first and record is None and name not in out and name not in foreign:
                    stored.append(tree_list.unknown(name))
                # What tar calls old is stored if the list has had it as it is.
                if first or record is None or name in fresh:
                    continue
            kept.append(entry)
            if record is not None:
                stored.append(record + b"\0")
            else:
                stored.append(out.get(name) or tree_list.unknown(name))
        tree.blocks[folder] = b"".join(stored)
        return kept

    snapshot.edit(snar, entries)
    if recorded:
        for folder in tree.blocks.keys() - recorded:
            del tree.blocks[folder]


def within(folders: Collection[bytes]) -> Callable[[bytes], bool]:
    """Whether a folder is one of *folders* or lies in one.

    A tree may be thousands of folders deep: looked at is only what is as long as one of *folders*.
    """
    lengths = sorted({len(name) for name in folders})

    def lies_in(folder: bytes) -> bool:
        """Whether *folder* does."""
        return any(
            folder[length : length + 1] in (b"", b"/") and folder[:length] in folders
            for length in lengths
        )

    return lies_in


def _by_folder(members: Iterable[bytes]) -> dict[bytes, set[bytes]]:
    found: dict[bytes, set[bytes]] = {}
    for member in members:
        found.setdefault(os.path.dirname(member) or b".", set()).add(os.path.basename(member))
    return found


def _is_old(entry: bytes) -> bool:
    return entry.startswith(b"N")

# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The list of all that the source held when a level was made, and was stored by then.

tar judges by time alone: older than the last backup is stored.  That is not so for what was left
out then, or could not be read, or lay below a mount, and not after a clock was set or other content
was put in the place.  So each level keeps this list (the part tree.gz), and the next one compares
the source with it.

    coldchain-tree-1
    FOLDER NUL (KIND SIZE " " MTIME " " CTIME " " NAME NUL)... NUL ...

FOLDER is "." or "./a/b"; KIND one of - d l p c b s; SIZE in bytes (devices: their number);
MTIME and CTIME in nanoseconds.  Of directories only the name counts: tar saves them every time.
KIND u is what could not be read, or came while tar was at work: it may be stored or not, and the
next level saves it.  A directory that has no FOLDER of its own could not be looked into.

A restore ends with what the list of its last level holds (``settled_tree``).
"""

from __future__ import annotations

import os
import re
import stat
import weakref
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator, MutableMapping
from pathlib import Path

from coldchain.agent.engines.tar import snapshot
from coldchain.agent.engines.tar.layout import STAGE
from coldchain.core.errors import DataError

_HEADER = b"coldchain-tree-1\n"
_GZIP, _LEVEL, _PIECE = 31, 1, 1 << 20
_KINDS = {
    stat.S_IFREG: b"-",
    stat.S_IFDIR: b"d",
    stat.S_IFLNK: b"l",
    stat.S_IFIFO: b"p",
    stat.S_IFCHR: b"c",
    stat.S_IFBLK: b"b",
    stat.S_IFSOCK: b"s",
}
#: A list of names that hardly differ is compressed to a hundredth.
_LEAST, _RATIO = 1 << 22, 200
_FORMAT = 0o170000
_NAMES = re.compile(rb"[^ ]+ [^ ]+ [^ ]+ ([^\0]+)\0")
_LEFTOVER = STAGE.encode("ascii")
#: The kind of what may be stored or not.
UNKNOWN = b"u"
#: Folder and name of an entry.
Place = tuple[bytes, bytes]


class Blocks(MutableMapping[bytes, bytes]):
    """The records of each folder, in a file in memory that is none of this process's own."""

    def __init__(self) -> None:
        self._file = os.memfd_create("tree")
        weakref.finalize(self, os.close, self._file)
        self._places: dict[bytes, tuple[int, int]] = {}
        self._end = 0

    def __getitem__(self, folder: bytes) -> bytes:
        offset, size = self._places[folder]
        return os.pread(self._file, size, offset)

    def __setitem__(self, folder: bytes, records: bytes) -> None:
        snapshot.append(self._file, records)
        self._places[folder] = self._end, len(records)
        self._end += len(records)

    def __delitem__(self, folder: bytes) -> None:
        del self._places[folder]

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)

    @property
    def largest(self) -> int:
        """Bytes of the records of the largest folder."""
        return max((size for _other, size in self._places.values()), default=0)


class Tree:
    """The source as it is, by folder.

    blocks: the records of each folder, as they are written, none for what is mounted; folders:
    their inodes; left_out: the records of what is excluded; elsewhere: members on other file
    systems that are no directories; links: all places of each file that has several names;
    entries: how many things of it that are no directories are stored; size: the bytes of the files
    among them, each counted once.
    """

    def __init__(self) -> None:
        self.blocks = Blocks()
        self.folders: dict[bytes, int] = {}
        self.left_out: dict[bytes, dict[bytes, bytes]] = {}
        self.elsewhere: list[bytes] = []
        self.links: dict[tuple[int, int], list[Place]] = {}
        self.entries = self.size = 0


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


def walk(
    source: Path,
    *,
    follow: bool = False,
    skip: Collection[bytes] = (),
    excluded: Callable[[bytes], bool] | None = None,
) -> Tree:
    """The tree below *source*, a directory or a single file, on its file system.

    follow: links are followed; skip: exact members that stay out; excluded: tells of others.
    """
    tree = Tree()
    top = os.fsencode(source)
    status = os.stat(top)
    if not stat.S_ISDIR(status.st_mode):
        name = os.path.basename(top)
        link = os.lstat(top)
        tree.blocks[b"."] = _record(os.stat(top) if follow else link, name, link.st_ctime_ns)
        tree.entries, tree.size = 1, status.st_size
        return tree
    tree.folders[b"."] = status.st_ino
    waiting = [(b".", top, status.st_dev)]
    chosen = bool(skip) or excluded is not None
    while waiting:
        folder, path, device = waiting.pop()
        try:
            with os.scandir(path) as listing:
                entries = list(listing)
        except OSError:  # tar tells what cannot be read
            continue
        records, folders, size = [], 0, 0
        for entry in entries:
            name = entry.name
            try:
                status = entry.stat(follow_symlinks=follow)
            except OSError:
                continue
            if chosen or name.startswith(_LEFTOVER):
                member = folder + b"/" + name
                out = member in skip or name.startswith(_LEFTOVER)
                if out or (excluded is not None and excluded(member)):
                    tree.left_out.setdefault(folder, {})[name] = _record(status, name)
                    continue
            kind = status.st_mode & _FORMAT
            if kind == stat.S_IFDIR:
                member = folder + b"/" + name
                records.append(b"d0 0 0 %b\0" % name)
                folders += 1
                tree.folders[member] = status.st_ino
                if status.st_dev == device:
                    waiting.append((member, entry.path, device))
                else:
                    tree.blocks[member] = b""
            elif status.st_dev != device:
                tree.elsewhere.append(folder + b"/" + name)
            elif kind == stat.S_IFREG and status.st_nlink == 1 and not follow:
                times = status.st_mtime_ns, status.st_ctime_ns
                size += status.st_size
                records.append(b"-%d %d %d %b\0" % (status.st_size, *times, name))
            else:
                changed = 0
                if follow and entry.is_symlink():
                    # Another target may look the same; the link has changed, though.
                    changed = entry.stat(follow_symlinks=False).st_ctime_ns
                records.append(_record(status, name, changed))
                places = []
                if status.st_nlink > 1:
                    places = tree.links.setdefault((status.st_dev, status.st_ino), [])
                    places.append((folder, name))
                if kind == stat.S_IFREG and len(places) <= 1:
                    size += status.st_size
        tree.blocks[folder] = b"".join(records)
        tree.entries += len(records) - folders
        tree.size += size
    return tree


def _record(status: os.stat_result, name: bytes, changed: int = 0) -> bytes:
    """changed: nanoseconds; what was changed later than its inode, was so then."""
    kind = _KINDS.get(status.st_mode & _FORMAT, b"-")
    if kind == b"d":
        return b"d0 0 0 %b\0" % name
    size = status.st_rdev if kind in b"cb" else status.st_size
    changed = max(changed, status.st_ctime_ns)
    return b"%b%d %d %d %b\0" % (kind, size, status.st_mtime_ns, changed, name)


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
            known = dict(map(_split, block.split(b"\0")[:-1]))
        fresh = []
        for record in differing:
            name, facts = _split(record)
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
            differences.fresh[folder] = b"\0".join(_split(record)[0] for record in recorded)
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


def names(block: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Kind and name of each record in the *block* of a folder; DataError when it holds others."""
    for record in block.split(b"\0")[:-1]:
        name, facts = _split(record)
        yield facts[:1], name


def _split(record: bytes) -> tuple[bytes, bytes]:
    """(name, facts) of a record."""
    *facts, name = record.split(b" ", 3)
    if len(facts) != 3:
        raise DataError("tree.gz: not a record")
    return name, b" ".join(facts)


def settle(
    tree: Tree,
    found: Differences,
    snar: int,
    *,
    unreadable: Iterable[bytes],
    vanished: Iterable[bytes],
    first: bool,
) -> None:
    """Let *tree* and the snapshot in *snar*, as tar has left it, hold only what is stored.

    unreadable, vanished: members that tar could not save; first: it is a level 0, so nothing was
    stored before.
    """
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
        records = {_split(record)[0]: record for record in block.split(b"\0")[:-1]}
        kept, stored = [], [_unknown(name) for name in bad]
        for entry in names:
            name = entry[1:]
            if name in bad or name in missing:
                continue
            record = records.get(name)
            if _is_old(entry):
                if not first and record is None and name not in out and name not in foreign:
                    stored.append(_unknown(name))
                # What tar calls old is stored if the list has had it as it is.
                if first or record is None or name in fresh:
                    continue
            kept.append(entry)
            if record is not None:
                stored.append(record + b"\0")
            else:
                stored.append(out.get(name) or _unknown(name))
        tree.blocks[folder] = b"".join(stored)
        return kept

    snapshot.edit(snar, entries)
    if recorded:
        for folder in tree.blocks.keys() - recorded:
            del tree.blocks[folder]


def _by_folder(members: Iterable[bytes]) -> dict[bytes, set[bytes]]:
    found: dict[bytes, set[bytes]] = {}
    for member in members:
        found.setdefault(os.path.dirname(member) or b".", set()).add(os.path.basename(member))
    return found


def _unknown(name: bytes) -> bytes:
    return b"%b0 0 0 %b\0" % (UNKNOWN, name)


def _is_old(entry: bytes) -> bool:
    return entry.startswith(b"N")


def write(tree: Tree, descriptor: int) -> None:
    """Write *tree*, compressed, to *descriptor*."""
    packer = zlib.compressobj(_LEVEL, wbits=_GZIP)
    snapshot.append(descriptor, packer.compress(_HEADER))
    for folder, block in tree.blocks.items():
        snapshot.append(descriptor, packer.compress(b"%b\0%b\0" % (folder, block)))
    snapshot.append(descriptor, packer.flush())


def read(descriptor: int, largest: int, *, whole: bool = False) -> Iterator[tuple[bytes, bytes]]:
    """The folders in *descriptor* with their records; DataError when it is something else.

    largest: bytes of the records of the largest folder today.  Of one that held far more, which
    also a hostile list could say, not all records are told; whole: that is an error, too.
    """
    most = _LEAST + 2 * largest
    header, kept, held = True, [b""], 0
    for piece in _pieces(descriptor):
        ended = b"\0\0" in piece or (kept[-1].endswith(b"\0") and piece.startswith(b"\0"))
        if not ended:
            if held < most:
                kept.append(piece)
                held += len(piece)
            elif whole:
                raise DataError("tree.gz: a folder holds more than any does")
            else:
                # The rest of this folder is not wanted; its end may begin here.
                kept[-1] = kept[-1][:-1] + piece[-1:]
            continue
        text = b"".join([*kept, piece])
        if header:
            if not text.startswith(_HEADER):
                raise DataError("tree.gz: not a list of coldchain")
            text, header = text[len(_HEADER) :], False
        *folders, rest = text.split(b"\0\0")
        kept, held = [rest], len(rest)
        for block in folders:
            folder, _unused, records = block.partition(b"\0")
            yield folder, records + b"\0" if records else b""
    if header or kept != [b""]:
        raise DataError("tree.gz: ends in the middle")


def _pieces(descriptor: int) -> Iterator[bytes]:
    unpacker = zlib.decompressobj(wbits=_GZIP)
    room = _LEAST + _RATIO * os.fstat(descriptor).st_size
    try:
        for block in snapshot.blocks(descriptor, _PIECE):
            while piece := unpacker.decompress(block, _PIECE):
                block = unpacker.unconsumed_tail
                room -= len(piece)
                if room < 0:
                    raise DataError("tree.gz: unpacks to more than any list")
                yield piece
    except zlib.error as error:
        raise DataError(f"tree.gz: {error}") from None
    if not unpacker.eof:
        raise DataError("tree.gz: ends in the middle")

# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Running stored levels through tar: listing and extracting, every byte checked."""

from __future__ import annotations

import os
import re
import stat
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress

from coldchain.agent.engines.tar.restore import open_tree, staging
from coldchain.agent.engines.tar.restore.extract_guard import (
    below,
    everything,
    links,
    selection,
)
from coldchain.agent.engines.tar.restore.first_level import REFUSALS, FirstLevel, read_first
from coldchain.agent.engines.tar.restore.link_model import LinkModel, above, plain
from coldchain.agent.engines.tar.stored import gnu_tar, member_index
from coldchain.agent.engines.tar.stored.layout import DATA
from coldchain.agent.engines.tar.stored.level_fetch import LevelFetcher, Source
from coldchain.agent.engines.tar.stored.level_list import open_list
from coldchain.agent.engines.tar.stored.level_reader import StoredLevel, unpackers
from coldchain.agent.options import Encryption, RestoreOptions
from coldchain.agent.process.contain import NAMESPACE, REPLACED, Containment, containment
from coldchain.agent.process.pipeline import CHUNK, Pipeline, Stage, failure
from coldchain.agent.progress import Meter
from coldchain.agent.storages.base import Storage
from coldchain.core.errors import CannotWrite, JobFailed, remedy_of_words

#: So many bytes of names fit on a command line with room to spare.
_MOST_SELECTED = 1 << 16
_MODE = re.compile(rb"^[-dlhbcpCDVMS?]\S{9}\S? ", re.MULTILINE)
_ROOT = re.compile(rb'^d[^"\n]* "\./"$', re.MULTILINE)


class Seen:
    """What tar says about the members while it extracts.

    lines: in how many lines there was one.
    containment: which means of the kernel held it in the stage.
    """

    def __init__(self, *, track_owners: bool = False) -> None:
        self.files, self.root, self.track_owners = 0, False, track_owners
        self.lines = 0
        self.owners: set[str] = set()
        self.containment: tuple[str, ...] = ()

    def take(self, listing: bytes) -> None:
        """Count the members in whole lines of a listing."""
        self.files += gnu_tar.count_files(listing)[0]
        self.lines += len(_MODE.findall(listing))
        self.root = self.root or _ROOT.search(listing) is not None
        if self.track_owners:
            self.owners.update(member.owner for member in gnu_tar.members(listing))


def list_members(
    level: StoredLevel,
    source: Source,
    encryption: Encryption | None,
    sink: Callable[[bytes], None],
    incremental: bool = False,
) -> None:
    """Let tar list the *level* to *sink*; JobFailed when *source* is not to be read to its end."""
    last = Stage(gnu_tar.listing(incremental=incremental), output=sink)
    _feed(level, source(), [*unpackers(level, encryption), last], {})


def extract_all(
    options: RestoreOptions,
    storage: Storage,
    fetcher: LevelFetcher,
    levels: Sequence[StoredLevel],
    paths: list[bytes],
    stage: staging.StagedTree,
    meter: Meter,
    seen: Seen,
) -> list[str]:
    """Extract *levels* into the *stage*, only *paths* if given: what was not possible, as warnings.

    fetcher: of these levels.
    Raises JobFailed when a level is damaged or would write outside; *seen* learns what was there.
    """
    encryption = options.encryption
    meter.begin("restoring", sum(_reads(storage, levels)))
    warnings: list[str] = []

    def count_files(listing: bytes) -> None:
        """Let progress show how many files there are."""
        seen.take(listing)
        meter.files = seen.files

    members = _selection(storage, levels, encryption, paths, fetcher.look) if paths else None
    with containment(stage.path, stage.descriptor) as contained:

        def held() -> bool:
            """Whether the kernel kept tar in the stage so far."""
            return NAMESPACE in contained.given

        for number, level in enumerate(levels):
            with fetcher.checked(level) as source:
                if number:
                    open_tree.open_up(stage.descriptor)
                    _make_way(level, source, encryption, stage.descriptor, held)
                argv = gnu_tar.extract(
                    root=os.geteuid() == 0,
                    incremental=number > 0,
                    members=members,
                    numeric=options.numeric_owner,
                )
                before = seen.lines
                try:
                    warnings += _extract(level, source, encryption, contained, argv, count_files)
                except (CannotWrite, JobFailed) as error:
                    if not number and error.message.endswith(REFUSALS):
                        _tell_as_foretold(level, source, encryption, paths)
                    raise
                if members is None and seen.lines == before and _holds_something(level):
                    raise JobFailed(
                        f"{level.place} cannot be read: tar extracted nothing of it",
                        f"nothing was restored; is {gnu_tar.program()} GNU tar?",
                    )
        seen.containment = contained.given
        if not seen.containment:
            warnings.append(_not_contained(contained.refused))
    return warnings


def _tell_as_foretold(
    level: StoredLevel, source: Source, encryption: Encryption | None, paths: list[bytes]
) -> None:
    """Raise what a dry run refuses the *level* 0 for, which tar has refused, if it does."""

    def read(first: FirstLevel) -> None:
        with suppress(JobFailed):
            list_members(level, source, encryption, first.take)

    read_first(read, level.place, below(paths) if paths else everything).check()


def _extract(
    level: StoredLevel,
    source: Source,
    encryption: Encryption | None,
    contained: Containment,
    argv: Sequence[str | bytes],
    output: Callable[[bytes], None],
) -> list[str]:
    """Let tar, which *argv* runs, extract the *level*: what it could not do, as warnings."""
    complaints = gnu_tar.Complaints(gnu_tar.WRITING)
    last = Stage(
        contained.argv(argv),
        errors=complaints.take,
        output=output,
        pass_fds=contained.pass_fds,
        program="tar",
        folder=contained.working_directory,
    )
    _feed(level, source(), [*unpackers(level, encryption), last], {"tar": (2,)}, complaints)
    return complaints.describe(but=(gnu_tar.NOT_SELECTED,))


def _not_contained(refused: Mapping[str, str]) -> str:
    """The warning when each means of the kernel has *refused* to contain tar, and why."""
    why = "; ".join(f"{name}: {reason}" for name, reason in refused.items())
    return (
        f"the kernel did not contain this restore ({why}): that nothing outside of the"
        " target was changed rests on what the archives' listings say"
    )


def _holds_something(level: StoredLevel) -> bool:
    """Whether there must be a member: without our manifest there is at least the directory."""
    return level.manifest is None or level.manifest.members > 0


def _reads(storage: Storage, levels: Sequence[StoredLevel]) -> Iterator[int]:
    """The bytes to read of each level: for its check, for a look at it, and to extract it."""
    for number, level in enumerate(levels):
        times = 1
        if storage.is_settled(level.path(DATA)):
            times += bool(number) + (level.metadata.seal is not None)
        yield times * (storage.size(level.path(DATA)) or 0)


def _selection(
    storage: Storage,
    levels: Sequence[StoredLevel],
    encryption: Encryption | None,
    paths: list[bytes],
    look: Callable[[StoredLevel], Source],
) -> gnu_tar.Members | None:
    """What tar has to extract for *paths*: with them, the files that hard links of theirs name.

    look: into a level that has no list.  None: everything, because directories are renamed, which
    can be followed only when all of them are there, or because it would be too much for a command
    line.
    """
    links: dict[bytes, set[bytes]] = {}
    for level in levels:
        listing = Look()
        with open_list(storage, level, encryption) as index:
            if index is not None:
                listing.add(member_index.read(index))
        if index is None:
            model = LinkModel((), level.place)

            def take(block: bytes, model: LinkModel = model, listing: Look = listing) -> None:
                model.take(block)
                listing.add(gnu_tar.members(block))

            list_members(level, look(level), encryption, take, True)
            if model.renames and level is not levels[0]:
                return None
        for name, target in listing.links.items():
            links.setdefault(name, set()).add(target)
    wanted = below(paths)
    needed: set[bytes] = set()
    while True:
        # What is a directory now may have been a link in an earlier level, which tar makes first.
        folders = {folder for path in (*paths, *needed) for folder in above(path)}
        more = {
            target
            for name, targets in links.items()
            if name in needed or name in folders or wanted(name)
            for target in targets
            if target not in needed and not wanted(target)
        }
        if not more:
            break
        needed |= more
    chosen = [*paths, *sorted(needed)]
    if sum(map(len, chosen)) > _MOST_SELECTED:
        return None
    return selection(chosen)


class Look:
    """The hard links in a listing, and what they are links to."""

    def __init__(self) -> None:
        self.links: dict[bytes, bytes] = {}

    def add(self, members: Iterable[gnu_tar.Member]) -> None:
        """Read *members* of a listing, in any number of pieces."""
        for member in members:
            if member.kind == "h" and member.target is not None:
                self.links[plain(member.name)] = plain(member.target)


def _make_way(
    level: StoredLevel,
    source: Source,
    encryption: Encryption | None,
    tree: int,
    held: Callable[[], bool],
) -> None:
    """Ready the open *tree* for the level: JobFailed when it would write outside.

    A link that the level replaces by a directory is removed first; any other way through a link
    is refused.  held: whether the kernel keeps tar in the tree.
    """
    model = judge(links(tree), level, source, encryption, held)
    for name in model.check():
        os.unlink(name, dir_fd=tree)
    for name in model.folders:
        # What became a directory while tar was at work is a file in its directory's list.
        if open_tree.kind(tree, name) not in (None, stat.S_IFDIR):
            os.unlink(name, dir_fd=tree)


def judge(
    before: Iterable[bytes],
    level: StoredLevel,
    source: Source,
    encryption: Encryption | None,
    held: Callable[[], bool],
) -> LinkModel:
    """What the *level* does to a tree with the links *before*.

    held: whether the kernel keeps tar in the tree, so that a second reader may say which renames
    the level has: it could be made to read another archive than tar does.
    """
    before = list(before)
    model = LinkModel(before, level.place)
    list_members(level, source, encryption, model.take, True)
    if not model.doubtful:
        return model
    exact: dict[bytes, list[bytes]] | None = {}
    if model.renames:
        exact = _renames(level, source, encryption) if held() else None
    if exact is None:
        return model
    # Without the directories' lists no name of a file can look like anything else.
    model = LinkModel(before, level.place, exact)
    list_members(level, source, encryption, model.take)
    return model


def _renames(
    level: StoredLevel, source: Source, encryption: Encryption | None
) -> dict[bytes, list[bytes]] | None:
    """The renames that a second reader of the archive, after tar, finds in it; None: unknown."""
    from coldchain.agent.engines.tar.restore.archive_renames import renames

    reader, writer = os.pipe()
    answers = []

    def read() -> None:
        with os.fdopen(reader, "rb") as stream:
            answers.append(renames(stream))
            while stream.read(CHUNK):
                pass

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    try:
        with Pipeline(unpackers(level, encryption), feed=True, target=writer) as pipeline:
            for chunk in source():
                if not pipeline.write(chunk):
                    break
            bad = failure(pipeline.finish(), {})
    finally:
        os.close(writer)
        thread.join()
    return answers[0] if bad is None and answers else None


def _feed(
    level: StoredLevel,
    blocks: Iterable[bytes],
    stages: Sequence[Stage],
    allowed: Mapping[str, Sequence[int]],
    complaints: gnu_tar.Complaints | None = None,
) -> None:
    """Run *blocks*, the stored data of *level*, through *stages*.

    *allowed* exit codes count only while all of tar's *complaints* are of a known kind.
    """
    complete = True
    with Pipeline(stages, feed=True) as pipeline:
        for chunk in blocks:
            complete = pipeline.write(chunk)
            if not complete:
                break
        exits = pipeline.finish()
    tolerable = complaints is not None and complaints.known_only()
    bad = failure(exits, allowed if tolerable else {})
    if bad is not None and bad.name == "tar" and bad.code == REPLACED:
        raise CannotWrite(
            f"the folder to restore into was moved away meanwhile: {bad.errors[-1]}",
            "nothing was restored; somebody else can change the directory that it lies in",
        )
    if bad is not None and complaints is not None and complaints.refused is not None:
        way_out = remedy_of_words(complaints.refused) or "make room"
        raise CannotWrite(
            f"{level.place} cannot be restored there: {complaints.refused}",
            f"nothing was restored; {way_out}, or restore to another place",
        )
    if bad is not None or not complete:
        how = bad.describe() if bad is not None else "it goes on after its end"
        raise JobFailed(
            f"{level.place} cannot be read: {how}",
            "nothing was restored; a wrong password or a damaged level looks like this",
        )

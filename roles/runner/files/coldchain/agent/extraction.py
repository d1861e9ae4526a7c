# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Running stored levels through tar: listing and extracting, every byte checked."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from coldchain.agent import staging, tar
from coldchain.agent.inspection import Contents, make_safe, selection
from coldchain.agent.layout import DATA
from coldchain.agent.options import Encryption
from coldchain.agent.parts import Packed, checked_blocks, unpackers
from coldchain.agent.pipeline import Pipeline, Stage, failure
from coldchain.agent.progress import Meter
from coldchain.agent.storage import Storage
from coldchain.errors import CannotWrite, JobFailed

_ROOT = re.compile(rb'^d[^"\n]* "\./"$', re.MULTILINE)


@dataclass
class Seen:
    """What tar says about the members while it extracts."""

    files: int = 0
    root: bool = False
    track_owners: bool = False
    owners: set[str] = field(default_factory=set)

    def take(self, listing: bytes) -> None:
        self.files += tar.count_files(listing)[0]
        self.root = self.root or _ROOT.search(listing) is not None
        if self.track_owners:
            for one in tar.members(listing):
                self.owners.add(one.owner)


def list_members(
    storage: Storage,
    one: Packed,
    encryption: Encryption | None,
    sink: Callable[[bytes], None],
    *,
    incremental: bool = False,
    meter: Meter | None = None,
) -> None:
    """Let tar list *one* to *sink*; JobFailed when it cannot be read to its end."""
    last = Stage(tar.listing(incremental=incremental), output=sink)
    _feed(storage, one, [*unpackers(one, encryption), last], {}, meter)


def extract_all(
    storage: Storage,
    levels: Sequence[Packed],
    encryption: Encryption | None,
    paths: list[bytes],
    tree: bytes,
    meter: Meter,
    seen: Seen,
) -> list[str]:
    """Extract *levels* into *tree*, only *paths* when given: what was not possible, as warnings."""
    later: list[Contents] = []
    stored = [storage.size(one.path(DATA)) or 0 for one in levels]
    if levels[1:]:
        meter.begin("looking through the increments", sum(stored[1:]))
    for one in levels[1:]:
        inside = Contents()
        list_members(storage, one, encryption, inside.take, incremental=True, meter=meter)
        later.append(inside)
    meter.begin("restoring", sum(stored))
    # A renamed directory can only be followed when all of it is there.
    renamed = any(inside.renames for inside in later)
    members = selection(paths) if paths and not renamed else None
    warnings: list[str] = []

    def count_files(listing: bytes) -> None:
        seen.take(listing)
        meter.files = seen.files

    for number, one in enumerate(levels):
        if number:
            staging.open_up(tree)
            make_safe(later[number - 1], tree, one.place)
        complaints = tar.Complaints(tar.WRITING)
        argv = tar.extract(
            os.fsdecode(tree), root=os.geteuid() == 0, incremental=number > 0, members=members
        )
        last = Stage(argv, errors=complaints.take, output=count_files)
        stages = [*unpackers(one, encryption), last]
        _feed(storage, one, stages, {"tar": (2,)}, meter, complaints)
        warnings += complaints.describe(but=(tar.NOT_SELECTED,))
    return warnings


def _feed(
    storage: Storage,
    one: Packed,
    stages: Sequence[Stage],
    allowed: Mapping[str, Sequence[int]],
    meter: Meter | None,
    complaints: tar.Complaints | None = None,
) -> None:
    """Run the stored data of *one* through *stages*; every byte is compared with the manifest.

    *allowed* exit codes count only while all of tar's *complaints* are of a known kind.
    """
    complete = True
    with Pipeline(stages, feed=True) as pipeline:
        for chunk in checked_blocks(storage, one, meter=meter):
            complete = pipeline.write(chunk)
            if not complete:
                break
        exits = pipeline.finish()
    known = complaints is not None and complaints.known_only()
    bad = failure(exits, allowed if known else {})
    if bad is not None and complaints is not None and complaints.refused is not None:
        raise CannotWrite(
            f"{one.place} cannot be restored there: {complaints.refused}",
            "nothing was restored; make room or restore to another place",
        )
    if bad is not None or not complete:
        how = bad.describe() if bad is not None else "it goes on after its end"
        raise JobFailed(
            f"{one.place} cannot be read: {how}",
            "nothing was restored; a wrong password or a damaged level looks like this",
        )

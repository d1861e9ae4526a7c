# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Beginning another ledger in the place of one that is put aside, whatever it is like."""

from __future__ import annotations

import os
import time
from pathlib import Path

from coldchain.core.files import cannot_write, sync_directory
from coldchain.core.text import pluralize
from coldchain.observe.ledger.files import LedgerFiles, gone
from coldchain.observe.ledger.format import OWN, RENEWED, Head, act
from coldchain.observe.ledger.writer import Ledger


def renew(ledger: Ledger) -> tuple[Path | None, Head]:
    """Put the ledger aside and begin another one, whose first entry tells of it; where it is now,
    None when nothing was there, and the new head.

    Raises TryAgain, CannotWrite, Unavailable.
    """
    with ledger.locked():
        before = ledger.last()
        known, place = max(ledger.known(), before.entries), _put_aside(ledger)
        digest = before.digest if before.entries else None
        if place is not None:
            count = pluralize(before.entries, "entry")
            text = f"the ledger of {count} was put aside as {place.name}"
        else:
            text = f"there was no ledger: {gone(known)}" if known else "there was no ledger"
        fields = {"did": RENEWED, "text": text, "entries": known, "digest": digest}
        if place is not None:
            fields["aside"] = place.name
        return place, ledger.append(Head(), act(OWN, fields))


def _put_aside(files: LedgerFiles) -> Path | None:
    """Move all files into a new directory, if there are any."""
    present = files.present()
    if not present:
        return None
    name = f"ledger-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}"
    place, number = files.lib / name, 1
    while os.path.lexists(place):  # twice in one second, or the clock was set back
        number += 1
        place = files.lib / f"{name}-{number}"
    try:
        place.mkdir(mode=0o700)
        for path in present:
            os.rename(path, place / path.name)
        sync_directory(place)  # they are there on disk before they are no longer here
        sync_directory(files.lib)
    except OSError as error:
        raise cannot_write(place, error) from None
    return place

# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A quick look at the ledger for ``status``: at the ends of its files, not through its chain."""

from __future__ import annotations

import errno
import os
import shlex
import stat
from contextlib import suppress

from coldchain.core.errors import REMEDIES, ColdchainError
from coldchain.observe.findings import WARNING, Finding
from coldchain.observe.ledger.check import verify
from coldchain.observe.ledger.files import LedgerFiles, gone
from coldchain.observe.ledger.format import HEAD, LOCK, Head, aside, last_digest, opened
from coldchain.observe.ledger.reading import quiet

_REMEDY = "coldchain ledger verify tells more, docs/reference/ledger.md what to do"


def look(ledger: LedgerFiles) -> tuple[Head | None, list[Finding]]:
    """The head, and what a look at the ends of the files finds; the chain is not gone through."""
    head, findings = _look(ledger)
    if findings:  # somebody may just have written the one file and not yet the other
        with quiet(ledger):
            head, findings = _look(ledger)
    return head, findings


def look_through(ledger: LedgerFiles) -> tuple[Head | None, list[Finding]]:
    """The same, but every entry is looked at: 8 s of CPU for a million of them."""
    head, findings = look(ledger)
    if not findings:
        with suppress(ColdchainError):  # what keeps it from being read was looked for
            problems = verify(ledger).problems
            if problems:
                text = f"it was altered: {problems[0]}"
                findings = [Finding(WARNING, "ledger", text, _REMEDY)]
    return head, findings


def _look(ledger: LedgerFiles) -> tuple[Head | None, list[Finding]]:
    try:
        head = ledger.head()
        text, remedy = _out_of_reach(ledger)
        if not text:
            text = _at_the_ends(ledger, head)
    except ColdchainError as error:
        return None, [Finding(WARNING, "ledger", error.message, error.hint)]
    except OSError as error:
        return None, [Finding(WARNING, "ledger", str(error))]
    except ValueError:
        head, text, remedy = None, f"{HEAD} is not what coldchain wrote", ""
    remedy = remedy or _REMEDY
    return head, [Finding(WARNING, "ledger", text, remedy)] if text else []


def _out_of_reach(ledger: LedgerFiles) -> tuple[str, str]:
    """What keeps entries from being written, or others from being kept out; and the remedy."""
    for path in (ledger.head_file, ledger.file, ledger.lib / LOCK):
        try:
            status = path.lstat()
        except FileNotFoundError:
            continue
        if not stat.S_ISREG(status.st_mode):
            return f"{path} is not a file: what is done is not put down", "move away what is there"
        quoted = shlex.quote(str(path))
        if status.st_uid not in (os.geteuid(), 0) or status.st_mode & 0o022:
            mend = f"check it (coldchain ledger verify), then: chown {os.geteuid()} {quoted};"
            return f"others can write {path}", f"{mend} chmod 600 {quoted}"
        if not os.access(path, os.W_OK):
            read_only = os.statvfs(path).f_flag & os.ST_RDONLY
            remedy = REMEDIES[errno.EROFS] if read_only else f"chmod 600 {quoted}"
            return f"{path} cannot be written: what is done is not put down", remedy
    if os.statvfs(ledger.lib).f_bavail == 0:
        text = f"{ledger.lib}: there is no space left, what is done is not put down"
        return text, "make room on that file system"
    return "", ""


def _at_the_ends(ledger: LedgerFiles, head: Head | None) -> str:
    """What shows at once that something was altered."""
    path = ledger.file
    if head is None and path.exists() and path.lstat().st_size:
        return f"{HEAD} is gone"
    if head is None:
        known = ledger.known()
        return gone(known) if known else ""
    if head.damaged is not None:
        return f"it was altered before entry {head.damaged}"
    if not path.exists() and head.size:
        path = ledger.lib / aside(head.first)
    if not path.exists() and head.size:
        return f"{ledger.file} is gone"
    size = path.lstat().st_size if path.exists() else 0
    if size < head.size:
        return f"{path} was cut off: it has {size} bytes of {head.size}"
    if head.size:
        with opened(path) as stream:
            if last_digest(stream, head.size) not in (None, head.digest):
                return f"{path} was altered: its last entry is another one"
    return ""

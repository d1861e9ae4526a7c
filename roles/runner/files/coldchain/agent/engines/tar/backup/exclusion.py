# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What GNU tar leaves out by --exclude, so that a list of the source can leave it out, too.

tar does not tell: its snapshot and its dumpdirs show what it left out like what is unchanged.
Where this is in doubt it answers no, and the worst that follows is a file that is saved again.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable

_WILD = re.compile(rb"[*?[]")
#: In a bracket expression.
_DOUBTFUL = (b"[:", b"[=", b"[.", b"\\", b"/")
_CLASS = re.compile(rb"\[([!^]?)(\]?(?:\\.|[^]\\])*)\]", re.DOTALL)

#: Names of every beginning and end, short and long: a pattern that leaves one kind of them, those
#: with a dot say, may be meant so.
_PROBES = [
    b"./" + bytes([letter]) * times for letter in range(1, 256) if letter != 47 for times in (1, 9)
]


def matcher(patterns: Iterable[str | bytes]) -> Callable[[bytes], bool] | None:
    """Tells of a member ("./a/b") whether tar leaves it out; None without a pattern.

    Whoever asks has asked about the directories above it before.
    """
    known = list(filter(None, map(_expression, map(os.fsencode, patterns))))
    if not known:
        return None
    search = re.compile(rb"(?s:(?:\A|/(?!/))(?:" + b"|".join(known) + rb")(?:/|\Z))").search
    return lambda member: search(member) is not None


def total_pattern(patterns: Iterable[str]) -> str | None:
    """The one of *patterns* with which nothing is left; None when something may be."""
    left = list(_PROBES)
    for pattern in patterns:
        excluded = matcher([pattern])
        if excluded is not None:
            left = [name for name in left if not excluded(name)]
            if not left or excluded(b"."):
                return pattern
    return None


def _expression(pattern: bytes) -> bytes | None:
    """The regular expression of fnmatch(3)'s *pattern* in the C locale; None when in doubt."""
    parts, position = [], 0
    while position < len(pattern):
        letter = pattern[position : position + 1]
        position += 1
        if letter == b"*":
            parts.append(b".*")
        elif letter == b"?":
            parts.append(b".")
        elif letter == b"\\":
            following = pattern[position : position + 1]
            if not following:
                # fnmatch(3) lets it match nothing; without a wildcard tar takes it as it is.
                if _WILD.search(pattern):
                    return None
                following = b"\\"
            parts.append(re.escape(following))
            position += 1
        elif letter == b"[":
            match = _CLASS.match(pattern, position - 1)
            if match is None or any(sign in match[2] for sign in _DOUBTFUL):
                return None
            members = _members(match[2])
            if members is None:
                return None
            parts.append(b"[" + (b"^" if match[1] else b"") + members + b"]")
            position = match.end()
        else:
            parts.append(re.escape(letter))
    return b"".join(parts)


def _members(text: bytes) -> bytes | None:
    """The inside of a bracket expression for Python; None when in doubt."""
    found, position = [], 0
    while position < len(text):
        first = text[position : position + 1]
        last = text[position + 2 : position + 3]
        if text[position + 1 : position + 2] == b"-" and last:
            if first > last:
                return None
            found.append(re.escape(first) + b"-" + re.escape(last))
            position += 3
        else:
            found.append(re.escape(first))
            position += 1
    return b"".join(found) or None

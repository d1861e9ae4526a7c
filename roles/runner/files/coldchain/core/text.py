# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sizes, durations, counts and names as people read them.  Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable

from coldchain.core.instants import DAY

_LONGEST_WORD = 128  # of a longer one nobody means a name of ours, and a guess would take long
_SHORT = {"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
_LONG = {shown[1]: character for character, shown in _SHORT.items()}
_TOKEN = re.compile(
    r"([^\\]+)|\\(?:([\\nrt])|x([0-9a-f]{2})"
    r"|(u(?!d[89a-f])[0-9a-f]{4}|U00(?:0[1-9a-f]|10)[0-9a-f]{4}))"
)
_SURROGATES = "surrogateescape"
#: So many characters of a program's line are shown.
_SAID = 1000
_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")


def format_duration(seconds: float) -> str:
    """A duration for people, two units at most: 3 min 20 s."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    left = round(seconds)
    parts = []
    for size, unit in ((DAY, "d"), (3600, "h"), (60, "min"), (1, "s")):
        number, left = divmod(left, size)
        if number:
            parts.append(f"{number} {unit}")
        elif parts:
            break
    return " ".join(parts[:2])


def format_bytes(number: float) -> str:
    """Bytes for people: 3.4 MB (powers of 1000)."""
    power = 0
    while number >= 999.5 and power < len(_UNITS) - 1:
        number /= 1000
        power += 1
    return f"{number:.{1 if power else 0}f} {_UNITS[power]}"


def pluralize(number: int, noun: str) -> str:
    """1 file, 2 files, 3 entries, 4 days."""
    if number == 1:
        return f"1 {noun}"
    ending = "ies" if noun.endswith("y") and noun[-2:-1] not in "aeiou" else ""
    return f"{number} {noun[:-1]}{ending}" if ending else f"{number} {noun}s"


def shorten(text: str, width: int) -> str:
    """*text*, or as much of its beginning as fits *width* columns, with dots behind it."""
    return text if len(text) <= width else f"{text[: width - 3]}..."


def said(line: bytes) -> str:
    """What a program said in *line*: where it is long, its beginning and its end."""
    text = line.decode("utf-8", "backslashreplace")
    half = _SAID // 2
    return text if len(text) <= _SAID else f"{text[:half]} ... {text[-half:]}"


def did_you_mean(word: str, names: Iterable[str], *, most: int = 1, likeness: float = 0.6) -> str:
    """The question "did you mean a or b?", or "" when no name is near.

    names: what *word* may have been meant for; most: so many of them are named; likeness: how near
    they have to be, from 0 to 1 (the same).
    """
    if len(word) > _LONGEST_WORD:
        return ""
    from difflib import get_close_matches

    near = get_close_matches(word, list(names), most, likeness)
    return f"did you mean {' or '.join(near)}?" if near else ""


def display_name(name: bytes) -> str:
    """A file name for people, on one line: what is not UTF-8 or moves a cursor becomes \\xNN."""
    return printable(name.decode("utf-8", "backslashreplace"))


def path_text(path: bytes) -> str:
    """*path* as one printable text that documents can carry; ``text_path`` reads it back.

    A backslash is doubled; a byte that is no UTF-8, or a control character, is \\xNN, another
    character that does not print \\uNNNN.
    """
    text = path.decode("utf-8", "surrogateescape")
    return text if text.isprintable() and "\\" not in text else "".join(map(_escaped, text))


def _escaped(character: str) -> str:
    if character in _SHORT:
        return _SHORT[character]
    number = ord(character)
    if character.isprintable():
        return character
    if 0xDC80 <= number <= 0xDCFF:
        return f"\\x{number - 0xDC00:02x}"
    if number < 0x80:
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


def text_path(text: str) -> bytes | None:
    """The path that ``path_text`` shows as *text*; None when it shows none like that."""
    path = b""
    at = 0
    while at < len(text):
        token = _TOKEN.match(text, at)
        if token is None:
            return None
        plain, short, byte, code = token.groups()
        if byte is not None:
            path += bytes([int(byte, 16)])
        else:
            path += (plain or _LONG.get(short) or chr(int(code[1:], 16))).encode(
                "utf-8", _SURROGATES
            )
        at = token.end()
    return path


def printable(text: str) -> str:
    """*text* without what would steer a terminal or begin a line of its own: escaped.  A byte that
    is no UTF-8 is \\xNN, as in ``path_text``."""
    if text.isprintable():
        return text
    return "".join(
        character
        if character.isprintable()
        else _escaped(character)
        if "\udc80" <= character <= "\udcff"
        else character.encode("unicode_escape").decode("ascii")
        for character in text
    )

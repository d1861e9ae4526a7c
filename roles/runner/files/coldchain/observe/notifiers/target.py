# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One entry of ``notify``: who is told, of what, and in which way."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from coldchain.core.credentials import check_credentials_file
from coldchain.core.errors import DataError
from coldchain.core.paths import Paths
from coldchain.core.settings import Settings
from coldchain.core.text import did_you_mean, printable
from coldchain.observe.notifiers.registry import KINDS, NOTIFIERS, provided_by_credentials

_ALWAYS = ("type", "tell", "credentials_file")
_LISTS = ("tell", "to", "command")
_NAMES = dict.fromkeys(("on", "true", "True"), "tell")  # as in a document
_SCHEMES = ("http://", "https://")


class Target(NamedTuple):
    """Who is told.  tell: of what, of KINDS; entry: as it was declared; key: tells it from others,
    whatever it is told of."""

    type: str
    tell: tuple[str, ...]
    entry: Mapping[str, Any]
    key: str

    @classmethod
    def of(cls, entry: Mapping[str, Any]) -> Target:
        """From an entry that is valid."""
        kind = str(entry["type"])
        tell = tuple(entry.get("tell") or NOTIFIERS[kind].tell)
        names = sorted(name for name in entry if name != "tell")
        raw = json.dumps([[name, entry[name]] for name in names]).encode("ascii")
        # hashlib would bring OpenSSL into the runner.
        key = f"{kind}-{zlib.crc32(raw):08x}{zlib.adler32(raw):08x}"
        return cls(kind, tell, entry, key)

    @property
    def paced(self) -> bool:
        """Does a person read it?"""
        return NOTIFIERS[self.type].paced

    @property
    def label(self) -> str:
        """For people, without anything that may be a secret: what follows a host in a URL is."""
        return describe(self.entry)


def address(entry: Mapping[str, Any]) -> str:
    """What tells targets apart that look alike for people, as two commands of one program do."""
    return json.dumps({**entry, "tell": None}, sort_keys=True)


def describe(entry: Mapping[str, Any]) -> str:
    """An entry of ``notify`` for people: its type, and where it leads without any secret."""
    where: Any = entry.get("url") or entry.get("to") or entry.get("command")
    if isinstance(where, str) and where.startswith(_SCHEMES):
        where = where.partition("://")[2].partition("/")[0].rpartition("@")[2]
    elif isinstance(where, (list, tuple)):
        where = where[0] if "command" in entry else ", ".join(map(str, where))
    elif "command" in entry:
        where = str(where).partition(" ")[0]
    where = where or entry.get("credentials_file") or ""
    return printable(f"{entry.get('type')} {where}".strip())


def targets_of(entries: Sequence[Mapping[str, Any]]) -> list[Target]:
    """Those of the setting ``notify``, which no document has brought.

    Raises ValueError naming the entry and what is wrong with it.
    """
    today = [{_NAMES.get(name, name): value for name, value in e.items()} for e in entries]
    for number, entry in enumerate(today):
        problem = _problem(entry)
        if problem:
            raise ValueError(f"[{number}]: {problem}")
    return [Target.of(entry) for entry in today]


def host_targets(paths: Paths, settings: Settings) -> list[Target]:
    """Who is told of all jobs; DataError names the setting that is wrong."""
    try:
        return targets_of(settings.notify)
    except ValueError as error:
        raise DataError(f"{paths.settings}: notify: {error}") from None


def _problem(entry: Mapping[str, Any]) -> str:
    """What is wrong with an entry; "" when nothing is."""
    if not isinstance(entry.get("type"), str) or entry["type"] not in NOTIFIERS:
        return f"type: one of {', '.join(NOTIFIERS)} is needed"
    notifier = NOTIFIERS[entry["type"]]
    known = (*_ALWAYS, *notifier.fields)
    for name, value in entry.items():
        if name not in known:
            question = did_you_mean(str(name)[:64], known)
            return f"{str(name)[:64]!r} is unknown here{f'; {question}' if question else ''}"
        problem = _value_problem(name, value)
        if problem:
            return f"{name}: {problem}"
    for group in notifier.required:
        of_file = "credentials_file" in entry
        if not any(
            entry.get(name) or (of_file and provided_by_credentials(notifier, name))
            for name in group
        ):
            return f"{' or '.join(group)} is missing"
    return ""


def _value_problem(name: str, value: object) -> str:
    if name == "tell":
        if not isinstance(value, list) or not value or not set(map(str, value)) <= set(KINDS):
            return f"a list of {', '.join(KINDS)} is needed"
    elif name == "headers":
        if not isinstance(value, dict):
            return "an object of texts is needed"
    elif name == "send_log":
        if not isinstance(value, bool):
            return "true or false is needed"
    elif name == "smtp_port":
        if not isinstance(value, int) or isinstance(value, bool) or not 0 < value < 65536:
            return "a number from 1 to 65535 is needed"
    elif name in _LISTS:
        texts = value if isinstance(value, list) else [value]
        if not texts or not all(isinstance(text, str) and text for text in texts):
            return "a text or a list of texts is needed"
    elif not isinstance(value, str) or not value:
        return "a text is needed"
    elif name == "url":
        return url_problem(value)
    elif name == "credentials_file":
        try:
            check_credentials_file(value)
        except DataError as error:
            return error.message.partition(": ")[2]
    elif name == "smtp_tls" and value not in ("starttls", "tls", "none"):
        return "starttls, tls or none is needed"
    return ""


def url_problem(url: str) -> str:
    """Why *url* is none that somebody can be told at; "" when nothing is wrong with it."""
    scheme, _sep, rest = url.partition("://")
    host = rest.partition("/")[0].partition("?")[0]
    if f"{scheme}://" not in _SCHEMES or not host:
        return "is no URL that begins with https:// or http://"
    if not url.isprintable() or " " in url:
        return "holds blanks or signs that no URL can have"
    if "@" in host:
        return "holds a password: USERNAME and PASSWORD belong into credentials_file"
    return ""

# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a document says about who is told of its runs, as far as types cannot say it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from coldchain.core.command_text import CommandTextError, split_pipeline
from coldchain.core.errors import DataError
from coldchain.document.vocabulary import Vocabulary

_ALWAYS = ("type", "tell", "credentials_file")
_LOCAL = ("localhost", "127.", "[::1]")


class Fault(NamedTuple):
    """Something wrong with one field of an entry.  refused: an error, no warning."""

    field: str
    message: str
    hint: str = ""
    refused: bool = True


def faults(
    entry: Mapping[str, Any], vocabulary: Vocabulary, *, allow_exec: bool
) -> Iterator[Fault]:
    """What is wrong with an entry of ``notify``, in which None is what the schema has refused."""
    kind = entry.get("type")
    words = vocabulary.notifiers.get(str(kind))
    if words is None:
        return
    by_file = words.of_credentials if "credentials_file" in entry else ()
    for group in words.required:
        if not any(name in entry or name in by_file for name in group):
            name = group[0]
            beside = f", or {name.upper()} in credentials_file" if words.of_credentials else ""
            yield Fault(name, f"is missing; {kind} needs it", f"add {name}{beside}")
    for name in entry:
        if name not in _ALWAYS and name not in words.fields:
            yield Fault(name, f"has no effect on {kind}", "leave it out", refused=False)
    if kind == "command":
        if not allow_exec:
            hint = "set allow_exec = yes in the host's settings"
            yield Fault("type", "commands are switched off on this host", hint)
        yield from _command_faults(entry.get("command"))
    if "credentials_file" in entry:
        try:
            vocabulary.check_credentials_file(entry["credentials_file"])
        except DataError as error:
            yield Fault("credentials_file", error.message.partition(": ")[2], error.hint)
    url = str(entry.get("url", ""))
    host = url.partition("://")[2]
    if url.startswith("http://") and not host.startswith(_LOCAL):
        text = "is not encrypted: everybody on the way can read and change what is told"
        yield Fault("url", text, "write https://", refused=False)


def url_fault(url: str) -> tuple[str, str]:
    """(message, hint) when *url* is none; ("", "") when nothing is wrong with it."""
    scheme, sign, rest = url.partition("://")
    host = rest.replace("?", "/").replace("#", "/").partition("/")[0]
    if not sign or scheme not in ("http", "https") or not host or not url.isprintable():
        return "is no URL", "begin it with https:// and a host"
    if " " in url:
        return "is no URL", "write it without blanks"
    if "@" in host:
        return "holds a password", "put USERNAME and PASSWORD into credentials_file"
    return "", ""


def _command_faults(command: Any) -> Iterator[Fault]:
    if isinstance(command, list):
        program = command[0] if command else ""
        if program is not None and not program.strip():
            yield Fault("command", "has a blank name", "name the program to run")
    elif isinstance(command, str):
        try:
            stages = split_pipeline(command)
        except CommandTextError as error:
            yield Fault("command", error.message, "write it as a list of arguments")
            return
        if len(stages) > 1:
            yield Fault("command", "is a pipeline; one program is run", "write a script of it")

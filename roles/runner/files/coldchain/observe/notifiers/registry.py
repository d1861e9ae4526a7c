# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The notifiers there are, and what an entry of ``notify`` has to say about each.  Pure.

A document is judged and the runner decides with this alone; the modules that send are imported by
the process that delivers.
"""

from __future__ import annotations

from typing import NamedTuple

START, SUCCESS, FAILURE, RECOVERY, SILENCE, FINDING = KINDS = (
    "start",
    "success",
    "failure",
    "recovery",
    "silence",
    "finding",
)
"""What there is to tell."""
ROUTINE = (START, SUCCESS)
"""What is no news once the same is told of a later run."""
ENDED_BY_RECOVERY = (FAILURE, SILENCE)


class Notifier(NamedTuple):
    """One way to tell somebody.

    fields: what it reads from its entry beside type, tell and credentials_file; required: of each
    group one has to be given, unless a credentials file may hold it; credentials: the names that
    its credentials file may set, None for any; tell: what it tells of unless the entry says; paced:
    a person reads it, so cool-down, summary, quiet hours and maintenance hold for it.
    """

    fields: tuple[str, ...]
    required: tuple[tuple[str, ...], ...]
    credentials: tuple[str, ...] | None = ()
    tell: tuple[str, ...] = (FAILURE, RECOVERY, SILENCE)
    paced: bool = True


_HTTP = ("url", "ca_cert")
_LOGIN = ("USERNAME", "PASSWORD")

#: The name of each is that of its module, too.
NOTIFIERS: dict[str, Notifier] = {
    "healthchecks": Notifier(
        (*_HTTP, "send_log"),
        (("url",),),
        ("URL",),
        (START, SUCCESS, FAILURE),
        paced=False,  # a machine reads it, to which silence is an alarm
    ),
    "webhook": Notifier(
        (*_HTTP, "headers", "template", "send_log"),
        (("url",),),
        ("URL", "TOKEN", *_LOGIN),
    ),
    "ntfy": Notifier((*_HTTP, "send_log"), (("url",),), ("URL", "TOKEN", *_LOGIN)),
    "mail": Notifier(
        ("to", "sender", "smtp_host", "smtp_port", "smtp_tls", "ca_cert", "send_log"),
        (("to",),),
        _LOGIN,
    ),
    "command": Notifier(("command", "send_log"), (("command",),), None),
}


def provided_by_credentials(notifier: Notifier, name: str) -> bool:
    """May a credentials file stand in for the field *name*?"""
    return notifier.credentials is not None and name.upper() in notifier.credentials

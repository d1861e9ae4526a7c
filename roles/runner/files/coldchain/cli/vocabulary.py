# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the agent can do, as the names that documents may use."""

from __future__ import annotations

from functools import cache

from coldchain.agent.engines.registry import ENGINES, check_engine
from coldchain.agent.modes.registry import MODES
from coldchain.agent.storages.kinds import DEFAULT_CONTAINER, LOCAL, SECRETS, STORAGES, container_of
from coldchain.core.credentials import check_credentials_file
from coldchain.document.vocabulary import NotifierWords, StorageWords, Vocabulary
from coldchain.observe.notifiers.registry import NOTIFIERS, provided_by_credentials


def vocabulary() -> Vocabulary:
    """The names in the agent's registries, as they are now; nothing else of it is imported."""
    return _vocabulary(tuple(MODES), tuple(ENGINES), tuple(NOTIFIERS))


@cache
def _vocabulary(
    modes: tuple[str, ...], engines: tuple[str, ...], notifiers: tuple[str, ...]
) -> Vocabulary:
    return Vocabulary(
        modes=modes,
        engines=engines,
        storages={
            name: StorageWords(kind.fields, kind.required, credentials=bool(kind.credentials))
            for name, kind in STORAGES.items()
        },
        notifiers={
            name: NotifierWords(
                notifier.fields,
                notifier.required,
                tuple(
                    name
                    for group in notifier.required
                    for name in group
                    if provided_by_credentials(notifier, name)
                ),
            )
            for name, notifier in ((name, NOTIFIERS[name]) for name in notifiers)
        },
        secrets=SECRETS,
        default_container=DEFAULT_CONTAINER,
        check_engine=check_engine,
        check_container=_check_container,
        check_credentials_file=check_credentials_file,
    )


def _check_container(storage: str, container: str) -> None:
    if storage != LOCAL:
        container_of(storage, container)

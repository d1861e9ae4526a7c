# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The names in a document that others define: what can be backed up, how, and to where.

The agent's registries know which modes, engines and storages there are.  Documents are judged
without the agent: whoever asks for a judgement brings the names along.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple


class StorageWords(NamedTuple):
    """What an action may say about one storage, beside the container.

    fields: the fields that it reads; required: those of them that it cannot do without, unless a
    credentials file or the environment holds them; credentials: whether it takes a file of them.
    """

    fields: tuple[str, ...] = ()
    required: tuple[str, ...] = ()
    credentials: bool = False


class NotifierWords(NamedTuple):
    """What an entry of ``notify`` may say about one way of telling people.

    fields: the fields that it reads; required: of each group one is needed; of_credentials: those
    that a credentials file may hold.
    """

    fields: tuple[str, ...] = ()
    required: tuple[tuple[str, ...], ...] = ()
    of_credentials: tuple[str, ...] = ()


def _accept(*values: str) -> None:
    """What a vocabulary without a judgement of its own says of *values*."""


class Vocabulary:
    """The names that documents may use.

    modes, engines: in the order of the registries, the default first; storages: by name, the
    default first; notifiers: by name; secrets: fields that never belong into a document;
    check_engine(engine, mode), check_container(storage, container), check_credentials_file(value):
    raise DataError with what is wrong.
    """

    def __init__(
        self,
        *,
        modes: tuple[str, ...],
        engines: tuple[str, ...],
        storages: Mapping[str, StorageWords],
        notifiers: Mapping[str, NotifierWords] = MappingProxyType({}),
        secrets: frozenset[str] = frozenset(),
        default_container: str = "",
        check_engine: Callable[[str, str], object] = _accept,
        check_container: Callable[[str, str], object] = _accept,
        check_credentials_file: Callable[[str], object] = _accept,
    ) -> None:
        self.modes, self.engines = modes, engines
        self.storages, self.notifiers = storages, notifiers
        self.secrets, self.default_container = secrets, default_container
        self.check_engine, self.check_container = check_engine, check_container
        self.check_credentials_file = check_credentials_file

    @property
    def default_storage(self) -> str:
        """The storage of an action that names none."""
        return next(iter(self.storages))

    @property
    def storage_fields(self) -> tuple[str, ...]:
        """The fields of all storages, each once."""
        words = self.storages.values()
        return tuple(dict.fromkeys(name for storage in words for name in storage.fields))

    def choices(self, kind: str) -> tuple[str, ...]:
        """The names of one kind: "modes", "engines", "storages" or "notifiers"."""
        names: Mapping[str, tuple[str, ...]] = MappingProxyType(
            {
                "modes": self.modes,
                "engines": self.engines,
                "storages": tuple(self.storages),
                "notifiers": tuple(self.notifiers),
            }
        )
        return names[kind]

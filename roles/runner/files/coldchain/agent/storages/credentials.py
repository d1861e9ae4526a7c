# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Secrets of a storage: from freezer-agent's INI, a credentials file, or the environment.

Nothing here is ever shown, logged or put on a command line.
"""

from __future__ import annotations

from collections.abc import Mapping

from coldchain.agent.storages.kinds import STORAGES
from coldchain.agent.storages.location import Location
from coldchain.core.credentials import credential_path, read_credentials


def credentials(location: Location, environment: Mapping[str, str]) -> dict[str, str]:
    """What is known about how to reach *location*, by the names of Kind.credentials.

    The action itself wins over its credentials file, and that over the environment.
    """
    names = STORAGES[location.storage].credentials
    values = {name: environment[name] for name in names if environment.get(name)}
    if location.credentials_file:
        path = credential_path(location.credentials_file, environment)
        values.update(read_credentials(path, names))
    for name, value in (*location.options, *location.secrets):
        values[name.upper()] = value
    return values

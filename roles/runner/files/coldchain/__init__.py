# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The coldchain runner: executes Freezer job documents on one host and keeps the record."""

import os
import re

_COLLECTION = os.path.join(*[os.pardir] * 4)
#: Where the version is told: in a bundle, in a checkout, in an installed collection.
_PLACES = (
    ("VERSION", r"(\S+)"),
    (os.path.join(_COLLECTION, "galaxy.yml"), r"(?m)^version: *(\S+)"),
    (os.path.join(_COLLECTION, "MANIFEST.json"), r'"version": "(\S+)"'),
)


def _version() -> str:
    here = os.path.dirname(os.path.abspath(__file__))
    for name, pattern in _PLACES:
        try:
            with open(os.path.join(here, name), encoding="utf-8") as stream:
                match = re.search(pattern, stream.read())
        except OSError:
            continue
        if match:
            return match.group(1)
    return "unknown"


__version__ = _version()

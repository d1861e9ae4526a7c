# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: may change in any release.

"""Variables of the roles that had no prefix of the collection once: an ignored variable would be worse than an error."""

from __future__ import annotations

import typing as t


def renamed(variables: t.Iterable[str], new_names: t.Mapping[str, str]) -> list[str]:
    """What is to be told of the variables that have new names: one finding, or none. Other roles may have such names."""
    told = [f"{name} is {new_names[name]}" for name in variables if name in new_names]
    remedy = "If they belong to another role, set coldchain_ignore_old_names to true."
    return [f"These variables have new names: {', '.join(sorted(told))}. {remedy}"] if told else []

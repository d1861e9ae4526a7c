# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Doing something as an ordinary user, from tests that root runs."""

from __future__ import annotations

import importlib
import os
import pkgutil
from collections.abc import Callable
from pathlib import Path

import coldchain.agent

NOBODY = 65534


def give_away(root: Path, keep: Path | None = None) -> None:
    """Let everything below *root*, but nothing below *keep*, belong to nobody."""
    for folder, folders, files in os.walk(root):
        for name in [folder, *(os.path.join(folder, one) for one in folders + files)]:
            if keep is None or not name.startswith(str(keep)):
                os.chown(name, NOBODY, NOBODY, follow_symlinks=False)


def in_a_child(work: Callable[[], str]) -> str:
    """What *work* returns in a process of its own; or its error, as text.

    Whatever that is: what leaves this block in the child goes on as a second pytest, and has all
    tests that follow behind it before the first one gets an answer.
    """
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            try:
                outcome = work()
            except BaseException as error:  # noqa: BLE001  it ends here
                outcome = repr(error)
            os.write(writer, outcome.encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as stream:
        outcome = stream.read()
    os.waitpid(child, 0)
    return outcome


def as_nobody(work: Callable[[], str]) -> str:
    """The same, by an ordinary user."""

    _import_all()

    def become() -> str:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
        return work()

    return in_a_child(become)


def _import_all() -> None:
    """Import what is imported late: the interpreter may lie where only root can read."""
    for module in pkgutil.walk_packages(coldchain.agent.__path__, "coldchain.agent."):
        importlib.import_module(module.name)
    importlib.import_module("encodings.ascii")
    importlib.import_module("urllib.request")

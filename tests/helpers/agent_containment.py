# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kernels that give less containment than the one that the tests run on."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from agent_users import as_nobody

from coldchain.agent.process import contain

#: Python statements that take something away from the module `contain` before it does its work.
OLD_MOUNTS = (
    "def refuse(*arguments): raise OSError(38, 'Function not implemented')\n"
    "contain._Kernel.set_attributes = refuse\n"
)
OTHER_MACHINE = "import os, types\nos.uname = lambda: types.SimpleNamespace(machine='toaster')\n"
NO_RIGHTS = (
    "def refuse(*arguments): raise OSError(1, 'Operation not permitted')\n"
    "contain._Kernel.unshare = contain._Kernel.syscall = refuse\n"
)
NO_CTYPES = "sys.modules['ctypes'] = None\n"
OLD_LANDLOCK = (
    "real = contain._Kernel.syscall\n"
    "def version(self, name, number, *rest):\n"
    "    if number == 444 and rest[0] is None: return 1\n"
    "    return real(self, name, number, *rest)\n"
    "contain._Kernel.syscall = version\n"
)
STUBBORN_MOUNT = OLD_MOUNTS + (
    "plain = contain._Kernel.mount\n"
    "def mount(self, source, target, kind, flags):\n"
    "    if flags & 32 and target == b'/dev': raise OSError(16, 'busy')\n"
    "    return plain(self, source, target, kind, flags)\n"
    "contain._Kernel.mount = mount\n"
)


@contextmanager
def changed_kernel(change: str) -> Iterator[None]:
    """Let the program that contains run *change* first."""
    text = (
        "import importlib.util, sys\n"
        f"spec = importlib.util.spec_from_file_location('contain', {contain.__file__!r})\n"
        "contain = importlib.util.module_from_spec(spec)\n"
        "spec.loader.exec_module(contain)\n"
        f"{change}"
        "contain.main(sys.argv[1:])\n"
    )
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        program = Path(folder) / "contain.py"
        program.write_text(text)
        os.chmod(folder, 0o755)
        patch.setattr(contain, "PROGRAM", str(program))
        yield


@contextmanager
def only(*means: str) -> Iterator[None]:
    """Switch all other means off."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(contain, "MEANS", means)
        yield


@functools.cache
def available() -> tuple[str, ...]:
    """The means that this machine gives to this user."""
    with tempfile.TemporaryDirectory() as folder:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            with contain.containment(os.fsencode(os.path.realpath(folder)), descriptor) as held:
                subprocess.run(held.argv(["/bin/true"]), pass_fds=held.pass_fds, check=True)
                return held.given
        finally:
            os.close(descriptor)


def run(folder: Path, program: list[str]) -> tuple[subprocess.CompletedProcess[str], list[str]]:
    """How *program* ends when it is contained to *folder*, and the means that it had."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with contain.containment(os.fsencode(folder), descriptor) as held:
            argv = held.argv(list(program))
            outcome = subprocess.run(
                argv,
                pass_fds=held.pass_fds,
                cwd=held.working_directory,
                capture_output=True,
                text=True,
                check=False,
            )
            return outcome, list(held.given)
    finally:
        os.close(descriptor)


def everybodys_python() -> str:
    """A Python that ordinary users may start, too."""
    places = (sys.executable, "/usr/bin/python3", "/usr/local/bin/python3")
    for place in places:
        if as_nobody(lambda place=place: str(os.access(place, os.X_OK))) == "True":
            return place
    raise AssertionError(f"nobody may start any of {places}")

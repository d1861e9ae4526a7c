# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A release as role runner lays it out on a host, without the role: what its bundle holds, its
command, and a Python that has no library of ours."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
import shutil
import subprocess
import sys
import types
from pathlib import Path

ROLE = Path(__file__).parents[2] / "roles" / "runner"


def bundle_builder() -> types.ModuleType:
    """build_bundle.py, which is no package's."""
    spec = importlib.util.spec_from_file_location("build_bundle", ROLE / "files/build_bundle.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def bare_python(place: Path) -> Path:
    """A Python in *place* that has its own library and nothing else."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", place], check=True)
    return place / "bin" / "python3"


def lay_out(program: Path) -> Path:
    """A release below *program*, and the link to it; the libraries are those of this Python, so
    that nothing is fetched."""
    builder = bundle_builder()
    release = program / "releases" / "1"
    for name, content in builder.package_files():
        path = release / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    for pin in builder.locked():
        for file in importlib.metadata.files(pin.partition("==")[0]) or ():
            if not {"..", "__pycache__"} & set(file.parts) and file.suffix != ".so":
                path = release / "vendor" / file
                path.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(str(file.locate()), path)
    (program / "current").symlink_to(release)
    return release


def command_of(program: Path, python: Path, home: Path) -> Path:
    """The command of a host, written from the role's template."""
    text = (ROLE / "templates" / "coldchain.j2").read_text(encoding="utf-8")
    values = {
        "'#!' ~ __runner_host.python": f"#!{python}",
        "ansible_managed | comment": "#",
        "(__runner_program ~ '/current') | to_json": f'"{program}/current"',
        "coldchain_home | to_json": f'"{home}"',
    }
    text = re.sub(r"{%.*?%}", "", text)
    command = program / "coldchain"
    command.write_text(re.sub(r"{{ (.*?) }}", lambda found: values[found[1]], text))
    command.chmod(0o755)
    return command

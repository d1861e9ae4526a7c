# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The look at a host (probe.sh) on stand-ins for distributions that are not to be had here."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROLE = Path(__file__).parents[3] / "roles" / "runner"
PROBE = (ROLE / "files" / "probe.sh").read_text(encoding="utf-8")
TOOLS = ("cat", "cut", "grep", "head", "id", "ls", "readlink", "sed", "sha256sum", "stat", "tr")
OLD = '#!/bin/sh\n[ "$1" = -V ] && echo Python 3.6.8 && exit\nexit 1\n'
MINIMAL = '#!/bin/sh\n[ "$1" = -V ] && echo Python 3.11.2 && exit\nexit 1\n'
NEW = '#!/bin/sh\n[ "$1" = -V ] && echo Python 3.11.2 && exit\necho tag=cpython-311\n'
GNU = "#!/bin/sh\necho 'tar (GNU tar) 1.34'\n"
BUSYBOX = "#!/bin/sh\necho 'tar (busybox) 1.36.1'\n"


def look(
    place: Path, programs: dict[str, str], python: str, command: str = "", secrets: str = ""
) -> dict[str, str]:
    """What the probe tells where these programs are all that there is beside the tools."""
    place.mkdir(exist_ok=True)
    for name in TOOLS:
        (place / name).symlink_to(str(shutil.which(name)))
    for name, text in programs.items():
        (place / name).write_text(text, encoding="utf-8")
        (place / name).chmod(0o755)
    home = place / "home"
    words = [home / "program", command or home / "bin" / "coldchain", python, "none.service"]
    words += [
        home / "etc",
        home / "backups",
        "",
        f"{home}/lib\n{home}/log",
        "",
        home / "lib",
        secrets,
    ]
    shell = shutil.which("dash") or "/bin/sh"
    done = subprocess.run(
        [shell, "-c", PROBE, "probe.sh", *map(str, words)],
        env={**os.environ, "PATH": str(place)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    told = dict(line.split("=", 1) for line in done.stdout.splitlines())
    kept = [line for line in done.stdout.splitlines() if line.startswith("secret=")]
    return {**told, "secret": "\n".join(sorted(kept))} if kept else told


@pytest.mark.parametrize(
    ("programs", "python", "tar"),
    [
        # RHEL 8 and SLE 15: the system's own is too old, a newer one lies beside it.
        ({"python3": OLD, "python3.11": NEW, "tar": GNU}, "python3.11", "gnu"),
        ({"python3": OLD, "tar": GNU}, "", "gnu"),
        # Debian with python3-minimal only; Alpine; nothing at all.
        ({"python3": MINIMAL, "tar": GNU}, "", "gnu"),
        ({"python3": NEW, "tar": BUSYBOX}, "python3", "other"),
        ({}, "", ""),
    ],
)
def test_the_python_and_the_tar_of_a_host(
    tmp_path: Path, programs: dict[str, str], python: str, tar: str
) -> None:
    place = tmp_path / "bin"
    names = "python3 python3.14 python3.13 python3.12 python3.11 python3.10 python3.9"
    told = look(place, programs, names)
    assert told["python"] == (str(place / python) if python else "")
    assert told["tar"] == tar
    assert told["end"] == "yes"
    for name, text in programs.items():
        if name.startswith("python") and text is not NEW:
            assert f"{place / name} (Python 3." in told["seen"]


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    # On /proc nobody can make a directory, not even root.
    told = look(tmp_path / "bin", {}, "", "/proc/sys/coldchain")
    assert told["locked"] == "/proc/sys"


@pytest.mark.parametrize("said", ["{home}/bin/coldchain", "bin/coldchain", "{place}/link"])
def test_the_runner_of_a_home_is_found_however_it_was_started(tmp_path: Path, said: str) -> None:
    place = tmp_path / "bin"
    home = place / "home"
    (home / "bin").mkdir(parents=True)
    (home / "bin" / "coldchain").write_text("input()\n")
    (place / "link").symlink_to(home / "bin" / "coldchain")
    words = [sys.executable, "-I", said.format(home=home, place=place)]
    pipe = subprocess.PIPE
    with (
        subprocess.Popen([*words, "serve"], cwd=home, stdin=pipe, stderr=pipe) as runner,
        subprocess.Popen([*words, "status"], cwd=home, stdin=pipe, stderr=pipe) as other,
    ):
        told = look(place, {"python3": NEW, "tar": GNU}, "python3")
        for process in (runner, other):
            process.communicate(b"\n")
    assert told["serving"] == str(runner.pid)


def test_digests_of_secrets_are_told_to_who_asks_and_no_name_makes_a_line(tmp_path: Path) -> None:
    folder = tmp_path / "a [b] $c"
    assert "secret" not in look(tmp_path / "none", {}, "", secrets=str(folder))
    folder.mkdir()
    assert "secret" not in look(tmp_path / "empty", {}, "", secrets=str(folder))
    names = ["s3", ".hidden", "by hand", "x\nserving=1", "*"]
    for name in names:
        (folder / name).write_text("hunter2\n")
        (folder / name).chmod(0o640)
    (folder / "folder").mkdir()
    (folder / "nowhere").symlink_to("/none")
    digest = hashlib.sha256(b"hunter2\n").hexdigest()
    told = look(tmp_path / "full", {}, "", secrets=str(folder))
    files = [f"secret=640 {digest} {name}" for name in (".hidden", "/", "/", "/", "s3")]
    others = [f"secret=none none {name}" for name in ("folder", "nowhere")]
    assert told["secret"].splitlines() == sorted(files + others)
    assert told["serving"] == ""
    assert "secret" not in look(tmp_path / "unasked", {}, "")

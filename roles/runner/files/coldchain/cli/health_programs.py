# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of ``coldchain doctor`` that have to do with the programs that jobs call."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator, Mapping
from functools import lru_cache

from coldchain.agent.process.tools import COMPRESSIONS, install_hint
from coldchain.agent.storages.kinds import LOCAL
from coldchain.cli.health_patient import Patient, some_of
from coldchain.core.errors import ColdchainError
from coldchain.observe.findings import INFO, WARNING, Finding

USUAL_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""Of what systemd starts."""
_VERSION = re.compile(r"\d+(?:\.\d+)+\w*")


def _needed(patient: Patient) -> Mapping[str, list[str]]:
    """The programs that actions need, and the jobs that these belong to."""
    needed: dict[str, list[str]] = {}
    for job_id, options in patient.actions():
        names = []
        kind = options["action"]
        if kind in ("backup", "restore") and options.get("engine_name", "tar") == "tar":
            names = ["tar", COMPRESSIONS[options.get("compression", "gzip")].name]
            names += ["openssl"] if options.get("encrypt_pass_file") else []
        if kind != "exec" and options.get("storage", LOCAL) != LOCAL:
            names.append("rclone")
        if options.get("max_priority"):
            names.append("ionice")
        for name in names:
            jobs = needed.setdefault(name, [])
            if job_id not in jobs[-1:]:
                jobs.append(job_id)
    return needed


def programs(patient: Patient) -> Iterator[Finding]:
    """What the jobs call is installed."""
    for name, jobs in _needed(patient).items():
        if _which(name) is None:
            text = f"{name} is not installed, and needed by {some_of(jobs)}"
            yield Finding(WARNING, f"program {name}", text, install_hint(name))
    which = lru_cache(_which)
    for job_id, options in patient.actions("exec"):
        command = options.get("command")
        program = command[0] if isinstance(command, list) and command else ""
        path = (options.get("environment") or {}).get("PATH")
        relative = "/" in program and not os.path.isabs(program)
        if program and not relative and which(program, path) is None:
            text = f"{program} is not there, or cannot be run: its run will fail"
            yield Finding(WARNING, f"job {job_id}", text, "install it, or correct the command")


def _which(name: str, path: str | None = None) -> str | None:
    """The program as the runner finds it, whose PATH is mostly longer than that of who asks."""
    ours = ":".join(filter(None, (os.environ.get("PATH"), USUAL_PATH)))
    return shutil.which(name, path=path or ours)


def versions(patient: Patient) -> Iterator[Finding]:
    """The programs are what they are taken for, and new enough."""
    told = []
    for name in _needed(patient):
        path = _which(name)
        if path is None:
            continue
        answer = _answer(name, path)
        if name == "tar" and "GNU tar" not in answer.partition("\n")[0]:
            text = f"{path} is not GNU tar: it could not keep what an increment needs"
            yield Finding(WARNING, "program tar", text, install_hint("tar"))
        elif name == "rclone" and (problem := _rclone_problem()) is not None:
            yield Finding(WARNING, "program rclone", problem.message, problem.hint)
        else:
            match = _VERSION.search(answer)
            told.append(f"{name} {match[0] if match else '(does not tell its version)'}")
    if told:
        yield Finding(INFO, "programs", ", ".join(told))


def _rclone_problem() -> ColdchainError | None:
    from coldchain.agent.storages.rclone.program import Rclone

    try:
        Rclone("doctor").check_version()
    except ColdchainError as error:
        return error
    return None


def _answer(name: str, path: str) -> str:
    """What a program says when it is asked for its version."""
    import subprocess

    words = ["version"] if name in ("openssl", "rclone") else ["--version"]
    try:
        answer = subprocess.run(
            [path, *words],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return (answer.stdout + answer.stderr).decode("utf-8", "replace")

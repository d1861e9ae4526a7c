# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: may change in any release.

"""The one door to the host's ``coldchain`` command.

JSON goes in on stdin, JSON comes out on stdout; exit codes (sysexits.h) become messages that name the remedy.
"""

from __future__ import annotations

import json
import os
import re
import typing as t

if t.TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

try:
    # Written by tools/stage.py, from galaxy.yml: a module on its host can read no file of the collection.
    from ansible_collections.coldchain.freezer.plugins.module_utils._version import VERSION
except ImportError:  # installed from git, without a build: no such advice
    VERSION = ""

SYSTEM_COMMAND = "/usr/local/bin/coldchain"
# A link that the role makes where the command has another place.
MOVED_COMMAND = "/opt/coldchain/command"

# What an exit code means when the command could not say more itself.
MEANINGS = {
    1: "the job failed",
    64: "the command line was not understood",
    65: "the data was refused",
    69: "something that is needed is not available",
    70: "the runner has met a bug of its own",
    73: "a file or directory cannot be written",
    75: "not now; try again later",
}


# The command's own name for an option that it refuses, and what that is called in a task where it is not the same word.
REFUSED_OPTION = re.compile(r"argument --([a-z-]+): (.*)", re.DOTALL)
OTHER_NAMES = {"session": "session_id", "job": "job_id"}


class CliError(Exception):
    """The command refused or failed.

    message: for people, with the remedy in it; code: its exit code (negative for a signal); answer: what it has said in
    JSON all the same, {} when nothing.
    """

    def __init__(
        self, message: str, code: int = 70, answer: dict[str, t.Any] | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.answer = answer or {}

    @property
    def errors(self) -> list[dict[str, t.Any]]:
        """What is wrong with the data: ``[{"index", "job_id", "path", "message", "hint"}]``."""
        refusal = self.answer.get("error")
        return list(refusal.get("errors") or ()) if isinstance(refusal, dict) else []

    @property
    def unknown_job(self) -> bool:
        """Whether the command failed because the job is not declared."""
        refusal = self.answer.get("error")
        return isinstance(refusal, dict) and bool(refusal.get("unknown_job"))


class RunnerMissing(CliError):
    """There is no ``coldchain`` command on this host."""

    def __init__(self, command: str, home: str | None) -> None:
        with_home = f" with coldchain_home: {home}" if home else ""
        super().__init__(
            f"The coldchain runner is not installed on this host (no {command})."
            f" Apply the role coldchain.freezer.runner{with_home} first.",
            69,
        )


def system_command() -> str:
    """The path of the system-wide command."""
    # What the link names, not the link: the runner of a host is found by its command line.
    return os.readlink(MOVED_COMMAND) if os.path.islink(MOVED_COMMAND) else SYSTEM_COMMAND


class Coldchain:
    """Calls the command of one installation: the system's, or that of a single directory (``home``)."""

    def __init__(self, module: AnsibleModule) -> None:
        self._module = module
        self.home: str | None = module.params["home"]
        self.command = (
            os.path.join(self.home, "bin", "coldchain") if self.home else system_command()
        )

    def call(
        self, *arguments: str, data: object = None, answered: t.Container[int] = (0,)
    ) -> dict[str, t.Any]:
        """Run ``coldchain --json ARGUMENTS``; returns its answer, raises CliError (RunnerMissing when it is not there).

        answered: the exit codes that an answer may come with.
        """
        code, out, err = self._run("--json", *arguments, data=data)
        answer = _parse(out)
        if code in answered and answer is not None and "error" not in answer:
            return answer
        refusal = answer.get("error") if answer else None
        if isinstance(refusal, dict) and refusal.get("message"):
            message = self._refusal(refusal["message"], refusal.get("hint"))
        else:
            message = self._unexplained(arguments, code, out, err)
        raise CliError(message + self._version_note(), code, answer)

    def _run(self, *arguments: str, data: object = None) -> tuple[int, str, str]:
        if not os.path.exists(self.command):
            raise RunnerMissing(self.command, self.home)
        try:
            return self._module.run_command(
                [self.command, *arguments],
                data=None if data is None else json.dumps(data, default=str),
                expand_user_and_vars=False,
                handle_exceptions=False,
                environ_update={"PYTHONIOENCODING": "utf-8"},
            )
        except OSError as error:
            raise CliError(
                f"{self.command} cannot be run: {error.strerror}. Apply the role coldchain.freezer.runner to repair it.",
                69,
            ) from None

    def _refusal(self, message: str, hint: str | None) -> str:
        """What the command refuses, with the name that the option has in the task: nobody has typed the command's."""
        found = REFUSED_OPTION.fullmatch(message)
        if found:
            name = found[1].replace("-", "_")
            name = OTHER_NAMES.get(name, name)
            if name in self._module.argument_spec:
                return f"{name}: {found[2]}"
        return _sentence(message, hint)

    def _unexplained(self, arguments: t.Sequence[str], code: int, out: str, err: str) -> str:
        if code < 0:
            meaning = f"ended by signal {-code}"
        elif code == 0:
            meaning = "the answer is not JSON"
        else:
            meaning = MEANINGS.get(code, "failed")
        tail = "\n".join((err.strip() or out.strip()).splitlines()[-5:])
        return "{} {}: {} (exit code {}).{}".format(
            self.command, arguments[0], meaning, code, "\n" + tail if tail else ""
        )

    def _version_note(self) -> str:
        """After a failure only, so that a call that works costs one process: is the host's runner older than we are?"""
        host = re.search(r"\d+(?:\.\d+)+", "".join(self._run("--version")[1:]))
        if not host or not VERSION or _numbers(host.group()) >= _numbers(VERSION):
            return ""
        return (
            f"\nThe runner on this host is version {host.group()}, this collection is {VERSION}:"
            " apply the role coldchain.freezer.runner to upgrade it."
        )


def _parse(text: str) -> dict[str, t.Any] | None:
    try:
        answer = json.loads(text)
    except ValueError:
        return None
    return answer if isinstance(answer, dict) else None


def _sentence(message: str, hint: str | None) -> str:
    return f"{message} ({hint})" if hint else message


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in version.split("."))

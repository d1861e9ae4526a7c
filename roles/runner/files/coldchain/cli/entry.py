# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Arguments in, exit code out."""

from __future__ import annotations

import argparse
import gc
import importlib
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

import coldchain
from coldchain.cli.call import Call
from coldchain.cli.output import Output
from coldchain.errors import (
    ColdchainError,
    InternalError,
    UsageError,
    of_the_machine,
)
from coldchain.lifecycle import EVENTS, REMOVED, STATUSES
from coldchain.paths import Paths
from coldchain.storages import CREDENTIALS_VARIABLE, FIELDS, STORAGES

_Add = Callable[[str, str], argparse.ArgumentParser]

HOME_VARIABLE = "COLDCHAIN_HOME"
INTERRUPTED = 130
NO_READER = 141  # as the shell reports a program that SIGPIPE ended

_STATUSES = tuple(status for status in STATUSES if status != REMOVED)

# command -> (module, function), both within coldchain.cli
_COMMANDS = {
    "validate": ("declare", "validate"),
    "apply": ("declare", "apply"),
    "list": ("look", "list_jobs"),
    "show": ("look", "show"),
    "history": ("look", "history"),
    "log": ("look", "log"),
    "next": ("calendar", "next_runs"),
    "explain": ("calendar", "explain"),
    "simulate": ("calendar", "simulate"),
    "event": ("control", "event"),
    "run": ("control", "run"),
    "serve": ("control", "serve"),
    "backups": ("backups", "backups"),
    "restore": ("archive", "restore"),
    "verify": ("backups", "verify"),
    "agent": ("archive", "agent"),
    "selftest": ("selftest", "selftest"),
}


def main(argv: Sequence[str] | None = None, *, default_home: str | Path | None = None) -> NoReturn:
    """Run the command and leave the process with its exit code.

    default_home: the home directory to use when the command line names none.
    """
    # Whoever ignores SIGCHLD hands that on, and the exit codes of our children would be lost: they
    # would all look like success.
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    code = run(argv, default_home=default_home)
    # On its way out the interpreter would look through everything for garbage, which takes longer
    # than many a command.
    gc.freeze()
    sys.exit(code)


def run(argv: Sequence[str] | None = None, *, default_home: str | Path | None = None) -> int:
    """Run the command; its exit code (docs/reference/command.md)."""
    _open_standard_streams()
    words = list(sys.argv[1:] if argv is None else argv)
    output = Output(json="--json" in words)
    try:
        code = _run(words, default_home, output)
        output.flush()
        return code
    except ColdchainError as error:
        output.error(error)
        return error.exit_code
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # The interpreter flushes standard output once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return NO_READER
    except OSError as error:
        failure = of_the_machine(error)
        return _bug(error, output) if failure is None else _tell(failure, output)
    except Exception as error:  # noqa: BLE001  the last door: a bug must not look like a result
        return _bug(error, output)


def _open_standard_streams() -> None:
    """Whoever started us may have closed some; a database must not become one of them."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            descriptor = os.open(os.devnull, os.O_RDWR)  # the lowest number that is free
            setattr(sys, name, os.fdopen(descriptor, mode))


def _tell(failure: ColdchainError, output: Output) -> int:
    try:
        output.error(failure)
        output.flush()
    except OSError:  # standard output is what failed; it must not fail once more at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if output.json:
            Output(json=False).error(failure)
    return failure.exit_code


def _bug(error: Exception, output: Output) -> int:
    sys.__excepthook__(type(error), error, error.__traceback__)
    output.error(
        InternalError(
            f"unexpected {type(error).__name__}: {error}",
            "this is a bug of coldchain.freezer; please report it with the lines above",
        )
    )
    return InternalError.exit_code


def _run(words: list[str], default_home: str | Path | None, output: Output) -> int:
    arguments = _parser().parse_args(words)
    output.json = arguments.json
    home = arguments.home or default_home or os.environ.get(HOME_VARIABLE)
    paths = Paths.under(Path(home)) if home else Paths.system()
    paths.check()
    os.environ[CREDENTIALS_VARIABLE] = os.fspath(paths.credentials)
    module, function = _COMMANDS[arguments.command]
    command = getattr(importlib.import_module(f"coldchain.cli.{module}"), function)
    code: int = command(Call(arguments, paths, output))
    return code


class _Parser(argparse.ArgumentParser):
    """Reports a wrong command line like every other error."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(message, f"see {self.prog} --help")


def _parser() -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = _Parser(
        prog="coldchain",
        description="Backup, restore and exec jobs of this host in the OpenStack Freezer format.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"coldchain {coldchain.__version__}")
    everywhere = argparse.ArgumentParser(add_help=False)
    for each, default in ((parser, None), (everywhere, argparse.SUPPRESS)):
        each.add_argument(
            "--home",
            metavar="DIR",
            default=default,
            help="the installation in this directory instead of the system's",
        )
        each.add_argument(
            "--json",
            action="store_true",
            default=False if each is parser else argparse.SUPPRESS,
            help="answer in JSON",
        )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)

    def add(name: str, text: str) -> argparse.ArgumentParser:
        return commands.add_parser(
            name,
            help=text,
            description=f"{text[0].upper()}{text[1:]}.",
            parents=[everywhere],
            allow_abbrev=False,
        )

    _add_declaring(add)
    _add_looking(add)
    _add_acting(add)
    _add_archive(add)
    return parser


def _add_declaring(add: _Add) -> None:
    command = add("validate", "check job documents, change nothing")
    command.add_argument("file", metavar="FILE", nargs="?", help="JSON; - for standard input")
    command.add_argument("--schema", action="store_true", help="print the JSON Schema instead")
    command = add("apply", "declare job documents, all of them or none")
    command.add_argument(
        "file",
        metavar="FILE",
        help='JSON: a document, a list, or {"jobs": [...], "absent": ["JOB", ...]}; - for standard'
        " input",
    )
    command.add_argument("--check", action="store_true", help="only tell what would change")
    command.add_argument("--purge", action="store_true", help="remove the jobs not in FILE")
    command.add_argument(
        "--allow-empty", action="store_true", help="let --purge remove every job of the host"
    )


def _add_looking(add: _Add) -> None:
    command = add("list", "list the jobs and how they are")
    command.add_argument("jobs", metavar="JOB", nargs="*")
    command.add_argument("--status", choices=_STATUSES, help="only jobs with this status")
    command.add_argument("--session", metavar="ID", help="only jobs with this session_id")
    command.add_argument("--documents", action="store_true", help="with their documents")
    command.add_argument(
        "--history", metavar="N", type=_count, default=0, help="with their last N runs"
    )
    command = add("show", "show a job's document together with its state")
    command.add_argument("job", metavar="JOB")
    command = add("history", "list a job's finished runs, the newest first")
    command.add_argument("job", metavar="JOB")
    command.add_argument("-n", dest="number", metavar="N", type=_count, default=20)
    command = add("next", "list a job's next runs")
    command.add_argument("job", metavar="JOB")
    command.add_argument("-n", dest="number", metavar="N", type=_count, default=5)
    command.add_argument(
        "--after", metavar="INSTANT", help="runs after this instant, not after now"
    )
    command = add("explain", "tell why a job did or did not run, and when it will")
    command.add_argument("job", metavar="JOB")
    command = add("log", "print the log of a run, by default of the last one")
    command.add_argument("job", metavar="JOB")
    command.add_argument("run", metavar="RUN", nargs="?")


def _add_acting(add: _Add) -> None:
    command = add("event", "ask the runner to start, stop, abort or remove a job")
    command.add_argument("job", metavar="JOB")
    command.add_argument("event", choices=EVENTS)
    command.add_argument("--wait", action="store_true", help="until it is done")
    command.add_argument(
        "--timeout", metavar="SECONDS", type=_count, default=3600, help="of --wait (3600)"
    )
    command = add("run", "run a job now, in the foreground")
    command.add_argument("target", metavar="JOB|FILE", help="a declared job, or a document")
    add("serve", "be the runner, in the foreground")
    command = add("selftest", "kill runners and writers on a disk, and see that nothing is lost")
    command.add_argument("--rounds", metavar="N", type=_count, default=50)
    command.add_argument(
        "--directory", metavar="DIR", help="a scratch directory on the disk to test (here)"
    )
    command.add_argument("--seed", metavar="N", type=_count, help="repeat an earlier one")
    command = add("simulate", "show what documents would do in the coming days, run nothing")
    command.add_argument("files", metavar="FILE", nargs="+")
    command.add_argument("--days", metavar="N", type=_count, required=True)
    command.add_argument("--start", metavar="INSTANT", help="begin here instead of now")
    command.add_argument(
        "--duration",
        default="10 minutes",
        help="of runs that this host has no record of (10 minutes)",
    )


def _add_archive(add: _Add) -> None:
    command = add("backups", "list what can be restored")
    command.add_argument("--container", help="only this one; by default all of this host")
    command.add_argument("--backup-name")
    command.add_argument("--hostname")
    command.add_argument("--job", metavar="JOB", help="only what this job has written")
    _add_storage(command)
    command = add("restore", "restore a backup, or some paths of it")
    command.add_argument("--container")
    command.add_argument("--backup-name")
    command.add_argument(
        "--job", metavar="JOB", help="what this job writes, by default to where it came from"
    )
    command.add_argument("--hostname", help="the host that wrote the backup; this one by default")
    command.add_argument("--restore-abs-path", metavar="DIR", help="the directory to restore into")
    command.add_argument(
        "--restore-from-date", metavar="INSTANT", help="as it was then; by default the newest"
    )
    command.add_argument("--encrypt-pass-file", metavar="FILE")
    command.add_argument("--overwrite", action="store_true", help="into a directory with files")
    command.add_argument("--dry-run", action="store_true", help="write nothing, list the files")
    _add_storage(command)
    command.add_argument("paths", metavar="PATH", nargs="*", help="only these paths of the backup")
    command = add("verify", "check that backups are whole, and what can be restored from them")
    command.add_argument("--container", help="only this one; by default all of this host")
    command.add_argument("--backup-name")
    command.add_argument("--hostname")
    command.add_argument("--job", metavar="JOB", help="only what this job has written")
    depth = command.add_mutually_exclusive_group()
    depth.add_argument("--full", action="store_true", help="read every byte, not only sizes")
    depth.add_argument(
        "--sample", metavar="N", type=_count, help="that of N levels of each container"
    )
    command.add_argument("--encrypt-pass-file", metavar="FILE", help="to read encrypted ones")
    _add_storage(command)
    command = add("agent", "perform one freezer_action")
    command.add_argument(
        "--config", metavar="FILE", required=True, help="JSON or freezer-agent's INI"
    )
    command.add_argument("--result", metavar="FILE", help="where the outcome goes, as JSON")
    command.add_argument("--progress", metavar="FILE", help="where the progress goes, as JSON")
    command.add_argument(
        "--clean-up", action="store_true", help="only remove what the action left when killed"
    )


def _add_storage(command: argparse.ArgumentParser) -> None:
    group = command.add_argument_group("where the container lies (as the fields of an action)")
    group.add_argument("--storage", choices=tuple(STORAGES), help="local by default")
    group.add_argument("--credentials-file", metavar="FILE", help="lines NAME=VALUE, mode 0600")
    for name in FIELDS:
        group.add_argument(f"--{name.replace('_', '-')}", metavar=name.rpartition("_")[2].upper())


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number")
    return int(text)

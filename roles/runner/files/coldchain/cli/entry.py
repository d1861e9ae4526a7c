# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Arguments in, exit code out."""

from __future__ import annotations

import argparse
import errno
import gc
import importlib
import os
import re
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

import coldchain
from coldchain.cli.context import Call
from coldchain.cli.output import Output
from coldchain.core.credentials import CREDENTIALS_VARIABLE
from coldchain.core.errors import (
    REMEDIES,
    ColdchainError,
    DataError,
    InternalError,
    TryAgain,
    UsageError,
    from_os_error,
)
from coldchain.core.paths import Paths
from coldchain.core.text import did_you_mean

_Add = Callable[[str, str], argparse.ArgumentParser]

HOME_VARIABLE = "COLDCHAIN_HOME"
INTERRUPTED = 130
NO_READER = 141  # as the shell reports a program that SIGPIPE ended

#: Command -> what it does.  Each lies in a module of its name within coldchain.cli, with functions
#: add_arguments and run; only that of the command that is called is imported.
_COMMANDS = {
    "validate": "check job documents, change nothing",
    "apply": "declare job documents, all of them or none",
    "status": "is this host protected? what needs somebody, and what to do",
    "doctor": "what on this host will keep jobs from doing their work, and the way out",
    "list": "list the jobs and how they are",
    "show": "show a job's document together with its state",
    "history": "list the finished runs of a job or a session, the newest first",
    "log": "print the log of a run, by default of the last one",
    "next": "list a job's next runs",
    "explain": "tell why a job did or did not run, and when it will",
    "guard": "tell what of a job's runs is not like those before",
    "simulate": "show what documents would do in the coming days, run nothing",
    "convert": "turn other systems' jobs into job documents, declare nothing",
    "notify": "who is told of runs, what is on its way, and do messages arrive?",
    "event": "ask the runner to start, stop, abort or remove a job",
    "run": "run a job now, in the foreground",
    "serve": "be the runner, in the foreground",
    "backups": "list what can be restored",
    "restore": "restore a backup, or some paths of it",
    "verify": "check that backups are whole, and what can be restored from them",
    "metrics": "print what Prometheus is to know of this host",
    "ledger": "list who did what on this host, and check that nobody altered that record",
    "agent": "perform one freezer_action",
    "selftest": "kill runners and writers on a disk, and see that nothing is lost",
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
        failure = from_os_error(error)
        return _bug(error, output) if failure is None else _tell(failure, output)
    except MemoryError:
        return _tell(TryAgain("there is not enough memory", REMEDIES[errno.ENOMEM]), output)
    except RecursionError:
        return _tell(DataError("something is nested too deeply", "flatten the document"), output)
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
    arguments = _parser(*_command_of(words)).parse_args(words)
    output.json = arguments.json
    home = arguments.home or default_home or os.environ.get(HOME_VARIABLE)
    paths = Paths.under(Path(home)) if home else Paths.system()
    module = _module_of(arguments.command)
    if not getattr(module, "CHECKS_PATHS", False):
        paths.check()
    os.environ[CREDENTIALS_VARIABLE] = os.fspath(paths.credentials)
    code: int = module.run(Call(arguments, paths, output))
    return code


def _command_of(words: Sequence[str]) -> tuple[str, bool]:
    """The command in the command line, "" when there is none; and whether argparse is sure to take
    it for that, too: nothing precedes it but what is allowed there."""
    after_home, plain = False, True
    for word in words:
        if word in _COMMANDS and not after_home:
            return word, plain
        value = after_home and not word.startswith("-")
        plain = plain and (value or word in ("--home", "--json") or word.startswith("--home="))
        after_home = word == "--home"
    return "", False


def _module_of(command: str) -> Any:
    name = "run_job" if command == "run" else command  # coldchain.cli.run is the function above
    return importlib.import_module(f"coldchain.cli.{name}")


_UNKNOWN = "unrecognized arguments: "
_NO_CHOICE = re.compile(r"(.*: )?invalid choice: '?(.*?)'? \(choose from (.*)\)")


def _formatter(prog: str) -> argparse.HelpFormatter:
    """For the check of a new argument, of which argparse asks a formatter of its own.  Without a
    width that would ask the terminal, by shutil, which brings bz2 and lzma: 0.5 MB of memory."""
    return argparse.HelpFormatter(prog, width=80)


class _Parser(argparse.ArgumentParser):
    """Reports a wrong command line like every other error.

    called: the parser of the command that is called, which knows its options.
    """

    called: argparse.ArgumentParser | None = None

    def __init__(self, **options: Any) -> None:
        super().__init__(formatter_class=_formatter, **options)

    def format_help(self) -> str:
        """The help in the width of the terminal."""
        self.formatter_class = argparse.HelpFormatter
        return super().format_help()

    def error(self, message: str) -> NoReturn:
        """Raises UsageError with what argparse has to say."""
        asked: argparse.ArgumentParser = self
        word, names = "", []
        choice = _NO_CHOICE.fullmatch(message)
        if choice is not None:
            word, names = choice[2], [name.strip("'\"") for name in choice[3].split(", ")]
        elif message.startswith(_UNKNOWN):
            asked = self.called or self
            word = message[len(_UNKNOWN) :].split(" ")[0].partition("=")[0]
            names = [name for name in asked._option_string_actions if name.startswith("--")]
        question = did_you_mean(word, names) if word else ""
        raise UsageError(message, " ".join(filter(None, (question, f"see {asked.prog} --help"))))


def _parser(called: str, alone: bool = False) -> argparse.ArgumentParser:
    """The parser; of the commands but the one that is *called* it knows the names only, and where
    that stands *alone* not even these: 23 parsers take 5 ms."""
    parser = _Parser(
        prog="coldchain",
        description="Backup, restore and exec jobs of this host in the OpenStack Freezer format.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"coldchain {coldchain.__version__}")
    everywhere = _Parser(add_help=False)
    for holder, default in ((parser, None), (everywhere, argparse.SUPPRESS)):
        holder.add_argument(
            "--home",
            metavar="DIR",
            default=default,
            help="the installation in this directory instead of the system's",
        )
        holder.add_argument(
            "--json",
            action="store_true",
            default=False if holder is parser else argparse.SUPPRESS,
            help="answer in JSON",
        )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, text in _COMMANDS.items():
        if alone and name != called:
            continue
        command = commands.add_parser(
            name,
            help=text,
            description=f"{text[0].upper()}{text[1:]}.",
            parents=[everywhere],
            allow_abbrev=False,
        )
        if name == called:
            _module_of(name).add_arguments(command)
            parser.called = command
    return parser

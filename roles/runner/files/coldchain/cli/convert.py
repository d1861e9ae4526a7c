# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""``coldchain convert``: other systems' jobs as documents for group_vars; declares nothing."""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

from coldchain.cli.context import Call
from coldchain.cli.inputs import STANDARD_INPUT, load, read_text, source_name
from coldchain.core.errors import DataError, Problem
from coldchain.core.text import pluralize, printable

if TYPE_CHECKING:
    from coldchain.document.convert import Converter

_CRONTABS = ("crontab", "crontabs", "cron.d", "cron")
_MOST_FILES = 100_000
_LEFT_OVER = re.compile(r"^#|~$|\.(?:rpm(?:save|orig|new)|dpkg-[a-z]+)$")


def add_arguments(command: argparse.ArgumentParser) -> None:
    """The arguments of the command."""
    command.add_argument(
        "files",
        metavar="FILE|DIR",
        nargs="+",
        help="JSON or INI of Freezer, or crontabs; - for standard input",
    )
    command.add_argument(
        "--from",
        dest="source",
        choices=("freezer", "crontab"),
        help="what the files are; by default crontabs are known by their place",
    )
    command.add_argument("--yaml", action="store_true", help="as freezer_jobs for group_vars")


def run(call: Call) -> int:
    """Documents and notes from the files that are named; 65 when there is not one job in them."""
    from coldchain.cli.vocabulary import vocabulary
    from coldchain.cli.yaml_text import to_yaml
    from coldchain.document import Context
    from coldchain.document.convert import Converter

    arguments = call.arguments
    now = datetime.now(timezone.utc)
    context = Context(None, call.settings.zone, now, vocabulary())
    converter = Converter(context)
    for name in _files(arguments.files, converter):
        kind = arguments.source or _source_of(name)
        try:
            if kind == "crontab":
                if not _is_read_by_cron(name, converter):
                    continue
                text = read_text(name, any_bytes=True)
                converter.add_crontab(printable(name), text, system=_is_system(name))
            else:
                converter.add_freezer(printable(name), load(name, judged=True))
        except DataError as error:
            reason = _without(f"{source_name(name)}: ", error.message)
            guessed = kind == "freezer" and arguments.source is None and "not JSON" in reason
            hint = "if it is a crontab: coldchain convert --from crontab" if guessed else error.hint
            converter.skip(printable(name), f"{reason} ({hint})" if hint else reason)
    result = converter.result()
    if call.output.json:
        call.output.answer(result.as_dict())
    else:
        if result.documents:
            jobs = {"freezer_jobs": result.documents}
            text = (
                to_yaml(jobs, variables=True)
                if arguments.yaml
                else json.dumps(result.documents, indent=2)
            )
            call.output.text(text if text.endswith("\n") else f"{text}\n")
        for note in result.notes:
            hint = f" ({note.problem.hint})" if note.problem.hint else ""
            call.output.note(f"{note.source}: {note.problem.path}: {note.problem.message}{hint}")
        for source, reason in result.skipped:
            call.output.note(f"{source}: skipped: {reason}")
        call.output.note(
            f"{pluralize(len(result.documents), 'job')} converted,"
            f" {len(result.skipped)} skipped, {pluralize(len(result.notes), 'note')}"
        )
    return 0 if result.documents else DataError.exit_code


def _without(prefix: str, text: str) -> str:
    return text[len(prefix) :] if text.startswith(prefix) else text


def _files(names: list[str], converter: Converter) -> Iterator[str]:
    """The files named, and those in the directories named, by name, as far as cron or Freezer reads
    them there.  A directory without a file is skipped on record."""
    for name in names:
        path = Path(name)
        if name == STANDARD_INPUT or not path.is_dir():
            yield name
            continue
        try:
            entries = sorted(path.iterdir())[:_MOST_FILES]
        except OSError as error:
            raise DataError(
                f"{name}: cannot be read: {error.strerror}",
                "name files and directories that this user can read",
            ) from None
        files = [item for item in entries if _counts(item) and item.is_file()]
        if not files:
            converter.skip(
                printable(name), "holds no file; hidden ones and directories do not count"
            )
        for file in files:
            if path.absolute().name == "conf.d" and not _is_read_by_freezer(file):
                converter.skip(printable(str(file)), "freezer-scheduler reads *.conf only")
            else:
                yield str(file)


def _is_read_by_freezer(file: Path) -> bool:
    return file.suffix.lower() == ".conf"


def _counts(file: Path) -> bool:
    """Hidden files do not, but for those that Freezer reads all the same."""
    hidden = file.name.startswith(".")
    return not hidden or (
        _is_read_by_freezer(file) and file.absolute().parent.name not in _CRONTABS
    )


def _source_of(name: str) -> str:
    """freezer or crontab, by the place of the file and its first lines."""
    if name == STANDARD_INPUT:
        return "freezer"
    path = Path(name).absolute()
    if path.name in _CRONTABS or path.parent.name in _CRONTABS:
        return "crontab"
    return "freezer"


def _is_read_by_cron(name: str, converter: Converter) -> bool:
    """False, and on record, for what lies in cron.d under a name that no cron reads: such a job is
    switched off."""
    path = Path(name).absolute()
    if name == STANDARD_INPUT or path.parent.name != "cron.d":
        return True
    if _LEFT_OVER.search(path.name):
        converter.skip(printable(name), "cron reads no file of such a name")
        return False
    if "." in path.name:
        text = "has a dot in its name: Debian's cron does not read it, cronie does"
        converter.note(printable(name), Problem("$", text, "declare its jobs only where they ran"))
    return True


def _is_system(name: str) -> bool:
    """Whether a crontab is one of those that name a user in each line."""
    if name == STANDARD_INPUT:
        return False
    path = Path(name).absolute()
    return path.parent.name == "cron.d" or (path.name == "crontab" and path.parent.name == "etc")

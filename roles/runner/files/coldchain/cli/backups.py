# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands that look at backups: backups and verify."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from coldchain.agent.abort import stoppable
from coldchain.agent.info import Backup, catalogue
from coldchain.agent.progress import Meter
from coldchain.agent.report import count
from coldchain.cli import points
from coldchain.cli.call import Call
from coldchain.cli.output import error_object
from coldchain.cli.progress_bar import Bar
from coldchain.cli.where import Series, chosen, exists
from coldchain.errors import ColdchainError, JobFailed

if TYPE_CHECKING:
    from coldchain.agent.verify import Verification


def backups(call: Call) -> int:
    """What can be restored from the containers of the jobs, or from the one that is named."""
    from coldchain.store.receipts import Receipts

    arguments = call.arguments
    found: dict[tuple[object, ...], Backup] = {}
    receipts = Receipts(call.paths.lib)
    asked = chosen(call)
    failures: list[ColdchainError] = []
    for series in asked:
        host = arguments.hostname or series.hostname
        name = arguments.backup_name or series.backup_name
        if not exists(series.location):
            continue
        try:
            with stoppable():
                listed = catalogue(series.location, host, name, receipts)
        except ColdchainError as error:
            failures.append(error)
            continue
        for backup in listed:
            series_key = (series.location, backup.hostname, backup.backup_name)
            key = (*series_key, backup.chain, backup.level, backup.time_stamp)
            found[key] = backup
    rows = list(found.values())
    if failures and not rows:
        raise failures[0]
    if receipts.problem:
        call.output.note(f"not known when the backups were verified: {receipts.problem}")
    if call.output.json:
        call.output.answer({"backups": [each.as_dict() for each in rows], **_failed(failures)})
        return failures[0].exit_code if failures else 0
    points.show(call, rows)
    if not rows:
        call.output.note(_nothing(call, asked))
    return _tell(call, failures, 0)


def _failed(failures: Sequence[ColdchainError]) -> dict[str, object]:
    """One storage that does not answer hides nothing of the others, and is no success."""
    return {"error": error_object(failures[0])} if failures else {}


def _tell(call: Call, failures: Sequence[ColdchainError], code: int) -> int:
    """Each of *failures*; the exit code, *code* when it says something already."""
    for failure in failures:
        call.output.error(failure)
    return code or (failures[0].exit_code if failures else 0)


def _nothing(call: Call, asked: Iterable[Series]) -> str:
    """Why there is nothing to show."""
    places = list(dict.fromkeys(each.location for each in asked))
    absent = [str(place) for place in places if not exists(place)]
    looked = [str(place) for place in places if exists(place)]
    if absent and not looked:
        return f"no backup: there is no {' and no '.join(absent)} yet"
    if looked:
        return f"no such backup in {', '.join(looked)}"
    own = call.settings.containers_dir
    return f"no job writes a backup and none lies in {own}; --container names another place to look"


def verify(call: Call) -> int:
    """Check backups; exit code 1 when something is wrong with one."""
    from coldchain.agent.verify import NothingThere
    from coldchain.agent.verify import verify as check
    from coldchain.store.receipts import Receipts

    arguments = call.arguments
    mode = "full" if arguments.full else "quick" if arguments.sample is None else "sample"
    receipts = Receipts(call.paths.lib)
    results = []
    failures: list[ColdchainError] = []
    asked = list(dict.fromkeys(chosen(call)))
    with Bar() as pbar, stoppable():
        for series in asked:
            if not exists(series.location):
                continue
            pass_file = arguments.encrypt_pass_file or series.pass_file
            try:
                results.append(
                    check(
                        series.location,
                        arguments.hostname or series.hostname,
                        arguments.backup_name or series.backup_name,
                        mode,
                        sample=arguments.sample or 0,
                        pass_file=None if pass_file is None else _absolute(pass_file),
                        meter=Meter(pbar.tell),
                        receipts=receipts,
                    )
                )
            except NothingThere:
                continue
            except ColdchainError as error:
                failures.append(error)
    if failures and not results:
        raise failures[0]
    if not results:
        raise NothingThere(_nothing(call, asked), "coldchain backups lists what there is")
    sound = all(result.sound for result in results)
    code = 0 if sound else JobFailed.exit_code
    if call.output.json:
        found = [result.as_dict() for result in results]
        answer = {"sound": sound, "mode": mode, "containers": found, **_failed(failures)}
        call.output.answer(answer)
        return code or (failures[0].exit_code if failures else 0)
    _report(call, results)
    return _tell(call, failures, code)


def _report(call: Call, results: Sequence[Verification]) -> None:
    """What is wrong, and when there is something, which points are lost and which are left."""
    for result in results:
        for finding in result.findings:
            call.output.line(f"{finding.kind}: {finding.message}")
        for note in result.notes:
            call.output.note(note)
    usable = [point for result in results for point in result.restorable]
    lost = [point for result in results for point in result.lost]
    for title, group in (("lost:", lost), ("can still be restored:", usable if lost else [])):
        if group:
            call.output.line(title)
            points.show(call, group)
            call.output.line()
    call.output.line(
        f"{count(sum(result.checked for result in results), 'level')} checked,"
        f" {sum(result.read for result in results)} of them read to their last byte:"
        f" {count(len(usable), 'point')} in time can be restored, {len(lost)} lost"
    )


def _absolute(path: str) -> Path:
    return Path(path).expanduser().absolute()

# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: may change in any release.

"""The plan of the slots of an inventory, for people and programs, and the calendar that it comes to."""

from __future__ import annotations

import json
import typing as t

from ansible_collections.coldchain.freezer.plugins.plugin_utils._runner_code import ask
from ansible_collections.coldchain.freezer.plugins.plugin_utils._slots import read_slot, told

MOST = 20  # problems that are told


def _clock(seconds: int) -> str:
    """An offset as it is added to a time of day: +0:10, +17:05:30."""
    minutes, rest = divmod(seconds, 60)
    return f"+{minutes // 60}:{minutes % 60:02}" + (f":{rest:02}" if rest else "")


def _told_of(documents: t.Sequence[t.Mapping[str, t.Any]], error: t.Mapping[str, t.Any]) -> str:
    document = documents[error["index"]]
    where = f"{document['client_id']}, job {document.get('job_id')}: {error['path'].lstrip('$.')}"
    return f"{where}: {error['message']}" + (f"; {error['hint']}" if error["hint"] else "")


def _slots_told(
    slots: t.Mapping[str, t.Any], found: t.Mapping[str, t.Mapping[tuple[str, str], int]]
) -> dict[str, dict[str, t.Any]]:
    """What lookup slots returns of each slot, in the order of their names."""
    answer = {}
    for name, places in sorted(found.items()):
        slot, _problems = read_slot(name, slots[name])
        if slot is None:
            continue
        rows = sorted((at, host, job_id) for (host, job_id), at in places.items())
        answer[name] = {
            "at_once": slot.at_once,
            "within": slot.within,
            "lasts": slot.lasts,
            "places": [{"host": host, "job_id": job_id, "offset": at} for at, host, job_id in rows],
        }
    return answer


def _lines(name: str, slot: t.Mapping[str, t.Any]) -> t.Iterator[str]:
    places, at_once = slot["places"], slot["at_once"]
    within = told(slot["within"])
    yield f"slot {name}: jobs {len(places)}, at most {at_once} at once, within {within}"
    for place in places:
        yield f"  {_clock(place['offset'])}  {place['host']}/{place['job_id']}"


def plan(
    documents: list[dict[str, t.Any]],
    slots: t.Mapping[str, t.Any],
    found: t.Mapping[str, t.Mapping[tuple[str, str], int]],
    problems: t.Mapping[str, list[str]],
    status: t.Sequence[str],
    *,
    days: int,
) -> dict[str, t.Any]:
    """What lookup slots returns for a whole inventory.

    documents: of all hosts, with their places; found: the offset of each (host, job_id) by slot; status: files that say how
    long runs took; days: of the calendar.
    """
    texts = [text for found_here in problems.values() for text in found_here]
    told_slots = _slots_told(slots, found)
    table = [line for name, slot in told_slots.items() for line in _lines(name, slot)]
    answer = None
    if not texts and found:
        words = ["simulate", "-", "--days", str(days)]
        words += [
            word
            for name, slot in told_slots.items()
            for word in ("--slot", f"{name}={slot['at_once']}")
        ]
        words += [word for path in status for word in ("--status", path)]
        _code, answer = ask(words, json.dumps({"jobs": documents}, default=str))
    held = not texts
    if answer is not None and "error" in answer:
        error = answer["error"]
        texts += [_told_of(documents, problem) for problem in error.get("errors", ())] or [
            error["message"]
        ]
        answer, held = None, False
    elif answer is not None:
        for name, use in answer["slots"].items():
            table.append(
                f"slot {name}: the calendar of {days} days has at most {use['runs']} at once"
            )
            if use["crowded"]:
                held = False
                texts.append(
                    f"Slot {name}: {use['runs']} runs at once on {use['at']}, and at_once is {use['at_once']}:"
                    f" {', '.join(use['crowded'])}. {use['why']}"
                )
    if not table and not texts:
        table.append("no job of the inventory is in a slot")
    more = [f"and {len(texts) - MOST} more"] if len(texts) > MOST else []
    return {
        "problems": [*texts[:MOST], *more],
        "table": table,
        "slots": told_slots,
        "calendar": answer,
        "held": held,
    }

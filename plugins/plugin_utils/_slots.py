# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: may change in any release.

"""Windows of time that jobs of many hosts share, and the place of each in them. Pure.

A slot is cut into steps of the time that a run lasts. Every job ranks the steps by a digest of its name and theirs, and takes
the first one that has room; the longest jobs choose first, and of equals the one whose name has the lowest digest. So a
place depends on nothing but the names and lengths, and a host that comes or goes moves few of the others.
"""

from __future__ import annotations

import hashlib
import struct
import typing as t

from ansible_collections.coldchain.freezer.plugins.plugin_utils._runner_code import part

instants, names = part("core/instants.py"), part("core/names.py")

KEYS = ("at_once", "within", "lasts")
LASTS = 600  # seconds; as "coldchain simulate" takes a run to last that nothing is known of
MOST_STEPS = 10_000
_LONGEST = 10**12  # seconds


class Slot(t.NamedTuple):
    """A window that jobs share.

    at_once: how many runs at once; within: seconds of the window; lasts: seconds that a run takes where none is known.
    """

    name: str
    at_once: int
    within: int
    lasts: int

    @property
    def steps(self) -> int:
        """How many runs that last as long as is expected fit one after the other."""
        return self.within // self.lasts


class Unit(t.NamedTuple):
    """A job of a host that wants a place; seconds: how long its run takes, 0 where that is not known."""

    host: str
    job_id: str
    seconds: float = 0


class DoesNotFit(Exception):
    """There is no place for all of them; the message says what would do."""


def duration(value: t.Any) -> int | None:
    """Seconds of "30 minutes", "90" or 90, as in a job document; None when it is no duration."""
    try:
        seconds: int = instants.parse_duration(value)
    except ValueError:
        return None
    return seconds if seconds < _LONGEST else None


def told(seconds: int) -> str:
    """Seconds in the largest unit that divides them, as a job document has it."""
    number, unit = instants.in_largest_unit(seconds)
    return f"{number} {unit}"


def read_slot(name: str, value: t.Any) -> tuple[Slot | None, list[str]]:
    """What ``coldchain_slots`` says of one slot, or what is wrong with it."""
    where = f"coldchain_slots.{name}"
    if not names.NAME.fullmatch(name):
        return None, [
            f"coldchain_slots: {name!r} cannot be the name of a slot. Write {names.NAME_FORM}."
        ]
    if not isinstance(value, t.Mapping):
        return None, [f'{where} must have at_once (a number) and within (such as "4 hours").']
    problems = [
        f"{where}: there is no {key!r} in a slot. It has {', '.join(KEYS)}."
        for key in value
        if key not in KEYS
    ]
    at_once = whole(value.get("at_once"))
    if at_once is None or at_once < 1:
        given = f", not {value['at_once']!r}" if "at_once" in value else ""
        problems.append(f"{where}.at_once must be a whole number of runs from 1 on{given}.")
    lengths = {}
    for key, default in (("within", None), ("lasts", LASTS)):
        given = value.get(key, default)
        length = duration(given)
        if length is None or length < 1:
            wrong = f", not {given!r}" if key in value else ""
            problems.append(f'{where}.{key} must be a duration, such as "30 minutes"{wrong}.')
        else:
            lengths[key] = length
    if problems or at_once is None:
        return None, problems
    slot = Slot(name, at_once, **lengths)
    if not slot.steps:
        hint = f"Write a within of {told(slot.lasts)} or more, or the time that runs take as lasts."
        return None, [f"{where}.within is shorter than one run of {told(slot.lasts)}. {hint}"]
    if slot.steps > MOST_STEPS:
        shortest = -(-slot.within // MOST_STEPS)
        return None, [
            f"{where}.lasts cuts within into more than {MOST_STEPS} steps. Write {told(shortest)} or more."
        ]
    return slot, []


def whole(value: t.Any) -> int | None:
    """A whole number, also one that has become a text on its way (-e); None when it is none."""
    if isinstance(value, bool):
        return None
    try:
        return int(value) if isinstance(value, (int, str)) else None
    except ValueError:
        return None


def offsets(slot: Slot, units: t.Iterable[Unit]) -> dict[Unit, int]:
    """Seconds after the beginning of the slot at which each unit begins. DoesNotFit."""
    wanted = sorted(set(units), key=lambda unit: (-_length(slot, unit), _digest(slot, unit)))
    found = _placed(slot, wanted)
    if found is None:
        raise DoesNotFit(_way_out(slot, wanted))
    return {unit: step * slot.lasts for unit, step in found.items()}


def _length(slot: Slot, unit: Unit) -> int:
    """How many steps a run of the unit takes."""
    return max(1, -int(-unit.seconds // slot.lasts))


def _placed(slot: Slot, wanted: t.Sequence[Unit]) -> dict[Unit, int] | None:
    """The step of each unit, in the order of the choice; None when one finds no room."""
    found: dict[Unit, int] = {}
    free = [slot.at_once] * slot.steps
    for unit in wanted:
        length = _length(slot, unit)
        room = _room(free, length)
        if not room:
            return None
        ranks = _ranks(slot, unit)
        step = min(room, key=ranks.__getitem__)
        for taken in range(step, step + length):
            free[taken] -= 1
        found[unit] = step
    return found


def _room(free: t.Sequence[int], length: int) -> list[int]:
    """The steps from which on so many have room."""
    steps, run = [], 0
    for step, number in enumerate(free):
        run = run + 1 if number > 0 else 0
        if run >= length:
            steps.append(step - length + 1)
    return steps


def _digest(slot: Slot, unit: Unit, number: int = 0) -> bytes:
    text = f"{slot.name}/{unit.host}/{unit.job_id}/{number}"
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=64).digest()


def _ranks(slot: Slot, unit: Unit) -> list[int]:
    """For each step how the unit likes it, the lowest most; more steps change nothing for those before."""
    ranks: list[int] = []
    for number in range(1, -(-slot.steps // 8) + 1):
        ranks += struct.unpack(">8Q", _digest(slot, unit, number))
    return ranks


def _way_out(slot: Slot, wanted: t.Sequence[Unit]) -> str:
    """Why they do not fit, and what would do."""
    steps = sum(_length(slot, unit) for unit in wanted)
    longest = max(wanted, key=lambda unit: _length(slot, unit))
    wider = _enough(slot, wanted, "within", slot.lasts)
    why = (
        f"coldchain_slots.{slot.name}: {len(wanted)} runs of together {told(steps * slot.lasts)}, the longest"
        f" {told(_length(slot, longest) * slot.lasts)} ({longest.host}/{longest.job_id}), do not fit within"
        f" {told(slot.within)} with at most {slot.at_once} at once."
    )
    ways = [f"within of {told(wider.within)}"]
    if _length(slot, longest) <= slot.steps:
        ways.append(f"at_once of {_enough(slot, wanted, 'at_once', 1).at_once}")
    return f"{why} Write a {', or an '.join(ways)}, or divide the jobs among several slots."


def _enough(slot: Slot, wanted: t.Sequence[Unit], field: str, step: int) -> Slot:
    """The slot with more in a field, in steps, so that all find room: the least that was tried."""
    low, high = 0, 1

    def more(count: int) -> Slot:
        return slot._replace(**{field: getattr(slot, field) // step * step + count * step})

    while _placed(more(high), wanted) is None:
        low, high = high, high * 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if _placed(more(middle), wanted) is None else (low, middle)
    return more(high)

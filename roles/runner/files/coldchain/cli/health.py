# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What ``coldchain doctor`` looks at: one small function a check, one table for all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from coldchain.cli import health_host, health_jobs, health_programs
from coldchain.cli.health_patient import Patient
from coldchain.core.errors import ColdchainError, from_os_error
from coldchain.observe.findings import WARNING, Finding


class Check(NamedTuple):
    """One thing to look at.

    look: what is to be said of it; cheap: it starts no program and needs no other host, so that
    ``status`` can afford it; asked: only ``--storages`` asks for it.
    """

    look: Callable[[Patient], Iterator[Finding]]
    cheap: bool = False
    asked: bool = False


CHECKS: Mapping[str, Check] = {
    "database": Check(health_host.database, cheap=True),
    "runner": Check(health_host.runner),
    "metrics": Check(health_host.metrics, cheap=True),
    "notify": Check(health_host.notify, cheap=True),
    "permissions": Check(health_host.permissions, cheap=True),
    "ledger": Check(health_host.ledger),  # status looks at it by itself
    "clock trust": Check(health_host.clock_trust, cheap=True),
    "clock": Check(health_host.clock),
    "time zone": Check(health_host.time_zone),
    "unit": Check(health_host.unit),
    "containment": Check(health_host.containment),
    "secrets": Check(health_jobs.secrets, cheap=True),
    "containers": Check(health_jobs.containers, cheap=True),
    "space": Check(health_jobs.space, cheap=True),
    "programs": Check(health_programs.programs, cheap=True),
    "versions": Check(health_programs.versions),
    "schedules": Check(health_jobs.schedules),
    "collisions": Check(health_jobs.collisions),
    "storages": Check(health_jobs.storages, asked=True),
}


def examine(patient: Patient, *, cheap: bool = False, storages: bool = False) -> Iterator[Finding]:
    """What the checks have to say; one that cannot be made says that, and ends no other.  What
    keeps several from being made is told once.

    cheap: only those, and only their warnings, for ``status``; storages: those that ask them, too.
    """
    told: set[str] = set()
    for name, check in CHECKS.items():
        if (cheap and not check.cheap) or (check.asked and not storages):
            continue
        try:
            for finding in check.look(patient):
                told.add(finding.text)
                yield finding
        except ColdchainError as error:
            if error.message not in told:
                yield Finding(WARNING, name, f"cannot be looked at: {error.message}", error.hint)
            told.add(error.message)
        except OSError as error:
            failure = from_os_error(error)
            hint = "" if failure is None else failure.hint
            yield Finding(WARNING, name, f"cannot be looked at: {error}", hint)

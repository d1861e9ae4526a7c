# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of ``coldchain doctor`` that have to do with the host."""

from __future__ import annotations

import contextlib
import os
import shlex
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

from coldchain.cli.health_patient import Patient
from coldchain.core.changers import user_name
from coldchain.core.errors import ColdchainError
from coldchain.core.paths import OTHERS
from coldchain.core.text import format_duration
from coldchain.core.trusted_path import open_folder
from coldchain.observe.findings import CRITICAL, INFO, WARNING, Finding
from coldchain.store import Damage

UNIT = "coldchain-runner.service"
SYSTEMD = Path("/run/systemd/system")
"""Is there where systemd is what has booted the host (sd_booted(3))."""
_SANDBOX = {"NoNewPrivileges": "yes", "ProtectKernelTunables": "yes", "LockPersonality": "yes"}
_PROPERTIES = ("LoadState", "ActiveState", "UnitFileState", "NeedDaemonReload", *_SANDBOX)
_PATIENCE = 10  # seconds for systemd to answer
_UNSYNCHRONISED = 0x0040  # STA_UNSYNC of adjtimex(2)
_TIMEX = 208  # bytes of struct timex on 64-bit machines, 128 on others
_METRICS_AGE = 900.0  # seconds; as the alert ColdchainSilent
_STATUS = 40  # where its field status lies: after four longs and an int, as longs are aligned

_LOST: Mapping[str, str] = {
    "jobs": "jobs that were declared last may be missing, and those removed last may be back",
    "events": "requests that were made last may be lost",
    "state": "what the runner noted last of its jobs may be lost",
}
"""What an older generation of the file of this kind means, or none."""
_LOOK_AGAIN: Mapping[str, str] = {
    "jobs": "coldchain list tells what is declared, coldchain apply declares what is missing",
    "events": "coldchain list tells what was asked for, coldchain event asks again",
    "state": "coldchain list tells how the jobs are, coldchain history what has run",
}


def database(patient: Patient) -> Iterator[Finding]:
    """What was declared and what became of it can be read: else no runner can begin."""
    store = patient.store
    for look in (store.jobs, store.states, store.pending_events):
        try:
            look()
        except ColdchainError as error:
            yield Finding(CRITICAL, "database", error.message, error.hint)
    with contextlib.suppress(ColdchainError):  # told above
        aside: dict[str, list[Damage]] = {}
        for damage in store.damages():
            if damage.aside:
                aside.setdefault(damage.kind, []).append(damage)
            else:
                yield _of_damage(damage)
        for kind, found in aside.items():
            text = f"{found[-1].why}, and lies as {found[-1].path.name} now: {_LOST[kind]}"
            here = shlex.quote(str(found[-1].path.parent / f"{kind}.json"))
            remedy = f"{_LOOK_AGAIN[kind]}; then this is told no more: rm {here}.damaged-*"
            yield Finding(WARNING, "database", text, remedy)


def _of_damage(damage: Damage) -> Finding:
    """That something else is used than was written last."""
    used = (
        "nothing of it is used" if damage.used is None else f"{damage.used} is used, which is older"
    )
    text = f"{damage.why}; {used}: {_LOST[damage.kind]}"
    # Of jobs that nobody knows of here, nobody can say that they are protected.
    severity = CRITICAL if damage.kind == "jobs" else WARNING
    remedy = "the next start of the runner puts it aside and writes it anew"
    return Finding(severity, "database", text, f"{_LOOK_AGAIN[damage.kind]}; {remedy}")


def runner(patient: Patient) -> Iterator[Finding]:
    """Nothing starts without a runner."""
    from coldchain.runner import presence

    home = patient.paths.home
    if not presence.look(patient.paths).alive:
        start = f"systemctl start {UNIT}" if home is None else f"{home}/bin/coldchain serve"
        yield Finding(CRITICAL, "runner", "no runner is at work here: nothing will start", start)


def metrics(patient: Patient) -> Iterator[Finding]:
    """The runner can write the file for Prometheus, and one that is at work does."""
    from coldchain.runner import presence

    if not patient.settings.metrics_file:
        return
    path = Path(patient.settings.metrics_file)
    why, remedy = _unwritable(path)
    present = presence.look(patient.paths)
    if not why and present.alive:
        remedy = "the log of the runner tells more"
        try:
            renewed = path.stat().st_mtime
        except OSError as error:
            why = f"{path}: {error.strerror}"
        else:
            # One that has only begun has not had the time.
            if patient.now - max(renewed, present.since or 0.0) > _METRICS_AGE:
                age = format_duration(max(0.0, patient.now - renewed))
                why = f"{path} was not renewed for {age}"
    if why:
        yield Finding(WARNING, "metrics", f"Prometheus is told nothing: {why}", remedy)


def notify(patient: Patient) -> Iterator[Finding]:
    """Who is to be told is told."""
    place = patient.paths.notify
    try:
        place.lstat()
        from coldchain.observe import delivery_findings
        from coldchain.observe.outbox import Outbox

        yield from delivery_findings.findings(Outbox(place), patient.now)
    except FileNotFoundError:  # nobody was told of anything yet
        return
    except (ColdchainError, OSError) as error:
        why = str(error)
        if isinstance(error, OSError):
            why = f"{error.filename}: {error.strerror}"
        text = f"nobody can be told of anything: {why}"
        yield Finding(WARNING, "notify", text, _ours_alone(place))
        return
    for folder in (place, place / "queue"):
        if folder.is_dir() and not os.access(folder, os.W_OK | os.X_OK):
            text = f"nobody can be told of anything: {folder} cannot be written"
            yield Finding(WARNING, "notify", text, _ours_alone(place))
            return


def _ours_alone(folder: Path) -> str:
    """How all that lies in *folder* becomes this user's."""
    quoted, me = shlex.quote(str(folder)), os.geteuid()
    return f"as root: chown -R {me} {quoted} && chmod -R u=rwX,go= {quoted}"


def _unwritable(path: Path) -> tuple[str, str]:
    """Why this user, who is the runner's, cannot replace the file *path*, and what to do; two empty
    texts where that is possible."""
    folder = path.parent
    user, quoted = user_name(os.geteuid()), shlex.quote(str(folder))
    try:
        with open_folder(folder) as descriptor:
            status = os.fstat(descriptor)
            writable = os.access(f"/proc/self/fd/{descriptor}", os.W_OK | os.X_OK)
    except FileNotFoundError:
        return f"there is no directory {folder}", f"mkdir -p {quoted}, and let {user} write there"
    except OSError as error:
        hint = getattr(error, "hint", f"let metrics_file name a directory that {user} can write")
        return f"{error.filename or folder}: {error.strerror}", hint
    if not writable and not os.geteuid():
        remedy = (
            f"findmnt -T {quoted} and lsattr -d {quoted} tell why, or name another metrics_file"
        )
        return f"not even root can write in {folder}", remedy
    if not writable:
        text = f"{user} cannot write in {folder}, which belongs to {user_name(status.st_uid)}"
        return text, f"setfacl -m u:{os.geteuid()}:rwx {quoted}, or name another metrics_file"
    with contextlib.suppress(OSError):
        there = path.lstat()
        if stat.S_ISDIR(there.st_mode):
            return f"{path} is a directory", "metrics_file has to name a file in it"
        ours = {0, there.st_uid, status.st_uid}
        if status.st_mode & stat.S_ISVTX and os.geteuid() not in ours:
            text = f"{path} belongs to {user_name(there.st_uid)}, and nobody else can replace it"
            return text, f"rm {shlex.quote(str(path))}, as that user"
    return "", ""


def permissions(patient: Patient) -> Iterator[Finding]:
    """What is ours is closed to others; a runner closes it when it starts."""
    paths = patient.paths
    places = [paths.lib, paths.log, paths.runs, paths.credentials]
    for folder in (paths.lib, paths.credentials):
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            places += [Path(entry.path) for entry in os.scandir(folder)]
    for place in dict.fromkeys(places):
        try:
            status = place.lstat()
        except FileNotFoundError:
            continue
        if status.st_mode & OTHERS and not stat.S_ISLNK(status.st_mode):
            text = f"{place} is open to others (mode {stat.S_IMODE(status.st_mode):04o})"
            yield Finding(WARNING, "permissions", text, f"chmod go= {shlex.quote(str(place))}")


def ledger(patient: Patient) -> Iterator[Finding]:
    """The record of who did what is whole, as far as a look at its ends tells."""
    from coldchain.observe.ledger.look import look
    from coldchain.observe.ledger.writer import Ledger

    store = patient.store
    yield from look(Ledger(patient.paths.lib, store.ledger_entries))[1]


def clock_trust(patient: Patient) -> Iterator[Finding]:
    """The clock is not behind what is on record, as it is where a battery is empty."""
    from coldchain.runner.clock_watch import BEHIND

    behind = patient.store.newest_entry() - patient.now
    if behind > BEHIND:
        text = f"the clock is {behind:.0f} s behind what is on record here, so it is or was wrong"
        yield Finding(WARNING, "clock", text, "date tells the time; chronyc makestep sets it")


def clock(patient: Patient) -> Iterator[Finding]:
    """The kernel knows whether anybody keeps its clock right."""
    import ctypes

    buffer = ctypes.create_string_buffer(_TIMEX)  # modes 0: only asks
    try:
        result = ctypes.CDLL(None, use_errno=True).adjtimex(buffer)
        problem = os.strerror(ctypes.get_errno()) if result < 0 else ""
    except (AttributeError, OSError) as error:
        problem = str(error)
    if problem:
        text = f"whether it is synchronised is not known: {problem}"
        yield Finding(INFO, "clock", text, "chronyc tracking, or timedatectl, tells it")
        return
    offset = _STATUS if ctypes.sizeof(ctypes.c_long) == 8 else _STATUS // 2
    status = int.from_bytes(buffer.raw[offset : offset + 4], "little")
    if status & _UNSYNCHRONISED:
        text = "nothing keeps the clock of this host right"
        remedy = "apt-get install systemd-timesyncd (or chrony), or dnf install chrony"
        yield Finding(WARNING, "clock", text, remedy)


def time_zone(patient: Patient) -> Iterator[Finding]:
    """Schedules are read in the zone that the host names."""
    if patient.settings.zone_problem:
        text = f"schedules are read in UTC: {patient.settings.zone_problem}"
        yield Finding(WARNING, "time zone", text, "set timezone in the settings")


def unit(patient: Patient) -> Iterator[Finding]:
    """systemd starts the runner at boot, in its sandbox."""
    import subprocess

    if patient.paths.home is not None:
        text = (
            "an installation of one directory is none of systemd's: nothing starts it after a boot"
        )
        start = f"in crontab -e: @reboot {patient.paths.home}/bin/coldchain serve"
        yield Finding(INFO, "unit", text, start)
        return
    if not SYSTEMD.is_dir():
        text = "systemd is not at work here: no unit starts the runner"
        yield Finding(INFO, "unit", text, "let what boots this host start: coldchain serve")
        return
    asked = ["systemctl", "show", UNIT, *(f"--property={name}" for name in _PROPERTIES)]
    try:
        answer = subprocess.run(
            asked, capture_output=True, text=True, timeout=_PATIENCE, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        text = f"systemctl does not answer: {error}"
        yield Finding(WARNING, "unit", text, f"systemctl status {UNIT}")
        return
    state = dict(line.split("=", 1) for line in answer.stdout.splitlines() if "=" in line)
    if state.get("LoadState") != "loaded":
        text = f"{UNIT} is {state.get('LoadState') or answer.stderr.strip() or 'not there'}"
        yield Finding(WARNING, "unit", text, "apply the role coldchain.freezer.runner")
        return
    if state.get("UnitFileState") != "enabled":
        text = f"{UNIT} is {state.get('UnitFileState') or 'not enabled'}: no boot starts it"
        yield Finding(WARNING, "unit", text, f"systemctl enable {UNIT}")
    if state.get("NeedDaemonReload") == "yes":
        text = f"systemd works with an older {UNIT} than lies on the disk"
        yield Finding(WARNING, "unit", text, f"systemctl daemon-reload; systemctl restart {UNIT}")
    off = [name for name, wanted in _SANDBOX.items() if state.get(name, wanted) != wanted]
    if off:
        text = f"its sandbox is open: {', '.join(off)} off"
        yield Finding(WARNING, "unit", text, f"systemctl cat {UNIT} shows which drop-in does that")


def containment(patient: Patient) -> Iterator[Finding]:
    """The kernel keeps a restore within its target, whatever an archive holds."""
    import subprocess
    import tempfile

    from coldchain.agent.process import contain

    with tempfile.TemporaryDirectory(prefix="doctor-", dir=patient.paths.lib) as folder:
        descriptor = os.open(folder, os.O_PATH | os.O_DIRECTORY)
        try:
            with contain.containment(os.fsencode(folder), descriptor) as fence:
                subprocess.run(
                    fence.argv(["true"]),
                    cwd=fence.working_directory,
                    pass_fds=fence.pass_fds,
                    capture_output=True,
                    timeout=_PATIENCE,
                    check=False,
                )
                given, refused = fence.given, fence.refused
        except (OSError, subprocess.TimeoutExpired) as error:
            given, refused = (), {"containment": str(error)}
        finally:
            os.close(descriptor)
    if not given:
        why = "; ".join(f"{name}: {reason}" for name, reason in refused.items())
        text = f"the kernel does not contain restores ({why or 'no means'})"
        remedy = "Linux 5.19 or later with landlock in /sys/kernel/security/lsm; or restore as root"
        # An archive can make an ordinary user's restore write what that user could write anyway.
        severity = WARNING if os.geteuid() == 0 else INFO
        yield Finding(severity, "containment", text, remedy)


def room(path: Path) -> tuple[Path, int, int]:
    """The deepest directory of *path* that is there, the device it is on, and bytes free there."""
    place = path
    while True:
        try:
            status, device = os.statvfs(place), os.stat(place).st_dev
        except (FileNotFoundError, NotADirectoryError):
            place = place.parent
        else:
            return place, device, status.f_bavail * status.f_frsize

# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The freezer-scheduler of this host, for the playbooks adopt and unadopt.

    freezer_scheduler.py look RECORD     what runs, which jobs it has, what was adopted
    freezer_scheduler.py stop RECORD     write down what runs, and stop it
    freezer_scheduler.py note RECORD     write down that its jobs are declared here
    freezer_scheduler.py start RECORD    start again what was stopped, and remove the record

One JSON object on standard output; {"error": TEXT} and exit code 1 when it fails.
--jobs-dir DIR: only schedulers that read that directory count.  stop takes --job ID for each job
that is going to be declared, and --timeout SECONDS to wait for a backup that runs.  One file, since
Ansible's module script takes one to the host.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import pwd
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

CONFIGURATIONS = ("/etc/freezer/scheduler.conf", "/etc/freezer/freezer.conf", "/etc/scheduler.conf")
JOBS = "/etc/freezer/scheduler/conf.d"
UNITS = "*freezer-scheduler*.service"
PROGRAM = re.compile(r"freezer-scheduler(-[\w.-]+)?")
#: A job's document is a few kilobytes; whatever is larger is none.
MOST_BYTES = 1 << 20
MOST_FILES = 10_000
MOST_SERIES = 10_000
PAUSE = 0.2
SETTLED = 4.0

Scheduler = dict[str, Any]


class Failure(Exception):
    """What is wrong, and what to do about it."""


# What runs


def schedulers(jobs_dir: str | None) -> list[Scheduler]:
    """Every freezer-scheduler of this host that reads *jobs_dir*, when that is given."""
    found = []
    for name in sorted(filter(str.isdigit, os.listdir("/proc")), key=int):
        with contextlib.suppress(OSError):
            scheduler = look_at(int(name))
            if scheduler and jobs_dir in (None, scheduler["jobs_dir"]):
                found.append(scheduler)
    # A daemon that is still starting has parents of the same words.
    parents = {one["parent"] for one in found}
    return [one for one in found if one["pid"] not in parents]


def look_at(pid: int) -> Scheduler | None:
    """The scheduler that has this pid, or None; OSError when it is gone, or another user's."""
    place = Path("/proc", str(pid))
    words = [os.fsdecode(word) for word in (place / "cmdline").read_bytes().split(b"\0")[:-1]]
    program = program_of(words)
    if program is None or not {"start", "restart"} & set(words[program + 1 :]):
        return None
    status = (place / "status").read_text(encoding="utf-8", errors="replace")
    if re.search(r"^State:\s+[ZX]", status, re.MULTILINE):
        return None
    pairs = (place / "environ").read_bytes().split(b"\0")
    environment = dict(os.fsdecode(pair).split("=", 1) for pair in pairs if b"=" in pair)
    owner = place.stat().st_uid
    user = str(owner)
    with contextlib.suppress(KeyError):
        user = pwd.getpwuid(owner).pw_name
    cwd = os.readlink(place / "cwd")
    scheduler = {
        "pid": pid,
        "parent": int(re.findall(r"^PPid:\s+(\d+)", status, re.MULTILINE)[0]),
        "began": began(pid),
        "words": words,
        "environment": environment,
        "cwd": cwd,
        "user": user,
        "zone": environment.get("TZ", "").lstrip(":"),
        "elsewhere": os.readlink(place / "ns" / "mnt") != os.readlink("/proc/self/ns/mnt"),
        "unit": unit_of(place),
    }
    return {**scheduler, **configured(words[program + 1 :], environment, cwd)}


def program_of(words: list[str]) -> int | None:
    """Where in a command line the scheduler's program is named, when it is one."""
    for position, word in enumerate(words[:4]):
        if PROGRAM.fullmatch(Path(word).name):
            return position
        if not position and not Path(word).name.startswith("python"):
            return None
        if word == "freezer.scheduler.freezer_scheduler" and words[position - 1] == "-m":
            return position
    return None


def began(pid: int) -> int:
    """When the process has begun, in ticks since the boot: with the pid, it names the process."""
    text = Path("/proc", str(pid), "stat").read_text(encoding="utf-8", errors="replace")
    return int(text.rpartition(")")[2].split()[19])


def alive(scheduler: Scheduler) -> bool:
    """Whether it is that process still."""
    try:
        return (
            look_at(scheduler["pid"]) is not None and began(scheduler["pid"]) == scheduler["began"]
        )
    except OSError:
        return False


def configured(words: list[str], environment: dict[str, str], cwd: str) -> dict[str, Any]:
    """The directory of the jobs and whether there is a server, as the scheduler itself finds them:
    the command line before the configuration files before the environment."""
    files = options(words, "--config-file")
    home = environment.get("HOME", "/root")
    names = files or [f"{home}/.freezer/scheduler.conf", *CONFIGURATIONS]
    directories, no_api = [], False
    for name in names:
        values = read_settings(Path(cwd, name))
        directories += [values[key] for key in ("jobs_dir", "conf") if values.get(key)]
        no_api = no_api or values.get("no_api", "").lower() in ("true", "1", "yes", "on")
    given = options(words, "--jobs-dir", "--scheduler-jobs-dir", "--conf", "-f")
    default = environment.get("FREEZER_SCHEDULER_CONF_D", JOBS)
    jobs_dir = [*given[-1:], *directories[-1:], default][0]
    if jobs_dir.startswith("~/"):
        jobs_dir = home + jobs_dir[1:]
    return {
        "jobs_dir": os.path.normpath(os.path.join(cwd, jobs_dir)),
        "api": not (no_api or {"--no-api", "-n", "--scheduler-no-api", "--no_api"} & set(words)),
    }


def options(words: list[str], *names: str) -> list[str]:
    """The values that a command line gives an option, in both forms and spellings."""
    words = [re.sub("^--[^=]*", lambda match: match[0].replace("_", "-"), word) for word in words]
    values = [following for word, following in zip(words, words[1:]) if word in names]
    return values + [
        word.split("=", 1)[1] for word in words if word.split("=")[0] in names and "=" in word
    ]


def read_settings(path: Path) -> dict[str, str]:
    """[scheduler] and the older [DEFAULT] of a configuration file; nothing else of it."""
    values: dict[str, str] = {}
    section = ""
    with contextlib.suppress(OSError):
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            name, equals, value = line.partition("=")
            if re.fullmatch(r"\[.*\]", line.strip()):
                section = line.strip()[1:-1]
            elif equals and section in ("scheduler", "DEFAULT") and not line.startswith(("#", ";")):
                values[name.strip().replace("-", "_")] = value.strip()
    return values


# systemd


def systemctl(*words: str) -> tuple[int, str]:
    """Its exit code and what it says; 1 where there is none."""
    if shutil.which("systemctl") is None:
        return 1, "there is no systemctl"
    done = subprocess.run(
        ["systemctl", *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout.strip()


def is_scheduler(unit: str) -> bool:
    """Whether the unit's own command is the scheduler; sshd's has one among its processes, too."""
    code, text = systemctl("show", "--property=ExecStart", unit)
    return code == 0 and "freezer-scheduler" in text


def unit_of(place: Path) -> str:
    """The unit that runs a process, or nothing."""
    with contextlib.suppress(OSError):
        groups = (place / "cgroup").read_text(encoding="utf-8", errors="replace")
        for name in re.findall(r"/([^/\n]+\.service)$", groups, re.MULTILINE):
            if is_scheduler(name):
                return str(name)
    return ""


def enabled_units() -> list[str]:
    """Units of the scheduler that begin with the machine."""
    code, text = systemctl("list-unit-files", "--no-legend", "--no-pager", UNITS)
    rows = [line.split() for line in text.splitlines()] if code == 0 else []
    return [row[0] for row in rows if row[1:2] == ["enabled"]]


# What it has


def job_files(directory: str) -> list[dict[str, str]]:
    """The files that the scheduler would read: name, and text or why there is none."""
    files = []
    try:
        names = sorted(name for name in os.listdir(directory) if name.lower().endswith(".conf"))
    except FileNotFoundError:
        return []
    except OSError as error:
        raise Failure(
            f"{directory} cannot be read: {error.strerror}; run as root (become)"
        ) from None
    for name in names[:MOST_FILES]:
        path = Path(directory, name)
        if not path.is_file():
            continue
        try:
            if path.stat().st_size > MOST_BYTES:
                raise ValueError("is too large for a job")
            text = path.read_text(encoding="utf-8")
        except (OSError, ValueError) as error:
            reason = "is not UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)
            files.append({"name": os.fsencode(name).decode(errors="replace"), "error": reason})
        else:
            files.append({"name": os.fsencode(name).decode(errors="replace"), "text": text})
    return files


def containers(files: list[dict[str, str]], cwd: str, home: str) -> dict[str, dict[str, list[int]]]:
    """What lies in the local containers that the files name: the levels of every series."""
    found = {}
    for text in [file.get("text", "") for file in files]:
        names = re.findall(r'"container"\s*:\s*"((?:[^"\\]|\\.)*)"', text)
        for name in ["freezer_backups", *names]:
            with contextlib.suppress(ValueError, OSError):
                path = place_of(json.loads(f'"{name}"'), cwd, home)
                if path not in found and Path(path, "metadata", "tar").is_dir():
                    found[path] = series(Path(path, "metadata", "tar"))
    return found


def place_of(name: str, cwd: str, home: str) -> str:
    """Where a container lies for the scheduler."""
    name = home + name[1:] if name == "~" or name.startswith("~/") else name
    return os.path.normpath(os.path.join(cwd, name))


def series(tree: Path) -> dict[str, list[int]]:
    """By HOST_NAME: the number of levels, the newest level and when it was made."""
    found = {}
    for name in sorted(os.listdir(tree))[:MOST_SERIES]:
        levels = []
        for chain in filter(str.isdigit, os.listdir(tree / name)):
            for level in os.listdir(tree / name / chain):
                if re.fullmatch(r"\d+_\d+", level):
                    number, stamp = map(int, level.split("_"))
                    levels.append((stamp, number))
        if levels:
            stamp_of_newest, newest = max(levels)
            shown = os.fsencode(name).decode(errors="replace")
            found[shown] = [len(levels), newest, stamp_of_newest]
    return found


# The record


def read_record(path: Path) -> dict[str, Any]:
    """What was adopted on this host, {} when nothing was."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise Failure(f"{path} cannot be read: {error}") from None
    if not isinstance(record, dict) or not isinstance(record.get("jobs"), list):
        raise Failure(f"{path} is no record of an adoption; move it out of the way")
    return record


def write_record(path: Path, record: dict[str, Any]) -> None:
    """It has the environment of a scheduler, with its passwords: for root alone, all or nothing."""
    beside = path.with_name(path.name + ".new")
    beside.unlink(missing_ok=True)
    number = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(number, "w", encoding="utf-8") as stream:
        json.dump(record, stream, indent=1)
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(beside, path)


def public(scheduler: Scheduler) -> Scheduler:
    """What may leave the host: neither its environment nor its arguments."""
    names = ("pid", "cwd", "user", "zone", "elsewhere", "unit", "jobs_dir", "api")
    return {name: scheduler[name] for name in names}


# The commands


def look(arguments: argparse.Namespace) -> dict[str, Any]:
    """Everything that a plan needs."""
    running = schedulers(arguments.jobs_dir)
    record = read_record(arguments.record)
    first: Scheduler = (running or [s for s in record.get("schedulers", ()) if s["words"]] or [{}])[
        0
    ]
    home = (first.get("environment") or {}).get("HOME", "/root")
    cwd = first.get("cwd", "/")
    directories = [one["jobs_dir"] for one in running] or [first.get("jobs_dir", "")]
    if not any(directories):
        directories = [arguments.jobs_dir or configured([], {}, "/")["jobs_dir"]]
    files = []
    for directory in dict.fromkeys(directories):
        files += [{**file, "name": f"{directory}/{file['name']}"} for file in job_files(directory)]
    return {
        "host": os.uname().nodename,
        "me": pwd.getpwuid(os.geteuid()).pw_name,
        "schedulers": [public(one) for one in running],
        "user": first.get("user", ""),
        "zone": first.get("zone", ""),
        "cwd": cwd,
        "home": home,
        "units": [] if arguments.jobs_dir else enabled_units(),
        "jobs_dir": directories[0],
        "files": files,
        "containers": containers(files, cwd, home),
        "record": {name: record[name] for name in ("state", "time", "jobs") if name in record},
    }


def stop(arguments: argparse.Namespace) -> dict[str, Any]:
    """Write down what runs, wait for its backups, stop it."""
    record = read_record(arguments.record)
    running = schedulers(arguments.jobs_dir)
    enabled = enabled_units()
    idle = [] if arguments.jobs_dir else sorted(set(enabled) - {one["unit"] for one in running})
    if any(one["elsewhere"] for one in running):
        raise Failure("freezer-scheduler runs in a container of this host; stop it where it is")
    write_record(
        arguments.record,
        {
            "state": "stopping",
            "time": int(time.time()),
            "jobs": sorted({*record.get("jobs", ()), *arguments.job}),
            "schedulers": remembered(record.get("schedulers", []), running, enabled, idle),
        },
    )
    units = [one["unit"] for one in running if one["unit"]] + idle
    wait(
        "an agent of freezer-scheduler is at work still",
        arguments.timeout,
        lambda: not agents(running),
    )
    for unit in dict.fromkeys(units):
        for words in (["disable"], ["stop"]):
            code, text = systemctl(*words, unit)
            # A unit that another one starts cannot be disabled, and need not be.
            if code and words == ["stop"]:
                raise Failure(f"systemctl {words[0]} {unit}: {text}")
    for one in running:
        if alive(one):
            with contextlib.suppress(ProcessLookupError):
                os.kill(one["pid"], signal.SIGTERM)
    wait(
        "freezer-scheduler was asked to end and has not", 120, lambda: not any(map(alive, running))
    )
    return {"changed": bool(running or units)}


def remembered(
    earlier: list[Scheduler], running: list[Scheduler], enabled: list[str], idle: list[str]
) -> list[Scheduler]:
    """What start has to bring back: a stop that was cut short does not forget what it had found."""
    units = {one["unit"]: one for one in earlier if one["unit"]}
    for one in running:
        if one["unit"]:
            was = one["unit"] in enabled or units.get(one["unit"], {}).get("enabled", False)
            units[one["unit"]] = {**one, "enabled": was, "was": "running"}
    for unit in set(idle) - set(units):
        units[unit] = {"unit": unit, "enabled": True, "was": "stopped", "words": []}
    processes = [one for one in running if not one["unit"]]
    return [*units.values(), *(processes or [one for one in earlier if not one["unit"]])]


def agents(running: list[Scheduler]) -> list[int]:
    """The processes that the schedulers have started."""
    pids = {one["pid"] for one in running}
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            text = Path("/proc", name, "stat").read_text(encoding="utf-8", errors="replace")
            state, parent = text.rpartition(")")[2].split()[:2]
            if int(parent) in pids and state != "Z":
                found.append(int(name))
    return found


def wait(what: str, seconds: float, over: Any) -> None:
    """Until *over* says so; Failure after *seconds*."""
    end = time.monotonic() + seconds
    while not over():
        if time.monotonic() > end:
            raise Failure(f"{what} after {seconds:.0f} s")
        time.sleep(PAUSE)


def note(arguments: argparse.Namespace) -> dict[str, Any]:
    """The jobs are declared: the adoption is complete."""
    record = read_record(arguments.record)
    write_record(arguments.record, {**record, "state": "adopted", "time": int(time.time())})
    return {"changed": True}


def start(arguments: argparse.Namespace) -> dict[str, Any]:
    """Start again what was stopped, as it was; the record goes, unless it is to be kept."""
    record = read_record(arguments.record)
    started = False
    for one in record.get("schedulers", ()):
        if one["unit"]:
            words = [["enable"]] * one["enabled"] + [["start"]] * (one["was"] == "running")
            for word in words:
                code, text = systemctl(*word, one["unit"])
                if code:
                    raise Failure(f"systemctl {word[0]} {one['unit']}: {text}")
            if one["was"] == "running":
                stays(one["unit"])
            started = True
        elif not schedulers(one["jobs_dir"]):
            begin(one)
            started = True
    if not arguments.keep:
        arguments.record.unlink(missing_ok=True)
    return {"changed": started or bool(record and not arguments.keep)}


def stays(unit: str) -> None:
    """Failure unless the unit stays up: for systemd it is started once it has a process."""
    time.sleep(SETTLED)
    _code, text = systemctl("is-active", unit)
    if text != "active":
        raise Failure(f"{unit} was started again and is {text} (journalctl -u {unit})")


def begin(one: Scheduler) -> None:
    """A process with the words, directory, environment and user of the one that was stopped."""

    def become() -> None:
        if os.geteuid() == 0:
            user = pwd.getpwnam(one["user"])
            os.initgroups(user.pw_name, user.pw_gid)
            os.setgid(user.pw_gid)
            os.setuid(user.pw_uid)

    try:
        process = subprocess.Popen(
            one["words"],
            cwd=one["cwd"],
            env=one["environment"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=become,
        )
    except (OSError, KeyError, subprocess.SubprocessError) as error:
        raise Failure(
            f"freezer-scheduler cannot be started again in {one['cwd']}: {error}"
        ) from None
    # One that cannot read its settings looks like one that runs for as long as it takes to load.
    end = time.monotonic() + SETTLED
    while process.poll() in (0, None) and time.monotonic() < end:
        time.sleep(PAUSE)
    if process.poll() not in (0, None):
        raise Failure(f"freezer-scheduler was started again and has ended with {process.poll()}")
    wait(
        "freezer-scheduler was started again and does not run",
        30,
        lambda: schedulers(one["jobs_dir"]),
    )


def main() -> int:
    """One command; 1 when it has failed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("command", choices=("look", "stop", "note", "start"))
    parser.add_argument("record", type=Path)
    parser.add_argument("--jobs-dir", type=os.path.normpath)
    parser.add_argument("--job", action="append", default=[])
    parser.add_argument("--timeout", type=float, default=3600)
    parser.add_argument("--keep", action="store_true")
    arguments = parser.parse_args()
    command = {"look": look, "stop": stop, "note": note, "start": start}[arguments.command]
    try:
        answer, code = command(arguments), 0
    except (Failure, OSError) as error:
        answer, code = {"error": str(error)}, 1
    print(json.dumps(answer))
    return code


if __name__ == "__main__":
    sys.exit(main())

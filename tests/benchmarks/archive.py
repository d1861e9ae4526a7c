# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A full backup, one of 1 % changes, and a restore: coldchain beside other programs, in one run.

.venv/bin/python tests/benchmarks/archive.py [--files 20000] [--megabytes 500] [--rounds 3]
    [--directory /var/tmp] [--freezer VENV] [--only zstd]

Programs that are not installed are left out; --freezer names an environment with freezer-agent
(the one that make interop installs is found).  Prints medians: wall seconds, CPU seconds, bytes
stored, and wall and CPU time as multiples of plain tar with the same compressor.  The peak memory
of all processes comes from a round of its own, because looking at it costs time.

Compared is what a user would run: tar with --listed-incremental and -z or --zstd, which neither
checks nor flushes what it wrote; everything else with its defaults.  Coldchain is started as its
runner starts it, from a compiled copy as the role installs it.  Coldchain and freezer-agent run
with sync: false, or the whole machine's dirty pages would be measured; coldchain still flushes its
archive to disk before it appears, and "x +sync" compares it with tar and a sync -d of the archive.
restic and borg also encrypt and deduplicate.
"""

from __future__ import annotations

import argparse
import compileall
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "roles" / "runner" / "files"
AGENT = "import sys; sys.path.insert(0, sys.argv.pop(1)); from coldchain.cli import main; main()"
STEPS = ("full", "1 %", "restore")
#: Seconds between two looks at the memory.
SAMPLE = 0.01


@dataclass(frozen=True)
class Cost:
    """wall, cpu and flush (a sync -d of what tar wrote) in seconds, memory and stored in MB.

    memory: of all processes; 0 when nobody looked.
    """

    wall: float
    cpu: float
    memory: float
    stored: float
    flush: float = 0.0


def measure(argv: list[str], folder: Path, environment: dict[str, str], *, watch: bool) -> Cost:
    """Run *argv*; watch: look at the memory all the time."""
    before = _size(folder)
    started = time.monotonic()
    with (
        tempfile.TemporaryFile() as errors,
        subprocess.Popen(
            argv, env={**os.environ, **environment}, stdout=subprocess.DEVNULL, stderr=errors
        ) as process,
    ):
        done, peak = 0, 0
        while not done:
            if watch:
                peak = max(peak, memory(process.pid))
                time.sleep(SAMPLE)
            done, status, usage = os.wait4(process.pid, os.WNOHANG if watch else 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        wall = time.monotonic() - started
        if process.returncode:
            errors.seek(0)
            sys.exit(f"{argv[:3]} failed: {errors.read().decode(errors='replace')[-2000:]}")
    stored = (_size(folder) - before) / 1e6
    return Cost(wall, usage.ru_utime + usage.ru_stime, peak / 1e6, stored)


def memory(pid: int, parent: str = "") -> int:
    """Bytes that *pid* and its descendants hold; what they share is counted once."""
    try:
        pages = Path(f"/proc/{pid}/statm").read_text()
        if pages == parent:
            return 0  # between vfork and exec: its parent's memory
        shares = Path(f"/proc/{pid}/smaps_rollup").read_text()
        total = int(shares.partition("\nPss:")[2].split()[0]) * 1024
        for task in os.listdir(f"/proc/{pid}/task"):
            children = Path(f"/proc/{pid}/task/{task}/children").read_text().split()
            total += sum(memory(int(child), pages) for child in children)
    except (FileNotFoundError, ProcessLookupError, IndexError):
        return 0
    return total


def _size(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file())


def make_tree(folder: Path, files: int, megabytes: int) -> None:
    """Files of about equal size, half of each random and half text, 100 to a directory."""
    chance = random.Random(1)
    each = megabytes * 1_000_000 // files
    for number in range(files):
        path = folder / f"d{number // 100:04d}" / f"file {number}"
        path.parent.mkdir(parents=True, exist_ok=True)
        half = each // 2
        path.write_bytes(chance.randbytes(half) + (b"%d some text " % number * half)[:half])


def change(folder: Path, files: int, step: int) -> None:
    chance = random.Random(step)
    for number in chance.sample(range(files), files // 100):
        path = folder / f"d{number // 100:04d}" / f"file {number}"
        path.write_bytes(path.read_bytes()[:-10] + b"%010d" % step)


class Program:
    """One program: the commands for a backup and for a restore into *target*."""

    name = ""
    reference = ""

    def __init__(self, work: Path) -> None:
        self.work = work
        self.store = work / "store"
        self.environment: dict[str, str] = {}

    def prepare(self) -> None:
        self.store.mkdir(parents=True)

    def backup(self, source: Path, level: int) -> list[str]:
        raise NotImplementedError

    def restore(self, target: Path) -> list[str]:
        raise NotImplementedError

    def flush(self, level: int) -> float:
        """Seconds to make the archive durable, for a program that leaves that to others."""
        return 0.0


class Tar(Program):
    flag = "-z"

    def backup(self, source: Path, level: int) -> list[str]:
        options = f"--listed-incremental={self.store}/snapshot"
        archive = f"{self.store}/{level}.tar"
        return ["tar", "-c", self.flag, options, "--one-file-system", "-f", archive, "-C",
                str(source), "."]  # fmt: skip

    def restore(self, target: Path) -> list[str]:
        one = f"tar -x {self.flag} --incremental -C '{target}' -f '{self.store}'"
        return ["sh", "-c", f"mkdir '{target}' && {one}/0.tar && {one}/1.tar"]

    def flush(self, level: int) -> float:
        started = time.monotonic()
        subprocess.run(["sync", "-d", self.store / f"{level}.tar"], check=True)
        return time.monotonic() - started


class Coldchain(Program):
    compression = "gzip"
    release = Path()

    def _action(self, **fields: object) -> list[str]:
        config = self.work / f"{fields['action']}.json"
        shared = {"container": str(self.store), "hostname": "h", "backup_name": "b"}
        action = {**shared, "compression": self.compression, **fields}
        config.write_text(json.dumps({"freezer_action": action}))
        home = self.work / "home"
        home.mkdir(mode=0o700, exist_ok=True)
        words = ["--home", str(home), "agent", "--canonical", "--config", str(config)]
        result = ["--result", str(home / "result.json")]
        return [sys.executable, "-I", "-c", AGENT, str(self.release), *words, *result]

    def backup(self, source: Path, level: int) -> list[str]:
        return self._action(
            action="backup", path_to_backup=str(source), incremental=True, sync=False
        )

    def restore(self, target: Path) -> list[str]:
        return self._action(action="restore", restore_abs_path=str(target))


class Restic(Program):
    def prepare(self) -> None:
        super().prepare()
        (self.work / "password").write_text("x")
        self.environment = {
            "RESTIC_PASSWORD_FILE": str(self.work / "password"),
            "RESTIC_REPOSITORY": str(self.store),
            "RESTIC_CACHE_DIR": str(self.work / "cache"),
        }
        environment = {**os.environ, **self.environment}
        subprocess.run(["restic", "init", "-q"], check=True, env=environment)

    def backup(self, source: Path, level: int) -> list[str]:
        return ["restic", "backup", "-q", str(source)]

    def restore(self, target: Path) -> list[str]:
        return ["restic", "restore", "-q", "latest", "--target", str(target)]


class Borg(Program):
    def prepare(self) -> None:
        self.environment = {
            "BORG_BASE_DIR": str(self.work / "borg"),
            "BORG_PASSPHRASE": "x",
            "BORG_REPO": str(self.store),
        }
        environment = {**os.environ, **self.environment}
        subprocess.run(["borg", "init", "-e", "repokey"], check=True, env=environment)

    def backup(self, source: Path, level: int) -> list[str]:
        return ["borg", "create", f"::{level}", str(source)]

    def restore(self, target: Path) -> list[str]:
        return ["sh", "-c", f"mkdir '{target}' && cd '{target}' && borg extract ::1"]


class Freezer(Program):
    agent = Path()

    def _action(self, **fields: object) -> list[str]:
        shared = {"storage": "local", "container": self.store, "hostname": "h", "backup_name": "b"}
        config = self.work / "freezer.ini"
        lines = [f"{key} = {value}" for key, value in {**shared, **fields}.items()]
        config.write_text("\n".join(["[action]", *lines, ""]))
        return [str(self.agent), "--config", str(config)]

    def backup(self, source: Path, level: int) -> list[str]:
        return self._action(
            action="backup", mode="fs", path_to_backup=source, incremental=True, sync=False
        )

    def restore(self, target: Path) -> list[str]:
        return self._action(action="restore", restore_abs_path=target)


def _kind(base: type[Program], name: str, reference: str, **fields: object) -> type[Program]:
    return type(base.__name__, (base,), {"name": name, "reference": reference, **fields})


def programs(release: Path, freezer: Path | None) -> list[type[Program]]:
    found = [
        _kind(Tar, "tar -z", "tar -z"),
        _kind(Coldchain, "coldchain gzip", "tar -z", release=release),
    ]
    if freezer is not None:
        found.append(_kind(Freezer, "freezer-agent", "tar -z", agent=freezer / "bin/freezer-agent"))
    if shutil.which("zstd"):
        found.append(_kind(Tar, "tar --zstd", "tar --zstd", flag="--zstd"))
        fields = {"compression": "zstd", "release": release}
        found.append(_kind(Coldchain, "coldchain zstd", "tar --zstd", **fields))
    if shutil.which("restic"):
        found.append(_kind(Restic, "restic", "tar -z"))
    if shutil.which("borg"):
        found.append(_kind(Borg, "borg", "tar -z"))
    return found


def one_round(
    kind: type[Program],
    work: Path,
    files: int,
    megabytes: int,
    extra: dict[str, str],
    *,
    watch: bool,
) -> list[Cost]:
    source, target = work / "source", work / "target"
    make_tree(source, files, megabytes)
    program = kind(work)
    program.prepare()
    costs = []
    steps: list[Callable[[], list[str]]] = [
        lambda: program.backup(source, 0),
        lambda: program.backup(source, 1),
        lambda: program.restore(target),
    ]
    for number, step in enumerate(steps):
        if number == 1:
            time.sleep(1.1)
            change(source, files, 1)
        os.sync()
        argv = step()
        cost = measure(argv, program.store, {**program.environment, **extra}, watch=watch)
        costs.append(replace(cost, flush=program.flush(number) if number < 2 else 0.0))
    restored = [path for path in target.rglob("file *") if path.is_file()]
    if len(restored) != files:
        sys.exit(f"{program.name} restored {len(restored)} of {files} files")
    return costs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--files", type=int, default=20_000)
    parser.add_argument("--megabytes", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--directory", type=Path, default=Path("/var/tmp"))
    installed = ROOT / "build" / "venvs" / "freezer"
    default = installed if (installed / "bin" / "freezer-agent").exists() else None
    parser.add_argument("--freezer", type=Path, default=default)
    parser.add_argument("--only", default="", help="programs whose name holds this, and their tar")
    arguments = parser.parse_args()
    with ExitStack() as stack:
        release = Path(stack.enter_context(tempfile.TemporaryDirectory()), "release")
        shutil.copytree(PACKAGE, release, ignore=shutil.ignore_patterns("__pycache__"))
        compileall.compile_dir(release, quiet=1)
        found = programs(release, arguments.freezer)
        wanted = [kind for kind in found if arguments.only in kind.name]
        references = {kind.reference for kind in wanted}
        kinds = [kind for kind in found if kind in wanted or kind.name in references]
        costs: dict[str, list[list[Cost]]] = {kind.name: [] for kind in kinds}
        extra: dict[str, str] = {}
        if arguments.freezer is not None:
            # Instead of this directory, whose calendar.py would hide the standard library's.
            sys.path[0] = str(ROOT / "tests" / "helpers")
            from interop_keystone import keystone

            extra = {
                "OS_AUTH_URL": stack.enter_context(keystone()),
                "OS_USERNAME": "u",
                "OS_PASSWORD": "p",
                "OS_PROJECT_NAME": "p",
                "OS_USER_DOMAIN_NAME": "Default",
                "OS_PROJECT_DOMAIN_NAME": "Default",
                "PYTHONWARNINGS": "ignore",
            }
        for number in range(arguments.rounds + 1):
            for kind in kinds:
                with tempfile.TemporaryDirectory(dir=arguments.directory) as work:
                    given = extra if kind.name == "freezer-agent" else {}
                    size = (arguments.files, arguments.megabytes)
                    # The first round is the one that looks at the memory; it warms the caches.
                    one = one_round(kind, Path(work), *size, given, watch=number == 0)
                    costs[kind.name].append(one)
    print(f"{arguments.files} files, {arguments.megabytes} MB, {arguments.rounds} rounds, medians")
    heads = ("wall s", "x tar", "x +sync", "CPU s", "x tar", "MB mem", "MB disk")
    print(f"{'':16}{'step':9}" + "".join(f"{head:>8}" for head in heads))
    for kind in kinds:
        for number, step in enumerate(STEPS):
            watched, *rows = [round_[number] for round_ in costs[kind.name]]
            base = [round_[number] for round_ in costs[kind.reference][1:]]
            wall = statistics.median(row.wall for row in rows)
            cpu = statistics.median(row.cpu for row in rows)
            values = (
                (wall, 2),
                (wall / statistics.median(row.wall for row in base), 2),
                (wall / statistics.median(row.wall + row.flush for row in base), 2),
                (cpu, 2),
                (cpu / statistics.median(row.cpu for row in base), 2),
                (watched.memory, 0),
                (statistics.median(row.stored for row in rows), 1),
            )
            shown = "".join(f"{value:8.{digits}f}" for value, digits in values)
            print(f"{kind.name:16}{step:9}{shown}")


if __name__ == "__main__":
    main()

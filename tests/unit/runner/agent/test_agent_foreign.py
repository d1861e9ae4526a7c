# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A container may hold anything: one bad thing is one line of an answer, and never a hang or a bug.

Each case damages a small container in a random way and asks everything that reads one.
"""

from __future__ import annotations

import contextlib
import functools
import gzip
import json
import lzma
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from agent_bench import Bench, make_bench, needs
from agent_points import catalogue, verify
from examples import searching
from waiting import LIMIT

from coldchain.agent.engines.tar.backup import action as backup
from coldchain.agent.engines.tar.stored import container
from coldchain.agent.engines.tar.stored.layout import LATEST, Series
from coldchain.agent.storages.local import LocalStorage
from coldchain.core.errors import ColdchainError, DataError, JobFailed

RUNNER = Path(__file__).parents[4] / "roles" / "runner" / "files"
#: So many each time, and the second number with --hypothesis-profile search, others then.
CASES, SEARCHED = 500, 50_000
#: Thousands of small directories are made and removed: in memory that takes half the time.
MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
Shape = dict[str, bytes]

_VALUES: list[object] = [
    *([], {}, None, True, "", "x" * 100_000, "\n\x1b[31m", "\ud800", "../../etc", "strong"),
    *(0, -1, 2**62, 2**63, 10**30, 1e308, -0.5, [[]], {"a": []}, "0_1", "gzip", float("nan")),
    json.loads("[" * 500 + "]" * 500),
]
_NAMES = [
    *("0", "1", "00", "-1", "999999999_1", "1_999999999999", "1_2_3", "0_0", "٣", "x", ".x"),
    *("999999999999999999", str(LATEST), f"0_{LATEST}", f"5_{LATEST + 1}", "a\nb", "\x1b[31m", "_"),
    *("123456789012345", "..x", "host_other", "y" * 200),
]


@pytest.fixture(scope="module")
def shape() -> Iterator[Shape]:
    """The files of a container of two levels."""
    with tempfile.TemporaryDirectory() as root:
        bench = make_bench(Path(root))
        for number in range(2):
            (bench.source / f"f{number}").write_text("x" * 100)
            bench.level()
        yield {
            os.fspath(path.relative_to(bench.container)): path.read_bytes()
            for path in bench.container.rglob("*")
            if path.is_file()
        }


@pytest.fixture(scope="module")
def place(shape: Shape) -> Iterator[Bench]:
    with tempfile.TemporaryDirectory(dir=MEMORY) as root:
        bench = make_bench(Path(root))
        (bench.source / "f0").write_text("x")
        yield bench


def _json(chance: random.Random, bench: Bench, shape: Shape) -> None:
    name = chance.choice([name for name in shape if name.endswith((".json", "/metadata"))])
    fields = json.loads(shape[name])
    at = fields
    while True:
        key = chance.choice(list(at))
        if isinstance(at[key], dict) and at[key] and chance.random() < 0.8:
            at = at[key]
            continue
        if chance.random() < 0.2:
            del at[key]
        else:
            at[key] = chance.choice(_VALUES)
        break
    _write(bench.container / name, json.dumps(fields).encode("utf-8", "surrogatepass"))


def _bytes(chance: random.Random, bench: Bench, shape: Shape) -> None:
    name = chance.choice(list(shape))
    content = bytearray(shape[name])
    how = chance.randrange(6)
    if how == 0:
        del content[chance.randrange(len(content) + 1) :]
    elif how == 1:
        content = bytearray(chance.randbytes(chance.randrange(2000)))
    elif how == 2:
        content += chance.randbytes(100)
    elif how == 3:
        content = bytearray(b"[" * 200_000)
    elif how == 4:
        content = bytearray(_bomb())
    elif content:
        content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    _write(bench.container / name, content)


def _write(path: Path, content: bytes) -> None:
    """Unless an earlier damage has left nothing to write to; a FIFO would keep us waiting."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NONBLOCK
    with contextlib.suppress(OSError), open(os.open(path, flags), "wb") as stream:
        stream.write(content)


@functools.lru_cache(maxsize=1)
def _bomb() -> bytes:
    return gzip.compress(b"x" * (32 << 20), 9)


def _rename(chance: random.Random, bench: Bench, shape: Shape) -> None:
    path = _any(chance, bench)
    with contextlib.suppress(OSError):
        path.rename(path.with_name(chance.choice(_NAMES)))


def _add(chance: random.Random, bench: Bench, shape: Shape) -> None:
    path = _any(chance, bench)
    folder = path if path.is_dir() else path.parent
    for _ in range(chance.randrange(1, 4)):
        with contextlib.suppress(OSError):
            (folder / chance.choice(_NAMES)).mkdir(parents=True)


def _link(chance: random.Random, bench: Bench, shape: Shape) -> None:
    path = _any(chance, bench)
    target = chance.choice([".", "..", "../..", path.name, "/", "/dev/zero", "/proc/self"])
    for number in range(chance.randrange(1, 5)):
        with contextlib.suppress(OSError):
            (path.parent / f"{chance.choice(_NAMES)}{number}").symlink_to(target)
    if chance.random() < 0.5:
        _remove(path)
        path.symlink_to(target)


def _odd(chance: random.Random, bench: Bench, shape: Shape) -> None:
    path = _any(chance, bench)
    _remove(path)
    how = chance.randrange(4)
    if how == 0:
        path.mkdir()
    elif how == 1:
        os.mkfifo(path)
    elif how == 2:
        path.touch()
        os.truncate(path, 1 << 40)


def _any(chance: random.Random, bench: Bench) -> Path:
    return chance.choice(sorted(bench.container.rglob("*")))


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


_DAMAGES: list[Callable[[random.Random, Bench, Shape], None]] = [
    *([_json] * 5),
    *([_bytes] * 3),
    *(_rename, _rename, _add, _add, _link, _odd),
]


def _build(bench: Bench, shape: Shape) -> None:
    shutil.rmtree(bench.container, ignore_errors=True)
    for name, content in shape.items():
        path = bench.container / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def _ask(number: int, bench: Bench) -> None:
    """Everything that reads a container; the expensive ones now and then."""
    questions: list[Callable[[], object]] = [
        lambda: [point.as_dict() for point in catalogue(bench.container)],
        lambda: verify(bench.container).as_dict(),
    ]
    if number % 10 == 0:
        questions.append(lambda: bench.restore(dry_run=True))
    if number % 10 == 1:
        questions.append(lambda: bench.perform("admin", remove_older_than=1, dry_run=True))
    if number % 20 == 2:
        questions.append(lambda: bench.level())
        questions.append(lambda: bench.perform("admin", remove_before_date="2099-01-01"))
    if number % 50 == 3:
        questions.append(lambda: verify(bench.container, mode="full").as_dict())
    for question in questions:
        begun = time.process_time()
        try:
            question()
        except ColdchainError as error:
            assert error.exit_code != 70
            assert "\n" not in error.message and "\x1b" not in error.message
        assert time.process_time() - begun < 2


def _ask_outside(bench: Bench) -> None:
    done = subprocess.run(
        [
            *(sys.executable, "-m", "coldchain", "--home", str(bench.root / "home"), "--json"),
            *("backups", "--container", str(bench.container)),
        ],
        env={**os.environ, "PYTHONPATH": os.fspath(RUNNER)},
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    assert done.returncode in (0, 1, 65), done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.long(7)
def test_no_container_is_a_bug_of_ours(
    shape: Shape, place: Bench, request: pytest.FixtureRequest
) -> None:
    first, cases = 0, CASES
    if request.config.getoption("--quick"):
        cases //= 10
    elif searching():
        first, cases = random.SystemRandom().randrange(1 << 40), SEARCHED
    for number in range(first, first + cases):
        chance = random.Random(number)
        _build(place, shape)
        for _ in range(chance.choice([1, 1, 1, 2, 4])):
            chance.choice(_DAMAGES)(chance, place, shape)
        try:
            _ask(number, place)
            if number % 100 == 0:
                _ask_outside(place)
        except BaseException as error:
            raise AssertionError(f"case {number}") from error
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < 400 << 10


@needs("xz")
def test_an_archive_that_asks_for_much_memory_is_refused(bench: Bench) -> None:
    bench.backup(compression="xz")
    (path,) = bench.container.glob("data/tar/*/*/*/data")
    path.with_name("manifest.json").unlink()
    large = {"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 256 << 20}
    path.write_bytes(lzma.compress(b"x", filters=[large]))
    with pytest.raises(JobFailed, match="The limit is 128 MiB"):
        bench.restore()


def test_one_bad_level_is_one_line(bench: Bench) -> None:
    for text in ("a", "b", "c"):
        (bench.source / "f").write_text(text)
        bench.backup()
    path = sorted(bench.container.glob("metadata/tar/*/*/*/metadata"))[1]
    path.write_text('{"compression": []}')
    assert [one.restorable for one in catalogue(bench.container)] == [True, False, True]
    assert "compression is []" in catalogue(bench.container)[1].reason
    assert [flaw.kind for flaw in verify(bench.container).findings] == ["unreadable"]
    bench.restore()


@pytest.mark.parametrize("tree", ["metadata", "data"])
@pytest.mark.parametrize(
    "names",
    [
        (LATEST, f"0_{LATEST}"),
        (LATEST, "0_5"),
        (LATEST - 7, "2_9"),
        (None, f"1_{LATEST}"),
        (0, "9_0"),
    ],
)
def test_a_level_of_the_end_of_times_is_told_and_stops_nothing(
    bench: Bench, names: tuple[int | None, str], tree: str
) -> None:
    (bench.source / "f").write_text("a")
    bench.level()
    (chain,) = (bench.container / "metadata" / "tar" / "host_docs").iterdir()
    zero, level = names
    (bench.container / f"{tree}/tar/host_docs/{zero or chain.name}/{level}").mkdir(parents=True)
    for number in range(3):
        (bench.source / "f").write_text(str(number))
        report = bench.level()
        if tree == "metadata" and str(LATEST)[:4] in f"{zero} {level}":
            assert any("dated ahead of now" in line for line in report.warnings)
        bench.restore(overwrite=True)
        assert (bench.target / "f").read_text() == str(number)
    # What is begun anew because of it is begun once.
    numbers = [one.level for one in catalogue(bench.container) if one.restorable]
    assert numbers in ([0, 0, 1, 2], [0, 1, 2, 3])
    bench.perform("admin", remove_ahead=True)
    assert not any(one.ahead for one in catalogue(bench.container))
    bench.restore(overwrite=True)
    assert (bench.target / "f").read_text() == "2"


def test_two_names_of_one_directory_do_not_mix(bench: Bench) -> None:
    bench.backup(hostname="h", backup_name="x_y")
    with pytest.raises(DataError, match="holds backups of host h named x_y"):
        bench.backup(hostname="h_x", backup_name="y")
    assert [(one.hostname, one.backup_name) for one in catalogue(bench.container)] == [("h", "x_y")]


def test_a_backup_under_a_clock_that_was_ahead(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told, later ones are dated rightly, and admin removes its chain."""
    ahead = time.time() + 400 * 86400
    (bench.source / "f").write_text("0")
    bench.level()
    with monkeypatch.context() as patch:
        patch.setattr(backup, "backup", functools.partial(backup.backup, now=lambda: ahead))
        bench.backup()
    (bench.source / "f").write_text("2")
    report = bench.backup()
    assert any("dated ahead of now: 1 level" in line for line in report.warnings)
    found = catalogue(bench.container)
    assert sorted(one.ahead for one in found) == [False, False, True]
    now = time.time()
    assert sum(abs(one.time_stamp - now) < 100 for one in found) == 2
    bench.restore(restore_from_date=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now + 5)))
    assert (bench.target / "f").read_text() == "2"
    assert len(bench.perform("admin", remove_ahead=True).fields["removed"]) == 1
    assert [one.ahead for one in catalogue(bench.container)] == [False, False]


@pytest.mark.parametrize("manifests", [True, False])
def test_a_point_made_on_one_that_was_ahead_is_restored_by_its_own_time(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, manifests: bool
) -> None:
    ahead = time.time() + 400 * 86400
    (bench.source / "f").write_text("0")
    with monkeypatch.context() as patch:
        patch.setattr(backup, "backup", functools.partial(backup.backup, now=lambda: ahead))
        bench.level()
    (bench.source / "f").write_text("1")
    bench.level()
    if not manifests:
        # Then its name is all that tells a time, of the right one, too.
        for path in bench.container.glob("data/tar/*/*/*/manifest.json"):
            path.unlink()
    moment = min(one.time_stamp for one in catalogue(bench.container) if one.level == 1)
    bench.restore(restore_from_date=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(moment)))
    assert (bench.target / "f").read_text() == "1"


def test_a_pattern_that_leaves_out_everything_is_refused(bench: Bench) -> None:
    with pytest.raises(DataError, match="leaves out everything"):
        bench.backup(exclude=["*.log", "*"])


class _Counted(LocalStorage):
    """Counts what is asked."""

    asked = 0

    def names(self, folder: str) -> list[str]:
        """The entries, counted."""
        self.asked += 1
        return super().names(folder)


def test_links_that_lead_in_circles_make_no_backups(tmp_path: Path) -> None:
    series = tmp_path / "metadata/tar/host_docs"
    series.mkdir(parents=True)
    for number in range(100):
        for name in (
            f"{1_700_000_000 + number}",
            f"{number}_{1_700_000_000 + number}",
            f"x{number}",
        ):
            (series / name).symlink_to(".")
    for first in range(9):
        (series.parent / f"d{first}").mkdir()
        (series.parent / f"d{first}" / f"f{first}").touch()
        for second in range(9):
            (series.parent / f"d{first}" / f"to{second}").symlink_to(f"../d{second}")
    storage = _Counted(tmp_path)
    assert container.chains(storage, Series("host", "docs")) == []
    assert storage.asked == 1
    assert [name for name in container.host_names(storage) if "/" not in name] == ["host_docs"]
    assert storage.asked < 2000


def test_a_link_to_a_disk_is_not_walked(bench: Bench, tmp_path: Path) -> None:
    bench.level()
    for number in range(2000):
        (tmp_path / "disk" / f"d{number % 40}" / f"x{number}").mkdir(parents=True)
    tree = bench.container / "metadata" / "tar"
    for name in ("aaa", "zzz"):
        (tree / name).symlink_to(tmp_path / "disk")
    storage = _Counted(bench.container)
    assert container.host_names(storage) == ["host_docs"]
    assert storage.asked < 2100


@pytest.mark.parametrize("empty", [0, 2000])
def test_a_tree_that_is_a_link_to_a_disk_is_looked_into_for_a_while(
    tmp_path: Path, empty: int
) -> None:
    """And no longer because of what costs next to nothing."""
    for number in range(8000):
        (tmp_path / "disk" / f"d{number % 20}" / f"x{number}").mkdir(parents=True)
    for number in range(empty):
        (tmp_path / "disk" / f"a{number}").mkdir()
    (tmp_path / "disk" / "fd" / "7").mkdir(parents=True)
    (tmp_path / "metadata").mkdir()
    (tmp_path / "metadata" / "tar").symlink_to(tmp_path / "disk")
    storage = _Counted(tmp_path)
    assert container.host_names(storage) == []
    assert storage.asked < 3100 + empty


def test_many_files_of_others_hide_no_backup(bench: Bench) -> None:
    bench.level()
    tree = bench.container / "metadata" / "tar"
    for number in range(4000):
        (tree / f"a{number}").touch()
    assert container.host_names(LocalStorage(bench.container)) == ["host_docs"]


def test_a_series_may_lie_behind_a_link(bench: Bench) -> None:
    bench.level()
    storage = LocalStorage(bench.container)
    before = container.chains(storage, Series("host", "docs"))
    for tree in ("data", "metadata"):
        top = bench.container / tree / "tar"
        (top / "host_docs").rename(bench.root / tree)
        (top / "host_docs").symlink_to(bench.root / tree)
        (top / "host_again").symlink_to("host_docs")
    assert container.chains(storage, Series("host", "docs")) == before
    assert container.host_names(storage) == ["host_again", "host_docs"]
    bench.restore()

# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Parts of the agent that promise something by themselves: pipelines, mounts, loops, checksums,
what lies in a container."""

from __future__ import annotations

import errno
import os
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import waiting

from coldchain.agent import mounts
from coldchain.agent.engines.tar import info
from coldchain.agent.engines.tar.backup.loops import endless
from coldchain.agent.engines.tar.restore.link_model import LinkModel, above, plain
from coldchain.agent.engines.tar.stored import container
from coldchain.agent.engines.tar.stored.layout import Chain, Level, Series
from coldchain.agent.modes.tree_checksum import checksum
from coldchain.agent.process import pipeline, priority
from coldchain.agent.process.pipeline import Exit, Pipeline, Stage, failure
from coldchain.agent.storages.local import LocalStorage
from coldchain.core.errors import JobFailed

# -- pipelines -------------------------------------------------------------------------------------


def sh(script: str, **options: Any) -> Stage:
    return Stage(["/bin/sh", "-c", script], **options)


def test_a_pipeline_hands_on_every_byte_and_tells_how_each_stage_ended() -> None:
    said: list[bytes] = []
    stages = [
        sh("cat; echo first >&2; echo 'tar: exiting now' >&2; exit 3", errors=said.append),
        sh("tr a b; kill -9 $$", program="tr"),
        sh("cat"),
    ]
    data = os.urandom(1 << 20).replace(b"a", b"")
    with Pipeline(stages, feed=True) as running:
        held: list[bytes] = []
        assert running.write(b"aaa" + data)
        running.close_feed()
        held.extend(running.chunks())
        exits = running.finish()
    assert b"".join(held) == b"bbb" + data
    assert said == [b"first", b"tar: exiting now"]
    assert [(end.name, end.code) for end in exits] == [("sh", 3), ("tr", -9), ("sh", 0)]
    assert exits[0].describe() == "sh ended with exit code 3: first"
    killed = "SIGKILL, perhaps for want of memory: see the system log"
    assert exits[1].describe() == f"tr ended with signal 9 ({killed})"


def test_a_pipeline_that_nobody_feeds_reads_nothing() -> None:
    """And waits for nothing: a pipe that is left open would keep it until its end."""
    with Pipeline([sh("test ! -p /dev/stdin && cat && echo read")]) as running:
        assert b"".join(running.chunks()) == b"read\n"
        assert [end.code for end in running.finish()] == [0]


def test_the_output_of_the_last_stage_comes_in_whole_lines(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pipeline, "_LINE_LIMIT", 1000)
    blocks: list[bytes] = []
    script = (
        "printf 'one\\ntw'; sleep 0.05; printf 'o\\n'; printf '%02000d' 7; sleep 0.05; printf end"
    )
    with Pipeline([sh(script, output=blocks.append)]) as running:
        running.finish()
    assert all(block.endswith(b"\n") for block in blocks)
    lines = b"".join(blocks).split(b"\n")
    assert lines[:2] == [b"one", b"two"] and b"".join(lines[2:]) == b"%02000dend" % 7


def test_a_pipeline_that_is_left_early_has_no_process_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pipeline, "PATIENCE", 0.1)
    held = set(os.listdir("/proc/self/fd"))
    stubborn = sh("trap '' TERM; echo; exec sleep 60")
    with pytest.raises(ZeroDivisionError), Pipeline([stubborn, sh("exec sleep 60")]) as running:
        processes = running._processes
        raise ZeroDivisionError
    assert [process.poll() for process in processes] == [-signal.SIGKILL, -signal.SIGTERM]
    assert set(os.listdir("/proc/self/fd")) == held
    with pytest.raises(FileNotFoundError), Pipeline([sh("exec sleep 60"), Stage(["/none"])]):
        pass
    assert set(os.listdir("/proc/self/fd")) == held


def test_who_does_not_read_any_more_is_not_fed() -> None:
    with Pipeline([sh("exit 0")], feed=True) as running:
        waiting.until(lambda: not running.write(b"x" * (1 << 16)))
        assert [end.code for end in running.finish()] == [0]


def test_programs_see_a_plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TAR_OPTIONS", "GZIP", "BZIP2", "XZ_OPT", "XZ_DEFAULTS", "ZSTD_CLEVEL"):
        monkeypatch.setenv(name, "--verbose")
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    options = "$TAR_OPTIONS$GZIP$BZIP2$XZ_OPT$XZ_DEFAULTS$ZSTD_CLEVEL"
    with Pipeline([sh(f'echo "$LC_ALL|$TZ|{options}|$PWD"', folder="/")]) as running:
        assert b"".join(running.chunks()) == b"C|UTC0||/\n"
        running.finish()


BROKEN = -signal.SIGPIPE


@pytest.mark.parametrize(
    ("codes", "to_blame"),
    [
        ([0, 0], None),
        ([1, 0], None),
        ([2, 0], 0),
        ([2, 1], 0),
        ([BROKEN, 1], 1),
        ([1, BROKEN], 1),
        ([BROKEN], 0),
    ],
)
def test_who_is_to_blame_is_not_who_lost_its_reader(codes: list[int], to_blame: int | None) -> None:
    exits = [Exit(name, code, ()) for name, code in zip(("tar", "gzip"), codes)]
    blamed = failure(exits, {"tar": (1,)})
    assert blamed == (None if to_blame is None else exits[to_blame])


@pytest.mark.parametrize("codes", [[BROKEN, 0], [BROKEN, BROKEN, 0], [0, BROKEN, 0]])
def test_who_reads_no_more_and_says_that_all_is_well_is_to_blame(codes: list[int]) -> None:
    names = ("tar", "gzip", "openssl")
    exits = [Exit(name, code, (f"{name} speaks",)) for name, code in zip(names, codes)]
    blamed, last = failure(exits, {"tar": (1,)}), names[len(codes) - 1]
    assert blamed is not None
    assert blamed.describe() == f"{last} ended before it had read all: {last} speaks"


# -- mounts and loops ------------------------------------------------------------------------------


def test_mounts_below_a_folder_are_known_by_their_true_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = tmp_path / "mountinfo"
    points = [r"/srv", r"/srv/a\040b", r"/srv/\303\244", r"/srvx", r"/", r"/srv/a\134b"]
    table.write_text("".join(f"1 2 0:1 / {point} rw - t s rw\n" for point in points))
    read = mounts.mounts
    monkeypatch.setattr(mounts, "mounts", lambda: read(table))
    below = [b"/srv/a b", b"/srv/\xc3\xa4", b"/srv/a\\b"]
    assert mounts.mount_points(b"/srv") == mounts.mount_points(b"/srv/") == below
    assert mounts.mount_points(b"/") == [b"/srv", below[0], below[1], b"/srvx", below[2]]
    first = mounts.Mount(b"/srv", "0:1", b"/part one", "ext4", 1)
    table.write_text(r"1 2 0:1 /part\040one /srv rw shared:1 - ext4 s rw" + "\n")
    assert mounts.mounts() == [first]
    table.unlink()
    assert mounts.mount_points(b"/") == []


def test_a_folder_is_found_where_the_host_tells_nothing_of_the_tree(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a chroot no mount is told but those in it."""
    tree, folder = tmp_path / "tree", tmp_path / "tree" / "a" / "folder"
    folder.mkdir(parents=True)
    told = mounts.place
    unknown = os.fsencode(os.path.realpath(tree))
    monkeypatch.setattr(
        mounts, "place", lambda path, it: None if path == unknown else told(path, it)
    )
    assert mounts.names_within(folder, tree) == [b"./a/folder"]
    assert mounts.names_within(tree, folder) == [b"."]
    assert mounts.names_within(tmp_path / "elsewhere", tree) == []
    monkeypatch.setattr(mounts, "place", lambda path, it: None)
    assert mounts.names_within(folder, tree) == [b"./a/folder"]


def test_only_other_file_systems_are_mounted_below(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "same").mkdir()
    (tmp_path / "link").symlink_to("/proc")
    top = os.fsencode(os.path.realpath(tmp_path))
    gone, same = top + b"/gone", top + b"/same"
    monkeypatch.setattr(mounts, "mount_points", lambda folder: [gone, same, b"/proc"])
    found = mounts.mounted_below(tmp_path)
    assert set(found) == {b"./" + os.path.relpath(b"/proc", top)}
    assert next(iter(found.values())).st_ino == os.stat("/proc").st_ino


def test_one_mount_has_one_number(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    numbers = []
    for path in (tmp_path, tmp_path / "a", "/proc"):
        descriptor = os.open(path, os.O_RDONLY)
        numbers.append(mounts.mount_number(descriptor))
        os.close(descriptor)
    assert numbers[0] == numbers[1] != numbers[2] and min(numbers) > 0


def test_what_leads_into_itself_is_not_entered(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "other").mkdir()
    (tmp_path / "a" / "b" / "up").symlink_to("..")
    (tmp_path / "a" / "b" / "top").symlink_to(tmp_path)
    (tmp_path / "a" / "side").symlink_to("../other")
    (tmp_path / "other" / "file").touch()
    (tmp_path / "lost").symlink_to("nowhere")
    (tmp_path / "proc").symlink_to("/proc")
    assert sorted(endless(tmp_path)) == ["./a/b/top", "./a/b/up"]
    status = (tmp_path / "other").stat()
    barred = endless(tmp_path, [(status.st_dev, status.st_ino)])
    assert sorted(barred) == ["./a/b/top", "./a/b/up", "./a/side", "./other"]


# -- checksums -------------------------------------------------------------------------------------


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    top = tmp_path / "tree"
    (top / "a").mkdir(parents=True)
    (top / "a" / "file").write_bytes(b"content")
    (top / "a" / "link").symlink_to("file")
    os.mkfifo(top / "pipe")
    return top


def other_content(top: Path) -> None:
    (top / "a" / "file").write_bytes(b"Content")


def other_name(top: Path) -> None:
    (top / "a" / "file").rename(top / "a" / "File")


def other_place(top: Path) -> None:
    (top / "a" / "file").rename(top / "file")


def other_target(top: Path) -> None:
    (top / "a" / "link").unlink()
    (top / "a" / "link").symlink_to("File")


def other_kind(top: Path) -> None:
    (top / "pipe").unlink()
    (top / "pipe").touch()


def another(top: Path) -> None:
    (top / "empty").mkdir()


@pytest.mark.parametrize(
    "change", [other_content, other_name, other_place, other_target, other_kind, another]
)
def test_whatever_differs_has_another_checksum(tree: Path, change: Callable[[Path], None]) -> None:
    before = checksum(tree)
    assert before == checksum(tree)
    change(tree)
    assert checksum(tree) != before


def test_a_checksum_leaves_out_what_an_archive_does(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tree)  # a socket's path may have 107 bytes
    before, file = checksum(tree), checksum(tree / "a" / "file")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
        assert checksum(tree) == before
    os.utime(tree, (0, 0))
    (tree / "skipped").mkdir()
    (tree / "skipped" / "x").touch()
    (tree / "a" / "out").touch()
    assert checksum(tree, skip=["./skipped", "./a/out"]) == before
    moved = tree.rename(tree.with_name("moved"))
    assert checksum(moved, skip=["./skipped", "./a/out"]) == before, "without its own name"
    assert checksum(moved / "a" / "file") == file
    (moved / "a" / "file").rename(moved / "a" / "other")
    assert checksum(moved / "a" / "other") != file, "a single file with it"


def test_followed_links_are_what_they_lead_to(tree: Path) -> None:
    plain = tree.with_name("plain")
    (plain / "a").mkdir(parents=True)
    for name in ("file", "link"):
        (plain / "a" / name).write_bytes(b"content")
    os.mkfifo(plain / "pipe")
    assert checksum(tree) != checksum(plain) == checksum(tree, follow=True)
    (tree / "lost").symlink_to("nowhere")
    assert checksum(tree, follow=True) == checksum(plain)


def test_what_cannot_be_read_has_no_checksum(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(JobFailed, match=r"consistency_check: .*/none: No such file"):
        checksum(tree / "none")

    def gone(path: bytes) -> bytes:
        raise OSError(errno.EIO, "Input/output error", path)

    monkeypatch.setattr(os, "readlink", gone)
    with pytest.raises(JobFailed, match=r"consistency_check: .*/a/link: Input/output error"):
        checksum(tree)


# -- what lies in a container ----------------------------------------------------------------------

SERIES = Series("host", "docs")


def put(root: Path, path: str, age: float = 0.0) -> None:
    place = root / path
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text("x")
    moment = time.time() - age
    os.utime(place, (moment, moment))


def test_chains_and_names_of_a_container(tmp_path: Path) -> None:
    for path in ("host_docs/100/0_100", "host_docs/100/1_150", "host_docs/90/0_90", "h_a/b/7/0_7"):
        put(tmp_path, f"metadata/tar/{path}/metadata")
    for path in (
        "host_docs/80/x",
        "host_docs/x/0_5",
        "host_docs/file",
        "h_empty/70/0_70x",
        "fd/7/0_7",
    ):
        put(tmp_path, f"metadata/tar/{path}")
    storage = LocalStorage(tmp_path)
    assert container.chains(storage, SERIES) == [
        Chain(90, (Level(90, 0, 90),)),
        Chain(100, (Level(100, 0, 100), Level(100, 1, 150))),
    ]
    assert container.host_names(storage) == ["h_a/b", "h_empty", "host_docs"]
    assert container.host_names(LocalStorage(tmp_path / "none")) == []
    (tmp_path / "metadata" / "tar" / "h_a" / "round").symlink_to(tmp_path / "metadata" / "tar")
    assert set(container.host_names(storage)) >= {"h_a/b", "h_empty", "host_docs"}


def test_what_no_backup_owns_is_swept_when_nobody_can_be_at_work_in_it(tmp_path: Path) -> None:
    day = container.ABANDONED_AFTER
    put(tmp_path, "metadata/tar/host_docs/100/0_100/metadata")
    for name in ("0_100", "1_110", "1_120", "x"):
        put(tmp_path, f"data/tar/host_docs/100/{name}/data", day + 60)
    put(tmp_path, "data/tar/host_docs/100/1_130/data", day - 60)
    put(tmp_path, "data/tar/host_docs/100/1_130/other", day + 60)
    put(tmp_path, "data/tar/host_docs/100/1_120/manifest.json")
    storage = LocalStorage(tmp_path)
    found = {orphan.level.time: orphan for orphan in container.orphans(storage, SERIES)}
    assert {moment: orphan.ours for moment, orphan in found.items()} == {
        110: False, 120: True, 130: False,
    }  # fmt: skip
    assert found[110].folder == "data/tar/host_docs/100/1_110"
    assert day < found[110].age < day + 120 and found[130].age < day
    assert container.stranded(storage, SERIES) == 0, "a crash leaves one of ours"
    put(tmp_path, "data/tar/host_docs/100/2_140/manifest.json")
    assert container.stranded(storage, SERIES) == 2
    with storage.lock(SERIES.host_name):
        assert container.sweep(storage, SERIES) == 0, "then their metadata were lost"
        (tmp_path / "data/tar/host_docs/100/2_140/manifest.json").unlink()
        (tmp_path / "data/tar/host_docs/100/2_140").rmdir()
        assert container.sweep(storage, SERIES) == 2
    left = sorted(path.name for path in (tmp_path / "data/tar/host_docs/100").iterdir())
    assert left == ["0_100", "1_130", "x"]


@pytest.mark.parametrize(
    ("host_name", "hostname", "backup_name", "found"),
    [
        ("host_docs", None, None, ("host", "docs")),
        ("host_my_docs", None, None, ("host", "my_docs")),
        ("node.a_b_docs", None, None, ("node.a_b", "docs")),
        ("host_my_docs", "host_my", None, ("host_my", "docs")),
        ("host_my_docs", None, "docs", ("host_my", "docs")),
        ("host_my_docs", "host", "my_docs", ("host", "my_docs")),
        ("host_my_docs", "other", None, None),
        ("host_my_docs", None, "other", None),
        ("host_my_docs", "host", "docs", None),
        ("host_a/../b", None, None, None),
        ("host", None, None, None),
    ],
)
def test_a_host_name_is_parted_as_whoever_asks_says(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    host_name: str,
    hostname: str | None,
    backup_name: str | None,
    found: tuple[str, str] | None,
) -> None:
    monkeypatch.setattr(os, "uname", lambda: SimpleNamespace(nodename="node.a_b"))
    storage = LocalStorage(tmp_path)
    series = info.series_of(storage, host_name, hostname, backup_name)
    assert series == (None if found is None else Series(*found))
    both = info.one_series(hostname, backup_name)
    assert both == (Series(hostname, backup_name) if hostname and backup_name else None)


# -- priority --------------------------------------------------------------------------------------


@pytest.mark.parametrize("permitted", [True, False])
@pytest.mark.parametrize("disk", ["0", "1", None])
def test_a_refused_priority_is_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, permitted: bool, disk: str | None
) -> None:
    asked: list[tuple[int, int, int]] = []

    def setpriority(*words: int) -> None:
        asked.append(words)
        if not permitted:
            raise PermissionError

    monkeypatch.setattr(priority.os, "setpriority", setpriority)
    monkeypatch.setenv("PATH", str(tmp_path))
    if disk is not None:
        program = tmp_path / "ionice"
        program.write_text(f'#!/bin/sh\necho "$@" >{tmp_path}/said\nexit {disk}\n')
        program.chmod(0o755)
    warnings = priority.raise_priority()
    assert asked == [(os.PRIO_PROCESS, 0, -19)]
    cpu = [] if permitted else ["max_priority: only root may raise the CPU priority"]
    if disk == "0":
        assert warnings == cpu
    elif disk == "1":
        assert warnings == [*cpu, "max_priority: the disk priority could not be raised"]
    else:
        assert warnings[:-1] == cpu and "ionice is not installed" in warnings[-1]
    if disk is not None:
        assert (tmp_path / "said").read_text() == f"-c 1 -n 0 -p {os.getpid()}\n"


# -- links -----------------------------------------------------------------------------------------


def lists(*entries: str) -> bytes:
    """tar's listing: "d a", "- a/f", "l a/l", "h a/h a/f"; anything else as it is."""
    lines = []
    for entry in entries:
        kind, _blank, rest = entry.partition(" ")
        if kind not in ("d", "-", "l", "h"):
            lines.append(entry)
            continue
        name, _blank, target = rest.partition(" ")
        name = f"{name}/" if kind == "d" else name
        link = {"l": ' -> "x"', "h": f' link to "./{target}"'}.get(kind, "")
        if kind == "h" and target == "-":
            link = ' link to ""'
        lines.append(f'{kind}rwxr-xr-x 0/0 0 2026-05-01 10:00:00 "./{name}"{link}')
    return "\n".join(lines).encode()


HOSTILE = "which lies outside of the restored tree or may lead there"


@pytest.mark.parametrize(
    ("links", "level", "outcome"),
    [
        ([], ["d a", "- a/f", "l a/l"], []),
        (["l"], ["d .", "- f", "l l"], []),
        # What the level has a directory for takes the place of a link in the tree.
        (["l", "m"], ["d l", "- l/f"], ["l"]),
        (["a/l"], ["d a", "d a/l"], ["a/l"]),
        # Nothing is written through a link.
        (["l"], ["- l/f"], "writes through a link: 'l/f'"),
        (["a/l"], ["- a/l/b/f"], "writes through a link"),
        ([], ["l l", "- l/f"], "writes through a link"),
        ([], ["- l/f", "l l"], "has a link where it has a directory: 'l'"),
        ([], ["l l", "d l"], "has a directory where it has a link: 'l'"),
        ([], ["d l", "l l"], "has a link where it has a directory: 'l'"),
        # Nor is anything outside named.
        ([], ["- ../f"], "names './../f'"),
        ([], ["- a/../f"], "names"),
        ([], ["h h ../f"], "links to './../f'"),
        # Hard links to links are links.
        (["l"], ["h h l", "- h/f"], "writes through a link: 'h/f'"),
        (["l"], ["h h l/f"], "links to through a link: 'l/f'"),
        ([], ["l l", "h h l", "d h"], "has a directory where it has a link: 'h'"),
        ([], ["- f", "h h f", "d h"], []),
        ([], ["h h -", "d h"], []),
        # A list of what lies in a directory tells of renames.
        ([], ["d a", "Y f", "N g", "D b", "", "- a/f"], []),
        ([], ["d .", "R a", "T b", "", "d b"], []),
        (["a/l"], ["d .", "R a", "T b", "", "- b/l/f"], "writes through a link: 'b/l/f'"),
        (["a/l"], ["d .", "R a", "T b", "", "d b/l"], ["a/l"]),
        (["a/l"], ["d .", "R a", "T b", "", "d a/l"], "renames a directory, and has a directory"),
        (["a/l"], ["d b/l", "d .", "R a", "T b"], "renames a link to a directory: 'b/l'"),
        (["l"], ["d .", "R l/x", "T b"], "renames through a link: 'l/x'"),
        (["l"], ["d .", "R a", "T l/b"], "renames through a link: 'l/b'"),
        (["l"], ["d .", "R l", "T b"], "renames through a link: 'l'"),
        (["l"], ["d .", "R a", "T l"], []),
        (["l"], ["d .", "X l"], "renames through a link: 'l'"),
        ([], ["d .", "R /etc", "T b"], "renames '/etc'"),
        ([], ["d .", "R a", "T b/../../x"], "renames 'b/../../x'"),
        ([], ["d .", "R ..", "T b"], []),
        # A half rename is harmless as long as no link was moved by another one.
        (["a/l"], ["d .", "R a", "T b", "R c"], "that it stays inside of the restored tree cannot"),
        (["a/l"], ["d .", "R a", "T b", "T c"], "cannot be told"),
        (["a/l"], ["d .", "R a", "T b", "R c", "Y d"], "cannot be told"),
        (["a/l"], ["d .", "R a", "T b", "R c", "d d"], "cannot be told"),
        (["a/l"], ["d .", "R a", "T b", r"- n\n"], "cannot be told"),
        (["a/l", "m\n"], ["d .", "R a", "T b"], "cannot be told"),
        (["m\n"], ["d .", "R a", "T b"], "cannot be told"),
        (["m\n"], ["d .", r"- n\n"], []),
        ([], ["d .", "R c", r"- n\n"], []),
        # What tar does not say so is not guessed.
        ([], ["nonsense"], "tar lists b'nonsense', which cannot be understood"),
        ([], ["- f", "Y g"], "which cannot be understood"),
    ],
)
def test_what_the_links_of_a_tree_do_to_a_level(
    links: list[str], level: list[str], outcome: list[str] | str
) -> None:
    model = LinkModel([link.encode() for link in links], "level 1")
    model.take(lists(*level))
    assert model.renames == any(line[:2] in ("R ", "T ", "X ") for line in level) or isinstance(
        outcome, str
    )
    if isinstance(outcome, list):
        assert model.check() == [name.encode() for name in outcome]
        return
    with pytest.raises(JobFailed) as refused:
        model.check()
    assert refused.value.message.startswith("level 1")
    assert outcome in refused.value.message
    told = HOSTILE in refused.value.message
    assert ("was not made by a backup" in refused.value.hint) is told
    model.take(lists("- more"))
    with pytest.raises(JobFailed, match="level 1"):
        model.check()


@pytest.mark.parametrize(
    ("renames", "outcome"),
    [
        ({"": ["Ra", "Tb"]}, None),
        ({"": ["Ra", "Tb\nR ..", "Rb\nR ..", "Tc"], "c": ["R..", "Tx"]}, None),
        ({"": ["Ra", "T../b"]}, "renames '../b'"),
        ({"": ["Rm\n/x", "Tb"]}, r"renames through a link: 'm\\n/x'"),
        ({"": ["Ra", "Tb", "Rb/l", "Tx"]}, "renames through a link: 'b/l'"),
        # tar refuses these as well.
        ({"": ["Ra", "Tb", "Rc"]}, "renames directories in a way that is none"),
        ({"": ["Ra", "Tb", "Rc", "Yd", "Tx"]}, "renames directories in a way that is none"),
        # Two readers that do not agree.
        ({"": ["Ra", "Tb"], "other": ["Rc", "Tx"]}, "renames directories in a way that is none"),
    ],
)
def test_renames_that_are_known_exactly_need_no_doubt(
    renames: dict[str, list[str]], outcome: str | None
) -> None:
    exact = {
        folder.encode(): [record.encode() for record in records]
        for folder, records in renames.items()
    }
    model = LinkModel([b"a/l", b"m\n"], "level 1", exact)
    model.take(lists("d .", r"- n\n", "d c"))
    if outcome is None:
        assert model.check() == []
        assert model.renames and model.folders == []
        return
    with pytest.raises(JobFailed) as refused:
        model.check()
    assert outcome in refused.value.message
    assert "was not made by a backup" in refused.value.hint


@pytest.mark.parametrize(
    ("name", "inner", "folders"),
    [
        ("./a/b/c", "a/b/c", ["a", "a/b"]),
        ("./a/b/", "a/b", ["a"]),
        ("a//b/./c", "a/b/c", ["a", "a/b"]),
        ("./", "", []),
        (".", "", []),
        ("", "", []),
        ("/", "/", [""]),
        ("//", "/", [""]),
        ("/etc/./x/", "/etc/x", ["", "/etc"]),
        ("a/../b", "a/../b", ["a", "a/.."]),
    ],
)
def test_a_member_s_plain_name(name: str, inner: str, folders: list[str]) -> None:
    assert plain(name.encode()) == inner.encode()
    assert above(inner.encode()) == [folder.encode() for folder in folders]

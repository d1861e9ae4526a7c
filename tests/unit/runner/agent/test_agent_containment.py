# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The kernel keeps a program inside of one directory, with any of the means that it may have."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
import waiting
from agent_bench import CAP_SYS_ADMIN, Bench, capable
from agent_containment import (
    NO_CTYPES,
    NO_RIGHTS,
    OLD_LANDLOCK,
    OLD_MOUNTS,
    OTHER_MACHINE,
    STUBBORN_MOUNT,
    available,
    changed_kernel,
    everybodys_python,
    only,
    run,
)
from agent_trees import state
from agent_users import as_nobody, give_away

from coldchain.agent.process import contain
from coldchain.agent.process.contain import LANDLOCK, NAMESPACE

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or not capable(CAP_SYS_ADMIN), reason="needs root that may mount"
)

#: What a program inside may want to do to the directory OUT beside it; each must fail.
CONTENT = [
    "echo x > OUT/new",
    "echo x >> OUT/file",
    "mkdir OUT/folder",
    "rm OUT/file",
    "rmdir OUT/empty",
    "mv OUT/file .",
    "mv mine OUT/",
    "ln OUT/file stolen",
    "ln mine OUT/linked",
    "ln -s x OUT/link",
    "mkfifo OUT/fifo",
    "mknod OUT/null c 1 3",
    "truncate -s 0 OUT/file",
]
STATUS = ["chmod 4777 OUT/file", "chown 12345 OUT/file", "touch -d 2001-01-01 OUT/file"]
#: And to itself; each must succeed.
INSIDE = (
    "echo x > a; mkdir d e; ln a d/b; mv d/b e/c; ln -s .. l; chmod 4755 a; chown 12345 a;"
    " touch -d 2001-01-01 a; mknod n c 1 3; mkfifo f; truncate -s 0 e/c; rm l; rm -r d; mv e g"
)


@pytest.fixture
def folders() -> Iterator[tuple[Path, Path]]:
    """The directory to stay in, and one beside it."""
    with tempfile.TemporaryDirectory() as folder:
        inside, outside = Path(folder) / "inside", Path(folder) / "outside"
        for made in (inside, outside, outside / "empty"):
            made.mkdir()
        (inside / "mine").write_text("mine")
        (outside / "file").write_text("precious")
        yield inside, outside


def _kernels() -> dict[str, tuple[AbstractContextManager[None], list[str]]]:
    """Each kernel: how to have it, and the means that it gives."""
    whole = list(available())
    return {
        "this one": (changed_kernel(""), whole),
        "no landlock": (only(NAMESPACE), [NAMESPACE]),
        "landlock 1": (changed_kernel(OLD_LANDLOCK), [NAMESPACE]),
        "no mount_setattr": (changed_kernel(OLD_MOUNTS), whole),
        "no mount_setattr, no landlock": (
            changed_kernel(OLD_MOUNTS + "contain._restrict = refuse\n"),
            [NAMESPACE],
        ),
        "a mount that stays as it is": (changed_kernel(STUBBORN_MOUNT), whole[1:]),
        "no namespace": (only(LANDLOCK), whole[1:]),
        "nothing": (changed_kernel(NO_RIGHTS), []),
        "another machine": (changed_kernel(OTHER_MACHINE), []),
        "no ctypes": (changed_kernel(NO_CTYPES), []),
        "all switched off": (only(), []),
    }


KERNELS = list(_kernels())


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_program_works_inside_and_changes_nothing_outside(
    folders: tuple[Path, Path], kernel: str
) -> None:
    inside, outside = folders
    before = state(os.fsencode(outside))
    way, means = _kernels()[kernel]
    with way:
        ended, given = run(inside, ["/bin/sh", "-ec", INSIDE])
        assert (ended.returncode, ended.stderr) == (0, "")
        assert given == means
        assert {name.name for name in inside.iterdir()} == {"a", "mine", "n", "f", "g"}
        held = (CONTENT if given else []) + (STATUS if NAMESPACE in given else [])
        for command in held:
            script = command.replace("OUT", str(outside))
            ended, given = run(inside, ["/bin/sh", "-c", script])
            assert ended.returncode != 0, command
            assert given == means
    assert state(os.fsencode(outside)) == before


@pytest.mark.parametrize("kernel", ["this one", "no landlock", "no mount_setattr, no landlock"])
def test_no_descriptor_and_no_process_leads_out(folders: tuple[Path, Path], kernel: str) -> None:
    inside, outside = folders
    holder = subprocess.Popen(["/bin/sleep", "60"], cwd=outside)
    roots = ["/proc/1/root", f"/proc/{os.getpid()}/root", f"/proc/{holder.pid}/root"]
    ways = [f"{root}{outside}" for root in roots]
    ways += [f"/proc/{holder.pid}/cwd", f"/proc/{os.getpid()}/fd/NUMBER/../outside"]
    ways += [f"/proc/self/fd/{number}/../outside" for number in range(20)]
    ways += ["/proc/self/cwd/../outside", "/dev/fd/3/../outside", "../outside"]
    held = os.open(inside, os.O_RDONLY | os.O_DIRECTORY)
    program = (
        "import os, stat, sys\n"
        "for number in range(256):\n"
        "    try: kind = os.fstat(number).st_mode\n"
        "    except OSError: continue\n"
        "    assert number < 3 and not stat.S_ISDIR(kind), number\n"
        "for way in sys.argv[1:]:\n"
        "    try: open(way + '/new', 'w')\n"
        "    except OSError: pass\n"
        "    try: os.chmod(way + '/file', 0o777)\n"
        "    except OSError: pass\n"
    )
    before = state(os.fsencode(outside))
    way, _ = _kernels()[kernel]
    try:
        with way:
            ways = [text.replace("NUMBER", str(held)) for text in ways]
            ended, given = run(inside, [sys.executable, "-I", "-S", "-c", program, *ways])
        assert (ended.returncode, ended.stderr) == (0, "")
        assert given[0] == NAMESPACE
    finally:
        os.close(held)
        holder.kill()
        waiting.ended(holder)
    assert state(os.fsencode(outside)) == before


def test_a_program_inside_dies_of_what_others_die_of(folders: tuple[Path, Path]) -> None:
    """The Python before it ignores some signals, and what is ignored stays so over an exec."""
    for number in (signal.SIGINT, signal.SIGPIPE, signal.SIGXFSZ):
        ended, _ = run(folders[0], ["/bin/sh", "-c", f"kill -{number} $$; echo lives"])
        assert (ended.returncode, ended.stdout) == (-number, "")


def _mounts(folder: Path) -> list[str]:
    """The root's mount and those in *folder*; what others mount meanwhile is their affair."""
    with open("/proc/self/mountinfo", encoding="utf-8") as stream:
        lines = [line.split() for line in stream]
    return [" ".join(line[:6]) for line in lines if line[4] == "/" or str(folder) in line[4]]


def test_another_process_keeps_its_mounts(folders: tuple[Path, Path]) -> None:
    inside, outside = folders
    before = _mounts(inside)
    ended, _ = run(inside, ["/bin/true"])
    assert ended.returncode == 0
    assert _mounts(inside) == before
    (outside / "new").write_text("still writable here")


def test_mounts_inside_and_under_other_mounts_are_held_too(folders: tuple[Path, Path]) -> None:
    inside, outside = folders
    for number in range(2):
        subprocess.run(["mount", "-t", "tmpfs", "none", outside], check=True)
        (outside / "empty").mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "none", outside / "empty"], check=True)
        (outside / "file").write_text(str(number))
    try:
        for change in ("", OLD_MOUNTS):
            with changed_kernel(change):
                for place in (outside, outside / "empty"):
                    ended, given = run(inside, ["/bin/sh", "-c", f"echo x > {place}/new"])
                    assert ended.returncode != 0
                    assert given == list(available())
        assert not (outside / "new").exists()
        assert not (outside / "empty" / "new").exists()
    finally:
        for _ in range(2):
            subprocess.run(["umount", outside / "empty"], check=True)
            subprocess.run(["umount", outside], check=True)


def test_a_mount_is_remounted_with_its_own_flags(folders: tuple[Path, Path]) -> None:
    inside, outside = folders
    place = outside / "a name\nthat the kernel \\escapes"
    place.mkdir()
    flags = "nosuid,nodev,noexec,noatime"
    subprocess.run(["mount", "-t", "tmpfs", "-o", flags, "none", place], check=True)
    shown = f"import os; print(os.statvfs({str(place)!r}).f_flag)"
    try:
        before = os.statvfs(place).f_flag
        with changed_kernel(OLD_MOUNTS):
            ended, _ = run(inside, [sys.executable, "-I", "-S", "-c", shown])
        assert int(ended.stdout) == before | os.ST_RDONLY
    finally:
        subprocess.run(["umount", place], check=True)


@pytest.mark.parametrize("replacement", ["nothing", "link", "directory"])
def test_another_directory_in_its_place_is_refused(
    folders: tuple[Path, Path], replacement: str
) -> None:
    inside, outside = folders
    descriptor = os.open(inside, os.O_RDONLY | os.O_DIRECTORY)
    with contain.containment(os.fsencode(inside), descriptor) as held:
        argv = held.argv(["/usr/bin/touch", "new"])
        inside.rename(inside.with_name("moved"))
        if replacement == "link":
            inside.symlink_to(outside)
        elif replacement == "directory":
            inside.mkdir()
        ended = subprocess.run(
            argv, pass_fds=held.pass_fds, cwd=held.working_directory, check=False,
            capture_output=True,
        )  # fmt: skip
    os.close(descriptor)
    assert ended.returncode == contain.REPLACED
    assert ended.stderr.decode() == f"{inside}: another directory is in its place now\n"
    assert not list(inside.parent.rglob("new"))


def test_an_ordinary_user_has_landlock(
    folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    inside, outside = folders
    give_away(inside.parent)
    monkeypatch.setattr(sys, "executable", everybodys_python())

    def held() -> str:
        given = []
        for command in CONTENT:
            if "mknod" not in command:
                script = command.replace("OUT", str(outside))
                ended, given = run(inside, ["/bin/sh", "-c", script])
                assert ended.returncode != 0, command
        ended, given = run(inside, ["/bin/sh", "-c", "mkdir d; ln mine d/b; mv d/b c; rm mine"])
        assert (ended.returncode, ended.stderr) == (0, "")
        return " ".join(given)

    before = state(os.fsencode(outside))
    with changed_kernel(""):
        assert as_nobody(held) == " ".join(name for name in available() if name != NAMESPACE)
    assert state(os.fsencode(outside)) == before


@pytest.mark.parametrize("kernel", ["this one", "no landlock", "no namespace", "another machine"])
def test_a_restore_says_what_held_it(bench: Bench, kernel: str) -> None:
    (bench.source / "file").write_text("x")
    bench.level()
    (bench.source / "more").write_text("x")
    bench.level()
    way, means = _kernels()[kernel]
    with way:
        report = bench.restore()
    assert report.fields["containment"] == means
    told = [line for line in report.warnings if "the kernel did not contain" in line]
    assert len(told) == (0 if means else 1)
    assert state(os.fsencode(bench.target)) == state(os.fsencode(bench.source))


@pytest.mark.parametrize(
    ("field", "path"),
    [
        (rb"/mnt/plain", b"/mnt/plain"),
        (rb"/a\040b\011c\012d\134e\043", b"/a b\tc\nd\\e#"),
        (rb"/\134040", b"/\\040"),
    ],
)
def test_a_mount_is_found_whatever_its_name_is(field: bytes, path: bytes) -> None:
    line = b"36 35 98:0 /mnt1 %s rw,noexec - ext3 /dev/root rw" % field
    assert contain._Mount(line).path == path

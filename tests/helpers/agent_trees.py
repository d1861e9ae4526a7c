# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Random trees, random changes, and a complete description of what lies on disk."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Sequence
from dataclasses import dataclass

from hypothesis import strategies as st

State = dict[bytes, tuple[object, ...]]

NAMES = st.sampled_from(
    [
        b"a", b"b", b"c", b"-rf", b"--checkpoint-action=exec=false", b"with space", b"100%d",
        b"quo\"te", b"apos'trophe", b"back\\slash", b"new\nline", b"tab\t", b"\xff\xfe\x80",
        "grüße".encode(), b"*", b"[x]", b"co: lon", b"$(id)", b"`id`", b"~", b"#", b"@file", b"x.",
        b"R a", b"link to", b"y" * 200, b".coldchain", b".coldchain-restore-01234567",
    ]
)  # fmt: skip
PATHS = st.lists(NAMES, min_size=1, max_size=3).map(b"/".join)
TIMES = st.integers(min_value=0, max_value=2**31) | st.just(1_500_000_000)
MODES = st.sampled_from([0o644, 0o600, 0o755, 0o444, 0o4755, 0o640])
FOLDER_MODES = st.sampled_from([0o755, 0o700, 0o1777, 0o2755, 0o555])


@dataclass(frozen=True)
class Change:
    """One change of a tree; what does not apply to the tree as it is, does nothing."""

    kind: str
    path: bytes
    other: bytes
    content: bytes
    repeat: int
    mode: int
    time: int

    def apply(self, root: bytes) -> None:
        path = os.path.join(root, self.path)
        try:
            getattr(self, f"_{self.kind}")(path, os.path.join(root, self.other))
        except (FileNotFoundError, NotADirectoryError, FileExistsError, IsADirectoryError):
            pass
        except OSError as error:
            # EPERM (a link to a directory) to ELOOP; EBUSY and EXDEV where something is mounted.
            if error.errno not in (1, 13, 16, 18, 22, 36, 39, 40):
                raise

    def _write(self, path: bytes, _: bytes) -> None:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        if os.path.lexists(path) and not stat.S_ISREG(os.lstat(path).st_mode):
            os.unlink(path)
        with open(path, "wb") as stream:
            stream.write(self.content * self.repeat)
        os.chmod(path, self.mode)
        os.utime(path, ns=(self.time * 10**9 + 123456789, self.time * 10**9 + 123456789))

    def _sparse(self, path: bytes, _: bytes) -> None:
        self._write(path, _)
        os.truncate(path, len(self.content * self.repeat) + (1 << 18))

    def _folder(self, path: bytes, _: bytes) -> None:
        os.makedirs(path, exist_ok=True)
        os.chmod(path, 0o755)

    def _symlink(self, path: bytes, _: bytes) -> None:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        os.symlink(self.other, path)

    def _link(self, path: bytes, other: bytes) -> None:
        os.link(other, path, follow_symlinks=False)

    def _fifo(self, path: bytes, _: bytes) -> None:
        os.mkfifo(path)

    def _remove(self, path: bytes, _: bytes) -> None:
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path)
        else:
            os.unlink(path)

    def _move(self, path: bytes, other: bytes) -> None:
        os.rename(path, other)

    def _chmod(self, path: bytes, _: bytes) -> None:
        if not os.path.islink(path):
            folder = os.path.isdir(path)
            os.chmod(path, (self.mode | 0o700) if folder else self.mode)


KINDS = (
    ["write"] * 6 + ["folder", "symlink", "link", "fifo", "sparse"] + ["remove", "move"] * 2
    + ["chmod"]
)  # fmt: skip


_FEW = st.lists(st.sampled_from([b"a", b"b", b"c", b"d"]), min_size=1, max_size=3).map(b"/".join)


def changes_among_few(*kinds: str) -> st.SearchStrategy[Change]:
    """Changes of these kinds, and of KINDS, in a tree of so few names that they meet."""
    return st.builds(
        Change,
        kind=st.sampled_from([*KINDS, *kinds]),
        path=_FEW,
        other=_FEW,
        content=st.binary(max_size=30),
        repeat=st.just(1),
        mode=MODES,
        time=TIMES,
    )


CHANGES = st.builds(
    Change,
    kind=st.sampled_from(KINDS),
    path=PATHS,
    other=PATHS,
    content=st.binary(max_size=30),
    repeat=st.sampled_from([1, 1, 1, 5000]),
    mode=MODES,
    time=TIMES,
)
HISTORIES = st.lists(st.lists(CHANGES, max_size=14), min_size=2, max_size=4)


def apply(root: bytes, changes: Sequence[Change]) -> None:
    for change in changes:
        change.apply(root)


def state(root: bytes) -> State:
    """Everything that a restore must bring back, by relative name."""
    found: State = {}
    root = os.path.normpath(root)
    below = len(root.rstrip(b"/")) + 1
    for folder, folders, files in os.walk(root):
        for name in sorted([*folders, *files, b""] if folder == root else [*folders, *files]):
            path = os.path.join(folder, name) if name else root
            status = os.lstat(path)
            relative = path[below:] or b"."
            kind = stat.S_IFMT(status.st_mode)
            detail: object = None
            if stat.S_ISREG(kind):
                with open(path, "rb") as stream:
                    detail = stream.read()
            elif stat.S_ISLNK(kind):
                detail = os.readlink(path)
            found[relative] = (
                kind,
                stat.S_IMODE(status.st_mode),
                status.st_uid,
                status.st_gid,
                status.st_mtime_ns,
                detail,
            )
    groups: dict[tuple[int, int], list[bytes]] = {}
    for relative in sorted(found):
        status = os.lstat(os.path.join(root, relative))
        if status.st_nlink > 1 and not stat.S_ISDIR(status.st_mode):
            groups.setdefault((status.st_dev, status.st_ino), []).append(relative)
    for names in groups.values():
        for relative in names:
            found[relative] = (*found[relative], tuple(names))
    return found

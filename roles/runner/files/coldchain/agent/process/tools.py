# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The programs that the agent runs, and the packages that bring them."""

from __future__ import annotations

from typing import NamedTuple

from coldchain.core.errors import NoProgram

#: Executable -> package of Debian and Ubuntu, package of Fedora, RHEL and SUSE.
PACKAGES = {
    "tar": ("tar", "tar"),
    "gzip": ("gzip", "gzip"),
    "bzip2": ("bzip2", "bzip2"),
    "xz": ("xz-utils", "xz"),
    "zstd": ("zstd", "zstd"),
    "openssl": ("openssl", "openssl"),
    "rclone": ("rclone", "rclone"),
    "setpriv": ("util-linux", "util-linux"),
    "ionice": ("util-linux", "util-linux"),
}


def executable(name: str) -> str:
    """The absolute path of *name*; NoProgram says how to install it."""
    import shutil  # with bz2 and lzma, which the runner does without

    path = shutil.which(name)
    if path is None:
        raise NoProgram(f"the program {name} is not installed on this host", install_hint(name))
    return path


def install_hint(name: str) -> str:
    """How to install the program *name*, a key of PACKAGES."""
    debian, other = PACKAGES[name]
    return f"apt-get install {debian}, or dnf install {other}"


class Compression(NamedTuple):
    """A compressor: argv without the program's path, reading stdin and writing stdout."""

    name: str
    compress: tuple[str, ...]
    decompress: tuple[str, ...]
    magic: bytes

    def compressor(self) -> list[str]:
        """The argument vector that packs; Unavailable when the program is not there."""
        return [executable(self.name), *self.compress]

    def decompressor(self) -> list[str]:
        """The argument vector that unpacks; Unavailable when the program is not there."""
        return [executable(self.name), *self.decompress]


#: The levels are each program's own default, as with tar -z, -j and -J.
COMPRESSIONS = {
    "gzip": Compression("gzip", ("-c",), ("-dc",), b"\x1f\x8b"),
    "bzip2": Compression("bzip2", ("-c",), ("-dc",), b"BZh"),
    # What says that it needs more memory than any level of xz does, 65 MB, is no backup.
    "xz": Compression("xz", ("-c",), ("-dc", "--memlimit-decompress=128MiB"), b"\xfd7zXZ\x00"),
    # One thread beside those that read and write, as most releases do by themselves; the default of
    # 8 MB at a time would take 46 MB of memory instead of 18, and gain 1 % of size.
    "zstd": Compression("zstd", ("-cq", "-T1", "-B2M"), ("-dcq",), b"\x28\xb5\x2f\xfd"),
}

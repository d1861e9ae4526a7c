# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Letting a program change files below one directory only, whatever links it follows.

Two means, each of which the kernel may give or not:

namespace: (CAP_SYS_ADMIN) mounts of its own, all read-only but for the directory, and no /proc,
whose links lead into other namespaces.  Nothing outside can be written, made, removed, moved or
linked, nor given another mode, owner, time or attribute.
landlock: (Linux 5.19, no right needed) the same, but for modes, owners, times and attributes.

This file is also the program that does it: it is started with the interpreter, contains itself, and
becomes the program that is to be contained.  So it imports nothing of ours, and little else: a
restore starts it for each level.
"""

from __future__ import annotations

import errno
import os
import signal
import struct
import sys

if __name__ != "__main__":
    from collections.abc import Iterator, Sequence
    from contextlib import contextmanager

NAMESPACE, LANDLOCK = "namespace", "landlock"
#: Which means are tried; tests take one or both away.
MEANS: tuple[str, ...] = (NAMESPACE, LANDLOCK)
#: What is started; tests put another one in its place.
PROGRAM = os.path.abspath(__file__)
#: Exit code of this program when the directory is not the one that was meant.
REPLACED = 118

_MACHINES = (
    *("x86_64", "i386", "i486", "i586", "i686", "aarch64", "ppc", "ppc64", "ppc64le"),
    *("s390", "s390x", "riscv32", "riscv64", "loongarch64"),
)
#: A letter follows, the order of the bytes, and maybe more.
_ARM = ("armv5", "armv6", "armv7", "armv8")
#: System calls; these numbers are the same on all of these machines.
_MOUNT_SETATTR, _LANDLOCK_CREATE, _LANDLOCK_ADD, _LANDLOCK_RESTRICT = 442, 444, 445, 446
_AT_FDCWD, _AT_EMPTY_PATH, _AT_RECURSIVE = -100, 0x1000, 0x8000
_CLONE_NEWNS = 0x20000
_MS_RDONLY, _MS_NOSUID, _MS_NODEV, _MS_NOEXEC, _MS_REMOUNT = 1, 2, 4, 8, 32
_MS_BIND, _MS_REC, _MS_PRIVATE = 0x1000, 0x4000, 0x40000
_MOUNT_ATTR_RDONLY = 1
#: A mount's own flags as /proc/self/mountinfo names them.
_FLAGS = {
    b"nosuid": _MS_NOSUID,
    b"nodev": _MS_NODEV,
    b"noexec": _MS_NOEXEC,
    b"nosymfollow": 256,
    b"noatime": 1024,
    b"nodiratime": 2048,
    b"relatime": 1 << 21,
}
_NO_NEW_PRIVS = 38
#: The least ABI that lets files be linked and moved between directories inside.
_LEAST_ABI = 2
#: write_file, remove_dir, remove_file, make_char, _dir, _reg, _sock, _fifo, _block, _sym.
_CHANGES = sum(1 << bit for bit in (1, 4, 5, 6, 7, 8, 9, 10, 11, 12))
_REFER, _TRUNCATE = 1 << 13, 1 << 14
_DIRECTORY = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Containment:
    """What contains the programs that change one directory, and what came of it."""

    def __init__(self, directory: bytes, descriptor: int, report: int) -> None:
        self._directory, self._descriptor, self._report = directory, descriptor, report

    @property
    def pass_fds(self) -> tuple[int, ...]:
        """The descriptors that the contained program's process has to inherit."""
        return (self._descriptor, self._report)

    def argv(self, program: Sequence[str | bytes]) -> list[str | bytes]:
        """The vector that runs *program* in the directory, contained as far as possible.

        Its process has to begin in the ``working_directory``.
        """
        if not MEANS:
            return list(program)
        if not os.access(sys.executable or "", os.X_OK) or not os.access(PROGRAM, os.R_OK):
            why = f"{sys.executable or 'this Python'} cannot be started by this user"
            _write(self._report, "".join(f"{name}:{why}\n" for name in MEANS))
            return list(program)
        status = os.fstat(self._descriptor)
        return [
            sys.executable,
            "-I",
            "-S",
            PROGRAM,
            ",".join(MEANS),
            f"{self._descriptor},{self._report},{status.st_dev},{status.st_ino}",
            self._directory,
            *program,
        ]

    @property
    def working_directory(self) -> str:
        """The directory, whatever its path may lead to by now."""
        return f"/proc/self/fd/{self._descriptor}"

    @property
    def given(self) -> tuple[str, ...]:
        """The means that the kernel gave to the program that ended last."""
        return tuple(name for name, why in self._lines() if not why)

    @property
    def refused(self) -> dict[str, str]:
        """Why each of the other means is missing, by name."""
        return {name: why for name, why in self._lines() if why}

    def _lines(self) -> list[tuple[str, str]]:
        text = os.pread(self._report, 1 << 16, 0).decode("utf-8", "replace")
        return [(name, why) for name, dummy, why in (x.partition(":") for x in text.splitlines())]


if __name__ != "__main__":

    @contextmanager
    def containment(directory: bytes, descriptor: int) -> Iterator[Containment]:
        """Contain programs to *directory*, an absolute path whose open *descriptor* is the proof.

        directory: where the programs find it; another one in its place is refused.
        """
        report = os.memfd_create("containment")
        try:
            yield Containment(directory, descriptor, report)
        finally:
            os.close(report)


class _Refused(Exception):
    """The kernel, or who set it up, does not give this means."""


class _Replaced(Exception):
    """Another directory lies where the one was that programs are to be contained to."""


class _Kernel:
    """The few system calls; OSError names the one that failed.  _Refused where there are none."""

    def __init__(self) -> None:
        machine = os.uname().machine
        if machine not in _MACHINES and not machine.startswith(_ARM):
            raise _Refused(f"the system calls of {machine} are not known")
        try:
            import ctypes
        except ImportError:
            raise _Refused("this Python has no ctypes") from None
        self._ctypes, self._libc = ctypes, ctypes.CDLL(None, use_errno=True)
        self._libc.syscall.restype = ctypes.c_long

    def _check(self, result: int, name: str) -> int:
        if result < 0:
            number = self._ctypes.get_errno()
            raise OSError(number, f"{name}: {os.strerror(number)}")
        return result

    def unshare(self, flags: int) -> None:
        """Get namespaces of our own; flags: CLONE_NEWNS and the like; OSError."""
        self._check(self._libc.unshare(flags), "unshare")

    def mount(self, source: bytes | None, target: bytes, kind: bytes | None, flags: int) -> None:
        """Let the kernel mount *source* at *target*; OSError."""
        long = self._ctypes.c_ulong(flags)
        self._check(self._libc.mount(source, target, kind, long, None), "mount")

    def no_new_privileges(self) -> None:
        """prctl(PR_SET_NO_NEW_PRIVS), which Landlock asks for; OSError."""
        on, off = self._ctypes.c_ulong(1), self._ctypes.c_ulong(0)
        self._check(self._libc.prctl(_NO_NEW_PRIVS, on, off, off, off), "prctl")

    def syscall(self, name: str, number: int, *arguments: int | bytes | None) -> int:
        """The system call *number*, which the C library has no function for; OSError."""
        c = self._ctypes
        values = [c.c_long(x) if isinstance(x, int) else c.c_char_p(x) for x in arguments]
        return self._check(self._libc.syscall(c.c_long(number), *values), name)

    def set_attributes(self, where: int, path: bytes, flags: int, put: int, clear: int) -> None:
        """mount_setattr(2): *put* and *clear* are attributes; OSError before Linux 5.12."""
        attributes = struct.pack("=QQQQ", put, clear, 0, 0)
        size = len(attributes)
        self.syscall("mount_setattr", _MOUNT_SETATTR, where, path, flags, attributes, size)


class _Mount:
    """One line of /proc/self/mountinfo."""

    def __init__(self, line: bytes) -> None:
        fields = line.split(b" ")
        major, minor = fields[2].split(b":")
        self.number = int(fields[0])
        self.device = os.makedev(int(major), int(minor))
        # A space, say, is a backslash and three octal digits, and so is a backslash.
        first, *others = fields[4].split(b"\\")
        self.path = first + b"".join(bytes([int(x[:3], 8)]) + x[3:] for x in others)
        self.flags = sum(_FLAGS.get(name, 0) for name in fields[5].split(b","))
        self.kind = fields[fields.index(b"-") + 1]


def _mounts() -> list[_Mount]:
    with open("/proc/self/mountinfo", "rb") as stream:
        return [_Mount(line) for line in stream.read().splitlines()]


def _enter_namespace(kernel: _Kernel, directory: bytes, identity: tuple[int, int]) -> int:
    """A descriptor of the directory inside mounts of our own, of which it alone can be written.

    A descriptor from before leads out of them, so none is used: the directory is opened anew, bound
    to itself, and opened again.
    """
    kernel.unshare(_CLONE_NEWNS)
    kernel.mount(None, b"/", None, _MS_REC | _MS_PRIVATE)
    mounts = _mounts()
    os.fchdir(_open(directory, identity))
    kernel.mount(b".", b".", None, _MS_BIND)
    stage = _open(directory, identity)
    try:
        kernel.set_attributes(_AT_FDCWD, b"/", _AT_RECURSIVE, _MOUNT_ATTR_RDONLY, 0)
        kernel.set_attributes(stage, b"", _AT_EMPTY_PATH, 0, _MOUNT_ATTR_RDONLY)
    except OSError:
        # Linux before 5.12, or whoever filters the calls of this process knows no newer one.
        _remount(kernel, mounts)
    _cover_processes(kernel, mounts)
    if os.fstatvfs(stage).f_flag & os.ST_RDONLY or not os.statvfs("/").f_flag & os.ST_RDONLY:
        raise _Refused("the mounts are not as they were made")
    return stage


def _open(directory: bytes, identity: tuple[int, int]) -> int:
    try:
        descriptor = os.open(directory, _DIRECTORY)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            raise _Replaced from None
        raise
    status = os.fstat(descriptor)
    if (status.st_dev, status.st_ino) != identity:
        raise _Replaced
    return descriptor


def _remount(kernel: _Kernel, mounts: list[_Mount]) -> None:
    """Make each of *mounts* read-only by its path; OSError when one refuses."""
    known = {mount.number for mount in mounts}
    for mount in mounts:
        flags = _MS_REMOUNT | _MS_BIND | _MS_RDONLY | mount.flags
        try:
            kernel.mount(None, mount.path, None, flags)
        except OSError:
            # No path leads to what lies under another mount, and that one is in the list, too.
            there = _mount_number(mount.path)
            if there == mount.number or there not in known | {None}:
                raise


def _mount_number(path: bytes) -> int | None:
    """The number of the mount that *path* leads to; None when it leads nowhere."""
    try:
        descriptor = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        with open(f"/proc/self/fdinfo/{descriptor}", "rb") as stream:
            return int(stream.read().partition(b"mnt_id:")[2].split()[0])
    finally:
        os.close(descriptor)


def _cover_processes(kernel: _Kernel, mounts: list[_Mount]) -> None:
    """Hide each /proc: /proc/1/root and its like lead into namespaces that can be written."""
    flags = _MS_RDONLY | _MS_NOSUID | _MS_NODEV | _MS_NOEXEC
    for mount in mounts:
        if mount.kind != b"proc":
            continue
        try:
            descriptor = os.open(mount.path, _DIRECTORY)
        except (FileNotFoundError, NotADirectoryError):
            continue
        device = os.fstat(descriptor).st_dev
        os.close(descriptor)
        if device == mount.device:
            kernel.mount(b"tmpfs", mount.path, b"tmpfs", flags)


def _restrict(kernel: _Kernel, stage: int) -> None:
    """Let this process and what it becomes change files below *stage* only."""
    abi = kernel.syscall("landlock_create_ruleset", _LANDLOCK_CREATE, None, 0, 1)
    if abi < _LEAST_ABI:
        raise _Refused(f"version {abi} of it forbids hard links between directories")
    changes = _CHANGES | _REFER | (_TRUNCATE if abi >= 3 else 0)
    attributes = struct.pack("=Q", changes)
    rules = kernel.syscall(
        "landlock_create_ruleset", _LANDLOCK_CREATE, attributes, len(attributes), 0
    )
    try:
        allowed = struct.pack("=Qi", changes, stage)
        kernel.syscall("landlock_add_rule", _LANDLOCK_ADD, rules, 1, allowed, 0)
        kernel.no_new_privileges()
        kernel.syscall("landlock_restrict_self", _LANDLOCK_RESTRICT, rules, 0)
    finally:
        os.close(rules)


def _contain(means: list[str], directory: bytes, descriptor: int, identity: tuple[int, int]) -> str:
    """Contain this process to *directory* and enter it; lines of "MEANS:WHY NOT"."""
    lines, stage = [], descriptor
    try:
        kernel = _Kernel()
        if NAMESPACE in means:
            try:
                stage = _enter_namespace(kernel, directory, identity)
                lines.append(f"{NAMESPACE}:")
            except (OSError, ValueError, IndexError, _Refused) as error:
                # What was made read-only on the way stays so and does no harm: the descriptor
                # from before leads to the directory as it was.
                lines.append(f"{NAMESPACE}:{_words(error)}")
        if LANDLOCK in means:
            try:
                _restrict(kernel, stage)
                lines.append(f"{LANDLOCK}:")
            except (OSError, _Refused) as error:
                lines.append(f"{LANDLOCK}:{_words(error)}")
    except (OSError, AttributeError, _Refused) as error:
        lines = [f"{name}:{_words(error)}" for name in means]
    os.fchdir(stage)
    return "".join(line + "\n" for line in lines)


def _write(report: int, text: str) -> None:
    os.ftruncate(report, 0)
    os.pwrite(report, text.encode("utf-8", "replace"), 0)


def _words(error: Exception) -> str:
    text = error.strerror if isinstance(error, OSError) else str(error)
    return (text or type(error).__name__).replace("\n", " ")


def main(arguments: list[str]) -> None:
    """Contain this process and become the program that *arguments* end with."""
    for number in (signal.SIGINT, signal.SIGPIPE, signal.SIGXFSZ):
        # Python has changed these for itself, and what it becomes would inherit that.
        signal.signal(number, signal.SIG_DFL)
    means, numbers, directory, *program = arguments
    descriptor, report, device, inode = map(int, numbers.split(","))
    for inherited in (descriptor, report):
        os.set_inheritable(inherited, False)
    try:
        text = _contain(means.split(","), os.fsencode(directory), descriptor, (device, inode))
    except _Replaced:
        sys.stderr.write(f"{directory}: another directory is in its place now\n")
        sys.exit(REPLACED)
    _write(report, text)
    os.execv(program[0], program)


if __name__ == "__main__":
    main(sys.argv[1:])

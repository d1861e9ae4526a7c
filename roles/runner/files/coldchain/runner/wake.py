# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The datagram socket through which the command tells the runner to look now."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from coldchain.errors import CannotWrite


class Wake:
    """Readable when somebody called; ``store.wake`` is the other side."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self.socket.setblocking(False)
        path.unlink(missing_ok=True)
        # A socket's path may have 107 bytes; through /proc/self/fd a longer one fits too.
        directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            self.socket.bind(f"/proc/self/fd/{directory}/{path.name}")
        except OSError as error:
            self.socket.close()
            raise CannotWrite(f"{path}: {error.strerror}") from None
        finally:
            os.close(directory)
        path.chmod(0o600)

    def drain(self) -> None:
        try:
            while self.socket.recv(64):
                pass
        except BlockingIOError:
            return

    def close(self, *, keep: bool) -> None:
        """keep: the next program of this process binds the name anew."""
        self.socket.close()
        if not keep:
            self._path.unlink(missing_ok=True)

# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The datagram socket through which the command tells the runner to look now."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from coldchain.core.files import cannot_write


class Wake:
    """Readable when somebody called; ``store.wake`` is the other side."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self.socket.setblocking(False)
        try:
            path.unlink(missing_ok=True)
            self._bind()
            path.chmod(0o600)
        except OSError as error:
            self.socket.close()
            raise cannot_write(path, error) from None

    def _bind(self) -> None:
        # A socket's path may have 107 bytes; through /proc/self/fd a longer one fits too.
        directory = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            self.socket.bind(f"/proc/self/fd/{directory}/{self._path.name}")
        finally:
            os.close(directory)

    def drain(self) -> None:
        """Take what has come: however often somebody called, it is answered once."""
        try:
            while self.socket.recv(64):
                pass
        except BlockingIOError:
            return

    def close(self, *, keep: bool) -> None:
        """Close the socket; keep: leave its name, which the next program of this process binds."""
        self.socket.close()
        if not keep:
            self._path.unlink(missing_ok=True)

# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The datagram socket through which the command tells the runner to look now."""

from __future__ import annotations

import socket
from pathlib import Path

from coldchain.core.files import cannot_write, short_path


class Wake:
    """Readable when somebody called; ``store.wake`` is the other side."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self.socket.setblocking(False)
        try:
            path.unlink(missing_ok=True)
            with short_path(path) as name:
                self.socket.bind(name)
            path.chmod(0o600)
        except OSError as error:
            self.socket.close()
            raise cannot_write(path, error) from None

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

# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Talking to systemd: readiness, status, watchdog (sd_notify(3))."""

from __future__ import annotations

import contextlib
import os
import socket


def notify(message: str) -> None:
    """Send *message* to the service manager; without one, nothing happens."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    with (
        contextlib.suppress(OSError),
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender,
    ):
        sender.sendto(message.encode(), address)


def watchdog_period() -> float | None:
    """Seconds between two signs of life, half of what the manager allows; None: none wanted."""
    text = os.environ.get("WATCHDOG_USEC", "")
    return int(text) / 2_000_000 if text.isdigit() and int(text) else None

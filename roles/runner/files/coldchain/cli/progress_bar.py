# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Progress on a terminal: one line on standard error that is drawn again and again.

Nothing is drawn, and tqdm not even imported, where standard error is no terminal.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from coldchain.agent.progress import Progress, Tell
from coldchain.core.text import pluralize

_PLAIN = "{desc} [{elapsed}]"
_COUNTED = "{desc}: {n_fmt} [{elapsed}, {rate_fmt}{postfix}]"


class Bar:
    """A line of progress on the terminal, for a ``with`` block; it leaves nothing behind there."""

    def __init__(self) -> None:
        self.drawn = sys.stderr.isatty()
        self._bar: Any = None
        self._what: tuple[Any, ...] = ()
        self._time: float | None = None

    def __enter__(self) -> Bar:
        return self

    def __exit__(self, *exception: object) -> None:
        self.clear()

    def clear(self) -> None:
        """Take the line away; the next ``show`` draws it again."""
        if self._bar is not None:
            self._bar.close()
            self._bar, self._what = None, ()

    def tell(self, progress: Progress) -> None:
        """What an action in this process hands out."""
        self.show(progress.as_dict())

    def show(self, progress: Mapping[str, Any], title: str = "") -> None:
        """*progress*: the fields of a Progress; *title* stands before its message."""
        if not self.drawn:
            return
        message = " ".join(part for part in (title, str(progress["message"])) if part)
        if progress["estimated"]:
            message += ", about"
        what = (message, progress["total"], bool(progress["bytes"]))
        if what != self._what:
            self.clear()
            self._bar, self._what = _open(progress, message), what
        elif progress["bytes"] and progress["time"] == self._time:
            return  # no news: the rate would sink until the next report
        self._time = progress["time"]
        pbar = self._bar
        if progress["files"]:
            pbar.set_postfix_str(pluralize(progress["files"], "file"), refresh=False)
        pbar.n = progress["bytes"]
        pbar.refresh()


@contextmanager
def telling() -> Iterator[Tell]:
    """A bar as the teller of one action."""
    with Bar() as pbar:
        yield pbar.tell


def _open(progress: Mapping[str, Any], message: str) -> Any:
    import threading

    from tqdm.std import tqdm

    tqdm.monitor_interval = 0  # no thread of its own
    tqdm.set_lock(threading.RLock())  # and no semaphore shared between processes
    total, rate = progress["total"], progress["rate"]
    pbar = tqdm(
        desc=message,
        total=total,
        unit="B",
        unit_scale=True,
        # A serial console says that it has no columns.
        dynamic_ncols=os.get_terminal_size(sys.stderr.fileno()).columns > 0,
        ncols=80,
        nrows=24,
        leave=False,
        file=sys.stderr,
        bar_format=None if total else _COUNTED if progress["bytes"] else _PLAIN,
        delay=1e-9,  # not drawn before its numbers are known
    )
    if rate:
        pbar.start_t -= progress["bytes"] / rate  # it may have begun long before we look
    return pbar

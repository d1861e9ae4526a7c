# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A request to a server that is told something.  For the process that delivers: imports ssl.

A redirect is followed only within the same scheme, host and port: a secret in the URL or a header
is for nobody else.
"""

from __future__ import annotations

import base64
import calendar
import http.client
import re
import socket
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from email.message import Message
from email.utils import parsedate_tz
from typing import Any

from coldchain import __version__
from coldchain.core.text import printable, shorten
from coldchain.observe.notifiers.base import TIMEOUT, Task, Undelivered
from coldchain.observe.notifiers.target import url_problem

_ANSWER = 4096  # bytes of an answer that are read
_REDIRECTS = 3
_AGAIN = (307, 308)  # with the same method and body; all others would lose the message
_LATER = (408, 425, 429)  # refusals that are none


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_arguments: Any) -> None:
        """None: the caller sees the answer itself."""


class _Https(urllib.request.HTTPSHandler):
    """Reads the authorities' certificates, which takes longer than all else, for TLS alone."""

    def __init__(self, task: Task) -> None:
        # Without a context, Python 3.12 reads them here; this one trusts nobody, and is not used.
        super().__init__(context=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
        self._task = task

    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        """The answer to *req*."""
        return self.do_open(http.client.HTTPSConnection, req, context=_context(self._task))


def request(
    task: Task, url: str, body: bytes, headers: Mapping[str, str], method: str = "POST"
) -> str:
    """Send *body* to *url*; "200" and the like.  Raises Undelivered, whose text holds no URL."""
    problem = url_problem(url)
    if problem:
        raise Undelivered(f"url: {problem}", refused=True)
    opener = urllib.request.build_opener(_Https(task), _NoRedirect)
    sent = {"User-Agent": f"coldchain/{__version__}", **authorization(task), **headers}
    for _turn in range(_REDIRECTS + 1):
        try:
            # The scheme was looked at: no file:// leads anywhere.
            wanted = urllib.request.Request(url, body, sent, method=method)
            with opener.open(wanted, timeout=TIMEOUT) as answer:
                answer.read(_ANSWER)
                return str(answer.status)
        except urllib.error.HTTPError as error:
            with error:
                url = _redirected(url, error)
        except urllib.error.URLError as error:
            raise Undelivered(_reason(error.reason)) from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise Undelivered(_reason(error)) from None
    raise Undelivered("redirects without end", refused=True)


def _redirected(url: str, error: urllib.error.HTTPError) -> str:
    """Where the same server wants to have it instead; Undelivered when that is nowhere."""
    if 300 <= error.code < 400:
        location = urllib.parse.urljoin(url, error.headers.get("Location", ""))
        if _origin(location) != _origin(url):
            raise Undelivered(
                f"HTTP {error.code} leads to another server, which is not told: write its URL",
                refused=True,
            )
        if error.code not in _AGAIN:
            raise Undelivered(
                f"HTTP {error.code} leads to another place: write that URL", refused=True
            )
        return location
    try:
        answer = error.read(_ANSWER).decode("utf-8", "replace")
    except (OSError, http.client.HTTPException):
        answer = ""
    text = shorten(printable(" ".join(answer.split())), 200)
    raise Undelivered(
        f"HTTP {error.code}" + (f": {text}" if text else ""),
        refused=400 <= error.code < 500 and error.code not in _LATER,
        after=_retry_after(error.headers),
    )


def _retry_after(headers: Message) -> float:
    """The seconds that the server wants to be left alone (RFC 9110, 10.2.3), 0 when it does not say
    so, or not in a way that can be read."""
    wanted = str(headers.get("Retry-After", "")).strip()
    if re.fullmatch(r"[0-9]{1,10}", wanted):
        return float(wanted)
    until = _http_date(wanted)
    if until is None:
        return 0.0
    # By the clock of the server, which has made both: ours may be wrong.
    now = _http_date(str(headers.get("Date", "")))
    return max(0.0, until - (time.time() if now is None else now))


def _http_date(text: str) -> float | None:
    """POSIX seconds; None of what is no date."""
    found = parsedate_tz(text)
    try:
        # All are of GMT: asctime's, which names no zone, too.
        return None if found is None else float(calendar.timegm(found[:9]) - (found[9] or 0))
    except (ValueError, OverflowError):
        return None


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urllib.parse.urlsplit(url)
    try:
        port = parts.port
    except ValueError:
        port = -1
    return parts.scheme, parts.hostname, port or {"http": 80, "https": 443}.get(parts.scheme)


def _context(task: Task) -> ssl.SSLContext:
    authorities = task.text("ca_cert")
    try:
        return ssl.create_default_context(cafile=authorities or None)
    except (OSError, ssl.SSLError) as error:
        raise Undelivered(f"ca_cert: {authorities}: {_reason(error)}") from None


def _reason(error: object) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message}"
    if isinstance(error, (TimeoutError, socket.timeout)):  # one and the same from Python 3.10 on
        return f"no answer within {TIMEOUT:g} s"
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return printable(str(text))[:200]


def authorization(task: Task) -> dict[str, str]:
    """The header that the credentials make: TOKEN before USERNAME and PASSWORD."""
    secrets = task.credentials
    if secrets.get("TOKEN"):
        return {"Authorization": f"Bearer {secrets['TOKEN']}"}
    if secrets.get("USERNAME"):
        pair = f"{secrets['USERNAME']}:{secrets.get('PASSWORD', '')}".encode()
        return {"Authorization": f"Basic {base64.b64encode(pair).decode('ascii')}"}
    return {}

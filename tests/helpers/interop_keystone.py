# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The least of Keystone that lets freezer-agent start: it wants a token even for a local backup.

With a Swift behind it, it lets in who that lets in: the token is one of Swift's own.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from waiting import joined

SERVICES = {
    "identity": "/v3",
    "compute": "/compute/v2.1",
    "image": "/image",
    "block-storage": "/volume/v3/p",
    "volumev3": "/volume/v3/p",
    "network": "/network",
}
#: Asks Swift for a token: that and the URL of the account.
Login = Callable[[], tuple[str, str]]


class Keystone(ThreadingHTTPServer):
    daemon_threads = True
    login: Login | None = None


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Keystone

    def log_message(self, *_: object) -> None:
        pass

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        now = datetime.now(timezone.utc)
        stamp = "%Y-%m-%dT%H:%M:%S.000000Z"
        domain = {"id": "default", "name": "Default"}
        catalog = [self._service(kind, self._base() + path) for kind, path in SERVICES.items()]
        name = "token"
        if self.server.login is not None:
            name, account = self.server.login()
            catalog.append(self._service("object-store", account))
        token = {
            "methods": ["password"],
            "user": {"id": "u", "name": "u", "domain": domain},
            "project": {"id": "p", "name": "p", "domain": domain},
            "roles": [{"id": "r", "name": "member"}],
            "catalog": catalog,
            "issued_at": now.strftime(stamp),
            "expires_at": (now + timedelta(hours=1)).strftime(stamp),
            "audit_ids": ["a"],
        }
        self._answer(201, {"token": token}, {"X-Subject-Token": name})

    def do_GET(self) -> None:
        if self.path.rstrip("/") == "/v3":
            version = self._version("v3.14", "stable", "/v3/")
            self._answer(200, {"version": {**version, "media-types": []}})
        elif self.path.startswith("/compute"):
            self._answer(200, {"version": self._version("v2.1", "CURRENT", "/compute/v2.1/")})
        elif self.path.startswith("/image"):
            self._answer(200, {"versions": [self._version("v2.9", "CURRENT", "/image/v2/")]})
        elif self.path.startswith("/volume"):
            self._answer(200, {"versions": [self._version("v3.0", "CURRENT", "/volume/v3/")]})
        else:
            self._answer(404, {})

    def _base(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def _service(self, kind: str, url: str) -> dict[str, object]:
        endpoints = [
            {
                "id": f"{kind}-{interface}",
                "interface": interface,
                "region": "one",
                "region_id": "one",
                "url": url,
            }
            for interface in ("public", "internal", "admin")
        ]
        return {"type": kind, "name": kind, "id": kind, "endpoints": endpoints}

    def _version(self, name: str, status: str, path: str) -> dict[str, object]:
        return {
            "id": name,
            "status": status,
            "links": [{"rel": "self", "href": self._base() + path}],
            "updated": "2020-01-01T00:00:00Z",
        }

    def _answer(self, code: int, document: object, headers: dict[str, str] | None = None) -> None:
        body = json.dumps(document).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def keystone(login: Login | None = None) -> Iterator[str]:
    """Serve on a free port of the loopback interface: the OS_AUTH_URL."""
    server = Keystone(("127.0.0.1", 0), Handler)
    server.login = login
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v3"
    finally:
        server.shutdown()
        server.server_close()
        joined(thread)

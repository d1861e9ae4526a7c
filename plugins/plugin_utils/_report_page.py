# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: may change in any release.

"""The report of a fleet as one HTML file, which needs nothing else and asks nobody for anything."""

from __future__ import annotations

import base64
import datetime
import hashlib
import html
import re
import typing as t
from pathlib import Path

PAGE = Path(__file__).parent / "report_page"


def page(document: t.Mapping[str, t.Any], text: str) -> str:
    """The file. document: the report; text: its JSON, of ASCII characters."""
    skeleton, style, script = (
        (PAGE / f"page.{end}").read_text(encoding="utf-8") for end in ("html", "css", "js")
    )
    made = datetime.datetime.fromtimestamp(document["time"], datetime.timezone.utc)
    # No request can leave the page, whatever a host has put into its names; no script or style runs but these two.
    policy = [
        "default-src 'none'",
        f"script-src {_digest(script)}",
        f"style-src {_digest(style)}",
        "img-src data:",
        "base-uri 'none'",
        "form-action 'none'",
    ]
    parts = {
        "POLICY": "; ".join(policy),
        "TITLE": html.escape(f"Backups of the fleet: {document['summary']}"),
        "STYLE": style,
        "VERDICT": "good" if document["protected"] else "bad",
        "SUMMARY": html.escape(document["summary"]),
        "ISO": made.isoformat(),
        "DAYS": str(document["days"]),
        "DATA": inside_script(text),
        "SCRIPT": script,
    }
    return re.sub("@([A-Z]+)@", lambda place: parts[place[1]], skeleton)


def inside_script(text: str) -> str:
    """JSON that cannot end the element it stands in, nor begin another one."""
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _digest(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"

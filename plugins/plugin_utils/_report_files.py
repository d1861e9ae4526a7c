# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: may change in any release.

"""Where a report lies on the controller, and the one before it."""

from __future__ import annotations

import typing as t
from pathlib import Path

from ansible_collections.coldchain.freezer.plugins.plugin_utils._report_before import read


def files_of(path: str, json: str | None) -> tuple[Path, Path]:
    """The HTML file, and the JSON file of the same report.

    json: where it is not to lie beside the other one. Raises ValueError, whose text names the remedy.
    """
    page = Path(path)
    if not page.name:
        raise ValueError(f"path: {page} is no file: write /srv/reports/backups.html, say")
    data = Path(json) if json else page.with_suffix(".json")
    if data == page:
        raise ValueError(f"path: {page} is the JSON file: end it with .html, or set json")
    return page, data


def read_before(data: Path, previous: str | None) -> dict[str, t.Any] | None:
    """The report to compare with; None where there is none.

    data: what is compared with when nothing else is named; previous: what is, "" for nothing. Raises ValueError, whose text
    names the place and the remedy.
    """
    if previous == "":
        return None
    path = data if previous is None else Path(previous).expanduser()
    try:
        return read(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if previous is None:
            return None
        raise ValueError(
            f"previous: {path} is not there: name the JSON file of a report, or '' to compare with none"
        ) from None
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}: the report before cannot be read") from None
    except ValueError as error:  # also what is no UTF-8
        reason = "it is no text" if isinstance(error, UnicodeError) else str(error)
        raise ValueError(
            f"{path} is not the JSON file of a report: {reason}. Name another file as json, or move this one away"
        ) from None

# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: may change in any release.

"""The report before: whether ledgers go on from what they were, and what was last known of hosts that do not answer.

Pure; times are POSIX seconds.
"""

from __future__ import annotations

import json
import typing as t

from ansible_collections.coldchain.freezer.plugins.plugin_utils._answer import clean, mistake

KEPT_DAYS = 90  # that a host which is not asked any more is remembered
MOST_KNOWN = 50  # jobs, and backups, that are remembered of a host

NULL_OR_NUMBER = (int, None)
SHAPE: dict[str, t.Any] = {
    "format": str,
    "version": int,
    "time": int,
    "hosts": {"columns": [str], "rows": [list]},
    "jobs": {"columns": [str], "rows": [list]},
    "series": {"columns": [str], "rows": [list]},
    "not_asked": [
        {"name": str, "entries": NULL_OR_NUMBER, "head": (str, None), "last_known": {"time": int}}
    ],
}


class Ledger(t.NamedTuple):
    """What a report says of a host's ledger.

    entries, head: of the last answer that had one; altered: since when it is another one, and how; finding: about, text and
    remedy of a critical finding; unproved: why it is not known whether it is the one that it was, "" when it is.
    """

    entries: int | None = None
    head: str | None = None
    altered: list[t.Any] | None = None
    finding: dict[str, str] | None = None
    unproved: str = ""

    def followed_by(self, told: t.Any, accepted: bool, now: int, asked: bool = True) -> Ledger:
        """What becomes of what was known when the host has *told* {"head", "entries"}, with "entry" and "renewed" once it was asked.

        told: None where there is no ledger, or it is none any more.
        asked: False for a host that has not answered, or whose release knows no ledger.
        An alteration stays until somebody has *accepted* it, although the ledger looks whole the next time.
        """
        altered = None if accepted else self.altered
        entries, head, unproved = self.entries, self.head, ""
        if told is not None:
            entries, head = max(0, told["entries"]), clean(told["head"], 200)
            if self.entries is not None and not accepted and altered is None:
                how, unproved = self._other(told, entries, head)
                altered = [now, how] if how else None
        elif asked and accepted:
            entries = head = None
        elif asked and self.entries and altered is None:
            altered = [now, f"its ledger had {self.entries} entries and is gone"]
        finding = None
        if altered is not None:
            remedy = "find out who has rewritten the record of this host; coldchain_report_accept takes it as it is now"
            finding = {"about": "ledger", "text": altered[1], "remedy": remedy}
        return Ledger(entries, head, altered, finding, unproved)

    def _other(self, told: t.Any, entries: int, head: str) -> tuple[str, str]:
        """How a ledger is another one than it was, and why that cannot be told; "" each."""
        known, how = self.entries or 0, ""
        if entries < known:
            how = f"its ledger had {known} entries and has {entries} now"
        elif entries == known and head != self.head:
            how = (
                f"its ledger has {entries} entries, as before, but others: the head is another one"
            )
        elif entries > known > 0:
            # What has grown may have been written anew before.
            entry = told.get("entry") or {}
            if entry.get("number") != known:
                text = f"its ledger has grown to {entries} entries, but the host has not told its entry {known}"
                return "", f"{text}: whether it was written anew is not known"
            if entry["digest"] is None:
                how = f"its ledger of {entries} entries has no entry {known} any more, which was the last one before"
            elif entry["digest"] != self.head:
                how = (
                    f"its ledger was written anew: entry {known} is another one than it was before"
                )
        if how and told.get("renewed"):
            # What coldchain ledger renew puts there, if nobody else did.
            how += f" (a new one began on {clean(told['renewed'], 40)}, after the one before was put aside)"
        return how, ""


def read(text: str) -> dict[str, t.Any]:
    """A report's JSON.  Raises ValueError, whose text says what is wrong with it."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError("it is no JSON") from None
    if not isinstance(document, dict) or document.get("format") != "coldchain-report":
        raise ValueError("it is no report of coldchain.freezer")
    if document.get("version") != 1:
        raise ValueError(f"it has version {document.get('version')!r}, and this collection reads 1")
    found = mistake(document, SHAPE)
    if found:
        raise ValueError(f"it is damaged: {found}")
    return document


class Previous:
    """What a report knew. document: as read returns it, or {}."""

    def __init__(self, document: t.Mapping[str, t.Any]) -> None:
        self._document = document
        self._rows: dict[str, dict[str, t.Any]] = {}
        self._indexes: dict[str, int] = {}
        self._tables: dict[str, dict[int, list[list[t.Any]]]] = {}
        if not document:
            return
        for index, row in enumerate(_dictionaries(document["hosts"])):
            self._rows[str(row.get("name"))] = row
            self._indexes[str(row.get("name"))] = index
        for entry in document["not_asked"]:
            self._rows.setdefault(entry["name"], entry)

    def ledger(self, name: str) -> Ledger:
        """What was known of a host's ledger."""
        row = self._rows.get(name, {})
        entries, head, altered = row.get("entries"), row.get("head"), row.get("altered")
        if not isinstance(entries, int) or not isinstance(head, str):
            entries = head = None
        if not (isinstance(altered, list) and [type(item) for item in altered] == [int, str]):
            altered = None
        return Ledger(entries, head, altered)

    def entries(self) -> dict[str, int]:
        """The number of the last entry of each host's ledger, which the host is to be asked for."""
        known = {name: self.ledger(name).entries for name in self._rows}
        return {name: number for name, number in known.items() if number}

    def last_known(self, name: str) -> dict[str, t.Any] | None:
        """How a host was when it last answered; None when that is not known."""
        row = self._rows.get(name)
        if row is None:
            return None
        known = row.get("last_known")
        if isinstance(known, dict) and isinstance(known.get("time"), int):
            return t.cast("dict[str, t.Any]", known)
        if not isinstance(row.get("time"), int) or name not in self._indexes:
            return None
        index = self._indexes[name]

        def those(table: str, *names: str) -> list[list[t.Any]]:
            return self._of_hosts(table, names).get(index, [])[:MOST_KNOWN]

        return {
            "time": row["time"],
            "state": row.get("state"),
            "problems": row.get("problems"),
            "jobs": those("jobs", "job_id", "state", "last_success"),
            "series": those("series", "backup_name", "restorable", "newest", "verified"),
        }

    def _of_hosts(self, table: str, names: t.Sequence[str]) -> dict[int, list[list[t.Any]]]:
        if table not in self._tables:
            made = self._tables[table] = {}
            for row in _dictionaries(self._document[table]):
                host = row.get("host")
                if isinstance(host, int):
                    made.setdefault(host, []).append([row.get(name) for name in names])
        return self._tables[table]

    def not_asked(self, asked: t.Container[str], now: int) -> list[dict[str, t.Any]]:
        """The hosts that the report before knew and this one did not ask, as long as they are remembered."""
        made = []
        for name in sorted(self._rows):
            known = None if name in asked else self.last_known(name)
            if known is None or now - known["time"] > KEPT_DAYS * 86400:
                continue
            kept = {
                key: value
                for key, value in self.ledger(name)._asdict().items()
                if key in ("entries", "head", "altered")
            }
            made.append({"name": name, **kept, "last_known": known})
        return made


def _dictionaries(table: t.Mapping[str, t.Any]) -> t.Iterator[dict[str, t.Any]]:
    for row in table["rows"]:
        if isinstance(row, list):
            yield dict(zip(table["columns"], row))

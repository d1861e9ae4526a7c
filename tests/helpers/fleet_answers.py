# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a fleet that does not exist has answered: the same one for the same numbers."""

from __future__ import annotations

import json
import random
from datetime import datetime, timezone
from typing import Any

DAY = 86400
NOW = int(datetime(2026, 10, 23, 6, 30, tzinfo=timezone.utc).timestamp())
"""Two nights before the clocks of Europe go back."""
KINDS = ("web", "db", "mail", "build", "files")
JOBS = ("etc", "home", "data", "logs", "database", "media", "images", "archive")
COLUMNS = ["started", "seconds", "result", "bytes", "session_tag", "session_id"]
# Drawn once: a large fleet has half a million runs.
NOISE = [random.Random(number).random() for number in range(4999)]
REASON = "its last run failed 3 h 2 min ago: path_to_backup /srv/www does not exist"


def iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).isoformat()


def host_name(number: int) -> str:
    return f"{KINDS[number % len(KINDS)]}{number // len(KINDS) + 1:03}.example.net"


def status(number: int, jobs: int, days: int, now: int = NOW) -> dict[str, Any]:
    """The answer of ``coldchain status --days`` of one host; every tenth has a job that fails."""
    chance = random.Random(number)
    bad = number % 10 == 3
    stale = number % 25 == 11
    answer: dict[str, Any] = {
        "host": host_name(number).partition(".")[0],
        "time": iso(now - number % 60),
        "protected": not bad and not stale,
        "runner": {"alive": True, "version": "0.1.0", "since": iso(now - 30 * DAY)},
        "jobs": [],
        "series": [],
        "uncovered": [],
        "findings": [],
        "ledger": {"head": f"{number:064x}", "entries": days * jobs + number},
        "runs": [],
        "coming": {"days": 7, "jobs": [], "clock_changes": [], "collisions": []},
    }
    for place, job in enumerate(JOBS[:jobs]):
        hour = (1 + place) * 3600 + (number * 37) % 1800
        size, length = chance.randrange(10**5, 10**9), chance.randrange(20, 900)
        session = "nightly" if job == "database" else None
        rows: list[list[Any]] = []
        begin = (number * 10 + place) * 97
        for back in range(days, 0, -1):
            slot = (now // DAY - back + 1) * DAY + hour
            noise = NOISE[(begin + back) % len(NOISE)]
            fails = noise < 0.005 or (bad and place == 0 and back <= 2)
            if slot >= now or (stale and place == 1 and back <= 3):
                continue
            size = int(size * (0.98 + noise * 0.06))
            took = int(length * (0.8 + noise * 0.5))
            result = "fail" if fails else "success"
            tag = now // DAY * DAY - back * DAY if session else None
            began = slot + int(noise * 3)
            rows.append([began, took, result, None if fails else size, tag, session])
        good = [row for row in rows if row[2] == "success"]
        state = "ok" if rows[-1][2] == "success" else "failed"
        state = "stale" if stale and place == 1 else state
        reasons = {"ok": [], "failed": [REASON], "stale": ["its last success is 4 d old"]}[state]
        slots = [(now // DAY + ahead) * DAY + hour for ahead in range(8)]
        slots = [slot for slot in slots if now <= slot < now + 7 * DAY]
        answer["runs"].append({"job_id": job, "columns": COLUMNS, "rows": rows})
        answer["jobs"].append(
            {
                "job_id": job,
                "state": state,
                "reasons": reasons,
                "stopped_by": None,
                "result": rows[-1][2],
                "last_success": iso(good[-1][0] + good[-1][1]) if good else None,
                "age_seconds": now - good[-1][0] if good else None,
                "expect_success_within": 90000,
                "next_run": iso(slots[0]),
                "last_run": None,
            }
        )
        remote = job == "database"
        answer["series"].append(
            {
                "job_id": job,
                "storage": "s3" if remote else "local",
                "container": "backups-eu" if remote else f"/var/backups/coldchain/{job}",
                "backup_name": job,
                "hostname": answer["host"],
                "points": len(good),
                "restorable": len(good),
                "newest": iso(good[-1][0]) if good else None,
                "oldest": iso(good[0][0]) if good else None,
                "verified": iso(now - chance.randrange(1, 40) * DAY) if number % 4 else None,
                "bytes": sum(row[3] for row in good),
                "error": None,
            }
        )
        answer["coming"]["jobs"].append(
            {
                "job_id": job,
                "schedule": f"{hour // 3600:02}:{hour % 3600 // 60:02} every day (Europe/Berlin)",
                "zone": "Europe/Berlin",
                "seconds": length,
                "often": False,
                "columns": ["at", "slot"],
                "rows": [[slot, slot] for slot in slots],
            }
        )
        if state != "ok":
            text = f"{state}: {reasons[0]}"
            remedy = f"coldchain log {job} tells more"
            answer["findings"].append(
                {"severity": "critical", "about": f"job {job}", "text": text, "remedy": remedy}
            )
    if number % 4 == 0:
        text = "it was never verified on this host"
        answer["findings"].append(
            {"severity": "info", "about": "backup etc", "text": text, "remedy": "coldchain verify"}
        )
    if number % 3 == 0:
        answer["uncovered"].append(
            {"kind": "path", "what": "/srv", "why": "no job backs it up (3 entries)"}
        )
    change = iso(datetime(2026, 10, 25, 1, tzinfo=timezone.utc).timestamp())
    if now < NOW + 2 * DAY:
        answer["coming"]["clock_changes"].append(
            {"zone": "Europe/Berlin", "at": change, "seconds": -3600, "runs": jobs}
        )
    if number % 10 == 1:
        answer["coming"]["collisions"].append(
            {"kind": "lock_wait", "job_id": "home", "at": iso(now // DAY * DAY + DAY + 7200)}
        )
    return answer


def answers(hosts: int, jobs: int, days: int, now: int = NOW) -> dict[str, dict[str, Any]]:
    """The registered results of status_info of so many hosts; the last two did not answer."""
    made: dict[str, dict[str, Any]] = {
        host_name(number): {"text": json.dumps(status(number, jobs, days, now))}
        for number in range(hosts)
    }
    if hosts > 3:
        away, bare = host_name(hosts - 2), host_name(hosts - 1)
        made[away] = {
            "unreachable": True,
            "msg": "Failed to connect to the host via ssh: timed out",
        }
        made[bare] = {"msg": "The coldchain runner is not installed on this host"}
    return made

# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host whose /etc/localtime is a plain file, and becomes another one under a real runner."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from homes import Home, document, needs_root

ZONES = Path("/usr/share/zoneinfo")

pytestmark = [
    needs_root,
    pytest.mark.skipif(
        not (ZONES / "Asia/Tokyo").is_file(), reason="this machine has no time zones (tzdata)"
    ),
]
IN_ITS_PLACE = 'mount --bind "$0" /etc/localtime && exec "$@"'


def test_a_changed_zone_is_followed_without_a_restart_by_hand(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    zone_file = tmp_path / "localtime"
    shutil.copyfile(ZONES / "Asia/Tokyo", zone_file)
    home.run("apply", "-", given=document("j", schedule={"schedule_hour": "3"}))
    home.start(*("env", "-u", "TZ", "unshare", "--mount", "sh", "-c", IN_ITS_PLACE, str(zone_file)))

    def slot() -> str:
        text: str = home.run("next", "j", "--after", "2026-11-01T00:00:00Z")[1]["next_runs"][0]
        return text

    assert home.until(lambda: home.job("j")["next_run"])[11:] == "18:00:00+00:00"
    assert slot() == "2026-11-01T18:00:00+00:00"
    zone_file.write_bytes((ZONES / "America/New_York").read_bytes())
    home.until(lambda: "time zone was" in home.log())
    home.until(lambda: home.job("j")["next_run"][11:] in ("07:00:00+00:00", "08:00:00+00:00"))
    assert slot() == "2026-11-01T08:00:00+00:00"

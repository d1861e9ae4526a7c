# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an action tells of its way, and what it does where a field is left out."""

from __future__ import annotations

import json
import time
from datetime import timezone
from pathlib import Path
from typing import Any

import pytest

from coldchain.agent.fields import Fields
from coldchain.agent.options import (
    Common,
    LevelRules,
    Removal,
    backup_options,
    common,
    restore_options,
)
from coldchain.agent.progress import Meter, Progress, into_file, into_log, line
from coldchain.agent.receipts import Receipt, damage_found
from coldchain.agent.storages.kinds import container_of
from coldchain.agent.storages.location import Location
from coldchain.core.errors import DataError

UTC = timezone.utc


@pytest.mark.parametrize(
    ("total", "done", "rate", "estimated", "left"),
    [
        (0, 5, 10.0, False, None),
        (100, 50, 0.0, False, None),
        (100, 50, 10.0, False, 5.0),
        (100, 0, 0.5, False, 200.0),
        (1, 0, 1.0, False, 1.0),
        (100, 100, 10.0, False, 0.0),
        (100, 150, 10.0, False, 0.0),
        (100, 50, 10.0, True, 5.0),
        (100, 100, 10.0, True, 0.0),
        (100, 101, 10.0, True, None),  # the guess was wrong
    ],
)
def test_how_long_it_takes_yet(
    total: int, done: int, rate: float, estimated: bool, left: float | None
) -> None:
    moment = Progress("writing", 2, done, total, rate, 1.23456, estimated)
    assert moment.remaining == left
    assert moment.as_dict() == {
        "message": "writing",
        "files": 2,
        "bytes": done,
        "total": total or None,
        "estimated": bool(total) and estimated,
        "rate": rate,
        "eta_seconds": left,
        "time": 1.235,
    }


def test_seconds_left_are_told_in_tenths(tmp_path: Path) -> None:
    moment = Progress("writing", 0, 0, 1, 3.0, 0.0)
    into_file(tmp_path / "p")(moment)
    told = json.loads((tmp_path / "p").read_text())
    assert (told["eta_seconds"], told["estimated"]) == (0.3, False)
    assert Progress("w", 0, 0, 0, 0.0, 0.0).estimated is False


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({}, "m"),
        ({"files": 1}, "m: 1 file"),
        ({"files": 2, "bytes": 0}, "m: 2 files"),
        ({"bytes": 1500, "rate": 300_000.0}, "m: 1.5 kB, 300.0 kB/s"),
        ({"bytes": 1500, "rate": 5, "total": 3000}, "m: 1.5 kB of 3.0 kB, 5 B/s"),
        (
            {"files": 3, "bytes": 1, "rate": 1, "total": 9000, "estimated": True},
            "m: 3 files, 1 B of about 9.0 kB, 1 B/s",
        ),
        ({"total": 9000, "eta_seconds": 0}, "m: 0.0 s left"),
        ({"files": 1, "eta_seconds": 61}, "m: 1 file, 1 min 1 s left"),
        ({"message": "", "files": 1}, "1 file"),
        ({"message": ""}, ""),
    ],
)
def test_progress_in_a_line(fields: dict[str, Any], text: str) -> None:
    assert line({"message": "m", **fields}) == text


def test_a_meter_tells_at_its_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(time, "time", lambda: clock[0] + 0.5)
    told: list[Progress] = []
    meter = Meter(told.append)
    assert (meter.files, meter.bytes) == (0, 0)
    clock[0] += 0.75
    meter.tick()
    assert told == [], "before the first phase"
    meter.begin("reading", 100, estimated=True)
    assert told.pop() == Progress("reading", 0, 0, 100, 0.0, 1001.25, True)
    meter.files, meter.bytes = 2, 33
    for passed, tells in ((0.875, False), (0.125, True), (0.875, False), (0.125, True)):
        clock[0] += passed
        meter.tick()
        assert bool(told) == tells
        if told:
            moment = told.pop()
            assert (moment.files, moment.bytes) == (2, 33)
            assert moment.rate == round(33 / (clock[0] - 1000.75), 1)
    meter.begin("writing")
    assert told.pop() == Progress("writing", 0, 0, 0, 0.0, clock[0] + 0.5)
    assert (meter.files, meter.bytes) == (0, 0)
    clock[0] += 3
    meter.bytes = 10
    meter.tick()
    assert told.pop().rate == 3.3


def test_a_log_gets_its_lines_at_their_time() -> None:
    """After five seconds, and from five minutes on after a sixtieth of what has passed."""
    now, lines = [100.0], []
    tell = into_log(lines.append, lambda: now[0])
    for at, number in (
        *((104.875, 0), (105.0, 1), (109.875, 1), (110.0, 2)),
        *((700.0, 3), (709.875, 3), (710.25, 4), (720.5, 4), (720.75, 5)),
    ):
        now[0] = at
        tell(Progress("m", 0, 0, 0, 0.0, 0.0))
        assert len(lines) == number, at
    assert set(lines) == {"progress: m"}


def shared(tmp_path: Path, **fields: Any) -> Common:
    return common(Fields({"container": "c", **fields}), tmp_path, "host1", UTC)


def test_what_holds_where_a_field_is_left_out(tmp_path: Path) -> None:
    own = shared(tmp_path)
    assert own == Common(
        location=Location.local(tmp_path / "c"),
        mode="fs",
        hostname="host1",
        backup_name="freezer_{mode}_{resource_id}",
        dry_run=False,
        max_priority=False,
        log_file=None,
        force=False,
        removal=None,
        upload_limit=None,
        download_limit=None,
    )
    backup = backup_options(Fields({"path_to_backup": "/srv"}), own)
    assert backup.rules == LevelRules(False, 0, 0, 0)
    assert (backup.compression, backup.exclude, backup.dereference) == ("gzip", (), None)
    assert (backup.encryption, backup.content, backup.sync) == (None, None, True)
    assert (backup.fail_on_read_error, backup.consistency_check) == (False, False)
    restore = restore_options(Fields({"restore_abs_path": "/srv"}), own, UTC)
    assert (restore.until, restore.paths, restore.checksum) == (None, (), None)
    assert (restore.overwrite, restore.trust_target, restore.numeric_owner) == (False,) * 3
    assert restore.encryption is None and restore.directory == Path("/srv")


def test_what_each_field_says(tmp_path: Path) -> None:
    switches = dict.fromkeys(("dry_run", "max_priority", "force"), True)
    own = shared(
        tmp_path, **switches, hostname="h", backup_name="b", log_file="/l", upload_limit="2K",
        download_limit="1M",
    )  # fmt: skip
    assert own[2:] == ("h", "b", True, True, Path("/l"), True, None, 2048, 1 << 20)
    rules = {"max_level": 3, "always_level": 2, "restart_always_level": 1.5, "incremental": True}
    fields = {
        "path_to_backup": "/srv", **rules, "compression": "xz", "exclude": ["a", "b"],
        "dereference_symlink": "soft", "encrypt_pass_file": "/p", "on_read_error": "fail",
        "consistency_check": True, "sync": False,
    }  # fmt: skip
    backup = backup_options(Fields(fields), own)
    assert backup.rules == LevelRules(True, 3, 2, 1.5)
    assert (backup.compression, backup.exclude, backup.dereference) == ("xz", ("a", "b"), "soft")
    assert backup.encryption is not None
    assert (str(backup.encryption.pass_file), *backup.encryption[1:]) == ("/p", None, False)
    assert (backup.fail_on_read_error, backup.consistency_check, backup.sync) == (True, True, False)
    assert not backup_options(Fields({**fields, "on_read_error": "warn"}), own).fail_on_read_error
    fields = {
        "restore_abs_path": "/t", "restore_from_date": "2026-11-18T11:06:40.9Z",
        "restore_paths": ["x"], "overwrite": True, "trust_target": True, "numeric_owner": True,
        "encrypt_pass_file": "/p", "encrypt_scheme": "freezer", "accept_unsealed": True,
        "consistency_checksum": "s",
    }  # fmt: skip
    restore = restore_options(Fields(fields), own, UTC)
    assert (restore.until, restore.paths, restore.checksum) == (1_795_000_000, ("x",), "s")
    assert (restore.overwrite, restore.trust_target, restore.numeric_owner) == (True,) * 3
    assert restore.encryption is not None
    assert (str(restore.encryption.pass_file), *restore.encryption[1:]) == ("/p", "freezer", True)
    assert (restore.encryption.wanted, backup.encryption.wanted) == ("freezer", "strong")


@pytest.mark.parametrize(
    ("fields", "removal", "cutoff"),
    [
        ({"remove_older_than": 0}, Removal(0), 1_795_000_000),
        ({"remove_older_than": 1.5}, Removal(1.5), 1_795_000_000 - 129_600),
        ({"remove_before_date": "1970-01-01T00:00:05Z"}, Removal(None, 5), 5),
        ({"remove_before_date": "1970-01-01"}, Removal(None, 0), 0),
        ({"remove_ahead": True}, Removal(None, None, True), -1),
        ({"remove_ahead": True, "remove_older_than": 1}, Removal(1, None, True), 1_794_913_600),
    ],
)
def test_what_is_to_be_removed(
    tmp_path: Path, fields: dict[str, Any], removal: Removal, cutoff: int
) -> None:
    asked = shared(tmp_path, **fields).removal
    assert asked == removal and asked is not None
    assert asked.cutoff(1_795_000_000.9) == cutoff


@pytest.mark.parametrize("name", ["remove_ahead", "remove_older_than", "remove_before_date"])
def test_nothing_is_removed_where_nobody_says_so(tmp_path: Path, name: str) -> None:
    assert shared(tmp_path, **{name: None}).removal is None
    assert shared(tmp_path, remove_ahead=False).removal is None


def test_what_only_a_full_look_can_have_found() -> None:
    lost, seen = Receipt(1, "full", "damaged"), Receipt(2, "quick", "damaged")
    well = Receipt(3, "full", "sound")
    assert damage_found([None, well, seen]) is None and damage_found([]) is None
    assert damage_found([None, well, seen, lost]) == lost
    first = Receipt(0, "full", "damaged")
    assert damage_found([first, lost]) == first


@pytest.mark.parametrize(
    ("storage", "container", "form"),
    [
        ("ssh", "/", "/"),
        ("ssh", "/a//./b/", "/a/b"),
        ("ftps", "a/b/", "a/b"),
        ("s3", "/b/p", "b/p"),
        ("swift", "c", "c"),
        ("rclone", "r:", "r:"),
        ("rclone", "r:/a/", "r:/a"),
        ("rclone", "my r+1@x.y:a", "my r+1@x.y:a"),
        ("s3", "/", None),
        ("swift", ".", None),
        ("ssh", "", None),
        ("ssh", "a/../b", None),
        ("ftp", "a\0", None),
        ("rclone", "a/b", None),
        ("rclone", ":s3:b", None),
        ("rclone", "r:a/..", None),
    ],
)
def test_the_normal_form_of_a_container(storage: str, container: str, form: str | None) -> None:
    if form is None:
        with pytest.raises(DataError, match=r"^container: ") as refused:
            container_of(storage, container)
        assert refused.value.hint
    else:
        assert container_of(storage, container) == form

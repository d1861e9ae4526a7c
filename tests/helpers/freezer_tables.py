# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documents as Freezer's own programs make them: its agent's options, its API's rows, its forms."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

_FILE = Path(__file__).parents[1] / "fixtures" / "freezer" / "options.json"
TABLE: dict[str, Any] = json.loads(_FILE.read_text(encoding="utf-8"))
#: Every option that freezer-agent registers -> its default.
OPTIONS: dict[str, Any] = {
    **{name: row["default"] for name, row in TABLE["options"].items()},
    **TABLE["parameters"],
}

PROJECT, USER = "752d8bd43d654e7a840bbfda77ce41af", "0cd44caf6db5486b94a04b33256a5ff4"
#: What freezer-api keeps in columns of its own, and puts into every action that it hands out.
_COLUMNS = ("backup_name", "action", "mode", "container", "timeout", "priority")
_COLUMNS += ("path_to_backup", "log_file")


def api_action(options: dict[str, Any], number: int = 0) -> dict[str, Any]:
    """An action as freezer-api hands it out (convert_action_to_dict)."""
    columns = {name: options.get(name) for name in _COLUMNS}
    return {
        "project_id": PROJECT,
        "action_id": f"280d51d041ce4d4da8a386e96263f75{number}",
        "user_id": USER,
        "max_retries": 5,
        "max_retries_interval": 6,
        "freezer_action": {**options, **columns},
    }


def api_job(actions: list[dict[str, Any]], schedule: dict[str, Any], host: str) -> dict[str, Any]:
    """A job as freezer-api hands it out (get_job), and as the scheduler caches it."""
    facts = {
        "status": "scheduled",
        "event": "",
        "result": "success",
        "time_created": 1493051865,
        "time_started": 1493055141,
        "time_ended": -1,
        "current_pid": 16793,
    }
    return {
        "job_id": "0ae284d514eb47dd84154748b5056749",
        "project_id": PROJECT,
        "user_id": USER,
        "job_schedule": {**facts, **schedule},
        "client_id": f"{PROJECT}_{host}",
        "session_id": "",
        "session_tag": 0,
        "description": "Test-0001",
        "job_actions": [api_action(options, n) for n, options in enumerate(actions)],
        "user_credentials": {"trust_id": "t", "trustor_user_id": "u"},
        "_version": 83,
    }


#: The fields of Horizon's form for an action, with what they hold when nobody has touched them.
_FORM = {
    "backup_name": "",
    "action": "backup",
    "mode": "fs",
    "storage": "local",
    "engine_name": "tar",
    "mysql_conf": "",
    "sql_server_conf": "",
    "path_to_backup": "",
    "container": "",
    "restore_abs_path": "",
    "restore_from_host": "",
    "restore_from_date": None,
    "cinder_vol_id": "",
    "cindernative_vol_id": "",
    "fullbackup_rotation": None,
    "glance_image_id": "",
    "nova_inst_id": "",
    "snapshot": False,
    "log_file": "",
    "exclude": "",
    "proxy": "",
    "os_identity_api_version": "3",
    "upload_limit": None,
    "download_limit": None,
    "compression": "gzip",
    "max_segment_size": None,
    "hostname": "",
    "encryption_password": "",
    "no_incremental": True,
    "max_level": 0,
    "always_level": None,
    "restart_always_level": None,
    "insecure": False,
    "dereference_symlink": False,
    "dry_run": False,
    "max_priority": False,
    "quiet": False,
    "remove_older_than": None,
}
#: Fields that the form puts beside freezer_action.
_RULES = {"max_retries": 0, "max_retries_interval": 0, "mandatory": False}


def horizon_actions() -> Iterator[dict[str, Any]]:
    """Actions as Horizon's form sends them, as they come and without what is empty."""
    backup = {"backup_name": "etc", "path_to_backup": "/etc", "container": "c"}
    restore = {"action": "restore", "backup_name": "etc", "restore_abs_path": "/srv/restored"}
    restore["container"] = "c"
    kinds = (backup, restore, {**backup, "no_incremental": False, "max_level": 3})
    for kind, links, limit, bare in product(kinds, (False, True), (None, -1), (False, True)):
        form = {**_FORM, **kind, "dereference_symlink": links, "upload_limit": limit}
        if bare:
            form = {name: value for name, value in form.items() if value not in (None, "")}
        yield {"freezer_action": copy.deepcopy(form), **_RULES}

# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Module fleet_report, all of which happens on the controller."""

from __future__ import annotations

import json
import os
import tempfile
import time
import typing as t
from contextlib import suppress
from pathlib import Path

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.coldchain.freezer.plugins.plugin_utils._report import build
from ansible_collections.coldchain.freezer.plugins.plugin_utils._report_files import (
    files_of,
    read_before,
)
from ansible_collections.coldchain.freezer.plugins.plugin_utils._report_page import page

MOST_DAYS = 3660
SPEC = {
    "path": {"type": "path", "required": True},
    "json": {"type": "path"},
    "previous": {"type": "str"},
    "answers": {"type": "dict", "required": True},
    "days": {"type": "int", "default": 30},
    "accept": {"type": "list", "elements": "str", "default": []},
}


class ActionModule(ActionBase):
    """See modules/fleet_report.py."""

    _supports_check_mode = True
    _supports_diff = False
    _requires_connection = False

    def run(
        self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None
    ) -> dict[str, t.Any]:
        """Write both files, the JSON last: without it the next report compares with the one before."""
        result = super().run(tmp, task_vars)
        _validated, options = self.validate_argument_spec(argument_spec=SPEC)
        days = options["days"]
        if not 1 <= days <= MOST_DAYS:
            raise AnsibleActionFail(f"days: {days} is out of range: write 1 to {MOST_DAYS}")
        try:
            place, data = files_of(options["path"], options["json"])
            previous = read_before(data, options["previous"])
        except ValueError as error:
            raise AnsibleActionFail(str(error)) from None
        made = build(options["answers"], int(time.time()), days, previous, options["accept"])
        text = json.dumps(made.document, separators=(",", ":"))
        if not self._task.check_mode:
            _write(place, page(made.document, text))
            _write(data, f"{text}\n")
        result.update(
            changed=True,
            msg=made.summary,
            path=str(place),
            json=str(data),
            protected=made.protected,
            altered=made.altered,
        )
        return result


def _write(path: Path, text: str) -> None:
    """Replace a file as a whole, for its owner alone."""
    place = ""
    try:
        handle, place = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:100]}-")
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(place, path)
    except OSError as error:
        if place:
            with suppress(OSError):
                os.unlink(place)
        raise AnsibleActionFail(
            f"{path} cannot be written: {error.strerror}: name a directory that is there and is yours, with room in it"
        ) from None

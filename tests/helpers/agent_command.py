# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The agent as the runner starts it: one canonical action in a file, a command line, a process."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from checked_actions import checked_action

import coldchain

ENVIRONMENT = {**os.environ, "PYTHONPATH": os.fspath(Path(coldchain.__file__).parents[1])}


def agent_words(home: Path, action: Mapping[str, object]) -> list[str]:
    """The words after ``coldchain`` that perform *action*.

    Its file is action.json in *home*, which holds the installation too, and its report is written
    to result.json there.
    """
    config = home / "action.json"
    config.write_text(json.dumps({"freezer_action": checked_action(action)}))
    options = ["--canonical", "--config", str(config), "--result", str(home / "result.json")]
    return ["--home", str(home), "agent", *options]


def agent_argv(home: Path, action: Mapping[str, object]) -> list[str]:
    """``agent_words`` as the arguments of a process with ENVIRONMENT."""
    return [sys.executable, "-m", "coldchain", *agent_words(home, action)]

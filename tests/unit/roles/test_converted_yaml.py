# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What ``coldchain convert --yaml`` prints is read by a YAML library as what was converted."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import ClassVar

import yaml

PACKAGE = Path(__file__).parents[3] / "roles" / "runner" / "files"
ODD = ["yes", "0x1f", "a: b", "- x", "# no", "1e3", " lead", "tab\t", "\u00fc", "null", "{{ x }}",
       "2026-01-01", "plain words", "@at", "multi\nline", "~", "trail ", "y", "1_000", "a #b",
       "12:30:45",
       "\x7f\x85\u2028\U0001f600", "'", '"', "\\\\", "|", "&a", "*a", "!a", "%a"]  # fmt: skip


class Ansible(yaml.SafeLoader):
    """Reads the tag that keeps Ansible from templating a text."""

    unsafe: ClassVar[list[str]] = []

    def keep(self, node: yaml.ScalarNode) -> str:
        self.unsafe.append(node.value)
        return node.value


Ansible.add_constructor("!unsafe", Ansible.keep)


def test_yaml_is_what_group_vars_take(tmp_path: Path) -> None:
    action = {"action": "exec", "command": ODD, "environment": {"ON": "off", "no": "x"}}
    job = {"job_id": "j", "description": "no", "job_actions": [{"freezer_action": action}]}
    source = tmp_path / "j.json"
    source.write_text(json.dumps(job))

    def convert(*options: str) -> str:
        words = [sys.executable, "-m", "coldchain", "--home", str(tmp_path / "home"), *options]
        return subprocess.run(
            [*words, "convert", str(source), *(["--yaml"] if not options else [])],
            env={**os.environ, "PYTHONPATH": str(PACKAGE)},
            check=True,
            capture_output=True,
            text=True,
        ).stdout

    documents = json.loads(convert("--json"))["documents"]
    assert yaml.load(convert(), Ansible) == {"freezer_jobs": documents}
    assert Ansible.unsafe == ["{{ x }}"], "no template for Ansible, whatever it looks like"

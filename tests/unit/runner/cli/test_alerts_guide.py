# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands of docs/guide/alerts.md do what the text around them says."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

from receivers import certificate, receiver
from smtp_server import smtp_server

import coldchain

PACKAGE = Path(coldchain.__file__).parents[1]
GUIDE = Path(__file__).parents[4] / "docs" / "guide" / "alerts.md"


def test_the_commands_of_the_guide_work(tmp_path: Path) -> None:
    programs, home = tmp_path / "bin", tmp_path / "home"
    programs.mkdir()
    home.mkdir(mode=0o700)
    for name, line in (
        ("coldchain", f'exec {sys.executable} -m coldchain "$@"'),
        ("apprise", f'{{ printf "%s|" "$@"; cat; }} > {tmp_path}/chat'),
    ):
        (programs / name).write_text(f"#!/bin/sh\n{line}\n")
        (programs / name).chmod(0o755)
    own, context = certificate(tmp_path)
    blocks = re.findall(r"```bash\n(.*?)```", GUIDE.read_text("utf-8"), re.DOTALL)
    assert len(blocks) == 4
    said = []
    with receiver() as server, smtp_server(context) as (box, port):
        shell = {
            **os.environ,
            "PATH": f"{programs}:{os.environ['PATH']}",
            "PYTHONPATH": f"{PACKAGE}",
            "COLDCHAIN_HOME": str(home),
            "PING_URL": f"{server.url}/5ec-s3cret",
            "SMTP_PASSWORD": "s3cret",
            "SMTP_HOST": "127.0.0.1",
            "SMTP_PORT": str(port),
            "SMTP_CA": str(own),
            "CHAT_URL": "slack://s3cret",
        }
        for block in blocks:
            done = subprocess.run(
                ["bash", "-euo", "pipefail", "-c", block],
                env=shell,
                cwd=tmp_path,
                capture_output=True,
                text=True,
            )
            assert done.returncode == 0, done.stdout + done.stderr
            said.append(done.stdout)
        assert [request.path for request in server.requests] == ["/5ec-s3cret/log"]
    assert [recipients for recipients, _raw in box.mails] == [["ops@example.org"]]
    words = (tmp_path / "chat").read_text().split("|")
    assert words[0] == "-t" and words[2] == "slack://s3cret" and "nothing has happened" in words[3]
    assert "healthchecks healthchecks" in said[3] and "mail ops@example.org" in said[3]
    assert "s3cret" not in "".join(said)
    jobs = json.loads(
        subprocess.run(
            [sys.executable, "-m", "coldchain", "--json", "list"],
            env=shell,
            check=True,
            stdout=subprocess.PIPE,
        ).stdout
    )
    assert sorted(job["job_id"] for job in jobs["jobs"]) == ["db", "etc", "www"]

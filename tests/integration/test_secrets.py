# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Nothing that Ansible prints or returns, at any verbosity, holds a secret of a document."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import pytest
from playbooks import COLLECTIONS, ROOT, Play

SECRET = "hunter2"
LAUNCHER = """#!{python} -I
import sys
sys.path.insert(0, {runner!r})
from coldchain.cli import main
main(default_home={home!r})
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A single-directory installation of the checkout's own runner."""
    place = tmp_path / "home"
    for name in ("bin", "etc", "lib"):
        (place / name).mkdir(parents=True, mode=0o700)
    runner = str(ROOT / "roles" / "runner" / "files")
    launcher = place / "bin" / "coldchain"
    launcher.write_text(LAUNCHER.format(python=sys.executable, runner=runner, home=str(place)))
    launcher.chmod(0o755)
    return place


def job(job_id: str, secret: str = SECRET) -> dict[str, object]:
    environment = {"PGPASSWORD": secret, "LC_ALL": "C"}
    action = {"action": "exec", "command": ["true"], "environment": environment}
    schedule = {"schedule_hour": "3"}
    return {
        "job_id": job_id,
        "job_actions": [{"freezer_action": action}],
        "job_schedule": schedule,
    }


def tasks(home: Path, **job_fields: object) -> list[dict[str, object]]:
    """Every way in which a module gets or returns a document."""
    place = {"home": str(home)}
    listed = {**place, "jobs": [job("a"), job("b", "hunter22")]}
    one = {**place, **job("a"), **job_fields}
    actions = "{{ (documents | selectattr('job_id', 'equalto', item) | first).job_actions }}"
    return [
        {"name": "all", "coldchain.freezer.jobs": listed, "register": "jobs"},
        {"name": "one", "coldchain.freezer.job": one, "register": "one", "ignore_errors": True},
        {
            "name": "loop",
            "coldchain.freezer.job": {**place, "job_id": "{{ item }}", "job_actions": actions},
            # Not over the documents: Ansible itself shows the items of a loop at -vvv.
            "loop": "{{ documents | map(attribute='job_id') }}",
        },
        {
            "name": "wrong",
            "coldchain.freezer.jobs": {**place, "jobs": [{**job("a"), "enviroment": SECRET}]},
            "ignore_errors": True,
        },
        {"name": "look", "coldchain.freezer.job_info": {**place, "documents": True}},
    ]


@pytest.mark.parametrize("check", [False, True])
def test_nothing_that_is_printed_holds_a_secret(play: Play, home: Path, check: bool) -> None:
    flags = ["-vvv", "--diff", *["--check"] * check]  # all that less verbose ones show, and more
    book: list[dict[str, object]] = [
        {
            "hosts": "localhost",
            "gather_facts": False,
            "tasks": tasks(home, max_duration=[1]),
        }
    ]
    played = play(book, *flags, collections=COLLECTIONS, documents=[job("a"), job("b")])
    assert played.code == 0, played.output
    assert 'PGPASSWORD: "(hidden' in played.output.replace("\\", "")
    assert SECRET not in played.output


#: Stands in for ssh: runs the command here; of the answer to the look it may lose the end.
SSH = """#!/bin/sh
for word; do :; done
case $word in
  *{broken}) /bin/sh -c "$word" | sed '/^locked=/,$d' ;;
  *) exec /bin/sh -c "$word" ;;
esac
"""


def test_a_connection_that_shows_what_hosts_say_shows_no_digest(play: Play, tmp_path: Path) -> None:
    """The digest of a short password gives it away."""
    content = f"PASSWORD={SECRET}\n"
    place, ssh = tmp_path / "home", tmp_path / "ssh"
    book: list[dict[str, object]] = [
        {"hosts": "localhost", "gather_facts": False, "roles": ["coldchain.freezer.runner"]}
    ]
    secret = [{"name": "s3", "content": content}]
    for folder, mode in (
        (place, 0o700),
        (place / "etc", 0o755),
        (place / "etc/credentials", 0o700),
    ):
        folder.mkdir(mode=mode)
    for name in ("s3", "by-hand"):
        (place / "etc" / "credentials" / name).write_text(content)

    flags = ("-vvv", "--check", "--diff")

    def seen(words: str, **more: object) -> str:
        ssh.write_text(SSH.format(broken=words))
        ssh.chmod(0o755)
        reached = {"ansible_connection": "ssh", "ansible_ssh_executable": str(ssh)}
        return play(book, *flags, coldchain_home=str(place), **reached, **more).output

    for words, told in (("nothing", "Would install release"), ("probe.sh*", "come to its end")):
        output = seen(words, coldchain_credentials=secret)
        assert told in output
        assert "stdout and stderr censored due to no log" in output
        assert SECRET not in output
        assert hashlib.sha256(content.encode()).hexdigest() not in output
    # The same answer is shown where nothing in it is secret: there was something to see.
    assert "\\ntag=cpython-" in seen("nothing").replace("\\r", "")

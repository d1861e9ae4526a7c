# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role runner in its single-directory form, on this machine."""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
import subprocess
from pathlib import Path

import waiting
from playbooks import ROLE, RUNNER, Play, next_release


def snapshot(directory: Path) -> dict[str, tuple[int, int, bytes]]:
    return {
        str(path): (
            path.lstat().st_mode,
            path.lstat().st_mtime_ns,
            path.read_bytes() if path.is_file() else b"",
        )
        for path in [directory, *directory.rglob("*")]
    }


def release(home: Path) -> str:
    return (home / "program" / "current").readlink().name


def test_second_run_changes_nothing(play: Play, installed: Path) -> None:
    home = installed
    before = snapshot(home)
    again = play(RUNNER, coldchain_home=str(home))
    assert (again.code, again.changed) == (0, 0), again.output
    assert snapshot(home) == before
    version = subprocess.run(
        [home / "bin" / "coldchain", "--version"], check=True, capture_output=True, text=True
    )
    assert version.stdout.startswith("coldchain ")

    # A drift of any kind is found by the one look, and repaired.
    (home / "bin" / "coldchain").write_text("# by hand\n", encoding="utf-8")
    (home / "etc" / "runner.conf").unlink()
    (home / "etc" / "credentials").mkdir()
    (home / "lib").chmod(0o755)
    (home / "log").rmdir()
    (home / "program" / "command").symlink_to("/elsewhere")
    for compiled in (home / "program" / "current" / "coldchain" / "__pycache__").iterdir():
        compiled.unlink()
    (home / "program" / "releases" / "0.0.1-old").mkdir()
    (home / "program" / "releases" / "0.0.1-old" / "bundle.json").write_text("{}", encoding="utf-8")
    repaired = play(RUNNER, "-v", coldchain_home=str(home))
    assert repaired.code == 0, repaired.output
    (told,) = re.findall(r"Look at the host.*\n.*?(\{.*\})", repaired.output)
    found = [line.partition("=")[0] for line in json.loads(told)["msg"]]
    files = [f"digest:{home}/{name}" for name in ("bin/coldchain", "etc/runner.conf")]
    modes = [f"mode:{home}/{name}" for name in ("lib", "log")]
    lines = ["0.0.1-old", "command", "compiled", "credentials", *files, *modes]
    assert sorted(found) == sorted(lines)
    assert {name: kept[::2] for name, kept in snapshot(home).items()}.keys() == before.keys()
    assert play(RUNNER, coldchain_home=str(home)).changed == 0


def test_twice_in_a_play_without_facts_under_different_homes(
    play: Play, installed: Path, tmp_path: Path
) -> None:
    clear = {"name": "Forget", "ansible.builtin.meta": "clear_facts"}
    include = {
        "name": "Install",
        "ansible.builtin.include_role": {"name": "coldchain.freezer.runner"},
    }
    plays = [
        {
            "hosts": "all",
            "gather_facts": False,
            "tasks": [
                clear,
                {
                    **include,
                    "vars": {"coldchain_home": str(installed), "coldchain_client_id": "one"},
                },
                clear,
                {**include, "vars": {"coldchain_home": f"{tmp_path}/b"}},
            ],
        }
    ]
    result = play(plays)
    assert result.code == 0, result.output
    assert "client_id = one\n" in (installed / "etc/runner.conf").read_text(encoding="utf-8")
    assert "client_id = \n" in (tmp_path / "b/etc/runner.conf").read_text(encoding="utf-8")


def test_bad_settings_never_replace_good_ones(play: Play, installed: Path) -> None:
    home = installed
    before = (home / "etc" / "runner.conf").read_bytes()
    refused = play(RUNNER, coldchain_home=str(home), coldchain_timezone="Mars/Olympus")
    assert refused.code != 0
    assert "'Mars/Olympus' is not a time zone of this host" in refused.output
    assert "Traceback" not in refused.output
    assert (home / "etc" / "runner.conf").read_bytes() == before


def test_variables_of_the_command_line_mean_what_they_say(play: Play, installed: Path) -> None:
    """``-e name=false`` is a text, and a text that is not empty is true."""
    home = installed
    words = {
        "coldchain_allow_exec": "false",
        "coldchain_stop_timeout": "5",
        "coldchain_rollback": "false",
    }
    changed = play(RUNNER, coldchain_home=str(home), **words)
    assert changed.code == 0, changed.output
    assert "allow_exec = no\n" in (home / "etc/runner.conf").read_text(encoding="utf-8")
    words |= {"coldchain_state": "absent", "coldchain_purge_data": "true"}
    removed = play(RUNNER, coldchain_home=str(home), **words)
    assert removed.code == 0, removed.output
    assert "stay in" not in removed.output
    assert not home.exists(), "nothing is left behind where there never was a backup"


def test_everything_that_is_missing_is_told_at_once_and_without_python(
    play: Play, tmp_path: Path
) -> None:
    variables = {"coldchain_python": "/bin/true", "coldchain_rollback": True}
    refused = play(
        RUNNER, coldchain_home="somewhere", ansible_python_interpreter="/no", **variables
    )
    assert refused.code != 0
    assert "coldchain_home must be an absolute path" in refused.output
    assert "The runner needs Python >= 3.9" in refused.output
    assert "this host has no other release" in refused.output


def test_credentials_come_change_and_go_unseen(play: Play, installed: Path) -> None:
    """What check mode says of them before there is a runner: test_secrets.py."""
    home, folder = installed, installed / "etc" / "credentials"
    secret = {"name": "s3", "content": "SECRET_KEY=hunter2"}
    key = {"name": "nas.key", "content": "hunter3\n\n"}
    seen = ["-vvv", "--diff"]

    first = play(RUNNER, *seen, coldchain_home=str(home), coldchain_credentials=[secret, key])
    assert first.code == 0, first.output
    assert (folder / "s3").read_text(encoding="utf-8") == "SECRET_KEY=hunter2\n"
    assert (folder / "nas.key").read_text(encoding="utf-8") == "hunter3\n\n"
    assert [stat.S_IMODE(path.stat().st_mode) for path in (folder, *folder.iterdir())] == [
        *[0o700, 0o600, 0o600]
    ]
    before = snapshot(home)
    again = play(RUNNER, coldchain_home=str(home), coldchain_credentials=[secret, key])
    assert (again.code, again.changed) == (0, 0), again.output
    assert snapshot(home) == before

    (folder / "by hand").write_text("hunter4", encoding="utf-8")
    other = {**secret, "content": "SECRET_KEY=hunter5"}
    predicted = play(
        RUNNER, *seen, "--check", coldchain_home=str(home), coldchain_credentials=[other]
    )
    assert (predicted.code, predicted.changed) == (0, 2), predicted.output
    assert len(list(folder.iterdir())) == 3
    changed = play(RUNNER, *seen, coldchain_home=str(home), coldchain_credentials=[other])
    assert (changed.code, changed.changed) == (0, 2), changed.output
    assert [path.name for path in folder.iterdir()] == ["s3"]
    gone = play(RUNNER, *seen, coldchain_home=str(home))
    assert (gone.code, gone.changed) == (0, 1), gone.output
    assert not folder.exists()
    for played in (predicted, first, changed, gone):
        assert "hunter" not in played.output


def test_bad_credentials_are_refused_by_name_only(play: Play, tmp_path: Path) -> None:
    one = {"content": "hunter2"}
    bad = ("a/b", "..", "-a", "", "a\n", "x" * 129)
    given: dict[str, list[dict[str, str]]] = {
        "names": [{"name": name, **one} for name in (*bad, "good")],
        "twice": [{"name": "a", **one}, {"name": "a", **one}],
        "contents": [
            *[{"name": "a", **one}, {"name": "b"}, {"name": "c", "content": ""}],
            {"name": "d", **one, "path": "/a"},
        ],
        "options": [one, {"name": "a", "contents": "hunter2"}],
        "systemd": [{"name": "a", "path": "/etc/hostname"}],
    }
    # A host of one play for each: their homes differ.
    hosts = {
        name: {"coldchain_home": str(tmp_path / name), "coldchain_credentials": credentials}
        for name, credentials in given.items()
    }
    inventory = tmp_path / "inventory.yml"
    inventory.write_text(json.dumps({"cases": {"hosts": hosts}}))
    refused = play(
        RUNNER, f"--inventory={inventory}", "--limit=cases", "-vvv", "--diff", "--forks=2"
    )
    assert refused.code != 0
    assert "hunter2" not in refused.output
    assert not any((tmp_path / name).exists() for name in hosts)
    # The last thing that is said of a host: why it is left.
    told = {
        name: re.findall(
            rf"^fatal: \[{name}\].*?(?=^\S|\Z)", refused.output, re.DOTALL | re.MULTILINE
        )
        for name in hosts
    }
    assert all(len(found) == 1 for found in told.values()), refused.output
    said = {name: found[0].replace("\n", " ") for name, found in told.items()}
    assert "cannot be the name of a credential" in said["names"] and "good" not in said["names"]
    assert all(name.strip() in said["names"] for name in bad)
    assert "a name is there twice: a, a" in said["twice"]
    problem = "coldchain_credentials: b, c, d must have either content or path"
    assert problem in said["contents"]
    assert "missing required arguments: name" in said["options"]
    assert "there is no systemd to load it" in said["systemd"]


def test_upgrade_way_back_and_pruning(play: Play, installed: Path, tmp_path: Path) -> None:
    home = installed
    program, second = home / "program", release(home)
    # The installed release is not the first one here.
    shutil.copytree(program / "releases" / second, program / "releases" / "0.0.1-first")
    (program / "previous").symlink_to("releases/0.0.1-first")
    collections = next_release(tmp_path, "third", "__init__.py", "# third")
    manifest = (collections / ROLE / "files" / "coldchain-bundle.json").read_text()
    third = json.loads(manifest)["release"]
    # As a play leaves it that ends while it unpacks: without bundle.json.
    half = program / "releases" / third
    (half / "coldchain" / "__pycache__").mkdir(parents=True)
    (half / "coldchain" / "__init__.py").write_text("raise ImportError")
    (half / "bundle.tar.gz").write_text("half of it")
    upgraded = play(RUNNER, collections=collections, coldchain_home=str(home))
    assert upgraded.code == 0, upgraded.output
    assert (half / "bundle.json").read_text() == manifest
    assert not (half / "bundle.tar.gz").exists()
    assert release(home) == third != second
    kept = {path.name for path in (program / "releases").iterdir()}
    assert kept == {second, third}, "the release before stays, older ones go"

    back = play(RUNNER, collections=collections, coldchain_home=str(home), coldchain_rollback=True)
    assert back.code == 0, back.output
    assert release(home) == second
    again = play(RUNNER, collections=collections, coldchain_home=str(home), coldchain_rollback=True)
    assert (again.changed, release(home)) == (0, second)
    forward = play(RUNNER, collections=collections, coldchain_home=str(home))
    assert (forward.code, release(home)) == (0, third)


def test_a_change_of_settings_reaches_a_running_runner(
    play: Play, installed: Path, tmp_path: Path
) -> None:
    home = installed
    command = home / "bin" / "coldchain"
    log = tmp_path / "serve.log"
    with log.open("wb") as stream:
        runner = subprocess.Popen([command, "serve"], stdout=stream, stderr=stream)
    try:
        waiting.until(lambda: "runner ready" in log.read_text(), told=runner.poll)
        before = log.stat().st_size
        unchanged = play(RUNNER, coldchain_home=str(home))
        assert unchanged.changed == 0
        assert log.stat().st_size == before, "a run without a change tells the runner nothing"
        settings = {"coldchain_home": str(home), "coldchain_concurrent_jobs": 2}
        changed = play(RUNNER, **settings)
        assert changed.code == 0, changed.output
        assert runner.poll() is None, "the runner goes on under the same process id"
        assert log.stat().st_size > before
        # As a play leaves it that ends between the writing and the telling.
        told = home / "lib" / "runner.json"
        waiting.until(lambda: told.stat().st_mtime > (home / "etc" / "runner.conf").stat().st_mtime)
        os.utime(told, (1, 1))
        made_up_for = play(RUNNER, **settings)
        assert made_up_for.code == 0 and made_up_for.changed > 0, made_up_for.output
        waiting.until(lambda: told.stat().st_mtime > 1)
        assert play(RUNNER, **settings).changed == 0
    finally:
        # That removal stops it is seen by test_demo and test_fleet_guides.
        runner.terminate()
        assert waiting.ended(runner) == 0


def test_removal_keeps_the_data_unless_told_otherwise(play: Play, installed: Path) -> None:
    home = installed
    (home / "backups" / "precious").write_text("kept", encoding="utf-8")
    removed = play(RUNNER, coldchain_home=str(home), coldchain_state="absent")
    assert removed.code == 0, removed.output
    assert (home / "backups" / "precious").read_text(encoding="utf-8") == "kept"
    assert sorted(path.name for path in home.iterdir()) == ["backups", "lib", "log"]
    purged = play(
        RUNNER, coldchain_home=str(home), coldchain_state="absent", coldchain_purge_data=True
    )
    assert purged.code == 0, purged.output
    assert f"The backups of this host stay in {home}/backups." in purged.output
    assert [str(path.relative_to(home)) for path in home.rglob("*")] == [
        "backups",
        "backups/precious",
    ]


def test_removal_is_refused_where_it_would_take_the_backups(play: Play, installed: Path) -> None:
    home = installed
    inside = home / "lib" / "containers"
    settings = home / "etc" / "runner.conf"
    text, nowhere = settings.read_text(encoding="utf-8"), "containers_dir = \n"
    assert nowhere in text
    settings.write_text(text.replace(nowhere, f"containers_dir = {inside}\n"), encoding="utf-8")
    inside.mkdir()
    (inside / "precious").write_text("kept", encoding="utf-8")
    # The host's settings say it, whatever the variables are now.
    refused = play(
        RUNNER, coldchain_home=str(home), coldchain_state="absent", coldchain_purge_data=True
    )
    assert refused.code != 0
    assert f"The backups of this host are in {inside}, and {home}/lib is" in refused.output
    assert (inside / "precious").exists()
    assert (home / "bin" / "coldchain").exists(), "nothing was removed"

# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every storage has to do, one suite for all of them."""

from __future__ import annotations

import json
import os
import shutil
import urllib.request
from collections.abc import Mapping

import pytest
from agent_trees import state
from storage_contract import SCRIPT, absent, one_writer, play
from storage_site import KINDS, LARGE, ONE_OF_A_KIND, SMALL, Site, at, grow, on

from coldchain.agent.storages.base import Access, Storage
from coldchain.agent.storages.registry import open_storage
from coldchain.cli import run
from coldchain.core.errors import JobFailed, TryAgain
from coldchain.core.instants import from_epoch, iso


# Another log-in or TLS moves nothing else on the server: test_no_secret_in_arguments_or_output
# makes and restores a backup with each of them.
@on(*KINDS)
def test_every_storage_keeps_the_contract(site: Site) -> None:
    def opens() -> Storage:
        return open_storage(
            site.location, site.root / "lib" / "locks", Access((("data",), ("meta",)))
        )

    absent(opens)
    one_writer(opens)
    play(opens, SCRIPT)


# What is built on a level that is itself built on another is the engine's, and what it finds of a
# chain, and where one of its levels ends: on one of a kind.
@pytest.mark.parametrize(
    ("site", "levels"),
    [at(kind, 3 if kind in ONE_OF_A_KIND else 2) for kind in KINDS],
    indirect=["site"],
)
def test_a_chain_comes_back_level_by_level(site: Site, levels: int) -> None:
    states, times = [], []
    for step in range(levels):
        grow(site, step)
        report = site.backup(max_level=5)
        assert report.fields["level"] == step
        states.append(state(os.fsencode(site.source)))
        times.append(report.fields["time_stamp"])
    thorough = levels > 2
    if thorough:
        info = site.perform("info")
        assert info.fields["storage"] == site.fields.get("storage", "local")
        assert [(one["level"], one["restorable"]) for one in info.fields["backups"]] == [
            (level, True) for level in range(levels)
        ]
    checked = site.verify("full" if thorough else "quick")
    assert checked.findings == () and not checked.lost
    assert (checked.checked, checked.read) == (levels, levels if thorough else 0)
    for step in (levels - 2, levels - 1) if thorough else (levels - 1,):
        shutil.rmtree(site.target, ignore_errors=True)
        site.perform("restore", restore_from_date=_iso(times[step]))
        assert state(os.fsencode(site.target)) == states[step]


def _iso(stamp: object) -> str:
    assert isinstance(stamp, int)
    return iso(from_epoch(stamp))


# Of Swift test_segments_as_freezer_agent_writes_them leaves nothing.
@on("local", "ssh_openssh", "s3_rclone")
def test_old_chains_are_removed_whole_and_the_last_one_stays(site: Site) -> None:
    grow(site, 0, SMALL)
    first = site.perform("backup").fields["chain"]
    site.backup(max_level=3)
    # In an object store a folder is only a prefix: names that begin alike are kept apart.
    other = site.perform("backup", backup_name="docs2").fields["chain"]
    last = site.perform("backup").fields["chain"]
    every = {"remove_before_date": "2100-01-01"}
    site.perform("admin", dry_run=True, **every)
    removed = site.perform("admin", **every)
    assert [str(one).partition(" ")[0] for one in removed.fields["removed"]] == [str(first)]
    assert {one.chain for one in site.catalogue()} == {other, last}
    site.perform("admin", force=True, **every)
    (left,) = site.catalogue()
    assert (left.backup_name, left.restorable) == ("docs2", True)
    site.perform("admin", force=True, backup_name="docs2", **every)
    if site.server.folder is not None and site.server.name != "local":
        assert site.stored() == set()


NAMES = [("grüße_x", "100%d *[x]?{a}"), ("h", "a/quo'te\"$(id)`;&#")]


# What is made of a name is rclone's: two servers of one protocol are told the same.
@on(*(kind for kind in KINDS if kind != "s3_moto"))
def test_any_name_is_a_name_and_secrets_stay_secret(site: Site) -> None:
    """Both names in one container, encrypted, and compressed in different ways."""
    grow(site, 0, SMALL)
    password = site.root / "password"
    password.write_text("correct horse\n")
    password.chmod(0o600)
    secret = {"encrypt_pass_file": str(password)}
    for hostname, backup_name in NAMES:
        names = {"hostname": hostname, "backup_name": backup_name, **secret}
        site.backup(compression="xz", encrypt_scheme="strong", **names)
    (site.source / "later").write_text("x")
    site.backup(compression="bzip2", **names)
    checked = site.verify("full", pass_file=password)
    assert checked.sound and checked.read == 3
    found = {(one.hostname, one.backup_name, one.level) for one in checked.restorable}
    assert found == {(*NAMES[0], 0), (*NAMES[1], 0), (*NAMES[1], 1)}
    site.perform("restore", **names)
    assert state(os.fsencode(site.target)) == state(os.fsencode(site.source))


@on(*ONE_OF_A_KIND)
def test_nothing_is_written_without_need(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a dry run, beside another writer, by a backup that fails: and then the next one works."""
    grow(site, 0)
    report = site.backup(dry_run=True)
    assert "would write level 0" in report.message
    assert not (site.root / "lib").exists()
    if site.server.folder is not None:
        assert site.stored() == set()
    with pytest.raises(JobFailed, match="No matching backup name"):
        site.perform("restore")
    storage = open_storage(site.location, site.root / "lib" / "locks")
    locked = storage.lock("host_docs")
    with locked, pytest.raises(TryAgain, match="another process is writing"):
        site.backup()
    # A compressor that gives up in the middle.
    (site.root / "bin").mkdir()
    gzip = site.root / "bin" / "gzip"
    gzip.write_text(f"#!/bin/sh\nhead -c {LARGE} /dev/urandom\nsleep 0.3\nexit 1\n")
    gzip.chmod(0o755)
    with monkeypatch.context() as broken:
        broken.setenv("PATH", f"{gzip.parent}:{os.environ['PATH']}")
        with pytest.raises(JobFailed, match="gzip ended with exit code 1"):
            site.backup()
    assert site.catalogue() == []
    if site.server.folder is not None and site.server.name != "local":
        assert site.stored() == set()
    site.backup()
    assert site.verify().findings == ()
    with pytest.raises(JobFailed, match="No matching backup name") as caught:
        site.perform("restore", backup_name="other")
    assert "host_docs" in caught.value.hint
    assert not site.target.exists()


@on("ssh_openssh", "s3_rclone")
def test_the_command_line_reaches_it(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    grow(site, 0, SMALL)
    site.backup()
    options = [
        word
        for name, value in site.fields.items()
        for word in (f"--{name.replace('_', '-')}", str(value))
    ]

    def command(*words: str) -> dict[str, object]:
        assert run(["--home", str(site.root / "home"), "--json", *words, *options]) == 0
        answer: dict[str, object] = json.loads(capsys.readouterr().out)
        return answer

    (one,) = command("backups")["backups"]
    assert one["restorable"] and one["hostname"] == "host"
    assert command("verify", "--full")["sound"] is True
    names = ("--backup-name", "docs", "--hostname", "host")
    command("restore", *names, "--restore-abs-path", str(site.target))
    assert state(os.fsencode(site.target)) == state(os.fsencode(site.source))


@on("s3_rclone", "webdav")
def test_a_declared_job_runs_and_its_backups_are_found(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    grow(site, 0, SMALL)
    document = {"job_id": "docs", "job_actions": [{"freezer_action": site.action("backup")}]}
    (site.root / "job.json").write_text(json.dumps(document))
    home = ["--home", str(site.root / "home")]
    assert run([*home, "run", str(site.root / "job.json")]) == 0
    assert run([*home, "apply", str(site.root / "job.json")]) == 0
    capsys.readouterr()
    assert run([*home, "--json", "backups", "--job", "docs"]) == 0
    (one,) = json.loads(capsys.readouterr().out)["backups"]
    assert one["restorable"]
    everything = b"".join(
        path.read_bytes() for path in (site.root / "home").rglob("*") if path.is_file()
    )
    for secret in site.server.secrets.values():
        assert secret.encode() not in everything


@on("swift")
def test_segments_as_freezer_agent_writes_them(site: Site) -> None:
    """Freezer cuts data into objects in "segments", and data is an empty one that joins them."""
    grow(site, 0)
    level = site.backup().fields
    secrets = site.server.secrets
    login = {"X-Auth-User": secrets["OS_USERNAME"], "X-Auth-Key": secrets["OS_PASSWORD"]}
    headers = _swift("GET", secrets["OS_AUTH_URL"], login)[1]
    token = {"X-Auth-Token": headers["X-Auth-Token"]}
    stamp = level["time_stamp"]
    place = f"{site.container}/data/tar/host_docs/{stamp}/0_{stamp}"
    top = f"{headers['X-Storage-Url']}/{place}"
    whole = _swift("GET", f"{top}/data", token)[0]
    for number in range(3):
        part = whole[number * 1_200_000 : (number + 1) * 1_200_000]
        _swift("PUT", f"{top}/segments/{number:08d}", token, part)
    _swift("PUT", f"{top}/data", {**token, "X-Object-Manifest": f"{place}/segments"}, b"")
    _swift("DELETE", f"{top}/manifest.json", token)
    (one,) = site.catalogue()
    assert (one.restorable, one.reason) == (True, "")
    assert one.size > len(whole)
    site.perform("restore")
    assert state(os.fsencode(site.target)) == state(os.fsencode(site.source))
    assert site.backup().fields["level"] == 1
    site.perform("admin", remove_before_date="2100-01-01", force=True)
    left = _swift(
        "GET", f"{headers['X-Storage-Url']}/container?prefix={site.container[10:]}/", token
    )
    assert left[0] == b""


def _swift(
    method: str, url: str, headers: dict[str, str], body: bytes | None = None
) -> tuple[bytes, Mapping[str, str]]:
    request = urllib.request.Request(url, body, headers, method=method)
    with urllib.request.urlopen(request, timeout=300) as answer:
        return answer.read(), answer.headers

# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The artifact: what is in it, that its bytes can be made again, and that it needs nothing else."""

from __future__ import annotations

import hashlib
import io
import json
import re
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
import yaml
from playbooks import COLLECTIONS, ROOT
from waiting import output

COLLECTION = Path("ansible_collections/coldchain/freezer")
FILES = ROOT / "roles" / "runner" / "files"
WHEELS = ROOT / "build" / "cache" / "wheels"

ALLOWED = re.compile(
    r"(MANIFEST|FILES)\.json|LICENSE|(README|CHANGELOG|CONTRIBUTING|CODE_OF_CONDUCT|SECURITY)\.md"
    r"|meta/(runtime|execution-environment)\.yml|changelogs/(config|changelog)\.yaml|changelogs/fragments/.*"
    r"|docs/.*\.(md|rst|yml)|docs/images/[a-z-]+\.png|docs/prometheus/dashboard\.json"
    r"|playbooks/[a-z_]+\.yml|playbooks/(files|tasks|templates|vars)/[a-z_]+\.(py|txt\.j2|yml)"
    r"|plugins/[a-z_]+/[a-z_]+\.py|plugins/plugin_utils/report_page/page\.(css|html|js)"
    r"|roles/[a-z]+/(tasks|defaults|vars|handlers|meta)/[a-z_]+\.yml|roles/[a-z]+/README\.md"
    r"|roles/runner/templates/[a-z.-]+\.j2"
    r"|roles/runner/files/(build_bundle\.py|probe\.sh|bundle-requirements\.(in|txt))"
    r"|roles/runner/files/coldchain-bundle\.(tar\.gz|json)"
    r"|roles/runner/files/coldchain/[a-z_/]+\.py"
)


@pytest.fixture
def artifact() -> Path:
    version = yaml.safe_load((ROOT / "galaxy.yml").read_text(encoding="utf-8"))["version"]
    return ROOT / "build" / "dist" / f"coldchain-freezer-{version}.tar.gz"


def test_holds_nothing_but_what_belongs_in_it(artifact: Path) -> None:
    with tarfile.open(artifact) as archive:
        names = [entry.name for entry in archive if entry.isfile()]
        assert all(entry.isfile() or entry.isdir() for entry in archive)
    assert [name for name in names if not ALLOWED.fullmatch(name)] == []
    assert "roles/runner/files/coldchain-bundle.tar.gz" in names
    assert artifact.stat().st_size < 2_000_000


def test_the_same_sources_make_the_same_bytes(artifact: Path) -> None:
    before = artifact.read_bytes()
    subprocess.run(["make", "--no-print-directory", "build"], cwd=ROOT, check=True)
    assert artifact.read_bytes() == before


def test_the_bundle_is_what_its_manifest_says() -> None:
    files = COLLECTIONS / COLLECTION / "roles" / "runner" / "files"
    manifest = json.loads((files / "coldchain-bundle.json").read_text(encoding="utf-8"))
    packed = (files / "coldchain-bundle.tar.gz").read_bytes()
    assert hashlib.sha256(packed).hexdigest() == manifest["archive_sha256"]
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        entries = archive.getmembers()
    names = [entry.name for entry in entries]
    assert names == sorted(names)
    assert {(entry.uid, entry.gid, entry.mtime) for entry in entries} == {(0, 0, 0)}
    assert not [name for name in names if name.endswith((".so", ".pyc"))], "nothing compiled"
    licences = [name for name in names if re.search(r"dist-info/.*(LICEN[CS]E|COPYING)", name)]
    assert len(licences) == len(manifest["wheels"]) == 6


def build(output: Path, *options: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, FILES / "build_bundle.py", "--output", output, *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_parallel_builds_do_not_disturb_each_other(tmp_path: Path) -> None:
    builds = [build(tmp_path, "--wheels", str(WHEELS)) for _number in range(3)]
    results = [json.loads(output(process, 60)[0]) for process in builds]
    assert [process.returncode for process in builds] == [0, 0, 0]
    assert len({result["release"] for result in results}) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "coldchain-bundle.json",
        "coldchain-bundle.tar.gz",
    ]
    again = json.loads(output(build(tmp_path), 60)[0])
    assert again["changed"] is False, "and a finished bundle is left alone, without an index"


def test_a_bundle_that_cannot_be_built_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable, value in {
        "PIP_CONFIG_FILE": "/dev/null",
        "PIP_INDEX_URL": "http://127.0.0.1:9/simple",
        "PIP_RETRIES": "0",
        "PIP_NO_CACHE_DIR": "1",
        "PIP_FIND_LINKS": "",
    }.items():
        monkeypatch.setenv(variable, value)
    offline = build(tmp_path)
    _out, err = output(offline, 60)
    assert offline.returncode == 69
    assert "install the collection from its tarball" in err
    locked = build(Path("/proc/nowhere"), "--wheels", str(WHEELS))
    _out, err = output(locked, 60)
    assert locked.returncode == 73
    assert "/proc/nowhere: the bundle cannot be written" in err

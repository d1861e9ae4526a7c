# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The pure half of the remote storages; tests/storages has the other, with real servers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import pytest
from checked_actions import checked_action
from hypothesis import given
from hypothesis import strategies as st

import coldchain
from coldchain.agent.fields import Fields
from coldchain.agent.storages.credentials import credentials
from coldchain.agent.storages.kinds import FIELDS, PATHS, PORTS, SECRETS, STORAGES
from coldchain.agent.storages.location import Location, location
from coldchain.agent.storages.rclone.config import _BACKENDS, part_size, remote
from coldchain.agent.storages.rclone.failures import reason
from coldchain.agent.storages.rclone.known_hosts import host_key_algorithms, known_hosts
from coldchain.agent.storages.rclone.listing import ListedFile, Listing, parse
from coldchain.agent.storages.rclone.program import Rclone
from coldchain.agent.storages.registry import open_storage
from coldchain.core.errors import DataError, Unavailable
from coldchain.document.fields import FREEZER_ACTION

HERE = Path("/containers")
#: An action of each storage with everything it can say.
GIVEN: dict[str, dict[str, object]] = {
    "ssh": {
        "container": "/srv//b/./c/",
        "ssh_host": "nas",
        "ssh_port": 2222,
        "ssh_username": "backup",
        "ssh_key": "/root/id",
    },
    "s3": {"container": "bucket/a", "endpoint": "https://s3.example.org", "access_key": "AKIA"},
    "swift": {"container": "freezer_backups"},
    "ftp": {"container": "b", "ftp_host": "nas", "ftp_username": "u"},
    "ftps": {"container": "b", "ftp_host": "nas", "ftp_port": "990", "ftp_username": "u"},
    "rclone": {"container": "off site:b/c", "rclone_config": "/etc/rclone.conf"},
}
NEEDED = {
    "s3": {"SECRET_KEY": "x"},
    "swift": {"OS_AUTH_URL": "https://keystone", "OS_PASSWORD": "x"},
    "ftp": {"FTP_PASSWORD": "x"},
    "ftps": {"FTP_PASSWORD": "x"},
}


def of(storage: str, **more: object) -> Location:
    options = {"action": "info", "storage": storage, **GIVEN[storage], **more}
    return location(Fields(checked_action(options)), HERE)


def test_the_field_table_and_the_storages_agree() -> None:
    names = {field.name for field in FREEZER_ACTION}
    assert names.issuperset(FIELDS) and "credentials_file" in names
    assert not names & SECRETS
    forms = {field.name: (field.format, field.type) for field in FREEZER_ACTION}
    assert {name for name in FIELDS if forms[name][0] == "path"} == PATHS
    assert {name for name in FIELDS if forms[name][1] == "int"} == set(PORTS)


@pytest.mark.parametrize(
    ("storage", "root", "settings"),
    [
        (
            "ssh",
            "coldchain:/srv/b/c",
            {
                "TYPE": "sftp",
                "HOST": "nas",
                "PORT": "2222",
                "USER": "backup",
                "KEY_FILE": "/root/id",
            },
        ),
        (
            "s3",
            "coldchain:bucket/a",
            {"TYPE": "s3", "PROVIDER": "Other", "ACCESS_KEY_ID": "AKIA", "SECRET_ACCESS_KEY": "x"},
        ),
        ("swift", "coldchain:freezer_backups", {"TYPE": "swift", "ENV_AUTH": "true"}),
        ("ftp", "coldchain:b", {"TYPE": "ftp", "PORT": "21", "PASS": "hidden x"}),
        ("ftps", "coldchain:b", {"TYPE": "ftp", "PORT": "990", "EXPLICIT_TLS": "true"}),
        ("rclone", "off site:b/c", {}),
    ],
)
def test_what_rclone_is_told(storage: str, root: str, settings: dict[str, str]) -> None:
    place = of(storage)
    found = credentials(place, NEEDED.get(storage, {}))
    one = remote(place, found, lambda text: f"hidden {text}", "/dev/fd/9", "ssh-ed25519")
    assert one.root == root
    told = {
        name[len("RCLONE_CONFIG_COLDCHAIN_") :]: value
        for name, value in one.environment.items()
        if name.startswith("RCLONE_CONFIG_COLDCHAIN_")
    }
    assert settings.items() <= told.items()
    assert one.folders == (storage not in ("s3", "swift"))
    if storage == "ssh":
        assert told["KNOWN_HOSTS_FILE"] == "/dev/fd/9"
        assert told["HOST_KEY_ALGORITHMS"] == "ssh-ed25519"
    if storage == "rclone":
        assert one.environment == {"RCLONE_CONFIG": "/etc/rclone.conf"}


@pytest.mark.parametrize(
    ("endpoint", "region", "provider"),
    [
        ("https://s3.eu-central-1.amazonaws.com", "eu-central-1", "AWS"),
        ("https://s3.dualstack.us-gov-west-1.amazonaws.com/", "us-gov-west-1", "AWS"),
        ("s3.amazonaws.com", "us-east-1", "AWS"),
        ("https://minio.example.org:9000", None, "Other"),
        ("https://amazonaws.com.example.org", None, "Other"),
    ],
)
def test_amazon_is_told_its_region(endpoint: str, region: str | None, provider: str) -> None:
    place = of("s3", endpoint=endpoint)
    told = remote(place, credentials(place, {"SECRET_KEY": "x"}), str).environment
    assert told["RCLONE_CONFIG_COLDCHAIN_PROVIDER"] == provider
    assert told.get("RCLONE_CONFIG_COLDCHAIN_REGION") == region


text = st.text(st.characters(codec="utf-8", exclude_characters="\0\r\n"), max_size=15)


@given(
    st.sampled_from(sorted(NEEDED)),
    # With something in the middle that is nowhere else.
    st.tuples(text, text).map("\N{SNOWFLAKE}\N{LOCK}".join),
)
def test_a_secret_is_only_in_the_environment(storage: str, secret: str) -> None:
    name = next(iter(set(NEEDED[storage]) - {"OS_AUTH_URL"}))
    place = of(storage)
    found = credentials(place, {**NEEDED[storage], name: secret})
    one = remote(place, found, lambda text: text[::-1])
    assert secret in one.secrets
    assert secret not in one.path("data/tar/x") + str(place) + repr(place) + repr(one)


def test_inline_secrets_are_for_the_ini_file_of_freezer_agent_and_never_shown() -> None:
    options = {"storage": "ftp", **GIVEN["ftp"], "ftp_password": "hunter2"}
    place = location(Fields(options), HERE)
    assert credentials(place, {"FTP_PASSWORD": "other"})["FTP_PASSWORD"] == "hunter2"
    assert "hunter2" not in repr(place) + str(place) + str(place.server)
    assert place == of("ftp")


def test_credentials_come_from_the_file_before_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "s3"
    file.write_text("# a comment\n\nexport SECRET_KEY='with = and blanks '\nendpoint=https://f\n")
    file.chmod(0o600)
    place = location(
        Fields({"storage": "s3", "container": "b", "credentials_file": str(file)}), HERE
    )
    found = credentials(place, {"SECRET_KEY": "e", "ACCESS_KEY": "a", "PATH": "/bin"})
    assert found == {
        "SECRET_KEY": "with = and blanks ",
        "ENDPOINT": "https://f",
        "ACCESS_KEY": "a",
    }


def test_a_bare_name_is_a_credential_of_systemd_or_of_the_installation(tmp_path: Path) -> None:
    named = of("s3", credentials_file="s3")
    variables = ("CREDENTIALS_DIRECTORY", "COLDCHAIN_CREDENTIALS_DIRECTORY")
    directories = {variable: str(tmp_path / variable) for variable in variables}
    with pytest.raises(Unavailable, match="no credential 's3'") as caught:
        credentials(named, directories)
    assert "coldchain_credentials" in caught.value.hint
    for variable in reversed(variables):
        (tmp_path / variable).mkdir()
        (tmp_path / variable / "s3").write_text(f"SECRET_KEY={variable}\n")
        (tmp_path / variable / "s3").chmod(0o600)
        assert credentials(named, directories)["SECRET_KEY"] == variable


@pytest.mark.parametrize(
    ("text", "mode", "message", "hint"),
    [
        ("SECRET_KEY=x\n", 0o640, "others can get at it", "chmod 600"),
        ("SECRET_KEY=x\n", 0o602, "others can get at it", "chmod 600"),
        ("SECRETKEY=hunter2\n", 0o600, "line 1: SECRETKEY is unknown", "did you mean SECRET_KEY?"),
        ("hunter2\n", 0o600, "line 1 is not NAME=VALUE", ""),
        ("hunter2 hunter2=\n", 0o600, "line 1: this is unknown", "known: ENDPOINT"),
    ],
)
def test_a_bad_credentials_file(
    tmp_path: Path, text: str, mode: int, message: str, hint: str
) -> None:
    file = tmp_path / "file"
    file.write_text(text)
    file.chmod(mode)
    with pytest.raises(DataError) as caught:
        credentials(of("s3", credentials_file=str(file)), {})
    assert message in caught.value.message and hint in caught.value.hint
    assert "hunter2" not in caught.value.message + caught.value.hint


@pytest.mark.parametrize("storage", [name for name in NEEDED if name != "swift"])
def test_a_missing_credential_is_named_with_the_remedy(storage: str) -> None:
    place = of(storage)
    with pytest.raises(DataError, match=next(iter(NEEDED[storage]))) as caught:
        remote(place, credentials(place, {}), str)
    assert "credentials_file" in caught.value.hint


def test_every_storage_elsewhere_has_a_backend() -> None:
    assert set(_BACKENDS) == set(STORAGES) - {"local"}


def test_a_missing_rclone_conf_is_no_empty_one(tmp_path: Path) -> None:
    path = tmp_path / "rclone.conf"
    with pytest.raises(Unavailable, match=f"rclone_config {path} is not there"):
        open_storage(of("rclone", rclone_config=str(path)))


@pytest.mark.parametrize(
    ("storage", "more"),
    [
        ("ssh", {"ssh_host": ""}),
        ("ssh", {"ssh_port": 65536}),
        ("ssh", {"ssh_key": "relative"}),
        ("ssh", {"container": "a/../b"}),
        ("ftp", {"ftp_username": None}),
        ("s3", {"container": "///"}),
        ("rclone", {"container": "no remote"}),
        ("rclone", {"container": ":s3,secret_access_key=x:b"}),
        ("swift", {"credentials_file": "a/b"}),
    ],
)
def test_what_cannot_be_a_location(storage: str, more: dict[str, object]) -> None:
    with pytest.raises(DataError, match=next(iter(more))):
        of(storage, **more)


@given(st.integers(0, 5 << 40))
def test_the_parts_of_an_upload_are_few_enough_and_small(expected: int) -> None:
    size = part_size(expected)
    assert size * 10_000 >= expected
    assert size == 16 << 20 or size * 10_000 <= expected * 1.25 + (10_000 << 20)
    assert 5 << 20 <= size <= 5 << 30  # S3's own bounds


def test_one_server_is_one_place_whatever_key_opens_it() -> None:
    assert of("ssh").server == of("ssh", ssh_key="/other").server
    assert of("ftp").server == of("ftp", ftp_port=21).server != of("ftp", ftp_port=2121).server
    assert of("ssh").server != of("ssh", ssh_host="other").server
    assert of("ssh").server != of("ssh", container="/other").server


PATHS_OF_FILES = st.lists(
    st.lists(st.sampled_from(["a", "b", "c d", "0_1", "é"]), min_size=1, max_size=4).map("/".join),
    max_size=12,
).filter(lambda paths: not any(o.startswith(f"{p}/") for p in paths for o in paths))


@given(PATHS_OF_FILES, st.booleans())
def test_a_listing_is_what_os_walk_would_say(paths: list[str], with_folders: bool) -> None:
    """rclone lists the folders of a server, and in object stores only what lies in them."""
    rows: list[dict[str, Any]] = [
        {"Path": path, "Size": len(path), "IsDir": False, "ModTime": "2026-11-24T10:22:33.5+02:00"}
        for path in paths
    ]
    folders = {os.path.dirname(path) for path in paths} - {""}
    if with_folders:
        rows += [{"Path": path, "Size": -1, "IsDir": True} for path in sorted(folders)]
    lines = [b"[", *(json.dumps(row).encode() + b"," for row in rows), b"]", b""]
    listing = Listing()
    for path, entry in parse(lines, "top"):
        listing.add(path, entry)
    for path in paths:
        assert listing.get(f"top/{path}") == ListedFile(len(path), 1795508553.0)
        assert path.rpartition("/")[2] in listing.names(f"top/{path}".rpartition("/")[0])
    files = {path for path, entry in listing.below("top") if entry.size is not None}
    assert files == {f"top/{path}" for path in paths}
    for folder in folders:
        listing.discard(f"top/{folder}")
    assert {path for path, dummy in listing.below("top")} <= {
        f"top/{path}" for path in paths if "/" not in path
    }


@pytest.mark.parametrize("line", [b"nonsense", b'{"Path": 1}', b'{"IsDir": false, "Path": "x"}'])
def test_a_listing_that_is_none(line: bytes) -> None:
    with pytest.raises(DataError, match="rclone lists top"):
        list(parse([b"[", line], "top"))


STAMP = "2026/11/24 10:22:34"


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (
            [
                f"{STAMP} ERROR : error listing: directory not found",
                f"{STAMP} NOTICE: Failed to lsjson with 2 errors: last error was: no such folder",
            ],
            "no such folder",
        ),
        (
            [
                f'{STAMP} CRITICAL: Failed to create file system for "c:d": NewFs: key mismatch',
            ],
            "NewFs: key mismatch",
        ),
        (
            [
                f"{STAMP} Failed to rcat: BadRequest: Bad Request",
                "\tstatus code: 400, request id: 2wK, host id: ",
            ],
            "BadRequest: Bad Request",
        ),
        ([f"{STAMP} ERROR : x: no space left", ""], "x: no space left"),
        ([], ""),
    ],
)
def test_the_reason_is_the_last_that_rclone_says(lines: list[str], expected: str) -> None:
    assert reason(lines) == expected


KNOWN = [
    b"nas ssh-ed25519 AAAA",
    b"# nas ssh-dss AAAA",
    b"[nas]:2222,other ssh-rsa AAAA",
    b"*.example.org,!bad.example.org ecdsa-sha2-nistp256 AAAA",
    b"@revoked nas ecdsa-sha2-nistp256 AAAA",
    # ssh-keygen -H made this of "[hashed]:22022"
    b"|1|V41NS+AN5mjh1KZVbql1kUmkX6A=|Z93IzsSnIha6EhKVTUefU/5FwRw= ssh-ed25519 AAAA",
    b"|1|broken| ssh-ed25519 AAAA",
    b"",
]


@pytest.mark.parametrize(
    ("host", "port", "expected"),
    [
        ("nas", None, ["ssh-ed25519"]),
        ("NAS", "22", ["ssh-ed25519"]),
        ("nas", "2222", ["rsa-sha2-512", "rsa-sha2-256"]),
        ("other", "22", ["rsa-sha2-512", "rsa-sha2-256"]),
        ("x.example.org", "22", ["ecdsa-sha2-nistp256"]),
        ("bad.example.org", "22", []),
        ("unknown", "22", []),
        ("hashed", "22022", ["ssh-ed25519"]),
        ("hashed", "22", []),
    ],
)
def test_the_keys_that_known_hosts_has(host: str, port: str | None, expected: list[str]) -> None:
    assert host_key_algorithms(KNOWN, host, port) == expected


@pytest.mark.parametrize("own", [b"a 1 A\nb 2 B\n", None])
@pytest.mark.parametrize("of_host", [b"c 3 C\n", None])
def test_the_keys_of_the_user_and_of_the_host_are_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own: bytes | None, of_host: bytes | None
) -> None:
    places = {
        "~/.ssh/known_hosts": (tmp_path / "own", own),
        "/etc/ssh/ssh_known_hosts": (tmp_path / "host", of_host),
    }
    for path, lines in places.values():
        if lines is not None:
            path.write_bytes(lines)
    monkeypatch.setattr(os.path, "expanduser", lambda name: places[name][0])
    assert list(known_hosts("")) == ((own or b"") + (of_host or b"")).splitlines()
    with pytest.raises(Unavailable, match="none: No such file"):
        list(known_hosts(str(tmp_path / "none")))


def test_every_storage_can_be_said(tmp_path: Path) -> None:
    assert set(GIVEN) | {"local"} == set(STORAGES)
    for storage in GIVEN:
        assert of(storage).container in str(of(storage))


COPIES = """
import os, sys
for name in sys.stdin.read().splitlines():
    with open(os.path.join(sys.argv[-1], name), "wb", buffering=0) as file:
        left = {sent}
        try:
            while left:
                left -= file.write(bytes(left))
        except OSError as error:
            sys.exit(f"Failed to copy: write {{name}}: {{error.strerror.lower()}}")
"""


@pytest.mark.parametrize(("sent", "arrives"), [(1000, True), (1001, False)])
def test_not_a_byte_more_is_copied_than_was_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sent: int, arrives: bool
) -> None:
    """Whatever a server sends: a disk could be filled by it."""
    for folder in ("bin", "aim"):
        (tmp_path / folder).mkdir()
    (tmp_path / "bin" / "rclone").write_text(f"#!{sys.executable}{COPIES.format(sent=sent)}")
    (tmp_path / "bin" / "rclone").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    moved: list[int] = []
    aim = os.open(tmp_path / "aim", os.O_RDONLY)
    try:
        more = pytest.raises(DataError, match="more bytes came")
        outcome: AbstractContextManager[object] = nullcontext() if arrives else more
        with Rclone("there").copy("remote:", aim, {"a": 1000, "b c": 1000}) as arrival, outcome:
            arrival(moved.append)
    finally:
        os.close(aim)
    found = {path.name: path.stat().st_size for path in (tmp_path / "aim").iterdir()}
    assert found == ({"a": 1000, "b c": 1000} if arrives else {"a": 1000})
    assert sum(moved) == 2000 or not arrives


def test_a_local_backup_carries_nothing_of_the_remotes(tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    (tmp_path / "home").mkdir(mode=0o700)
    action = {"action": "backup", "path_to_backup": f"{tmp_path}/source", "sync": False}
    action["container"] = f"{tmp_path}/c"
    (tmp_path / "action.json").write_text(json.dumps({"freezer_action": action}))
    code = (
        "import sys; from coldchain.cli import run;"
        "run(sys.argv[1:]); print(*sys.modules, file=sys.stderr)"
    )
    words = ["--home", tmp_path / "home", "agent", "--canonical", "--config"]
    done = subprocess.run(
        [sys.executable, "-c", code, *words, tmp_path / "action.json"],
        env={**os.environ, "PYTHONPATH": str(Path(coldchain.__file__).parents[1])},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "level 0" in done.stdout
    modules = set(done.stderr.splitlines()[-1].split())
    assert "coldchain.agent.storages.local" in modules
    assert "coldchain.agent.storages.credentials" not in modules
    assert not [name for name in modules if name.startswith("coldchain.agent.storages.rclone.")]

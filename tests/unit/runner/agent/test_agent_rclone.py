# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a remote storage asks rclone, and what is made of its answers, good and bad.

tests/storages has the real one, and real servers.
"""

from __future__ import annotations

import json
import os
import shlex
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest
from agent_bench import Bench
from rclone_of_files import RcloneOfFiles
from storage_contract import LARGE, LOCK, SCRIPT, absent, one_writer, play

from coldchain.agent.engines.tar import engine, info
from coldchain.agent.storages.base import Access, Storage
from coldchain.agent.storages.location import Location
from coldchain.agent.storages.rclone import limits
from coldchain.agent.storages.rclone.config import Remote
from coldchain.agent.storages.rclone.program import Rclone, can_be_listed
from coldchain.agent.storages.rclone.storage import RemoteStorage
from coldchain.agent.storages.registry import open_storage
from coldchain.core.errors import CannotWrite, ColdchainError, DataError, TryAgain, Unavailable

MARKER = "meta/x/a/1/mark"
OBJECTS = ("s3", "swift")


@dataclass
class Site:
    """A remote whose files lie in *place*/root, below base/deep."""

    place: Path
    rclone: RcloneOfFiles

    def opens(
        self, kind: str, access: Access | None = None, version: tuple[int, int] = (1, 66)
    ) -> RemoteStorage:
        self.rclone.objects = kind in OBJECTS
        remote = Remote("remote:deep/base", {}, (), folders=kind not in OBJECTS)
        rclone = cast("Rclone", self.rclone)
        location = Location(kind, "deep/base")
        locks = self.place / "locks"
        access = access or Access((("data",), ("meta",)))
        return RemoteStorage(location, rclone, remote, locks, access, version)

    def file(self, path: str) -> Path:
        return self.place / "root" / "deep" / "base" / path


@pytest.fixture
def site(tmp_path: Path) -> Site:
    (tmp_path / "root").mkdir()
    return Site(tmp_path, RcloneOfFiles(tmp_path / "root"))


@pytest.fixture
def says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Let the program rclone do for a command what lines of shell say."""
    program = tmp_path / "rclone"
    program.write_text(f'#!/bin/sh\nexec /bin/sh {tmp_path}/does-$1 "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")

    def does(word: str, script: str) -> None:
        (tmp_path / f"does-{word}").write_text(script)
        os.utime(program)  # it is another one now

    return does


Says = Callable[[str, str], None]


def write(storage: RemoteStorage, folder: str = "x/a/1", content: bytes = b"content") -> None:
    """A committed draft of one file."""
    with (
        storage.lock(LOCK),
        storage.draft(LOCK, f"data/{folder}", f"meta/{folder}/mark") as draft,
    ):
        with draft.write("data") as sink:
            sink(content)
        draft.commit(b"m")


@pytest.mark.parametrize("kind", ["ftp", "s3"])
def test_a_remote_keeps_the_contract(site: Site, kind: str) -> None:
    def opens() -> RemoteStorage:
        return site.opens(kind)

    absent(opens)
    one_writer(opens)
    play(opens, SCRIPT)
    assert not opens().is_settled("data/x/a/1/data")
    assert site.file("data/x/a/1/data").read_bytes() == b"again"
    assert not list(site.place.rglob("*killed*"))


@pytest.mark.parametrize("kind", ["ssh", "ftp", "s3"])
def test_what_is_committed_is_seen_beside_what_was_listed_before(site: Site, kind: str) -> None:
    """The listing is kept, and would show how it was, or how it should be."""
    storage = site.opens(kind)
    write(storage)
    assert (storage.names("meta/x/a"), storage.names("meta/x/a/2")) == (["1"], [])
    write(storage, "x/a/2")
    assert (storage.names("meta/x/a"), storage.names("meta/x/a/2")) == (["1", "2"], ["mark"])
    assert storage.size("meta/x/a/2/mark") == 1


# -- folders ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "version", "makes"),
    [("ftp", (1, 60), False), ("ftps", (1, 64), False), ("ftp", (1, 65), True),
     ("ftp", (2, 0), True), ("ssh", (1, 60), True)],
)  # fmt: skip
def test_an_old_rclone_does_not_make_the_folders_of_an_ftp_server(
    site: Site, kind: str, version: tuple[int, int], makes: bool
) -> None:
    site.rclone.makes_folders = makes
    storage = site.opens(kind, version=version)
    write(storage)
    made = [call[1] for call in site.rclone.asked("mkdir")]
    assert len(set(made)) == len(made), "each once"
    write(storage, "x/a/2")
    assert made[:3] == (
        [] if makes else ["remote:deep", "remote:deep/base", "remote:deep/base/data"]
    )
    assert storage.names("data/x/a") == ["1", "2"]
    with storage.lock(LOCK):
        storage.remove(LOCK, "data/x/a/1")
        storage.remove(LOCK, "meta/x/a/1")
    write(storage)
    assert storage.names("data/x/a") == ["1", "2"]


def test_a_folder_appears_with_what_is_in_it_and_goes_with_it(site: Site) -> None:
    storage = site.opens("ssh")
    write(storage)
    (first,) = site.rclone.asked("moveto")
    write(storage, "x/a/2")
    (second,) = site.rclone.asked("moveto")
    assert first[2] == "remote:deep/base/meta/x/a" or first[2] == "remote:deep/base/meta/x/a/1"
    assert second[2] == "remote:deep/base/meta/x/a/2"
    assert site.file("meta/x/a/2/mark").read_bytes() == b"m"
    for path in ("data/x/a/1", "data/x/a/2"):
        with storage.lock(LOCK):
            storage.remove(LOCK, path)
    assert storage.names("data/x") == [], "what became empty goes, too"
    assert site.file("data/x").is_dir(), "but for the two topmost"
    assert site.rclone.asked("rmdir") == [("rmdir", "remote:deep/base/data/x/a")]
    assert storage.names("meta/x/a") == ["1", "2"]


# -- looking --------------------------------------------------------------------------------------


def listed(site: Site) -> list[str]:
    """The folders that were listed since."""
    calls = site.rclone.asked("lsjson")
    return [call[-1].removeprefix("remote:deep/base/").rstrip("/") for call in calls]


@pytest.mark.parametrize("kind", ["s3", "ssh"])
def test_a_backup_lists_nothing_of_other_hosts(
    site: Site, bench: Bench, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """They may have a hundred thousand levels beside it."""

    def opens(
        place: Location, locks: Path | None = None, access: Access | None = None, **limits: object
    ) -> Storage:
        return site.opens(kind, access)

    for module in (engine, info):
        monkeypatch.setattr(module, "open_storage", opens)
    for level in range(2):
        assert bench.level(hostname="host").fields["level"] == level
        assert all("/host_docs" in folder for folder in listed(site))
    assert len(bench.perform("info").fields["backups"]) == 2
    assert sorted(listed(site)) == ["data/tar/host_docs", "metadata/tar"], "nothing twice"


def test_one_listing_serves_all_that_is_asked_around_it(site: Site) -> None:
    write(site.opens("ssh"))
    site.rclone.asked()
    storage = site.opens("ssh", Access((("data/x",), ("meta",))))
    assert storage.names("data/x/a/1") == ["data"] and storage.size("data/x/a/1/data") == 7
    assert storage.modified("data/x/a/1/data") == 1795515753.0
    assert storage.size("data/x/a/1") is None and storage.modified("data/x/a/9") is None
    assert storage.names("meta/x/a") == ["1"] and storage.size(MARKER) == 1
    assert storage.names("data/xy") == []
    assert listed(site) == ["data/x", "meta", "data/xy"]
    with storage.lock(LOCK):
        assert storage.names("data/x") == ["a"]
    assert len(site.rclone.asked("lsjson")) == 1, "what another writer has done is seen"


def test_small_files_come_with_their_neighbours_and_are_kept(site: Site) -> None:
    storage = site.opens("ssh")
    for number in "123":
        write(storage, f"x/a/{number}", b"n" * int(number))
    site.file("data/x/a/3/large").write_bytes(b"l" * ((1 << 20) + 1))
    site.file("data/x/a/2/other").write_bytes(b"o")
    folders = [f"data/x/a/{number}" for number in "123"]
    access = Access((("data",),), lambda path: (folders, ("data", "large")))
    storage = site.opens("ssh", access)
    site.rclone.asked()
    for number in "231":
        with storage.open(f"data/x/a/{number}/data") as stream:
            assert stream.read() == b"n" * int(number)
    ((*_words, root, scratch),) = site.rclone.asked("copy", "cat")
    assert root == "remote:deep/base/" and not Path(scratch).exists()
    for name in ("3/large", "2/other"):
        with storage.open(f"data/x/a/{name}") as stream:
            assert stream.read() == site.file(f"data/x/a/{name}").read_bytes()
    assert [call[0] for call in site.rclone.asked("copy", "cat")] == ["cat", "cat"]
    with storage.lock(LOCK):
        storage.remove(LOCK, "data/x/a/2")
    with pytest.raises(DataError, match="data/x/a/2/data is missing in deep/base"):
        storage.open("data/x/a/2/data")
    vanished = site.opens("ssh", access)
    assert vanished.size("data/x/a/1/data") == 1
    site.file("data/x/a/1/data").unlink()
    with pytest.raises(DataError, match="data/x/a/1/data has vanished"):
        vanished.open("data/x/a/1/data")


@pytest.mark.parametrize("name", ["data", "a\nb"])
def test_a_small_file_alone_is_fetched_by_itself_and_kept(site: Site, name: str) -> None:
    for number in "12":
        write(site.opens("ssh"), f"x/a/{number}")
        site.file(f"data/x/a/{number}/{name}").write_bytes(b"n")
    folders = ["data/x/a/1"] if name == "data" else ["data/x/a/1", "data/x/a/2"]
    storage = site.opens("ssh", Access((("data",),), lambda path: (folders, (name,))))
    site.rclone.asked()
    for _again in range(2):
        with storage.open(f"data/x/a/1/{name}") as stream:
            assert stream.read() == b"n"
    assert [call[0] for call in site.rclone.asked("copy", "cat")] == ["cat"]


# -- writing --------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["ssh", "s3"])
def test_what_is_small_goes_with_one_rclone_and_in_its_order(site: Site, kind: str) -> None:
    """The manifest is the last: what has one is complete."""
    storage = site.opens(kind)
    arrived: list[bytes] = []
    site.rclone.arrives = lambda data: arrived.append(data) or data
    contents = {"data": LARGE, "b": b"1", "a": b"", "c": LARGE[: 100 << 10], "manifest": b"4"}
    with storage.lock(LOCK), storage.draft(LOCK, "data/x/a/1", MARKER) as draft:
        for name, content in contents.items():
            with draft.write(name) as sink:
                for start in range(0, len(content), 1 << 14):
                    sink(content[start : start + (1 << 14)])
        draft.commit(b"marker")
    assert arrived == [*contents.values(), b"marker"]
    sent = site.rclone.asked("rcat", "send")
    assert [call[0] for call in sent] == ["rcat", "send", "rcat"]
    assert [call[1] for call in sent[:2]] == [
        "remote:deep/base/data/x/a/1/data",
        "remote:deep/base/data/x/a/1/",
    ]
    assert storage.names("data/x/a/1") == sorted(contents)


@pytest.mark.parametrize(("arrives", "kept"), [(None, "nothing"), (b"xy", "2 bytes")])
def test_what_has_not_arrived_whole_is_no_backup(
    site: Site, arrives: bytes | None, kept: str
) -> None:
    storage = site.opens("ssh")
    site.rclone.arrives = lambda data: arrives
    with pytest.raises(CannotWrite, match=f"of 7 bytes of data/x/a/1/data the storage kept {kept}"):
        write(storage)
    site.rclone.arrives = lambda data: data
    assert not site.file("data/x/a/1").exists() and storage.size(MARKER) is None
    write(storage)


def test_where_something_is_already_nothing_is_written(site: Site) -> None:
    storage = site.opens("ssh")
    write(storage)
    for folder, marker in (("data/x/a/1", "meta/y/1/mark"), ("data/y/1", MARKER)):
        with (
            pytest.raises(TryAgain, match="was written by another program"),
            storage.lock(LOCK),
            storage.draft(LOCK, folder, marker),
        ):
            pass
    assert site.file(MARKER).exists() and site.file("data/x/a/1/data").exists()


def give_up(storage: RemoteStorage, then: Callable[[], None] = lambda: None) -> None:
    """A draft of one file that is given up."""
    with (
        pytest.raises(ZeroDivisionError),
        storage.lock(LOCK),
        storage.draft(LOCK, "data/x/a/1", MARKER) as draft,
    ):
        with draft.write("data") as sink:
            sink(LARGE)
        then()
        raise ZeroDivisionError


def test_a_storage_that_is_gone_leaves_the_note_for_the_next_run(site: Site) -> None:
    storage = site.opens("s3")
    give_up(storage, lambda: setattr(site.rclone, "gone", True))
    assert site.file("data/x/a/1/data").exists()
    site.rclone.gone = False
    site.rclone.asked()
    with storage.lock(LOCK):
        assert storage.discard_drafts(LOCK) == 1
        assert storage.discard_drafts(LOCK) == 0
    assert not site.file("data/x/a/1/data").exists()
    (cleanup,) = site.rclone.asked("backend")
    assert cleanup[1:] == ("cleanup", "-o", "max-age=0s", "remote:deep/base/data/x/a/1")


def test_a_marker_that_came_although_its_writing_failed_is_the_first_to_go(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It makes what lies there count, of which the rest is removed."""
    storage, genuine = site.opens("s3"), site.rclone.do

    def cut_off(*words: str, **options: Any) -> None:
        genuine(*words, **options)
        if words[0] == "rcat":
            raise CannotWrite("cut off")

    monkeypatch.setattr(site.rclone, "do", cut_off)
    with pytest.raises(CannotWrite, match="cut off"):
        write(storage)
    assert storage.size(MARKER) is None and not site.file(MARKER).exists()
    assert not site.file("data/x/a/1").exists()
    purged = [call[1] for call in site.rclone.asked("purge")]
    assert purged == ["remote:deep/base/meta/x/a/1", "remote:deep/base/data/x/a/1"]


def test_what_was_committed_is_no_remnant_whatever_the_note_says(site: Site) -> None:
    storage = site.opens("ssh")
    write(storage)
    (lock,) = (site.place / "locks").glob("*.lock")
    assert lock.read_text() == ""
    lock.write_text(json.dumps(["data/x/a/1", MARKER]))
    with storage.lock(LOCK):
        assert storage.discard_drafts(LOCK) == 0
    assert lock.read_text() == "" and storage.size(MARKER) == 1
    lock.write_text(json.dumps(["data/y/1"]))
    with storage.lock(LOCK):
        assert storage.discard_drafts(LOCK) == 0, "that names nothing"


@pytest.mark.parametrize("segments", [True, False])
def test_segments_of_swift_go_with_what_they_belong_to(site: Site, segments: bool) -> None:
    folder = site.place / "root" / "deep_segments" / "base" / "data" / "x" / "a" / "1"
    if segments:
        folder.mkdir(parents=True)
        (folder / "part").touch()
    give_up(site.opens("swift"))
    assert not folder.exists()
    called = site.rclone.asked("backend", "purge")
    assert [call[1] for call in called] == [
        "remote:deep/base/data/x/a/1",
        *["remote:deep_segments/base/data/x/a/1"] * segments,
    ]


def test_locks_need_a_place_that_can_be_written(site: Site) -> None:
    (site.place / "locks").touch()
    storage = site.opens("s3")
    with pytest.raises(CannotWrite, match="cannot be written") as refused, storage.lock(LOCK):
        pass
    assert "user that owns it" in refused.value.hint


# -- the program ----------------------------------------------------------------------------------


def test_a_storage_is_opened_with_what_rclone_makes_of_its_password(
    tmp_path: Path, says: Says
) -> None:
    says("version", "echo rclone v1.66.0")
    says("obscure", f"echo x >> {tmp_path}/asked; echo $2; cat")
    says("lsjson", "env >&2; exit 1")
    where = (("ftp_host", "nas"), ("ftp_username", "u"))
    place = Location("ftp", "base", where, secrets=(("ftp_password", "open sesame"),))
    storage = open_storage(place, tmp_path / "locks")
    assert isinstance(storage, RemoteStorage)
    told = storage.rclone._environment
    assert told["RCLONE_CONFIG_COLDCHAIN_PASS"] == "-\nopen sesame"
    assert told["RCLONE_CONFIG_COLDCHAIN_HOST"] == "nas"
    with pytest.raises(Unavailable) as failed:
        storage.names("data")
    assert "sesame" not in failed.value.message
    open_storage(place, tmp_path / "locks")
    assert (tmp_path / "asked").read_text() == "x\n", "once in a process"


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("rclone v1.60.1-DEV", (1, 60)),
        ("rclone v2.1.0", (2, 1)),
        ("rclone v1.59.9", None),
        ("rclone v0.99.0", None),
        ("", None),
    ],
)
def test_an_rclone_that_is_too_old_is_refused(
    says: Says, text: str, version: tuple[int, int] | None
) -> None:
    says("version", f"echo '{text}'; echo '- os/version: debian'")
    if version is not None:
        assert Rclone("there").check_version() == version
        return
    told = rf"is too old: {text or 'unknown'}, not v1\.60 or newer"
    with pytest.raises(Unavailable, match=told) as refused:
        Rclone("there").check_version()
    assert "install rclone" in refused.value.hint


def test_the_first_listing_asks_for_the_version_too(says: Says, tmp_path: Path) -> None:
    says("version", f"echo x >> {tmp_path}/asked; echo rclone v1.66.0")
    says("lsjson", "echo '['; echo ']'")

    def opens() -> RemoteStorage:
        remote = Remote("remote:deep/base", {}, (), folders=False)
        access = Access((("data",),))
        return RemoteStorage(Location("s3", "a"), Rclone("there"), remote, None, access, None)

    storage = opens()
    for folder in ("data", "data/x", "meta"):
        assert storage.names(folder) == []
    # Nor does it say another one the next time.
    assert opens().names("meta") == []
    assert (tmp_path / "asked").read_text() == "x\n"
    # One that is too old says what is wrong, whatever it says of the folder.
    says("version", "echo rclone v1.59.0")
    says("lsjson", "echo 'unknown flag: --no-mimetype' >&2; exit 1")
    with pytest.raises(Unavailable, match="is too old"):
        opens().names("data")


def test_what_a_remote_is_told_comes_from_nowhere_else(
    says: Says, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("RCLONE_X", "RCLONE_CONFIG_Y", "AWS_Z", "OS_Z", "ST_Z"):
        monkeypatch.setenv(name, "foreign")
    says("env", "env")
    ours = dict(line.split("=", 1) for line in Rclone("x", {"A": "1"}).text("env").splitlines())
    assert "foreign" not in ours.values() and ours["RCLONE_CONFIG"] == "/dev/null"
    assert (ours["A"], ours["LC_ALL"], ours["RCLONE_RETRIES"]) == ("1", "C", "2")
    assert ours["RCLONE_TIMEOUT"] == "60s"
    own = Rclone("x", own_config=True).text("env").splitlines()
    foreign = {line.partition("=")[0] for line in own if line.endswith("=foreign")}
    assert foreign == {"RCLONE_CONFIG_Y", "AWS_Z", "OS_Z", "ST_Z"}
    assert "RCLONE_CONFIG=/dev/null" not in own


@pytest.mark.parametrize(("buffered", "limit"), [(0, "6h"), (1 << 24, "5m"), (None, "1h")])
def test_a_stream_may_be_silent_as_long_as_what_feeds_it(
    says: Says, buffered: int | None, limit: str
) -> None:
    says("cat", "cat >/dev/null; printf $RCLONE_TIMEOUT")
    with Rclone("x", max_buffered=buffered).open("there:", "file", len(limit)) as stream:
        assert stream.read() == limit.encode()


@pytest.mark.parametrize(
    ("said", "words", "hint"),
    [
        ("knownhosts: key is unknown", "key is unknown", "ask the admin"),
        ("knownhosts: key mismatch", "key mismatch", ""),
        ("530 Login incorrect for geheim", r"for \*\*\*$", "check user, key and password"),
        ("no space left on device", "no space", "free some space"),
        ("dial tcp: connection refused", "refused", "max_retries tries again"),
        ("didn't find section in config file", "section", "listremotes"),
        ("x509: unknown authority", "x509", "ca_cert"),
        ("nobody knows", "nobody knows", ""),
        ("", "rclone ended with exit code 9", ""),
    ],
)
def test_a_failure_has_rclones_reason_and_our_remedy(
    says: Says, said: str, words: str, hint: str
) -> None:
    says("purge", f"echo {shlex.quote(said)} >&2; exit 9")
    told = Rclone("there", {}, ("geh", "", "geheim"), hints={"unknown_key": "ask the admin"})
    with pytest.raises(CannotWrite, match=f"^there: .*{words}|^there: {words}") as failed:
        told.do("purge", "x")
    assert hint in failed.value.hint and bool(hint) == bool(failed.value.hint)
    with pytest.raises(Unavailable, match=words):
        told.text("purge", "x")


def test_a_killed_rclone_is_told_by_its_signal(says: Says) -> None:
    says("purge", "kill -9 $$")
    with pytest.raises(CannotWrite, match="rclone ended with signal 9"):
        Rclone("there").do("purge", "x")


def test_a_listing_of_nothing_and_one_that_is_cut(says: Says) -> None:
    rclone = Rclone("there")

    def lines(script: str, last: bytes = b"") -> list[bytes]:
        says("lsf", script)
        with rclone.lines("lsf", "x:", last=last) as told:
            return [line for line in told if line]

    assert lines("echo not there >&2; exit 3") == []
    assert lines("echo '550 x: No such file or directory' >&2; exit 1") == []
    assert lines("printf 'a\\nb\\n'") == [b"a", b"b"]
    assert lines("printf 'a\\n]'", b"]") == lines("printf 'a\\n]\\n\\n'", b"]") == [b"a", b"]"]
    for answer in ("a\\n", "]\\nb", "", "]\\n\\nb\\n"):
        with pytest.raises(Unavailable, match="the answer to lsf ends before its last line"):
            lines(f"printf '{answer}'", b"]")
    with pytest.raises(Unavailable, match="denied"):
        lines("echo x; echo denied >&2; exit 1")


@pytest.mark.parametrize(
    ("script", "size", "error"),
    [
        ("printf 1234567", 7, None),
        ("printf 123456", 7, "1 bytes are missing"),
        ("printf 12345678", 7, "more bytes came"),
        ("printf 1234567; echo denied >&2; exit 1", 7, "there: denied"),
        ("exit 0", 7, "7 bytes are missing"),
        ("exit 0", 0, None),
    ],
)
def test_a_file_is_whole_or_an_error(says: Says, script: str, size: int, error: str | None) -> None:
    says("cat", f"cat >/dev/null; {script}")
    stream = Rclone("there").open("x:", "file", size)
    assert stream.readable()
    if error is None:
        assert stream.read() == b"1234567"[:size]
    else:
        with pytest.raises(ColdchainError, match=error):
            stream.read()
    stream.close()
    stream.close()


@pytest.mark.parametrize("script", ["exec sleep 60", "trap '' TERM; exec sleep 60"])
def test_a_silent_rclone_counts_as_dead_and_is_ended(
    says: Says, script: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "PATIENCE", 0.1)
    monkeypatch.setattr(limits, "STALL", 0.2)
    monkeypatch.setattr(limits, "FINISH", 0.2)
    for word in ("cat", "rcat", "do"):
        says(word, script)
    rclone = Rclone("there")
    begun = time.monotonic()
    with (
        pytest.raises(Unavailable, match="no answer for 0 seconds"),
        rclone.open("x:", "y", 9) as stream,
    ):
        stream.read()
    with pytest.raises(CannotWrite, match="no answer for 0 seconds"):
        rclone.do("do", limit=0.2)
    with pytest.raises(CannotWrite, match="no answer"), rclone.write("x:y") as feed:
        feed(b"1" * (1 << 20))
    with pytest.raises(CannotWrite, match="no answer"), rclone.write("x:y") as feed:
        feed(b"1")
    assert time.monotonic() - begun < 50


def test_a_write_that_is_left_early_is_ended_before_its_file_could_end(
    tmp_path: Path, says: Says
) -> None:
    target = tmp_path / "target"
    says("rcat", f"read -r line; echo $line >{target}")
    rclone = Rclone("there")
    with pytest.raises(ZeroDivisionError), rclone.write("x:file") as feed:
        feed(b"half")
        raise ZeroDivisionError
    assert not target.exists()
    with rclone.write("x:file") as feed:
        feed(b"who")
        feed(b"le")
    assert target.read_bytes() == b"whole\n"
    for script, words in (("echo full >&2; exit 1", "there: full"), ("exit 0", "stopped reading")):
        says("rcat", f"exec <&-; {script}")
        with pytest.raises(CannotWrite, match=words), rclone.write("x:y") as feed:
            for _piece in range(9):
                feed(b"1" * (1 << 16))


@pytest.mark.parametrize("name", ["a\nb", "a\rb", "a\r\nb", "\n", "b\r"])
def test_a_name_with_a_line_end_is_in_no_list_for_rclone(name: str) -> None:
    assert can_be_listed(["x/a", "x/b"])
    assert not can_be_listed(["x/a", f"x/{name}"])

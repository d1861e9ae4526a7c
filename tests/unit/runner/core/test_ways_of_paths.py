# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Nobody else can put another directory in the place of an installation's."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from agent_bench import make_bench
from agent_trees import state
from agent_users import NOBODY, as_nobody
from posix_acl import USER, acl, set_acl

from coldchain.agent.engines.tar.stored import cipher
from coldchain.core.credentials import read_credentials
from coldchain.core.errors import ColdchainError, Unavailable
from coldchain.core.files import remove_file
from coldchain.core.paths import Paths
from coldchain.execution import run_log
from coldchain.runner.metrics import publish
from coldchain.store import Store, history
from coldchain.store.retention import _remove

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives directories away")
GROUP = 54321


@pytest.fixture
def yard() -> Iterator[Path]:
    """Where others can look in; pytest's own directories are closed to them."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def theirs(folder: Path) -> None:
    os.chown(folder, NOBODY, NOBODY)


def of_a_group(folder: Path) -> None:
    os.chown(folder, 0, GROUP)
    folder.chmod(0o775)


def of_everybody(folder: Path) -> None:
    folder.chmod(0o777)


def theirs_by_an_acl(folder: Path) -> None:
    set_acl(folder, acl([(USER, 7, NOBODY)]))


def sticky(folder: Path) -> None:
    folder.chmod(0o1777)


def roots(folder: Path) -> None:
    folder.chmod(0o775)


SAFE, UNSAFE = [sticky, roots], [theirs, of_a_group, of_everybody, theirs_by_an_acl]


def installed(yard: Path) -> dict[str, Paths]:
    """An installation with a home, and one like the host's."""
    for name in ("etc", "lib", "log"):
        (yard / name).mkdir()
    apart = Paths(
        settings=yard / "etc" / "coldchain" / "runner.conf",
        lib=yard / "lib" / "coldchain",
        log=yard / "log" / "coldchain",
        containers=yard / "backups",
    )
    found = {"home": Paths.under(yard / "above" / "home"), "host": apart}
    for paths in found.values():
        paths.create()
        paths.settings.parent.mkdir(mode=0o755)
        paths.settings.write_text("[runner]\n")
    return found


@pytest.mark.parametrize("change", [*SAFE, *UNSAFE])
@pytest.mark.parametrize("place", ["above", "etc", "lib", "log"])
def test_a_place_whose_way_others_can_change_is_refused(
    yard: Path, place: str, change: Callable[[Path], None]
) -> None:
    both = installed(yard)
    paths = both["home" if place == "above" else "host"]
    paths.check()
    assert paths.secure() == []
    change(yard / place)
    # As Ubuntu's /var/log is syslog's.
    if change in SAFE or (place == "log" and change is of_a_group):
        paths.check()
        return
    for act in (paths.check, paths.create, lambda: Store.open(paths, create=False)):
        with pytest.raises(Unavailable, match="can rename") as caught:
            act()
        assert str(yard / place) in caught.value.message and "chmod go-w" in caught.value.hint


@pytest.mark.parametrize("mode", [0o755, 0o775])
def test_a_user_s_home_with_a_group_of_their_own_is_good(yard: Path, mode: int) -> None:
    home = yard / "home"
    home.mkdir()
    theirs(home)
    home.chmod(mode)

    def work() -> str:
        paths = Paths.under(home / "coldchain")
        paths.create()
        return "\n".join(paths.secure())

    assert as_nobody(work) == ""
    with pytest.raises(Unavailable, match="belongs to user id"):
        Paths.under(home / "coldchain").check()


def test_a_link_of_roots_leads_to_an_installation_and_nobody_elses(yard: Path) -> None:
    installed(yard)
    (yard / "to").symlink_to("above")
    Paths.under(yard / "to" / "home").check()
    os.chown(yard / "to", NOBODY, NOBODY, follow_symlinks=False)
    with pytest.raises(Unavailable, match="somebody else made"):
        Paths.under(yard / "to" / "home").check()


def test_logs_are_neither_written_nor_removed_through_a_link_of_syslogs(yard: Path) -> None:
    paths = installed(yard)["host"]
    store = Store.open(paths, create=True)
    store.add_history("a", {"run_id": "r", "time_ended": 1.0})
    run_log.RunLog(paths.run_log("a", "r")).note("one")
    of_a_group(yard / "log")
    paths.log.rename(yard / "log" / "moved")
    victim = yard / "victim"
    (victim / "a").mkdir(parents=True)
    (victim / "a" / "r.log").write_text("precious" * 100_000)
    paths.log.symlink_to(victim)
    before = state(os.fsencode(victim))
    with pytest.raises(OSError, match="somebody else made"):
        run_log.RunLog(paths.run_log("a", "r")).note("two")
    with pytest.raises(OSError, match="somebody else made"):
        run_log.bound(paths.run_log("a", "r"), 4096)
    for write in (
        lambda: store.add_history("a", {"run_id": "s", "time_ended": 2.0}),
        lambda: store.add_history("b", {"run_id": "s", "time_ended": 2.0}),
        lambda: history.keep_newest(paths.history("a"), []),
    ):
        with pytest.raises(ColdchainError, match="somebody else made"):
            write()
    _remove(paths.job_log("a"))
    for remove in (lambda: remove_file(paths.run_log("a", "r")), lambda: store.tidy_history("a")):
        with pytest.raises(OSError, match="somebody else made"):
            remove()
    assert state(os.fsencode(victim)) == before


def test_a_link_of_roots_leads_to_the_logs_of_a_job_and_nobody_elses(yard: Path) -> None:
    paths = installed(yard)["host"]
    Store.open(paths, create=True)
    (yard / "large").mkdir(mode=0o700)
    link = paths.job_log("a")
    link.symlink_to(yard / "large")
    run_log.RunLog(paths.run_log("a", "r")).note("one")
    assert (yard / "large" / "r.log").read_text() == "one\n"
    os.chown(link, NOBODY, NOBODY, follow_symlinks=False)
    with pytest.raises(OSError, match="somebody else made"):
        run_log.RunLog(paths.run_log("a", "r")).note("two")
    assert (yard / "large" / "r.log").read_text() == "one\n"


def test_the_file_for_prometheus_is_written_in_the_directory_of_somebody_else(yard: Path) -> None:
    folder, victim = yard / "theirs", yard / "victim"
    for made in (folder, victim):
        made.mkdir()
    theirs(folder)
    (folder / "x.prom.tmp").write_text("mine")
    publish(folder / "x.prom", b"first")
    assert {path.name: path.read_text() for path in folder.iterdir()} == {
        "x.prom": "first",
        "x.prom.tmp": "mine",
    }
    assert (folder / "x.prom").stat().st_mode & 0o777 == 0o644
    (folder / "to").symlink_to(victim)
    os.chown(folder / "to", NOBODY, NOBODY, follow_symlinks=False)
    with pytest.raises(ColdchainError, match="somebody else made"):
        publish(folder / "to" / "x.prom", b"second")
    assert list(victim.iterdir()) == []


def test_the_credentials_that_are_read_are_those_that_were_judged(
    yard: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, other = yard / "credentials", yard / "other"
    path.write_text("SECRET=good\n")
    other.write_text("SECRET=forged\n")
    for file in (path, other):
        file.chmod(0o600)
    theirs(other)
    judged = os.fstat

    def swap(descriptor: int) -> os.stat_result:
        if os.readlink(f"/proc/self/fd/{descriptor}") == str(path):
            other.rename(path)
        return judged(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fstat", swap)
        assert read_credentials(path, ["SECRET"]) == {"SECRET": "good"}
    with pytest.raises(ColdchainError, match="belongs to user id"):
        read_credentials(path, ["SECRET"])


def test_a_password_that_others_can_choose_is_told(
    yard: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cipher, "ITERATIONS", 1000)  # no secret is kept here
    bench = make_bench(yard)
    (bench.source / "file").write_text("x")
    folder = yard / "theirs"
    folder.mkdir()
    secret = folder / "password"
    secret.write_text("correct horse\n")
    secret.chmod(0o600)
    assert bench.backup(encrypt_pass_file=str(secret)).warnings == ()
    theirs(folder)
    (told,) = bench.backup(encrypt_pass_file=str(secret)).warnings
    assert f"can put another file in the place of {secret}, in {folder}" in told

# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever bytes a name has, what is shown of it can be asked for and comes back."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from pathlib import Path

import pytest
from agent_bench import Bench, make_bench
from cli_command import Command
from examples import examples
from hypothesis import example, given, settings
from hypothesis import strategies as st

from coldchain.core.text import path_text, text_path

PIECES = [
    b"a",
    b"\\",
    b"\\x",
    b"ff",
    b"\xff",
    b"\n",
    b"\t",
    b"\x1b",
    b"\xc2\x85",
    "\u200b".encode(),
    b"u0085",
    "\U0001f600".encode(),
    b"*",
    b"-",
    b"~",
]
STEPS = st.one_of(
    st.lists(st.sampled_from(PIECES), min_size=1, max_size=4).map(b"".join),
    st.binary(min_size=1, max_size=20),
)
NAMES = STEPS.filter(
    lambda name: b"/" not in name and b"\0" not in name and name not in (b".", b"..")
)


@given(st.binary(max_size=30))
def test_a_path_as_text_is_read_back(path: bytes) -> None:
    text = path_text(path)
    assert text.isprintable() and text_path(text) == path
    assert json.loads(json.dumps(text)) == text


@given(st.text(max_size=20))
def test_a_text_is_that_of_one_path_or_of_none(text: str) -> None:
    path = text_path(text)
    if path is not None and path_text(path) != text:
        # Another spelling of the same.
        assert text_path(path_text(path)) == path


@pytest.mark.long
@settings(max_examples=examples(15, 250))
@given(st.sets(NAMES, min_size=1, max_size=4), st.booleans(), st.booleans())
@example({b"a\\xff", b"a\xff"}, False, False)
@example({b"a\\\\xff", b"a\\xff"}, False, True)
def test_what_is_shown_of_a_name_is_accepted(names: set[bytes], below: bool, foreign: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        bench = make_bench(Path(folder))
        where = os.fsencode(bench.source) + (b"/d\xfe\\" if below else b"")
        os.makedirs(where, exist_ok=True)
        for name in names:
            with open(os.path.join(where, name), "wb") as stream:
                stream.write(name)
        bench.level()
        if foreign:
            for part in ("manifest.json", "entries.gz", "tree.gz"):
                for path in bench.container.glob(f"data/tar/*/*/*/{part}"):
                    path.unlink()
        shown = bench.restore(dry_run=True).fields["names"]
        assert isinstance(shown, list) and len(shown) == len(names)
        for text in shown:
            for path in (text, f"{path_text(os.fsencode(bench.source))}/{text}"):
                if foreign and path is not text:
                    continue  # where it was is not on record
                assert bench.restore(dry_run=True, restore_paths=[path]).fields["names"] == [text]
                bench.restore(restore_paths=[path])
                (found,) = (
                    os.path.join(at, one)
                    for at, _unused, files in os.walk(os.fsencode(bench.target))
                    for one in files
                )
                assert path_text(os.path.relpath(found, os.fsencode(bench.target))) == text
                shutil.rmtree(bench.target)


@pytest.mark.parametrize("name", [b"caf\xe9", b"a\\b", b"a\\x41", b"line\nend"])
def test_the_command_takes_a_name_as_the_shell_has_it_and_as_it_shows_it(
    bench: Bench,
    name: bytes,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    command = Command(bench.root / "home", capsys, monkeypatch)
    with open(os.path.join(os.fsencode(bench.source), name), "wb") as stream:
        stream.write(b"x")
    bench.backup()
    for text in (os.fsdecode(name), path_text(name)):
        words = ["--container", str(bench.container), "--hostname", "host", "--backup-name", "docs"]
        code = command("restore", *words, "--restore-abs-path", str(bench.target), "--", text)
        assert code == 0, command.err
        assert os.listdir(os.fsencode(bench.target)) == [name]
        shutil.rmtree(bench.target)

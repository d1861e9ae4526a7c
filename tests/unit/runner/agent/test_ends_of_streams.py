# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever is missing at the end of what a compressor writes is seen, and nothing else is."""

from __future__ import annotations

import random
import subprocess

import pytest
from agent_bench import INSTALLED, needs

from coldchain.agent.engines.tar.backup.stream_end import Ending
from coldchain.agent.process.tools import COMPRESSIONS

_SIZES = (512, 10_240, 300_000)


def _is_whole(compression: str, stream: bytes, packed: int, step: int = 1 << 16) -> bool:
    ending = Ending(compression)
    for start in range(0, len(stream), step):
        ending.take(stream[start : start + step])
    assert ending.size == len(stream)
    return ending.is_whole(packed)


def _pack(compression: str, plain: bytes, *options: str) -> bytes:
    argv = [*COMPRESSIONS[compression].compressor(), *options]
    return subprocess.run(argv, input=plain, stdout=subprocess.PIPE, check=True).stdout


@pytest.mark.parametrize("noise", [False, True])
@pytest.mark.parametrize("size", _SIZES)
@pytest.mark.parametrize("compression", INSTALLED)
def test_a_stream_without_its_end_is_told_from_a_whole_one(
    compression: str, size: int, noise: bool
) -> None:
    plain = random.Random(size).randbytes(size) if noise else bytes(size)
    stream = _pack(compression, plain)
    for step in (7777, 1 << 16, *((1,) if len(stream) < 20_000 else ())):
        assert _is_whole(compression, stream, size, step)
    for cut in (*range(1, 14), 100, len(stream) // 2, len(stream) - 1, len(stream)):
        if cut <= len(stream):
            assert not _is_whole(compression, stream[: len(stream) - cut], size)
    assert not _is_whole(compression, stream + b"x", size)


@pytest.mark.parametrize("compression", [name for name in ("gzip", "xz") if name in INSTALLED])
def test_a_stream_of_less_than_tar_wrote_is_not_whole(compression: str) -> None:
    assert not _is_whole(compression, _pack(compression, bytes(10_240)), 10_240 + 512)


@needs("xz")
def test_blocks_of_several_cores_are_summed_up() -> None:
    plain = bytes(300_000)
    assert _is_whole("xz", _pack("xz", plain, "-T2", "--block-size=100000"), len(plain))


@needs("zstd")
def test_every_frame_of_a_stream_counts() -> None:
    skipped = b"\x50\x2a\x4d\x18\x00\x00\x00\x00\x51\x2a\x4d\x18\x02\x00\x00\x00xx"
    stream = _pack("zstd", b"one") + skipped + _pack("zstd", bytes(3000))
    assert _is_whole("zstd", stream, 3003)
    assert not _is_whole("zstd", stream[:-1], 3003)


@needs("bzip2")
def test_zeros_fill_the_last_byte_of_bzip2() -> None:
    """Each bit of it: where there is one to fill, no other value of it is an end."""
    changed = []
    for size in range(1, 9):
        stream = _pack("bzip2", random.Random(size).randbytes(size))
        changed.append(_is_whole("bzip2", stream[:-1] + bytes([stream[-1] | 1]), size))
    assert not all(changed)

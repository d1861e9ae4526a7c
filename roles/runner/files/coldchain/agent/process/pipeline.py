# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A chain of processes joined by pipes, without a shell, with the exit code of every stage."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import IO, NamedTuple

from coldchain.agent.process.signals import defer_signals, how_ended
from coldchain.core.files import write_all
from coldchain.core.text import said

CHUNK = 1 << 20
#: One read of what the last stage writes.  A buffer beyond 128 KiB comes from mmap, and each of its
#: pages from a page fault.
_PIECE = 1 << 16
#: A stage that ignores SIGTERM is killed after so many seconds.
PATIENCE = 5.0
#: fcntl.F_SETPIPE_SZ, which Python has since 3.10.
_SET_PIPE_SIZE = 1031
_LINE_LIMIT = 1 << 20
_TAIL = 20
#: tar's last words, which say nothing about the cause.
_FAREWELLS = ("Exiting with failure status due to previous errors", "exiting now")

#: Between two looks at a listing: tar flushes after each member, and a wake-up for each would
#: cost more than the archive.
_PAUSE = 0.01

#: Variables that are more options for a program: a job says all that there are.
_OPTIONS = frozenset(
    {
        *("TAR_OPTIONS", "TAPE", "GZIP", "BZIP", "BZIP2", "XZ_OPT", "XZ_DEFAULTS"),
        *("ZSTD_CLEVEL", "ZSTD_NBTHREADS"),
    }
)

LineSink = Callable[[bytes], None]
#: Gets whole lines, many at a time, each with its newline.
BlockSink = Callable[[bytes], None]


class Stage(NamedTuple):
    """One process: *errors* gets each line of stderr, *output* the lines of stdout (last only).

    program: what it is called, where it is not what argv begins with; folder: where it begins;
    secret: what it reads from a descriptor of its own, whose number is added to the end of argv;
    tap: sees each piece of stdout on its way to the next stage, in a thread.
    """

    argv: Sequence[str | bytes]
    errors: LineSink | None = None
    output: BlockSink | None = None
    pass_fds: tuple[int, ...] = ()
    program: str = ""
    folder: str | None = None
    secret: bytes = b""
    tap: Callable[[bytes], None] | None = None

    @property
    def name(self) -> str:
        """The program's name, as messages and exit codes go by it."""
        return self.program or os.path.basename(os.fsdecode(self.argv[0]))


class Exit(NamedTuple):
    """How a stage ended: the exit code (negative: the signal) and the last lines of stderr.

    early: it did not read to the end of what the stage before wrote.
    """

    name: str
    code: int
    errors: tuple[str, ...]
    early: bool = False

    def describe(self) -> str:
        """For people: tar ended with exit code 2: its last complaint."""
        how = "before it had read all" if self.early else f"with {how_ended(self.code)}"
        lines = [line for line in self.errors if not line.endswith(_FAREWELLS)]
        return f"{self.name} ended {how}" + (f": {lines[-1]}" if lines else "")


class Pipeline:
    """Runs the stages inside a ``with`` block; leaving it early ends them all.

    With *feed* the caller writes the first stage's stdin (``write``), else it is the descriptor
    *source* or empty.  The last stage's stdout goes to the descriptor *target*, to the stage's
    ``output`` line by line, or to the caller (``chunks``).  Memory: CHUNK plus the pipes.
    """

    def __init__(
        self,
        stages: Sequence[Stage],
        *,
        feed: bool = False,
        source: int = subprocess.DEVNULL,
        target: int = subprocess.PIPE,
    ) -> None:
        self._stages = stages
        self._source = subprocess.PIPE if feed else source
        self._target = target
        self._processes: list[subprocess.Popen[bytes]] = []
        self._threads: list[threading.Thread] = []
        self._tails: list[deque[str]] = [deque(maxlen=_TAIL) for _unused in stages]
        self._ended = threading.Event()

    def __enter__(self) -> Pipeline:
        environment = {k: v for k, v in os.environ.items() if k not in _OPTIONS}
        environment["LC_ALL"] = "C"
        # tar shows times in UTC, and does not look at /etc/localtime for each.
        environment["TZ"] = "UTC0"
        try:
            with defer_signals():
                self._start(environment)
        except BaseException:
            self._end()
            raise
        return self

    def _start(self, environment: Mapping[str, str]) -> None:
        source: int | IO[bytes] = self._source
        last = len(self._stages) - 1
        for number, (stage, tail) in enumerate(zip(self._stages, self._tails)):
            with _handed_over(stage) as (argv, pass_fds):
                process = subprocess.Popen(
                    argv,
                    bufsize=0,
                    stdin=source,
                    stdout=self._target if number == last else subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    env=environment,
                    pass_fds=pass_fds,
                    cwd=stage.folder,
                )
            if self._processes and not isinstance(source, int):
                source.close()
            self._processes.append(process)
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    widen(pipe.fileno())
            assert process.stderr is not None
            if process.stdout is not None:
                source = process.stdout
                if stage.tap is not None and number != last:
                    source = self._tapped(process.stdout, stage.tap)
            self._follow(_drain, process.stderr.fileno(), _both(stage.errors, tail))
        if self._stages[-1].output is not None:
            self.read_blocks(self._last_output().fileno(), self._stages[-1].output)

    def _tapped(self, stream: IO[bytes], tap: Callable[[bytes], None]) -> IO[bytes]:
        """The reading end of a pipe into which a thread hands on what *stream* brings."""
        reader, writer = os.pipe()
        widen(writer)
        pump = threading.Thread(target=_pump, args=(stream, writer, tap), daemon=True)
        pump.start()
        self._threads.append(pump)
        return os.fdopen(reader, "rb", buffering=0)

    def __exit__(self, *exception: object) -> None:
        self._end()

    def read_blocks(self, descriptor: int, sink: BlockSink) -> None:
        """Hand the lines from *descriptor* to *sink* until it is at its end, in a thread."""
        widen(descriptor)
        self._follow(self._drain_blocks, descriptor, sink)

    def _follow(
        self, drain: Callable[[int, LineSink], None], descriptor: int, sink: LineSink
    ) -> None:
        thread = threading.Thread(target=drain, args=(descriptor, sink), daemon=True)
        thread.start()
        self._threads.append(thread)

    def _drain_blocks(self, descriptor: int, sink: BlockSink) -> None:
        rest = b""
        while chunk := os.read(descriptor, CHUNK):
            lines, newline, rest = (rest + chunk).rpartition(b"\n")
            if newline or len(rest) > _LINE_LIMIT:
                sink(lines + newline if newline else rest + b"\n")
                rest = rest if newline else b""
            self._ended.wait(_PAUSE)
        if rest:
            sink(rest + b"\n")

    def chunks(self) -> Iterator[bytes]:
        """What the last stage writes."""
        descriptor = self._last_output().fileno()
        while chunk := os.read(descriptor, _PIECE):
            yield chunk

    def write(self, chunk: bytes) -> bool:
        """Feed the first stage; False when it does not read any more."""
        stream = self._processes[0].stdin
        assert stream is not None
        view = memoryview(chunk)
        try:
            while view:
                view = view[stream.write(view) :]
        except BrokenPipeError:
            return False
        return True

    def close_feed(self) -> None:
        """Let the first stage see the end of its input."""
        stream = self._processes[0].stdin
        if stream is not None:
            stream.close()

    def finish(self) -> list[Exit]:
        """Close the feed, wait for all stages and say how each ended, in order."""
        self.close_feed()
        codes = [process.wait() for process in self._processes]
        self._ended.set()
        for thread in self._threads:
            thread.join()
        return [
            Exit(stage.name, code, tuple(tail))
            for stage, code, tail in zip(self._stages, codes, self._tails)
        ]

    def _last_output(self) -> IO[bytes]:
        stream = self._processes[-1].stdout
        assert stream is not None
        return stream

    def _end(self) -> None:
        with defer_signals():
            for process in self._processes:
                if process.poll() is None:
                    process.terminate()
            for process in self._processes:
                try:
                    process.wait(PATIENCE)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
            self._ended.set()
            for thread in self._threads:
                thread.join()
            for process in self._processes:
                for stream in (process.stdin, process.stdout, process.stderr):
                    if stream is not None and not stream.closed:
                        stream.close()


@contextlib.contextmanager
def _handed_over(stage: Stage) -> Iterator[tuple[list[str | bytes], tuple[int, ...]]]:
    """The arguments of *stage*, and the descriptors that it inherits; ours are closed after it.

    A secret lies in a memory file: no name leads to it, and no argument shows it.
    """
    argv, pass_fds = list(stage.argv), stage.pass_fds
    if not stage.secret:
        yield argv, pass_fds
        return
    descriptor = os.memfd_create("secret")
    try:
        write_all(descriptor, stage.secret)
        os.lseek(descriptor, 0, os.SEEK_SET)
        last = os.fsdecode(argv.pop())
        yield [*argv, f"{last}{descriptor}"], (*pass_fds, descriptor)
    finally:
        os.close(descriptor)


def failure(exits: Sequence[Exit], allowed: Mapping[str, Sequence[int]]) -> Exit | None:
    """The stage that is to blame, if any: not one that merely lost its reader to a dead pipe.

    *allowed* are the exit codes beside 0 that are no failure, by name of the program.
    """
    bad = [end for end in exits if end.code != 0 and end.code not in allowed.get(end.name, ())]
    causes = [end for end in bad if end.code != -signal.SIGPIPE]
    if causes or not bad:
        return next(iter(causes), None)
    reader = exits.index(bad[-1]) + 1
    return exits[reader]._replace(early=True) if reader < len(exits) else bad[-1]


def widen(pipe: int) -> None:
    """Let *pipe* hold CHUNK bytes, not 64 KiB: its ends wait for each other far less often.

    Beyond the system's bound for one user (64 MB of pipes) it stays as it is.
    """
    with contextlib.suppress(OSError):
        fcntl.fcntl(pipe, _SET_PIPE_SIZE, CHUNK)


def _both(sink: LineSink | None, tail: deque[str]) -> LineSink:
    def take(line: bytes) -> None:
        """Hand *line* on, and keep it for the message of a failure."""
        if sink is not None:
            sink(line)
        tail.append(said(line))

    return take


def _pump(stream: IO[bytes], writer: int, tap: Callable[[bytes], None]) -> None:
    """Hand on what *stream* brings; at its end, and when nobody reads any more, close both."""
    try:
        with stream:
            while piece := os.read(stream.fileno(), _PIECE):
                tap(piece)
                write_all(writer, piece)
    except BrokenPipeError:
        pass  # the stage before gets it, too, and the one behind is to blame
    finally:
        os.close(writer)


def _drain(descriptor: int, sink: LineSink) -> None:
    with os.fdopen(os.dup(descriptor), "rb") as stream:
        while line := stream.readline(_LINE_LIMIT):
            sink(line.rstrip(b"\n"))

# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Our TinyDB storage beside TinyDB's own, in one run: damage under kill -9 and cost of a change.

.venv/bin/python tests/benchmarks/store.py [ROUNDS]
"""

from __future__ import annotations

import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tinydb import TinyDB

from coldchain.core.paths import Paths
from coldchain.store import Bounds, State, Store

PACKAGE = Path(__file__).resolve().parents[2] / "roles" / "runner" / "files"
WRITER = """
import sys
from pathlib import Path
kind, where = sys.argv[1], Path(sys.argv[2])
texts = ["x" * (n * 7919 % 4000) for n in range(50)]
if kind == "stock":
    from tinydb import TinyDB
    db = TinyDB(where / "db.json")
    if not len(db):
        db.insert_multiple({"n": n, "text": "y" * 300} for n in range(1000))
    print("go", flush=True)
    while True:
        for text in texts:
            db.update({"text": text}, doc_ids=[500])
else:
    from coldchain.core.paths import Paths
    from coldchain.store import Change, Store
    store = Store.open(Paths.under(where), create=True)
    if not store.jobs():
        store.apply([Change(f"j{n}", {"text": "y" * 300}) for n in range(1000)])
    print("go", flush=True)
    while True:
        for text in texts:
            store.apply([Change("j500", {"text": text})])
"""


def readable(kind: str, where: Path) -> bool:
    try:
        if kind == "stock":
            return len(json.loads((where / "db.json").read_text())["_default"]) == 1000
        return len(Store(Paths.under(where)).jobs()) == 1000
    except (ValueError, KeyError):
        return False


def damaged(kind: str, rounds: int) -> int:
    """How many of *rounds* kills in the middle of writing left an unreadable database."""
    lost = 0
    scratch = tempfile.TemporaryDirectory()
    for number in range(rounds):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, kind, scratch.name],
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(PACKAGE)},
        )
        assert writer.stdout is not None
        writer.stdout.readline()
        time.sleep(0.02 + 0.0017 * (number % 40))
        writer.send_signal(signal.SIGKILL)
        writer.communicate()
        if not readable(kind, Path(scratch.name)):
            lost += 1
            scratch.cleanup()
            scratch = tempfile.TemporaryDirectory()
    scratch.cleanup()
    return lost


def median_ms(act: Callable[[int], object], repeat: int = 15) -> float:
    times = []
    for number in range(repeat):
        began = time.perf_counter()
        act(number)
        times.append((time.perf_counter() - began) * 1000)
    return statistics.median(times)


def change_cost(rows: int) -> tuple[float, float]:
    """Milliseconds of one durable change among *rows*: ours, and TinyDB's own storage."""
    row = {"status": "scheduled", "result": "success", "last_run": {"message": "m" * 300}}
    with tempfile.TemporaryDirectory() as scratch:
        store = Store.open(Paths.under(Path(scratch)), create=True)
        store.commit_states({f"j{n}": State(last_run={"message": "m" * 300}) for n in range(rows)})
        ours = median_ms(lambda n: store.commit_states({f"j{n}": State(result="fail")}))
        stock = TinyDB(Path(scratch) / "stock.json")
        stock.insert_multiple(dict(row) for _ in range(rows))
        return ours, median_ms(lambda n: stock.update({"result": "fail"}, doc_ids=[n + 1]))


def run_cost(kept: int) -> float:
    """Milliseconds to put a run on record and bound the history, with *kept* runs kept already."""
    bounds = Bounds(10**6, 10**6, 10**12)
    with tempfile.TemporaryDirectory() as scratch:
        store = Store.open(Paths.under(Path(scratch)), create=True)

        def run(number: int) -> None:
            entry = {"run_id": f"r{number}", "time_ended": time.time(), "message": "m" * 500}
            store.add_history("job", entry)
            store.bound_history("job", f"r{number}", bounds)

        path = store.paths.history("job")
        path.parent.mkdir()
        entry = {"run_id": "r", "time_ended": time.time(), "message": "m" * 500}
        path.write_text((json.dumps(entry) + "\n") * kept)
        run(0)  # looks at all of them, once after the start
        return median_ms(run, 50)


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 60
    print(f"unreadable after {rounds} x kill -9: ours {damaged('ours', rounds)},", end=" ")
    print(f"TinyDB's JSONStorage {damaged('stock', rounds)}")
    for rows in (100, 1000, 10000):
        ours, stock = change_cost(rows)
        print(
            f"one change among {rows:6}: ours {ours:7.2f} ms, JSONStorage {stock:7.2f} ms,", end=" "
        )
        print(f"{stock / ours:.1f} times")
    costs = ", ".join(f"{run_cost(kept):.2f} ms with {kept}" for kept in (10, 1000, 100000))
    print(f"a run on record, by the number of runs kept: {costs}")


if __name__ == "__main__":
    main()

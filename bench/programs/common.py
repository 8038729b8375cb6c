"""What every measured program shares: arguments, timed loops, patterns, output.

A program is started by a library's own mpiexec with the rows that it shall measure:

    mpiexec -n 2 python messages.py --rows pp/8B,pp/1MiB --loops 5 --loop-ms 25

Rank 0 prints one line of JSON when all ranks are up ("ready"), then one line per row
as soon as that row is done, so that a row that hangs or dies costs only itself:

    {"row": "pp/8B", "value": 1.6e-06, "loops": [...], "iterations": 7000}
    {"row": "pp/8B", "wrong": "rank 1, loop 2: element 0 is 3.0, not 4.0"}

A row that is measured beside something else in the same processes also has a
"reference", and "note" may say how the value came about.

Values are seconds (or a fraction of a core). Only the plain API of mpi4py is used, and
of the objects' collectives only `allgather`, so that a young library can be measured.
"""

from __future__ import annotations

import argparse
import gc
import json
import statistics
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from typing import NoReturn

import mpi4py
import numpy as np
from mpi4py import MPI

Array = np.ndarray

# Patterns repeat after a prime number of elements: a piece that lands at a wrong
# place is seen even when it is off by a power of two.
PERIOD = 8191
# What one timed loop adds to every element, so that data of an earlier loop is wrong.
STEP = 4096.0
# Junk that no pattern contains.
JUNK = -1.0

UNITS = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20}
# Loops that may be thrown away because they were too short to be measured.
MAX_SHORT_LOOPS = 16
# A row whose single iterations are long ends after so many times the length of a loop,
# when at least so many of its loops count.
LONG_ROW = 40
LEAST_LOOPS = 2


@dataclass(frozen=True)
class Settings:
    """The command line of a program."""

    rows: list[str]
    loops: int
    loop_s: float
    idle_s: float
    pkl5: bool
    """Objects also by mpi4py.util.pkl5."""


@dataclass(frozen=True)
class Case:
    """One row: `run(k)` is timed, the rest is not."""

    run: Callable[[int], None]
    prepare: Callable[[int], None]
    """Fills the buffers before loop number i."""
    check: Callable[[int], str]
    """Says what is wrong with the data after loop number i; "" if nothing."""
    messages: int = 1
    """By how much the time of one iteration is divided."""
    step: int = 2
    """`run` gets multiples of this."""


def settings() -> Settings:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", required=True)
    parser.add_argument("--loops", type=int, default=5)
    parser.add_argument("--loop-ms", type=float, default=25.0)
    parser.add_argument("--idle-s", type=float, default=10.0)
    parser.add_argument("--pkl5", action="store_true")
    args = parser.parse_args()
    return Settings(
        args.rows.split(","), args.loops, args.loop_ms / 1000, args.idle_s, args.pkl5
    )


def elements(size: str) -> int:
    """Number of float64 in a size as rows write it: "8B", "64KiB", "1MiB"."""
    digits = size.rstrip("BKMi")
    return int(digits) * UNITS[size[len(digits) :]] // 8


def base_pattern(n: int) -> Array:
    return np.arange(n, dtype=np.float64) % PERIOD + 1.0


def differs(got: Array, expected: Array) -> str:
    """The first wrong element, in words; "" when all are right."""
    if np.array_equal(got, expected):
        return ""
    got, expected = got.ravel(), expected.ravel()
    index = int(np.flatnonzero(got != expected)[0])
    return f"element {index} is {got[index]}, not {expected[index]}"


def emit(comm: MPI.Comm, line: dict[str, object]) -> None:
    if comm.rank == 0:
        print(json.dumps(line), flush=True)


class Series:
    """The loops of one case, until enough of them count.

    The number of iterations is the same on all ranks. The time of a loop is that of the
    slowest rank, from a barrier on. The first loop (which also touches every page) and
    loops that turn out too short are not counted; the number of iterations follows the
    measured time, so that one stall spoils one loop only. Where one iteration is much
    longer than a loop should be, fewer loops are enough.
    """

    def __init__(self, case: Case, opts: Settings) -> None:
        self.times: list[float] = []
        self.iterations = case.step
        self._case = case
        self._opts = opts
        self._spare = MAX_SHORT_LOOPS
        self._loop = 0
        self._spent = 0.0

    @property
    def done(self) -> bool:
        enough = self._opts.loops
        if self._spent > LONG_ROW * self._opts.loop_s:
            enough = min(enough, LEAST_LOOPS)
        return len(self.times) >= enough

    @property
    def value(self) -> float:
        return statistics.median(self.times)

    def loop(self, comm: MPI.Comm) -> str:
        """One loop more; says what is wrong with its data."""
        case, loop_s = self._case, self._opts.loop_s
        spent, wrong = _one_loop(comm, case, self._loop, self.iterations)
        short = spent < 0.4 * loop_s and self._spare > 0
        if self._loop > 0 and not short:
            self.times.append(spent / self.iterations / case.messages)
        self._spent += spent
        self._spare -= short
        self._loop += 1
        if short or spent > 2.5 * loop_s:
            change = min(max(loop_s / max(spent, 1e-9), 1 / 16), 16.0)
            steps = round(self.iterations * change / case.step)
            self.iterations = max(case.step, case.step * steps)
        return wrong


def measure(
    comm: MPI.Comm, case: Case, opts: Settings, *, reference: Case | None = None
) -> dict[str, object]:
    """Median over the timed loops of the time of one message or call.

    Loops of the reference, if there is one, take turns with those of the case.
    """
    series = [Series(one, opts) for one in (case, reference) if one is not None]
    while not all(one.done for one in series):
        for one in series:
            if wrong := one.loop(comm):
                return {"wrong": wrong if one is series[0] else f"reference: {wrong}"}
    result: dict[str, object] = {
        "value": series[0].value,
        "loops": series[0].times,
        "iterations": series[0].iterations,
    }
    if reference is not None:
        result["reference"] = series[1].value
    return result


def _one_loop(
    comm: MPI.Comm, case: Case, loop: int, iterations: int
) -> tuple[float, str]:
    case.prepare(loop)
    comm.Barrier()
    start = time.perf_counter()
    case.run(iterations)
    spent = time.perf_counter() - start
    wrong = case.check(loop)
    if wrong:
        wrong = f"rank {comm.rank}, loop {loop}: {wrong}"
    reports: list[tuple[float, str]] = comm.allgather((spent, wrong))
    return max(r[0] for r in reports), next((r[1] for r in reports if r[1]), "")


def ready_line() -> dict[str, object]:
    packages = {}
    for name in ("mpich", "openmpi", "impi-rt"):
        try:
            packages[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return {
        "ready": {
            "library": MPI.Get_library_version().strip("\0 \n").splitlines()[0],
            "mpi4py": mpi4py.__version__,
            "numpy": np.__version__,
            "python": sys.version.split()[0],
            "packages": packages,
        }
    }


def run_rows(comm: MPI.Comm, measure_row: Callable[[str], dict[str, object]]) -> None:
    """Measures the rows asked for, one after the other, and prints each."""
    gc.disable()
    try:
        comm.Barrier()
        emit(comm, ready_line())
        for row in settings().rows:
            result = measure_row(row)
            emit(comm, {"row": row, **result})
            gc.collect()
    except BaseException:  # noqa: BLE001 - whatever it is, the others must not wait
        _abort(comm)


def _abort(comm: MPI.Comm) -> NoReturn:
    """Ends the job: with most libraries an exception on one rank would hang it."""
    traceback.print_exc()
    sys.stderr.flush()
    comm.Abort(1)
    sys.exit(1)

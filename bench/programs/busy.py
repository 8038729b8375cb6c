"""What ranks that wait cost one that computes. Row: busy/1of4.

Rank 0 does a fixed piece of work twice: while the others sleep outside of MPI, and while they
wait for it in Allreduce. The value is by how much the second took longer; both are the shorter
of several times, in turn.
"""

from __future__ import annotations

import time

import numpy as np
from common import run_rows, settings
from mpi4py import MPI

comm = MPI.COMM_WORLD
TIMES = 3


def work(turns: int) -> float:
    """Seconds that `turns` turns of plain computing take."""
    data = np.arange(2000.0)
    start = time.perf_counter()
    for _ in range(turns):
        data = np.sqrt(data * data + 1.0)
    return time.perf_counter() - start


def measure_row(row: str) -> dict[str, object]:
    wanted = min(1.0, settings().idle_s)
    turns = int(10_000 * wanted / work(10_000)) if comm.rank == 0 else 0
    alone, beside = [], []
    one, total = np.ones(1), np.zeros(1)
    for _ in range(TIMES):
        comm.Barrier()
        if comm.rank == 0:
            time.sleep(0.05)
            alone.append(work(turns))
        else:
            time.sleep(0.1 + 2 * wanted)
        comm.Barrier()
        if comm.rank == 0:
            time.sleep(0.05)
            beside.append(work(turns))
        comm.Allreduce(one, total)
        if total[0] != comm.size:
            return {"wrong": f"the sum is {total[0]}"}
    share = min(beside) / min(alone) - 1.0 if comm.rank == 0 else 0.0
    share = max(0.0, comm.bcast(share))
    return {"value": share, "loops": [share], "iterations": 1}


run_rows(comm, measure_row)

"""CPU time of ranks that wait in Recv while rank 0 sleeps. Rows: idle/1of2, idle/4of5.

The value is the largest share of a core that a waiting process used, all its threads
together, between entering and leaving Recv.
"""

from __future__ import annotations

import time

import numpy as np
from common import JUNK, STEP, run_rows, settings
from mpi4py import MPI

comm = MPI.COMM_WORLD


def measure_row(row: str) -> dict[str, object]:
    seconds = settings().idle_s
    data = np.full(1, STEP if comm.rank == 0 else JUNK)
    comm.Barrier()
    start, cpu = time.perf_counter(), time.process_time()
    if comm.rank == 0:
        time.sleep(seconds)
        for other in range(1, comm.size):
            comm.Send(data, other)
    else:
        comm.Recv(data, 0)
    cpu = time.process_time() - cpu
    share = cpu / (time.perf_counter() - start)
    reports: list[tuple[float, float]] = comm.allgather((share, float(data[0])))
    if any(value != STEP for _, value in reports):
        return {"wrong": f"received {[value for _, value in reports]}"}
    shares = [share for share, _ in reports[1:]]
    return {"value": max(shares), "loops": shares, "iterations": 1}


run_rows(comm, measure_row)

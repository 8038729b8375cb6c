"""How long a barrier and an Allreduce of 8 B take, and how often the running process changes; for growth.py.

Prints, on rank 0, one line of JSON: for each call the microseconds (the median of the loops) and the changes of the
running process per call and rank.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable
from statistics import median

import numpy as np
from mpi4py import MPI

comm = MPI.COMM_WORLD
LOOPS = 5
WARM = 1.0


def switches() -> int:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_nvcsw + usage.ru_nivcsw


def measure(call: Callable[[], None], seconds: float) -> dict[str, float]:
    # Until the ranks' turns on the cores have come to an order: they have waited for each other's start for different times.
    end = time.perf_counter() + WARM
    while comm.bcast(time.perf_counter() < end):
        for _ in range(10):
            call()
    begin = time.perf_counter()
    for _ in range(10):
        call()
    one = comm.allreduce((time.perf_counter() - begin) / 10, MPI.MAX)
    times = max(3, int(seconds / one))
    loops = []
    changes = 0.0
    for _ in range(LOOPS):
        comm.Barrier()
        before, begin = switches(), time.perf_counter()
        for _ in range(times):
            call()
        took, changed = time.perf_counter() - begin, switches() - before
        loops.append(comm.allreduce(took, MPI.MAX) / times)
        changes += comm.allreduce(changed) / times / comm.size / LOOPS
    return {"us": median(loops) * 1e6, "changes": changes}


one, total = np.ones(1), np.zeros(1)
seconds = float(sys.argv[1])
results = {
    "barrier": measure(comm.Barrier, seconds),
    "allreduce": measure(lambda: comm.Allreduce(one, total), seconds),
}
if total[0] != comm.size:
    sys.exit(f"the sum is {total[0]}")
if comm.rank == 0:
    print(json.dumps(results))

"""Makes one call K times, to be counted by callgrind, strace or perf (see profile.md).

    mpiexec -n 1 python repeat.py send_null 10000
    mpiexec -n 2 python repeat.py pp 10000 8

Calls: none, get_rank, send_null, send_null_spec, self, pp, exchange, window, barrier,
allreduce. The last argument is the number of bytes. `none` is the cost of the loop itself;
`exchange` (Send, Recv) and `window` (64 Isend or 64 Irecv, Waitall) let messages arrive
before they look, so that nothing is counted that depends on the other rank.
"""

from __future__ import annotations

import sys
from functools import reduce
from itertools import repeat
from time import sleep

import numpy as np
from mpi4py import MPI

comm = MPI.COMM_WORLD
me, peer = comm.rank, comm.rank ^ 1
call, times = sys.argv[1], int(sys.argv[2])
count = int(sys.argv[3]) // 8 if len(sys.argv) > 3 else 1
out, into = np.ones(count), np.zeros(count)
parts = list(np.zeros((64, count)))
ARRIVES = 0.02


def none(_so_far: None, _item: None) -> None:
    pass


def get_rank(_so_far: None, _item: None) -> None:
    comm.Get_rank()


def send_null(_so_far: None, _item: None) -> None:
    comm.Send(out, MPI.PROC_NULL)


def send_null_spec(_so_far: None, _item: None) -> None:
    comm.Send([out, count, MPI.DOUBLE], MPI.PROC_NULL)


def to_self(_so_far: None, _item: None) -> None:
    request = comm.Irecv(into, me)
    comm.Send(out, me)
    request.Wait()


def ping(_so_far: None, _item: None) -> None:
    comm.Send(out, peer)
    comm.Recv(into, peer)


def pong(_so_far: None, _item: None) -> None:
    comm.Recv(into, peer)
    comm.Send(out, peer)


def exchange(_so_far: None, _item: None) -> None:
    comm.Send(out, peer)
    sleep(ARRIVES)
    comm.Recv(into, peer)


def window_out(_so_far: None, _item: None) -> None:
    sleep(ARRIVES)
    comm.Recv(into, peer)
    MPI.Request.Waitall([comm.Isend(part, peer) for part in parts])


def window_in(_so_far: None, _item: None) -> None:
    requests = [comm.Irecv(part, peer) for part in parts]
    comm.Send(out, peer)
    sleep(ARRIVES)
    MPI.Request.Waitall(requests)


def barrier(_so_far: None, _item: None) -> None:
    comm.Barrier()


def allreduce(_so_far: None, _item: None) -> None:
    comm.Allreduce(out, into)


CALLS = {
    "none": none,
    "get_rank": get_rank,
    "send_null": send_null,
    "send_null_spec": send_null_spec,
    "self": to_self,
    "pp": pong if me % 2 else ping,
    "exchange": exchange,
    "window": window_in if me % 2 else window_out,
    "barrier": barrier,
    "allreduce": allreduce,
}
if call not in CALLS:
    sys.exit(f"repeat.py: no call {call!r}; there are {', '.join(CALLS)}")

# The whole loop runs inside one C function of the interpreter, `functools_reduce`,
# so that a tool can be told to count in there only.
reduce(CALLS[call], repeat(None, times), None)

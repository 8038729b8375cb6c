"""What a call costs that moves nothing or stays in its own rank (one rank).

Rows: call/get_rank, call/send_null, call/send_null_spec, call/self.
"""

from __future__ import annotations

from itertools import repeat

import numpy as np
from common import JUNK, Case, differs, measure, run_rows, settings
from mpi4py import MPI

comm = MPI.COMM_WORLD
me = comm.rank
array = np.zeros(1)
inbox = np.zeros(1)


def get_rank(k: int) -> None:
    call = comm.Get_rank
    for _ in repeat(None, k):
        call()


def send_null(k: int) -> None:
    send, data, nobody = comm.Send, array, MPI.PROC_NULL
    for _ in repeat(None, k):
        send(data, nobody)


def send_null_spec(k: int) -> None:
    send, data, double, nobody = comm.Send, array, MPI.DOUBLE, MPI.PROC_NULL
    for _ in repeat(None, k):
        send([data, 1, double], nobody)


def to_self(k: int) -> None:
    irecv, send, data, into, myself = comm.Irecv, comm.Send, array, inbox, me
    for _ in repeat(None, k):
        request = irecv(into, myself)
        send(data, myself)
        request.Wait()


def prepare(loop: int) -> None:
    array.fill(loop + 1)
    inbox.fill(JUNK)


def unchanged(loop: int) -> str:
    return differs(array, np.array([loop + 1.0]))


def arrived(loop: int) -> str:
    return differs(inbox, np.array([loop + 1.0]))


CASES = {
    "call/get_rank": Case(get_rank, prepare, unchanged),
    "call/send_null": Case(send_null, prepare, unchanged),
    "call/send_null_spec": Case(send_null_spec, prepare, unchanged),
    "call/self": Case(to_self, prepare, arrived),
}

run_rows(comm, lambda row: measure(comm, CASES[row], settings()))

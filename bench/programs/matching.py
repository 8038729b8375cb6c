"""Messages that must be found among many, 8 B each, from rank 0 to rank 1.

Rows: match/posted      100 receives are posted, tags ascending; then the messages come
                        with tags descending
      match/unexpected  10,000 messages with different tags are there before the first
                        receive; then they are received by tag, in a shuffled order

The time is that of one message, the two short messages that keep the ranks in step
included.
"""

from __future__ import annotations

from itertools import repeat

import numpy as np
from common import (
    JUNK,
    STEP,
    Array,
    Case,
    base_pattern,
    differs,
    measure,
    run_rows,
    settings,
)
from mpi4py import MPI

comm = MPI.COMM_WORLD
first = comm.rank == 0
peer = 1 - comm.rank

POSTED, UNEXPECTED = 100, 10_000
# Tags of the messages that keep the ranks in step; the others have 0, 1, 2, ...
SENT, GO = UNEXPECTED, UNEXPECTED + 1


class Messages:
    """One array of one element for each message, filled and checked as a whole."""

    def __init__(self, count: int) -> None:
        self.base = base_pattern(count).reshape(count, 1)
        self.data = np.empty((count, 1))
        self.parts: list[Array] = list(self.data)
        self.word = np.zeros(1)

    def prepare(self, loop: int) -> None:
        if first:
            np.add(self.base, loop * STEP, out=self.data)
        else:
            self.data.fill(JUNK)

    def check(self, loop: int) -> str:
        return differs(self.data, self.base + loop * STEP)


def posted() -> Case:
    these = Messages(POSTED)
    ascending = list(enumerate(these.parts))

    def run(k: int) -> None:
        send, irecv, waitall = comm.Send, comm.Irecv, MPI.Request.Waitall
        other, word = peer, these.word
        for _ in repeat(None, k):
            if first:
                comm.Recv(word, other, GO)
                for tag, part in reversed(ascending):
                    send(part, other, tag)
            else:
                requests = [irecv(part, other, tag) for tag, part in ascending]
                send(word, other, GO)
                waitall(requests)

    return Case(run, these.prepare, these.check, messages=POSTED)


def unexpected() -> Case:
    these = Messages(UNEXPECTED)
    ascending = list(enumerate(these.parts))
    shuffled = np.random.default_rng(7).permutation(UNEXPECTED).tolist()
    order = [ascending[tag] for tag in shuffled]

    def run(k: int) -> None:
        send, recv, other, word = comm.Send, comm.Recv, peer, these.word
        for _ in repeat(None, k):
            if first:
                for tag, part in ascending:
                    send(part, other, tag)
                send(word, other, SENT)
                recv(word, other, GO)
            else:
                # Messages do not overtake: when this one is here, all the others are.
                recv(word, other, SENT)
                for tag, part in order:
                    recv(part, other, tag)
                send(word, other, GO)

    return Case(run, these.prepare, these.check, messages=UNEXPECTED, step=1)


CASES = {"match/posted": posted, "match/unexpected": unexpected}

run_rows(comm, lambda row: measure(comm, CASES[row](), settings()))

"""Ping-pongs that several programs measure: one place on each side, or two in turn.

The makers take the communicator, so that threads and pairs can have their own. Ranks
2i and 2i + 1 of it are partners; the even one begins.
"""

from __future__ import annotations

from itertools import repeat
from typing import Any, Protocol

import numpy as np
from common import JUNK, STEP, Array, Case, base_pattern, differs
from mpi4py import MPI


class Place(Protocol):
    """Where a message of `count` float64 is sent from and received into."""

    count: int
    spec: Any
    """What Send and Recv are given."""

    def clear(self) -> None:
        """Junk everywhere."""

    def put(self, values: Array) -> None: ...

    def get(self) -> Array: ...

    def outside(self) -> str:
        """What is wrong beside the elements of the message; "" if nothing."""


class Contiguous:
    """An array that is sent whole."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.spec = np.empty(count)

    def clear(self) -> None:
        self.spec.fill(JUNK)

    def put(self, values: Array) -> None:
        np.copyto(self.spec, values)

    def get(self) -> Array:
        return self.spec

    def outside(self) -> str:
        return ""


def ping_pong(comm: MPI.Intracomm, place: Place) -> Case:
    base = base_pattern(place.count)
    peer = comm.rank ^ 1
    first = comm.rank < peer

    def prepare(loop: int) -> None:
        place.clear()
        if first:
            place.put(base + loop * STEP)

    def run(k: int) -> None:
        send, recv, data, other = comm.Send, comm.Recv, place.spec, peer
        if first:
            for _ in repeat(None, k):
                send(data, other)
                recv(data, other)
        else:
            for _ in repeat(None, k):
                recv(data, other)
                send(data, other)

    def check(loop: int) -> str:
        # The first rank would keep its own data if nothing came back; so one more
        # round trip, on which the other rank changes every element.
        sent = base + loop * STEP
        if first:
            comm.Send(place.spec, peer)
            comm.Recv(place.spec, peer)
            return differs(place.get(), -sent) or place.outside()
        wrong = differs(place.get(), sent) or place.outside()
        comm.Recv(place.spec, peer)
        place.put(-place.get())
        comm.Send(place.spec, peer)
        return wrong

    return Case(run, prepare, check, messages=2)


def rotating(comm: MPI.Intracomm, n: int) -> Case:
    base = base_pattern(n)
    one, two = np.empty(n), np.empty(n)
    rank, peer = comm.rank, comm.rank ^ 1
    first = rank < peer

    def prepare(loop: int) -> None:
        full, empty = (one, two) if first else (two, one)
        np.add(base, loop * STEP + rank, out=full)
        empty.fill(JUNK)

    # Both patterns travel all the time: rank 1 answers with what it received the
    # time before. After an even number of round trips each is back in its place.
    def run(k: int) -> None:
        send, recv, a, b, other = comm.Send, comm.Recv, one, two, peer
        if first:
            for _ in repeat(None, k // 2):
                send(a, other)
                recv(b, other)
                send(b, other)
                recv(a, other)
        else:
            for _ in repeat(None, k // 2):
                recv(a, other)
                send(b, other)
                recv(b, other)
                send(a, other)

    def check(loop: int) -> str:
        low, high = sorted((rank, peer))
        return differs(one, base + loop * STEP + low) or differs(
            two, base + loop * STEP + high
        )

    return Case(run, prepare, check, messages=2)

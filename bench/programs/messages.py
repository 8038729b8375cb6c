"""Point to point: ping-pong, pickled objects, windows of outstanding messages.

Rows: pp/SIZE    one buffer on each side, sent from and received into
      pp2/SIZE   two buffers on each side; every message uses the other one
      pairs/SIZE as pp, ranks 0-1 and 2-3 at the same time
      object/dict, object/list   lower-case send and recv
      window/SIZE   64 Isend against 64 Irecv, Waitall on both sides, one short answer

The time is that of one message one way.
"""

from __future__ import annotations

from itertools import repeat
from typing import Any

import numpy as np
from common import (
    JUNK,
    STEP,
    Case,
    base_pattern,
    differs,
    elements,
    measure,
    run_rows,
    settings,
)
from mpi4py import MPI

comm = MPI.COMM_WORLD
rank = comm.rank
peer = rank ^ 1
first = rank < peer

WINDOW = 64


def ping_pong(n: int) -> Case:
    base = base_pattern(n)
    buf = np.empty(n)

    def prepare(loop: int) -> None:
        if first:
            np.add(base, loop * STEP, out=buf)
        else:
            buf.fill(JUNK)

    def run(k: int) -> None:
        send, recv, data, other = comm.Send, comm.Recv, buf, peer
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
        wrong = "" if first else differs(buf, base + loop * STEP)
        if first:
            comm.Send(buf, peer)
            comm.Recv(buf, peer)
            wrong = differs(buf, -(base + loop * STEP))
        else:
            comm.Recv(buf, peer)
            np.negative(buf, out=buf)
            comm.Send(buf, peer)
        return wrong

    return Case(run, prepare, check, messages=2)


def ping_pong_rotating(n: int) -> Case:
    base = base_pattern(n)
    one, two = np.empty(n), np.empty(n)

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


def make_object(kind: str, loop: int) -> Any:
    if kind == "dict":
        return {"a": 7 + loop, "b": 3.14}
    return list(range(loop * 1000, loop * 1000 + 100))


def pickled(kind: str) -> Case:
    held: list[Any] = [None]

    def prepare(loop: int) -> None:
        held[0] = make_object(kind, loop) if first else None

    def run(k: int) -> None:
        send, recv, other = comm.send, comm.recv, peer
        obj = held[0]
        if first:
            for _ in repeat(None, k):
                send(obj, other)
                back = recv(source=other)
            held[0] = back
        else:
            for _ in repeat(None, k):
                obj = recv(source=other)
                send(obj, other)
            held[0] = obj

    def check(loop: int) -> str:
        expected = make_object(kind, loop)
        return "" if held[0] == expected else f"object is {str(held[0])[:60]}"

    return Case(run, prepare, check, messages=2)


def window(n: int) -> Case:
    base = base_pattern(n * WINDOW).reshape(WINDOW, n)
    data = np.empty((WINDOW, n))
    parts = list(data)
    answer = np.zeros(1)

    def prepare(loop: int) -> None:
        if first:
            np.add(base, loop * STEP, out=data)
            answer.fill(JUNK)
        else:
            data.fill(JUNK)
            answer.fill(loop)

    def run(k: int) -> None:
        isend, irecv, waitall = comm.Isend, comm.Irecv, MPI.Request.Waitall
        other = peer
        if first:
            for _ in repeat(None, k):
                waitall([isend(part, other) for part in parts])
                comm.Recv(answer, other)
        else:
            for _ in repeat(None, k):
                waitall([irecv(part, other) for part in parts])
                comm.Send(answer, other)

    def check(loop: int) -> str:
        return differs(data, base + loop * STEP) or differs(
            answer, np.array([float(loop)])
        )

    return Case(run, prepare, check, messages=WINDOW)


def measure_row(row: str) -> dict[str, object]:
    kind, what = row.split("/")
    makers = {
        "pp": ping_pong,
        "pairs": ping_pong,
        "pp2": ping_pong_rotating,
        "window": window,
    }
    case = pickled(what) if kind == "object" else makers[kind](elements(what))
    return measure(comm, case, settings())


run_rows(comm, measure_row)

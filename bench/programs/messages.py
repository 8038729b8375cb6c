"""Point to point: ping-pong, pickled objects, windows of outstanding messages.

Rows: pp/SIZE    one buffer on each side, sent from and received into
      pp2/SIZE   two buffers on each side; every message uses the other one
      pairs/SIZE as pp, ranks 0-1 and 2-3 at the same time
      object/dict, object/list, object/arrays   lower-case send and recv; with --pkl5
                 those of mpi4py.util.pkl5 as well, and the faster of the two counts
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
from pingpong import Contiguous, ping_pong, rotating

comm = MPI.COMM_WORLD
rank = comm.rank
peer = rank ^ 1
first = rank < peer

WINDOW = 64


def make_object(kind: str, loop: int) -> Any:
    if kind == "dict":
        return {"a": 7 + loop, "b": 3.14}
    if kind == "list":
        return list(range(loop * 1000, loop * 1000 + 100))
    # 4 + 4 + 2 MB, as a particle code might send them.
    return {
        "position": (base_pattern(500_000) + loop * STEP).reshape(250_000, 2),
        "field": np.full((1000, 1000), loop + 0.5, dtype=np.float32),
        "index": np.arange(loop, loop + 250_000, dtype=np.int64),
    }


def object_differs(got: Any, expected: Any) -> str:
    if type(got) is not type(expected):
        return f"object is a {type(got).__name__}"
    if not isinstance(expected, dict) or "position" not in expected:
        return "" if got == expected else f"object is {str(got)[:60]}"
    if list(got) != list(expected):
        return f"the keys are {list(got)}"
    for name, array in expected.items():
        if got[name].dtype != array.dtype or got[name].shape != array.shape:
            return f"{name} is {got[name].shape} of {got[name].dtype}"
        if wrong := differs(got[name], array):
            return f"{name}: {wrong}"
    return ""


def pickled(kind: str, over: Any) -> Case:
    held: list[Any] = [None]

    def prepare(loop: int) -> None:
        held[0] = make_object(kind, loop) if first else None

    def run(k: int) -> None:
        send, recv, other = over.send, over.recv, peer
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
        return object_differs(held[0], make_object(kind, loop))

    return Case(run, prepare, check, messages=2)


def measure_object(kind: str) -> dict[str, object]:
    """The lower-case methods, and with --pkl5 the faster of them and pkl5's."""
    result = measure(comm, pickled(kind, comm), settings())
    if not settings().pkl5 or "wrong" in result:
        return result
    from mpi4py.util import pkl5

    other = measure(comm, pickled(kind, pkl5.Intracomm(comm)), settings())
    if "wrong" in other:
        return {"wrong": f"pkl5: {other['wrong']}"}
    if other["value"] < result["value"]:
        return {**other, "note": "pkl5"}
    return {**result, "note": "send and recv"}


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


def make(kind: str, n: int) -> Case:
    if kind == "window":
        return window(n)
    if kind == "pp2":
        return rotating(comm, n)
    return ping_pong(comm, Contiguous(n))


def measure_row(row: str) -> dict[str, object]:
    kind, what = row.split("/")
    if kind == "object":
        return measure_object(what)
    return measure(comm, make(kind, elements(what)), settings())


run_rows(comm, measure_row)

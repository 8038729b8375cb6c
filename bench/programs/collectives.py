"""Collectives, called back to back. Rows: nP/barrier, nP/NAME/SIZE, and nP/NAME/dict for the
lower-case methods.

SIZE is what one rank contributes or receives; for the forms that exchange blocks
(scatter, gather, allgather, alltoall) it is one block. The v-forms leave a gap of one
element between the blocks. Rooted forms have rank 0 as root, so the root of a bcast
may run ahead: the row is a rate; the loop ends when the slowest rank is through.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import repeat
from typing import Any

import numpy as np
from common import (
    JUNK,
    STEP,
    Array,
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
rank, size = comm.rank, comm.size
root = rank == 0
everyone = np.arange(size, dtype=np.float64)


@dataclass
class Exchange:
    """A collective on arrays of blocks (one row of the array per block).

    Before a loop, block i of `send` is pattern + send_marks[i]; after it, block i of
    `recv` must be factor * pattern + recv_marks[i]. None: this rank has no such side.
    """

    function: Callable[..., Any]
    args: tuple[Any, ...]
    send: Array | None = None
    send_marks: Array | None = None
    recv: Array | None = None
    recv_marks: Array | None = None
    factor: float = 1.0
    gap: Array | None = None
    """Elements between received blocks, which must stay as they are."""
    request: MPI.Prequest | None = None
    """To be freed."""


def blocks(count: int, n: int) -> Array:
    return np.empty((count, n))


def spaced(n: int) -> tuple[Array, Array, list[Any]]:
    """Blocks with a gap of one element: view of the blocks, of the gaps, buffer."""
    wide = np.full((size, n + 1), JUNK)
    displs = [i * (n + 1) for i in range(size)]
    return wide[:, :n], wide[:, n], [wide, [n] * size, displs, MPI.DOUBLE]


def mine() -> Array:
    return np.array([float(rank)])


def pair_marks(rows: Array, columns: Array) -> Array:
    return rows * 64.0 + columns


def bcast(n: int) -> Exchange:
    buf = blocks(1, n)
    marks = np.zeros(1)
    if root:
        return Exchange(comm.Bcast, (buf, 0), buf, marks)
    return Exchange(comm.Bcast, (buf, 0), recv=buf, recv_marks=marks)


def reduction(function: Callable[..., Any], n: int, *args: Any) -> Exchange:
    send, recv = blocks(1, n), blocks(1, n)
    total = np.array([everyone.sum()])
    return Exchange(
        function, (send, recv, MPI.SUM, *args), send, mine(), recv, total, size
    )


def reduce(n: int) -> Exchange:
    exchange = reduction(comm.Reduce, n, 0)
    if not root:
        exchange.args = (exchange.send, None, MPI.SUM, 0)
        exchange.recv = exchange.recv_marks = None
    return exchange


def allreduce(n: int) -> Exchange:
    return reduction(comm.Allreduce, n)


def iallreduce(n: int) -> Exchange:
    def start_and_wait(*args: Any) -> None:
        comm.Iallreduce(*args).Wait()

    return reduction(start_and_wait, n)


def allreduce_init(n: int) -> Exchange:
    exchange = reduction(comm.Allreduce, n)
    request = comm.Allreduce_init(*exchange.args)

    def start_and_wait() -> None:
        request.Start()
        request.Wait()

    exchange.function, exchange.args = start_and_wait, ()
    exchange.request = request
    return exchange


def scan(n: int) -> Exchange:
    exchange = reduction(comm.Scan, n)
    exchange.recv_marks = np.array([everyone[: rank + 1].sum()])
    exchange.factor = rank + 1
    return exchange


def reduce_scatter_block(n: int) -> Exchange:
    send, recv = blocks(size, n), blocks(1, n)
    marks = pair_marks(everyone, mine())
    total = np.array([pair_marks(mine(), everyone).sum()])
    args = (send, recv, MPI.SUM)
    return Exchange(
        comm.Reduce_scatter_block, args, send, marks, recv, total, float(size)
    )


def scatter(n: int) -> Exchange:
    send, recv = (blocks(size, n) if root else None), blocks(1, n)
    args = (send, recv, 0)
    return Exchange(comm.Scatter, args, send, everyone, recv, mine())


def scatterv(n: int) -> Exchange:
    send, _, spec = spaced(n)
    recv = blocks(1, n)
    args = (spec if root else None, recv, 0)
    return Exchange(comm.Scatterv, args, send if root else None, everyone, recv, mine())


def gather(n: int) -> Exchange:
    send, recv = blocks(1, n), (blocks(size, n) if root else None)
    return Exchange(comm.Gather, (send, recv, 0), send, mine(), recv, everyone)


def gatherv(n: int) -> Exchange:
    send = blocks(1, n)
    if not root:
        return Exchange(comm.Gatherv, (send, None, 0), send, mine())
    recv, gap, spec = spaced(n)
    args = (send, spec, 0)
    return Exchange(comm.Gatherv, args, send, mine(), recv, everyone, gap=gap)


def allgather(n: int) -> Exchange:
    send, recv = blocks(1, n), blocks(size, n)
    return Exchange(comm.Allgather, (send, recv), send, mine(), recv, everyone)


def allgatherv(n: int) -> Exchange:
    send = blocks(1, n)
    recv, gap, spec = spaced(n)
    args = (send, spec)
    return Exchange(comm.Allgatherv, args, send, mine(), recv, everyone, gap=gap)


def alltoall(n: int) -> Exchange:
    send, recv = blocks(size, n), blocks(size, n)
    out, back = pair_marks(mine(), everyone), pair_marks(everyone, mine())
    return Exchange(comm.Alltoall, (send, recv), send, out, recv, back)


def alltoallv(n: int) -> Exchange:
    send, _, send_spec = spaced(n)
    recv, gap, recv_spec = spaced(n)
    out, back = pair_marks(mine(), everyone), pair_marks(everyone, mine())
    args = (send_spec, recv_spec)
    return Exchange(comm.Alltoallv, args, send, out, recv, back, gap=gap)


MAKERS: dict[str, Callable[[int], Exchange]] = {
    maker.__name__: maker
    for maker in (
        bcast,
        reduce,
        allreduce,
        scan,
        reduce_scatter_block,
        scatter,
        scatterv,
        gather,
        gatherv,
        allgather,
        allgatherv,
        alltoall,
        alltoallv,
        iallreduce,
        allreduce_init,
    )
}


class Sum(dict[str, Any]):
    """A dict that can be added to another one."""

    def __add__(self, other: Any) -> Sum:
        return Sum({key: self[key] + other[key] for key in self})


def sample(who: int, loop: int) -> dict[str, Any]:
    return {"a": who + loop, "b": 3.14}


def object_case(name: str) -> Case:
    """A lower-case collective of a dict of two numbers; rank 0 is the root."""
    sent: list[Any] = [None]
    got: list[Any] = [None]
    functions: dict[str, Callable[[Any], Any]] = {
        "bcast": lambda it: comm.bcast(it, 0),
        "gather": lambda it: comm.gather(it, 0),
        "allreduce": comm.allreduce,
    }

    def prepare(loop: int) -> None:
        mine = sample(rank, loop)
        sent[0] = Sum(mine) if name == "allreduce" else mine
        if name == "bcast" and not root:
            sent[0] = None

    def run(k: int) -> None:
        function, it = functions[name], sent[0]
        for _ in repeat(None, k):
            got[0] = function(it)

    def check(loop: int) -> str:
        all_of_them = [sample(who, loop) for who in range(size)]
        expected: Any = all_of_them[0]
        if name == "gather":
            expected = all_of_them if root else None
        elif name == "allreduce":
            expected = sum(map(Sum, all_of_them[1:]), start=Sum(all_of_them[0]))
        return "" if got[0] == expected else f"object is {str(got[0])[:60]}"

    return Case(run, prepare, check)


def barrier_case() -> Case:
    def run(k: int) -> None:
        barrier = comm.Barrier
        for _ in repeat(None, k):
            barrier()

    return Case(run, lambda _: None, lambda _: "")


def exchange_case(ex: Exchange, n: int) -> Case:
    base = base_pattern(n)

    def prepare(loop: int) -> None:
        if ex.recv is not None:
            ex.recv.fill(JUNK)
        if ex.send is not None and ex.send_marks is not None:
            np.add(base + loop * STEP, ex.send_marks[:, None], out=ex.send)

    def run(k: int) -> None:
        function, args = ex.function, ex.args
        for _ in repeat(None, k):
            function(*args)

    def check(loop: int) -> str:
        if ex.gap is not None and not (ex.gap == JUNK).all():
            return "the gap between received blocks was overwritten"
        if ex.recv is None or ex.recv_marks is None:
            return ""
        pattern = ex.factor * (base + loop * STEP)
        return differs(ex.recv, pattern + ex.recv_marks[:, None])

    return Case(run, prepare, check)


def measure_row(row: str) -> dict[str, object]:
    _, name, *rest = row.split("/")
    if name == "barrier":
        return measure(comm, barrier_case(), settings())
    if rest[0] == "dict":
        return measure(comm, object_case(name), settings())
    n = elements(rest[0])
    exchange = MAKERS[name](n)
    measured = measure(comm, exchange_case(exchange, n), settings())
    if exchange.request is not None:
        exchange.request.Free()
    return measured


run_rows(comm, measure_row)

"""Every blocking collective once, as a function that calls it, with data of its own, and checks every byte it gave.

A call is described by `Call`: the communicator, the bytes of a block, the root, a seed for the data, and whether the
place of the data is MPI.IN_PLACE. The tests run these over sizes, roots, communicators, delays and repetitions.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from mpi4py import MPI

from support import data
from support.case import Case


class Call(NamedTuple):
    comm: MPI.Intracomm
    size: int  # bytes of one block
    root: int = 0
    seed: int = 0
    in_place: bool = False

    def __str__(self) -> str:
        where = ", in place" if self.in_place else ""
        return (
            f"rank {self.comm.rank} of {self.comm.size}, {self.size} bytes, root {self.root}, seed {self.seed}{where}"
        )

    @property
    def others(self) -> range:
        return range(self.comm.size)


def block(call: Call, *path: int) -> data.Bytes:
    """The bytes of a block; `path` says which, for instance from which rank to which."""
    return data.message(_seed(call, path), call.size)


def _seed(call: Call, path: tuple[int, ...]) -> int:
    seed = call.seed
    for number in path:
        seed = seed * 31 + number + 1
    return seed


def _blocks_wrong(case: Case, call: Call, room: data.Room, paths: list[tuple[int, ...]]) -> None:
    """Every block of a receive buffer, and that nothing beside was written."""
    for i, path in enumerate(paths):
        part = room.bytes[i * call.size : (i + 1) * call.size]
        case.good(data.wrong(part, _seed(call, path), call.size), f"block {i}: {call}")
    case.good(room.touched(len(paths) * call.size), call)


def barrier(case: Case, call: Call) -> None:
    call.comm.Barrier()


def bcast(case: Case, call: Call) -> None:
    room = data.Room(call.size)
    if call.comm.rank == call.root:
        room.bytes[:] = block(call, call.root)
    call.comm.Bcast(room.bytes, call.root)
    _blocks_wrong(case, call, room, [(call.root,)])


def scatter(case: Case, call: Call) -> None:
    comm, root = call.comm, call.root
    send: Any = None
    if comm.rank == root:
        send = np.concatenate([block(call, r) for r in call.others])
    room = data.Room(call.size)
    if call.in_place and comm.rank == root:
        comm.Scatter(send, MPI.IN_PLACE, root)
    else:
        comm.Scatter(send, room.bytes, root)
        _blocks_wrong(case, call, room, [(comm.rank,)])
    if comm.rank == root:
        case.assertTrue(
            np.array_equal(send, np.concatenate([block(call, r) for r in call.others])), "send buffer changed"
        )


def gather(case: Case, call: Call) -> None:
    comm, root = call.comm, call.root
    if comm.rank != root:
        comm.Gather(block(call, comm.rank), None, root)
        return
    room = data.Room(call.size * comm.size)
    if call.in_place:
        room.bytes[root * call.size : (root + 1) * call.size] = block(call, root)
        comm.Gather(MPI.IN_PLACE, room.bytes, root)
    else:
        comm.Gather(block(call, root), room.bytes, root)
    _blocks_wrong(case, call, room, [(r,) for r in call.others])


def allgather(case: Case, call: Call) -> None:
    comm = call.comm
    room = data.Room(call.size * comm.size)
    if call.in_place:
        room.bytes[comm.rank * call.size : (comm.rank + 1) * call.size] = block(call, comm.rank)
        comm.Allgather(MPI.IN_PLACE, room.bytes)
    else:
        comm.Allgather(block(call, comm.rank), room.bytes)
    _blocks_wrong(case, call, room, [(r,) for r in call.others])


def alltoall(case: Case, call: Call) -> None:
    comm = call.comm
    room = data.Room(call.size * comm.size)
    send = np.concatenate([block(call, comm.rank, dest) for dest in call.others])
    if call.in_place:
        room.bytes[:] = send
        comm.Alltoall(MPI.IN_PLACE, room.bytes)
    else:
        comm.Alltoall(send, room.bytes)
    _blocks_wrong(case, call, room, [(source, comm.rank) for source in call.others])


# -- v-variants: blocks of different sizes, some empty, with gaps between them, not in the order of the ranks ----------


class Layout(NamedTuple):
    counts: list[int]
    displs: list[int]
    length: int


def layout(call: Call, *path: int) -> Layout:
    """Sizes and places of the blocks of a vector, for instance of one rank; the same for all who ask."""
    rng = np.random.Generator(np.random.PCG64(_seed(call, path)))
    n = call.comm.size
    counts = rng.integers(0, call.size + 1, n)
    counts[rng.integers(0, n)] = 0
    counts[rng.integers(0, n)] = call.size
    displs, at = [0] * n, 0
    for r in rng.permutation(n):
        at += int(rng.integers(0, 20))
        displs[r] = at
        at += int(counts[r])
    return Layout([int(count) for count in counts], displs, at + 3)


def _fill(room: data.Room, where: Layout, seeds: list[int]) -> None:
    for count, displ, seed in zip(where.counts, where.displs, seeds, strict=True):
        room.bytes[displ : displ + count] = data.message(seed, count)


def _filled(case: Case, call: Call, room: data.Room, where: Layout, seeds: list[int]) -> None:
    """The blocks are there, and the gaps between them still as they were."""
    for r, (count, displ, seed) in enumerate(zip(where.counts, where.displs, seeds, strict=True)):
        case.good(data.wrong(room.bytes[displ : displ + count], seed, count), f"block {r}: {call}")
    expected = data.Room(where.length)
    _fill(expected, where, seeds)
    case.assertTrue(np.array_equal(room.bytes, expected.bytes), f"a gap between blocks was written to: {call}")
    case.good(room.touched(where.length), call)


def scatterv(case: Case, call: Call) -> None:
    comm, root = call.comm, call.root
    where = layout(call)
    seeds = [_seed(call, (r,)) for r in call.others]
    room = data.Room(where.counts[comm.rank])
    if comm.rank == root:
        source = data.Room(where.length)
        _fill(source, where, seeds)
        send = [source.bytes, where.counts, where.displs, MPI.BYTE]
        if call.in_place:
            comm.Scatterv(send, MPI.IN_PLACE, root)
            return
        comm.Scatterv(send, [room.bytes, MPI.BYTE], root)
        _filled(case, call, source, where, seeds)
    else:
        comm.Scatterv(None, [room.bytes, MPI.BYTE], root)
    case.good(room.wrong(seeds[comm.rank], where.counts[comm.rank]), call)


def gatherv(case: Case, call: Call) -> None:
    comm, root = call.comm, call.root
    where = layout(call)
    seeds = [_seed(call, (r,)) for r in call.others]
    mine = data.message(seeds[comm.rank], where.counts[comm.rank])
    if comm.rank != root:
        comm.Gatherv([mine, MPI.BYTE], None, root)
        return
    room = data.Room(where.length)
    receive = [room.bytes, (where.counts, where.displs), MPI.BYTE]
    if call.in_place:
        room.bytes[where.displs[root] : where.displs[root] + mine.size] = mine
        comm.Gatherv(MPI.IN_PLACE, receive, root)
    else:
        comm.Gatherv([mine, MPI.BYTE], receive, root)
    _filled(case, call, room, where, seeds)


def allgatherv(case: Case, call: Call) -> None:
    comm = call.comm
    where = layout(call)
    seeds = [_seed(call, (r,)) for r in call.others]
    mine = data.message(seeds[comm.rank], where.counts[comm.rank])
    room = data.Room(where.length)
    receive = [room.bytes, where.counts, where.displs, MPI.BYTE]
    if call.in_place:
        room.bytes[where.displs[comm.rank] : where.displs[comm.rank] + mine.size] = mine
        comm.Allgatherv(MPI.IN_PLACE, receive)
    else:
        comm.Allgatherv([mine, MPI.BYTE], receive)
    _filled(case, call, room, where, seeds)


def _pair_counts(call: Call) -> list[list[int]]:
    """Bytes from each rank to each; symmetric, as IN_PLACE asks for."""
    rng = np.random.Generator(np.random.PCG64(call.seed))
    counts = rng.integers(0, call.size + 1, (call.comm.size, call.comm.size))
    counts[rng.random(counts.shape) < 0.2] = 0
    if call.in_place:
        counts = np.maximum(counts, counts.T)
    return [[int(count) for count in row] for row in counts]


def alltoallv(case: Case, call: Call) -> None:
    comm = call.comm
    counts = _pair_counts(call)
    to = _spread([counts[comm.rank][r] for r in call.others], call.seed + 1)
    of = _spread([counts[r][comm.rank] for r in call.others], call.seed + 2)
    to_seeds = [_seed(call, (comm.rank, r)) for r in call.others]
    of_seeds = [_seed(call, (r, comm.rank)) for r in call.others]
    room = data.Room(of.length)
    receive = [room.bytes, of.counts, of.displs, MPI.BYTE]
    if call.in_place:
        _fill(room, of, to_seeds)
        comm.Alltoallv(MPI.IN_PLACE, receive)
    else:
        source = data.Room(to.length)
        _fill(source, to, to_seeds)
        comm.Alltoallv([source.bytes, (to.counts, to.displs), MPI.BYTE], receive)
        _filled(case, call, source, to, to_seeds)
    _filled(case, call, room, of, of_seeds)


def _spread(counts: list[int], seed: int) -> Layout:
    """A layout for given counts: in a random order, with gaps."""
    rng = np.random.Generator(np.random.PCG64(seed))
    displs, at = [0] * len(counts), 0
    for r in rng.permutation(len(counts)):
        at += int(rng.integers(0, 9))
        displs[r] = at
        at += counts[r]
    return Layout(counts, displs, at + 1)


# -- reductions: sums of small whole numbers, exact in any order -------------------------------------------------------


def _numbers(call: Call, r: int) -> Any:
    return data.numbers(_seed(call, (r,)), call.size // 4, "i4")


def _sum(call: Call, ranks: range) -> Any:
    total = np.zeros(call.size // 4, "i4")
    for r in ranks:
        total += _numbers(call, r)
    return total


def _reduced(case: Case, call: Call, room: data.Room, ranks: range) -> None:
    got = room.bytes[: call.size // 4 * 4].view("i4")
    expected = _sum(call, ranks)
    if not np.array_equal(got, expected):
        places = np.flatnonzero(got != expected)
        case.fail(f"{places.size} numbers are wrong, first at {places[0]}: {got[places[0]]}: {call}")
    case.good(room.touched(call.size // 4 * 4), call)


def _buffers(call: Call, in_place: bool) -> tuple[Any, data.Room, Any]:
    """What to send, the room for the result, and the view of it to receive into."""
    mine = _numbers(call, call.comm.rank)
    room = data.Room(call.size // 4 * 4)
    receive = room.bytes.view("i4")
    if in_place:
        receive[:] = mine
        return MPI.IN_PLACE, room, receive
    return mine, room, receive


def reduce(case: Case, call: Call) -> None:
    comm = call.comm
    if comm.rank != call.root:
        comm.Reduce(_numbers(call, comm.rank), None, MPI.SUM, call.root)
        return
    send, room, receive = _buffers(call, call.in_place)
    comm.Reduce(send, receive, MPI.SUM, call.root)
    _reduced(case, call, room, call.others)


def allreduce(case: Case, call: Call) -> None:
    send, room, receive = _buffers(call, call.in_place)
    call.comm.Allreduce(send, receive, MPI.SUM)
    _reduced(case, call, room, call.others)


def scan(case: Case, call: Call) -> None:
    send, room, receive = _buffers(call, call.in_place)
    call.comm.Scan(send, receive, MPI.SUM)
    _reduced(case, call, room, range(call.comm.rank + 1))


def exscan(case: Case, call: Call) -> None:
    send, room, receive = _buffers(call, call.in_place)
    call.comm.Exscan(send, receive, MPI.SUM)
    if call.comm.rank > 0:
        _reduced(case, call, room, range(call.comm.rank))
    elif call.in_place:
        _reduced(case, call, room, range(1))


ROOTED: dict[str, Callable[[Case, Call], None]] = {
    "Bcast": bcast,
    "Scatter": scatter,
    "Scatterv": scatterv,
    "Gather": gather,
    "Gatherv": gatherv,
    "Reduce": reduce,
}
UNROOTED: dict[str, Callable[[Case, Call], None]] = {
    "Allgather": allgather,
    "Allgatherv": allgatherv,
    "Alltoall": alltoall,
    "Alltoallv": alltoallv,
    "Allreduce": allreduce,
    "Scan": scan,
    "Exscan": exscan,
}
ALL = {"Barrier": barrier, **ROOTED, **UNROOTED}

# Around powers of two, where algorithms change.
SIZES = (
    *(0, 1, 4, 7, 8, 9, 16, 47, 48, 49, 63, 64, 65, 127, 128, 129, 255, 256, 257, 511, 513, 1000, 1023, 1024, 1025),
    *(2047, 2048, 2049, 4092, 4095, 4096, 4097, 8191, 8192, 8193, 16_383, 16_384, 16_385, 32_767, 32_768, 32_769),
    *(65_535, 65_536, 65_537, 100_000, 131_072, 262_144, 262_148, 524_288, 1 << 20, (1 << 20) + 4),
)
HUGE = (4 << 20, (4 << 20) + 1)

"""One rank of a random sequence of collectives, each result compared with a plain reference made with NumPy alone.

    mpiexec -n 4 python tests/stress/collectives_rank.py COUNT SEED
    mpiexec -n 4 python tests/stress/collectives_rank.py allreduce I 1000    # for ever the same, for kills_inside.py

All ranks draw the same numbers. A call draws a communicator (the world, a duplicate, one with the ranks turned round, halves,
each with messages of its own), a kind, a root, a size (0 B to 16 MiB, small ones often), a type, an operation, in place or not,
and whether it is called at once (blocking), started and left to end later beside others (nonblocking), or made, started
twice and freed (persistent). Contributions are pieces of one table of small whole numbers at places that follow from call and rank,
so that every rank knows what every other gives and each sum is exact. What must not be written is compared too.
"""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NoReturn

import numpy as np
from mpi4py import MPI

Array = np.ndarray[Any, Any]
TYPES = ("u1", "i2", "i4", "i8", "f4", "f8", "c16", "?")
TABLE = 1 << 18
LARGEST = 16 << 20
# Calls of which some are under way at the same time, half of this.
PENDING = 6
GUARD = 77


@dataclass
class Group:
    """A communicator of the sequence and the calls that have been started on it."""

    comm: MPI.Comm
    """Number of the communicator, the same on all its ranks."""
    number: int
    calls: int = 0
    pending: list[Pending] = field(default_factory=list)


@dataclass
class Pending:
    request: MPI.Request
    check: Callable[[], None]
    keep: object


class Sequence:
    def __init__(self, seed: int) -> None:
        self.draw = random.Random(seed)
        world = MPI.COMM_WORLD
        half = world.Split(world.rank % 2, world.rank)
        # The halves are two communicators: their ranks draw apart, by the number.
        self.groups = [
            Group(world.Dup(), 0),
            Group(world.Split(0, -world.rank), 1),
            Group(half, 2 + world.rank % 2),
            Group(world.Dup(), 4),
        ]
        numbers = np.random.default_rng(seed).integers(0, 4, TABLE)
        self.tables = {kind: numbers.astype(kind) for kind in TYPES}

    # -- what everybody knows --

    def piece(self, kind: str, call: int, rank: int, count: int) -> Array:
        """What `rank` gives in `call`: the same on whoever asks."""
        table = self.tables[kind]
        start = (call * 7919 + rank * 104_729) % TABLE
        if start + count <= TABLE:
            return table[start : start + count]
        return np.resize(np.roll(table, -start), count)

    @staticmethod
    def empty(kind: str, count: int) -> Array:
        return np.full(count + 1, GUARD, dtype=kind)

    # -- the sequence --

    def run(self, count: int) -> int:
        done = started = 0
        while done < count:
            # All ranks draw the same communicator; with its halves, both are used.
            group = self.groups[self.draw.randrange(len(self.groups))]
            self.one(group, self.draw.getrandbits(48))
            done += 1
            started += 1
            if started > 2 * PENDING or self.draw.random() < 0.05:
                started = 0
                self.finish()
        self.finish()
        return done

    def finish(self) -> None:
        """Ends what was started, in an order of its own on each rank."""
        pending = [p for group in self.groups for p in group.pending]
        for group in self.groups:
            group.pending.clear()
        random.Random(self.draw.getrandbits(32) + MPI.COMM_WORLD.rank).shuffle(pending)
        if self.draw.random() < 0.5:
            MPI.Request.Waitall([p.request for p in pending])
        for p in pending:
            p.request.Wait()
            p.check()

    def one(self, group: Group, seed: int) -> None:
        draw = random.Random(seed + group.number)
        group.calls += 1
        call = group.calls * 8 + group.number
        kind = draw.choice(TYPES)
        name = draw.choice(list(CALLS))
        ranks = group.comm.size
        most = LARGEST if draw.random() < 0.004 else draw.choice([0, 8, 64, 1024, 16 << 10, 128 << 10, 400 << 10])
        blocks = ranks if name not in ("bcast", "reduce", "allreduce", "scan", "exscan") else 1
        count = draw.randint(0, max(most // np.dtype(kind).itemsize // blocks, 1))
        form = draw.choices(("", "I", "_init"), (6, 3, 1))[0]
        plan = CALLS[name](self, Case(group.comm, call, kind, count, draw))
        title = f"call {group.calls} of communicator {group.number}: {form} {name} of {count} {kind}, {ranks} ranks"

        def check() -> None:
            for what, got, want in plan.results:
                if not np.array_equal(got, want):
                    wrong = np.flatnonzero(got != want)
                    raise AssertionError(
                        f"rank {group.comm.rank}, {title}: {what}: {len(wrong)} wrong of {len(want)}, the first at "
                        f"{wrong[0]}: {got[wrong[0]]} instead of {want[wrong[0]]}"
                    )

        method = plan.method
        if form == "I":
            request = getattr(group.comm, f"I{method.lower()}")(*plan.arguments)
            group.pending.append(Pending(request, check, plan))
        elif form == "_init":
            request = getattr(group.comm, f"{method}_init")(*plan.arguments)
            for turn in range(2 if plan.again else 1):
                if turn:
                    plan.again()
                request.Start()
                request.Wait()
                check()
            request.Free()
        else:
            getattr(group.comm, method)(*plan.arguments)
            check()


@dataclass
class Case:
    comm: MPI.Comm
    call: int
    kind: str
    count: int
    draw: random.Random

    @property
    def root(self) -> int:
        return self.draw.randrange(self.comm.size)


@dataclass
class Plan:
    method: str
    arguments: tuple[Any, ...]
    results: list[tuple[str, Array, Array]]
    """Makes the buffers new for another start; none: they are as they were."""
    again: Callable[[], None] = lambda: None


def guarded(data: Array) -> Array:
    """The data and one element behind it that nobody may write."""
    return np.concatenate([data, np.array([GUARD], dtype=data.dtype)])


def uneven(case: Case) -> list[int]:
    """Elements of each rank's block."""
    return [case.draw.choice((0, case.count // 2, case.count, case.count)) for _ in range(case.comm.size)]


def vector(kind: str) -> MPI.Datatype:
    return MPI._typedict[np.dtype(kind).char]  # noqa: SLF001


def cut(data: Array, counts: list[int], rank: int) -> Array:
    start = sum(counts[:rank])
    return data[start : start + counts[rank]]


def barrier(_s: Sequence, case: Case) -> Plan:
    return Plan("Barrier", (), [])


def bcast(s: Sequence, case: Case) -> Plan:
    root = case.root
    want = guarded(s.piece(case.kind, case.call, root, case.count))
    buffer = want.copy() if case.comm.rank == root else s.empty(case.kind, case.count)
    return Plan("Bcast", ([buffer, case.count, vector(case.kind)], root), [("buffer", buffer, want)])


def gather(s: Sequence, case: Case) -> Plan:
    return gathered(s, case, [case.count] * case.comm.size, "Gather")


def gatherv(s: Sequence, case: Case) -> Plan:
    return gathered(s, case, uneven(case), "Gatherv")


def gathered(s: Sequence, case: Case, counts: list[int], method: str) -> Plan:
    root, me = case.root, case.comm.rank
    send = s.piece(case.kind, case.call, me, counts[me])
    if me != root:
        return Plan(method, (send, None, root), [])
    want = guarded(np.concatenate([s.piece(case.kind, case.call, r, n) for r, n in enumerate(counts)]))
    recv = s.empty(case.kind, sum(counts))
    in_place = case.draw.random() < 0.3
    if in_place:
        cut(recv, counts, me)[:] = send
    return Plan(
        method, (MPI.IN_PLACE if in_place else send, spread(case, recv, counts, method), root), [("result", recv, want)]
    )


def spread(case: Case, buffer: Array, counts: list[int], method: str) -> list[Any]:
    """A buffer of blocks as an argument."""
    if method.rstrip("_").endswith("v"):
        return [buffer, counts, vector(case.kind)]
    return [buffer, counts[0], vector(case.kind)]


def scatter(s: Sequence, case: Case) -> Plan:
    return scattered(s, case, [case.count] * case.comm.size, "Scatter")


def scatterv(s: Sequence, case: Case) -> Plan:
    return scattered(s, case, uneven(case), "Scatterv")


def scattered(s: Sequence, case: Case, counts: list[int], method: str) -> Plan:
    root, me = case.root, case.comm.rank
    whole = s.piece(case.kind, case.call, root, sum(counts))
    want = guarded(cut(whole, counts, me))
    recv = s.empty(case.kind, counts[me])
    target = [recv, counts[me], vector(case.kind)]
    if me != root:
        return Plan(method, (None, target, root), [("block", recv, want)])
    if case.draw.random() < 0.3:
        return Plan(method, (spread(case, whole, counts, method), MPI.IN_PLACE, root), [])
    return Plan(method, (spread(case, whole, counts, method), target, root), [("block", recv, want)])


def allgather(s: Sequence, case: Case) -> Plan:
    return allgathered(s, case, [case.count] * case.comm.size, "Allgather")


def allgatherv(s: Sequence, case: Case) -> Plan:
    return allgathered(s, case, uneven(case), "Allgatherv")


def allgathered(s: Sequence, case: Case, counts: list[int], method: str) -> Plan:
    me = case.comm.rank
    send = s.piece(case.kind, case.call, me, counts[me])
    want = guarded(np.concatenate([s.piece(case.kind, case.call, r, n) for r, n in enumerate(counts)]))
    recv = s.empty(case.kind, sum(counts))
    in_place = case.draw.random() < 0.3
    if in_place:
        cut(recv, counts, me)[:] = send
    source = MPI.IN_PLACE if in_place else send
    return Plan(method, (source, spread(case, recv, counts, method)), [("result", recv, want)])


def alltoall(s: Sequence, case: Case) -> Plan:
    return exchanged(s, case, [[case.count] * case.comm.size] * case.comm.size, "Alltoall")


def alltoallv(s: Sequence, case: Case) -> Plan:
    ranks = range(case.comm.size)
    return exchanged(
        s, case, [[case.draw.choice((0, case.count // 3, case.count)) for _ in ranks] for _ in ranks], "Alltoallv"
    )


def exchanged(s: Sequence, case: Case, counts: list[list[int]], method: str) -> Plan:
    """`counts[i][j]`: elements from rank i to rank j."""
    me, ranks = case.comm.rank, case.comm.size
    gives = [s.piece(case.kind, case.call, r, sum(counts[r])) for r in range(ranks)]
    comes = [counts[r][me] for r in range(ranks)]
    want = guarded(np.concatenate([cut(gives[r], counts[r], me) for r in range(ranks)]))
    recv = s.empty(case.kind, sum(comes))
    arguments = (spread(case, gives[me], counts[me], method), spread(case, recv, comes, method))
    return Plan(method, arguments, [("result", recv, want)])


def combine(s: Sequence, case: Case, ranks: range, count: int) -> tuple[MPI.Op, Array]:
    """An operation that the type has, and its result over the contributions of these ranks."""
    integer = case.kind in ("u1", "i2", "i4", "i8")
    ops: list[tuple[MPI.Op, Callable[[Array, Array], Array]]] = [(MPI.SUM, np.add), (MPI.PROD, np.multiply)]
    if case.kind == "?":
        ops = [(MPI.LAND, np.logical_and), (MPI.LOR, np.logical_or), (MPI.LXOR, np.logical_xor)]
    elif case.kind != "c16":
        ops += [(MPI.MAX, np.maximum), (MPI.MIN, np.minimum)]
    if integer:
        ops += [(MPI.BAND, np.bitwise_and), (MPI.BOR, np.bitwise_or), (MPI.BXOR, np.bitwise_xor)]
    op, function = case.draw.choice(ops)
    result = s.piece(case.kind, case.call, ranks[0], count).copy() if len(ranks) else np.empty(0, dtype=case.kind)
    for rank in ranks[1:]:
        result = function(result, s.piece(case.kind, case.call, rank, count))
    return op, result


def reduced(s: Sequence, case: Case, method: str, ranks: range) -> Plan:
    """Reduce, Allreduce, Scan, Exscan; `ranks` give what arrives here."""
    me, count = case.comm.rank, case.count
    root = (case.root,) if method == "Reduce" else ()
    op, result = combine(s, case, ranks, count)
    send = s.piece(case.kind, case.call, me, count)
    receives = (not root or me == root[0]) and len(ranks) > 0
    recv = s.empty(case.kind, count)
    want = guarded(result) if receives else recv.copy()
    in_place = case.draw.random() < 0.3 and (not root or me == root[0])
    if in_place:
        recv[:count] = send
        if not receives:
            want = recv.copy()
    target = None if root and me != root[0] else [recv, count, vector(case.kind)]

    def again() -> None:
        if in_place:
            recv[:count] = send

    return Plan(method, (MPI.IN_PLACE if in_place else send, target, op, *root), [("result", recv, want)], again)


def reduce(s: Sequence, case: Case) -> Plan:
    return reduced(s, case, "Reduce", range(case.comm.size))


def allreduce(s: Sequence, case: Case) -> Plan:
    return reduced(s, case, "Allreduce", range(case.comm.size))


def scan(s: Sequence, case: Case) -> Plan:
    return reduced(s, case, "Scan", range(case.comm.rank + 1))


def exscan(s: Sequence, case: Case) -> Plan:
    return reduced(s, case, "Exscan", range(case.comm.rank))


def reduce_scatter(s: Sequence, case: Case) -> Plan:
    return split_sum(s, case, uneven(case), "Reduce_scatter")


def reduce_scatter_block(s: Sequence, case: Case) -> Plan:
    return split_sum(s, case, [case.count] * case.comm.size, "Reduce_scatter_block")


def split_sum(s: Sequence, case: Case, counts: list[int], method: str) -> Plan:
    me, total = case.comm.rank, sum(counts)
    op, result = combine(s, case, range(case.comm.size), total)
    want = guarded(cut(result, counts, me))
    send = s.piece(case.kind, case.call, me, total)
    in_place = case.draw.random() < 0.3
    room = s.empty(case.kind, total if in_place else counts[me])
    if in_place:
        room[:total] = send
    results = [("block", room[: counts[me]], want[:-1])]
    if not in_place:
        results.append(("guard", room[counts[me] :], want[-1:]))

    def again() -> None:
        if in_place:
            room[:total] = send

    source = MPI.IN_PLACE if in_place else send
    target = [room, total if in_place else counts[me], vector(case.kind)]
    extra = (counts, op) if method == "Reduce_scatter" else (op,)
    if method == "Reduce_scatter_block" and in_place:
        target = [room, counts[me], vector(case.kind)]
    return Plan(method, (source, target, *extra), results, again)


CALLS: dict[str, Callable[[Sequence, Case], Plan]] = {
    function.__name__: function
    for function in (
        barrier,
        bcast,
        gather,
        gatherv,
        scatter,
        scatterv,
        allgather,
        allgatherv,
        alltoall,
        alltoallv,
        reduce,
        allreduce,
        scan,
        exscan,
        reduce_scatter,
        reduce_scatter_block,
    )
}


def for_ever(name: str, form: str, count: int) -> NoReturn:
    """Calls one collective of so many float64 again and again."""
    comm = MPI.COMM_WORLD
    case = Case(comm, 1, "f8", count, random.Random(1))
    plan = CALLS[name](Sequence(1), case)
    called = getattr(comm, {"": plan.method, "I": f"I{plan.method.lower()}", "_init": f"{plan.method}_init"}[form])
    kept = called(*plan.arguments) if form == "_init" else None
    first = True
    while True:
        if kept is not None:
            kept.Start()
            kept.Wait()
        elif form == "I":
            called(*plan.arguments).Wait()
        else:
            called(*plan.arguments)
        if first:
            print(f"rank {comm.rank} is process {os.getpid()}", flush=True)
            first = False


def main() -> None:
    if len(sys.argv) == 4:
        for_ever(sys.argv[1], sys.argv[2].replace("-", ""), int(sys.argv[3]))
    count, seed = int(sys.argv[1]), int(sys.argv[2])
    sequence = Sequence(seed)
    done = sequence.run(count)
    calls = MPI.COMM_WORLD.allreduce(done, MPI.MIN)
    if MPI.COMM_WORLD.rank == 0:
        print(f"{calls} collectives, {MPI.COMM_WORLD.size} ranks, seed {seed}: every result as it should be")
    for group in sequence.groups:
        group.comm.Free()


if __name__ == "__main__":
    main()

"""All blocking collectives on other communicators than the world, with strided types, out of step, and very often."""

from __future__ import annotations

import contextlib
import unittest
from collections.abc import Iterator

import numpy as np
from mpi4py import MPI
from support import collectives as coll
from support import data
from support.case import Case, jitter, not_on
from support.collectives import Call

SIZES = (0, 4, 48, 1000, 8192, 40_000, 70_000, 300_000)
FAST = (4, 8, 64, 400)  # bytes: what goes through slots and cells


class Communicators(Case):
    @contextlib.contextmanager
    def made(self, comm: MPI.Intracomm) -> Iterator[MPI.Intracomm]:
        """`comm`, freed at the end."""
        yield comm
        comm.Free()

    def everything(self, comm: MPI.Intracomm, seed: int = 0) -> None:
        """Every collective on `comm`, with all roots and some sizes."""
        for size in SIZES:
            for name, function in coll.ALL.items():
                roots = range(comm.size) if name in coll.ROOTED else [0]
                for root in roots:
                    for in_place in (False, True):
                        if name != "Bcast" or not in_place:
                            seed += 1
                            function(self, Call(comm, size, root, seed, in_place))

    def test_world_itself(self) -> None:
        self.everything(MPI.COMM_WORLD)

    def test_dup(self) -> None:
        with self.made(self.comm.Dup()) as comm:
            self.everything(comm)

    def test_reversed(self) -> None:
        """Rank r of the new communicator is rank n-1-r of the world."""
        with self.made(self.comm.Split(0, -self.rank)) as comm:
            self.assertEqual(comm.rank, self.size - 1 - self.rank)
            self.everything(comm)

    def test_halves_at_the_same_time(self) -> None:
        """Even and odd ranks work on their own, with different data."""
        with self.made(self.comm.Split(self.rank % 2, self.rank)) as comm:
            self.everything(comm, 1000 * (self.rank % 2))

    def test_some_ranks_only(self) -> None:
        """The rest of the world has MPI.COMM_NULL and does nothing."""
        color = MPI.UNDEFINED if self.rank == 0 else 1
        comm = self.comm.Split(color, self.rank)
        if comm != MPI.COMM_NULL:
            self.everything(comm)
            comm.Free()

    def test_split_of_a_split(self) -> None:
        first = self.comm.Split(int(self.rank < 3), -self.rank)
        second = first.Split(first.rank % 2, first.rank)
        self.everything(second)
        self.everything(first)
        second.Free()
        first.Free()

    def test_made_from_a_group(self) -> None:
        group = self.comm.Get_group().Incl(list(range(0, self.size, 2)))
        comm = self.comm.Create(group)
        if comm != MPI.COMM_NULL:
            self.everything(comm)
            comm.Free()
        group.Free()

    def test_ranks_alone(self) -> None:
        with self.made(self.comm.Split(self.rank)) as comm:
            self.assertEqual(comm.size, 1)
            self.everything(comm)

    def test_two_communicators_in_turn(self) -> None:
        """The same ranks in two orders: calls on one do not disturb the other."""
        with self.made(self.comm.Dup()) as one, self.made(self.comm.Split(0, -self.rank)) as two:
            for i in range(200):
                for comm in (one, two):
                    coll.bcast(self, Call(comm, FAST[i % 4], i % comm.size, i))
                    coll.allreduce(self, Call(comm, FAST[i % 4], 0, i))

    def test_overlapping_communicators(self) -> None:
        """A pair of neighbours each: every rank is in two communicators."""
        if self.size < 2:
            self.skipTest("needs 2 ranks")
        pairs = []
        for r in range(self.size - 1):
            comm = self.comm.Split(1 if self.rank in (r, r + 1) else MPI.UNDEFINED, self.rank)
            if comm != MPI.COMM_NULL:
                pairs.append(comm)
        for i in range(50):
            for comm in pairs:
                coll.allgather(self, Call(comm, FAST[i % 4], 0, i))
                coll.reduce(self, Call(comm, FAST[i % 4], i % 2, i))
        for comm in pairs:
            comm.Free()

    def test_many_communicators(self) -> None:
        """Made, used and freed five hundred times: nothing runs out."""
        for i in range(500):
            with self.made(self.comm.Split(i % 3, -self.rank if i % 2 else self.rank)) as comm:
                coll.allreduce(self, Call(comm, 8, 0, i))

    def test_many_at_once(self) -> None:
        comms = [self.comm.Dup() for _ in range(100)]
        for i, comm in enumerate(comms):
            coll.bcast(self, Call(comm, 100, i % self.size, i))
        for i, comm in reversed(list(enumerate(comms))):
            coll.allgather(self, Call(comm, 100, 0, i))
            comm.Free()


class Often(Case):
    """Thousands of fast calls: a slot that is used again too early shows as wrong data."""

    TIMES = 1000

    def rooted(self, name: str) -> None:
        for i in range(self.TIMES):
            coll.ROOTED[name](self, Call(self.comm, FAST[i % 4], i % self.size, i, i % 5 == 0 and name != "Bcast"))

    def unrooted(self, name: str) -> None:
        for i in range(self.TIMES):
            coll.UNROOTED[name](self, Call(self.comm, FAST[i % 4], 0, i, i % 5 == 0))

    def test_bcast(self) -> None:
        self.rooted("Bcast")

    def test_scatter(self) -> None:
        self.rooted("Scatter")

    def test_gather(self) -> None:
        self.rooted("Gather")

    def test_reduce(self) -> None:
        self.rooted("Reduce")

    def test_allgather(self) -> None:
        self.unrooted("Allgather")

    def test_alltoall(self) -> None:
        self.unrooted("Alltoall")

    def test_allreduce(self) -> None:
        self.unrooted("Allreduce")

    def test_scan(self) -> None:
        self.unrooted("Scan")

    def test_exscan(self) -> None:
        self.unrooted("Exscan")

    def test_one_root_runs_ahead(self) -> None:
        """Nothing stops the root of a broadcast from starting the next ones: the others still get each of them."""
        for root in range(self.size):
            for i in range(self.TIMES):
                value = np.array([i if self.rank == root else -1])
                self.comm.Bcast(value, root)
                if value[0] != i:
                    self.fail(f"broadcast {i} from {root} gave {value[0]}")

    def test_gathers_run_ahead(self) -> None:
        """In a gather to one root the others can be many calls ahead."""
        for root in range(self.size):
            got = np.zeros(self.size, "i8")
            for i in range(self.TIMES):
                mine = np.array([i * 10 + self.rank])
                self.comm.Gather(mine, got if self.rank == root else None, root)
                mine[:] = -1
                if self.rank == root and got.tolist() != [i * 10 + r for r in range(self.size)]:
                    self.fail(f"gather {i} to {root} gave {got}")

    def test_different_calls_in_turn(self) -> None:
        """All collectives mixed, sizes and roots changing, in an order that is the same on all ranks."""
        rng = np.random.Generator(np.random.PCG64(42))
        names = list(coll.ALL)
        for i in range(2 * self.TIMES):
            name = names[rng.integers(len(names))]
            size = int(rng.choice((0, 4, 8, 100, 3000, 9000, 70_000), p=(0.05, 0.2, 0.25, 0.2, 0.15, 0.1, 0.05)))
            root, in_place = int(rng.integers(self.size)), bool(rng.integers(2)) and name != "Bcast"
            coll.ALL[name](self, Call(self.comm, size, root, i, in_place))

    def test_mixed_with_messages(self) -> None:
        """Point-to-point traffic on the same communicator around the collectives."""
        for i in range(300):
            size = (8, 100, 5000, 70_000)[i % 4]
            room = data.Room(size)
            receive = self.comm.Irecv(room.bytes, self.left, i)
            coll.allreduce(self, Call(self.comm, 8, 0, i))
            send = self.comm.Isend(data.message(i + self.rank, size), self.right, i)
            coll.bcast(self, Call(self.comm, 64, i % self.size, i))
            MPI.Request.Waitall([receive, send])
            self.good(room.wrong(i + self.left, size))


class OutOfStep(Case):
    """Ranks come at different times, a different one first each time."""

    def test_random_delays(self) -> None:
        rng = np.random.Generator(np.random.PCG64(1))
        for i in range(10):
            for name, function in coll.ALL.items():
                size = int(rng.choice((0, 8, 1000, 50_000, 300_000)))
                root = int(rng.integers(self.size))
                jitter(i * 1000 + self.rank * 77 + len(name), 0.002)
                function(self, Call(self.comm, size, root, i))

    def test_one_comes_very_late(self) -> None:
        for late in range(self.size):
            for name, function in coll.ALL.items():
                if self.rank == late:
                    jitter(4095, 0.01)
                function(self, Call(self.comm, 10_000, late, len(name)))

    def test_arrival_in_a_row(self) -> None:
        for direction in (1, -1):
            for function in coll.ALL.values():
                jitter(0 if self.rank == 0 else 4095, 0.003 * (direction * self.rank % self.size))
                function(self, Call(self.comm, 500, 0, 3))


class Strided(Case):
    """Columns of matrices in collectives."""

    def setUp(self) -> None:
        super().setUp()
        self.rows = 60
        self.column = MPI.DOUBLE.Create_vector(self.rows, 1, 4).Commit()

    def tearDown(self) -> None:
        self.column.Free()
        super().tearDown()

    def grid(self, r: int) -> np.ndarray:
        return (np.arange(self.rows * 4.0) + 1000 * r).reshape(self.rows, 4)

    def test_bcast(self) -> None:
        for rows in (3, 60, 5000, 100_000):
            column = MPI.DOUBLE.Create_vector(rows, 2, 3).Commit()
            for root in range(self.size):
                full = np.arange(rows * 3.0).reshape(rows, 3) + root
                grid = full.copy() if self.rank == root else np.full((rows, 3), -1.0)
                self.comm.Bcast([grid, 1, column], root)
                self.assertTrue(np.array_equal(grid[:, :2], full[:, :2]))
                if self.rank != root:
                    self.assertTrue((grid[:, 2] == -1).all())
            column.Free()

    def test_gather_of_columns(self) -> None:
        for root in range(self.size):
            got = np.zeros((self.size, self.rows)) if self.rank == root else None
            self.comm.Gather([self.grid(self.rank).reshape(-1)[2:], 1, self.column], got, root)
            if got is not None:
                self.assertEqual(got.tolist(), [self.grid(r)[:, 2].tolist() for r in range(self.size)])

    @not_on("Intel", "takes the sender's count for the receiver's")
    def test_allgather_of_columns(self) -> None:
        got = np.zeros((self.size, self.rows))
        self.comm.Allgather([self.grid(self.rank).reshape(-1)[1:], 1, self.column], got)
        self.assertEqual(got.tolist(), [self.grid(r)[:, 1].tolist() for r in range(self.size)])

    def test_scatter_into_columns(self) -> None:
        send = np.arange(float(self.size * self.rows)) if self.rank == 0 else None
        got = np.full((self.rows, 4), -1.0)
        self.comm.Scatter(send, [got.reshape(-1)[3:], 1, self.column])
        begin = self.rank * self.rows
        self.assertEqual(got[:, 3].tolist(), list(range(begin, begin + self.rows)))
        self.assertTrue((got[:, :3] == -1).all())

    def test_gatherv_of_whole_columns(self) -> None:
        """Counts and displacements are in units of the type's extent."""
        counts = [r + 1 for r in range(self.size)]
        mine = np.full((self.rank + 1) * 3, self.rank, "i")
        triple = MPI.INT.Create_contiguous(3).Commit()
        displs = [sum(counts[:r]) + r for r in range(self.size)]
        got = np.full(3 * (sum(counts) + self.size), -1, "i")
        self.comm.Gatherv([mine, self.rank + 1, triple], [got, counts, displs, triple] if self.rank == 0 else None)
        if self.rank == 0:
            expected = [value for r in range(self.size) for value in [r] * (3 * counts[r]) + [-1] * 3]
            self.assertEqual(got.tolist(), expected)
        triple.Free()

    def test_alltoall_of_triples(self) -> None:
        triple = MPI.INT.Create_contiguous(3).Commit()
        send = np.repeat(np.arange(self.size, dtype="i") + 10 * self.rank, 3)
        got = np.zeros(3 * self.size, "i")
        self.comm.Alltoall([send, 1, triple], [got, 1, triple])
        self.assertEqual(got.tolist(), np.repeat(np.arange(self.size) * 10 + self.rank, 3).tolist())
        triple.Free()


if __name__ == "__main__":
    unittest.main()

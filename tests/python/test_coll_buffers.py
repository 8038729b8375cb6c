"""All blocking collectives: every size, every root, with and without MPI.IN_PLACE."""

from __future__ import annotations

import time
import unittest

import numpy as np
from mpi4py import MPI
from support import collectives as coll
from support import data
from support.case import Case, jitter, not_on
from support.collectives import Call


class Sizes(Case):
    """One test for each collective."""

    def rooted(self, name: str) -> None:
        seed = 0
        for size in coll.SIZES + coll.HUGE:
            # All roots for the sizes in which much happens, a rotating one for the large ones.
            roots = range(self.size) if size <= 65_536 else [size % self.size]
            for root in roots:
                for in_place in (False, True):
                    if name == "Bcast" and in_place:
                        continue
                    seed += 1
                    coll.ROOTED[name](self, Call(self.comm, size, root, seed, in_place))

    def unrooted(self, name: str) -> None:
        for seed, size in enumerate(coll.SIZES + coll.HUGE):
            for in_place in (False, True):
                coll.UNROOTED[name](self, Call(self.comm, size, 0, 100 * seed, in_place))

    def test_bcast(self) -> None:
        self.rooted("Bcast")

    def test_scatter(self) -> None:
        self.rooted("Scatter")

    def test_scatterv(self) -> None:
        self.rooted("Scatterv")

    def test_gather(self) -> None:
        self.rooted("Gather")

    def test_gatherv(self) -> None:
        self.rooted("Gatherv")

    def test_reduce(self) -> None:
        self.rooted("Reduce")

    def test_allgather(self) -> None:
        self.unrooted("Allgather")

    def test_allgatherv(self) -> None:
        self.unrooted("Allgatherv")

    def test_alltoall(self) -> None:
        self.unrooted("Alltoall")

    def test_alltoallv(self) -> None:
        self.unrooted("Alltoallv")

    def test_allreduce(self) -> None:
        self.unrooted("Allreduce")

    def test_scan(self) -> None:
        self.unrooted("Scan")

    def test_exscan(self) -> None:
        self.unrooted("Exscan")

    def test_barrier(self) -> None:
        for _ in range(100):
            self.comm.Barrier()

    def test_on_comm_self(self) -> None:
        for name, function in coll.ALL.items():
            for size in (0, 8, 5000, 1 << 20):
                for in_place in (False, True):
                    if name != "Bcast" or not in_place:
                        function(self, Call(MPI.COMM_SELF, size, 0, size, in_place))


class Meaning(Case):
    """What the collectives promise beyond the bytes."""

    def test_nobody_leaves_a_barrier_before_all_are_there(self) -> None:
        """One rank comes late. The clock is the machine's, the same for all ranks."""
        for late in range(self.size):
            if self.rank == late:
                jitter(4000, 0.005)
            came = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
            self.comm.Barrier()
            went = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
            times = np.zeros((self.size, 2), np.int64)
            self.comm.Allgather(np.array([came, went]), times)
            self.assertGreaterEqual(times[:, 1].min(), times[:, 0].max(), f"rank {late} was late")

    def test_send_buffers_stay_as_they_are(self) -> None:
        for size in (8, 5000, 100_000):
            mine = data.message(self.rank, size * self.size)
            got = np.zeros(size * self.size, np.uint8)
            self.comm.Alltoall(mine, got)
            self.comm.Allgather(mine[:size], got)
            self.comm.Allreduce(mine, got, MPI.BXOR)
            self.comm.Reduce(mine, got, MPI.BXOR, 0)
            self.comm.Scan(mine, got, MPI.BXOR)
            self.comm.Exscan(mine, got, MPI.BXOR)
            self.comm.Gather(mine, np.zeros(mine.size * self.size, np.uint8) if self.rank == 0 else None)
            self.good(data.wrong(mine, self.rank, size * self.size))

    def test_all_get_the_same_bits(self) -> None:
        """A sum of floating-point numbers may depend on the order, but not on the rank that looks at it."""
        for dtype in ("f", "d", "g"):
            for count in (1, 3, 100, 10_000, 300_000):
                rng = np.random.Generator(np.random.PCG64(self.rank))
                mine = (rng.random(count) * 10.0 ** rng.integers(-8, 8, count)).astype(dtype)
                got = np.zeros(count, dtype)
                self.comm.Allreduce(mine, got)
                # As numbers, since the padding of a long double is anything.
                theirs = got.copy()
                self.comm.Bcast(theirs, 0)
                self.assertTrue(np.array_equal(got, theirs), f"{dtype}, {count}")

    def test_the_same_again_gives_the_same_bits(self) -> None:
        """The order of a sum does not depend on who comes first."""
        rng = np.random.Generator(np.random.PCG64(self.rank))
        for count in (10, 10_000):
            mine, first, got = rng.random(count), np.zeros(count), np.zeros(count)
            self.comm.Allreduce(mine, first)
            for _ in range(20):
                self.comm.Allreduce(mine, got)
                self.assertTrue(np.array_equal(got, first))

    def test_types_may_differ_between_ranks(self) -> None:
        """What has to agree is the sequence of numbers, not the words for it."""
        pair = MPI.INT.Create_contiguous(2).Commit()
        memory = np.arange(10, dtype="i") if self.rank == 0 else np.zeros(10, "i")
        self.comm.Bcast([memory, 5, pair] if self.rank % 2 else [memory, 10, MPI.INT], 0)
        self.assertEqual(memory.tolist(), list(range(10)))
        pair.Free()

    @not_on("Intel", "takes the sender's count for the receiver's")
    def test_types_may_differ_between_sender_and_receiver(self) -> None:
        pair = MPI.INT.Create_contiguous(2).Commit()
        memory = np.arange(10, dtype="i")
        gathered = np.zeros(10 * self.size, "i")
        self.comm.Allgather([memory + self.rank, 5, pair], [gathered, 10, MPI.INT])
        self.assertEqual(gathered.tolist(), [i + r for r in range(self.size) for i in range(10)])
        pair.Free()

    def test_buffers_at_other_ranks_are_not_looked_at(self) -> None:
        """Arguments that count only at the root may be anything that fits the form elsewhere."""
        n, root = self.size, self.size - 1
        is_root = self.rank == root
        got = np.zeros(2)
        self.comm.Scatter(np.arange(2.0 * n) if is_root else None, got, root)
        self.assertEqual(got.tolist(), [2 * self.rank, 2 * self.rank + 1])
        whole = np.zeros(2 * n) if is_root else None
        self.comm.Gather(got, whole, root)
        self.comm.Gather(got, [whole, MPI.DOUBLE] if is_root else [None, MPI.DOUBLE], root)
        self.comm.Reduce(got, whole[:2] if whole is not None else None, MPI.SUM, root)
        if whole is not None:
            self.assertEqual(whole[:2].tolist(), [n * (n - 1), n * n])
        self.comm.Scatterv([np.arange(n * 1.0), [1] * n, None, MPI.DOUBLE] if is_root else None, got[:1], root)
        self.assertEqual(got[0], self.rank)
        self.comm.Gatherv(got[:1], [np.zeros(n), [1] * n] if is_root else None, root)


class Forms(Case):
    """The lists and tuples that describe the buffers of collectives."""

    def test_bcast(self) -> None:
        for make in (
            lambda memory: memory,
            lambda memory: [memory, MPI.INT],
            lambda memory: [memory, 6, MPI.INT],
            lambda memory: (memory, "i"),
            lambda memory: [memory, (6, 0), MPI.INT],
            lambda memory: memoryview(memory),
        ):
            memory = np.arange(6, dtype="i") if self.rank == 0 else np.zeros(6, "i")
            self.comm.Bcast(make(memory))
            self.assertEqual(memory.tolist(), list(range(6)))
        text = bytearray(b"hello" if self.rank == 0 else 5)
        self.comm.Bcast(text)
        self.assertEqual(text, b"hello")

    def test_one_count_means_one_block(self) -> None:
        """In Gather, Scatter and the like the count of the larger side is per rank, and found by division."""
        n = self.size
        mine = np.full(3, self.rank, "i")
        expected = np.repeat(np.arange(n), 3).tolist()
        for form in (lambda m: m, lambda m: [m, MPI.INT], lambda m: [m, 3, MPI.INT], lambda m: [m, (3, None), MPI.INT]):
            got = np.zeros(3 * n, "i")
            self.comm.Allgather(mine, form(got))
            self.assertEqual(got.tolist(), expected)
            got = np.zeros(3 * n, "i")
            self.comm.Gather(mine, form(got) if self.rank == 0 else None)
            self.assertEqual(got.tolist(), expected if self.rank == 0 else [0] * 3 * n)
            got = np.zeros(3, "i")
            self.comm.Scatter(form(np.repeat(np.arange(n, dtype="i"), 3)) if self.rank == 0 else None, got)
            self.assertEqual(got.tolist(), [self.rank] * 3)
            got = np.zeros(3 * n, "i")
            self.comm.Alltoall(form(np.repeat(np.arange(n, dtype="i"), 3)), form(got))
            self.assertEqual(got.tolist(), [self.rank] * 3 * n)

    def test_a_length_that_the_ranks_do_not_divide(self) -> None:
        if self.size > 1:
            with self.assertRaises(ValueError):
                self.comm.Allgather(np.zeros(3), np.zeros(3 * self.size + 1))
            with self.assertRaises(ValueError):
                self.comm.Alltoall(np.zeros(3 * self.size + 1), np.zeros(3 * self.size))

    def test_vector_forms(self) -> None:
        n = self.size
        counts = [r + 1 for r in range(n)]
        displs = [sum(counts[:r]) for r in range(n)]
        mine = np.full(self.rank + 1, self.rank, "i")
        expected = np.repeat(np.arange(n), counts).tolist()
        forms = (
            lambda m: [m, counts, displs, MPI.INT],
            lambda m: [m, (counts, displs), MPI.INT],
            lambda m: [m, tuple(counts), tuple(displs), MPI.INT],
            lambda m: [m, np.array(counts), np.array(displs), MPI.INT],
            lambda m: [m, np.array(counts, "i4"), None, "i"],
            lambda m: [m, (counts, None), MPI.INT],
            lambda m: [m, counts, MPI.INT],
            lambda m: [m, counts],
            lambda m: (m, (counts, displs)),
        )
        for i, form in enumerate(forms):
            got = np.zeros(sum(counts), "i")
            self.comm.Allgatherv(mine, form(got))
            self.assertEqual(got.tolist(), expected, f"form {i}")
            part = np.zeros(self.rank + 1, "i")
            self.comm.Scatterv(form(got) if self.rank == 0 else None, part)
            self.assertEqual(part.tolist(), mine.tolist(), f"form {i}")
            got = np.zeros(sum(counts), "i")
            self.comm.Gatherv([mine, self.rank + 1, MPI.INT], form(got) if self.rank == 0 else None)
            self.assertEqual(got.tolist(), expected if self.rank == 0 else [0] * sum(counts), f"form {i}")

    def test_vector_of_equal_blocks(self) -> None:
        """Without counts a v-variant deals out as evenly as it can: the first ranks get one more."""
        n = self.size
        total = 3 * n + n // 2
        share = [3 + (r < total - 3 * n) for r in range(n)]
        whole = np.arange(total, dtype="i")
        part = np.zeros(share[self.rank], "i")
        self.comm.Scatterv(whole if self.rank == 0 else None, part)
        begin = sum(share[: self.rank])
        self.assertEqual(part.tolist(), list(range(begin, begin + share[self.rank])))
        got = np.zeros(total, "i")
        self.comm.Allgatherv(part, got)
        self.assertEqual(got.tolist(), whole.tolist())

    def test_displacements_of_the_same_data(self) -> None:
        """Scatterv may send overlapping parts."""
        n = self.size
        got = np.zeros(4, "i")
        send = [np.arange(n + 3, dtype="i"), [4] * n, list(range(n)), MPI.INT] if self.rank == 0 else None
        self.comm.Scatterv(send, got)
        self.assertEqual(got.tolist(), list(range(self.rank, self.rank + 4)))


if __name__ == "__main__":
    unittest.main()

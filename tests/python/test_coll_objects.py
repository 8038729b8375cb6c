"""Lower-case collectives: any picklable object."""

from __future__ import annotations

import unittest
from typing import Any

import numpy as np
from mpi4py import MPI
from support import objects
from support.case import Case, jitter


class ObjectCase(Case):
    def same(self, got: Any, expected: Any) -> None:
        if not objects.same(got, expected):
            self.fail(f"got {str(got)[:200]} instead of {str(expected)[:200]}")

    def some(self, seed: int) -> list[Any]:
        """For what is done with every root, or from every rank to every rank."""
        return [*objects.small(seed), *objects.arrays(seed, 2000)[:6], "x" * (40_000 + seed)]

    def everything(self, seed: int) -> list[Any]:
        return [*objects.small(seed), *objects.arrays(seed, 20_000), *objects.large(seed)]


class Moving(ObjectCase):
    def test_bcast(self) -> None:
        for root in range(self.size):
            for thing in self.some(root):
                got = self.comm.bcast(thing if self.rank == root else "not this", root)
                self.same(got, thing)

    def test_bcast_gives_everybody_a_copy(self) -> None:
        """The root too, so that the program does the same on all ranks."""
        mine = [1, 2]
        got = self.comm.bcast(mine if self.rank == 0 else None)
        got.append(3)
        self.assertEqual((mine, got), ([1, 2], [1, 2, 3]))

    def test_scatter(self) -> None:
        for root in range(self.size):
            whole = [self.some(10 * root + r) for r in range(self.size)]
            for i in range(len(whole[0])):
                got = self.comm.scatter([things[i] for things in whole] if self.rank == root else None, root)
                self.same(got, whole[self.rank][i])

    def test_gather(self) -> None:
        whole = [self.some(r) for r in range(self.size)]
        for root in range(self.size):
            for i, thing in enumerate(whole[self.rank]):
                got = self.comm.gather(thing, root)
                self.same(got, [things[i] for things in whole] if self.rank == root else None)

    def test_large_objects(self) -> None:
        for i, thing in enumerate(self.everything(1)):
            self.same(self.comm.bcast(thing if self.rank == i % self.size else None, i % self.size), thing)
        for i, thing in enumerate(objects.large(1)):
            got = self.comm.scatter([thing] * self.size if self.rank == i % self.size else None, i % self.size)
            self.same(got, thing)
            if i < 3:
                self.same(self.comm.alltoall([thing] * self.size), [thing] * self.size)

    def test_allgather(self) -> None:
        whole = [self.everything(r) for r in range(self.size)]
        for i, thing in enumerate(whole[self.rank]):
            self.same(self.comm.allgather(thing), [things[i] for things in whole])

    def test_alltoall(self) -> None:
        count = len(self.some(0))
        table = [[self.some(10 * s + d) for d in range(self.size)] for s in range(self.size)]
        for i in range(count):
            got = self.comm.alltoall([table[self.rank][d][i] for d in range(self.size)])
            self.same(got, [table[s][self.rank][i] for s in range(self.size)])

    def test_different_sizes_at_each_rank(self) -> None:
        """Nothing, little and much in one call."""
        for shift in range(self.size):
            things = [None, "x" * 100, b"y" * 1_000_000, np.arange(300_000)]
            mine = things[(self.rank + shift) % 4]
            expected = [things[(r + shift) % 4] for r in range(self.size)]
            self.same(self.comm.allgather(mine), expected)
            got = self.comm.gather(mine, shift)
            self.same(got, expected if self.rank == shift else None)
            self.same(self.comm.alltoall(expected), [things[(self.rank + shift) % 4]] * self.size)

    def test_any_iterable(self) -> None:
        """What is dealt out may be a tuple, a generator, an array."""
        n = self.size
        for make in (tuple, iter, np.array, lambda numbers: (number for number in numbers)):
            self.assertEqual(self.comm.scatter(make(list(range(n))) if self.rank == 0 else None), self.rank)
            self.assertEqual(self.comm.alltoall(make([self.rank] * n)), list(range(n)))

    def test_wrong_numbers_of_items(self) -> None:
        """Found before anything is sent, so that all ranks can go on."""
        for count in (0, self.size + 1):
            with self.assertRaises(ValueError):
                self.comm.alltoall(list(range(count)))
        if self.size == 1:
            with self.assertRaises(ValueError):
                self.comm.scatter([1, 2])
        self.comm.barrier()

    def test_received_arrays_can_be_written_to(self) -> None:
        for count in (3, 200_000):
            got = self.comm.bcast(np.arange(float(count)) if self.rank == 0 else None)
            got += self.rank
            self.same(got, np.arange(float(count)) + self.rank)
            for array in self.comm.allgather(got):
                array += 1


class Reducing(ObjectCase):
    def test_numbers(self) -> None:
        n = self.size
        self.assertEqual(self.comm.allreduce(self.rank + 1), n * (n + 1) // 2)
        self.assertEqual(self.comm.allreduce(10**30 + self.rank), n * 10**30 + n * (n - 1) // 2)
        self.assertEqual(self.comm.allreduce(self.rank, op=MPI.MAX), n - 1)
        self.assertEqual(self.comm.allreduce(self.rank, MPI.MIN), 0)
        self.assertEqual(self.comm.allreduce(2, MPI.PROD), 2**n)
        self.assertEqual(self.comm.allreduce(0.5), n / 2)
        self.assertEqual(self.comm.allreduce(self.rank > 0, MPI.LOR), n > 1)
        self.assertEqual(self.comm.allreduce(self.rank == 0, MPI.LAND), n == 1)
        self.assertEqual(self.comm.allreduce(1 << self.rank, MPI.BOR), (1 << n) - 1)
        self.assertEqual(self.comm.allreduce(7, MPI.BAND), 7)
        self.assertEqual(self.comm.allreduce(1, MPI.BXOR), n % 2)

    def test_places(self) -> None:
        n = self.size
        self.assertEqual(self.comm.allreduce((self.rank % 2, self.rank), MPI.MAXLOC), (n > 1, min(1, n - 1)))
        self.assertEqual(self.comm.allreduce((self.rank % 2, self.rank), MPI.MINLOC), (0, 0))

    def test_in_the_order_of_the_ranks(self) -> None:
        """Strings and lists are put together in rank order, whatever the root."""
        words = [f"<{r}>" for r in range(self.size)]
        self.assertEqual(self.comm.allreduce(words[self.rank]), "".join(words))
        self.assertEqual(self.comm.allreduce([self.rank]), list(range(self.size)))
        for root in range(self.size):
            got = self.comm.reduce(words[self.rank], MPI.SUM, root)
            self.assertEqual(got, "".join(words) if self.rank == root else None)

    def test_scan(self) -> None:
        words = [f"<{r}>" for r in range(self.size)]
        self.assertEqual(self.comm.scan(words[self.rank]), "".join(words[: self.rank + 1]))
        got = self.comm.exscan(words[self.rank])
        self.assertEqual(got, "".join(words[: self.rank]) if self.rank else None)
        self.assertEqual(self.comm.scan(self.rank + 1, MPI.PROD), np.prod(np.arange(1, self.rank + 2)))

    def test_functions(self) -> None:
        """Any function of two arguments can be the operation."""
        self.assertEqual(self.comm.allreduce({self.rank}, lambda a, b: a | b), set(range(self.size)))
        self.assertEqual(self.comm.allreduce(self.rank, max), self.size - 1)
        got = self.comm.reduce({self.rank: 1}, lambda a, b: {**a, **b}, self.size - 1)
        if self.rank == self.size - 1:
            self.assertEqual(list(got), list(range(self.size)))
        self.assertEqual(self.comm.scan([self.rank], lambda a, b: a + b), list(range(self.rank + 1)))

    def test_arrays(self) -> None:
        for count in (5, 100_000):
            got = self.comm.allreduce(np.full(count, self.rank + 1.0))
            self.same(got, np.full(count, self.size * (self.size + 1) / 2))
            got = self.comm.reduce(np.full(count, self.rank), MPI.SUM, 0)
            if self.rank == 0:
                self.same(got, np.full(count, self.size * (self.size - 1) // 2))

    def test_a_function_that_does_not_change_its_arguments_keeps_them(self) -> None:
        mine = [self.rank]
        self.comm.allreduce(mine)
        self.assertEqual(mine, [self.rank])


class Together(ObjectCase):
    def test_barrier(self) -> None:
        for _ in range(20):
            self.assertIsNone(self.comm.barrier())

    def test_out_of_step_and_often(self) -> None:
        for i in range(150):
            if i % 10 == 0:
                jitter(i + self.rank * 7, 0.002)
            root = i % self.size
            payload = "x" * (0, 10, 100, 5000, 70_000)[i % 5]
            self.assertEqual(self.comm.bcast((i, payload) if self.rank == root else None, root), (i, payload))
            self.assertEqual(self.comm.allreduce(i), i * self.size)
            got = self.comm.gather((i, self.rank), root)
            self.assertEqual(got, [(i, r) for r in range(self.size)] if self.rank == root else None)

    def test_mixed_with_upper_case(self) -> None:
        for i in range(50):
            value = np.array([i if self.rank == 0 else -1])
            self.comm.Bcast(value)
            self.assertEqual(self.comm.bcast(int(value[0])), i)
            got = np.zeros(self.size, int)
            self.comm.Allgather(value, got)
            self.assertEqual(self.comm.allgather(i), got.tolist())

    def test_with_messages_under_way(self) -> None:
        request = self.comm.isend("direct", self.right)
        self.assertEqual(self.comm.allgather(self.rank), list(range(self.size)))
        self.assertEqual(self.comm.bcast(5), 5)
        self.assertEqual(self.comm.recv(source=self.left), "direct")
        request.wait()

    def test_on_other_communicators(self) -> None:
        backwards = self.comm.Split(0, -self.rank)
        self.assertEqual(backwards.allgather(self.rank), list(range(self.size))[::-1])
        self.assertEqual(backwards.bcast(self.rank), self.size - 1)
        backwards.Free()
        half = self.comm.Split(self.rank % 2, self.rank)
        self.assertEqual(half.allreduce([self.rank]), list(range(self.rank % 2, self.size, 2)))
        half.Free()
        for thing in self.everything(1):
            self.same(MPI.COMM_SELF.bcast(thing), thing)
            self.same(MPI.COMM_SELF.allgather(thing), [thing])
            self.same(MPI.COMM_SELF.alltoall([thing]), [thing])
            self.same(MPI.COMM_SELF.scatter([thing]), thing)


class Failures(ObjectCase):
    """What fails on all ranks alike leaves the communicator usable."""

    def goes_on(self) -> None:
        self.assertEqual(self.comm.allgather(self.rank), list(range(self.size)))

    def test_what_cannot_be_pickled(self) -> None:
        bomb = objects.Bomb()
        for call in (self.comm.gather, self.comm.allgather, self.comm.allreduce, self.comm.scan):
            with self.assertRaisesRegex(RuntimeError, "does not travel"):
                call(bomb)
            self.goes_on()
        with self.assertRaisesRegex(RuntimeError, "does not travel"):
            self.comm.alltoall([bomb] * self.size)
        self.goes_on()

    def test_what_cannot_be_unpickled(self) -> None:
        for call in (self.comm.allgather, lambda thing: self.comm.alltoall([thing] * self.size)):
            with self.assertRaisesRegex(RuntimeError, "did not survive"):
                call(objects.LateBomb())
            self.goes_on()

    def test_invalid_root(self) -> None:
        for root in (-1, self.size):
            for call in (self.comm.bcast, self.comm.gather, self.comm.reduce):
                with self.mpi_error(MPI.ERR_ROOT):
                    call(1, root=root)
        self.goes_on()


if __name__ == "__main__":
    unittest.main()

"""Memory of received arrays: it is the receiver's for as long as somebody has it, then it is used again, and
what is too much of it goes back to the system."""

from __future__ import annotations

import gc
import pickle
import random
import resource
from pathlib import Path
from typing import Any

import numpy as np
from mpi4py import MPI
from support.case import Case, our_extension, ranks_at_least

MIB = 1 << 20


def resident() -> int:
    """Bytes of memory that this process has."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def faults() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


class MemoryCase(Case):
    def there(self, thing: Any) -> Any:
        return self.comm.sendrecv(thing, self.right, 0, None, self.left, 0)

    def array(self, rank: int, number: int, nbytes: int) -> Any:
        return np.arange(nbytes // 8, dtype=np.int64) + (rank * 1000 + number)

    def is_array(self, got: Any, rank: int, number: int, nbytes: int) -> None:
        self.assertEqual((type(got), got.dtype, got.shape), (np.ndarray, np.int64, (nbytes // 8,)))
        self.assertTrue(np.array_equal(got, self.array(rank, number, nbytes)), (rank, number, nbytes))


@our_extension("the memory of received objects")
class Kept(MemoryCase):
    def test_arrays_that_are_held_do_not_change(self) -> None:
        """Whatever comes later and whatever is let go in between; written to, the others stay as they are."""
        choose = random.Random(1)
        sizes = [40_000, 300_000, 999_936, MIB, 3 * MIB, 4 * MIB, 5 * MIB + 4096]
        held: list[tuple[int, int, Any]] = []
        for number in range(60):
            size = choose.choice(sizes)
            got = self.there({"a": self.array(self.rank, number, size), "n": number})
            self.assertEqual(got["n"], number)
            held.append((number, size, got["a"]))
            while len(held) > choose.randrange(1, 8):
                number, size, got = held.pop(choose.randrange(len(held)))
                self.is_array(got, self.left, number, size)
                self.assertTrue(got.flags.writeable)
                got.fill(-1)
        for number, size, got in held:
            self.is_array(got, self.left, number, size)

    def test_several_arrays_of_one_message(self) -> None:
        """They share a block: it stays until the last one is gone."""
        sizes = [MIB, 2 * MIB + 8, 400_000]
        got = self.there([self.array(self.rank, i, size) for i, size in enumerate(sizes)])
        for i, (size, array) in enumerate(zip(sizes, got, strict=True)):
            self.is_array(array, self.left, i, size)
            self.assertEqual(array.ctypes.data % 64, 0)
        last = got[1]
        del got, array
        for _ in range(3):
            self.there([np.zeros(size // 8) for size in sizes])
        self.is_array(last, self.left, 1, sizes[1])

    def test_a_small_array_does_not_keep_the_others(self) -> None:
        thing = [self.array(self.rank, i, 100_000) for i in range(100)]
        gc.collect()
        before = resident()
        held = [self.there(thing)[3] for _ in range(30)]
        self.assertLess(resident() - before, 60 * MIB)
        for array in held:
            self.is_array(array, self.left, 3, 100_000)

    def test_views_keep_the_memory(self) -> None:
        for view in (lambda a: a[::-1], lambda a: a.reshape(-1, 2).T, memoryview, lambda a: a.view(np.uint8)):
            got = view(self.there(self.array(self.rank, 1, 2 * MIB)))
            expected = np.asarray(view(self.array(self.left, 1, 2 * MIB)))
            for _ in range(3):
                self.there(np.zeros(2 * MIB // 8))
            self.assertTrue(np.array_equal(np.asarray(got), expected))

    def test_received_arrays_are_arrays(self) -> None:
        """Sent on, pickled, copied, and as buffers of upper-case calls; resizing is refused as for any view."""
        got = self.there(self.array(self.rank, 5, MIB))
        with self.assertRaises(ValueError):
            got.resize(10)
        for again in (
            pickle.loads(pickle.dumps(got)),
            got.copy(),
            self.comm.sendrecv(got, self.rank, 0, None, self.rank),
        ):
            self.is_array(again, self.left, 5, MIB)
            self.assertFalse(np.shares_memory(again, got))
        self.comm.Sendrecv_replace(got, self.left, 0, self.right, 0)
        self.is_array(got, self.rank, 5, MIB)

    def test_large_objects_without_buffers(self) -> None:
        """Their memory is free as soon as the object is made."""
        for _ in range(3):
            for thing in (list(range(100_000)), "x" * MIB, bytearray(3 * MIB), {"a": b"y" * MIB}):
                self.assertEqual(self.there(thing), thing)

    def test_all_ways_to_receive(self) -> None:
        mine, theirs = self.array(self.rank, 2, MIB), self.array(self.left, 2, MIB)
        sends = [self.comm.isend(mine, self.right) for _ in range(4)]
        receive = self.comm.irecv(source=self.left)
        got = [receive.wait(), self.comm.mprobe(self.left).recv(), self.comm.mprobe(self.left).irecv().wait()]
        got.append(self.comm.recv(source=self.left))
        MPI.Request.waitall(sends)
        got += [self.comm.alltoall([mine] * self.size)[self.left], self.comm.allgather(mine)[self.left]]
        for array in got:
            self.assertTrue(np.array_equal(array, theirs))
        array = self.comm.bcast(mine, 0)
        self.is_array(array, 0, 2, MIB)
        self.assertFalse(np.shares_memory(array, mine))


@our_extension("the memory of received objects")
class UsedAgain(MemoryCase):
    def test_the_same_memory_again(self) -> None:
        """Of which slightly different sizes get the same."""
        for size in (300_000, 2 * MIB, 10_000_000):
            places = set()
            for number in range(12):
                got = self.there(self.array(self.rank, number, size + 4096 * (number % 3)))
                self.is_array(got, self.left, number, size + 4096 * (number % 3))
                places.add(got.ctypes.data)
                del got
            self.assertLess(len(places), 4, size)

    @ranks_at_least(2)
    def test_without_page_faults(self) -> None:
        mine = self.array(self.rank, 1, 10_000_000)
        for rounds in (5, 10):
            before = faults()
            for _ in range(rounds):
                self.there(mine)
            grown = faults() - before
        # New memory each time would be 2441 of them per round.
        self.assertLess(grown, 5000)


@our_extension("the memory of received objects")
class GivenBack(MemoryCase):
    def test_memory_beyond_the_limit(self) -> None:
        mine = self.array(self.rank, 1, 16 * MIB)
        self.there(mine)
        gc.collect()
        before = resident()
        held = [self.there(mine) for _ in range(10)]
        self.assertGreater(resident() - before, 130 * MIB)
        for array in held:
            self.is_array(array, self.left, 1, 16 * MIB)
        del array
        held.clear()
        gc.collect()
        self.assertLess(resident() - before, 80 * MIB)

    def test_one_that_is_larger_than_the_limit(self) -> None:
        mine = self.array(self.rank, 1, 70 * MIB)
        gc.collect()
        before = resident()
        got = self.there(mine)
        self.assertGreater(resident() - before, 60 * MIB)
        self.is_array(got, self.left, 1, 70 * MIB)
        del got
        gc.collect()
        self.assertLess(resident() - before, 40 * MIB)

    def test_many_small_ones(self) -> None:
        mine = self.array(self.rank, 1, 400_000)
        gc.collect()
        before = resident()
        held = [self.there(mine) for _ in range(200)]
        self.assertGreater(resident() - before, 60 * MIB)
        held.clear()
        gc.collect()
        self.assertLess(resident() - before, 20 * MIB)

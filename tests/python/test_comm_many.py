"""No small limits: thousands of communicators, one after the other and at once; any tag up to the largest int."""

from __future__ import annotations

import gc
import time
from pathlib import Path

import numpy as np
from mpi4py import MPI
from support import data
from support.case import Case, ours_only

MANY = 10_000
# Far above what it takes (0.1 s alone, some seconds with four ranks on two busy cores): only a cost that grows with the
# number of communicators comes near it.
SECONDS = 120


def private_bytes() -> int:
    """Memory of this process alone."""
    gc.collect()
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith("Pss_Anon:"))


class Many(Case):
    def ring(self, comm: MPI.Intracomm, value: int) -> None:
        """Sends a number around."""
        got = np.array([-1], "i")
        comm.Sendrecv(np.array([value + self.rank], "i"), self.right, 3, got, self.left, 3)
        self.assertEqual(got[0], value + self.left)

    def test_one_after_the_other(self) -> None:
        start = time.monotonic()
        before = 0
        for i in range(MANY):
            copy = self.comm.Dup()
            if i % 50 == 0:
                self.ring(copy, i)
                copy.Barrier()
            copy.Free()
            if i == MANY // 10:
                before = private_bytes()
        self.assertLess(private_bytes() - before, 4 << 20, "bytes of 9,000 communicators that were freed")
        self.assertLess(time.monotonic() - start, SECONDS)

    @ours_only("others have room for some thousand at most, or need 10 KiB in each process for each")
    def test_all_at_once(self) -> None:
        start = time.monotonic()
        before = private_bytes()
        comms = [self.comm.Dup() for _ in range(MANY)]
        self.assertLess(private_bytes() - before, MANY * 2048)
        # A message on each tenth, all on their way at once, received in another order.
        numbers = np.arange(MANY, dtype="i") + self.rank * MANY
        chosen = range(0, MANY, 10)
        sends = [comms[i].Isend(numbers[i : i + 1], self.right) for i in chosen]
        got = np.array([-1], "i")
        for i in reversed(chosen):
            comms[i].Recv(got, self.left)
            self.assertEqual(got[0], i + self.left * MANY)
        MPI.Request.Waitall(sends)
        for i in range(0, MANY, 1 if self.size <= 2 else 20):
            comms[i].Barrier()
        for comm in comms:
            comm.Free()
        self.assertLess(time.monotonic() - start, SECONDS)

    def test_collectives_on_many_leave_room_for_messages(self) -> None:
        # More than there is fast memory for: the last ones go by messages, and nothing else runs dry.
        for _ in range(2):
            comms = [self.comm.Dup() for _ in range(150)]
            numbers = np.arange(1000.0) + self.rank
            total, all_ranks = np.empty(1000), sum(range(self.size))
            for comm in comms + comms[::-1]:
                comm.Allreduce(numbers, total)
                np.testing.assert_array_equal(total, np.arange(1000.0) * self.size + all_ranks)
            # Nonblocking and persistent ones have memory of their own, or none either.
            again = [comm.Allreduce_init(numbers, np.zeros(1000)) for comm in comms[::3]]
            for comm in comms + comms[::-1]:
                results = [np.zeros(1000) for _ in range(2)]
                MPI.Request.Waitall([comm.Iallreduce(numbers, result) for result in results])
                for result in results:
                    np.testing.assert_array_equal(result, np.arange(1000.0) * self.size + all_ranks)
            for request in again * 2:
                request.Start()
                request.Wait()
            for request in again:
                request.Free()
            for peer in range(self.size):
                room, status = data.Room(1 << 20), MPI.Status()
                request = comms[-1].Isend(data.message(self.rank, 1 << 20), (self.rank + peer) % self.size)
                source = (self.rank - peer) % self.size
                comms[-1].Recv(room.bytes, source, 0, status)
                request.Wait()
                self.good(room.wrong(source, 1 << 20), peer)
            for comm in comms:
                comm.Free()

    def test_splits_and_grids(self) -> None:
        comms: list[MPI.Intracomm] = []
        for i in range(500):
            comms.append(self.comm.Split(i % 3, -self.rank))
            comms.append(self.comm.Create_cart([self.size], [True]))
        for comm in comms:
            got = np.array([-1], "i")
            comm.Sendrecv(np.array([comm.rank], "i"), (comm.rank + 1) % comm.size, 0, got, MPI.ANY_SOURCE, MPI.ANY_TAG)
            self.assertEqual(got[0], (comm.rank - 1) % comm.size)
            comm.Free()


class Tags(Case):
    def test_any_tag_up_to_the_largest(self) -> None:
        largest = self.comm.Get_attr(MPI.TAG_UB)
        self.assertGreaterEqual(largest, 32767)
        for tag in sorted({0, 1, 32767, largest // 2, largest - 1, largest}):
            for receive_tag in (tag, MPI.ANY_TAG):
                status, room = MPI.Status(), data.Room(100)
                request = self.comm.Isend(data.message(tag, 100), self.right, tag)
                self.comm.Recv(room.bytes, self.left, receive_tag, status)
                request.Wait()
                self.good(room.wrong(tag, 100), tag)
                self.check_status(status, self.left, tag, 100)

    @ours_only("others have smaller ones")
    def test_the_largest_tag_is_the_largest_int(self) -> None:
        self.assertEqual(self.comm.Get_attr(MPI.TAG_UB), 2**31 - 1)
        self.assertEqual(MPI.COMM_SELF.Get_attr(MPI.TAG_UB), 2**31 - 1)

    def test_near_tags_are_told_apart(self) -> None:
        largest = self.comm.Get_attr(MPI.TAG_UB)
        tags = [largest - i for i in range(100)]
        requests = [self.comm.Isend(np.array([tag], "i"), self.right, tag) for tag in tags]
        for tag in reversed(tags):
            got = np.array([-1], "i")
            self.comm.Recv(got, self.left, tag)
            self.assertEqual(got[0], tag)
        MPI.Request.Waitall(requests)

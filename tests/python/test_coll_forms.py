"""Collectives that go on after the call: nonblocking and persistent ones, also between two groups and of neighbours."""

from __future__ import annotations

import gc
import random
import threading
import unittest
from collections.abc import Callable
from typing import Any

import numpy as np
from mpi4py import MPI
from support.case import OURS, Case, not_on, ranks_at_least

Array = np.ndarray[Any, np.dtype[Any]]


def compose(a: MPI.buffer, b: MPI.buffer, datatype: MPI.Datatype) -> None:
    """Maps x -> p x + q, one after the other: the order matters."""
    first, second = np.frombuffer(a, "u4").reshape(-1, 2), np.frombuffer(b, "u4").reshape(-1, 2)
    p, q = first[:, 0] * second[:, 0], first[:, 0] * second[:, 1] + first[:, 1]
    second[:, 0], second[:, 1] = p, q


def maps(rank: int, n: int) -> Array:
    return (np.arange(2 * n, dtype="u4") * 7919 + 40503 * (rank + 1)) ^ 0x5A5A


def composed(ranks: range, n: int) -> Array:
    result = maps(ranks[0], n)
    for rank in ranks[1:]:
        right = maps(rank, n).reshape(-1, 2)
        left = result.reshape(-1, 2)
        result = np.stack([left[:, 0] * right[:, 0], left[:, 0] * right[:, 1] + left[:, 1]], axis=1).ravel()
    return result


class PythonOperations(Case):
    """Operations that are written in Python."""

    def setUp(self) -> None:
        super().setUp()
        self.pair = MPI.UINT32_T.Create_contiguous(2).Commit()
        self.op = MPI.Op.Create(compose, commute=False)

    def tearDown(self) -> None:
        self.pair.Free()
        if self.op != MPI.OP_NULL:
            self.op.Free()
        super().tearDown()

    def start_all(self, n: int) -> list[tuple[MPI.Request, Array, Array]]:
        """Requests of all reductions, where their results come, and what these have to be."""
        size, rank, op, comm = self.size, self.rank, self.op, self.comm
        send = [maps(rank, n), self.pair]
        everything = composed(range(size), n)

        def room(count: int = n) -> Array:
            return np.zeros(2 * count, "u4")

        started: list[tuple[MPI.Request, Array, Array]] = []

        def add(start: Callable[[Array], MPI.Request], result: Array, wanted: Array) -> None:
            started.append((start(result), result, wanted))

        add(lambda r: comm.Iallreduce(send, [r, self.pair], op), room(), everything)
        root = size - 1
        add(lambda r: comm.Ireduce(send, [r, self.pair], op, root), room(), everything if rank == root else room())
        add(lambda r: comm.Iscan(send, [r, self.pair], op), room(), composed(range(rank + 1), n))
        add(lambda r: comm.Iexscan(send, [r, self.pair], op), room(), composed(range(rank), n) if rank else room())
        block = n // size
        mine = [maps(rank, n)[: 2 * block * size], self.pair]
        wanted = everything[2 * block * rank : 2 * block * (rank + 1)]
        add(lambda r: comm.Ireduce_scatter_block(mine, [r, self.pair], op), room(block), wanted)
        return started

    def test_in_every_reduction_at_once(self) -> None:
        for n in (1, 10, 3000):
            started = self.start_all(n)
            MPI.Request.Waitall([request for request, _, _ in started])
            for _, result, wanted in started:
                np.testing.assert_array_equal(result, wanted)

    @unittest.skipUnless(OURS, "mpi4py forgets the function with the operation")
    def test_freed_while_it_is_used(self) -> None:
        started = self.start_all(100)
        self.op.Free()
        for request, result, wanted in started:
            request.Wait()
            np.testing.assert_array_equal(result, wanted)

    def test_other_threads_of_python_go_on_meanwhile(self) -> None:
        stop = threading.Event()
        counted = 0

        def count() -> None:
            nonlocal counted
            while not stop.wait(0.0005):
                counted += 1

        thread = threading.Thread(target=count)
        thread.start()
        try:
            # With one rank 50 rounds may be over before the thread had a turn at all.
            for _ in range(200):
                for _ in range(50):
                    for request, result, wanted in self.start_all(10):
                        request.Wait()
                        np.testing.assert_array_equal(result, wanted)
                if self.comm.allreduce(counted, MPI.MIN) > 0:
                    break
        finally:
            stop.set()
            thread.join()
        self.assertGreater(counted, 0)


class Requests(Case):
    def test_memory_lives_as_long_as_the_operation(self) -> None:
        result = np.zeros(1000 * self.size)
        request = self.comm.Iallgather(np.full(1000, self.rank + 0.5), result)
        gc.collect()
        filler = [np.full(1000, -1.0) for _ in range(50)]
        request.Wait()
        np.testing.assert_array_equal(result, np.repeat(np.arange(self.size) + 0.5, 1000))
        self.assertEqual(len(filler), 50)
        # Nobody waits for these.
        for _ in range(20):
            self.comm.Iallreduce(np.ones(500), np.empty(500))
        gc.collect()
        self.comm.Barrier()

    def test_many_at_once_in_any_order(self) -> None:
        comms = [self.comm.Dup() for _ in range(3)]
        order = random.Random(self.rank)
        for _ in range(5):
            started = []
            for turn in range(8):
                for number, comm in enumerate(comms):
                    data = np.arange(1 + 300 * turn) + self.rank * (number + 1)
                    if turn % 2:
                        result = np.empty_like(data)
                        wanted = self.size * np.arange(data.size) + (number + 1) * self.size * (self.size - 1) // 2
                        started.append((comm.Iallreduce(data, result), result, wanted))
                    else:
                        root = turn % self.size
                        wanted = np.arange(data.size) + root * (number + 1)
                        started.append((comm.Ibcast(data, root), data, wanted))
            order.shuffle(started)
            requests = [request for request, _, _ in started]
            while (done := MPI.Request.Waitsome(requests)) is not None:
                for index in done:
                    np.testing.assert_array_equal(started[index][1], started[index][2])
        for comm in comms:
            comm.Free()

    def test_more_reductions_in_work_than_there_are_places(self) -> None:
        # Up to a line, up to a chunk, in pieces; ended last first.
        lengths = (1, 5, 6, 700, 3000, 3500, 20_000)
        for in_place in (False, True):
            started = []
            for turn in range(150):
                n, root = lengths[turn % len(lengths)], turn % self.size
                mine = np.arange(n) * (self.rank + 1) + turn
                result = mine.copy() if in_place else np.full(n, -1)
                send: Any = MPI.IN_PLACE if in_place else mine
                everybody = np.arange(n) * (self.size * (self.size + 1) // 2) + turn * self.size
                ranks = self.rank + 1
                if turn % 5 < 2:
                    request, wanted = self.comm.Iallreduce(send, result), everybody
                elif turn % 5 == 2:
                    at_root = self.rank == root
                    request = self.comm.Ireduce(send if at_root else mine, result if at_root else None, root=root)
                    wanted = everybody if at_root else result.copy()
                elif turn % 5 == 3:
                    request = self.comm.Iscan(send, result)
                    wanted = np.arange(n) * (ranks * (ranks + 1) // 2) + turn * ranks
                else:
                    request, wanted = self.comm.Ibarrier(), result.copy()
                started.append((request, result, wanted, mine))
            for request, result, wanted, _ in reversed(started):
                while not request.Test():
                    pass
                np.testing.assert_array_equal(result, wanted)

    def test_who_is_slow_holds_up_what_waits_for_places_only(self) -> None:
        results = [np.zeros(1) for _ in range(200)]
        mine, apart = np.ones(1), self.comm.Dup()
        if self.rank == self.size - 1:
            apart.Barrier()
        requests = [self.comm.Iallreduce(mine, result) for result in results]
        if self.rank < self.size - 1:
            apart.Barrier()
        MPI.Request.Waitall(requests)
        apart.Free()
        self.assertEqual({result[0] for result in results}, {self.size})

    @unittest.skipUnless(OURS, "others may say nothing of it")
    @ranks_at_least(2)
    def test_reductions_of_different_lengths_are_errors_of_all_requests(self) -> None:
        comm = self.comm.Dup()
        comm.Set_errhandler(MPI.ERRORS_RETURN)
        short = np.ones(2 + (self.rank == 0))
        with self.mpi_error(MPI.ERR_TRUNCATE):
            comm.Iallreduce(short, np.zeros_like(short)).Wait()
        # The communicator is in order.
        result = np.zeros(1)
        comm.Iallreduce(np.ones(1), result).Wait()
        self.assertEqual(result[0], self.size)
        # The same for those that are over at once.
        for _ in range(5):
            with self.mpi_error(MPI.ERR_TRUNCATE):
                comm.Iallreduce(short, np.zeros_like(short)).Wait()
        comm.Iallreduce(np.ones(1), result).Wait()
        self.assertEqual(result[0], self.size)
        comm.Free()

    def test_who_comes_last_has_the_results_at_once(self) -> None:
        apart = self.comm.Dup()
        self.comm.Iallreduce(np.ones(1), np.zeros(1)).Wait()
        last = self.rank == self.size - 1
        waits: list[Callable[[list[MPI.Request]], Any]] = [
            lambda requests: [request.Wait() for request in requests],
            lambda requests: MPI.Request.Waitall(requests),
            lambda requests: [MPI.Request.Waitany(requests) for _ in requests],
            lambda requests: [request.Test() or request.Wait() for request in reversed(requests)],
            lambda requests: MPI.Request.Testall(requests) or MPI.Request.Waitall(requests),
        ]
        for wait in waits:
            results = [np.zeros(n) for n in (1, 5, 1000)]
            if last:
                apart.Barrier()
            requests = [self.comm.Iallreduce(np.ones(result.size), result) for result in results]
            if last and OURS:
                self.assertEqual([result[-1] for result in results], [self.size] * 3)
                self.assertTrue(all(request.Get_status() for request in requests))
            if not last:
                apart.Barrier()
            wait(requests)
            self.assertEqual(requests, [MPI.REQUEST_NULL] * 3)
            for result in results:
                np.testing.assert_array_equal(result, self.size)
        apart.Free()

    def test_a_barrier_is_tested_until_all_have_come(self) -> None:
        request = self.comm.Ibarrier()
        turns = 0
        while not request.Test():
            turns += 1
        self.assertEqual(request, MPI.REQUEST_NULL)
        request.Wait()

    @unittest.skipUnless(OURS, "others do not look")
    def test_a_request_can_be_neither_cancelled_nor_freed(self) -> None:
        # Also if it is over, as that of the last rank to come.
        for _ in range(5):
            request = self.comm.Ibarrier()
            with self.mpi_error(MPI.ERR_REQUEST):
                request.Cancel()
            request.Wait()
            self.assertEqual(request, MPI.REQUEST_NULL)


class Persistent(Case):
    def test_started_again_and_again_in_another_order_on_each_rank(self) -> None:
        # A line, chunks, and one in pieces.
        send = [np.empty(n) for n in (1, 5, 50, 300, 3000, 30_000)]
        recv = [np.empty_like(array) for array in send]
        requests = [
            self.comm.Allreduce_init(s, r, MPI.MAX if i % 2 else MPI.SUM)
            for i, (s, r) in enumerate(zip(send, recv, strict=True))
        ]
        order = list(range(6))
        for turn in range(10):
            for i, array in enumerate(send):
                array[:] = self.rank * (i + 1) + turn
            if OURS:
                random.Random(100 * turn + self.rank).shuffle(order)
            if turn % 2:
                MPI.Prequest.Startall([requests[i] for i in order])
            else:
                for i in order:
                    requests[i].Start()
            MPI.Request.Waitall(requests)
            for i, array in enumerate(recv):
                last = (self.size - 1) * (i + 1) + turn
                total = self.size * turn + (i + 1) * self.size * (self.size - 1) / 2
                self.assertTrue((array == (last if i % 2 else total)).all(), (i, turn))
        for request in requests:
            request.Free()

    def test_a_barrier_and_a_broadcast_of_objects_of_numpy(self) -> None:
        barrier, data = self.comm.Barrier_init(), np.zeros(4, "i8")
        bcast = self.comm.Bcast_init(data, root=self.size - 1)
        for turn in range(5):
            if self.rank == self.size - 1:
                data[:] = turn
            bcast.Start()
            bcast.Wait()
            self.assertEqual(data.tolist(), [turn] * 4)
            barrier.Start()
            barrier.Wait()
        barrier.Free()
        bcast.Free()


class Neighbors(Case):
    def test_all_forms_on_a_ring(self) -> None:
        ring = self.comm.Create_cart([self.size], periods=[True])
        if self.size > 2 or OURS:
            before, behind = ring.Shift(0, 1)
            send = np.array([10 * self.rank, 10 * self.rank + 1])
            wanted = [10 * before + 1, 10 * behind]
            for form in range(3):
                recv = np.zeros(2, send.dtype)
                if form == 0:
                    ring.Neighbor_alltoall(send, recv)
                elif form == 1:
                    ring.Ineighbor_alltoall(send, recv).Wait()
                else:
                    request = ring.Neighbor_alltoall_init(send, recv)
                    request.Start()
                    request.Wait()
                    request.Free()
                self.assertEqual(recv.tolist(), wanted, form)
        self.assertEqual(ring.neighbor_allgather(self.rank), [ring.Shift(0, 1)[0], ring.Shift(0, 1)[1]])
        ring.Free()

    def test_nothing_comes_from_beyond_the_border(self) -> None:
        row = self.comm.Create_cart([self.size], periods=[False])
        recv = np.full(2, -1)
        row.Ineighbor_allgather(np.array([self.rank]), recv).Wait()
        before = self.rank - 1 if self.rank else -1
        behind = self.rank + 1 if self.rank + 1 < self.size else -1
        self.assertEqual(recv.tolist(), [before, behind])
        row.Free()


@ranks_at_least(2)
class Between(Case):
    """Two groups: the even ranks and the odd ones."""

    def setUp(self) -> None:
        super().setUp()
        self.half = self.comm.Split(self.rank % 2, self.rank)
        self.inter = self.half.Create_intercomm(0, self.comm, 1 - self.rank % 2)
        self.there = [rank for rank in range(self.size) if rank % 2 != self.rank % 2]

    def tearDown(self) -> None:
        if not self.broken:
            self.inter.Free()
            self.half.Free()
        super().tearDown()

    def test_each_group_gets_what_the_other_gives(self) -> None:
        total = np.empty(3)
        self.inter.Allreduce(np.full(3, self.rank + 1.0), total)
        self.assertEqual(total.tolist(), [sum(rank + 1.0 for rank in self.there)] * 3)
        all_there = np.empty(len(self.there), "i8")
        self.inter.Iallgather(np.array([self.rank]), all_there).Wait()
        self.assertEqual(all_there.tolist(), self.there)

    def test_one_side_has_the_root(self) -> None:
        here = MPI.ROOT if self.rank == 0 else MPI.PROC_NULL
        root = 0 if self.rank % 2 else here
        data = np.array([self.rank])
        self.inter.Bcast(data, root)
        self.assertEqual(data[0], 0 if self.rank % 2 else self.rank)
        gathered = np.full(len(self.there), -1)
        self.inter.Igather(np.array([self.rank]), gathered, root).Wait()
        self.assertEqual(gathered.tolist(), self.there if self.rank == 0 else [-1] * len(self.there))
        self.inter.Barrier()
        self.inter.Ibarrier().Wait()
        for root_there in range(2 if self.size > 3 else 1):
            # Small ones and large ones, from one rank and then from the next.
            here = MPI.ROOT if self.rank == 2 * root_there else MPI.PROC_NULL
            root, odd = root_there if self.rank % 2 else here, self.rank % 2
            for thing in ("small", "large" * 1000):
                self.assertEqual(self.inter.bcast([thing, root_there], root), [thing, root_there] if odd else None)
                each = [f"{thing} for {rank}" for rank in self.there] if here == MPI.ROOT else None
                self.assertEqual(self.inter.scatter(each, root), f"{thing} for {self.rank}" if odd else None)
        self.assertEqual(self.inter.allgather(self.rank), self.there)

    @not_on(
        "MPICH", "after an Ibcast in which a rank gave PROC_NULL the next nonblocking collective never ends (5.0.2)"
    )
    @not_on("Intel", "as MPICH (2021.18)")
    def test_one_side_has_the_root_of_a_nonblocking_broadcast(self) -> None:
        here = MPI.ROOT if self.rank == 0 else MPI.PROC_NULL
        data = np.array([self.rank])
        self.inter.Ibcast(data, 0 if self.rank % 2 else here).Wait()
        self.assertEqual(data[0], 0 if self.rank % 2 else self.rank)
        self.inter.Ibarrier().Wait()


if __name__ == "__main__":
    unittest.main()

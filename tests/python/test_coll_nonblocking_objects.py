"""Lower-case nonblocking collectives: the wait gives what the blocking method returns."""

from __future__ import annotations

import contextlib
import gc
import operator
import random
from collections.abc import Callable
from typing import Any

import numpy as np
from mpi4py import MPI
from support import objects
from support.case import Case, our_extension, ranks_at_least

Started = tuple[MPI.Request, Any]


class ObjectCase(Case):
    def same(self, got: Any, expected: Any, note: object = "") -> None:
        if not objects.same(got, expected):
            self.fail(f"got {str(got)[:200]} instead of {str(expected)[:200]} {note}")

    def start_all(self, comm: MPI.Comm, seed: int, root: int) -> list[Started]:
        """Each of the methods once, with what has to come of it."""
        rank, size = comm.Get_rank(), comm.Get_size()

        def thing(source: int, dest: int = 0) -> Any:
            kinds: list[Any] = [(seed, source, dest), "x" * (300 + source), np.arange(20_000) + seed + source + dest]
            return kinds[(seed + source + dest) % len(kinds)]

        def words(up_to: int) -> str:
            return "".join(f"{seed}.{source};" for source in range(up_to))

        at_root, everything = rank == root, [thing(source) for source in range(size)]
        word = f"{seed}.{rank};"
        started: list[Started] = [
            (comm.ibcast(thing(root) if at_root else "not this", root), thing(root)),
            (comm.igather(thing(rank), root), everything if at_root else None),
            (comm.iallgather(thing(rank)), everything),
            (comm.iscatter([thing(root, r) for r in range(size)] if at_root else None, root), thing(root, rank)),
            (comm.ialltoall([thing(rank, dest) for dest in range(size)]), [thing(s, rank) for s in range(size)]),
            (comm.ireduce(word, operator.add, root), words(size) if at_root else None),
            (comm.iallreduce(word, lambda a, b: a + b), words(size)),
            (comm.iallreduce(rank + seed, MPI.MAX), size - 1 + seed),
            (comm.iallreduce(rank), size * (size - 1) // 2),
            (comm.ibarrier(), None),
        ]
        return started


@our_extension("mpi4py has no nonblocking collectives of objects")
class Moving(ObjectCase):
    def test_one_after_the_other(self) -> None:
        for root in range(self.size):
            for number in range(len(self.start_all(self.comm, 0, root))):
                # Those of `start_all` that are not looked at now are waited for nowhere; they go on.
                request, expected = self.start_all(self.comm, number, root)[number]
                self.same(request.wait(), expected, number)
                self.assertEqual(request, MPI.REQUEST_NULL)

    def test_many_at_once_in_any_order(self) -> None:
        comms = [self.comm, self.comm.Dup(), self.comm.Split(0, self.rank)]
        order = random.Random(self.rank)
        for turn in range(3):
            started = [s for i in range(3) for comm in comms for s in self.start_all(comm, turn + i, i % self.size)]
            order.shuffle(started)
            for number, (request, expected) in enumerate(started):
                self.same(request.wait(), expected, number)
        for comm in comms[1:]:
            comm.Free()

    def test_all_ways_to_end_them(self) -> None:
        def waitall(requests: list[MPI.Request]) -> dict[int, Any]:
            return dict(enumerate(MPI.Request.waitall(requests)))

        def waitany(requests: list[MPI.Request]) -> dict[int, Any]:
            return dict(MPI.Request.waitany(requests) for _ in requests)

        def waitsome(requests: list[MPI.Request]) -> dict[int, Any]:
            got: dict[int, Any] = {}
            while len(got) < len(requests):
                indices, values = MPI.Request.waitsome(requests)
                got |= dict(zip(indices or [], values or [], strict=True))
            return got

        def test(requests: list[MPI.Request]) -> dict[int, Any]:
            got: dict[int, Any] = {}
            while len(got) < len(requests):
                for i in set(range(len(requests))) - set(got):
                    done, value = requests[i].test()
                    if done:
                        got[i] = value
            return got

        def testany(requests: list[MPI.Request]) -> dict[int, Any]:
            got: dict[int, Any] = {}
            while len(got) < len(requests):
                index, done, value = MPI.Request.testany(requests)
                if done:
                    got[index] = value
            return got

        def testsome(requests: list[MPI.Request]) -> dict[int, Any]:
            got: dict[int, Any] = {}
            while len(got) < len(requests):
                indices, values = MPI.Request.testsome(requests)
                got |= dict(zip(indices or [], values or [], strict=True))
            return got

        def testall(requests: list[MPI.Request]) -> dict[int, Any]:
            while True:
                done, values = MPI.Request.testall(requests)
                if done:
                    return dict(enumerate(values or []))

        ways: list[Callable[[list[MPI.Request]], dict[int, Any]]]
        ways = [waitall, waitany, waitsome, test, testany, testsome, testall]
        for way in ways:
            started = self.start_all(self.comm, 1, self.size - 1)
            got = way([request for request, _ in started])
            for number, (_, expected) in enumerate(started):
                self.same(got[number], expected, (way.__name__, number))

    def test_upper_case_ways_to_end_them(self) -> None:
        def requests() -> list[MPI.Request]:
            return [request for request, _ in self.start_all(self.comm, 2, 0)]

        *objects_only, barrier = requests()
        barrier.Wait()
        for request in objects_only:
            status = MPI.Status()
            request.Wait(status)
            self.assertEqual((request, status.Get_count(MPI.BYTE)), (MPI.REQUEST_NULL, 0))
        for request in requests():
            while not request.Get_status():
                pass
            self.assertTrue(request.Test())
        MPI.Request.Waitall(requests())
        some = requests()
        while not MPI.Request.Testall(some):
            pass
        some = requests()
        self.assertEqual(sorted(MPI.Request.Waitany(some) for _ in some), list(range(len(some))))
        self.assertEqual(MPI.Request.Waitany(some), MPI.UNDEFINED)
        for wait in (MPI.Request.Waitsome, MPI.Request.Testsome):
            some, got = requests(), []
            while len(got) < len(some):
                got += wait(some) or []
            self.assertEqual(sorted(got), list(range(len(some))))

    def test_everybody_gets_a_copy(self) -> None:
        """Of large arrays too, and what is done to them changes nothing for the others."""
        for mine in ([1, 2], np.zeros(100_000)):
            got = self.comm.ibcast(mine if self.rank == 0 else None).wait()
            got[0] += self.rank + 1
            mine[0] = 9
            self.assertEqual(got[0], self.rank + 1 + (1 if isinstance(mine, list) else 0))
            everything = self.comm.iallgather(got).wait()
            got[0] = -1
            begin = 2 if isinstance(mine, list) else 1
            self.assertEqual([a[0] for a in everything], [begin + r for r in range(self.size)])
        self.comm.Barrier()

    def test_requests_of_nobody(self) -> None:
        for _ in range(20):
            self.comm.iallgather([self.rank] * 1000)
            self.comm.ibcast(np.ones(10_000))
        gc.collect()
        self.assertEqual(self.comm.iallgather(self.rank).wait(), list(range(self.size)))

    def test_the_communicator_is_freed_meanwhile(self) -> None:
        for _ in range(3):
            comm = self.comm.Dup()
            comm.ibarrier().wait()
            started = self.start_all(comm, 3, 0)
            comm.Free()
            for request, expected in started:
                self.same(request.wait(), expected)

    def test_operations_that_end_with_an_error(self) -> None:
        def bad(a: Any, b: Any) -> Any:
            raise KeyError("not today")

        request = self.comm.iallreduce(self.rank, bad)
        if self.size > 1:
            with self.assertRaisesRegex(KeyError, "not today"):
                request.wait()
        else:
            self.assertEqual(request.wait(), 0)
        self.assertEqual(request, MPI.REQUEST_NULL)
        self.assertEqual(self.comm.iallreduce(self.rank, MPI.MIN).wait(), 0)


@our_extension("mpi4py has no nonblocking collectives of objects")
class Errors(ObjectCase):
    def test_what_is_wrong_is_said_in_the_call(self) -> None:
        """And nothing was begun: the next one works."""
        comm = self.comm
        with self.assertRaises((TypeError, AttributeError)):
            comm.iallgather(lambda: None)
        with contextlib.suppress(TypeError, AttributeError):
            comm.ibcast(lambda: None, self.rank)
            self.fail("a function was sent")
        for count in (self.size - 1, self.size + 1):
            with self.assertRaises(ValueError):
                comm.ialltoall([1] * count)
            with self.assertRaises(ValueError):
                comm.iscatter([1] * count, self.rank)
        for root in (-1, self.size, MPI.ROOT, MPI.PROC_NULL):
            for call in (comm.ibcast, comm.igather, comm.iscatter):
                with self.mpi_error(MPI.ERR_ROOT):
                    call([1] * self.size, root)
            with self.mpi_error(MPI.ERR_ROOT):
                comm.ireduce(1, root=root)
        with self.mpi_error(MPI.ERR_COMM):
            MPI.COMM_NULL.ibcast(1)
        self.assertEqual(comm.iallgather(self.rank).wait(), list(range(self.size)))

    def test_they_cannot_be_cancelled(self) -> None:
        request = self.comm.ibcast(1)
        if self.size > 1 and self.rank:
            with contextlib.suppress(MPI.Exception):
                request.Cancel()
        self.assertEqual(request.wait(), 1)


@our_extension("mpi4py has no nonblocking collectives of objects")
@ranks_at_least(2)
class BesideOthers(ObjectCase):
    def test_messages_of_the_program_do_not_meet_them(self) -> None:
        anything = self.comm.irecv(tag=1)  # from anybody
        comm = self.comm
        started = self.start_all(comm, 4, 0)
        array = np.empty(1)
        also = comm.Irecv(array, tag=2)
        for request, expected in started:
            self.same(request.wait(), expected)
        comm.send("mine", self.right, 1)
        comm.Send(np.array([4.5]), self.right, 2)
        self.assertEqual(anything.wait(), "mine")
        also.Wait()
        self.assertEqual(array[0], 4.5)

    def test_the_first_one_waits_for_nobody(self) -> None:
        """Rank 0 goes on, and what it does then is what the others wait for before they call."""
        comm = self.comm
        if self.rank == 0:
            request = comm.ibcast("all")
            for dest in range(1, self.size):
                comm.send("go", dest)
        else:
            self.assertEqual(comm.recv(source=0), "go")
            request = comm.ibcast(None)
        self.assertEqual(request.wait(), "all")

    def test_others_go_on_while_a_rank_is_in_another_call(self) -> None:
        """Who has started its part may wait somewhere else: for each object, small or large."""
        comm = self.comm
        for turn, thing in enumerate(("small", np.arange(200_000), "first of a communicator")):
            if turn == 2:
                comm = self.comm.Dup()
            root = turn % self.size
            request = comm.ibcast(thing if self.rank == root else None, root)
            if self.rank == root:
                comm.Barrier()
                self.same(request.wait(), thing)
            else:
                self.same(request.wait(), thing)
                comm.Barrier()
            # And the other way round: the root's part is over before the others look.
            request = comm.ibcast(thing if self.rank == root else None, root)
            if self.rank == root:
                self.same(request.wait(), thing)
                comm.Barrier()
            else:
                comm.Barrier()
                self.same(request.wait(), thing)
        comm.Free()


@our_extension("mpi4py has no nonblocking collectives of objects")
@ranks_at_least(2)
class Between(ObjectCase):
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

    def test_with_a_root(self) -> None:
        inter, odd = self.inter, self.rank % 2
        here = MPI.ROOT if self.rank == 0 else MPI.PROC_NULL
        root, is_root = 0 if odd else here, self.rank == 0
        large = np.arange(50_000)
        started: list[Started] = [
            (inter.ibcast(large if is_root else None, root), large if odd else None),
            (inter.iscatter([f"for {r}" for r in self.there] if is_root else None, root), f"for {self.rank}"),
            (inter.igather(self.rank, root), self.there if is_root else None),
            (inter.ireduce([self.rank], root=root), self.there if is_root else None),
        ]
        for number, (request, expected) in reversed(list(enumerate(started))):
            self.same(request.wait(), expected if number != 1 or odd else None, number)
        for wrong in (-99, self.size):
            with self.mpi_error(MPI.ERR_ROOT):
                inter.ibcast(1, wrong)

    def test_without(self) -> None:
        inter = self.inter
        started: list[Started] = [
            (inter.iallgather(self.rank), self.there),
            (inter.iallreduce([self.rank], operator.add), self.there),
            (inter.ialltoall([(self.rank, r) for r in self.there]), [(r, self.rank) for r in self.there]),
            (inter.ibarrier(), None),
        ]
        values = MPI.Request.waitall([request for request, _ in started])
        self.same(values, [expected for _, expected in started])

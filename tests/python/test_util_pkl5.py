"""mpi4py.util.pkl5: objects whose big buffers stay out of the pickle, in one message."""

from __future__ import annotations

import gc
import threading
import unittest
from typing import Any

import numpy as np
from mpi4py import MPI
from mpi4py.util import pkl5
from support import data, objects
from support.case import Case, our_extension, ranks_at_least


class PklCase(Case):
    """`self.pkl` is the communicator of the test as one of pkl5."""

    def setUp(self) -> None:
        super().setUp()
        self.pkl = pkl5.Intracomm(self.comm)

    def same(self, got: Any, expected: Any, note: object = "") -> None:
        if not objects.same(got, expected):
            self.fail(f"{note}: got {str(got)[:200]} instead of {str(expected)[:200]}")

    def everything(self, seed: int) -> list[Any]:
        return [*objects.small(seed), *objects.arrays(seed, 5), *objects.arrays(seed, 150_000), *objects.large(seed)]

    def ring(self, thing: Any, tag: int = 3) -> Any:
        return self.pkl.sendrecv(thing, self.right, tag, None, self.left, tag)


class PointToPoint(PklCase):
    def test_every_kind_of_object(self) -> None:
        mine, expected = self.everything(self.rank), self.everything(self.left)
        for index, (thing, theirs) in enumerate(zip(mine, expected, strict=True)):
            self.same(self.ring(thing), theirs, index)

    def test_every_way_to_send(self) -> None:
        for start in (self.pkl.isend, self.pkl.issend):
            requests = [start(thing, self.right, 1) for thing in self.everything(self.rank)]
            for theirs in self.everything(self.left):
                self.same(self.pkl.recv(source=self.left, tag=1), theirs)
            self.assertEqual(pkl5.Request.waitall(requests), [None] * len(requests))

    def test_sizes(self) -> None:
        for size in (0, 1, 63, 64, 65, 4096, 65_535, 262_143, 262_144, 262_145, 3_000_001, 8 << 20):
            got = self.ring(data.message(self.rank, size))
            self.good(data.wrong(got, self.left, size), size)
            self.assertEqual(got.shape, (size,))

    def test_the_status_says_source_tag_and_size(self) -> None:
        for size in (10, 1_000_000):
            request = self.pkl.isend(data.message(self.rank, size), self.right, 17)
            status = MPI.Status()
            self.pkl.recv(None, MPI.ANY_SOURCE, MPI.ANY_TAG, status)
            self.assertEqual((status.source, status.tag, status.error), (self.left, 17, MPI.SUCCESS))
            self.assertGreater(status.Get_count(MPI.BYTE), size)
            request.wait()

    @our_extension("which memory an array is in")
    def test_a_buffer_is_received_where_it_stays(self) -> None:
        """An array is a view of the memory that MPI wrote."""
        got = self.ring([np.arange(200_000.0), np.arange(100_000.0)])
        for array in got:
            self.assertFalse(array.flags.owndata)
            self.assertTrue(array.flags.writeable)
            array += 1

    @our_extension("which memory an array is in")
    def test_a_small_array_does_not_keep_the_memory_of_a_large_one(self) -> None:
        before, pkl5.pickle = pkl5.pickle, pkl5.Pickle(threshold=0)
        try:
            small, large = self.ring([np.arange(4), np.zeros(500_000)])
        finally:
            pkl5.pickle = before
        self.same(small, np.arange(4))
        base: Any = small
        while isinstance(base, np.ndarray | memoryview):
            base = base.base if isinstance(base, np.ndarray) else base.obj
        self.assertLess(len(base), 1000)
        self.same(large, np.zeros(500_000))

    def test_arrays_that_may_not_be_written_to_stay_so(self) -> None:
        fixed = np.arange(100_000.0)
        fixed.flags.writeable = False
        got = self.ring(fixed)
        self.same(got, fixed)
        self.assertFalse(got.flags.writeable)

    def test_what_is_one_object_stays_one(self) -> None:
        shared = np.arange(100_000)
        first, second = self.ring([shared, shared])
        self.assertIs(first, second)

    def test_other_protocols_and_functions(self) -> None:
        import pickle

        thing = {"a": np.arange(50_000), "b": [1, 2]}
        before = pkl5.pickle
        calls = []

        def dumps(obj: Any, protocol: int, buffer_callback: Any = None) -> bytes:
            calls.append(protocol)
            return pickle.dumps(obj, protocol, buffer_callback=buffer_callback)

        try:
            for protocol in (0, 2, 5, -1):
                pkl5.pickle = pkl5.Pickle(protocol=protocol)
                self.same(self.ring(thing), thing)
            pkl5.pickle = pkl5.Pickle(dumps=dumps, loads=pickle.loads)
            self.same(self.ring(thing), thing)
            self.assertEqual(len(calls), 1)
        finally:
            pkl5.pickle = before

    def test_memory_in_pieces(self) -> None:
        """As with messages that no int can count: MPI sees blocks of this size."""
        before, pkl5._bigmpi = pkl5._bigmpi, pkl5._BigMPI()
        try:
            for size in (1, 100, 4095, 4096):
                pkl5._bigmpi.blocksize = size
                thing = [data.message(self.rank, 300_000), b"x" * 5000]
                got = self.ring(thing)
                self.good(data.wrong(got[0], self.left, 300_000), size)
                self.assertEqual(got[1], thing[1])
        finally:
            pkl5._bigmpi = before

    @our_extension("the messages of the original's pkl5 are others than those of send")
    def test_a_plain_communicator_at_the_other_end(self) -> None:
        for thing in ([1, "two"], np.arange(100_000), {"a": np.arange(300_000), "b": np.arange(3)}):
            request = self.pkl.isend(thing, self.right, 1)
            self.same(self.comm.recv(source=self.left, tag=1), thing)
            request.wait()
            plain = self.comm.isend(thing, self.right, 2)
            self.same(self.pkl.recv(source=self.left, tag=2), thing)
            plain.wait()

    @our_extension("what its errors say")
    def test_irecv_says_what_to_use(self) -> None:
        with self.assertRaisesRegex(RuntimeError, r"mprobe\(source, tag\)\.irecv\(\)"):
            self.pkl.irecv()

    def test_a_copy_of_the_communicator_is_one_of_pkl5(self) -> None:
        copy = self.pkl.Dup()
        self.assertIs(type(copy), pkl5.Intracomm)
        copy.Free()

    @our_extension("a plain irecv of the original is not served by others")
    def test_a_plain_irecv_goes_on_meanwhile(self) -> None:
        """Its sender waits until it is received, and only then sends what this rank waits for."""
        other = self.comm.Dup()
        receive = other.irecv(source=self.left)
        if self.rank % 2 == 0:
            send = other.issend("plain", self.right)
            got = self.pkl.recv(source=self.left) if self.size > 1 and self.left % 2 else None
        else:
            other.ssend("plain", self.right)
            self.pkl.send("after", self.right)
            send, got = None, None
        self.assertEqual(receive.wait(), "plain")
        if send is not None:
            send.wait()
        if self.rank % 2 == 0 and self.left % 2:
            self.assertEqual(got, "after")
        self.comm.barrier()
        other.Free()


class Order(PklCase):
    @ranks_at_least(2)
    def test_any_source_with_many_senders(self) -> None:
        """Every object comes whole, and those of one sender in their order."""
        each = 12
        if self.rank == 0:
            next_of = [0] * self.size
            for _ in range(each * (self.size - 1)):
                status = MPI.Status()
                source, number, array = self.pkl.recv(None, MPI.ANY_SOURCE, MPI.ANY_TAG, status)
                self.assertEqual((source, number), (status.source, next_of[source]))
                next_of[source] += 1
                self.good(data.wrong(array, 100 * source + number, 40_000 * number), (source, number))
        else:
            for number in range(each):
                self.pkl.send((self.rank, number, data.message(100 * self.rank + number, 40_000 * number)), 0, number)

    @unittest.skipIf(MPI.Query_thread() < MPI.THREAD_MULTIPLE, "the library gave no MPI_THREAD_MULTIPLE")
    def test_threads(self) -> None:
        """Two threads send to the same rank under the same tag, two receive whatever comes."""
        each, wrong, seen = 20, [], []

        def send(thread: int) -> None:
            for number in range(each):
                seed = 1000 * self.rank + 100 * thread + number
                arrays = [data.message(seed, 1 << (2 * (number % 11))), data.message(seed + 1, 300_000)]
                self.pkl.send((seed, arrays), self.right, 5)

        def receive() -> None:
            for _ in range(each):
                seed, (first, second) = self.pkl.recv(None, MPI.ANY_SOURCE, 5)
                complaint = data.wrong(first, seed, len(first)) or data.wrong(second, seed + 1, 300_000)
                if complaint:
                    wrong.append(complaint)
                seen.append(seed)

        threads = [threading.Thread(target=send, args=(t,), daemon=True) for t in range(2)]
        threads += [threading.Thread(target=receive, daemon=True) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(40)
        self.assertFalse(any(thread.is_alive() for thread in threads), "a thread hangs")
        self.assertEqual(wrong, [])
        expected = [1000 * self.left + 100 * t + n for t in range(2) for n in range(each)]
        self.assertEqual(sorted(seen), expected)


class Failures(PklCase):
    def test_what_cannot_be_made_again_does_not_disturb_the_next(self) -> None:
        for bad in (objects.LateBomb(), [np.arange(100_000), objects.LateBomb()]):
            requests = [self.pkl.isend(thing, self.right, 1) for thing in (bad, ["next", np.arange(70_000)])]
            with self.assertRaisesRegex(RuntimeError, "did not survive"):
                self.pkl.recv(source=self.left, tag=1)
            self.same(self.pkl.recv(source=self.left, tag=1), ["next", np.arange(70_000)])
            pkl5.Request.waitall(requests)

    @our_extension("what its errors say")
    def test_one_that_fails_of_several(self) -> None:
        sends = [self.pkl.isend(thing, self.right, 1) for thing in (1, objects.LateBomb(), 3)]
        receives = [self.pkl.mprobe(self.left, 1).irecv() for _ in range(3)]
        with self.assertRaisesRegex(RuntimeError, "did not survive"):
            pkl5.Request.waitall(receives)
        self.assertFalse(any(receives))
        pkl5.Request.waitall(sends)

    def test_what_cannot_be_pickled_is_not_sent(self) -> None:
        for send in (self.pkl.send, self.pkl.isend, self.pkl.bsend):
            with self.assertRaisesRegex(RuntimeError, "does not travel"):
                send([np.arange(100_000), objects.Bomb()], self.right)
        self.assertEqual(self.ring(self.rank), self.left)

    def test_damaged_messages(self) -> None:
        sign = pkl5._layout.SIGN
        for rest in (b"", b"\1", (1 << 60).to_bytes(8, "little") * 2, (1).to_bytes(8, "little") * 4):
            request = self.comm.Isend(sign + rest, self.right, 1)
            with self.assertRaisesRegex(ValueError, "damaged"):
                self.pkl.recv(source=self.left, tag=1)
            request.Wait()
        self.assertEqual(self.ring(self.rank), self.left)

    @our_extension("what its errors say")
    def test_wrong_ranks_tags_and_arguments(self) -> None:
        with self.mpi_error(MPI.ERR_RANK):
            self.pkl.send(np.arange(100_000), self.size)
        with self.mpi_error(MPI.ERR_TAG):
            self.pkl.isend("x", self.right, -5)
        with self.assertRaisesRegex(ValueError, f"scatter: 0 objects for {self.size} ranks"):
            pkl5.Intracomm(self.comm).scatter([], self.rank)
        with self.assertRaisesRegex(ValueError, f"alltoall: {self.size + 1} objects for {self.size} ranks"):
            self.pkl.alltoall([0] * (self.size + 1))
        with self.assertRaisesRegex(TypeError, "number 0 is of type"):
            pkl5.Request.waitall([MPI.REQUEST_NULL])  # type: ignore[list-item]
        self.assertEqual(self.ring(self.rank), self.left)

    @our_extension("what its errors say")
    def test_messages_that_cannot_be_received(self) -> None:
        with self.assertRaisesRegex(ValueError, "null"):
            pkl5.Message().recv()
        request = self.pkl.isend("x", self.rank, 2)
        found = MPI.Message.Probe(self.comm, self.rank, 2)
        with self.assertRaisesRegex(ValueError, "size of the message is not known"):
            pkl5.Message(found).recv()
        found.Recv(bytearray(1000))
        request.wait()


class Requests(PklCase):
    def test_test_and_get_status(self) -> None:
        request = self.pkl.issend(np.arange(100_000), self.right, 1)
        self.comm.barrier()
        self.assertFalse(request.get_status())
        self.assertEqual(request.test(), (False, None))
        self.comm.barrier()
        receive = self.pkl.mprobe(self.left, 1).irecv()
        while not receive.get_status():
            pass
        status = MPI.Status()
        flag, got = receive.test(status)
        self.assertTrue(flag)
        self.same(got, np.arange(100_000))
        self.assertEqual((status.source, status.tag), (self.left, 1))
        self.assertEqual(receive.test(status), (True, None))
        self.assertEqual((status.source, status.tag), (MPI.ANY_SOURCE, MPI.ANY_TAG))
        request.wait()
        self.assertFalse(request or receive)

    def test_testall_and_its_statuses(self) -> None:
        sends = [self.pkl.isend(np.arange(i * 30_000), self.right, i) for i in range(5)]
        receives = [self.pkl.mprobe(self.left, i).irecv() for i in range(5)]
        statuses: list[MPI.Status] = []
        got = None
        while got is None:
            _, got = pkl5.Request.testall(receives, statuses)
        self.same(got, [np.arange(i * 30_000) for i in range(5)])
        self.assertEqual([(s.source, s.tag) for s in statuses], [(self.left, i) for i in range(5)])
        pkl5.Request.waitall(sends)

    def test_a_copy_of_a_request(self) -> None:
        request = self.pkl.isend([np.arange(100_000)], self.right, 1)
        copy = pkl5.Request(request)
        self.assertEqual(copy, request)
        self.same(self.pkl.recv(source=self.left, tag=1), [np.arange(100_000)])
        copy.wait()
        self.assertFalse(request)
        self.assertIsNone(request.wait())

    @our_extension("who keeps the memory")
    def test_what_nobody_waits_for_is_sent(self) -> None:
        """Thrown away or freed: the memory of the object stays until it is sent."""
        for forget in (lambda request: None, pkl5.Request.Free):
            for number in range(4):
                request = self.pkl.isend(data.message(self.rank + number, 2_000_000), self.right, number)
                forget(request)
                del request
            gc.collect()
            clutter = [np.full(2_000_000, 255, "B") for _ in range(4)]
            self.comm.barrier()
            for number in range(4):
                got = self.pkl.recv(source=self.left, tag=number)
                self.good(data.wrong(got, self.left + number, 2_000_000), number)
            del clutter
            # Nobody ends before what it sent has come.
            self.comm.barrier()

    def test_cancel(self) -> None:
        request = self.pkl.issend(np.arange(100_000), self.rank, 9)
        request.cancel()
        status = MPI.Status()
        if request.get_status(status) and status.Is_cancelled():
            request.Free()
        else:
            self.pkl.recv(source=self.rank, tag=9)
            request.wait()
        self.assertFalse(request)

    @our_extension("what a lower-case probe remembers")
    def test_probed_messages_that_are_received_as_buffers(self) -> None:
        """What a probe in lower case found may be received in upper case; then its size is forgotten."""
        for number in range(3):
            request = self.comm.isend("x" * 100, self.rank, number)
            message = self.comm.mprobe(self.rank, number)
            again = MPI.Message(message)
            if number == 0:
                message.Recv(bytearray(1000))
            elif number == 1:
                message.Irecv(bytearray(1000)).Wait()
            else:
                with self.assertRaises(ValueError):
                    message.Recv([bytearray(1000), -1, MPI.BYTE])
                self.assertEqual(message.recv(), "x" * 100)
            request.wait()
            with self.assertRaisesRegex(ValueError, "not known"):
                again.recv()


class Collectives(PklCase):
    def things(self, seed: int) -> list[Any]:
        return [
            None,
            [seed, "x"],
            np.arange(float(seed + 3)),
            {"a": np.full((300, 400), float(seed)), "b": (np.arange(100_000 + seed), None)},
            np.asfortranarray(np.arange(120_000).reshape(300, 400) + seed)[::2],
        ]

    def check(self, comm: pkl5.Comm, mine: int, theirs: list[int]) -> None:
        """All collectives without a root: what this rank gives is made from `mine`."""
        for index in range(len(self.things(0))):
            expected = [self.things(seed)[index] for seed in theirs]
            self.same(comm.allgather(self.things(mine)[index]), expected, "allgather")
            give = [[mine, to, self.things(mine)[index]] for to in range(len(theirs))]
            want = [[seed, comm.Get_rank(), thing] for seed, thing in zip(theirs, expected, strict=True)]
            self.same(comm.alltoall(give), want, "alltoall")

    def test_without_root(self) -> None:
        self.check(self.pkl, self.rank, list(range(self.size)))
        self.assertEqual(self.pkl.alltoall(None), [None] * self.size)  # type: ignore[arg-type]

    def test_with_a_root(self) -> None:
        for root in range(self.size):
            for index, thing in enumerate(self.things(root)):
                is_root = self.rank == root
                self.same(self.pkl.bcast(thing if is_root else None, root), thing, "bcast")
                got = self.pkl.gather(self.things(self.rank)[index], root)
                all_of_them = [self.things(rank)[index] for rank in range(self.size)]
                self.same(got, all_of_them if is_root else None, "gather")
                self.same(self.pkl.scatter(all_of_them if is_root else None, root), all_of_them[self.rank], "scatter")

    @ranks_at_least(2)
    def test_between_two_groups(self) -> None:
        first = self.rank < self.size // 2
        local = self.comm.Split(first)
        inter = pkl5.Intercomm(local.Create_intercomm(0, self.comm, self.size // 2 if first else 0))
        others = list(range(self.size // 2, self.size)) if first else list(range(self.size // 2))
        self.check(inter, self.rank, others)
        # Messages, from every one to every one.
        sends = [inter.isend(self.things(self.rank), to) for to in range(len(others))]
        for source, seed in enumerate(others):
            self.same(inter.recv(source=source), self.things(seed))
        pkl5.Request.waitall(sends)
        for giving in (True, False):
            seed = 0 if giving else self.size // 2
            for index, thing in enumerate(self.things(seed)):
                if first == giving:
                    root = MPI.ROOT if local.Get_rank() == 0 else MPI.PROC_NULL
                    self.assertIsNone(inter.bcast(thing, root))
                    self.assertIsNone(inter.scatter([[to, thing] for to in range(len(others))], root))
                    got = inter.gather(None, root)
                    self.same(got, [self.things(s)[index] for s in others] if root == MPI.ROOT else None)
                else:
                    self.same(inter.bcast(None, 0), thing)
                    self.same(inter.scatter(None, 0), [local.Get_rank(), thing])
                    self.assertIsNone(inter.gather(self.things(self.rank)[index], 0))
        inter.Free()
        local.Free()


if __name__ == "__main__":
    unittest.main()

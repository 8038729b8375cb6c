"""Lower-case point-to-point calls: any picklable object, of any size."""

from __future__ import annotations

import pickle
import unittest
from typing import Any

import numpy as np
from mpi4py import MPI
from support import data, objects
from support.case import Case, jitter, our_extension, ranks_at_least


class ObjectCase(Case):
    def same(self, got: Any, expected: Any, note: object = "") -> None:
        if not objects.same(got, expected):
            self.fail(f"{note}: got {str(got)[:200]} instead of {str(expected)[:200]}")

    def everything(self, seed: int) -> list[Any]:
        return [*objects.small(seed), *objects.arrays(seed, 5), *objects.arrays(seed, 20_000), *objects.large(seed)]


class Ring(ObjectCase):
    """Every kind of object goes to the right neighbour in every way to send."""

    def test_sendrecv(self) -> None:
        mine, expected = self.everything(self.rank), self.everything(self.left)
        for thing, theirs in zip(mine, expected, strict=True):
            status = MPI.Status()
            got = self.comm.sendrecv(thing, self.right, 3, None, self.left, 3, status)
            self.same(got, theirs)
            self.assertEqual((status.source, status.tag), (self.left, 3))
            self.assertGreater(status.Get_count(MPI.BYTE), 0)

    @ranks_at_least(2)
    def test_send_and_ssend(self) -> None:
        for send in (self.comm.send, self.comm.ssend):
            for i, (mine, theirs) in enumerate(
                zip(self.everything(self.rank), self.everything(self.left), strict=True)
            ):
                if self.rank == 0:
                    send(mine, self.right, i)
                    self.same(self.comm.recv(source=self.left, tag=i), theirs)
                else:
                    self.same(self.comm.recv(source=self.left, tag=i), theirs)
                    send(mine, self.right, i)

    def test_isend_and_issend(self) -> None:
        for start in (self.comm.isend, self.comm.issend):
            requests = [start(thing, self.right, 1) for thing in self.everything(self.rank)]
            for theirs in self.everything(self.left):
                self.same(self.comm.recv(source=self.left, tag=1), theirs)
            self.assertEqual(MPI.Request.waitall(requests), [None] * len(requests))

    def test_bsend_and_ibsend(self) -> None:
        MPI.Attach_buffer(bytearray(40 << 20))
        for i, thing in enumerate(self.everything(self.rank)):
            if i % 2:
                self.comm.bsend(thing, self.right, 1)
            else:
                self.comm.ibsend(thing, self.right, 1).wait()
        for theirs in self.everything(self.left):
            self.same(self.comm.recv(source=self.left, tag=1), theirs)
        MPI.Detach_buffer()

    def test_irecv_of_small_objects(self) -> None:
        mine, expected = objects.small(self.rank), objects.small(self.left)
        receives = [self.comm.irecv(source=self.left, tag=i) for i in range(len(mine))]
        sends = [self.comm.isend(thing, self.right, i) for i, thing in enumerate(mine)]
        for request, theirs in zip(receives, expected, strict=True):
            self.same(request.wait(), theirs)
        MPI.Request.waitall(sends)

    def test_to_itself(self) -> None:
        for thing in self.everything(7):
            request = self.comm.isend(thing, self.rank, 1)
            self.same(self.comm.recv(source=self.rank, tag=1), thing)
            request.wait()
            self.same(MPI.COMM_SELF.sendrecv(thing, 0, 0, None, 0, 0), thing)

    def test_the_object_is_taken_when_isend_is_called(self) -> None:
        """What happens to the object afterwards does not change the message."""
        for mutable in ([1, 2, 3], {"a": 1}, bytearray(b"abc"), [list(range(10_000))]):
            before = pickle.loads(pickle.dumps(mutable))
            request = self.comm.isend(mutable, self.right)
            mutable.clear()
            self.same(self.comm.recv(source=self.left), before)
            request.wait()

    def test_received_arrays_can_be_written_to(self) -> None:
        """Whatever way their memory came."""
        for count in (3, 5000, 200_000):
            got = self.comm.sendrecv(np.arange(float(count)), self.right, 0, None, self.left, 0)
            self.assertTrue(got.flags.writeable)
            got += 1
            self.same(got, np.arange(1.0, count + 1))

    def test_shared_references_stay_shared(self) -> None:
        shared = np.arange(1000)
        a, b = self.comm.sendrecv([shared, shared], self.right, 0, None, self.left, 0)
        self.assertIs(a, b)
        loop: list[Any] = [1]
        loop.append(loop)
        got = self.comm.sendrecv(loop, self.right, 0, None, self.left, 0)
        self.assertIs(got[1], got)

    def test_proc_null(self) -> None:
        null = MPI.PROC_NULL
        self.comm.send("x", null)
        self.comm.ssend("x", null)
        self.comm.isend("x", null).wait()
        status = MPI.Status()
        self.assertIsNone(self.comm.recv(source=null, status=status))
        self.assertEqual((status.source, status.tag), (null, MPI.ANY_TAG))
        self.assertIsNone(self.comm.irecv(source=null).wait())
        self.assertIsNone(self.comm.sendrecv("x", null, 0, None, null, 0))
        self.assertIsNone(self.comm.mprobe(null).recv())

    def test_recv_with_a_buffer(self) -> None:
        """The buffer is a place for the pickled bytes; for mpi4py's sake it may be given."""
        for buf in (bytearray(1 << 16), None):
            request = self.comm.isend({"a": self.rank}, self.right)
            self.assertEqual(self.comm.recv(buf, self.left), {"a": self.left})
            request.wait()
        receive = self.comm.irecv(bytearray(1000), self.left)
        self.comm.send("short", self.right)
        self.assertEqual(receive.wait(), "short")


class IrecvWithoutLimit(ObjectCase):
    """The original has room for 32 KiB (pickled) and fails with MPI_ERR_TRUNCATE above."""

    @our_extension("the original's irecv takes 32 KiB at most")
    def test_large_objects(self) -> None:
        mine, expected = objects.large(self.rank), objects.large(self.left)
        for late in (False, True):
            if late:
                sends = [self.comm.isend(thing, self.right, i) for i, thing in enumerate(mine)]
                jitter(self.rank + 1, 0.01)
            receives = [self.comm.irecv(source=self.left, tag=i) for i in range(len(mine))]
            if not late:
                self.comm.barrier()
                sends = [self.comm.isend(thing, self.right, i) for i, thing in enumerate(mine)]
            for request, theirs in zip(receives, expected, strict=True):
                self.same(request.wait(), theirs)
            MPI.Request.waitall(sends)

    @our_extension("the original's irecv takes 32 KiB at most")
    def test_sizes_around_the_old_limit(self) -> None:
        for size in (32_000, 32_700, 32_767, 32_768, 32_769, 40_000, 65_536):
            receive = self.comm.irecv(source=self.left)
            send = self.comm.isend(data.message(self.rank, size).tobytes(), self.right)
            self.good(data.wrong(receive.wait(), self.left, size))
            send.wait()

    @our_extension("the original's irecv takes 32 KiB at most")
    def test_a_buffer_that_is_too_small_does_not_matter(self) -> None:
        receive = self.comm.irecv(bytearray(10), self.left)
        send = self.comm.isend(list(range(20_000)), self.right)
        self.same(receive.wait(), list(range(20_000)))
        send.wait()

    @our_extension("the original's irecv takes 32 KiB at most")
    @ranks_at_least(2)
    def test_wildcards_and_waitall(self) -> None:
        receives = [self.comm.irecv() for _ in range(3 * (self.size - 1))]
        others = [r for r in range(self.size) if r != self.rank]
        sends = [self.comm.isend((self.rank, i, b"x" * 50_000 * i), dest) for dest in others for i in range(3)]
        got = MPI.Request.waitall(receives)
        self.assertEqual(sorted((s, i) for s, i, _ in got), [(r, i) for r in others for i in range(3)])
        self.assertTrue(all(payload == b"x" * 50_000 * i for _, i, payload in got))
        MPI.Request.waitall(sends)


class Order(ObjectCase):
    def test_isend_and_irecv_keep_the_order(self) -> None:
        """Small and large objects under one tag; half of the receives are posted before, half are not."""
        things: list[Any] = [i if i % 3 else list(range(i * 100)) for i in range(60)]
        receives = [self.comm.irecv(source=self.left, tag=1) for _ in range(30)]
        sends = [self.comm.isend(thing, self.right, 1) for thing in things]
        for i, request in enumerate(receives):
            self.same(request.wait(), things[i], i)
        for i in range(30, 60):
            self.same(self.comm.recv(source=self.left, tag=1), things[i], i)
        MPI.Request.waitall(sends)

    def test_mixed_with_buffers(self) -> None:
        """Objects and buffers under different tags, in one stream."""
        requests = []
        for i in range(20):
            requests.append(self.comm.isend({"i": i, "pad": "x" * (i * 3000)}, self.right, 1))
            requests.append(self.comm.Isend(data.message(i, 5000), self.right, 2))
        for i in range(20):
            room = data.Room(5000)
            self.comm.Recv(room.bytes, self.left, 2)
            self.good(room.wrong(i, 5000))
        for i in range(20):
            self.assertEqual(self.comm.recv(source=self.left, tag=1)["i"], i)
        MPI.Request.Waitall(requests)

    @ranks_at_least(2)
    def test_any_source(self) -> None:
        if self.rank == 0:
            seen = {source: 0 for source in range(1, self.size)}
            for _ in range(30 * (self.size - 1)):
                status = MPI.Status()
                source, i, payload = self.comm.recv(status=status)
                self.assertEqual((status.source, status.tag), (source, i))
                self.assertEqual(i, seen[source])
                self.assertEqual(payload, "y" * (i * 2000))
                seen[source] += 1
        else:
            for i in range(30):
                self.comm.send((self.rank, i, "y" * (i * 2000)), 0, i)


class Requests(ObjectCase):
    """wait and test of requests that give objects."""

    def start(self, count: int = 5) -> tuple[list[MPI.Request], list[MPI.Request]]:
        receives = [self.comm.irecv(source=self.left, tag=i) for i in range(count)]
        sends = [self.comm.isend({"number": i}, self.right, i) for i in range(count)]
        return sends, receives

    def test_wait_and_its_status(self) -> None:
        sends, receives = self.start()
        for i, request in reversed(list(enumerate(receives))):
            status = MPI.Status()
            self.assertEqual(request.wait(status), {"number": i})
            self.assertEqual((status.source, status.tag), (self.left, i))
            self.assertFalse(request)
            self.assertIsNone(request.wait())
        for request in sends:
            self.assertIsNone(request.wait())

    def test_test(self) -> None:
        receive = self.comm.irecv(source=self.left)
        self.assertEqual(receive.test(), (False, None))
        self.comm.barrier()
        send = self.comm.isend("hello", self.right)
        done, got = False, None
        while not done:
            done, got = receive.test()
        self.assertEqual(got, "hello")
        send.wait()
        self.assertEqual(receive.test(), (True, None))

    def test_waitall(self) -> None:
        sends, receives = self.start()
        statuses: list[MPI.Status] = []
        self.assertEqual(MPI.Request.waitall(receives, statuses), [{"number": i} for i in range(5)])
        self.assertEqual([status.tag for status in statuses], list(range(5)))
        self.assertEqual(MPI.Request.waitall(sends), [None] * 5)
        self.assertEqual(MPI.Request.waitall([]), [])

    def test_testall(self) -> None:
        sends, receives = self.start()
        done, got = False, None
        while not done:
            done, got = MPI.Request.testall(receives)
            if not done:
                self.assertIsNone(got)
        self.assertEqual(got, [{"number": i} for i in range(5)])
        MPI.Request.waitall(sends)

    def test_waitany_and_testany(self) -> None:
        sends, receives = self.start(6)
        seen = {}
        for _ in range(3):
            status = MPI.Status()
            index, got = MPI.Request.waitany(receives, status)
            self.assertEqual(status.tag, index)
            seen[index] = got
        while len(seen) < 6:
            index, done, got = MPI.Request.testany(receives)
            if done:
                seen[index] = got
        self.assertEqual(seen, {i: {"number": i} for i in range(6)})
        index, got = MPI.Request.waitany(receives)
        self.assertEqual((index, got), (MPI.UNDEFINED, None))
        MPI.Request.waitall(sends)

    def test_waitsome_and_testsome(self) -> None:
        sends, receives = self.start(6)
        seen = {}
        while len(seen) < 3:
            indices, got = MPI.Request.waitsome(receives)
            assert indices is not None and got is not None
            seen.update(zip(indices, got, strict=True))
        while len(seen) < 6:
            indices, got = MPI.Request.testsome(receives)
            seen.update(zip(indices or [], got or [], strict=True))
        self.assertEqual(seen, {i: {"number": i} for i in range(6)})
        self.assertEqual(MPI.Request.waitsome(receives), (None, None))
        MPI.Request.waitall(sends)

    def test_cancel(self) -> None:
        receive = self.comm.irecv(source=self.left)
        receive.cancel()
        status = MPI.Status()
        receive.Wait(status)
        self.assertTrue(status.cancelled)
        self.comm.barrier()
        self.assertEqual(self.comm.sendrecv("next", self.right, 0, None, self.left, 0), "next")


class Probes(ObjectCase):
    def test_probe_and_iprobe(self) -> None:
        self.assertFalse(self.comm.iprobe(self.left, 9))
        requests = [self.comm.isend(thing, self.right, 1) for thing in objects.large(self.rank)]
        for theirs in objects.large(self.left):
            status = MPI.Status()
            self.assertTrue(self.comm.probe(self.left, 1, status))
            self.assertEqual((status.source, status.tag), (self.left, 1))
            self.assertGreaterEqual(status.Get_count(MPI.BYTE), 1)
            self.assertTrue(self.comm.iprobe(self.left, 1))
            self.same(self.comm.recv(source=self.left, tag=1), theirs)
        MPI.Request.waitall(requests)

    def test_mprobe(self) -> None:
        mine, expected = self.everything(self.rank), self.everything(self.left)
        requests = [self.comm.isend(thing, self.right, 1) for thing in mine]
        messages = [self.comm.mprobe(self.left, 1) for _ in mine]
        for i, (message, theirs) in reversed(list(enumerate(zip(messages, expected, strict=True)))):
            if i % 2:
                self.same(message.recv(), theirs)
            else:
                self.same(message.irecv().wait(), theirs)
            self.assertFalse(message)
        MPI.Request.waitall(requests)

    def test_improbe(self) -> None:
        self.assertIsNone(self.comm.improbe(self.left, 1))
        self.comm.barrier()
        for mine, theirs in zip(objects.large(self.rank), objects.large(self.left), strict=True):
            request = self.comm.isend(mine, self.right, 1)
            message = None
            while message is None:
                message = self.comm.improbe(self.left, 1)
            status = MPI.Status()
            self.same(message.recv(status), theirs)
            self.assertEqual((status.source, status.tag), (self.left, 1))
            request.wait()
        self.assertIsNone(MPI.Message.iprobe(self.comm, self.left, 1))


class Failures(ObjectCase):
    """An error in pickling is the caller's own; the communicator goes on."""

    def goes_on(self) -> None:
        self.assertEqual(self.comm.sendrecv(self.rank, self.right, 0, None, self.left, 0), self.left)
        self.assertFalse(self.comm.iprobe())
        self.comm.barrier()

    def test_what_cannot_be_pickled(self) -> None:
        for send in (self.comm.send, self.comm.ssend, self.comm.isend, self.comm.issend):
            for thing in (objects.Bomb(), [np.arange(100_000), objects.Bomb()]):
                with self.assertRaisesRegex(RuntimeError, "does not travel"):
                    send(thing, self.right)
            with self.assertRaises((pickle.PicklingError, AttributeError)):
                send(lambda: None, self.right)
            self.goes_on()
        with self.assertRaisesRegex(RuntimeError, "does not travel"):
            self.comm.sendrecv(objects.Bomb(), self.right, 0, None, self.left, 0)
        self.goes_on()

    def test_what_cannot_be_unpickled(self) -> None:
        """The message is used up; the next one is the next one."""
        for thing in (objects.LateBomb(), [np.arange(100_000), objects.LateBomb()]):
            requests = [self.comm.isend(thing, self.right, 1), self.comm.isend("next", self.right, 1)]
            with self.assertRaisesRegex(RuntimeError, "did not survive"):
                self.comm.recv(source=self.left, tag=1)
            self.assertEqual(self.comm.recv(source=self.left, tag=1), "next")
            MPI.Request.waitall(requests)
            self.goes_on()

    def test_irecv_of_what_cannot_be_unpickled(self) -> None:
        receive = self.comm.irecv(source=self.left, tag=1)
        send = self.comm.isend(objects.LateBomb(), self.right, 1)
        with self.assertRaisesRegex(RuntimeError, "did not survive"):
            receive.wait()
        send.wait()
        self.goes_on()

    def test_invalid_ranks(self) -> None:
        for call in (self.comm.send, self.comm.isend):
            with self.mpi_error(MPI.ERR_RANK):
                call("x", self.size)
        for receive in (self.comm.recv, self.comm.irecv):
            with self.mpi_error(MPI.ERR_RANK):
                receive(source=self.size)
        self.goes_on()

    def test_what_is_no_pickle(self) -> None:
        """Bytes from an upper-case send make a Python error, not a crash."""
        for text in (b"\xff this is no pickle", b"", b"\x80", b"x" * 100_000):
            request = self.comm.Isend(text, self.right, 1)
            if text:
                with self.assertRaises(Exception):  # noqa: B017 (of whatever kind)
                    self.comm.recv(source=self.left, tag=1)
            else:
                self.assertIsNone(self.comm.recv(source=self.left, tag=1))
            request.Wait()
        self.goes_on()


class Pickler(ObjectCase):
    def test_dumps_and_loads(self) -> None:
        for thing in self.everything(3):
            self.same(MPI.pickle.loads(MPI.pickle.dumps(thing)), thing)

    def test_another_pickler(self) -> None:
        """The module's pickler can be exchanged, as dill's or cloudpickle's users do."""
        calls = []

        def dumps(thing: Any, protocol: Any = None) -> bytes:
            calls.append("dumps")
            return pickle.dumps(("wrapped", thing), protocol)

        def loads(text: Any) -> Any:
            calls.append("loads")
            return pickle.loads(text)[1]

        MPI.pickle.__init__(dumps, loads)  # type: ignore[misc]
        try:
            self.assertEqual(self.comm.sendrecv([self.rank], self.right, 0, None, self.left, 0), [self.left])
        finally:
            MPI.pickle.__init__()  # type: ignore[misc]
        self.assertEqual(calls, ["dumps", "loads"])
        self.goes_back()

    def goes_back(self) -> None:
        self.assertEqual(self.comm.sendrecv([self.rank], self.right, 0, None, self.left, 0), [self.left])


if __name__ == "__main__":
    unittest.main()

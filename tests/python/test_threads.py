"""MPI_THREAD_MULTIPLE: several threads of a rank in MPI calls at the same time, and Python going on meanwhile."""

from __future__ import annotations

import threading
import time
import unittest
from collections.abc import Callable
from typing import Any

import numpy as np
from mpi4py import MPI
from support import collectives as coll
from support import data
from support.case import LIBRARY, Case, jitter, our_extension, ranks_at_least
from support.collectives import Call

THREADS = 4
LIMIT = 30.0


@unittest.skipIf(MPI.Query_thread() < MPI.THREAD_MULTIPLE, "the library gave no MPI_THREAD_MULTIPLE")
class ThreadCase(Case):
    def together(self, *works: Callable[[], Any]) -> None:
        """Runs each in a thread of its own; the first exception of any of them is raised here."""
        errors: list[BaseException] = []

        def run(work: Callable[[], Any]) -> None:
            try:
                work()
            except BaseException as error:  # noqa: BLE001 (raised again below)
                errors.append(error)

        threads = [threading.Thread(target=run, args=(work,), daemon=True) for work in works]
        for thread in threads:
            thread.start()
        end = time.monotonic() + LIMIT
        while any(thread.is_alive() for thread in threads) and not errors and time.monotonic() < end:
            for thread in threads:
                thread.join(0.02)
        if errors:
            raise errors[0]
        self.assertFalse(any(thread.is_alive() for thread in threads), "a thread hangs")

    def each(self, work: Callable[[int], Any], count: int = THREADS) -> None:
        self.together(*(lambda t=t: work(t) for t in range(count)))


class Level(ThreadCase):
    def test_level(self) -> None:
        self.assertEqual(MPI.Query_thread(), MPI.THREAD_MULTIPLE)
        self.assertTrue(MPI.Is_thread_main())

    def test_another_thread_is_not_the_main_thread(self) -> None:
        self.together(lambda: self.assertFalse(MPI.Is_thread_main()))


class Messages(ThreadCase):
    def test_each_thread_with_its_own_tag(self) -> None:
        def work(tag: int) -> None:
            for i in range(60):
                size = (8, 1000, 5000, 70_000, 200_000)[(i + tag) % 5]
                room = data.Room(size)
                receive = self.comm.Irecv(room.bytes, self.left, tag)
                self.comm.Send(data.message(1000 * tag + i + self.rank, size), self.right, tag)
                receive.Wait()
                self.good(room.wrong(1000 * tag + i + self.left, size), f"thread {tag}, number {i}")

        self.each(work)

    def test_each_thread_with_its_own_communicator(self) -> None:
        comms = [self.comm.Dup() for _ in range(THREADS)]

        def work(t: int) -> None:
            for i in range(60):
                size = (8, 48, 3000, 70_000)[(i + t) % 4]
                room = data.Room(size)
                comms[t].Sendrecv(data.message(t + i, size), self.right, 1, room.bytes, self.left, 1)
                self.good(room.wrong(t + i, size))

        self.each(work)
        for comm in comms:
            comm.Free()

    @ranks_at_least(2)
    def test_ping_pong_in_every_thread(self) -> None:
        partner = self.rank ^ 1
        if partner >= self.size:
            return

        def work(tag: int) -> None:
            for i in range(200):
                value = np.array([i])
                if self.rank < partner:
                    self.comm.Send(value, partner, tag)
                    self.comm.Recv(value, partner, tag)
                    self.assertEqual(value[0], i + 1000)
                else:
                    self.comm.Recv(value, partner, tag)
                    self.assertEqual(value[0], i)
                    self.comm.Send(value + 1000, partner, tag)

        self.each(work)

    def test_a_message_to_oneself_for_a_thread_that_sleeps(self) -> None:
        """Long after the receive has begun, so that its thread does not poll any more."""
        for size in (8, 100_000):
            room = data.Room(size)

            def wait(room: data.Room = room) -> None:
                self.comm.Recv(room.bytes, self.rank, 9)

            def send(size: int = size) -> None:
                time.sleep(0.3)
                self.comm.Ssend(data.message(size, size), self.rank, 9)

            self.together(wait, send)
            self.good(room.wrong(size, size))

    @ranks_at_least(2)
    def test_blocking_receives_in_all_threads(self) -> None:
        """All threads wait; the messages come one by one, for the last thread first."""
        done: list[int] = []

        def wait(tag: int) -> None:
            room = data.Room(100)
            self.comm.Recv(room.bytes, self.left, tag)
            self.good(room.wrong(tag, 100))
            done.append(tag)

        def feed() -> None:
            for tag in reversed(range(THREADS)):
                jitter(tag + 1, 0.005)
                self.comm.Send(data.message(tag, 100), self.right, tag)

        self.together(*(lambda t=t: wait(t) for t in range(THREADS)), feed)
        self.assertEqual(sorted(done), list(range(THREADS)))

    def test_send_and_receive_in_different_threads(self) -> None:
        """One thread only sends, another only receives, large and small."""
        sizes = [(i * 7919) % 150_000 for i in range(80)]

        def send() -> None:
            for i, size in enumerate(sizes):
                self.comm.Send(data.message(i + self.rank, size), self.right, 1)

        def receive() -> None:
            for i, size in enumerate(sizes):
                room = data.Room(size)
                self.comm.Recv(room.bytes, self.left, 1)
                self.good(room.wrong(i + self.left, size))

        self.together(send, receive)

    def test_threads_share_the_messages(self) -> None:
        """Several threads receive with wildcards: each message comes exactly once, whole."""
        total = 200
        seen: list[int] = []

        def take() -> None:
            for _ in range(total // THREADS):
                room, status = data.Room(3000), MPI.Status()
                self.comm.Recv(room.bytes, MPI.ANY_SOURCE, MPI.ANY_TAG, status)
                tag = status.Get_tag()
                self.good(room.wrong(tag, (tag * 37) % 3000))
                seen.append(tag)

        def give() -> None:
            for tag in range(total):
                self.comm.Send(data.message(tag, (tag * 37) % 3000), self.right, tag)

        self.together(*[take] * THREADS, give)
        self.assertEqual(sorted(seen), list(range(total)))

    def test_matched_probes_in_threads(self) -> None:
        """The size is asked for and the same message received, whatever the other threads take."""
        total = 160
        seen: list[int] = []

        def take() -> None:
            for _ in range(total // THREADS):
                status = MPI.Status()
                message = self.comm.Mprobe(MPI.ANY_SOURCE, MPI.ANY_TAG, status)
                room = data.Room(status.Get_count(MPI.BYTE))
                message.Recv(room.bytes)
                self.good(room.wrong(status.Get_tag(), (status.Get_tag() * 431) % 60_000))
                seen.append(status.Get_tag())

        def give() -> None:
            for tag in range(total):
                self.comm.Send(data.message(tag, (tag * 431) % 60_000), self.right, tag)

        self.together(*[take] * THREADS, give)
        self.assertEqual(sorted(seen), list(range(total)))

    def test_objects(self) -> None:
        def work(tag: int) -> None:
            for i in range(40):
                thing = {"tag": tag, "i": i, "load": "x" * ((i % 7) * 15_000)}
                request = self.comm.isend(thing, self.right, tag)
                self.assertEqual(self.comm.recv(source=self.left, tag=tag), thing)
                request.wait()

        self.each(work)

    def test_objects_with_wildcards(self) -> None:
        """Lower-case recv finds out the size and receives in one step."""
        total = 120
        seen: list[int] = []

        def take() -> None:
            for _ in range(total // THREADS):
                number, load = self.comm.recv()
                self.assertEqual(load, "y" * (number * 500))
                seen.append(number)

        def give() -> None:
            for number in range(total):
                self.comm.send((number, "y" * (number * 500)), self.right)

        self.together(*[take] * THREADS, give)
        self.assertEqual(sorted(seen), list(range(total)))


class Requests(ThreadCase):
    def test_started_here_and_completed_there(self) -> None:
        rooms = [data.Room(50_000) for _ in range(40)]
        receives = [self.comm.Irecv(room.bytes, self.left, i) for i, room in enumerate(rooms)]
        sends: list[MPI.Request] = []

        def start() -> None:
            for i in range(40):
                sends.append(self.comm.Isend(data.message(i, 50_000), self.right, i))

        def complete(t: int) -> None:
            for i in range(t, 40, THREADS):
                receives[i].Wait()
                self.good(rooms[i].wrong(i, 50_000))

        self.together(start, *(lambda t=t: complete(t) for t in range(THREADS)))
        MPI.Request.Waitall(sends)

    def test_waitall_in_every_thread(self) -> None:
        def work(t: int) -> None:
            for _ in range(10):
                rooms = [data.Room(20_000) for _ in range(8)]
                requests = [self.comm.Irecv(room.bytes, self.left, 8 * t + i) for i, room in enumerate(rooms)]
                requests += [self.comm.Isend(data.message(i, 20_000), self.right, 8 * t + i) for i in range(8)]
                MPI.Request.Waitall(requests)
                for i, room in enumerate(rooms):
                    self.good(room.wrong(i, 20_000))

        self.each(work)

    def test_one_polls_while_the_others_wait(self) -> None:
        stop = threading.Event()

        def poll() -> None:
            request = self.comm.Irecv(bytearray(1), self.left, 999)
            while not request.Test():
                if not stop.is_set():
                    time.sleep(0)
            self.comm.Iprobe()

        def work() -> None:
            for i in range(50):
                room = data.Room(10_000)
                self.comm.Sendrecv(data.message(i, 10_000), self.right, 1, room.bytes, self.left, 1)
                self.good(room.wrong(i, 10_000))
            stop.set()
            self.comm.Send(b"x", self.right, 999)

        self.together(poll, work)


class Collectives(ThreadCase):
    def test_each_thread_with_its_own_communicator(self) -> None:
        comms = [self.comm.Dup() for _ in range(THREADS)]

        def work(t: int) -> None:
            for i in range(25):
                for function in coll.ALL.values():
                    function(self, Call(comms[t], (8, 1000, 9000)[i % 3], i % self.size, 100 * t + i))

        self.each(work)
        for comm in comms:
            comm.Free()

    def test_two_large_ones_at_the_same_time(self) -> None:
        one, two = self.comm.Dup(), self.comm.Split(0, -self.rank)

        def work(comm: MPI.Intracomm, seed: int) -> None:
            for i in range(5):
                for function in (coll.bcast, coll.allreduce, coll.alltoall, coll.allgather):
                    function(self, Call(comm, 400_000, i % self.size, seed + i))

        self.together(lambda: work(one, 0), lambda: work(two, 1000))
        one.Free()
        two.Free()

    def test_collectives_beside_messages(self) -> None:
        def messages() -> None:
            for i in range(60):
                room = data.Room(30_000)
                self.comm.Sendrecv(data.message(i, 30_000), self.right, 1, room.bytes, self.left, 1)
                self.good(room.wrong(i, 30_000))

        def collectives() -> None:
            for i in range(100):
                coll.allreduce(self, Call(self.comm, 400, 0, i))
                coll.bcast(self, Call(self.comm, 5000, i % self.size, i))

        self.together(messages, collectives)

    def test_objects(self) -> None:
        comms = [self.comm.Dup() for _ in range(THREADS)]

        def work(t: int) -> None:
            for i in range(30):
                self.assertEqual(comms[t].allgather((t, i, self.rank)), [(t, i, r) for r in range(self.size)])
                self.assertEqual(comms[t].bcast((t, i), i % self.size), (t, i))

        self.each(work)
        for comm in comms:
            comm.Free()

    @our_extension("the original makes a communicator for these, holding the interpreter's lock: a deadlock")
    def test_objects_on_new_communicators(self) -> None:
        comms = [self.comm.Dup() for _ in range(THREADS)]

        def work(t: int) -> None:
            for i in range(15):
                part = comms[t].Split(self.rank % (1 + i % 2), self.rank)
                self.assertEqual(part.allreduce(1), part.size)
                part.Free()

        self.each(work)
        for comm in comms:
            comm.Free()

    def test_making_communicators(self) -> None:
        """Dup and Split in several threads, each from a communicator of its own."""
        comms = [self.comm.Dup() for _ in range(THREADS)]

        def work(t: int) -> None:
            for i in range(15):
                part = comms[t].Split(self.rank % (1 + i % 2), self.rank)
                copy = part.Dup()
                coll.allreduce(self, Call(copy, 64, 0, i))
                copy.Free()
                part.Free()

        self.each(work)
        for comm in comms:
            comm.Free()


class Interpreter(ThreadCase):
    """A thread that waits in MPI does not hold up the others' Python."""

    def while_waiting(self, wait: Callable[[], Any], release: Callable[[], Any]) -> None:
        """`wait` blocks until `release` is called, which happens after Python has run for a while."""

        def python() -> None:
            count = 0
            end = time.monotonic() + 0.02
            while time.monotonic() < end:
                count += 1
            self.assertGreater(count, 10)
            release()

        self.together(wait, python)

    def test_recv(self) -> None:
        self.while_waiting(lambda: self.comm.Recv(bytearray(1), self.rank), lambda: self.comm.Send(b"x", self.rank))

    def test_ssend(self) -> None:
        for size in (1, 1_000_000):
            memory = np.zeros(size, "b")
            self.while_waiting(
                lambda memory=memory: self.comm.Ssend(memory, self.rank),
                lambda memory=memory: self.comm.Recv(memory.copy(), self.rank),
            )

    def test_wait(self) -> None:
        for call in (
            lambda request: request.Wait(),
            lambda request: MPI.Request.Waitall([request]),
            lambda request: MPI.Request.Waitany([request]),
            lambda request: MPI.Request.Waitsome([request]),
        ):
            request = self.comm.Irecv(bytearray(1), self.rank)
            self.while_waiting(lambda call=call, r=request: call(r), lambda: self.comm.Send(b"x", self.rank))

    @unittest.skipIf(
        "MPICH" in LIBRARY and MPI.COMM_WORLD.size == 1, "MPICH's probes let no other thread in, with one rank"
    )
    def test_probe(self) -> None:
        for call in (self.comm.Probe, self.comm.Mprobe):
            self.while_waiting(lambda call=call: call(self.rank, 7), lambda: self.comm.Send(b"x", self.rank, 7))
            if call == self.comm.Probe:
                self.comm.Recv(bytearray(1), self.rank, 7)

    def test_objects(self) -> None:
        self.while_waiting(lambda: self.comm.recv(source=self.rank), lambda: self.comm.send("x", self.rank))
        request = self.comm.irecv(source=self.rank)
        self.while_waiting(request.wait, lambda: self.comm.send("x", self.rank))

    @ranks_at_least(2)
    def test_collectives(self) -> None:
        """Rank 0 comes late to each, with Python running in another thread of the others."""
        value, many = np.zeros(1), np.zeros(self.size)
        for call in (
            self.comm.Barrier,
            lambda: self.comm.Bcast(value),
            lambda: self.comm.Allreduce(value.copy(), value),
            lambda: self.comm.Allgather(value, many),
            lambda: self.comm.bcast(None),
            lambda: self.comm.Dup().Free(),
            lambda: self.comm.Split(0).Free(),
        ):
            if self.rank == 0:
                jitter(4095, 0.01)
                call()  # type: ignore[no-untyped-call]
            else:
                self.while_waiting(call, lambda: None)


if __name__ == "__main__":
    unittest.main()

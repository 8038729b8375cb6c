"""Completing requests, one or many, by waiting and by testing; and what a status says."""

from __future__ import annotations

import time
import unittest

import numpy as np
from mpi4py import MPI
from support import data
from support.case import OURS, Case, jitter, later, our_extension, ours_only

LIMIT = 20.0  # seconds that a loop which polls may take
SIZES = (0, 8, 48, 49, 5000, 70_000, 300_000)


class RequestCase(Case):
    def start(self, count: int = len(SIZES)) -> tuple[list[data.Room], list[MPI.Request], list[MPI.Request]]:
        """Receives from the left, and sends to the right with tags 0, 1, ..."""
        sizes = [SIZES[i % len(SIZES)] for i in range(count)]
        rooms = [data.Room(size) for size in sizes]
        receives = [self.comm.Irecv(room.bytes, self.left, tag) for tag, room in enumerate(rooms)]
        sends = [
            self.comm.Isend(data.message(tag + self.rank, size), self.right, tag) for tag, size in enumerate(sizes)
        ]
        return rooms, receives, sends

    def check(self, rooms: list[data.Room]) -> None:
        for tag, room in enumerate(rooms):
            self.good(room.wrong(tag + self.left, SIZES[tag % len(SIZES)]), f"tag {tag}")

    def until(self, end: float) -> None:
        self.assertLess(time.monotonic(), end, "it never completed")


class One(RequestCase):
    def test_wait(self) -> None:
        rooms, receives, sends = self.start()
        for tag in reversed(range(len(receives))):
            status = MPI.Status()
            self.assertIs(receives[tag].Wait(status), True)
            self.check_status(status, self.left, tag, SIZES[tag])
            self.assertEqual(receives[tag], MPI.REQUEST_NULL)
            self.assertFalse(receives[tag])
        for request in sends:
            request.Wait()
        self.check(rooms)

    def test_test(self) -> None:
        rooms, receives, sends = self.start()
        end = time.monotonic() + LIMIT
        for tag, request in enumerate(receives):
            status = MPI.Status()
            while not request.Test(status):
                self.until(end)
            self.check_status(status, self.left, tag, SIZES[tag])
            self.assertEqual(request, MPI.REQUEST_NULL)
        for request in sends:
            while not request.Test():
                self.until(end)
        self.check(rooms)

    def test_test_before_anything_is_there(self) -> None:
        request = self.comm.Irecv(bytearray(8), self.left)
        for _ in range(100):
            self.assertIs(request.Test(), False)
            self.assertTrue(request)
        self.comm.Barrier()
        self.comm.Send(b"12345678", self.right)
        request.Wait()

    def test_get_status(self) -> None:
        """Looks without completing: the request stays."""
        room = data.Room(1000)
        request = self.comm.Irecv(room.bytes, self.left, 4)
        self.assertIs(request.Get_status(), False)
        self.comm.Barrier()
        send = self.comm.Isend(data.message(1, 1000), self.right, 4)
        end = time.monotonic() + LIMIT
        status = MPI.Status()
        while not request.Get_status(status):
            self.until(end)
        for _ in range(3):
            self.check_status(status, self.left, 4, 1000)
            self.assertTrue(request)
            status = MPI.Status()
            self.assertIs(request.Get_status(status), True)
        request.Wait()
        send.Wait()
        self.good(room.wrong(1, 1000))

    def test_null_requests_are_complete(self) -> None:
        """With an empty status."""
        for request in (MPI.REQUEST_NULL, MPI.Request()):
            for call in (request.Wait, request.Test, request.Get_status):
                status = MPI.Status()
                status.Set_source(5)
                self.assertTrue(call(status))
                self.assertEqual((status.source, status.tag, status.error), (MPI.ANY_SOURCE, MPI.ANY_TAG, MPI.SUCCESS))
                self.assertEqual(status.Get_count(MPI.BYTE), 0)
                self.assertFalse(status.Is_cancelled())

    def test_status_of_a_send(self) -> None:
        """Says nothing but whether it was cancelled."""
        request = self.comm.Isend(b"x", self.right)
        self.comm.Recv(bytearray(1), self.left)
        status = MPI.Status()
        request.Wait(status)
        self.assertFalse(status.Is_cancelled())

    def test_wait_returns_soon_after_the_message(self) -> None:
        """No polling interval between the arrival and the end of the wait."""
        if self.size < 2 or self.rank > 1:
            return
        times = []
        for _ in range(50):
            if self.rank == 0:
                begin = time.perf_counter()
                self.comm.Send(b"x", 1)
                self.comm.Irecv(bytearray(1), 1).Wait()
                times.append(time.perf_counter() - begin)
            else:
                self.comm.Irecv(bytearray(1), 0).Wait()
                self.comm.Send(b"x", 0)
        if times:
            self.assertLess(sorted(times)[len(times) // 2], 0.02)


class Many(RequestCase):
    def test_waitall(self) -> None:
        for count in (0, 1, 7, 100):
            rooms, receives, sends = self.start(count)
            statuses = [MPI.Status() for _ in receives]
            self.assertIs(MPI.Request.Waitall(receives, statuses), True)
            for tag, status in enumerate(statuses):
                self.check_status(status, self.left, tag, SIZES[tag % len(SIZES)])
            self.assertTrue(all(request == MPI.REQUEST_NULL for request in receives))
            MPI.Request.Waitall(sends)
            self.check(rooms)

    def test_waitall_with_other_numbers_of_statuses(self) -> None:
        """Too few are added to, too many are left alone; a tuple has to fit or be longer."""
        for given in (0, 3, 20):
            rooms, receives, sends = self.start()
            statuses = [MPI.Status() for _ in range(given)]
            MPI.Request.Waitall(receives, statuses)
            self.assertEqual(len(statuses), max(given, len(receives)))
            for tag in range(len(receives)):
                self.check_status(statuses[tag], self.left, tag, SIZES[tag])
            MPI.Request.Waitall(sends)
            self.check(rooms)

    def test_waitall_with_null_requests_between(self) -> None:
        rooms, receives, sends = self.start()
        mixed = [request for pair in zip(receives, sends, strict=True) for request in (MPI.Request(), *pair)]
        statuses = [MPI.Status() for _ in mixed]
        MPI.Request.Waitall(mixed, statuses)
        self.assertTrue(all(status.source == MPI.ANY_SOURCE for status in statuses[::3]))
        for tag, status in enumerate(statuses[1::3]):
            self.check_status(status, self.left, tag, SIZES[tag])
        self.check(rooms)

    def test_requests_in_a_tuple(self) -> None:
        rooms, receives, sends = self.start()
        MPI.Request.Waitall(tuple(receives + sends))
        self.check(rooms)

    def test_testall(self) -> None:
        rooms, receives, sends = self.start()
        end = time.monotonic() + LIMIT
        while not MPI.Request.Testall(receives + sends):
            self.until(end)
        self.check(rooms)
        self.assertIs(MPI.Request.Testall([]), True)
        waiting = [self.comm.Irecv(bytearray(1), self.left, 1), self.comm.Irecv(bytearray(1), self.left, 2)]
        self.comm.Barrier()
        send = self.comm.Isend(b"x", self.right, 1)
        self.assertIs(MPI.Request.Testall(waiting), False)
        # Not done means that none was completed.
        self.assertTrue(all(waiting))
        self.comm.Barrier()
        self.comm.Send(b"x", self.right, 2)
        MPI.Request.Waitall([*waiting, send])

    def test_waitany(self) -> None:
        rooms, receives, sends = self.start()
        seen = set()
        for _ in receives:
            status = MPI.Status()
            index = MPI.Request.Waitany(receives, status)
            self.check_status(status, self.left, index, SIZES[index])
            self.assertEqual(receives[index], MPI.REQUEST_NULL)
            seen.add(index)
        self.assertEqual(seen, set(range(len(SIZES))))
        self.assertEqual(MPI.Request.Waitany(receives), MPI.UNDEFINED)
        self.assertEqual(MPI.Request.Waitany([]), MPI.UNDEFINED)
        MPI.Request.Waitall(sends)
        self.check(rooms)

    def test_waitany_takes_the_one_that_is_there(self) -> None:
        """The others wait for messages that come only after it."""
        for ready in range(5):
            receives = [self.comm.Irecv(bytearray(1), self.left, tag) for tag in range(5)]
            self.comm.Send(b"x", self.right, ready)
            self.assertEqual(MPI.Request.Waitany(receives), ready)
            self.comm.Barrier()
            for tag in range(5):
                if tag != ready:
                    self.comm.Send(b"x", self.right, tag)
            MPI.Request.Waitall(receives)

    def test_testany(self) -> None:
        rooms, receives, sends = self.start()
        end = time.monotonic() + LIMIT
        seen = set()
        while len(seen) < len(receives):
            self.until(end)
            status = MPI.Status()
            index, done = MPI.Request.Testany(receives, status)
            if done:
                self.check_status(status, self.left, index, SIZES[index])
                seen.add(index)
            else:
                self.assertEqual(index, MPI.UNDEFINED)
        self.assertEqual(MPI.Request.Testany(receives), (MPI.UNDEFINED, True))
        MPI.Request.Waitall(sends)
        self.check(rooms)

    def test_waitsome(self) -> None:
        rooms, receives, sends = self.start(40)
        seen: set[int] = set()
        while len(seen) < 40:
            statuses = [MPI.Status() for _ in receives]
            indices = MPI.Request.Waitsome(receives, statuses)
            assert indices
            for index, status in zip(indices, statuses, strict=False):
                self.check_status(status, self.left, index, SIZES[index % len(SIZES)])
                self.assertNotIn(index, seen)
                seen.add(index)
        self.assertIsNone(MPI.Request.Waitsome(receives))
        self.assertIsNone(MPI.Request.Waitsome([]))
        MPI.Request.Waitall(sends)
        self.check(rooms)

    def test_testsome(self) -> None:
        rooms, receives, sends = self.start(40)
        seen: set[int] = set()
        end = time.monotonic() + LIMIT
        while len(seen) < 40:
            self.until(end)
            indices = MPI.Request.Testsome(receives)
            self.assertIsNotNone(indices)
            seen.update(indices or [])
        self.assertIsNone(MPI.Request.Testsome(receives))
        MPI.Request.Waitall(sends)
        self.check(rooms)
        waiting = [self.comm.Irecv(bytearray(1), self.left, 99)]
        self.assertEqual(MPI.Request.Testsome(waiting), [])
        self.comm.Barrier()
        self.comm.Send(b"x", self.right, 99)
        MPI.Request.Waitall(waiting)

    def test_get_status_of_many(self) -> None:
        rooms, receives, sends = self.start()
        end = time.monotonic() + LIMIT
        while not MPI.Request.Get_status_all(receives):
            self.until(end)
        self.assertTrue(all(receives))
        self.assertEqual(MPI.Request.Get_status_any(receives)[1], True)
        self.assertEqual(MPI.Request.Get_status_some(receives), list(range(len(receives))))
        MPI.Request.Waitall(receives + sends)
        self.check(rooms)

    def test_thousands(self) -> None:
        count = 3000
        got = np.zeros((count, 2), "i")
        receives = [self.comm.Irecv(got[i], self.left, i) for i in range(count)]
        mine = np.array([[i, self.rank] for i in range(count)], "i")
        sends = [self.comm.Isend(mine[i], self.right, i) for i in range(count)]
        MPI.Request.Waitall(receives)
        MPI.Request.Waitall(sends)
        self.assertEqual(got.tolist(), [[i, self.left] for i in range(count)])

    def test_in_any_order(self) -> None:
        """Completed in random order while new ones are started."""
        rng = np.random.Generator(np.random.PCG64(self.rank))
        window: list[tuple[MPI.Request, data.Room, int]] = []
        sends = []
        for i in range(400):
            size = SIZES[i % len(SIZES)] // 3
            room = data.Room(size)
            window.append((self.comm.Irecv(room.bytes, self.left, i), room, i))
            sends.append(self.comm.Isend(data.message(i + self.rank, size), self.right, i))
            if len(window) > 20:
                request, room, tag = window.pop(int(rng.integers(len(window) // 2)))
                request.Wait()
                self.good(room.wrong(tag + self.left, SIZES[tag % len(SIZES)] // 3))
            if len(sends) > 30:
                MPI.Request.Waitsome(sends)
                sends = [request for request in sends if request]
        MPI.Request.Waitall([request for request, _, _ in window] + sends)

    def test_a_truncated_one_among_others(self) -> None:
        """Waitall tells which by the statuses' errors."""
        rooms = [data.Room(size) for size in (100, 50, 100)]
        receives = [self.comm.Irecv(room.bytes, self.left, tag) for tag, room in enumerate(rooms)]
        for tag in range(3):
            self.comm.Send(data.message(tag, 80), self.right, tag)
        statuses = [MPI.Status() for _ in receives]
        with self.mpi_error(MPI.ERR_IN_STATUS):
            MPI.Request.Waitall(receives, statuses)
        self.assertEqual(MPI.Get_error_class(statuses[1].error), MPI.ERR_TRUNCATE)
        for tag in (0, 2):
            self.assertIn(statuses[tag].error, (MPI.SUCCESS, MPI.ERR_PENDING))
            receives[tag].Wait()
            self.good(rooms[tag].wrong(tag, 80))


class Objects(RequestCase):
    """Requests and statuses as Python objects."""

    def test_equality(self) -> None:
        request = self.comm.Irecv(bytearray(1), self.left)
        other = self.comm.Irecv(bytearray(1), self.left)
        self.assertNotEqual(request, other)
        self.assertNotEqual(request, MPI.REQUEST_NULL)
        self.assertTrue(request)
        for _ in range(2):
            self.comm.Send(b"x", self.right)
        MPI.Request.Waitall([request, other])
        self.assertEqual(request, other)

    def test_a_request_nobody_keeps(self) -> None:
        """The operation still ends as it should."""
        room = data.Room(100_000)
        receive = self.comm.Irecv(room.bytes, self.left)
        send = self.comm.Isend(data.message(1, 100_000), self.right)
        receive.Wait()
        self.good(room.wrong(1, 100_000))
        send.Wait()

    def test_status_is_optional_and_reusable(self) -> None:
        status = MPI.Status()
        for size in (10, 0, 100):
            self.comm.Sendrecv(bytearray(size), self.right, size, bytearray(size), self.left, size, status)
            self.check_status(status, self.left, size, size)
        self.comm.Sendrecv(b"", self.right, 0, bytearray(), self.left, 0)

    def test_status_copies(self) -> None:
        status = MPI.Status()
        status.Set_source(3)
        copy = MPI.Status(status)
        status.Set_source(4)
        self.assertEqual((copy.source, status.source), (3, 4))
        self.assertNotEqual(copy, status)

    @our_extension("the original's wheel may use the library's own layout")
    def test_status_has_the_size_of_the_abi(self) -> None:
        self.assertEqual(MPI._sizeof(MPI.Status), 32)

    def test_fresh_status_is_empty(self) -> None:
        status = MPI.Status()
        self.assertEqual((status.source, status.tag, status.error), (MPI.ANY_SOURCE, MPI.ANY_TAG, MPI.SUCCESS))

    @later("persistent requests")
    def test_persistent_ones(self) -> None:
        mine, got = bytearray(8), bytearray(8)
        requests = [self.comm.Recv_init(got, self.left, 1), self.comm.Send_init(mine, self.right, 1)]
        for i in range(5):
            mine[0] = i
            MPI.Prequest.Startall(requests)
            MPI.Request.Waitall(requests)
            self.assertEqual(got[0], i)
        for request in requests:
            request.Free()

    @ours_only("others follow a stale handle wherever it leads")
    def test_a_stale_request(self) -> None:
        request = self.comm.Irecv(bytearray(1), self.left)
        stale = MPI.Request.fromhandle(request.handle)
        self.comm.Send(b"x", self.right)
        request.Wait()
        with self.mpi_error(MPI.ERR_REQUEST):
            stale.Wait()
        with self.mpi_error(MPI.ERR_REQUEST):
            MPI.Request.fromhandle(0x1234567).Test()

    def test_cancel_of_null(self) -> None:
        with self.mpi_error(MPI.ERR_REQUEST):
            MPI.Request().Cancel()
        with self.mpi_error(MPI.ERR_REQUEST):
            MPI.Request().Free()


class Freed(RequestCase):
    """What a persistent request was made with may be freed: the request keeps it."""

    def made(self, form: str, source: int | None = None) -> tuple[MPI.Prequest, MPI.Prequest, bytearray, bytearray]:
        """A send and a receive of every second byte, on the ranks in reverse order."""
        comm, kind = self.comm.Split(0, -self.rank), MPI.BYTE.Create_vector(1000, 1, 2).Commit()
        rank = comm.Get_rank()
        self.before, after = (rank - 1) % self.size, (rank + 1) % self.size
        out, got = bytearray(2000), bytearray(2000)
        partitions = (1,) if form == "P" else ()
        send = getattr(comm, f"{form}send_init".capitalize())([out, 1, kind], *partitions, after, 3)
        receive = getattr(comm, "Precv_init" if partitions else "Recv_init")(
            [got, 1, kind], *partitions, self.before if source is None else source, 3
        )
        kind.Free()
        comm.Free()
        return send, receive, out, got

    def run_both(self, form: str, source: int | None = None) -> None:
        send, receive, out, got = self.made(form, source)
        for turn in range(4):
            out[::2] = bytes(data.message(self.rank + turn, 1000))
            # Handles that are used again must not be taken for those that were freed.
            self.comm.Dup().Free()
            MPI.INT.Dup().Free()
            for request in (receive, send) if turn % 2 else (send, receive):
                request.Start()
                if request is send and form == "P":
                    send.Pready(0)
                self.comm.Barrier()
            status = MPI.Status()
            receive.Wait(status)
            send.Wait()
            world = self.size - 1 - self.before
            self.assertEqual(bytes(got[::2]), bytes(data.message(world + turn, 1000)), f"{form} in turn {turn}")
            self.assertFalse(any(got[1::2]), "nothing is written in between")
            if form != "P" or OURS:
                self.check_status(status, self.before, 3, 1000)
        send.Free()
        receive.Free()

    def test_persistent_ones_start_again(self) -> None:
        for form in ("", "S"):
            self.run_both(form)
            self.run_both(form, MPI.ANY_SOURCE)

    def test_messages_in_partitions(self) -> None:
        self.run_both("P")

    @ours_only("the text")
    def test_an_error_names_the_rank_of_the_freed_communicator(self) -> None:
        comm = self.comm.Split(0, -self.rank)
        before, after = (comm.rank - 1) % self.size, (comm.rank + 1) % self.size
        receive = comm.Recv_init(bytearray(4), before, 1)
        send = comm.Isend(bytes(5), after, 1)
        comm.Free()
        self.comm.Dup().Free()
        receive.Start()
        with self.mpi_error(MPI.ERR_TRUNCATE) as raised:
            receive.Wait()
        self.assertIn(f"from rank {before}, tag 1", raised.text)
        send.Wait()
        receive.Free()


class Progress(RequestCase):
    """Nonblocking operations advance in whatever call is made, and the waiting rank is not needed for the other's."""

    def test_while_waiting_for_another_one(self) -> None:
        """A large message moves on while both ranks wait for something else."""
        size = 3 << 20
        room = data.Room(size)
        receive = self.comm.Irecv(room.bytes, self.left, 1)
        send = self.comm.Isend(data.message(self.rank, size), self.right, 1)
        for _ in range(3):
            self.comm.Barrier()
        send.Wait()
        self.comm.Barrier()
        receive.Wait()
        self.good(room.wrong(self.left, size))

    def test_test_of_one_moves_the_others(self) -> None:
        rooms = [data.Room(200_000) for _ in range(4)]
        receives = [self.comm.Irecv(room.bytes, self.left, i) for i, room in enumerate(rooms)]
        sends = [self.comm.Isend(data.message(i, 200_000), self.right, i) for i in range(4)]
        end = time.monotonic() + LIMIT
        while not receives[3].Test():
            self.until(end)
        MPI.Request.Waitall(receives + sends)
        for i, room in enumerate(rooms):
            self.good(room.wrong(i, 200_000))

    def test_after_a_pause(self) -> None:
        """Both sides do something else for a while between start and wait."""
        rooms, receives, sends = self.start()
        jitter(self.rank * 1000 + 500, 0.02)
        MPI.Request.Waitall(receives + sends)
        self.check(rooms)


if __name__ == "__main__":
    unittest.main()

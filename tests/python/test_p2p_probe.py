"""Looking at messages before receiving them (probe, matched probe), cancelling receives and sends."""

from __future__ import annotations

import time
import unittest

from mpi4py import MPI
from support import data
from support.case import Case, jitter, ours_only

SIZES = (0, 1, 48, 49, 1000, 8192, 40_000, 70_000, 1 << 20)
LIMIT = 20.0  # seconds that a loop which polls may take


class Probe(Case):
    def test_probe_tells_the_size(self) -> None:
        for seed, size in enumerate(SIZES):
            request = self.comm.Isend(data.message(seed + self.rank, size), self.right, seed)
            for source, tag in ((self.left, seed), (MPI.ANY_SOURCE, seed), (self.left, MPI.ANY_TAG), (-1, -1)):
                status = MPI.Status()
                if (source, tag) == (-1, -1):
                    source, tag = MPI.ANY_SOURCE, MPI.ANY_TAG
                self.comm.Probe(source, tag, status)
                self.check_status(status, self.left, seed, size)
            room = data.Room(status.Get_count(MPI.BYTE))
            self.comm.Recv(room.bytes, status.Get_source(), status.Get_tag())
            self.good(room.wrong(seed + self.left, size))
            request.Wait()

    def test_probe_blocks_until_there_is_one(self) -> None:
        if self.rank == 0:
            for source in range(1, self.size):
                status = MPI.Status()
                self.comm.Probe(source, 1, status)
                self.check_status(status, source, 1, 5)
                self.comm.Recv(bytearray(5), source, 1)
        else:
            jitter(self.rank, 0.02)
            self.comm.Send(b"hello", 0, 1)

    def test_iprobe(self) -> None:
        self.assertFalse(self.comm.Iprobe())
        self.assertFalse(self.comm.Iprobe(self.left, 1, MPI.Status()))
        self.comm.Barrier()
        for seed, size in enumerate(SIZES):
            request = self.comm.Isend(data.message(seed, size), self.right, seed)
            status = MPI.Status()
            end = time.monotonic() + LIMIT
            while not self.comm.Iprobe(self.left, seed, status):
                self.assertLess(time.monotonic(), end, "the message was never seen")
            self.check_status(status, self.left, seed, size)
            # The tag next to it is not there.
            self.assertFalse(self.comm.Iprobe(self.left, seed + 100))
            room = data.Room(size)
            self.comm.Recv(room.bytes, self.left, seed)
            self.good(room.wrong(seed, size))
            request.Wait()
        self.comm.Barrier()
        self.assertFalse(self.comm.Iprobe())

    def test_iprobe_alone_moves_things_on(self) -> None:
        """Polling with Iprobe has to see messages even if nothing else calls into the library."""
        if self.rank == 0:
            waiting = set(range(1, self.size))
            end = time.monotonic() + LIMIT
            while waiting:
                self.assertLess(time.monotonic(), end, f"never saw the messages of {waiting}")
                status = MPI.Status()
                if self.comm.Iprobe(MPI.ANY_SOURCE, MPI.ANY_TAG, status):
                    room = data.Room(status.Get_count(MPI.BYTE))
                    self.comm.Recv(room.bytes, status.Get_source(), status.Get_tag())
                    self.good(room.wrong(status.Get_source(), 100_000))
                    waiting.remove(status.Get_source())
        else:
            self.comm.Send(data.message(self.rank, 100_000), 0, self.rank)

    def test_probe_shows_the_first_in_order(self) -> None:
        sizes = (10, 70_000, 0, 300)
        requests = [self.comm.Isend(data.message(i, size), self.right, 1) for i, size in enumerate(sizes)]
        for i, size in enumerate(sizes):
            for _ in range(2):
                status = MPI.Status()
                self.comm.Probe(MPI.ANY_SOURCE, MPI.ANY_TAG, status)
                self.assertEqual(status.Get_count(MPI.BYTE), size)
            room = data.Room(size)
            self.comm.Recv(room.bytes, self.left, 1)
            self.good(room.wrong(i, size))
        MPI.Request.Waitall(requests)


class Matched(Case):
    def test_mprobe_and_recv(self) -> None:
        for seed, size in enumerate(SIZES):
            request = self.comm.Isend(data.message(seed + self.rank, size), self.right, seed)
            status = MPI.Status()
            message = self.comm.Mprobe(MPI.ANY_SOURCE, MPI.ANY_TAG, status)
            self.check_status(status, self.left, seed, size)
            # It is taken out: nobody else sees it any more.
            self.assertFalse(self.comm.Iprobe(self.left, seed))
            room, status = data.Room(size), MPI.Status()
            message.Recv(room.bytes, status)
            self.good(room.wrong(seed + self.left, size))
            self.check_status(status, self.left, seed, size)
            self.assertEqual(message, MPI.MESSAGE_NULL)
            self.assertFalse(message)
            request.Wait()

    def test_mprobe_and_irecv(self) -> None:
        requests = [self.comm.Isend(data.message(i + self.rank, size), self.right, 1) for i, size in enumerate(SIZES)]
        messages = [self.comm.Mprobe(self.left, 1) for _ in SIZES]
        rooms = [data.Room(size) for size in SIZES]
        # Received in another order than matched.
        pairs = list(zip(messages, rooms, strict=True))
        receives = [message.Irecv(room.bytes) for message, room in reversed(pairs)]
        statuses = [MPI.Status() for _ in receives]
        MPI.Request.Waitall(receives, statuses)
        MPI.Request.Waitall(requests)
        for i, (room, size, status) in enumerate(zip(rooms, SIZES, reversed(statuses), strict=True)):
            self.good(room.wrong(i + self.left, size))
            self.check_status(status, self.left, 1, size)

    def test_improbe(self) -> None:
        self.assertIsNone(self.comm.Improbe(self.left, 1))
        self.comm.Barrier()
        for seed, size in enumerate(SIZES):
            request = self.comm.Isend(data.message(seed, size), self.right, 1)
            message, end = None, time.monotonic() + LIMIT
            while message is None:
                self.assertLess(time.monotonic(), end, "the message was never seen")
                status = MPI.Status()
                message = self.comm.Improbe(self.left, 1, status)
            self.check_status(status, self.left, 1, size)
            room = data.Room(size + 10)
            message.Recv(room.bytes)
            self.good(room.wrong(seed, size))
            request.Wait()

    def test_class_methods(self) -> None:
        """The same under the names of class Message."""
        request = self.comm.Isend(data.message(1, 100), self.right, 1)
        message = MPI.Message.Probe(self.comm, self.left, 1)
        room = data.Room(100)
        message.Recv(room.bytes)
        self.good(room.wrong(1, 100))
        request.Wait()
        self.assertIsNone(MPI.Message.Iprobe(self.comm, self.left, 1))

    def test_a_tag_is_picked_out(self) -> None:
        """The last tag is asked for first, by every kind of probe."""
        sizes = [10 * tag + 30_000 * (tag % 3) for tag in range(12)]
        sends = [self.comm.Isend(data.message(tag, size), self.right, tag) for tag, size in enumerate(sizes)]
        self.comm.Barrier()
        for tag, size in reversed(list(enumerate(sizes))):
            status = MPI.Status()
            if tag % 3 == 0:
                message = self.comm.Mprobe(self.left, tag, status)
            elif tag % 3 == 1:
                message = self.comm.Mprobe(MPI.ANY_SOURCE, tag, status)
            else:
                self.comm.Probe(self.left, tag, status)
                self.check_status(status, self.left, tag, size)
                found = self.comm.Improbe(MPI.ANY_SOURCE, tag, status)
                assert found is not None
                message = found
            self.check_status(status, self.left, tag, size)
            room = data.Room(size)
            message.Recv(room.bytes)
            self.good(room.wrong(tag, size))
        MPI.Request.Waitall(sends)

    def test_a_matched_message_is_not_received_by_others(self) -> None:
        """The next receive gets the next message, even while the matched one waits."""
        requests = [self.comm.Isend(data.message(i, 100), self.right, 1) for i in range(3)]
        first = self.comm.Mprobe(self.left, 1)
        room = data.Room(100)
        self.comm.Recv(room.bytes, self.left, 1)
        self.good(room.wrong(1, 100))
        self.comm.Recv(room.bytes, self.left, 1)
        self.good(room.wrong(2, 100))
        first.Recv(room.bytes)
        self.good(room.wrong(0, 100))
        MPI.Request.Waitall(requests)

    def test_a_buffer_that_is_too_small(self) -> None:
        request = self.comm.Isend(data.message(1, 100), self.right, 1)
        message = self.comm.Mprobe(self.left, 1)
        room = data.Room(60)
        with self.mpi_error(MPI.ERR_TRUNCATE):
            message.Recv(room.bytes)
        request.Wait()


class Cancel(Case):
    def test_a_receive_that_nobody_serves(self) -> None:
        room = data.Room(100)
        for source in (self.left, MPI.ANY_SOURCE):
            request = self.comm.Irecv(room.bytes, source, 1)
            self.assertFalse(request.Test())
            request.Cancel()
            status = MPI.Status()
            request.Wait(status)
            self.assertTrue(status.Is_cancelled())
            self.assertEqual(request, MPI.REQUEST_NULL)
        self.good(room.touched())
        self.comm.Barrier()
        # It is gone: the next message goes to the next receive.
        self.comm.Sendrecv(data.message(1, 100), self.right, 1, room.bytes, self.left, 1)
        self.good(room.wrong(1, 100))

    def test_cancelled_ones_among_others(self) -> None:
        rooms = [data.Room(100) for _ in range(9)]
        requests = [self.comm.Irecv(room.bytes, self.left, 1) for room in rooms]
        for request in requests[1::3]:
            request.Cancel()
        self.comm.Barrier()
        sends = [self.comm.Isend(data.message(i, 50 + i), self.right, 1) for i in range(6)]
        statuses = [MPI.Status() for _ in requests]
        MPI.Request.Waitall(requests, statuses)
        MPI.Request.Waitall(sends)
        self.assertEqual([s.Is_cancelled() for s in statuses], [i % 3 == 1 for i in range(9)])
        served = [room for i, room in enumerate(rooms) if i % 3 != 1]
        for i, room in enumerate(served):
            self.good(room.wrong(i, 50 + i))

    def test_a_receive_that_is_already_served(self) -> None:
        """It cannot be cancelled any more; Cancel does no harm."""
        room = data.Room(100)
        request = self.comm.Irecv(room.bytes, self.rank, 1)
        self.comm.Send(data.message(1, 100), self.rank, 1)
        end = time.monotonic() + LIMIT
        while not request.Get_status():
            self.assertLess(time.monotonic(), end)
        request.Cancel()
        status = MPI.Status()
        request.Wait(status)
        self.assertFalse(status.Is_cancelled())
        self.good(room.wrong(1, 100))

    def test_a_free_request_is_still_served(self) -> None:
        """Request.Free lets the operation go on."""
        room = data.Room(100)
        request = self.comm.Irecv(room.bytes, self.left, 1)
        free = self.comm.Isend(data.message(1, 100), self.right, 1)
        free.Free()
        self.assertEqual(free, MPI.REQUEST_NULL)
        request.Wait()
        self.good(room.wrong(1, 100))


@ours_only("other libraries hang, or crash")
class CancelSend(Case):
    """What no receive has matched can be taken back; what has been matched comes whole."""

    def lost(self, request: MPI.Request) -> bool:
        """Waits for it; whether it was cancelled."""
        status = MPI.Status()
        request.Wait(status)
        self.assertEqual(request, MPI.REQUEST_NULL)
        return status.Is_cancelled()

    def test_nobody_wants_it(self) -> None:
        """An offer in the receiver's queue, of large messages and of synchronous ones, to others and to oneself."""
        for size in (0, 8, 5000, 300_000):
            for rank, source in ((self.right, self.left), (self.rank, self.rank)):
                self.comm.Barrier()
                request = self.comm.Issend(data.message(1, size), rank, 5)
                request.Cancel()
                self.assertTrue(self.lost(request))
                request = self.comm.Isend(data.message(1, size), rank, 5)
                request.Cancel()
                # A small one may be there already: then it has to be received.
                lost = self.lost(request)
                got = self.comm.sendrecv(lost, rank, 6, None, source, 6)
                if not got:
                    room = data.Room(size)
                    self.comm.Recv(room.bytes, source, 5)
                    self.good(room.wrong(1, size))
        self.comm.Barrier()
        self.assertFalse(self.comm.Iprobe(MPI.ANY_SOURCE, MPI.ANY_TAG))
        self.comm.Barrier()
        # What comes next is received as if nothing had been.
        room = data.Room(300_000)
        self.comm.Sendrecv(data.message(2, 300_000), self.right, 5, room.bytes, self.left, 5)
        self.good(room.wrong(2, 300_000))

    def test_large_ones_are_cancelled(self) -> None:
        for start in (self.comm.Isend, self.comm.Issend):
            request = start(data.message(1, 300_000), self.right, 5)
            request.Cancel()
            request.Cancel()
            self.assertTrue(self.lost(request))
        persistent = self.comm.Ssend_init(data.message(3, 100), self.right, 5)
        for turn in range(4):
            self.comm.Barrier()
            persistent.Start()
            if turn % 2:
                persistent.Cancel()
                status = MPI.Status()
                persistent.Wait(status)
                self.assertTrue(status.Is_cancelled())
            else:
                room = data.Room(100)
                self.comm.Recv(room.bytes, self.left, 5)
                self.good(room.wrong(3, 100))
                persistent.Wait()
        persistent.Free()

    def test_a_probed_message_is_not_lost(self) -> None:
        """A matched probe has it: too late to cancel."""
        if self.size < 2 or self.rank > 1:
            return
        if self.rank == 0:
            request = self.comm.Issend(data.message(1, 300_000), 1, 5)
            self.comm.Recv(bytearray(0), 1, 6)
            request.Cancel()
            self.comm.Send(b"", 1, 7)
            self.assertFalse(self.lost(request))
        else:
            message = self.comm.Mprobe(0, 5)
            self.comm.Send(b"", 0, 6)
            self.comm.Recv(bytearray(0), 0, 7)
            room = data.Room(300_000)
            message.Recv(room.bytes)
            self.good(room.wrong(1, 300_000))

    def test_one_of_two_happens(self) -> None:
        """The receive comes at about the time of the cancel: the message is lost, or received, never both."""
        if self.size < 2 or self.rank > 1:
            return
        for turn in range(300):
            size = (8, 5000, 200_000)[turn % 3]
            if self.rank == 0:
                request = self.comm.Issend(data.message(turn, size), 1, turn)
                jitter(turn, 0.0002)
                request.Cancel()
                gone = self.lost(request)
                self.comm.send(gone, 1, 1000)
            else:
                room = data.Room(size)
                jitter(turn * 31, 0.0002)
                request = self.comm.Irecv(room.bytes, 0, turn)
                if self.comm.recv(source=0, tag=1000):
                    request.Cancel()
                    self.assertTrue(self.lost(request))
                    self.good(room.touched())
                else:
                    self.assertFalse(self.lost(request))
                    self.good(room.wrong(turn, size), turn)

    def test_those_that_wait_for_room(self) -> None:
        """So many small messages that they do not fit into the ring: the later ones are still here to be taken back."""
        if self.size < 2 or self.rank > 1:
            return
        count = 3000
        if self.rank == 0:
            self.comm.Recv(bytearray(0), 1, 6)
            requests = [self.comm.Isend(data.message(i, 40), 1, 5) for i in range(count)]
            for request in requests[1::2]:
                request.Cancel()
            self.comm.Send(b"", 1, 7)
            statuses = [MPI.Status() for _ in requests]
            MPI.Request.Waitall(requests, statuses)
            lost = [status.Is_cancelled() for status in statuses]
            self.assertFalse(any(lost[::2]))
            self.comm.send(lost, 1, 8)
        else:
            self.comm.Send(b"", 0, 6)
            time.sleep(0.2)
            self.comm.Recv(bytearray(0), 0, 7)
            lost = self.comm.recv(source=0, tag=8)
            for i in range(count):
                if not lost[i]:
                    room = data.Room(40)
                    self.comm.Recv(room.bytes, 0, 5)
                    self.good(room.wrong(i, 40), i)
            self.assertFalse(self.comm.Iprobe(0, 5))


if __name__ == "__main__":
    unittest.main()

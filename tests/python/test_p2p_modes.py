"""Every way to send one message, at every size where implementations change their way of sending."""

from __future__ import annotations

import time
import unittest
from collections.abc import Callable

import numpy as np
from mpi4py import MPI
from support import data
from support.case import Case, jitter, ours_only, ranks_at_least

Send = Callable[[MPI.Intracomm, object, int, int], None]


def _wait(start: Callable[[MPI.Intracomm], Callable[..., MPI.Request]]) -> Send:
    return lambda comm, message, dest, tag: start(comm)(message, dest, tag).Wait()


MODES: dict[str, Send] = {
    "Send": lambda comm, message, dest, tag: comm.Send(message, dest, tag),
    "Ssend": lambda comm, message, dest, tag: comm.Ssend(message, dest, tag),
    "Isend": _wait(lambda comm: comm.Isend),
    "Issend": _wait(lambda comm: comm.Issend),
}


NO_STATUS = "MPICH 5.0.2 and Intel MPI 2021.18 give an Isendrecv neither the status nor the error of its receive"


class OneMessage(Case):
    """Rank r sends to r+1 in turn: even ranks send first, so that no mode can block itself."""

    def exchange(self, size: int, seed: int, send: Callable[[data.Bytes, int], None]) -> None:
        room = data.Room(size)
        status = MPI.Status()
        mine = data.message(seed + self.rank, size)
        # Rank 0 always receives last, so there is no circle of ranks that all send.
        if self.rank == 0:
            send(mine, self.right)
            self.comm.Recv(room.bytes, self.left, 3, status)
        else:
            self.comm.Recv(room.bytes, self.left, 3, status)
            send(mine, self.right)
        self.good(room.wrong(seed + self.left, size), f"size {size}")
        self.check_status(status, self.left, 3, size)
        self.good(data.wrong(mine, seed + self.rank, size), "the send buffer was changed")

    def run_mode(self, name: str) -> None:
        if self.size == 1:
            self.skipTest("needs 2 ranks; messages to oneself are another test")
        for seed, size in enumerate(data.SIZES):
            self.exchange(size, seed * 10, lambda mine, dest: MODES[name](self.comm, mine, dest, 3))

    def test_send(self) -> None:
        self.run_mode("Send")

    def test_ssend(self) -> None:
        self.run_mode("Ssend")

    def test_isend(self) -> None:
        self.run_mode("Isend")

    def test_issend(self) -> None:
        self.run_mode("Issend")

    @ranks_at_least(2)
    def test_rsend_and_irsend(self) -> None:
        """Ready mode: the receive has to be there before; a message back says so."""
        token = np.zeros(1, np.uint8)
        for seed, size in enumerate(data.SIZES):
            for nonblocking in (False, True):
                room = data.Room(size)
                mine = data.message(seed + self.rank, size)
                request = self.comm.Irecv(room.bytes, self.left, 3)
                self.comm.Sendrecv(token, self.left, 4, token.copy(), self.right, 4)
                if nonblocking:
                    self.comm.Irsend(mine, self.right, 3).Wait()
                else:
                    self.comm.Rsend(mine, self.right, 3)
                status = MPI.Status()
                request.Wait(status)
                self.good(room.wrong(seed + self.left, size), f"size {size}")
                self.check_status(status, self.left, 3, size)

    def test_to_itself(self) -> None:
        """A rank may send to itself as long as the receive is posted, in every mode and size."""
        for seed, size in enumerate(data.SIZES):
            for start in (self.comm.Isend, self.comm.Issend):
                room = data.Room(size)
                receive = self.comm.Irecv(room.bytes, self.rank, 5)
                start(data.message(seed, size), self.rank, 5).Wait()
                status = MPI.Status()
                receive.Wait(status)
                self.good(room.wrong(seed, size), f"size {size}")
                self.check_status(status, self.rank, 5, size)
            # And the send first.
            room = data.Room(size)
            send = self.comm.Isend(data.message(seed + 1, size), self.rank, 6)
            self.comm.Recv(room.bytes, self.rank, 6)
            send.Wait()
            self.good(room.wrong(seed + 1, size), f"size {size}, sent first")

    def test_comm_self(self) -> None:
        for seed, size in enumerate(data.SIZES):
            room = data.Room(size)
            MPI.COMM_SELF.Sendrecv(data.message(seed, size), 0, 1, room.bytes, 0, 1)
            self.good(room.wrong(seed, size), f"size {size}")


class Late(Case):
    """One side comes late, so that the message waits for the receive or the receive for the message."""

    @ranks_at_least(2)
    def test_receiver_late(self) -> None:
        for seed, size in enumerate(data.SIZES):
            request = self.comm.Isend(data.message(seed + self.rank, size), self.right, seed)
            jitter(seed, 0.001)
            room = data.Room(size)
            self.comm.Recv(room.bytes, self.left, seed)
            request.Wait()
            self.good(room.wrong(seed + self.left, size), f"size {size}")

    @ranks_at_least(2)
    def test_sender_late(self) -> None:
        for seed, size in enumerate(data.SIZES):
            room = data.Room(size)
            request = self.comm.Irecv(room.bytes, self.left, seed)
            jitter(seed + self.rank, 0.001)
            self.comm.Send(data.message(seed + self.rank, size), self.right, seed)
            request.Wait()
            self.good(room.wrong(seed + self.left, size), f"size {size}")

    @ranks_at_least(2)
    def test_ssend_ends_after_the_receive_began(self) -> None:
        """A synchronous send of any size is not over while nobody has asked for it."""
        for size in (0, 1, 64, 5000, 70_000):
            if self.rank == 0:
                request = self.comm.Issend(data.message(1, size), 1, 1)
                jitter(4095, 0.01)
                self.assertFalse(request.Test(), f"Issend of {size} bytes completed without a receive")
                self.comm.Send(b"", 1, 2)
                request.Wait()
            elif self.rank == 1:
                self.comm.Recv(bytearray(0), 0, 2)
                room = data.Room(size)
                self.comm.Recv(room.bytes, 0, 1)
                self.good(room.wrong(1, size))

    @ranks_at_least(2)
    def test_blocking_ssend_ends_after_the_receive_began(self) -> None:
        """By the machine's clock, which is the same for all ranks."""
        for send in ("Ssend", "ssend"):
            for size in (0, 1, 64, 5000, 70_000):
                if self.rank == 0:
                    getattr(self.comm, send)(bytes(size), 1, 1)
                    ended = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
                    self.assertGreaterEqual(ended, self.comm.recv(source=1), f"{send} of {size} bytes did not wait")
                elif self.rank == 1:
                    jitter(4095, 0.005)
                    began = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
                    got = bytearray(size)
                    if send == "Ssend":
                        self.comm.Recv(got, 0, 1)
                    else:
                        got = self.comm.recv(source=0, tag=1)
                    self.assertEqual(got, bytes(size))
                    self.comm.send(began, 0)

    @ranks_at_least(2)
    def test_buffer_larger_than_the_message(self) -> None:
        """Only the message's bytes are written; the count is the message's."""
        for seed, size in enumerate(data.SMALL_SIZES + data.MEDIUM_SIZES + data.LARGE_SIZES):
            for spare in (1, 100, 5000):
                room = data.Room(size + spare, offset=seed % 9)
                status = MPI.Status()
                request = self.comm.Isend(data.message(seed + self.rank, size), self.right, 1)
                self.comm.Recv(room.bytes, self.left, 1, status)
                request.Wait()
                self.good(room.wrong(seed + self.left, size), f"size {size} into {size + spare}")
                self.check_status(status, self.left, 1, size)

    @ranks_at_least(2)
    def test_unaligned_buffers(self) -> None:
        for size in (1, 8, 63, 64, 65, 1000, 4096, 8192, 70_000, 300_001):
            for offset in (0, 1, 3, 8, 17, 31):
                mine = data.Room(size, offset)
                mine.bytes[:] = data.message(size + self.rank, size)
                room = data.Room(size, (offset * 5 + 1) % 32)
                self.comm.Sendrecv(mine.bytes, self.right, 1, room.bytes, self.left, 1)
                self.good(room.wrong(size + self.left, size), f"size {size}, offset {offset}")


class Sendrecv(Case):
    def test_sendrecv(self) -> None:
        for seed, size in enumerate(data.SIZES):
            room = data.Room(size)
            status = MPI.Status()
            mine = data.message(seed + self.rank, size)
            self.comm.Sendrecv(mine, self.right, 1, room.bytes, self.left, 1, status)
            self.good(room.wrong(seed + self.left, size), f"size {size}")
            self.check_status(status, self.left, 1, size)

    def test_sendrecv_with_different_sizes(self) -> None:
        sizes = (0, 17, 48, 4097, 70_000, 1 << 20)
        for shift in range(1, 4):
            mine = sizes[(self.rank + shift) % len(sizes)]
            theirs = sizes[(self.left + shift) % len(sizes)]
            room = data.Room(theirs)
            self.comm.Sendrecv(data.message(self.rank, mine), self.right, 1, room.bytes, self.left, 1)
            self.good(room.wrong(self.left, theirs))

    def test_sendrecv_replace(self) -> None:
        for seed, size in enumerate(data.SIZES):
            room = data.Room(size)
            room.bytes[:] = data.message(seed + self.rank, size)
            status = MPI.Status()
            self.comm.Sendrecv_replace(room.bytes, self.right, 1, self.left, 1, status)
            self.good(room.wrong(seed + self.left, size), f"size {size}")
            self.check_status(status, self.left, 1, size)

    def test_isendrecv(self) -> None:
        for seed, size in enumerate(data.SIZES):
            room = data.Room(size)
            mine = data.message(seed + self.rank, size)
            self.comm.Isendrecv(mine, self.right, 1, room.bytes, self.left, 1).Wait()
            self.good(room.wrong(seed + self.left, size), f"size {size}")
            room.bytes[:] = data.message(seed + self.rank, size)
            self.comm.Isendrecv_replace(room.bytes, self.right, 2, self.left, 2).Wait()
            self.good(room.wrong(seed + self.left, size), f"size {size}, in place")

    @ours_only(NO_STATUS)
    def test_isendrecv_is_one_request_like_any_other(self) -> None:
        for size in (8, 50_000, 1 << 20):
            mine = data.message(self.rank, size)
            # Beside others, in every way to wait.
            for waiting in ("Waitall", "Testall", "Waitany", "Get_status"):
                rooms = [data.Room(size), data.Room(size)]
                pair = self.comm.Isendrecv(mine, self.right, 3, rooms[0].bytes, self.left, 3)
                single = self.comm.Irecv(rooms[1].bytes, self.left, 4)
                send = self.comm.Isend(mine, self.right, 4)
                requests = [pair, single, send]
                if waiting == "Waitall":
                    statuses = [MPI.Status() for _ in requests]
                    MPI.Request.Waitall(requests, statuses)
                    self.check_status(statuses[0], self.left, 3, size)
                elif waiting == "Testall":
                    while not MPI.Request.Testall(requests):
                        pass
                elif waiting == "Waitany":
                    seen = sorted(MPI.Request.Waitany(requests) for _ in requests)
                    self.assertEqual(seen, [0, 1, 2])
                else:
                    while not pair.Get_status():
                        pass
                    self.assertTrue(pair)
                    MPI.Request.Waitall(requests)
                self.assertFalse(any(requests))
                for room in rooms:
                    self.good(room.wrong(self.left, size), waiting)

    @ours_only(NO_STATUS)
    def test_isendrecv_with_nobody(self) -> None:
        for dest, source in ((MPI.PROC_NULL, MPI.PROC_NULL), (self.right, MPI.PROC_NULL), (MPI.PROC_NULL, self.left)):
            room = data.Room(100)
            others = []
            if (dest == MPI.PROC_NULL) != (source == MPI.PROC_NULL):
                # The other half, as calls of their own.
                if source == MPI.PROC_NULL:
                    others = [self.comm.Irecv(room.bytes, self.left, 5)]
                else:
                    others = [self.comm.Isend(data.message(self.rank, 100), self.right, 5)]
            status = MPI.Status()
            self.comm.Isendrecv(
                data.message(self.rank, 100),
                dest,
                5,
                room.bytes if source != MPI.PROC_NULL else None,
                source,
                5,
            ).Wait(status)
            if source == MPI.PROC_NULL:
                self.check_status(status, MPI.PROC_NULL, MPI.ANY_TAG, 0)
            MPI.Request.Waitall(others)
            if others:
                self.good(room.wrong(self.left, 100))

    def test_isendrecv_given_up_goes_on(self) -> None:
        """Request.Free while it is under way: both messages arrive all the same."""
        room, size = data.Room(300_000), 300_000
        mine = data.message(self.rank, size)
        self.comm.Barrier()
        self.comm.Isendrecv(mine, self.right, 6, room.bytes, self.left, 6).Free()
        self.comm.Barrier()
        end = time.monotonic() + 20
        while room.wrong(self.left, size) is not None and time.monotonic() < end:
            self.comm.Iprobe()
        self.good(room.wrong(self.left, size))
        self.comm.Barrier()

    @ours_only(NO_STATUS)
    def test_isendrecv_tells_of_errors(self) -> None:
        with self.mpi_error(MPI.ERR_TRUNCATE):
            self.comm.Isendrecv(bytes(100), self.right, 7, bytearray(99), self.left, 7).Wait()
        with self.mpi_error(MPI.ERR_RANK):
            self.comm.Isendrecv(b"", self.size, 7, bytearray(1), self.left, 7)
        with self.mpi_error(MPI.ERR_TAG):
            self.comm.Isendrecv(b"", self.right, -5, bytearray(1), self.left, 7)
        # Nothing of these was started.
        self.comm.Barrier()
        self.assertFalse(self.comm.Iprobe(self.left, 7))

    def test_all_pairs(self) -> None:
        for size in (8, 1000, 20_000, 200_000):
            for distance in range(self.size):
                dest, source = (self.rank + distance) % self.size, (self.rank - distance) % self.size
                room = data.Room(size)
                self.comm.Sendrecv(data.message(10 * self.rank + dest, size), dest, 1, room.bytes, source, 1)
                self.good(room.wrong(10 * source + self.rank, size), f"size {size}, distance {distance}")

    def test_proc_null_on_one_side(self) -> None:
        """At the ends of a line of ranks: the side that is PROC_NULL does nothing, the other side works."""
        for size in (1, 100, 70_000):
            dest = self.rank + 1 if self.rank + 1 < self.size else MPI.PROC_NULL
            source = self.rank - 1 if self.rank > 0 else MPI.PROC_NULL
            room = data.Room(size)
            status = MPI.Status()
            self.comm.Sendrecv(data.message(self.rank, size), dest, 1, room.bytes, source, 1, status)
            if source == MPI.PROC_NULL:
                self.good(room.touched())
                self.check_status(status, MPI.PROC_NULL, MPI.ANY_TAG, 0)
            else:
                self.good(room.wrong(source, size))
                self.check_status(status, source, 1, size)


class Null(Case):
    def test_every_call_with_proc_null(self) -> None:
        comm, null = self.comm, MPI.PROC_NULL
        for size in (0, 1, 100_000):
            mine, room = data.message(1, size), data.Room(size)
            comm.Send(mine, null)
            comm.Ssend(mine, null)
            comm.Rsend(mine, null)
            comm.Bsend(mine, null)
            for start in (comm.Isend, comm.Issend, comm.Irsend, comm.Ibsend):
                start(mine, null).Wait()
            for probe in (comm.Probe, comm.Iprobe):
                status = MPI.Status()
                self.assertTrue(probe(null, 5, status))
                self.check_status(status, null, MPI.ANY_TAG, 0)
            status = MPI.Status()
            comm.Recv(room.bytes, null, 5, status)
            self.check_status(status, null, MPI.ANY_TAG, 0)
            status = MPI.Status()
            comm.Irecv(room.bytes, null).Wait(status)
            self.check_status(status, null, MPI.ANY_TAG, 0)
            status = MPI.Status()
            comm.Sendrecv_replace(room.bytes, null, 0, null, 0, status)
            self.check_status(status, null, MPI.ANY_TAG, 0)
            for matched in (comm.Mprobe(null), comm.Improbe(null)):
                assert matched is not None
                self.assertEqual(matched, MPI.MESSAGE_NO_PROC)
                status = MPI.Status()
                matched.Recv(room.bytes, status)
                self.check_status(status, null, MPI.ANY_TAG, 0)
            comm.Mprobe(null).Irecv(room.bytes).Wait()
            self.good(room.touched())


if __name__ == "__main__":
    unittest.main()

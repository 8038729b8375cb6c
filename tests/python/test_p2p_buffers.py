"""Buffered sends and their buffers: of the process, of a communicator, of a session."""

from __future__ import annotations

import contextlib
import unittest

from mpi4py import MPI
from support import data
from support.case import Case, jitter, not_on, ours_only, ranks_at_least

LARGE = 1_000_000  # bytes that no library keeps for a receive that has not come


class Buffered(Case):
    def setUp(self) -> None:
        super().setUp()
        # Nothing is attached at the begin, whatever test was before.
        with contextlib.suppress(MPI.Exception):
            MPI.Detach_buffer()

    def test_bsend_returns_without_a_receive(self) -> None:
        """All ranks send first and receive then, sizes that no eager limit allows."""
        sizes = (0, 1, 1000, 100_000, 1_000_000)
        MPI.Attach_buffer(bytearray(sum(sizes) + len(sizes) * (MPI.BSEND_OVERHEAD + 8)))
        for seed, size in enumerate(sizes):
            mine = data.message(seed + self.rank, size)
            self.comm.Bsend(mine, self.right, seed)
            mine[:] = 0
        self.comm.Barrier()
        for seed, size in enumerate(sizes):
            room = data.Room(size)
            self.comm.Recv(room.bytes, self.left, seed)
            self.good(room.wrong(seed + self.left, size))
        MPI.Detach_buffer()

    def test_room_comes_back(self) -> None:
        """One buffer serves any number of messages, one after the other."""
        MPI.Attach_buffer(bytearray(20_000 + MPI.BSEND_OVERHEAD + 8))
        for seed in range(200):
            mine = data.message(seed + self.rank, 20_000)
            room = data.Room(20_000)
            receive = self.comm.Irecv(room.bytes, self.left, 1)
            if seed % 2:
                self.comm.Ibsend(mine, self.right, 1).Wait()
            else:
                self.comm.Bsend(mine, self.right, 1)
            mine[:] = 0
            receive.Wait()
            self.good(room.wrong(seed + self.left, 20_000))
            self.comm.Barrier()
        MPI.Detach_buffer()

    def test_too_small_a_buffer(self) -> None:
        MPI.Attach_buffer(bytearray(1000 + MPI.BSEND_OVERHEAD))
        with self.mpi_error(MPI.ERR_BUFFER):
            self.comm.Bsend(data.message(1, 100_000), self.right, 1)
        # It still works for what fits.
        room = data.Room(500)
        receive = self.comm.Irecv(room.bytes, self.left, 2)
        self.comm.Bsend(data.message(2, 500), self.right, 2)
        receive.Wait()
        self.good(room.wrong(2, 500))
        MPI.Detach_buffer()

    def test_no_buffer_attached(self) -> None:
        with self.mpi_error(MPI.ERR_BUFFER):
            self.comm.Bsend(data.message(1, 100), self.right, 1)

    def test_detach_waits_and_gives_the_memory_back(self) -> None:
        memory = bytearray(200_000 + MPI.BSEND_OVERHEAD)
        MPI.Attach_buffer(memory)
        self.comm.Bsend(data.message(self.rank, 200_000), self.right, 1)
        room = data.Room(200_000)
        receive = self.comm.Irecv(room.bytes, self.left, 1)
        receive.Wait()
        got = MPI.Detach_buffer()
        self.good(room.wrong(self.left, 200_000))
        assert got is not None
        self.assertEqual(memoryview(got).nbytes, len(memory))
        memory.extend(b"it is ours again")

    @ranks_at_least(2)
    def test_detach_blocks_until_all_is_sent(self) -> None:
        MPI.Attach_buffer(bytearray(100_000 + MPI.BSEND_OVERHEAD))
        if self.rank == 0:
            self.comm.Bsend(data.message(1, 90_000), 1, 1)
            MPI.Detach_buffer()
        else:
            if self.rank == 1:
                jitter(4000, 0.02)
                room = data.Room(90_000)
                self.comm.Recv(room.bytes, 0, 1)
                self.good(room.wrong(1, 90_000))
            MPI.Detach_buffer()

    @not_on("Intel", "a second attach is not noticed")
    def test_two_buffers(self) -> None:
        MPI.Attach_buffer(bytearray(1000))
        with self.mpi_error(MPI.ERR_BUFFER, MPI.ERR_OTHER):
            MPI.Attach_buffer(bytearray(1000))
        MPI.Detach_buffer()


class Flush(Case):
    """MPI_Buffer_flush and iflush."""

    def attach(self, owner: object, room: int) -> None:
        owner.Attach_buffer(bytearray(room + 8 * (MPI.BSEND_OVERHEAD + 8)))  # type: ignore[attr-defined]
        self.addCleanup(owner.Detach_buffer)  # type: ignore[attr-defined]

    def test_nothing_to_flush(self) -> None:
        self.attach(MPI, 1000)
        MPI.Flush_buffer()
        request = MPI.Iflush_buffer()
        self.assertTrue(request.Test())
        self.assertEqual(request, MPI.REQUEST_NULL)
        requests = [MPI.Iflush_buffer() for _ in range(3)]
        MPI.Request.Waitall(requests)

    def test_without_a_buffer(self) -> None:
        self.comm.Flush_buffer()
        self.comm.Iflush_buffer().Wait()

    @ranks_at_least(2)
    @ours_only("Intel MPI's flush does not wait, MPICH copies to the receiver all the same")
    def test_iflush_is_complete_when_the_messages_are_gone(self) -> None:
        self.attach(MPI, LARGE)
        self.comm.Bsend(data.message(self.rank, LARGE), self.right, 1)
        early, late = MPI.Iflush_buffer(), MPI.Iflush_buffer()
        self.assertFalse(early.Test())
        self.comm.Barrier()
        self.assertFalse(early.Test())
        # Nobody receives before everybody has looked.
        self.comm.Barrier()
        room = data.Room(LARGE)
        self.comm.Recv(room.bytes, self.left, 1)
        self.good(room.wrong(self.left, LARGE))
        late.Wait()
        self.assertTrue(early.Test())

    @ranks_at_least(2)
    def test_flush_waits(self) -> None:
        self.attach(MPI, LARGE)
        self.comm.Bsend(data.message(self.rank, LARGE), self.right, 1)
        room = data.Room(LARGE)
        receive = self.comm.Irecv(room.bytes, self.left, 1)
        MPI.Flush_buffer()
        # All of the room is there again, without a wait for anybody.
        self.assertTrue(MPI.Iflush_buffer().Test())
        receive.Wait()
        self.good(room.wrong(self.left, LARGE))

    @ranks_at_least(2)
    @ours_only("the standard lets a flush wait for later messages too")
    def test_later_messages_do_not_hold_it_up(self) -> None:
        self.attach(MPI, 2 * LARGE)
        self.comm.Bsend(data.message(1, LARGE), self.right, 1)
        request = MPI.Iflush_buffer()
        self.comm.Bsend(data.message(2, LARGE), self.right, 2)
        rooms = [data.Room(LARGE), data.Room(LARGE)]
        self.comm.Recv(rooms[0].bytes, self.left, 1)
        request.Wait()
        self.assertFalse(MPI.Iflush_buffer().Test())
        self.comm.Barrier()
        self.comm.Recv(rooms[1].bytes, self.left, 2)
        for seed, room in enumerate(rooms, 1):
            self.good(room.wrong(seed, LARGE))

    @ranks_at_least(2)
    def test_a_flush_that_nobody_waits_for(self) -> None:
        self.attach(MPI, LARGE)
        self.comm.Bsend(data.message(3, LARGE), self.right, 1)
        MPI.Iflush_buffer().Free()
        room = data.Room(LARGE)
        self.comm.Recv(room.bytes, self.left, 1)
        self.good(room.wrong(3, LARGE))


class Whose(Case):
    """A communicator's buffer goes before its session's, that before the process's."""

    def exchange(self, comm: MPI.Intracomm) -> None:
        comm.Bsend(data.message(self.rank, LARGE), self.right, 1)
        room = data.Room(LARGE)
        comm.Recv(room.bytes, self.left, 1)
        self.good(room.wrong(self.left, LARGE))

    def test_of_a_communicator(self) -> None:
        self.comm.Attach_buffer(bytearray(LARGE + MPI.BSEND_OVERHEAD + 8))
        self.exchange(self.comm)
        self.comm.Flush_buffer()
        self.exchange(self.comm)
        self.comm.Iflush_buffer().Wait()
        other = self.comm.Dup()
        with self.mpi_error(MPI.ERR_BUFFER):
            other.Bsend(data.message(1, 10), self.right, 2)
        other.Free()
        self.comm.Detach_buffer()

    def test_a_communicators_buffer_is_the_one_that_counts(self) -> None:
        MPI.Attach_buffer(bytearray(LARGE + MPI.BSEND_OVERHEAD + 8))
        self.addCleanup(MPI.Detach_buffer)
        self.comm.Attach_buffer(bytearray(10 + MPI.BSEND_OVERHEAD + 8))
        with self.mpi_error(MPI.ERR_BUFFER):
            self.comm.Bsend(data.message(1, LARGE), self.right, 1)
        self.comm.Detach_buffer()
        self.exchange(self.comm)

    def test_automatic(self) -> None:
        self.comm.Attach_buffer(MPI.BUFFER_AUTOMATIC)
        for _ in range(3):
            self.exchange(self.comm)
        self.assertEqual(self.comm.Detach_buffer(), MPI.BUFFER_AUTOMATIC)

    def test_of_a_session(self) -> None:
        """Serves all communicators that come from the session's groups, however they were made."""
        session = MPI.Session.Init()
        group = session.Create_group("mpi://WORLD")
        same = MPI.Group.Union(group, group)
        comm = MPI.Intracomm.Create_from_group(same, "buffers")
        copy, part = comm.Dup(), comm.Split(0, comm.Get_rank())
        for each in (group, same):
            each.Free()
        with self.mpi_error(MPI.ERR_BUFFER):
            copy.Bsend(data.message(1, 10), self.right, 1)
        session.Attach_buffer(bytearray(LARGE + MPI.BSEND_OVERHEAD + 8))
        for each in (comm, copy, part):
            self.exchange(each)
            session.Flush_buffer()
            self.exchange(each)
            session.Iflush_buffer().Wait()
        with self.mpi_error(MPI.ERR_BUFFER):
            self.comm.Bsend(data.message(1, 10), self.right, 1)
        session.Detach_buffer()
        for each in (comm, copy, part):
            each.Free()
        session.Finalize()


if __name__ == "__main__":
    unittest.main()

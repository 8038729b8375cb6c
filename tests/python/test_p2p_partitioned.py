"""Messages in partitions, given away and seen to arrive one by one."""

from __future__ import annotations

import random
import threading
import time
import unittest

import numpy as np
from mpi4py import MPI
from support import data
from support.case import Case, ours_only

LIMIT = 20.0  # seconds that a loop which polls may take
SIZES = (0, 24, 4800, 120_000, 2_400_000)  # divisible by all numbers of partitions below


class Partitioned(Case):
    def pair(self, size: int, sender: int, receiver: int, tag: int = 0) -> tuple[MPI.Prequest, MPI.Prequest]:
        """A send to the right and a receive from the left of `size` bytes, in so many partitions."""
        self.out = np.zeros(size, np.uint8)
        self.room = data.Room(size)
        send = self.comm.Psend_init(self.out, sender, self.right, tag)
        receive = self.comm.Precv_init(self.room.bytes, receiver, self.left, tag)
        return send, receive

    def free(self, *requests: MPI.Request) -> None:
        for request in requests:
            self.assertTrue(request)
            request.Free()
            self.assertEqual(request, MPI.REQUEST_NULL)

    def arrives(self, receive: MPI.Prequest, number: int) -> None:
        end = time.monotonic() + LIMIT
        while not receive.Parrived(number):
            self.assertLess(time.monotonic(), end, "it never came")


class Sizes(Partitioned):
    def test_every_size_with_equal_and_different_partitions(self) -> None:
        for size in SIZES:
            for sender, receiver in ((1, 1), (3, 3), (1, 4), (4, 1), (2, 3), (3, 2), (8, 6), (24, 1)):
                send, receive = self.pair(size, sender, receiver)
                for turn in range(2):
                    seed = 10 * turn + self.rank
                    self.out[:] = data.message(seed, size)
                    self.room.bytes[:] = 0
                    MPI.Prequest.Startall([receive, send])
                    for number in reversed(range(sender)):
                        send.Pready(number)
                    status = MPI.Status()
                    receive.Wait(status)
                    send.Wait()
                    self.check_status(status, self.left, 0, size)
                    self.good(self.room.wrong(10 * turn + self.left, size), (size, sender, receiver, turn))
                self.free(send, receive)

    def test_many_small_partitions(self) -> None:
        count = 3000
        send, receive = self.pair(count, count, count // 3)
        numbers = list(range(count))
        for turn in range(3):
            random.Random(turn).shuffle(numbers)
            self.out[:] = data.message(turn + self.rank, count)
            send.Start()
            receive.Start()
            for number in numbers[:100]:
                send.Pready(number)
            send.Pready_list(numbers[100:])
            MPI.Request.Waitall([receive, send])
            self.good(self.room.wrong(turn + self.left, count))
        self.free(send, receive)

    @ours_only("all partitions come together elsewhere")
    def test_ranges_and_lists(self) -> None:
        send, receive = self.pair(4800, 12, 12)
        self.out[:] = data.message(self.rank, 4800)
        receive.Start()
        send.Start()
        send.Pready_range(3, 7)
        send.Pready_list([11, 0, 9])
        send.Pready_list([])
        for number in (0, 3, 4, 5, 6, 7, 9, 11):
            self.arrives(receive, number)
        for number in (1, 2, 8, 10):
            self.assertFalse(receive.Parrived(number))
        self.assertFalse(receive.Test())
        self.comm.Barrier()
        send.Pready_list([1, 2, 8, 10])
        receive.Wait()
        send.Wait()
        self.good(self.room.wrong(self.left, 4800))
        self.free(send, receive)

    def test_derived_types_on_one_side(self) -> None:
        """Every second column goes out, contiguous rows come in."""
        rows, columns = 12, 10
        matrix = (np.arange(rows * columns, dtype="i4") + 1000 * self.rank).reshape(rows, columns)
        expected = (np.arange(rows * columns, dtype="i4") + 1000 * self.left).reshape(rows, columns)[:, ::2]
        every_second = MPI.INT.Create_vector(columns // 2, 1, 2).Create_resized(0, 4 * columns).Commit()
        into = np.full((rows, columns // 2), -1, dtype="i4")
        for sender, receiver in ((4, 3), (12, 4), (1, 6)):
            send = self.comm.Psend_init([matrix, rows // sender, every_second], sender, self.right, 5)
            receive = self.comm.Precv_init(into, receiver, self.left, 5)
            into[:] = -1
            receive.Start()
            send.Start()
            for number in range(sender):
                send.Pready(number)
            receive.Wait()
            send.Wait()
            np.testing.assert_array_equal(into, expected)
            self.free(send, receive)
        every_second.Free()

    def test_a_type_may_be_freed_early(self) -> None:
        kind = MPI.INT.Create_contiguous(3).Commit()
        out, into = np.arange(12, dtype="i4"), np.zeros(12, "i4")
        send = self.comm.Psend_init([out, 2, kind], 2, self.right)
        receive = self.comm.Precv_init([into, 2, kind], 2, self.left, 0)
        kind.Free()
        MPI.Prequest.Startall([send, receive])
        send.Pready_range(0, 1)
        MPI.Request.Waitall([send, receive])
        np.testing.assert_array_equal(into, out)
        self.free(send, receive)


class Arrival(Partitioned):
    @ours_only("all partitions come together elsewhere")
    def test_partitions_are_seen_before_the_last_is_ready(self) -> None:
        """Step by step: each is here before the next one is given away, whatever its size."""
        for size in (0, 24, 120_000, 2_400_000):
            send, receive = self.pair(size, 4, 4)
            self.out[:] = data.message(self.rank, size)
            for _ in range(3):
                receive.Start()
                for number in range(4):
                    self.assertFalse(receive.Parrived(number))
                self.comm.Barrier()
                send.Start()
                for turn, number in enumerate((2, 0, 3, 1)):
                    send.Pready(number)
                    # The sender has to be in MPI for what does not fit into the ring: it polls its own receive.
                    self.arrives(receive, number)
                    self.assertTrue(receive.Parrived(number))
                    for later in (2, 0, 3, 1)[turn + 1 :]:
                        self.assertFalse(receive.Parrived(later))
                    quarter = size // 4
                    begin = number * quarter
                    expected = data.message(self.left, size)[begin : begin + quarter]
                    np.testing.assert_array_equal(self.room.bytes[begin : begin + quarter], expected)
                    self.comm.Barrier()
                receive.Wait()
                send.Wait()
            self.free(send, receive)

    def test_inactive_requests_have_arrived(self) -> None:
        send, receive = self.pair(24, 2, 2)
        self.assertTrue(receive.Parrived(0))
        MPI.Prequest.Startall([receive, send])
        self.assertFalse(receive.Parrived(1))
        self.comm.Barrier()
        send.Pready_range(0, 1)
        self.arrives(receive, 0)
        self.arrives(receive, 1)
        receive.Wait()
        send.Wait()
        self.assertTrue(receive.Parrived(1))
        self.free(send, receive)

    def test_ready_before_the_receive_starts(self) -> None:
        """Whichever of the two is made and started first."""
        for size in (24, 2_400_000):
            self.out, self.room = data.message(self.rank, size), data.Room(size)
            send = self.comm.Psend_init(self.out, 3, self.right, 9)
            send.Start()
            send.Pready_range(0, 1)
            self.comm.Barrier()
            receive = self.comm.Precv_init(self.room.bytes, 3, self.left, 9)
            send.Pready(2)
            self.assertFalse(send.Test())
            self.comm.Barrier()
            receive.Start()
            MPI.Request.Waitall([send, receive])
            self.good(self.room.wrong(self.left, size))
            self.free(send, receive)

    def test_a_receiver_that_is_ahead(self) -> None:
        """It has started the next turn before the sender has."""
        send, receive = self.pair(4800, 4, 2)
        for turn in range(20):
            self.out[:] = data.message(turn + self.rank, 4800)
            if turn % 2:
                receive.Start()
                self.comm.Barrier()
                send.Start()
            else:
                send.Start()
                self.comm.Barrier()
                receive.Start()
            send.Pready_range(0, 3)
            receive.Wait()
            send.Wait()
            self.good(self.room.wrong(turn + self.left, 4800), turn)
        self.free(send, receive)


class Matching(Partitioned):
    def test_in_the_order_in_which_they_were_made(self) -> None:
        """Not in that in which they were started."""
        outs = [data.message(10 * i + self.rank, 1200) for i in range(4)]
        rooms = [data.Room(1200) for _ in range(4)]
        tags = (7, 7, 8, 7)
        sends = [self.comm.Psend_init(out, 2, self.right, tag) for out, tag in zip(outs, tags, strict=True)]
        receives = [self.comm.Precv_init(room.bytes, 3, self.left, tag) for room, tag in zip(rooms, tags, strict=True)]
        for order in ((3, 2, 1, 0), (1, 3, 0, 2)):
            for room in rooms:
                room.bytes[:] = 0
            for i in order:
                sends[i].Start()
                sends[i].Pready_range(0, 1)
            for i in reversed(order):
                receives[i].Start()
            MPI.Request.Waitall([*sends, *receives])
            for i, room in enumerate(rooms):
                self.good(room.wrong(10 * i + self.left, 1200), (order, i))
        self.free(*sends, *receives)

    def test_normal_messages_are_another_matter(self) -> None:
        """Same ranks, same tag, same communicator; nothing to probe either."""
        send, receive = self.pair(4800, 2, 2, tag=3)
        plain, room = data.message(50 + self.rank, 100), data.Room(100)
        normal = self.comm.Irecv(room.bytes, MPI.ANY_SOURCE, MPI.ANY_TAG)
        self.out[:] = data.message(self.rank, 4800)
        MPI.Prequest.Startall([send, receive])
        send.Pready_range(0, 1)
        receive.Wait()
        send.Wait()
        self.assertFalse(normal.Test())
        self.assertFalse(self.comm.Iprobe(MPI.ANY_SOURCE, MPI.ANY_TAG))
        self.comm.Barrier()
        self.comm.Send(plain, self.right, 3)
        normal.Wait()
        self.good(self.room.wrong(self.left, 4800))
        self.good(room.wrong(50 + self.left, 100))
        self.free(send, receive)

    def test_communicators_keep_them_apart(self) -> None:
        other = self.comm.Dup()
        outs = [data.message(self.rank, 600), data.message(9 + self.rank, 600)]
        rooms = [data.Room(600), data.Room(600)]
        sends = [comm.Psend_init(out, 2, self.right, 1) for comm, out in zip((self.comm, other), outs, strict=True)]
        receives = [
            comm.Precv_init(room.bytes, 2, self.left, 1)
            for comm, room in zip((other, self.comm), reversed(rooms), strict=True)
        ]
        # What was made goes on after its communicator is freed.
        other.Free()
        for request in (*receives, *sends):
            request.Start()
        for send in sends:
            send.Pready_range(0, 1)
        MPI.Request.Waitall([*sends, *receives])
        self.good(rooms[0].wrong(self.left, 600))
        self.good(rooms[1].wrong(9 + self.left, 600))
        self.free(*sends, *receives)

    def test_large_messages_at_the_same_time(self) -> None:
        size = 2_400_000
        send, receive = self.pair(size, 8, 3)
        plain, room = data.message(70 + self.rank, size), data.Room(size)
        for turn in range(3):
            self.out[:] = data.message(turn + self.rank, size)
            receive.Start()
            normal = self.comm.Irecv(room.bytes, self.left, 0)
            send.Start()
            send.Pready_range(0, 3)
            sent = self.comm.Isend(plain, self.right, 0)
            send.Pready_range(4, 7)
            MPI.Request.Waitall([normal, sent, receive, send])
            self.good(self.room.wrong(turn + self.left, size))
            self.good(room.wrong(70 + self.left, size))
        self.free(send, receive)

    @ours_only("MPI_PROC_NULL does not work elsewhere")
    def test_nobody(self) -> None:
        send = self.comm.Psend_init(bytearray(8), 2, MPI.PROC_NULL)
        receive = self.comm.Precv_init(bytearray(8), 2, MPI.PROC_NULL, 0)
        for _ in range(2):
            receive.Start()
            send.Start()
            status = MPI.Status()
            self.assertTrue(receive.Parrived(1))
            receive.Wait(status)
            self.assertEqual(status.source, MPI.PROC_NULL)
            send.Pready(1)
            send.Pready(0)
            send.Wait()
        self.free(send, receive)


class Threads(Partitioned):
    def test_threads_give_partitions_away(self) -> None:
        """Each fills its partitions and gives them away, all at the same time."""
        threads, each, bytes_ = 6, 4, 5000
        size = threads * each * bytes_
        send, receive = self.pair(size, threads * each, 8)
        for turn in range(5):
            whole = data.message(turn + self.rank, size)
            self.out[:] = 0
            receive.Start()
            send.Start()
            begin = threading.Barrier(threads)

            def give(mine: int, whole: data.Bytes = whole, begin: threading.Barrier = begin) -> None:
                begin.wait()
                for number in range(mine, threads * each, threads):
                    place = slice(number * bytes_, (number + 1) * bytes_)
                    self.out[place] = whole[place]
                    send.Pready(number)

            workers = [threading.Thread(target=give, args=(mine,)) for mine in range(threads)]
            for worker in workers:
                worker.start()
            receive.Wait()
            send.Wait()
            for worker in workers:
                worker.join()
            self.good(self.room.wrong(turn + self.left, size), turn)
        self.free(send, receive)

    def test_a_thread_sleeps_in_wait_meanwhile(self) -> None:
        send, receive = self.pair(48, 2, 2)
        self.out[:] = data.message(self.rank, 48)
        MPI.Prequest.Startall([receive, send])
        waiting = threading.Thread(target=send.Wait)
        waiting.start()
        time.sleep(0.3)
        send.Pready(1)
        time.sleep(0.05)
        send.Pready(0)
        waiting.join(LIMIT)
        self.assertFalse(waiting.is_alive())
        receive.Wait()
        self.good(self.room.wrong(self.left, 48))
        self.free(send, receive)


class Wrong(Partitioned):
    """Errors name what is wrong, and change nothing."""

    def finish(self, send: MPI.Prequest, receive: MPI.Prequest) -> None:
        receive.Wait()
        send.Wait()
        self.free(send, receive)

    @ours_only("not noticed elsewhere")
    def test_out_of_range_and_twice(self) -> None:
        send, receive = self.pair(24, 3, 2)
        self.out[:] = data.message(self.rank, 24)
        MPI.Prequest.Startall([receive, send])
        for number in (-1, 3, 1000):
            with self.mpi_error(MPI.ERR_ARG):
                send.Pready(number)
        for number in (-1, 2):
            with self.mpi_error(MPI.ERR_ARG):
                receive.Parrived(number)
        with self.mpi_error(MPI.ERR_ARG):
            send.Pready_range(1, 3)
        send.Pready(1)
        with self.mpi_error(MPI.ERR_ARG) as raised:
            send.Pready(1)
        self.assertIn("partition 1", raised.text)
        for numbers in ([0, 1], [0, 2, 0], [2, 7]):
            with self.mpi_error(MPI.ERR_ARG):
                send.Pready_list(numbers)
        # None of those that were all right in these lists was given away.
        send.Pready_list([0, 2])
        with self.mpi_error(MPI.ERR_ARG, MPI.ERR_REQUEST):
            send.Pready(0)
        self.finish(send, receive)
        self.good(self.room.wrong(self.left, 24))

    def test_requests_of_another_kind(self) -> None:
        send, receive = self.pair(24, 3, 2)
        with self.mpi_error(MPI.ERR_REQUEST):
            send.Pready(0)
        MPI.Prequest.Startall([receive, send])
        with self.mpi_error(MPI.ERR_REQUEST):
            receive.Pready(0)
        with self.mpi_error(MPI.ERR_REQUEST):
            send.Parrived(0)
        with self.mpi_error(MPI.ERR_REQUEST):
            send.Start()
        plain = self.comm.Send_init(bytearray(1), MPI.PROC_NULL)
        with self.mpi_error(MPI.ERR_REQUEST):
            plain.Pready(0)
        with self.mpi_error(MPI.ERR_REQUEST):
            plain.Parrived(0)
        with self.mpi_error(MPI.ERR_REQUEST):
            MPI.Prequest().Pready(0)
        plain.Free()
        send.Pready_range(0, 2)
        self.finish(send, receive)

    def test_arguments(self) -> None:
        buffer = bytearray(8)
        with self.mpi_error(MPI.ERR_RANK):
            self.comm.Psend_init(buffer, 2, self.size)
        with self.mpi_error(MPI.ERR_TAG):
            self.comm.Psend_init(buffer, 2, 0, -5)
        with self.mpi_error(MPI.ERR_RANK):
            self.comm.Precv_init(buffer, 2, MPI.ANY_SOURCE, 0)
        with self.mpi_error(MPI.ERR_TAG):
            self.comm.Precv_init(buffer, 2, 0, MPI.ANY_TAG)
        with self.mpi_error(MPI.ERR_ARG):
            self.comm.Psend_init([buffer, 4, MPI.BYTE], -2, 0)

    @ours_only("undefined elsewhere")
    def test_a_receive_that_is_too_small(self) -> None:
        room = data.Room(20)
        out = data.message(self.rank, 24)
        send = self.comm.Psend_init(out, 3, self.right)
        receive = self.comm.Precv_init(room.bytes, 2, self.left, 0)
        for _ in range(2):
            MPI.Prequest.Startall([receive, send])
            send.Pready_range(0, 2)
            with self.mpi_error(MPI.ERR_TRUNCATE) as raised:
                receive.Wait()
            self.assertIn("24 bytes in 3 partitions", raised.text)
            send.Wait()
            np.testing.assert_array_equal(room.bytes, data.message(self.left, 24)[:20])
        self.free(send, receive)

    @ours_only("undefined elsewhere")
    def test_a_receive_that_is_larger(self) -> None:
        room = data.Room(48)
        send = self.comm.Psend_init(data.message(self.rank, 24), 3, self.right)
        receive = self.comm.Precv_init(room.bytes, 4, self.left, 0)
        MPI.Prequest.Startall([receive, send])
        send.Pready_range(0, 1)
        self.arrives(receive, 0)
        self.assertFalse(receive.Parrived(1))
        self.comm.Barrier()
        send.Pready(2)
        status = MPI.Status()
        self.arrives(receive, 3)
        receive.Wait(status)
        send.Wait()
        self.assertEqual(status.Get_count(MPI.BYTE), 24)
        np.testing.assert_array_equal(room.bytes[:24], data.message(self.left, 24))
        self.free(send, receive)

    @ours_only("a message without partitions does not end elsewhere")
    def test_no_partitions(self) -> None:
        send = self.comm.Psend_init([bytearray(0), 0, MPI.BYTE], 0, self.right)
        receive = self.comm.Precv_init([bytearray(0), 0, MPI.BYTE], 0, self.left, 0)
        for _ in range(3):
            MPI.Prequest.Startall([send, receive])
            MPI.Request.Waitall([send, receive])
        self.free(send, receive)


if __name__ == "__main__":
    unittest.main()

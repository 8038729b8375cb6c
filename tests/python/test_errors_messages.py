"""Messages that do not fit their receive: longer than the buffer, or an object where numbers are expected. Each is an error of the
right class, and afterwards everything still works."""

from __future__ import annotations

import pickle
import unittest
from collections.abc import Callable
from typing import Any

import numpy as np
from mpi4py import MPI
from support import data
from support.case import not_on, our_extension, ours_only, ranks_at_least
from support.errors import ErrorCase

SIZES = (2, 48, 49, 1000, 8192, 70_000, 1 << 20, 5 << 20)


class Truncated(ErrorCase):
    """The message is larger than the receive buffer: MPI_ERR_TRUNCATE at the receiver, nothing at the sender."""

    def receive_too_little(self, receive: Callable[[data.Room], Any], late: bool) -> None:
        for seed, size in enumerate(SIZES):
            room = data.Room(size // 2)
            if late:
                request = self.comm.Isend(data.message(seed, size), self.right, 1)
                self.comm.Barrier()
                with self.mpi_error(MPI.ERR_TRUNCATE):
                    receive(room)
            else:
                pending = self.comm.Irecv(room.bytes, self.left, 1)
                self.comm.Barrier()
                request = self.comm.Isend(data.message(seed, size), self.right, 1)
                with self.mpi_error(MPI.ERR_TRUNCATE):
                    pending.Wait()
            request.Wait()
            # Not a byte past the buffer's end.
            self.good(room.touched(size // 2), f"size {size}")

    def test_recv(self) -> None:
        self.receive_too_little(lambda room: self.comm.Recv(room.bytes, self.left, 1), late=True)

    def test_irecv_posted_late(self) -> None:
        self.receive_too_little(lambda room: self.comm.Irecv(room.bytes, self.left, 1).Wait(), late=True)

    @not_on("MPICH", "cuts small messages that came before the receive, without an error (5.0.2)")
    def test_wildcards_posted_late(self) -> None:
        self.receive_too_little(lambda room: self.comm.Recv(room.bytes, MPI.ANY_SOURCE, MPI.ANY_TAG), late=True)
        self.receive_too_little(lambda room: self.comm.Irecv(room.bytes, MPI.ANY_SOURCE, MPI.ANY_TAG).Wait(), late=True)

    def test_irecv_posted_before(self) -> None:
        self.receive_too_little(lambda room: None, late=False)

    @not_on("Intel", "receives into nothing without an error")
    def test_into_nothing(self) -> None:
        for size in SIZES:
            request = self.comm.Isend(data.message(1, size), self.right, 1)
            with self.mpi_error(MPI.ERR_TRUNCATE):
                self.comm.Recv(bytearray(), self.left, 1)
            request.Wait()

    def test_sendrecv(self) -> None:
        for size in SIZES:
            room = data.Room(size - 1)
            with self.mpi_error(MPI.ERR_TRUNCATE):
                self.comm.Sendrecv(data.message(1, size), self.right, 1, room.bytes, self.left, 1)
            self.good(room.touched(size - 1), f"size {size}")

    def test_the_next_message_is_whole(self) -> None:
        for size in SIZES:
            requests = [self.comm.Isend(data.message(i, size), self.right, 1) for i in range(2)]
            with self.mpi_error(MPI.ERR_TRUNCATE):
                self.comm.Recv(data.Room(size // 2).bytes, self.left, 1)
            room = data.Room(size)
            self.comm.Recv(room.bytes, self.left, 1)
            self.good(room.wrong(1, size))
            MPI.Request.Waitall(requests)

    def test_with_strided_types(self) -> None:
        """Neither what lies between the blocks nor what lies behind may be written to."""
        for count in (10, 10_000):
            column = MPI.INT.Create_vector(count // 2, 1, 2).Commit()
            grid = np.full(count, -1, "i")
            request = self.comm.Isend(np.arange(count, dtype="i"), self.right, 1)
            with self.mpi_error(MPI.ERR_TRUNCATE):
                self.comm.Recv([grid, 1, column], self.left, 1)
            request.Wait()
            self.assertTrue((grid[1::2] == -1).all())
            column.Free()

    @ours_only("others say only that it was truncated, or give one of the numbers")
    def test_the_text_has_both_sizes(self) -> None:
        for size in SIZES:
            request = self.comm.Isend(data.message(1, size), self.right, 7)
            with self.mpi_error(MPI.ERR_TRUNCATE) as raised:
                self.comm.Recv(data.Room(size // 2).bytes, self.left, 7)
            request.Wait()
            numbers = self.numbers_in(raised.text)
            for number in (size, size // 2, self.left, 7):
                self.assertIn(number, numbers, raised.text)

    @ours_only("others do not name types")
    def test_the_text_has_the_types(self) -> None:
        column = MPI.DOUBLE.Create_vector(5, 1, 2).Commit()
        for receive, buffer in (
            (np.zeros(5), r"40 bytes \(5 x MPI_DOUBLE\)"),
            ([np.zeros(10), 1, column], r"40 bytes \(5 x MPI_DOUBLE\)"),
            (np.zeros(3, "f4"), r"12 bytes \(3 x MPI_FLOAT\)"),
            (bytearray(40), "40 bytes"),
        ):
            count = 20 if buffer.startswith("12") else 10
            for late in (True, False):
                pending = None if late else self.comm.Irecv(receive, self.left, 7)
                self.comm.Barrier()
                request = self.comm.Isend(np.zeros(10), self.right, 7)
                with self.mpi_error(MPI.ERR_TRUNCATE) as raised:
                    if pending is None:
                        self.comm.Recv(receive, self.left, 7)
                    else:
                        pending.Wait()
                request.Wait()
                type_ = "" if isinstance(receive, bytearray) else rf" \({count} x MPI_\w+\)"
                self.assertRegex(
                    raised.text,
                    f"message of 80 bytes{type_} from rank {self.left}, tag 7, does not fit into the receive buffer of {buffer}$",
                )
        column.Free()

    @not_on("Intel", "its collectives overwrite memory or hang")
    @not_on("MPICH", "its collectives overwrite memory or hang")
    @ranks_at_least(2)
    def test_collectives(self) -> None:
        """A broadcast of more than a rank expects; the root itself has no error."""
        for count in (2, 1000, 100_000):
            if self.rank == 0:
                self.comm.Bcast(np.zeros(count))
            else:
                room = data.Room(count * 4)
                with self.mpi_error(MPI.ERR_TRUNCATE):
                    self.comm.Bcast(room.bytes)
                self.good(room.touched(count * 4))
            self.comm.Barrier()


class Mixed(ErrorCase):
    """Lower-case on one side, upper-case on the other."""

    @property
    def things(self) -> list[Any]:
        return [
            None,
            5,
            {"a": [1, 2]},
            "x" * 500,
            list(range(20_000)),
            np.arange(4.0),
            [np.arange(50_000)] * 3,
            "y" * 3_000_000,
        ]

    def check(self, receive: Any, buffers: list[Any]) -> None:
        for thing in self.things:
            for late in (True, False):
                kept = [np.array(buffer) for buffer in buffers]
                for send in (self.comm.isend, self.comm.issend):
                    with self.mpi_error(MPI.ERR_TYPE) as raised:
                        receive(lambda send=send, thing=thing: send(thing, self.right, 7), late)
                    self.assertRegex(
                        raised.text,
                        f"message of [0-9]+ bytes from rank {self.left}, tag 7, is a pickled object, .*lower-case",
                    )
                for buffer, before in zip(buffers, kept, strict=True):
                    self.assertTrue(np.array_equal(buffer, before), "the buffer is as it was")

    @ours_only("others deliver the bytes, or say that they are too many")
    @our_extension("it says that it sends objects")
    def test_an_object_for_a_buffer_of_numbers(self) -> None:
        """Also where the lengths fit: None takes four bytes."""
        for array in (np.full(1, 3, "i4"), np.full(10, 3.0), np.full(1_000_000, 3.0)):

            def receive(send: Any, late: bool, array: Any = array) -> None:
                if late:
                    request = send()
                    self.comm.Barrier()
                    try:
                        self.comm.Recv(array, self.left, 7)
                    finally:
                        request.wait()
                else:
                    pending = self.comm.Irecv(array, self.left, 7)
                    self.comm.Barrier()
                    request = send()
                    try:
                        pending.Wait()
                    finally:
                        request.wait()

            self.check(receive, [array])

    @ours_only("others deliver the bytes, or say that they are too many")
    @our_extension("it says that it sends objects")
    def test_other_ways_to_receive(self) -> None:
        grid, status = np.zeros((40, 3)), MPI.Status()
        column = MPI.DOUBLE.Create_vector(40, 1, 3).Commit()

        def persistent(send: Any, late: bool) -> None:
            receive = self.comm.Recv_init([grid, 1, column], MPI.ANY_SOURCE, MPI.ANY_TAG)
            if not late:
                receive.Start()
            self.comm.Barrier()
            request = send()
            try:
                if late:
                    receive.Start()
                receive.Wait()
            finally:
                request.wait()
                receive.Free()

        def matched(send: Any, late: bool) -> None:
            request = send()
            message = self.comm.Mprobe(MPI.ANY_SOURCE, 7)
            try:
                message.Recv(MPI.strided(grid[:, 1]), status)
            finally:
                request.wait()

        def both(send: Any, late: bool) -> None:
            request = send()
            try:
                self.comm.Sendrecv(b"", MPI.PROC_NULL, 0, grid, self.left, 7)
            finally:
                request.wait()

        for receive in (persistent, matched, both):
            self.check(receive, [grid])
        column.Free()

    @our_extension("objects are not pickled in one piece by the original")
    def test_bytes_take_anything(self) -> None:
        """A program may receive a pickle as bytes, and send bytes that are a pickle."""
        for thing in ({"a": [1, 2]}, None, "x" * 500, list(range(20_000))):
            request = self.comm.isend(thing, self.right, 7)
            status = MPI.Status()
            self.comm.Probe(self.left, 7, status)
            room = bytearray(status.Get_count(MPI.BYTE))
            self.comm.Recv(room, self.left, 7)
            request.wait()
            self.assertEqual(pickle.loads(room), thing)
            sending = self.comm.Isend(pickle.dumps(thing), self.right, 8)
            self.assertEqual(self.comm.recv(None, self.left, 8), thing)
            sending.Wait()

    @our_extension("the original raises what pickle raises")
    def test_numbers_for_an_object(self) -> None:
        for array in (np.arange(1), np.array([128]), np.arange(10.0), np.full(20_000, 7, "i4"), np.arange(1_000_000.0)):
            for receive in (
                lambda: self.comm.recv(None, self.left, 7),
                lambda: self.comm.irecv(None, self.left, 7).wait(),
                lambda: self.comm.mprobe(self.left, 7).recv(),
            ):
                request = self.comm.Isend(array, self.right, 7)
                with self.assertRaisesRegex(
                    pickle.UnpicklingError,
                    f"message of {array.nbytes} bytes from rank {self.left}, tag 7, is not a pickled object: an upper-case Send",
                ):
                    receive()
                request.Wait()
        # As a pickle, this asks for something that cannot be found.
        request = self.comm.Isend(b"cnowhere\nnothing\n.", self.right, 7)
        with self.assertRaises(ModuleNotFoundError) as raised:
            self.comm.recv(None, self.left, 7)
        request.Wait()
        self.assertIn(f"from rank {self.left}, tag 7, is not a pickled object", raised.exception.__notes__[0])


if __name__ == "__main__":
    unittest.main()

"""Bad input: each is an error of the right class, none a crash or a hang, and afterwards everything still works."""

from __future__ import annotations

import pickle
import re
import unittest
from collections.abc import Callable
from typing import Any

import numpy as np
from mpi4py import MPI
from support import data
from support.case import ERRORS_END_THE_JOB, Case, not_on, our_extension, ours_only, ranks_at_least

SIZES = (2, 48, 49, 1000, 8192, 70_000, 1 << 20, 5 << 20)


class ErrorCase(Case):
    def tearDown(self) -> None:
        """Whatever was refused, the communicator is in order."""
        if not self.broken:
            room = data.Room(100)
            self.comm.Sendrecv(data.message(self.rank, 100), self.right, 9, room.bytes, self.left, 9)
            self.good(room.wrong(self.left, 100), "afterwards")
            self.assertEqual(self.comm.allreduce(1), self.size)
            self.assertFalse(self.comm.Iprobe(), "a message was left over")
        super().tearDown()

    def numbers_in(self, text: str) -> list[int]:
        return [int(number) for number in re.findall(r"\d+", text)]


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


class Arguments(ErrorCase):
    """Ranks, tags, roots."""

    def calls(self) -> dict[str, Callable[..., Any]]:
        memory = np.zeros(4)
        return {
            "Send": lambda rank, tag=0: self.comm.Send(memory, rank, tag),
            "Ssend": lambda rank, tag=0: self.comm.Ssend(memory, rank, tag),
            "Rsend": lambda rank, tag=0: self.comm.Rsend(memory, rank, tag),
            "Bsend": lambda rank, tag=0: self.comm.Bsend(memory, rank, tag),
            "Isend": lambda rank, tag=0: self.comm.Isend(memory, rank, tag),
            "Issend": lambda rank, tag=0: self.comm.Issend(memory, rank, tag),
            "Irsend": lambda rank, tag=0: self.comm.Irsend(memory, rank, tag),
            "Ibsend": lambda rank, tag=0: self.comm.Ibsend(memory, rank, tag),
            "Recv": lambda rank, tag=0: self.comm.Recv(memory, rank, tag),
            "Irecv": lambda rank, tag=0: self.comm.Irecv(memory, rank, tag),
            "Probe": lambda rank, tag=0: self.comm.Probe(rank, tag),
            "Iprobe": lambda rank, tag=0: self.comm.Iprobe(rank, tag),
            "Mprobe": lambda rank, tag=0: self.comm.Mprobe(rank, tag),
            "Improbe": lambda rank, tag=0: self.comm.Improbe(rank, tag),
            "Sendrecv to": lambda rank, tag=0: self.comm.Sendrecv(memory, rank, tag, memory.copy(), self.rank, 0),
            "Sendrecv from": lambda rank, tag=0: self.comm.Sendrecv(memory, self.rank, 0, memory.copy(), rank, tag),
            "Sendrecv_replace": lambda rank, tag=0: self.comm.Sendrecv_replace(memory, rank, tag, self.rank, 0),
        }

    def test_invalid_ranks(self) -> None:
        for name, call in self.calls().items():
            for rank in (self.size, self.size + 1000, 2**31 - 1, -100, -(2**31)):
                with self.subTest(name, rank=rank), self.mpi_error(MPI.ERR_RANK):
                    call(rank)

    def test_wildcards_where_they_are_not_allowed(self) -> None:
        for name, call in self.calls().items():
            if "end" in name and name != "Sendrecv from":
                with self.subTest(name), self.mpi_error(MPI.ERR_RANK):
                    call(MPI.ANY_SOURCE)
                with self.subTest(name), self.mpi_error(MPI.ERR_TAG):
                    call(self.rank, MPI.ANY_TAG)

    def test_invalid_tags(self) -> None:
        limit = self.comm.Get_attr(MPI.TAG_UB)
        for name, call in self.calls().items():
            for tag in (-100, -(2**31), *([limit + 1] if limit < 2**31 - 1 else [])):
                with self.subTest(name, tag=tag), self.mpi_error(MPI.ERR_TAG):
                    call(self.rank, tag)

    def test_numbers_that_are_no_int(self) -> None:
        for name, call in self.calls().items():
            for rank in (2**31, 2**80, -(2**40)):
                with self.subTest(name), self.assertRaises(OverflowError):
                    call(rank)
            for rank in ("0", None, [0], 1 + 0j):
                with self.subTest(name, rank=rank), self.assertRaises(TypeError):
                    call(rank)

    def test_invalid_roots(self) -> None:
        one, all_of = np.zeros(1), np.zeros(self.size)
        calls: dict[str, Callable[[int], Any]] = {
            "Bcast": lambda root: self.comm.Bcast(one, root),
            "Reduce": lambda root: self.comm.Reduce(one, one.copy(), MPI.SUM, root),
            "Gather": lambda root: self.comm.Gather(one, all_of, root),
            "Gatherv": lambda root: self.comm.Gatherv(one, all_of, root),
            "Scatter": lambda root: self.comm.Scatter(all_of, one, root),
            "Scatterv": lambda root: self.comm.Scatterv(all_of, one, root),
        }
        for name, call in calls.items():
            for root in (self.size, -1, -100, 2**31 - 1):
                with self.subTest(name, root=root), self.mpi_error(MPI.ERR_ROOT):
                    call(root)

    @ours_only("others do not name the numbers, or only one")
    def test_the_text_names_the_numbers(self) -> None:
        with self.mpi_error(MPI.ERR_RANK) as raised:
            self.comm.Send(b"", self.size + 41)
        self.assertIn(self.size + 41, self.numbers_in(raised.text))
        self.assertIn(self.size, self.numbers_in(raised.text))
        with self.mpi_error(MPI.ERR_TAG) as raised:
            self.comm.Send(b"", self.rank, -77)
        self.assertIn(77, self.numbers_in(raised.text))
        with self.mpi_error(MPI.ERR_ROOT) as raised:
            self.comm.Bcast(bytearray(1), 99)
        self.assertIn(99, self.numbers_in(raised.text))


class Handles(ErrorCase):
    def test_null_communicator(self) -> None:
        null = MPI.COMM_NULL
        for call in (
            null.Get_rank,
            null.Barrier,
            null.Dup,
            lambda: null.Send(b"", 0),
            lambda: null.Recv(bytearray(1), 0),
            lambda: null.Bcast(bytearray(1)),
            lambda: null.Split(0),
        ):
            with self.mpi_error(MPI.ERR_COMM):
                call()  # type: ignore[no-untyped-call]

    def test_null_datatype(self) -> None:
        memory = np.zeros(4, "i")
        null = MPI.DATATYPE_NULL
        for call in (
            lambda: self.comm.Send([memory, 4, null], self.rank),
            lambda: self.comm.Recv([memory, 4, null], self.rank),
            lambda: self.comm.Bcast([memory, 4, null]),
            null.Get_size,
            null.Commit,
            lambda: MPI.Status().Get_count(null),
        ):
            with self.mpi_error(MPI.ERR_TYPE):
                call()  # type: ignore[no-untyped-call]

    @not_on("MPICH", "an assertion in it fails and ends the job")
    @not_on("Intel", "an assertion in it fails and ends the job")
    def test_null_datatype_in_a_reduction(self) -> None:
        memory = [np.zeros(4, "i"), 4, MPI.DATATYPE_NULL]
        with self.mpi_error(MPI.ERR_TYPE, MPI.ERR_OP):
            self.comm.Allreduce(memory, memory)

    def test_freed_datatype(self) -> None:
        vector = MPI.INT.Create_vector(2, 1, 2).Commit()
        vector.Free()
        with self.mpi_error(MPI.ERR_TYPE):
            self.comm.Send([np.zeros(4, "i"), 1, vector], self.rank)
        with self.mpi_error(MPI.ERR_TYPE):
            vector.Free()

    def test_null_operation(self) -> None:
        with self.mpi_error(MPI.ERR_OP):
            self.comm.Allreduce(np.zeros(2), np.zeros(2), MPI.OP_NULL)

    def test_received_message_twice(self) -> None:
        request = self.comm.Isend(b"x", self.right, 1)
        message = self.comm.Mprobe(self.left, 1)
        message.Recv(bytearray(1))
        with self.mpi_error(MPI.ERR_REQUEST, MPI.ERR_ARG):
            message.Recv(bytearray(1))
        request.Wait()

    @ours_only("others follow a stale or foreign handle wherever it leads")
    def test_stale_and_foreign_ones(self) -> None:
        vector = MPI.INT.Create_vector(2, 1, 2).Commit()
        stale = MPI.Datatype.fromhandle(vector.handle)
        vector.Free()
        with self.mpi_error(MPI.ERR_TYPE):
            self.comm.Send([np.zeros(4, "i"), 1, stale], self.rank)
        group = self.comm.Get_group()
        stale_group = MPI.Group.fromhandle(group.handle)
        group.Free()
        with self.mpi_error(MPI.ERR_GROUP):
            stale_group.Get_size()
        for handle in (1, 0x4242, 0x7FFF_0000_0000, MPI.COMM_WORLD.handle):
            with self.mpi_error(MPI.ERR_TYPE):
                MPI.Datatype.fromhandle(handle).Get_size()
            with self.mpi_error(MPI.ERR_OP):
                self.comm.Allreduce(np.zeros(2), np.zeros(2), MPI.Op.fromhandle(handle))
            with self.mpi_error(MPI.ERR_GROUP):
                MPI.Group.fromhandle(handle).Get_size()


class Counts(ErrorCase):
    """Counts, displacements and types against the memory they are for."""

    def test_negative(self) -> None:
        memory = np.zeros(4, "i")
        for spec in ([memory, -1, MPI.INT], [memory, (-3, 0)], [memory, (1, -1)], [memory, 1, -1, MPI.INT]):
            for call in (self.comm.Send, self.comm.Recv, self.comm.Isend, self.comm.Irecv):
                with self.assertRaises((ValueError, MPI.Exception)):
                    call(spec, self.rank)

    def test_above_64_bits(self) -> None:
        for call in (self.comm.Send, self.comm.Recv):
            with self.assertRaises(OverflowError):
                call([np.zeros(4, "i"), 2**63, MPI.INT], self.rank)

    @our_extension("the original trusts the count: 'will trust and obey you'")
    def test_past_the_end(self) -> None:
        memory = np.zeros(10, "i")
        pair = MPI.INT.Create_contiguous(2).Commit()
        column = MPI.INT.Create_vector(4, 1, 3).Commit()
        for spec, wanted, given in (
            ([memory, 11, MPI.INT], 11, 10),
            ([memory, (8, 3), MPI.INT], 11, 10),
            ([memory, 2**31, MPI.INT], 2**31, 10),
            ([memory, 2**40, MPI.INT], 2**40, 10),
            ([memory, 6, pair], 6, 5),
            ([memory, 6, MPI.DOUBLE], 6, 5),
            ([np.zeros(9, "i"), 1, column], None, None),
            ([b"12345", 6, MPI.BYTE], 6, 5),
        ):
            for call in (self.comm.Send, self.comm.Isend, self.comm.Recv, self.comm.Irecv, self.comm.Bcast):
                if isinstance(spec[0], bytes) and call not in (self.comm.Send, self.comm.Isend):
                    continue
                with self.assertRaises((ValueError, MPI.Exception)) as caught:
                    call(spec, *([self.rank] if call != self.comm.Bcast else []))
                if wanted is not None:
                    # Both numbers, in elements or in bytes.
                    numbers = self.numbers_in(str(caught.exception))
                    self.assertTrue(any(n % wanted == 0 and n for n in numbers), str(caught.exception))
                    self.assertTrue(any(n % given == 0 and n for n in numbers), str(caught.exception))
        pair.Free()
        column.Free()

    @our_extension("the original trusts the counts")
    def test_a_datatype_past_the_end_of_the_array_that_a_part_belongs_to(self) -> None:
        """From a part, a datatype may reach into the rest of the array, before and behind it, and no further."""
        matrix = np.zeros((4, 5))
        flat = matrix.reshape(-1)
        column = MPI.DOUBLE.Create_vector(4, 1, 5).Commit()
        back = MPI.DOUBLE.Create_hindexed([1, 1], [0, -40]).Commit()
        for message in ([flat[3:], 1, column], [flat[4:6], 1, column], [matrix[1, 2:], 1, back]):
            request = self.comm.Isend(message, self.rank)
            self.comm.Recv(np.zeros(4), self.rank)
            request.Wait()
        for message, text in (
            ([flat[5:], 1, column], "from byte 0 to byte 128, .* 120 bytes, .* from byte -40 to byte 120"),
            ([flat[3:], 2, column], "2 elements of the datatype"),
            ([matrix[0, 2:], 1, back], "from byte -40 to byte 8, .* 24 bytes, .* from byte -16 to byte 144"),
        ):
            for call in (self.comm.Send, self.comm.Recv):
                with self.assertRaisesRegex(ValueError, text):
                    call(message, self.rank)
        column.Free()
        back.Free()

    @our_extension("the original trusts the counts")
    def test_both_numbers(self) -> None:
        memory = np.zeros(10)
        for message, text in (
            ([memory, 11, MPI.DOUBLE], "11 elements do not fit, the buffer has 10 elements of 8 bytes"),
            ([memory, (4, 7), MPI.DOUBLE], "4 elements from element 7 on, 11 in all, do not fit, .* 10 elements"),
            ([memory, 4, 7, MPI.DOUBLE], "4 elements from element 7 on, 11 in all, do not fit, .* 10 elements"),
            ([memory, 81, MPI.BYTE], "81 elements do not fit, the buffer has 80 elements of 1 bytes"),
            ([bytearray(10), 3, MPI.INT], "3 elements do not fit, the buffer has 2 elements of 4 bytes .10 bytes"),
        ):
            with self.assertRaisesRegex(ValueError, text):
                self.comm.Send(message, self.rank)
        wide = np.zeros(2 * self.size)
        for counts, displs, text in (
            (
                [2] * (self.size - 1) + [3],
                None,
                f"3 elements .* {2 * self.size} elements .*block of rank {self.size - 1}",
            ),
            ([2] * self.size, [2 * self.size - 1] * self.size, f"{2 * self.size + 1} in all, .*block of rank 0"),
        ):
            with self.assertRaisesRegex(ValueError, text):
                self.comm.Allgatherv(np.zeros(2), [wide, counts, displs, MPI.DOUBLE])

    @our_extension("the original trusts the counts")
    def test_past_the_end_in_vector_forms(self) -> None:
        n = self.size
        memory, one = np.zeros(2 * n), np.zeros(2)
        for counts, displs in (([3] * n, None), ([2] * n, [2 * r + 1 for r in range(n)]), ([1] * n, [10 * n] * n)):
            with self.assertRaises((ValueError, MPI.Exception)):
                self.comm.Allgatherv(one, [memory, counts, displs, MPI.DOUBLE])
            with self.assertRaises((ValueError, MPI.Exception)):
                self.comm.Alltoallv([memory, counts, displs, MPI.DOUBLE], [memory.copy(), counts, displs, MPI.DOUBLE])

    @our_extension("the original trusts the lengths")
    def test_lists_of_the_wrong_length(self) -> None:
        n = self.size
        memory = np.zeros(2 * n)
        for counts, displs in (([1] * (n + 1), None), ([1] * n, [0] * (n + 1))):
            with self.assertRaises(ValueError):
                self.comm.Allgatherv(np.zeros(1), [memory, counts, displs, MPI.DOUBLE])

    def test_negative_in_vector_forms(self) -> None:
        n = self.size
        if ERRORS_END_THE_JOB:
            self.skipTest("this library ends the job at every error")
        with self.assertRaises((ValueError, MPI.Exception)):
            self.comm.Allgatherv(np.zeros(1), [np.zeros(n), [-1] * n, None, MPI.DOUBLE])

    def test_wrong_element_type_of_the_list(self) -> None:
        for counts in (["a"] * self.size, [1.5] * self.size, [None] * self.size):
            with self.assertRaises((TypeError, ValueError)):
                self.comm.Allgatherv(np.zeros(1), [np.zeros(self.size), counts, None, MPI.DOUBLE])

    @our_extension("the original takes it for no memory in some calls")
    def test_in_place_where_it_is_not_allowed(self) -> None:
        for call in (
            lambda: self.comm.Bcast(MPI.IN_PLACE),
            lambda: self.comm.Send(MPI.IN_PLACE, self.rank),
            lambda: self.comm.Allgather(np.zeros(1), MPI.IN_PLACE),
            lambda: self.comm.Allreduce(np.zeros(1), MPI.IN_PLACE),
        ):
            with self.assertRaises((TypeError, ValueError, KeyError, BufferError, MPI.Exception)):
                call()  # type: ignore[no-untyped-call]

    @our_extension("the original's text does not say what to do")
    def test_the_hint_for_types_that_mpi_does_not_have(self) -> None:
        for name, hint in (
            (">f8", "astype"),
            (">i4", "astype"),
            ("O", "send"),
            (">U5", "send"),
        ):
            with self.assertRaises((TypeError, ValueError, KeyError, BufferError)) as caught:
                self.comm.Send(np.zeros(3, name), self.rank)
            self.assertRegex(str(caught.exception), hint, name)


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


class Handlers(ErrorCase):
    """Which error handler decides what an error becomes."""

    def test_errors_are_exceptions_at_first(self) -> None:
        for comm in (MPI.COMM_WORLD, MPI.COMM_SELF, self.comm):
            self.assertEqual(comm.Get_errhandler(), MPI.ERRORS_RETURN)
            with self.mpi_error(MPI.ERR_RANK):
                comm.Send(b"", 1000)

    def test_set_and_get(self) -> None:
        for handler in (MPI.ERRORS_ARE_FATAL, MPI.ERRORS_ABORT, MPI.ERRORS_RETURN):
            self.comm.Set_errhandler(handler)
            self.assertEqual(self.comm.Get_errhandler(), handler)

    def test_new_communicators_raise(self) -> None:
        """mpi4py gives each new one the handler of `rc.errors`, whatever its parent has."""
        self.comm.Set_errhandler(MPI.ERRORS_ARE_FATAL)
        copy, part = self.comm.Dup(), self.comm.Split(0)
        self.comm.Set_errhandler(MPI.ERRORS_RETURN)
        for comm in (copy, part):
            self.assertEqual(comm.Get_errhandler(), MPI.ERRORS_RETURN)
            comm.Free()

    def test_call_errhandler(self) -> None:
        """With ERRORS_RETURN nothing happens."""
        if ERRORS_END_THE_JOB:
            self.skipTest("this library ends the job at every error")
        self.comm.Call_errhandler(MPI.ERR_OTHER)

    def test_null_handler(self) -> None:
        with self.mpi_error(MPI.ERR_ARG, MPI.ERR_ERRHANDLER):
            self.comm.Set_errhandler(MPI.ERRHANDLER_NULL)


class Texts(ErrorCase):
    """MPI.Exception and the texts and classes of codes."""

    def test_every_class_has_a_text(self) -> None:
        names = [name for name in dir(MPI) if name.startswith("ERR_") and name not in ("ERR_LASTCODE",)]
        self.assertGreater(len(names), 50)
        for name in names:
            number = getattr(MPI, name)
            if not 0 <= number < 200:
                continue  # unknown to this library
            text = MPI.Get_error_string(number)
            self.assertTrue(text, name)
            self.assertEqual(MPI.Get_error_class(number), number, name)
        self.assertTrue(MPI.Get_error_string(MPI.SUCCESS))

    def test_the_exception(self) -> None:
        if MPI.Exception(MPI.ERR_RANK).Get_error_class() == MPI.ERR_RANK:
            error = MPI.Exception(MPI.ERR_RANK)
            self.assertIsInstance(error, RuntimeError)
            self.assertEqual(error.error_class, MPI.ERR_RANK)
            self.assertEqual(error.error_code, error.Get_error_code())
            self.assertEqual(int(error), MPI.ERR_RANK)
            self.assertEqual(str(error), error.error_string)
            self.assertEqual(error, MPI.Exception(MPI.ERR_RANK))
            self.assertEqual(error, MPI.ERR_RANK)
            self.assertTrue(error)
            self.assertFalse(MPI.Exception(MPI.SUCCESS))

    def test_it_is_about_this_call(self) -> None:
        """Two errors one after the other keep their own texts."""
        texts = []
        for rank in (self.size + 1, self.size + 2):
            with self.mpi_error(MPI.ERR_RANK) as raised:
                self.comm.Send(b"", rank)
            texts.append(raised.text)
        self.assertIn(str(self.size + 1), texts[0])
        self.assertIn(str(self.size + 2), texts[1])

    @ours_only("MPICH gives a text of arbitrary bytes")
    def test_unknown_code(self) -> None:
        with self.mpi_error(MPI.ERR_ARG):
            MPI.Get_error_string(2**31 - 1)

    def test_many_errors(self) -> None:
        """Nothing is used up by errors."""
        for _ in range(3000):
            with self.mpi_error(MPI.ERR_RANK):
                self.comm.Send(b"", 12345)


class Unsupported(ErrorCase):
    @ours_only("others have these")
    def test_what_is_not_built_yet_says_so(self) -> None:
        """Not a crash and not a silent success: the class says it, whichever function it is."""
        for call in (
            lambda: MPI.Win.Create(bytearray(8), comm=MPI.COMM_SELF).Free(),
            lambda: MPI.File.Open(MPI.COMM_SELF, "/nonexistent/file").Close(),
        ):
            try:
                call()  # type: ignore[no-untyped-call]
            except NotImplementedError:
                pass
            except MPI.Exception as error:
                self.assertIn(
                    error.Get_error_class(), (MPI.ERR_UNSUPPORTED_OPERATION, MPI.ERR_NO_SUCH_FILE, MPI.ERR_FILE)
                )


if __name__ == "__main__":
    unittest.main()

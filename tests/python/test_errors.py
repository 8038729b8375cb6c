"""Bad input: each is an error of the right class, none a crash or a hang, and afterwards everything still works."""

from __future__ import annotations

import unittest
from collections.abc import Callable
from typing import Any

import numpy as np
from mpi4py import MPI
from support.case import ERRORS_END_THE_JOB, not_on, our_extension, ours_only
from support.errors import ErrorCase


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

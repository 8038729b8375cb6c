"""The ways to name a buffer: what may stand for it, and the lists and tuples with counts, displacements and types."""

from __future__ import annotations

import array
import ctypes
import mmap
import unittest
from typing import Any

import numpy as np
from mpi4py import MPI
from support import data
from support.case import OUR_EXTENSION, Case, later

# NumPy's type characters, with the MPI type of the same C type.
NUMPY_TYPES = {
    "b": MPI.SIGNED_CHAR,
    "h": MPI.SHORT,
    "i": MPI.INT,
    "l": MPI.LONG,
    "q": MPI.LONG_LONG,
    "B": MPI.UNSIGNED_CHAR,
    "H": MPI.UNSIGNED_SHORT,
    "I": MPI.UNSIGNED,
    "L": MPI.UNSIGNED_LONG,
    "Q": MPI.UNSIGNED_LONG_LONG,
    "f": MPI.FLOAT,
    "d": MPI.DOUBLE,
    "g": MPI.LONG_DOUBLE,
    "?": MPI.C_BOOL,
    "F": MPI.C_FLOAT_COMPLEX,
    "D": MPI.C_DOUBLE_COMPLEX,
    "G": MPI.C_LONG_DOUBLE_COMPLEX,
}
INTEGERS = "bhilqBHILQ"


class Forms(Case):
    """Everything goes around the ring: sent to the right, received from the left."""

    def ring(self, send: Any, receive: Any) -> MPI.Status:
        status = MPI.Status()
        self.comm.Sendrecv(send, self.right, 1, receive, self.left, 1, status)
        return status

    def numbers(self, rank: int, count: int = 10, dtype: Any = "i") -> Any:
        return data.numbers(rank + 1, count, dtype)

    def same(self, got: Any, expected: Any, note: object = "") -> None:
        self.assertEqual(np.asarray(got).tolist(), np.asarray(expected).tolist(), note)


class WhatIsABuffer(Forms):
    def test_numpy_arrays_of_every_type(self) -> None:
        for character, datatype in NUMPY_TYPES.items():
            got = np.zeros(10, character)
            status = self.ring(self.numbers(self.rank, 10, character), got)
            self.same(got, self.numbers(self.left, 10, character), character)
            self.assertEqual(status.Get_count(datatype), 10, character)
            self.assertEqual(status.Get_elements(datatype), 10, character)

    def test_the_type_is_found_for_numpy_arrays(self) -> None:
        """A sum works on the numbers, not on the bytes: the type was found."""
        for character in NUMPY_TYPES:
            if character != "?":
                got = np.zeros(10, character)
                self.comm.Allreduce(self.numbers(self.rank, 10, character), got)
                self.same(got, sum(self.numbers(r, 10, character) for r in range(self.size)), character)

    def test_numpy_names_with_native_byte_order(self) -> None:
        for name in ("<i4", "=f8", "<c16", "int16", "uint64", "bool", "complex64"):
            got = np.zeros(10, name)
            self.ring(self.numbers(self.rank, 10, name), got)
            self.same(got, self.numbers(self.left, 10, name), name)

    def test_numpy_half_precision(self) -> None:
        if MPI.FLOAT16_T == MPI.DATATYPE_NULL or MPI.FLOAT16_T.Get_size() == 0:
            self.skipTest("the library has no FLOAT16_T")
        got = np.zeros(10, np.float16)
        self.ring(self.numbers(self.rank, 10, np.float16), got)
        self.same(got, self.numbers(self.left, 10, np.float16))

    def test_numpy_shapes_and_orders(self) -> None:
        for shape in ((), (1,), (6,), (2, 3), (2, 3, 4), (0,), (3, 0)):
            count = int(np.prod(shape))
            got = np.zeros(shape)
            self.ring(self.numbers(self.rank, count, "d").reshape(shape), got)
            self.same(got, self.numbers(self.left, count, "d").reshape(shape), shape)
        # Memory order, as it lies there: C order to Fortran order is a transposition.
        fortran = np.zeros((3, 2), order="F")
        self.ring(self.numbers(self.rank, 6, "d").reshape(2, 3), fortran)
        self.same(fortran.T, self.numbers(self.left, 6, "d").reshape(2, 3))

    def test_numpy_views_in_one_piece(self) -> None:
        whole = np.zeros(20)
        self.ring(np.arange(30.0)[self.rank : self.rank + 5], whole[7:12])
        self.same(whole, [0] * 7 + list(range(self.left, self.left + 5)) + [0] * 8)
        rows = np.zeros((4, 3))
        self.ring(np.full((4, 3), float(self.rank))[1:3], rows[2:])
        self.same(rows, [[0] * 3] * 2 + [[self.left] * 3] * 2)

    def test_numpy_scalars_can_be_sent(self) -> None:
        got = np.zeros(1)
        self.ring(np.float64(self.rank + 0.5), got)
        self.same(got, [self.left + 0.5])

    def test_read_only_memory_can_be_sent(self) -> None:
        mine = self.numbers(self.rank)
        mine.flags.writeable = False
        got = np.zeros(10, "i")
        self.ring(mine, got)
        self.same(got, self.numbers(self.left))

    def test_read_only_memory_cannot_be_received_into(self) -> None:
        frozen = np.zeros(10, "i")
        frozen.flags.writeable = False
        for target in (b"0123456789", memoryview(b"0123456789"), frozen):
            with self.assertRaises((BufferError, ValueError, TypeError)):
                self.comm.Recv(target, self.left)

    def test_strided_memory_is_refused(self) -> None:
        for strided in (np.arange(10)[::2], np.zeros((4, 4))[:, 1], memoryview(bytearray(10))[::2]):
            for call in (self.comm.Send, self.comm.Recv):
                with self.assertRaises((BufferError, ValueError)):
                    call(strided, self.right)

    def test_bytes_and_bytearray(self) -> None:
        got = bytearray(300)
        status = self.ring(data.message(self.rank, 300).tobytes(), got)
        self.good(data.wrong(got, self.left, 300))
        self.assertEqual(status.Get_count(MPI.BYTE), 300)
        self.ring(bytearray(data.message(self.rank + 9, 300)), got)
        self.good(data.wrong(got, self.left + 9, 300))
        empty = bytearray()
        self.assertEqual(self.ring(b"", empty).Get_count(MPI.BYTE), 0)

    def test_memoryview(self) -> None:
        target = bytearray(300)
        self.ring(memoryview(data.message(self.rank, 300).tobytes()), memoryview(target))
        self.good(data.wrong(target, self.left, 300))
        # With a format, and a part of something.
        doubles = memoryview(bytearray(80)).cast("d")
        status = self.ring(memoryview(self.numbers(self.rank, 10, "d"))[2:7], doubles[4:])
        self.same(doubles.tolist(), [0] * 4 + self.numbers(self.left, 10, "d")[2:7].tolist() + [0])
        self.assertEqual(status.Get_count(MPI.DOUBLE), 5)
        # More than one dimension.
        grid = memoryview(bytearray(24)).cast("i", (2, 3))
        self.ring(memoryview(self.numbers(self.rank, 6, "i").reshape(2, 3)), grid)
        self.same(grid.tolist(), self.numbers(self.left, 6, "i").reshape(2, 3))

    def test_array_array(self) -> None:
        for character in INTEGERS + "fd":
            got = array.array(character, [0] * 10)
            status = self.ring(array.array(character, self.numbers(self.rank).tolist()), got)
            self.same(got.tolist(), self.numbers(self.left).tolist(), character)
            self.assertEqual(status.Get_count(NUMPY_TYPES[character]), 10)
            total = array.array(character, [0] * 10)
            self.comm.Allreduce(array.array(character, self.numbers(self.rank).tolist()), total)
            self.same(total.tolist(), sum(self.numbers(r) for r in range(self.size)), character)

    def test_ctypes(self) -> None:
        for kind in (ctypes.c_byte, ctypes.c_int, ctypes.c_int64, ctypes.c_float, ctypes.c_double):
            got = (kind * 10)()
            self.ring((kind * 10)(*self.numbers(self.rank).tolist()), got)
            self.same(list(got), self.numbers(self.left))
        single = ctypes.c_int(0)
        self.ring(ctypes.c_int(self.rank), single)
        self.assertEqual(single.value, self.left)

    def test_mmap(self) -> None:
        with mmap.mmap(-1, 8192) as mine, mmap.mmap(-1, 8192) as got:
            mine[:] = data.message(self.rank, 8192).tobytes()
            self.ring(mine, got)
            self.good(data.wrong(got[:], self.left, 8192))

    def test_mpi_buffer(self) -> None:
        got = MPI.buffer.allocate(100)
        mine = MPI.buffer.frombuffer(data.message(self.rank, 100))
        self.ring(mine, got)
        self.good(data.wrong(got.tobytes(), self.left, 100))
        address = data.message(self.rank + 1, 100)
        self.ring(MPI.buffer.fromaddress(address.ctypes.data, 100), got)
        self.good(data.wrong(got.tobytes(), self.left + 1, 100))

    def test_for_nobody_nothing_is_looked_at(self) -> None:
        """Ranks at an edge may have no buffer: what they send to PROC_NULL is not looked at."""
        nobody, status = MPI.PROC_NULL, MPI.Status()
        for thing in (None, "text", 5, [1, 2, 3], np.zeros((3, 4))[:, 1], np.zeros(3, "O"), [np.zeros(2), 50, MPI.INT]):
            for send in (self.comm.Send, self.comm.Ssend, self.comm.Bsend, self.comm.Rsend):
                send(thing, nobody)
            for start in (self.comm.Isend, self.comm.Issend, self.comm.Ibsend, self.comm.Irecv):
                start(thing, nobody).Wait()
            for set_up in (self.comm.Send_init, self.comm.Recv_init):
                request = set_up(thing, nobody)
                request.Start()
                request.Wait()
                request.Free()
            self.comm.Recv(thing, nobody, status=status)
            self.check_status(status, nobody, MPI.ANY_TAG, 0)
            self.comm.Sendrecv(thing, nobody, 0, thing, nobody)
            self.comm.Sendrecv_replace(thing, nobody, 0, nobody)
        got = np.zeros(3)
        request = self.comm.Irecv(got, self.rank)
        self.comm.Sendrecv(np.ones(3), self.rank, 0, "text", nobody)
        request.Wait()
        self.same(got, [1, 1, 1])

    def test_what_is_no_buffer(self) -> None:
        for thing in ("text", 5, 1.5, object(), {}, [1, 2, 3], [1.0, 2.0], [], [b"x"], [b"x", 1, 0, MPI.BYTE, 0]):
            with self.assertRaises((TypeError, ValueError, KeyError), msg=repr(thing)):
                self.comm.Send(thing, self.right)

    def test_types_that_mpi_does_not_have(self) -> None:
        """Such an array is refused with a Python error, and nothing was sent."""
        for name in (">f8", ">i4", "O", *(() if OUR_EXTENSION else ("S5", "U5", "V5", "i4,f8", "M8[s]"))):
            with self.assertRaises((BufferError, KeyError, TypeError, ValueError), msg=name):
                self.comm.Send(np.zeros(3, name), self.right)


class Lists(Forms):
    """[data, ...] and (data, ...)."""

    def test_type(self) -> None:
        for mine in ([self.numbers(self.rank), MPI.INT], (self.numbers(self.rank), MPI.INT)):
            got = np.zeros(10, "i")
            self.ring(mine, [got, MPI.INT])
            self.same(got, self.numbers(self.left))

    def test_the_given_type_counts_not_the_arrays(self) -> None:
        got = np.zeros(10, "i")
        status = self.ring([self.numbers(self.rank), MPI.BYTE], [got, MPI.BYTE])
        self.same(got, self.numbers(self.left))
        self.assertEqual(status.Get_count(MPI.BYTE), 40)
        got = np.zeros(10, "d")
        status = self.ring([self.numbers(self.rank, 10, "d").tobytes(), MPI.DOUBLE], got)
        self.same(got, self.numbers(self.left, 10, "d"))
        self.assertEqual(status.Get_count(MPI.DOUBLE), 10)

    def test_count(self) -> None:
        for send_count in (0, 1, 5, 10, np.int64(7), True):
            for spec in ([send_count, MPI.INT], [send_count], [send_count, "i"], [send_count, None]):
                got = np.zeros(10, "i")
                status = self.ring([self.numbers(self.rank), *spec], got)
                expected = self.numbers(self.left)
                expected[int(send_count) :] = 0
                self.same(got, expected)
                self.assertEqual(status.Get_count(MPI.INT), send_count)

    def test_count_of_the_receiver(self) -> None:
        got = np.zeros(10, "i")
        self.ring([self.numbers(self.rank), 3, MPI.INT], [got, 4, MPI.INT])
        self.same(got, [*self.numbers(self.left)[:3], *[0] * 7])

    def test_count_and_displacement(self) -> None:
        expected = [*[0] * 4, *self.numbers(self.left)[2:5], *[0] * 3]
        send = self.numbers(self.rank)
        forms: list[Any] = [
            lambda memory, count, at: [memory, (count, at), MPI.INT],
            lambda memory, count, at: (memory, (count, at), "i"),
            lambda memory, count, at: [memory, (count, at)],
            lambda memory, count, at: [memory, count, at, MPI.INT],
            lambda memory, count, at: [memory, [count, at], MPI.INT],
        ]
        for form in forms:
            got = np.zeros(10, "i")
            self.ring(form(send, 3, 2), form(got, 3, 4))
            self.same(got, expected)

    def test_displacement_without_count_means_the_rest(self) -> None:
        got = np.zeros(10, "i")
        self.ring([self.numbers(self.rank), (None, 4), MPI.INT], got)
        self.same(got, [*self.numbers(self.left)[4:], *[0] * 4])

    def test_type_characters(self) -> None:
        for character, datatype in NUMPY_TYPES.items():
            got = np.zeros(10, character)
            status = self.ring([self.numbers(self.rank, 10, character), character], [got, character])
            self.same(got, self.numbers(self.left, 10, character))
            self.assertEqual(status.Get_count(datatype), 10)
        with self.assertRaises(KeyError):
            self.comm.Send([b"1234", "no type"], self.right)

    def test_types_of_c_and_fortran_with_fixed_sizes(self) -> None:
        names = ["INT8_T", "INT16_T", "INT32_T", "INT64_T", "UINT8_T", "UINT16_T", "UINT32_T", "UINT64_T"]
        names += [
            "CHAR",
            "WCHAR",
            "BYTE",
            "PACKED",
            "AINT",
            "OFFSET",
            "COUNT",
            "C_BOOL",
            "CXX_BOOL",
            "CXX_FLOAT_COMPLEX",
        ]
        names += ["INTEGER", "REAL", "DOUBLE_PRECISION", "LOGICAL", "CHARACTER", "COMPLEX", "DOUBLE_COMPLEX"]
        names += ["INTEGER1", "INTEGER2", "INTEGER4", "INTEGER8", "REAL4", "REAL8", "COMPLEX8", "COMPLEX16"]
        names += ["FLOAT_INT", "DOUBLE_INT", "LONG_INT", "TWOINT", "SHORT_INT", "LONG_DOUBLE_INT"]
        for name in names:
            datatype = getattr(MPI, name)
            if datatype == MPI.DATATYPE_NULL or datatype.Get_size() == 0:
                continue  # a library without Fortran
            _, extent = datatype.Get_extent()
            room = np.zeros(extent * 5, np.uint8)
            mine = data.message(self.rank, extent * 5)
            status = self.ring([mine, 5, datatype], [room, 5, datatype])
            self.assertEqual(status.Get_count(datatype), 5, name)
            if extent == datatype.Get_size():  # no gaps inside
                self.good(data.wrong(room, self.left, extent * 5), name)

    def test_a_length_that_does_not_divide(self) -> None:
        with self.assertRaises(ValueError):
            self.comm.Send([bytearray(7), MPI.INT], self.right)

    def test_no_memory_and_no_count(self) -> None:
        for nothing in ([None, 0, MPI.INT], [None, MPI.INT], [MPI.BOTTOM, 0, MPI.INT], [bytearray(), 0, MPI.INT]):
            got = np.full(3, 7, "i")
            status = self.ring(nothing, got)
            self.assertEqual(status.Get_count(MPI.INT), 0)
            self.same(got, [7, 7, 7])
            status = self.ring([got, 0, MPI.INT], nothing)
            self.assertEqual(status.Get_count(MPI.INT), 0)

    def test_no_memory_but_a_count(self) -> None:
        with self.assertRaises(ValueError):
            self.comm.Send([None, 1, MPI.INT], self.right)

    def test_negative_counts_and_displacements(self) -> None:
        memory = np.zeros(4, "i")
        for spec in ([memory, -1, MPI.INT], [memory, (-1, 0), MPI.INT], [memory, (1, -1), MPI.INT]):
            with self.assertRaises(ValueError):
                self.comm.Send(spec, self.right)

    def test_a_count_that_is_no_whole_number(self) -> None:
        with self.assertRaises(TypeError):
            self.comm.Send([np.zeros(4, "i"), 2.0, MPI.INT], self.right)

    @later("Create_hindexed")
    def test_bottom_with_absolute_addresses(self) -> None:
        mine, got = self.numbers(self.rank), np.zeros(10, "i")
        send = MPI.INT.Create_hindexed([3, 2], [MPI.Get_address(mine), MPI.Get_address(mine[7:])]).Commit()
        receive = MPI.INT.Create_hindexed([5], [MPI.Get_address(got[1:])]).Commit()
        self.ring([MPI.BOTTOM, 1, send], [MPI.BOTTOM, 1, receive])
        expected = self.numbers(self.left)
        self.same(got, [0, *expected[:3], *expected[7:9], *[0] * 4])
        send.Free()
        receive.Free()


class Lifetime(Forms):
    """The memory of a nonblocking call stays alive with the request, whatever happens to the names."""

    def test_the_request_keeps_the_memory(self) -> None:
        requests = []
        for tag in range(20):
            requests.append(self.comm.Isend(data.message(tag + self.rank, 100_000), self.right, tag))
            # Freed memory would be taken again, and overwritten, by these.
            np.full(100_000, 255, np.uint8)
        for tag in range(20):
            room = data.Room(100_000)
            self.comm.Recv(room.bytes, self.left, tag)
            self.good(room.wrong(tag + self.left, 100_000))
        MPI.Request.Waitall(requests)

    def test_a_bytearray_cannot_be_resized_while_in_use(self) -> None:
        target = bytearray(8)
        request = self.comm.Irecv(target, self.left, 1)
        with self.assertRaises(BufferError):
            target.extend(b"more")
        self.comm.Send(data.message(self.rank, 8), self.right, 1)
        request.Wait()
        self.good(data.wrong(bytes(target), self.left, 8))
        target.extend(b"more")


if __name__ == "__main__":
    unittest.main()

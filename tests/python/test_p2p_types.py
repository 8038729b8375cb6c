"""Derived datatypes (contiguous, vector) in messages, and the counts that a status tells."""

from __future__ import annotations

import unittest
from typing import Any

import numpy as np
from mpi4py import MPI
from support import data
from support.case import Case, later

Array = np.ndarray[Any, np.dtype[Any]]


class Ring(Case):
    def ring(self, send: Any, receive: Any) -> MPI.Status:
        status = MPI.Status()
        self.comm.Sendrecv(send, self.right, 1, receive, self.left, 1, status)
        return status

    def numbers(self, rank: int, shape: tuple[int, ...], dtype: str = "d") -> Array:
        """Whole numbers, different everywhere."""
        count = int(np.prod(shape))
        return (np.arange(count) + 1000 * (rank + 1)).astype(dtype).reshape(shape)

    def same(self, got: Array, expected: Array, note: object = "") -> None:
        self.assertTrue(np.array_equal(got, expected), f"{note}\n{got}\ninstead of\n{expected}")


class Vector(Ring):
    def test_a_column(self) -> None:
        """Out of a column, into another column: nothing else is written."""
        column = MPI.DOUBLE.Create_vector(6, 1, 5).Commit()
        for source in range(5):
            for target in (0, 2, 4):
                mine, got = self.numbers(self.rank, (6, 5)), np.full((6, 5), -1.0)
                status = self.ring(
                    [mine.reshape(-1)[source:], 1, column],
                    [got.reshape(-1)[target:], 1, column],
                )
                expected = np.full((6, 5), -1.0)
                expected[:, target] = self.numbers(self.left, (6, 5))[:, source]
                self.same(got, expected, (source, target))
                self.assertEqual(status.Get_count(column), 1)
                self.assertEqual(status.Get_elements(column), 6)
                self.assertEqual(status.Get_count(MPI.DOUBLE), 6)
        column.Free()

    def test_between_strided_and_contiguous(self) -> None:
        """The layouts of sender and receiver are independent: what counts is the sequence of numbers."""
        column = MPI.INT.Create_vector(50, 3, 7).Commit()
        mine, got = self.numbers(self.rank, (50, 7), "i"), np.zeros(150, "i")
        self.ring([mine, 1, column], got)
        self.same(got, self.numbers(self.left, (50, 7), "i")[:, :3].reshape(-1))
        flat, grid = self.numbers(self.rank, (150,), "i"), np.full((50, 7), -1, "i")
        self.ring(flat, [grid, 1, column])
        expected = np.full((50, 7), -1, "i")
        expected[:, :3] = self.numbers(self.left, (150,), "i").reshape(50, 3)
        self.same(grid, expected)
        column.Free()

    def test_sizes_around_the_thresholds(self) -> None:
        """Every block size and number of blocks: small, eager, large."""
        for count, block, stride in (
            *((1, 1, 1), (2, 1, 2), (3, 2, 5), (6, 1, 3), (8, 2, 3), (1, 6, 6), (100, 5, 9), (1000, 1, 2), (511, 3, 4)),
            *(
                (513, 1, 8),
                (4096, 2, 4),
                (5000, 1, 3),
                (20_000, 1, 2),
                (200_000, 1, 2),
                (3, 40_000, 50_000),
                (9, 9000, 9001),
            ),
        ):
            vector = MPI.DOUBLE.Create_vector(count, block, stride).Commit()
            places = (np.arange(count)[:, None] * stride + np.arange(block)).reshape(-1)
            length = int(places[-1]) + 1
            mine = self.numbers(self.rank, (length,))
            theirs = self.numbers(self.left, (length,))
            # Strided to strided, in every mode that copies in its own way.
            for send in (self.comm.Isend, self.comm.Issend):
                got = np.full(length + 3, -1.0)
                request = send([mine, 1, vector], self.right, 1)
                status = MPI.Status()
                self.comm.Recv([got, 1, vector], self.left, 1, status)
                request.Wait()
                expected = np.full(length + 3, -1.0)
                expected[places] = theirs[places]
                self.same(got, expected, (count, block, stride))
                self.assertEqual(status.Get_count(vector), 1)
                self.assertEqual(status.Get_elements(vector), count * block)
            # Strided to contiguous and back.
            flat = np.zeros(count * block)
            self.ring([mine, 1, vector], flat)
            self.same(flat, theirs[places], (count, block, stride))
            vector.Free()

    def test_more_than_one(self) -> None:
        """Several vectors in one message: each begins one extent after the one before."""
        vector = MPI.INT.Create_vector(3, 2, 4).Commit()
        lower, extent = vector.Get_extent()
        self.assertEqual((lower, extent), (0, 40))
        self.assertEqual(vector.Get_size(), 24)
        mine = self.numbers(self.rank, (80,), "i")
        places = np.concatenate([[10 * k + 4 * b + i for b in range(3) for i in range(2)] for k in range(7)])
        got = np.zeros(42, "i")
        status = self.ring([mine, 7, vector], got)
        self.same(got, self.numbers(self.left, (80,), "i")[places])
        self.assertEqual(status.Get_count(MPI.INT), 42)
        spread = np.full(80, -1, "i")
        status = self.ring([mine, 7, vector], [spread, 7, vector])
        self.assertEqual(status.Get_count(vector), 7)
        expected = np.full(80, -1, "i")
        expected[places] = self.numbers(self.left, (80,), "i")[places]
        self.same(spread, expected)
        vector.Free()

    def test_of_every_element_size(self) -> None:
        for dtype, datatype in (
            ("b", MPI.INT8_T),
            ("h", MPI.INT16_T),
            ("i", MPI.INT32_T),
            ("q", MPI.INT64_T),
            ("D", MPI.C_DOUBLE_COMPLEX),
        ):
            vector = datatype.Create_vector(40, 3, 5).Commit()
            mine, got = self.numbers(self.rank, (40, 5), dtype), np.zeros((40, 5), dtype)
            self.ring([mine, 1, vector], [got, 1, vector])
            expected = np.zeros((40, 5), dtype)
            expected[:, :3] = self.numbers(self.left, (40, 5), dtype)[:, :3]
            self.same(got, expected, dtype)
            vector.Free()

    def test_reversed(self) -> None:
        """A negative stride goes backwards through memory."""
        backwards = MPI.INT.Create_vector(10, 1, -1).Commit()
        self.assertEqual(backwards.Get_true_extent(), (-36, 40))
        mine = self.numbers(self.rank, (10,), "i")
        got = np.zeros(10, "i")
        # The first element is the array's last.
        address = MPI.buffer.fromaddress(mine.ctypes.data + 36, 4)
        self.ring([address, 1, backwards], got)
        self.same(got, self.numbers(self.left, (10,), "i")[::-1])
        backwards.Free()

    def test_nested(self) -> None:
        """A vector of vectors, and a contiguous row of vectors."""
        inner = MPI.INT.Create_vector(2, 1, 2)
        outer = inner.Create_vector(3, 2, 4).Commit()
        inner.Free()  # only the name; `outer` goes on
        extent = 3  # of inner, in ints: places 0 and 2
        places = [(block * 4 + i) * extent + e for block in range(3) for i in range(2) for e in (0, 2)]
        self.assertEqual(outer.Get_size(), 48)
        mine, got = self.numbers(self.rank, (40,), "i"), np.zeros(12, "i")
        self.ring([mine, 1, outer], got)
        self.same(got, self.numbers(self.left, (40,), "i")[places])
        back = np.full(40, -1, "i")
        self.ring([mine, 1, outer], [back, 1, outer])
        expected = np.full(40, -1, "i")
        expected[places] = self.numbers(self.left, (40,), "i")[places]
        self.same(back, expected)
        outer.Free()

    def test_freed_while_in_use(self) -> None:
        """A datatype may be freed while messages with it are under way."""
        for count in (10, 100_000):
            vector = MPI.DOUBLE.Create_vector(count, 1, 2).Commit()
            mine, got = self.numbers(self.rank, (2 * count,)), np.zeros(2 * count)
            requests = [
                self.comm.Irecv([got, 1, vector], self.left, 1),
                self.comm.Isend([mine, 1, vector], self.right, 1),
            ]
            vector.Free()
            self.assertEqual(vector, MPI.DATATYPE_NULL)
            MPI.Request.Waitall(requests)
            self.same(got[::2], self.numbers(self.left, (2 * count,))[::2])
            self.assertFalse(got[1::2].any())

    def test_empty(self) -> None:
        for vector in (MPI.INT.Create_vector(0, 1, 2), MPI.INT.Create_vector(4, 0, 2), MPI.INT.Create_contiguous(0)):
            vector.Commit()
            self.assertEqual(vector.Get_size(), 0)
            got = np.full(4, 7, "i")
            status = self.ring([got, 3, vector], [got, 3, vector])
            self.assertEqual(status.Get_count(MPI.INT), 0)
            self.assertEqual(got.tolist(), [7] * 4)
            vector.Free()

    def test_sendrecv_replace_with_a_column(self) -> None:
        for rows in (5, 5000):
            column = MPI.DOUBLE.Create_vector(rows, 1, 3).Commit()
            grid = self.numbers(self.rank, (rows, 3))
            self.comm.Sendrecv_replace([grid.reshape(-1)[1:], 1, column], self.right, 1, self.left, 1)
            expected = self.numbers(self.rank, (rows, 3))
            expected[:, 1] = self.numbers(self.left, (rows, 3))[:, 1]
            self.same(grid, expected)
            column.Free()

    def test_buffered_and_matched(self) -> None:
        column = MPI.DOUBLE.Create_vector(30, 1, 3).Commit()
        MPI.Attach_buffer(bytearray(10_000))
        mine, got = self.numbers(self.rank, (30, 3)), np.full((30, 3), -1.0)
        self.comm.Bsend([mine, 1, column], self.right, 1)
        status = MPI.Status()
        message = self.comm.Mprobe(self.left, 1, status)
        self.assertEqual(status.Get_elements(column), 30)
        message.Recv([got, 1, column])
        self.same(got[:, 0], self.numbers(self.left, (30, 3))[:, 0])
        self.same(got[:, 1:], np.full((30, 2), -1.0))
        MPI.Detach_buffer()
        column.Free()

    def test_not_committed(self) -> None:
        vector = MPI.INT.Create_vector(2, 1, 2)
        with self.mpi_error(MPI.ERR_TYPE):
            self.comm.Send([np.zeros(4, "i"), 1, vector], self.right)
        vector.Free()


class Contiguous(Ring):
    def test_triples(self) -> None:
        triple = MPI.INT.Create_contiguous(3).Commit()
        self.assertEqual((triple.Get_size(), triple.Get_extent()), (12, (0, 12)))
        for count in (0, 1, 5, 4000, 40_000):
            mine, got = self.numbers(self.rank, (3 * count,), "i"), np.zeros(3 * count, "i")
            # The count is found from the length, too.
            status = self.ring([mine, triple], [got, count, triple])
            self.same(got, self.numbers(self.left, (3 * count,), "i"))
            self.assertEqual(status.Get_count(triple), count)
            self.assertEqual(status.Get_elements(triple), 3 * count)
        triple.Free()

    def test_a_length_that_does_not_divide(self) -> None:
        triple = MPI.INT.Create_contiguous(3).Commit()
        with self.assertRaises(ValueError):
            self.comm.Send([np.zeros(10, "i"), triple], self.right)
        triple.Free()

    def test_partly_filled(self) -> None:
        """A message that ends inside of an element: the count is undefined, the elements are known."""
        triple = MPI.INT.Create_contiguous(3).Commit()
        got = np.zeros(9, "i")
        status = self.ring(self.numbers(self.rank, (7,), "i"), [got, 3, triple])
        self.assertEqual(status.Get_count(triple), MPI.UNDEFINED)
        self.assertEqual(status.Get_elements(triple), 7)
        self.assertEqual(status.Get_count(MPI.INT), 7)
        self.same(got[:7], self.numbers(self.left, (7,), "i"))
        self.assertFalse(got[7:].any())
        triple.Free()

    def test_of_vectors(self) -> None:
        vector = MPI.SHORT.Create_vector(2, 1, 3)  # places 0 and 3 of an extent of 4
        row = vector.Create_contiguous(500).Commit()
        mine, got = self.numbers(self.rank, (2000,), "h"), np.zeros(1000, "h")
        self.ring([mine, 1, row], got)
        self.same(got, self.numbers(self.left, (2000,), "h").reshape(500, 4)[:, [0, 3]].reshape(-1))
        vector.Free()
        row.Free()

    def test_dup(self) -> None:
        column = MPI.INT.Create_vector(3, 1, 2).Commit()
        copy = column.Dup()
        column.Free()
        mine, got = self.numbers(self.rank, (6,), "i"), np.zeros(3, "i")
        self.ring([mine, 1, copy], got)
        self.same(got, self.numbers(self.left, (6,), "i")[::2])
        copy.Free()

    @later("Create_resized")
    def test_resized_column(self) -> None:
        """All columns of a matrix in one message: a transposition."""
        column = MPI.DOUBLE.Create_vector(4, 1, 5).Create_resized(0, 8).Commit()
        got = np.zeros((5, 4))
        self.ring([self.numbers(self.rank, (4, 5)), 5, column], got)
        self.same(got, self.numbers(self.left, (4, 5)).T)


class Counts(Ring):
    def test_in_smaller_and_larger_types(self) -> None:
        status = self.ring(self.numbers(self.rank, (6,), "i"), np.zeros(6, "i"))
        for datatype, count in ((MPI.BYTE, 24), (MPI.SHORT, 12), (MPI.INT, 6), (MPI.DOUBLE, 3)):
            self.assertEqual(status.Get_count(datatype), count)
        self.assertEqual(status.Get_count(MPI.C_DOUBLE_COMPLEX), MPI.UNDEFINED)

    def test_of_nothing(self) -> None:
        status = self.ring(b"", bytearray())
        self.assertEqual(status.Get_count(MPI.INT), 0)
        self.assertEqual(status.Get_elements(MPI.INT), 0)
        self.assertEqual(MPI.Status().Get_count(MPI.INT), 0)

    def test_of_pairs(self) -> None:
        """In DOUBLE_INT a double and an int count as two elements."""
        pairs = np.zeros(5, np.dtype([("value", "d"), ("place", "i")], align=True))
        got = np.zeros_like(pairs)
        pairs["value"], pairs["place"] = data.numbers(self.rank, 5, "d"), data.numbers(self.rank + 9, 5, "i")
        status = self.ring([pairs.view("u1"), 5, MPI.DOUBLE_INT], [got.view("u1"), 5, MPI.DOUBLE_INT])
        self.assertEqual(status.Get_count(MPI.DOUBLE_INT), 5)
        self.assertEqual(status.Get_elements(MPI.DOUBLE_INT), 10)
        self.same(got["value"], data.numbers(self.left, 5, "d"))
        self.same(got["place"], data.numbers(self.left + 9, 5, "i"))

    def test_set(self) -> None:
        status = MPI.Status()
        status.Set_elements(MPI.INT, 7)
        status.Set_cancelled(True)
        status.Set_source(3)
        status.Set_tag(4)
        status.Set_error(MPI.ERR_TRUNCATE)
        self.assertEqual((status.Get_elements(MPI.INT), status.Get_count(MPI.INT), status.count), (7, 7, 28))
        self.assertEqual((status.source, status.tag, status.error), (3, 4, MPI.ERR_TRUNCATE))
        self.assertTrue(status.cancelled)


class Queries(Ring):
    def test_sizes_and_extents(self) -> None:
        vector = MPI.DOUBLE.Create_vector(3, 2, 5)
        self.assertEqual(vector.Get_size(), 48)
        self.assertEqual(vector.Get_extent(), (0, 96))
        self.assertEqual(vector.Get_true_extent(), (0, 96))
        self.assertEqual((vector.size, vector.extent, vector.lb, vector.ub), (48, 96, 0, 96))
        vector.Free()

    def test_predefined_ones(self) -> None:
        for name, size in (
            ("CHAR", 1),
            ("SHORT", 2),
            ("INT", 4),
            ("LONG", 8),
            ("LONG_LONG", 8),
            ("FLOAT", 4),
            ("DOUBLE", 8),
            ("LONG_DOUBLE", 16),
            ("WCHAR", 4),
            ("C_BOOL", 1),
            ("AINT", 8),
            ("COUNT", 8),
            ("OFFSET", 8),
            ("C_FLOAT_COMPLEX", 8),
            ("DOUBLE_INT", 12),
            ("FLOAT_INT", 8),
            ("LONG_DOUBLE_INT", 20),
            ("SHORT_INT", 6),
            ("LONG_INT", 12),
            ("TWOINT", 8),
        ):
            self.assertEqual(getattr(MPI, name).Get_size(), size, name)
        for name, extent in (("DOUBLE_INT", 16), ("SHORT_INT", 8), ("LONG_DOUBLE_INT", 32), ("LONG_INT", 16)):
            self.assertEqual(getattr(MPI, name).Get_extent(), (0, extent), name)

    def test_predefined_ones_cannot_be_freed(self) -> None:
        with self.mpi_error(MPI.ERR_TYPE, MPI.ERR_ARG):
            MPI.Datatype(MPI.INT).Free()

    def test_bad_arguments(self) -> None:
        with self.mpi_error(MPI.ERR_ARG, MPI.ERR_COUNT):
            MPI.INT.Create_vector(-1, 1, 1)
        with self.mpi_error(MPI.ERR_ARG, MPI.ERR_COUNT):
            MPI.INT.Create_contiguous(-1)
        with self.mpi_error(MPI.ERR_TYPE):
            MPI.DATATYPE_NULL.Create_contiguous(1)


if __name__ == "__main__":
    unittest.main()

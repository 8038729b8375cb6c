"""mpi4py.util.dtlib: NumPy's dtypes as datatypes and back, and that such datatypes carry what they say."""

from __future__ import annotations

import unittest
from typing import Any

import numpy as np
from mpi4py import MPI
from mpi4py.util import dtlib
from support.case import Case, our_extension

PARTICLE = np.dtype([("f0", "i4"), ("f1", "f8", (3, 2)), ("f2", "i2", (1,)), ("f3", [("f0", "u1"), ("f1", "f4")])])


class Conversions(Case):
    def back(self, dtype: Any) -> np.dtype[Any]:
        datatype = dtlib.from_numpy_dtype(dtype)
        try:
            self.assertEqual(datatype.Get_extent(), (0, np.dtype(dtype).itemsize))
            return dtlib.to_numpy_dtype(datatype)
        finally:
            datatype.Free()

    def test_there_and_back(self) -> None:
        for dtype in ("f8", "?", "c16", (np.float32, (2, 3)), PARTICLE, (PARTICLE, (4,))):
            self.assertEqual(self.back(dtype), np.dtype(dtype))
        gaps = np.dtype({"names": ["f0", "f1"], "formats": ["i2", "f8"], "offsets": [3, 16], "itemsize": 40})
        self.assertEqual(self.back(gaps), gaps)

    def test_whether_it_is_aligned(self) -> None:
        for align in (False, True):
            dtype = np.dtype("i1,f8,i2", align=align)
            self.assertEqual(self.back(dtype).isalignedstruct, align)

    @our_extension("left open by the documentation")
    def test_texts_and_dates_are_characters_and_numbers(self) -> None:
        self.assertEqual(self.back("S8"), np.dtype(("S1", (8,))))
        self.assertEqual(self.back("U3"), np.dtype(("U1", (3,))))
        self.assertEqual(self.back("M8[s]"), np.dtype("i8"))

    @our_extension("left open by the documentation")
    def test_datatypes_with_gaps(self) -> None:
        vector = MPI.DOUBLE.Create_vector(2, 3, 5)
        wide = vector.Create_resized(0, 80)
        for datatype, size in ((vector, 64), (wide, 80)):
            found = dtlib.to_numpy_dtype(datatype)
            expected = {"names": ["f0", "f1"], "formats": ["3f8", "3f8"], "offsets": [0, 40], "itemsize": size}
            self.assertEqual(found, np.dtype(expected))
        vector.Free()
        wide.Free()

    def test_a_message(self) -> None:
        """The datatype takes the fields, and leaves the gaps alone."""
        dtype = np.dtype({"names": ["f0", "f1"], "formats": ["i2", "f8"], "offsets": [0, 8], "itemsize": 24})
        datatype = dtlib.from_numpy_dtype(dtype)
        sent, got = np.zeros(5, dtype), np.zeros(5, dtype)
        sent["f0"], sent["f1"] = np.arange(5) + self.rank, np.arange(5) / 2 - self.rank
        got.view("u1")[:] = 7
        self.comm.Sendrecv([sent, 5, datatype], self.right, 0, [got, 5, datatype], self.left, 0)
        self.assertEqual(got["f0"].tolist(), (np.arange(5) + self.left).tolist())
        self.assertEqual(got["f1"].tolist(), (np.arange(5) / 2 - self.left).tolist())
        self.assertTrue((got.view("u1").reshape(5, 24)[:, 16:] == 7).all())
        datatype.Free()

    @our_extension("left open by the documentation")
    def test_what_cannot_be(self) -> None:
        swapped = np.dtype("f8").newbyteorder()
        for dtype, says in (
            ("O", "Python objects"),
            (swapped, "byte order"),
            (np.dtype([("x", "i4"), ("y", swapped)]), "byte order"),
            ("V8", "no MPI datatype"),
        ):
            with self.assertRaisesRegex(ValueError, says):
                dtlib.from_numpy_dtype(dtype)
        row = MPI.INT.Create_vector(3, 1, 4)
        column = row.Create_resized(0, 4)
        part = MPI.INT.Create_subarray([4, 4], [2, 2], [1, 1])
        before = MPI.INT.Create_hindexed([1, 1], [-4, 4])
        for datatype, says in (
            (MPI.DATATYPE_NULL, "null"),
            (column, "bounds 0 and 4"),
            (part, r"\[2, 2\] of \[4, 4\]"),
            (before, "before its start"),
        ):
            with self.assertRaisesRegex(ValueError, says):
                dtlib.to_numpy_dtype(datatype)
        for datatype in (row, column, part, before):
            datatype.Free()


if __name__ == "__main__":
    unittest.main()

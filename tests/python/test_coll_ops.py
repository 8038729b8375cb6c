"""The predefined reductions: every operation with every type that the standard allows, against NumPy."""

from __future__ import annotations

import functools
import unittest
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from mpi4py import MPI
from support import data
from support.case import Case

Array = np.ndarray[Any, np.dtype[Any]]


def _types(*names: str) -> list[tuple[str, MPI.Datatype]]:
    """The datatypes of these names that the library has (without Fortran some are null or empty)."""
    found = [(name, getattr(MPI, name)) for name in names]
    return [(name, datatype) for name, datatype in found if datatype != MPI.DATATYPE_NULL and datatype.Get_size() > 0]


C_INTEGERS = _types(
    *("SIGNED_CHAR", "SHORT", "INT", "LONG", "LONG_LONG", "INT8_T", "INT16_T", "INT32_T", "INT64_T"),
    *("UNSIGNED_CHAR", "UNSIGNED_SHORT", "UNSIGNED", "UNSIGNED_LONG", "UNSIGNED_LONG_LONG"),
    *("UINT8_T", "UINT16_T", "UINT32_T", "UINT64_T"),
)
FORTRAN_INTEGERS = _types("INTEGER", "INTEGER1", "INTEGER2", "INTEGER4", "INTEGER8")
FLOATS = _types("FLOAT", "DOUBLE", "LONG_DOUBLE", "REAL", "DOUBLE_PRECISION", "REAL4", "REAL8")
COMPLEX = _types(
    *("C_COMPLEX", "C_FLOAT_COMPLEX", "C_DOUBLE_COMPLEX", "C_LONG_DOUBLE_COMPLEX", "CXX_FLOAT_COMPLEX"),
    *("CXX_DOUBLE_COMPLEX", "CXX_LONG_DOUBLE_COMPLEX", "COMPLEX", "DOUBLE_COMPLEX", "COMPLEX8", "COMPLEX16"),
)
LOGICAL = _types("C_BOOL", "CXX_BOOL")
FORTRAN_LOGICAL = _types("LOGICAL")
BYTE = _types("BYTE")
MULTI_LANGUAGE = _types("AINT", "OFFSET", "COUNT")

UNSIGNED = ("UNSIGNED", "UINT", "BYTE")


def numpy_type(name: str, datatype: MPI.Datatype) -> np.dtype[Any]:
    """The NumPy type with the same numbers."""
    size = datatype.Get_size()
    if (name, datatype) in LOGICAL:
        return np.dtype("?")
    if (name, datatype) in COMPLEX:
        return np.dtype({8: "F", 16: "D", 32: "G"}[size])
    if (name, datatype) in FLOATS:
        return np.dtype({4: "f", 8: "d", 16: "g"}[size])
    return np.dtype(f"{'u' if name.startswith(UNSIGNED) else 'i'}{size}")


def truth(function: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """A logical operation on numbers: the result is 0 or 1 of their type."""
    return lambda a, b: function(a != 0, b != 0).astype(a.dtype)


Operation = tuple[str, MPI.Op, Callable[[Any, Any], Any], list[tuple[str, MPI.Datatype]]]

OPERATIONS: list[Operation] = [
    ("MAX", MPI.MAX, np.maximum, C_INTEGERS + FORTRAN_INTEGERS + FLOATS + MULTI_LANGUAGE),
    ("MIN", MPI.MIN, np.minimum, C_INTEGERS + FORTRAN_INTEGERS + FLOATS + MULTI_LANGUAGE),
    ("SUM", MPI.SUM, np.add, C_INTEGERS + FORTRAN_INTEGERS + FLOATS + COMPLEX + MULTI_LANGUAGE),
    ("PROD", MPI.PROD, np.multiply, C_INTEGERS + FORTRAN_INTEGERS + FLOATS + COMPLEX + MULTI_LANGUAGE),
    ("LAND", MPI.LAND, truth(np.logical_and), C_INTEGERS + LOGICAL + FORTRAN_LOGICAL),
    ("LOR", MPI.LOR, truth(np.logical_or), C_INTEGERS + LOGICAL + FORTRAN_LOGICAL),
    ("LXOR", MPI.LXOR, truth(np.logical_xor), C_INTEGERS + LOGICAL + FORTRAN_LOGICAL),
    ("BAND", MPI.BAND, np.bitwise_and, C_INTEGERS + FORTRAN_INTEGERS + BYTE + MULTI_LANGUAGE),
    ("BOR", MPI.BOR, np.bitwise_or, C_INTEGERS + FORTRAN_INTEGERS + BYTE + MULTI_LANGUAGE),
    ("BXOR", MPI.BXOR, np.bitwise_xor, C_INTEGERS + FORTRAN_INTEGERS + BYTE + MULTI_LANGUAGE),
]

# Vector loops have tails: every length up to two vectors, then some around larger pieces.
COUNTS = (*range(1, 10), 15, 16, 17, 31, 32, 33, 63, 65, 1000, 4097)


def values(name: str, dtype: np.dtype[Any], operation: str, rank: int, count: int) -> Array:
    """Numbers for which the operation is exact in any order, negative ones included."""
    raw = data.message(rank * 1000 + count, count * 16)[: count * dtype.itemsize]
    if operation in ("BAND", "BOR", "BXOR"):
        return raw.view(dtype)
    if operation in ("LAND", "LOR", "LXOR"):
        low = data.numbers(rank + count, count, "i8", 4) - 2  # -1..2, a quarter of zeros
        if (name, getattr(MPI, name)) in FORTRAN_LOGICAL:
            low = (low > 0).astype("i8")
        return (low != 0) if dtype.kind == "b" else low.astype(dtype)
    if operation in ("MAX", "MIN") and dtype.kind in "iu":
        return raw.view(dtype)
    small = data.numbers(rank + count, count, "i8", 7) - 4 * (dtype.kind != "u")  # -3..3 or 1..7
    if dtype.kind == "c":
        return (small + 1j * small[::-1]).astype(dtype)
    return small.astype(dtype)


class NumberCase(Case):
    def equal(self, got: Array, expected: Array, *note: object) -> None:
        """Compared as numbers: the padding of a long double is anything, and whatever is not zero is true."""
        if not np.array_equal(got, expected):
            self.fail(f"{' '.join(map(str, note))}: {got} instead of {expected}")


class Predefined(NumberCase):
    def combos(self, operation: str) -> Iterator[tuple[str, MPI.Datatype, MPI.Op, Callable[[Any, Any], Any]]]:
        _, op, function, types = next(item for item in OPERATIONS if item[0] == operation)
        self.assertTrue(types)
        for type_name, datatype in types:
            yield type_name, datatype, op, function

    def check(self, operation: str) -> None:
        """Allreduce, Reduce, Scan and Exscan of all types and many counts."""
        for name, datatype, op, function in self.combos(operation):
            dtype = numpy_type(name, datatype)
            for count in COUNTS:
                everybody = [values(name, dtype, operation, r, count) for r in range(self.size)]
                with np.errstate(over="ignore"):
                    partial = [functools.reduce(function, everybody[: r + 1]) for r in range(self.size)]
                mine, note = everybody[self.rank], f"{operation} of {count} {name}"

                got = np.zeros(count, dtype)
                self.comm.Allreduce([mine, count, datatype], [got, count, datatype], op)
                self.equal(got, partial[-1], "Allreduce", note)

                root = count % self.size
                got = np.zeros(count, dtype)
                self.comm.Reduce([mine, datatype], [got, datatype] if self.rank == root else None, op, root)
                if self.rank == root:
                    self.equal(got, partial[-1], "Reduce", note)
                else:
                    self.assertFalse(got.any())

                got = mine.copy()
                self.comm.Scan(MPI.IN_PLACE, [got, datatype], op)
                self.equal(got, partial[self.rank], "Scan", note)

                got = np.zeros(count, dtype)
                self.comm.Exscan([mine, datatype], [got, datatype], op)
                if self.rank > 0:
                    expected = partial[self.rank - 1]
                    self.equal(got, expected, "Exscan", note)

    def test_max(self) -> None:
        self.check("MAX")

    def test_min(self) -> None:
        self.check("MIN")

    def test_sum(self) -> None:
        self.check("SUM")

    def test_prod(self) -> None:
        self.check("PROD")

    def test_land(self) -> None:
        self.check("LAND")

    def test_lor(self) -> None:
        self.check("LOR")

    def test_lxor(self) -> None:
        self.check("LXOR")

    def test_band(self) -> None:
        self.check("BAND")

    def test_bor(self) -> None:
        self.check("BOR")

    def test_bxor(self) -> None:
        self.check("BXOR")

    def test_large(self) -> None:
        """A few types with much data."""
        for count in (100_000, 1_000_001):
            for datatype, dtype in ((MPI.DOUBLE, "d"), (MPI.INT, "i"), (MPI.FLOAT, "f"), (MPI.INT8_T, "b")):
                everybody = [data.numbers(r, count, dtype) for r in range(self.size)]
                for op, function in ((MPI.SUM, np.add), (MPI.MAX, np.maximum)):
                    got = np.zeros(count, dtype)
                    self.comm.Allreduce([everybody[self.rank], datatype], [got, datatype], op)
                    self.assertTrue(np.array_equal(got, functools.reduce(function, everybody)), (count, dtype))
                    got[:] = everybody[self.rank]
                    self.comm.Allreduce(MPI.IN_PLACE, got, op)
                    self.assertTrue(np.array_equal(got, functools.reduce(function, everybody)), (count, dtype))

    def test_half_precision(self) -> None:
        """The 16-bit float, where the library knows it."""
        if MPI.FLOAT16_T == MPI.DATATYPE_NULL or MPI.FLOAT16_T.Get_size() == 0:
            self.skipTest("the library has no FLOAT16_T")
        mine, got = np.full(5, self.rank + 1, np.float16), np.zeros(5, np.float16)
        try:
            self.comm.Allreduce(mine, got)
        except MPI.Exception as error:
            self.assertEqual(error.Get_error_class(), MPI.ERR_OP)
        else:
            self.assertEqual(got.tolist(), [self.size * (self.size + 1) / 2] * 5)

    def test_unsigned_numbers_are_unsigned(self) -> None:
        """The largest of 1 and 2^n-1, and -1 and 1, for each width."""
        for bits, signed, unsigned in (
            *((8, MPI.INT8_T, MPI.UINT8_T), (16, MPI.INT16_T, MPI.UINT16_T)),
            *((32, MPI.INT32_T, MPI.UINT32_T), (64, MPI.INT64_T, MPI.UINT64_T)),
        ):
            mine = np.array([1 if self.rank % 2 else 2**bits - 1], f"u{bits // 8}")
            got = np.zeros_like(mine)
            self.comm.Allreduce([mine, unsigned], [got, unsigned], MPI.MAX)
            self.assertEqual(got[0], 2**bits - 1)
            self.comm.Allreduce([mine, signed], [got, signed], MPI.MAX)
            self.assertEqual(got.view(f"i{bits // 8}")[0], 1 if self.size > 1 else -1)

    def test_infinities_and_negative_zero(self) -> None:
        mine = np.array([np.inf, -np.inf, -0.0, 1e308]) if self.rank == 0 else np.array([0.0, 0.0, -0.0, 1e308])
        got = np.zeros(4)
        self.comm.Allreduce(mine, got, MPI.MAX)
        self.assertEqual(got.tolist(), [np.inf, -np.inf if self.size == 1 else 0.0, -0.0, 1e308])
        self.comm.Allreduce(mine, got, MPI.SUM)
        self.assertEqual(got.tolist(), [np.inf, -np.inf, -0.0, 1e308 if self.size == 1 else np.inf])


class Places(Case):
    """MAXLOC and MINLOC: a value and an index; of equal values the smallest index."""

    TYPES = (
        ("FLOAT_INT", "f", "i4"),
        ("DOUBLE_INT", "d", "i4"),
        ("LONG_INT", "l", "i4"),
        ("TWOINT", "i4", "i4"),
        ("SHORT_INT", "i2", "i4"),
        ("LONG_DOUBLE_INT", "g", "i4"),
    )

    def expected(self, pairs: list[Array], op: MPI.Op) -> Array:
        best = pairs[0].copy()
        for other in pairs[1:]:
            better = other["value"] > best["value"] if op == MPI.MAXLOC else other["value"] < best["value"]
            tie = (other["value"] == best["value"]) & (other["place"] < best["place"])
            best[better | tie] = other[better | tie]
        return best

    def same(self, got: Array, expected: Array, note: str) -> None:
        for field in ("value", "place"):
            self.assertTrue(np.array_equal(got[field], expected[field]), f"{note}: {got} instead of {expected}")

    def test_all_pair_types(self) -> None:
        for name, value, place in self.TYPES:
            dtype = np.dtype([("value", value), ("place", place)], align=True)
            datatype = getattr(MPI, name)
            self.assertEqual(dtype.itemsize, datatype.Get_extent()[1], name)
            for count in (1, 2, 3, 8, 9, 100, 5000):
                pairs = []
                for r in range(self.size):
                    pair = np.zeros(count, dtype)
                    # Few different values, so that many are equal.
                    pair["value"] = data.numbers(r + count, count, "i8", 3) - 2
                    pair["place"] = (r * 7 + 3) % 5
                    pairs.append(pair)
                for op in (MPI.MAXLOC, MPI.MINLOC):
                    note = f"{name}, {count}, {'MAXLOC' if op == MPI.MAXLOC else 'MINLOC'}"
                    mine = [pairs[self.rank].view("u1"), count, datatype]
                    got = np.zeros(count, dtype)
                    self.comm.Allreduce(mine, [got.view("u1"), count, datatype], op)
                    self.same(got, self.expected(pairs, op), note)
                    got = np.zeros(count, dtype)
                    self.comm.Scan(mine, [got.view("u1"), count, datatype], op)
                    self.same(got, self.expected(pairs[: self.rank + 1], op), f"Scan {note}")
                    root = count % self.size
                    got = np.zeros(count, dtype)
                    self.comm.Reduce(mine, [got.view("u1"), count, datatype] if self.rank == root else None, op, root)
                    if self.rank == root:
                        self.same(got, self.expected(pairs, op), f"Reduce {note}")


class Wrong(Case):
    """Pairs of operation and type that the standard does not have."""

    def refuse(self, op: MPI.Op, datatype: MPI.Datatype) -> None:
        mine = np.zeros(32, np.uint8)
        with self.mpi_error(MPI.ERR_OP, MPI.ERR_TYPE):
            self.comm.Allreduce([mine, 1, datatype], [mine.copy(), 1, datatype], op)

    def test_bits_of_floats(self) -> None:
        self.refuse(MPI.BAND, MPI.DOUBLE)
        self.refuse(MPI.BXOR, MPI.FLOAT)

    def test_order_of_complex(self) -> None:
        self.refuse(MPI.MAX, MPI.C_DOUBLE_COMPLEX)

    def test_sum_of_pairs(self) -> None:
        self.refuse(MPI.SUM, MPI.DOUBLE_INT)
        self.refuse(MPI.MAXLOC, MPI.DOUBLE)

    def test_derived_types(self) -> None:
        pair = MPI.INT.Create_contiguous(2).Commit()
        self.refuse(MPI.SUM, pair)
        pair.Free()

    def test_operations_of_one_sided_communication(self) -> None:
        self.refuse(MPI.REPLACE, MPI.INT)
        self.refuse(MPI.NO_OP, MPI.INT)

    def test_no_operation(self) -> None:
        self.refuse(MPI.OP_NULL, MPI.INT)

    def test_it_goes_on_afterwards(self) -> None:
        self.refuse(MPI.BAND, MPI.DOUBLE)
        got = np.zeros(1)
        self.comm.Allreduce(np.ones(1), got)
        self.assertEqual(got[0], self.size)


class Local(NumberCase):
    """What can be asked of an operation without communication."""

    def test_commutes(self) -> None:
        for op in (MPI.SUM, MPI.MAX, MPI.LXOR, MPI.MAXLOC):
            self.assertTrue(op.Is_commutative())
            self.assertTrue(op.is_predefined)

    def test_reduce_local(self) -> None:
        for operation, op, function, types in OPERATIONS:
            for name, datatype in types:
                dtype = numpy_type(name, datatype)
                a, b = values(name, dtype, operation, 1, 33), values(name, dtype, operation, 2, 33)
                got = b.copy()
                op.Reduce_local([a, datatype], [got, datatype])
                with np.errstate(over="ignore"):
                    self.equal(got, function(a, b), operation, name)

    def test_called_with_python_objects(self) -> None:
        for op, expected in ((MPI.SUM, 9), (MPI.PROD, 20), (MPI.MAX, 5), (MPI.MIN, 4), (MPI.BAND, 4), (MPI.BXOR, 1)):
            self.assertEqual(op(4, 5), expected)
        self.assertEqual(MPI.MAXLOC((4, 1), (4, 0)), (4, 0))
        self.assertEqual(MPI.MINLOC((4, 1), (5, 0)), (4, 1))
        self.assertEqual(MPI.SUM([1], [2]), [1, 2])
        self.assertIs(MPI.LAND(3, 0), False)


if __name__ == "__main__":
    unittest.main()

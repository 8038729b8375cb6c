"""Arrays of structures: NumPy's structured dtypes and ctypes' classes find their datatype by themselves."""

from __future__ import annotations

import ctypes
import random
import unittest
from typing import Any

import numpy as np
from mpi4py import MPI
from support import data
from support.case import Case, not_on, our_extension

POINT = np.dtype([("x", "f8"), ("y", "f8")])
DTYPES = [
    np.dtype([("a", "i4"), ("b", "f8", (3,))]),
    np.dtype([("a", "i1"), ("b", "f8"), ("c", "i2")], align=True),
    np.dtype([("id", "i8"), ("at", POINT), ("path", POINT, (2, 3)), ("end", "?")]),
    np.dtype({"names": ["a", "b"], "formats": ["i4", "f8"], "offsets": [4, 16], "itemsize": 40}),
    np.dtype({"names": ["late", "early"], "formats": ["i4", "f8"], "offsets": [16, 4]}),
    np.dtype([("name", "S5"), ("text", "U3"), ("raw", "V7"), ("day", "M8[D]"), ("span", "m8[s]")]),
    np.dtype([("c", "F"), ("z", "D"), ("l", "g"), ("u", "u2"), ("q", "u8"), ("b", "?", (4,))]),
    np.dtype([("inner", {"names": ["a"], "formats": ["i2"], "offsets": [3], "itemsize": 11}, (3,)), ("z", "i1")]),
    np.dtype([(("a title", "a"), "i4"), ("b", "f4")]),
    np.dtype([("only", "f8")]),
    np.dtype([("none", "S0"), ("one", "i2"), ("empty", "f8", (0,))]),
]


def filled(dtype: Any, count: Any, seed: int) -> Any:
    """An array of `dtype` from pseudo-random bytes."""
    dtype = np.dtype(dtype)
    size = int(np.prod(count)) * dtype.itemsize
    return np.frombuffer(bytearray(data.message(seed, size).tobytes()), dtype).reshape(count)


def mask(dtype: np.dtype[Any]) -> Any:
    """Which bytes of an element belong to fields."""
    flags = np.zeros(dtype.itemsize, bool)
    if dtype.subdtype is not None:
        base, shape = dtype.subdtype
        return np.tile(mask(base), int(np.prod(shape)))
    if dtype.names is None:
        flags[:] = True
        return flags
    for name in dtype.names:
        field, offset = dtype.fields[name][:2]  # type: ignore[index]
        flags[offset : offset + field.itemsize] |= mask(field)
    return flags


def random_dtype(random: random.Random, depth: int = 0, raw: str = "V5") -> np.dtype[Any]:
    names, formats, offsets = [], [], []
    place = 0
    for index in range(random.randint(1, 5)):
        if depth < 2 and random.random() < 0.3:
            field: Any = random_dtype(random, depth + 1, raw)
        else:
            field = np.dtype(random.choice(["i1", "u2", "i4", "f4", "f8", "c16", "?", "S3", "U2", raw, "f2", "u8"]))
        if random.random() < 0.3:
            field = np.dtype((field, tuple(random.randint(1, 3) for _ in range(random.randint(1, 2)))))
        place += random.choice([0, 0, 1, 4, 7])
        names.append(f"f{index}")
        formats.append(field)
        offsets.append(place)
        place += field.itemsize
    order = list(range(len(names)))
    if random.random() < 0.3:
        random.shuffle(order)
    return np.dtype(
        {
            "names": [names[i] for i in order],
            "formats": [formats[i] for i in order],
            "offsets": [offsets[i] for i in order],
            "itemsize": place + random.choice([0, 0, 3, 8]),
        }
    )


class Records(Case):
    def ring(self, send: Any, receive: Any) -> MPI.Status:
        status = MPI.Status()
        self.comm.Sendrecv(send, self.right, 1, receive, self.left, 1, status)
        return status

    def goes_around(self, dtype: np.dtype[Any], count: int = 5) -> None:
        fields = np.tile(mask(dtype), count)
        got = filled(dtype, count, 999)
        status = self.ring(filled(dtype, count, self.rank), got)
        expected = np.where(
            fields,
            filled(dtype, count, self.left).view(np.uint8),
            filled(dtype, count, 999).view(np.uint8),
        )
        self.assertEqual(got.view(np.uint8).tolist(), expected.tolist(), f"{dtype}: fields come, gaps stay")
        self.assertEqual(status.Get_count(MPI.BYTE), int(fields.sum()), f"{dtype}: the gaps do not travel")


@our_extension("the original finds no datatype for structured dtypes")
class Numpy(Records):
    def test_every_kind_of_dtype(self) -> None:
        for dtype in DTYPES:
            self.goes_around(dtype)
            self.goes_around(dtype, 300)

    @not_on("Intel", "it lacks datatypes of some NumPy types")
    def test_any_dtype(self) -> None:
        numbers = random.Random(20240611)
        for _ in range(150):
            self.goes_around(random_dtype(numbers), numbers.choice([1, 2, 7]))

    def test_like_a_struct_made_by_hand(self) -> None:
        dtype = np.dtype([("a", "i4"), ("b", "f8", (3,))], align=True)
        struct = MPI.Datatype.Create_struct([1, 3], [0, 8], [MPI.INT, MPI.DOUBLE])
        resized = struct.Create_resized(0, dtype.itemsize).Commit()
        for send, receive in ((None, resized), (resized, None), (resized, resized)):
            got = np.zeros(4, dtype)
            self.ring(
                [filled(dtype, 4, self.rank), send] if send else filled(dtype, 4, self.rank),
                [got, receive] if receive else got,
            )
            for name in dtype.names or ():
                self.assertEqual(got[name].tobytes(), filled(dtype, 4, self.left)[name].tobytes())
        status = self.ring(filled(dtype, 4, self.rank), np.zeros(4, dtype))
        self.assertEqual(status.Get_count(resized), 4)
        self.assertEqual(status.Get_elements(resized), 16)
        resized.Free()
        struct.Free()

    def test_sender_and_receiver_with_different_gaps(self) -> None:
        dense = np.dtype([("a", "i1"), ("b", "f8")])
        aligned = np.dtype([("a", "i1"), ("b", "f8")], align=True)
        got = np.zeros(6, aligned)
        self.ring(filled(dense, 6, self.rank), got)
        self.assertEqual(got["a"].tolist(), filled(dense, 6, self.left)["a"].tolist())
        self.assertEqual(got["b"].tobytes(), filled(dense, 6, self.left)["b"].tobytes())

    def test_some_of_the_fields(self) -> None:
        """a[["x", "z"]] is a view with gaps: only these fields travel, and only they are written."""
        dtype = np.dtype([("x", "f8"), ("y", "f8"), ("z", "f8")])
        got = np.zeros(5, dtype)
        sent = filled(dtype, 5, self.rank)
        sent["x"], sent["y"], sent["z"] = self.rank + 1, -1, self.rank + 2
        self.ring(sent[["z", "x"]], got[["z", "x"]])
        self.assertEqual(got["x"].tolist(), [self.left + 1.0] * 5)
        self.assertEqual(got["y"].tolist(), [0.0] * 5)
        self.assertEqual(got["z"].tolist(), [self.left + 2.0] * 5)

    def test_counts_displacements_and_parts(self) -> None:
        dtype = DTYPES[0]
        for form in (lambda a: [a, 3], lambda a: [a, (3, 2)], lambda a: [a, 3, 2, None], lambda a: a[2:5]):
            got = np.zeros(8, dtype)
            self.ring(form(filled(dtype, 8, self.rank)), [got, (3, 4)])
            whole = filled(dtype, 8, self.left)
            first = 0 if form(whole) == [whole, 3] or len(form(whole)) == 2 and form(whole)[1] == 3 else 2
            self.assertEqual(got[4:7].tobytes(), whole[first : first + 3].tobytes())
            self.assertEqual(got[:4].tobytes() + got[7:].tobytes(), bytes(5 * dtype.itemsize))

    def test_a_count_past_the_end(self) -> None:
        for array in (np.zeros(10, DTYPES[0]), np.zeros(12, DTYPES[0])[1:11]):
            with self.assertRaisesRegex(ValueError, "11 elements .* 10 elements"):
                self.comm.Send([array, 11], self.right)
            with self.assertRaisesRegex(ValueError, "4 elements from element 7 on, 11 in all, .* 10 elements"):
                self.comm.Send([array, (4, 7)], self.right)

    def test_collectives(self) -> None:
        dtype = DTYPES[2]
        buffer = filled(dtype, 4, 7) if self.rank == 0 else np.zeros(4, dtype)
        self.comm.Bcast(buffer)
        same = [name for name in dtype.names or ()]
        for name in same:
            self.assertEqual(buffer[name].tobytes(), filled(dtype, 4, 7)[name].tobytes(), name)
        dense = DTYPES[0]
        everything = np.zeros((self.size, 3), dense)
        self.comm.Allgather(filled(dense, 3, self.rank), everything)
        for rank in range(self.size):
            self.assertEqual(everything[rank].tobytes(), filled(dense, 3, rank).tobytes())
        counts = [rank + 1 for rank in range(self.size)]
        everything = np.zeros(sum(counts), dense)
        self.comm.Gatherv(filled(dense, self.rank + 1, self.rank), [everything, counts])
        if self.rank == 0:
            for rank in range(self.size):
                begin = sum(counts[:rank])
                self.assertEqual(
                    everything[begin : begin + rank + 1].tobytes(), filled(dense, rank + 1, rank).tobytes()
                )
        mine, got = filled(dense, self.size * 2, self.rank), np.zeros(self.size * 2, dense)
        self.comm.Alltoall(mine, got)
        for rank in range(self.size):
            part = filled(dense, self.size * 2, rank)[self.rank * 2 : self.rank * 2 + 2]
            self.assertEqual(got[rank * 2 : rank * 2 + 2].tobytes(), part.tobytes())

    def test_nonblocking_and_persistent_ones_keep_their_datatype(self) -> None:
        """Others push it out of the cache meanwhile."""
        dtype = np.dtype([("a", "i4"), ("b", "i1"), ("c", "f8")], align=True)
        got = np.zeros(5, dtype)
        receive = self.comm.Recv_init(got, self.left, 3)
        send = self.comm.Send_init(filled(dtype, 5, self.rank), self.right, 3)
        pending = self.comm.Irecv(np.zeros(5, dtype), self.left, 4)
        for number in range(200):
            other = np.dtype({"names": ["a"], "formats": ["i4"], "offsets": [number], "itemsize": number + 4})
            self.goes_around(other, 2)
        for _ in range(3):
            got[:] = 0
            MPI.Prequest.Startall([receive, send])
            MPI.Request.Waitall([receive, send])
            for name in dtype.names or ():
                self.assertEqual(got[name].tobytes(), filled(dtype, 5, self.left)[name].tobytes())
        sending = self.comm.Isend(filled(dtype, 5, self.rank), self.right, 4)
        pending.Wait()
        sending.Wait()
        for request in (receive, send):
            request.Free()

    def test_text_dates_and_bytes(self) -> None:
        for dtype in ("S1", "S7", "U1", "U5", "M8[ns]", "m8[D]", "V6"):
            self.goes_around(np.dtype(dtype))
        status = self.ring([np.array([b"abc", b"de"], "S3"), 1], np.zeros(1, "S3"))
        self.assertEqual(status.Get_count(MPI.CHAR), 3)
        got = np.zeros(4, "c")
        self.ring([np.array([b"abcd"]), 1], [got, MPI.CHAR])
        self.assertEqual(b"".join(got), b"abcd")

    def test_classes_derived_from_ndarray(self) -> None:
        for dtype in (DTYPES[1], DTYPES[4], DTYPES[5]):
            sent = filled(dtype, 3, self.rank).view(np.recarray)
            got = np.zeros(3, dtype).view(np.recarray)
            self.ring(sent, got)
            for name in dtype.names or ():
                self.assertEqual(got[name].tobytes(), filled(dtype, 3, self.left)[name].tobytes())

    def test_one_element(self) -> None:
        dtype = DTYPES[0]
        got = np.zeros((), dtype)
        self.ring(filled(dtype, 3, self.rank)[1], got)
        self.assertEqual(got.tobytes(), filled(dtype, 3, self.left)[1].tobytes())

    def test_views_of_arrays(self) -> None:
        for dtype in DTYPES[:4]:
            got = np.zeros(3, dtype)
            self.ring(memoryview(filled(dtype, 3, self.rank)), memoryview(got))
            for name in dtype.names or ():
                self.assertEqual(got[name].tobytes(), filled(dtype, 3, self.left)[name].tobytes())

    def test_an_explicit_datatype_wins(self) -> None:
        dtype = DTYPES[3]
        got = np.zeros(3, dtype)
        status = self.ring([filled(dtype, 3, self.rank), MPI.BYTE], [got, MPI.BYTE])
        self.assertEqual(got.tobytes(), filled(dtype, 3, self.left).tobytes())
        self.assertEqual(status.Get_count(MPI.BYTE), 3 * dtype.itemsize)

    def test_what_has_no_datatype(self) -> None:
        shared = np.dtype({"names": ["word", "bytes"], "formats": ["u4", ("u1", 4)], "offsets": [0, 0]})
        for dtype, kind, text in (
            ([("a", "i4"), ("b", [("c", "O")])], TypeError, r"field 'b\.c' of dtype .* Python objects"),
            ([("a", ">i4"), ("b", "f8")], BufferError, r"field 'a' of dtype .* byte order"),
            ([("p", [("q", ">f8", (2,))])], BufferError, r"field 'p\.q' of dtype"),
            (shared, TypeError, r"'word' and 'bytes' share bytes"),
            (">f8", BufferError, r"dtype '>f8' has no MPI datatype.* use a\.astype\('=f8'\) or|send\(\)"),
            (">U3", BufferError, r"dtype '>U3' has no MPI datatype"),
            ("O", TypeError, r"dtype '\|O' holds Python objects.*comm\.send"),
        ):
            array = np.zeros(3, dtype)
            with self.assertRaisesRegex(kind, text):
                self.comm.Send(array, self.right)
            with self.assertRaisesRegex(kind, text):
                self.comm.Bcast(array)

    def test_types_of_other_packages_are_named(self) -> None:
        if not hasattr(np.dtypes, "StringDType"):
            self.skipTest("this NumPy has no StringDType")
        with self.assertRaisesRegex((TypeError, BufferError, ValueError), "StringDType"):
            self.comm.Send(np.array(["a", "b"], np.dtypes.StringDType()), self.right)


class Inner(ctypes.Structure):
    _fields_ = [("a", ctypes.c_int), ("b", ctypes.c_double)]


class Outer(ctypes.Structure):
    _fields_ = [
        ("x", ctypes.c_int8),
        ("s", Inner),
        ("h", ctypes.c_int16 * 3),
        ("l", ctypes.c_long),
        ("w", ctypes.c_wchar),
        ("c", ctypes.c_char * 5),
        ("m", (Inner * 2) * 2),
        ("g", ctypes.c_longdouble),
        ("t", ctypes.c_bool),
    ]


class Packed(ctypes.Structure):
    _pack_ = 1
    _layout_ = "ms"
    _fields_ = [("a", ctypes.c_int8), ("b", ctypes.c_double), ("c", ctypes.c_int16)]


class Derived(Inner):
    _fields_ = [("c", ctypes.c_float)]


class Either(ctypes.Union):
    _fields_ = [("i", ctypes.c_int64), ("d", ctypes.c_double), ("c", ctypes.c_char * 13)]


class WithUnion(ctypes.Structure):
    _fields_ = [("kind", ctypes.c_int), ("value", Either)]


@our_extension("the original finds no datatype for structures")
class Ctypes(Records):
    def test_structures(self) -> None:
        for kind in (Inner, Outer, Packed, Derived, Either, WithUnion):
            for count in (None, 4):
                whole: Any = kind if count is None else kind * count
                size = ctypes.sizeof(whole)
                sent = whole.from_buffer_copy(data.message(self.rank, size).tobytes())
                got = whole.from_buffer_copy(data.message(99, size).tobytes())
                self.ring(sent, got)
                expected = whole.from_buffer_copy(data.message(self.left, size).tobytes())
                untouched = whole.from_buffer_copy(data.message(99, size).tobytes())
                flags = np.tile(self.bytes_of(kind), count or 1)
                raw = [np.frombuffer(bytes(item), np.uint8) for item in (expected, untouched)]
                self.assertEqual(list(bytes(got)), np.where(flags, *raw).tolist(), f"{kind.__name__} {count}")

    def bytes_of(self, kind: Any) -> Any:
        flags = np.zeros(ctypes.sizeof(kind), bool)
        if issubclass(kind, ctypes.Array):
            return np.tile(self.bytes_of(kind._type_), kind._length_)
        if not issubclass(kind, ctypes.Structure):
            flags[:] = True
            return flags
        for base in kind.__mro__:
            for name, field, *_ in base.__dict__.get("_fields_", ()):
                place = getattr(base, name).offset
                flags[place : place + ctypes.sizeof(field)] |= self.bytes_of(field)
        return flags

    def test_like_the_dtype(self) -> None:
        dtype = np.dtype([("a", "i4"), ("b", "f8")], align=True)
        got = np.zeros(3, dtype)
        self.ring((Inner * 3)(*[(self.rank + i, i / 2) for i in range(3)]), got)
        self.assertEqual(got["a"].tolist(), [self.left + i for i in range(3)])
        self.assertEqual(got["b"].tolist(), [0, 0.5, 1])
        back = (Inner * 3)()
        self.ring(got, memoryview(back))
        self.assertEqual([back[i].a for i in range(3)], [(self.left - 1) % self.size + i for i in range(3)])

    def test_what_has_no_datatype(self) -> None:
        class Bits(ctypes.Structure):
            _fields_ = [("a", ctypes.c_int, 3), ("b", ctypes.c_int, 5)]

        class Address(ctypes.Structure):
            _fields_ = [("a", ctypes.c_int), ("next", ctypes.POINTER(ctypes.c_int))]

        class Text(ctypes.Structure):
            _fields_ = [("inner", Address * 2), ("text", ctypes.c_char_p)]

        class Other(ctypes.BigEndianStructure):
            _fields_ = [("a", ctypes.c_int)]

        class Object(ctypes.Structure):
            _fields_ = [("o", ctypes.py_object)]

        for kind, text in (
            (Bits, "field 'a' of the ctypes structure Bits is a bit field"),
            (Address, "field 'next' .* address"),
            (Text, r"field 'inner\.next' .* address"),
            (Other, "field 'a' .* byte order"),
            (Object, "field 'o' .* Python object"),
        ):
            with self.assertRaisesRegex(TypeError, text):
                self.comm.Send(kind(), self.right)
            status = self.ring([kind(), MPI.BYTE], [kind(), MPI.BYTE])
            self.assertEqual(status.Get_count(MPI.BYTE), ctypes.sizeof(kind))


class PyBuffer(ctypes.Structure):
    _fields_ = [
        ("buf", ctypes.c_void_p),
        ("obj", ctypes.c_void_p),
        ("len", ctypes.c_ssize_t),
        ("itemsize", ctypes.c_ssize_t),
        ("readonly", ctypes.c_int),
        ("ndim", ctypes.c_int),
        ("format", ctypes.c_char_p),
        ("shape", ctypes.c_void_p),
        ("strides", ctypes.c_void_p),
        ("suboffsets", ctypes.c_void_p),
        ("internal", ctypes.c_void_p),
    ]


class Exported:
    """A memoryview of an array's memory that knows nothing but a format and a size."""

    def __init__(self, array: Any, form: str) -> None:
        self.array, self.form = array, form.encode()
        self.shape = (ctypes.c_ssize_t * 1)(array.size)
        buffer = PyBuffer(
            array.ctypes.data, None, array.nbytes, array.itemsize, 0, 1, self.form, ctypes.addressof(self.shape)
        )
        make = ctypes.pythonapi.PyMemoryView_FromBuffer
        make.restype, make.argtypes = ctypes.py_object, [ctypes.POINTER(PyBuffer)]
        self.view = make(ctypes.byref(buffer))


@our_extension("the original finds no datatype for formats with fields")
class Formats(Records):
    def goes_by_format(self, dtype: Any, form: str) -> None:
        dtype = np.dtype(dtype)
        got, kept = filled(dtype, 4, 99), filled(dtype, 4, 99)
        sender, receiver = Exported(filled(dtype, 4, self.rank), form), Exported(got, form)
        self.ring(sender.view, receiver.view)
        flags = np.tile(mask(dtype), 4)
        expected = np.where(flags, filled(dtype, 4, self.left).view(np.uint8), kept.view(np.uint8))
        self.assertEqual(got.view(np.uint8).tolist(), expected.tolist(), form)

    def test_formats(self) -> None:
        aligned = np.dtype([("a", "i1"), ("b", "f8"), ("c", "i2")], align=True)
        for dtype, form in (
            (aligned, "T{b:a:d:b:h:c:}"),
            (aligned, "T{b:a:xxxxxxxd:b:h:c:xxxxxx}"),
            (aligned, "T{=b:a:7x<d:b:h:c:6x}"),
            (aligned, "^T{b:a:7xd:b:h:c:6x}"),
            ([("a", "i1"), ("b", "f8")], "T{=b:a:d:b:}"),
            ([("a", "i4"), ("b", "f8", (2, 3))], "T{=i:a:(2,3)d:b:}"),
            ([("a", "i4"), ("b", "f8", (2, 3))], "T{i:a:(2,3)=d:b:}"),
            ([("s", "S5"), ("w", "U2"), ("z", "c8"), ("l", "i8")], "^T{5s:s:2w:w:Zf:z:l:l:}"),
            ([("n", [("q", "i4"), ("r", "f4")], (3,)), ("e", "i4")], "T{(3)T{i:q:f:r:}:n:i:e:}"),
            ("S5", "5s"),
            ([("a", "i4"), ("b", "i4")], "ii"),
        ):
            self.goes_by_format(dtype, form)

    @not_on("Intel", "it lacks datatypes of some NumPy types")
    def test_formats_of_numpy(self) -> None:
        """Those that NumPy reads back as it wrote them are understood, or refused."""
        numbers = random.Random(7)
        understood = 0
        for _ in range(200):
            # Raw bytes are gaps in NumPy's formats.
            dtype = random_dtype(numbers, raw="f8")
            try:
                form = memoryview(np.zeros(1, dtype)).format
                if np.asarray(memoryview(np.zeros(1, dtype))).dtype != dtype:
                    continue
            except (ValueError, RuntimeError):
                continue
            try:
                self.goes_by_format(dtype, form)
            except TypeError as error:
                self.assertRegex(str(error), "has no MPI datatype")
            else:
                understood += 1
        self.assertGreater(understood, 20)

    def test_what_has_no_datatype(self) -> None:
        for size, form, kind, text in (
            (16, "T{i:a:O:b:}", TypeError, "field 'b' of format .* Python objects"),
            (16, "T{i:a:4xT{O:x:}:b:}", TypeError, r"field 'b\.x'"),
            (12, "T{=i:a:>d:b:}", BufferError, "field 'b' of format .* byte order"),
            (16, "T{i:a:&i:b:}", TypeError, "field 'b' of format"),
            (16, "T{<i:a:<d:b:}", TypeError, "elements of 16 bytes has no MPI datatype"),
            (16, "T{<i:a:", TypeError, "no MPI datatype"),
            (16, "T{", TypeError, "no MPI datatype"),
            (4, "T{99999999999999999999i:a:}", TypeError, "no MPI datatype"),
            (4, "T{(2,i:a:}", TypeError, "no MPI datatype"),
            (4, "T{i:a}", TypeError, "no MPI datatype"),
            (4, "T}", TypeError, "no MPI datatype"),
            (24, "T{(2)T{q:a:i:b:}:n:}", TypeError, "no MPI datatype"),
        ):
            exported = Exported(np.zeros(3 * size, "u1").view(f"V{size}"), form)
            with self.assertRaisesRegex(kind, text, msg=form):
                self.comm.Send(exported.view, self.right)


if __name__ == "__main__":
    unittest.main()

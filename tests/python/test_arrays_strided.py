"""MPI.strided: arrays of any strides as messages, their elements in C order, without a copy by hand."""

from __future__ import annotations

import random
import unittest
from typing import Any

import numpy as np
from mpi4py import MPI
from support import data
from support.case import OUR_EXTENSION, Case, later, not_on, our_extension

strided: Any = MPI.strided if OUR_EXTENSION else None


def numbers(shape: Any, seed: int = 0, dtype: str = "f8") -> Any:
    """Whole numbers, different for every seed."""
    return (np.arange(int(np.prod(shape))) + 1000 * seed).astype(dtype).reshape(shape)


def random_view(random: random.Random, dtype: str) -> tuple[Any, Any]:
    """An array of zeros and a view of it: parts, steps, negative ones, axes exchanged, taken and added."""
    shape = [random.randint(1, 6) for _ in range(random.randint(1, 4))]
    base = np.zeros(shape, dtype, order=random.choice("CF"))
    view = base
    cuts: list[Any] = []
    for size in shape:
        kind = random.random()
        if kind < 0.15:
            cuts.append(random.randrange(size))
        elif kind < 0.35:
            cuts.append(slice(None))
        else:
            step = random.choice([-3, -2, -1, 1, 2, 3])
            cuts.append(slice(None, None, step) if kind < 0.7 else slice(random.randrange(size), None, step))
    view = view[tuple(cuts)]
    if not isinstance(view, np.ndarray):
        view = base
    if view.ndim > 1 and random.random() < 0.5:
        axes = list(range(view.ndim))
        random.shuffle(axes)
        view = view.transpose(axes)
    if random.random() < 0.2:
        view = view[:, None] if view.ndim else view[None]
    return base, view


class Strided(Case):
    def ring(self, send: Any, receive: Any) -> MPI.Status:
        status = MPI.Status()
        self.comm.Sendrecv(send, self.right, 1, receive, self.left, 1, status)
        return status

    def same(self, got: Any, expected: Any, note: object = "") -> None:
        self.assertTrue(np.array_equal(got, expected), f"{note}\n{got}\ninstead of\n{expected}")

    def both_ways(self, base: Any, view: Any) -> None:
        """Out of the view into an array of its own; back, where only the view's elements may change; and into itself."""
        values = numbers(view.shape, self.rank, view.dtype.str)
        expected = numbers(view.shape, self.left, view.dtype.str)
        note = f"shape {view.shape}, strides {view.strides}, {view.dtype}"
        view[...] = values
        got = np.full(view.shape, 7, view.dtype)
        status = self.ring(strided(view), got)
        self.same(got, expected, note)
        self.assertEqual(status.Get_count(MPI.BYTE), view.size * view.itemsize)
        for sent in (values, strided(view)):
            target, whole = np.full_like(base, 99), np.full_like(base, 99)
            self.same_place(whole, base, view)[...] = expected
            self.ring(sent, strided(self.same_place(target, base, view)))
            self.same(target, whole, note)

    def same_place(self, other: Any, base: Any, view: Any) -> Any:
        """In `other`, which is laid out like `base`, the view that `view` is in that."""
        flat = np.frombuffer((other if other.flags.c_contiguous else other.T).data, view.dtype)
        first = (view.ctypes.data - base.ctypes.data) // view.itemsize
        return np.lib.stride_tricks.as_strided(flat[first:], view.shape, view.strides)


@our_extension("MPI.strided")
class PointToPoint(Strided):
    def test_a_column_a_row_and_a_face(self) -> None:
        matrix, cube = np.zeros((50, 40)), np.zeros((8, 9, 10), "i4")
        for base, view in (
            (matrix, matrix[:, 3]),
            (matrix, matrix[3]),
            (matrix, matrix[::-1, 5]),
            (matrix, matrix[::-1]),
            (matrix, matrix.T),
            (matrix, matrix[1:-1, 1:-1]),
            (matrix, matrix[::2, ::3]),
            (matrix, matrix[10:2:-3, 30:2:-5]),
            (matrix, matrix),
            (matrix, matrix[7, 7]),
            (cube, cube[:, :, 0]),
            (cube, cube[:, 4, :]),
            (cube, cube[2]),
            (cube, cube[1:-1, 1:-1, 1:-1]),
            (cube, cube.transpose(2, 0, 1)),
            (cube, cube[:, ::-1, ::2]),
        ):
            self.both_ways(base, np.asarray(view) if view.ndim else base[7:8, 7])

    def test_any_view(self) -> None:
        choices = random.Random(20240612)
        for _ in range(200):
            self.both_ways(*random_view(choices, choices.choice(["i1", "i2", "i4", "f8", "c16", "?", "f4"])))

    def test_more_dimensions_than_one_needs(self) -> None:
        base = np.zeros((3, 2, 3, 2, 3, 2, 3))
        self.both_ways(base, base.transpose(6, 4, 2, 0, 5, 3, 1)[::-1, :, 1:])

    def test_sizes_where_messages_change_their_ways(self) -> None:
        for rows in (1, 2, 6, 7, 100, 511, 513, 4000, 4097, 20_000, 150_000):
            base = np.zeros((rows, 3))
            self.both_ways(base, base[:, 1])

    def test_no_elements(self) -> None:
        base = np.zeros((5, 6))
        status = self.ring(strided(base[:, 3:3]), strided(base[2:2, ::2]))
        self.assertEqual(status.Get_count(MPI.BYTE), 0)
        self.assertFalse(base.any())

    def test_all_modes(self) -> None:
        matrix = numbers((30, 20), self.rank)
        expected = numbers((30, 20), self.left)[:, 4]
        MPI.Attach_buffer(bytearray(1 << 16))
        for send in ("Send", "Bsend", "Ssend", "Isend", "Ibsend", "Issend"):
            got = np.zeros((30, 2))
            request = self.comm.Irecv(strided(got[:, 1]), self.left, 3)
            started = getattr(self.comm, send)(strided(matrix[:, 4]), self.right, 3)
            if started is not None:
                started.Wait()
            request.Wait()
            self.same(got[:, 1], expected, send)
            self.assertFalse(got[:, 0].any(), send)
        MPI.Detach_buffer()
        for send in ("Send_init", "Ssend_init"):
            got = np.zeros((30, 2))
            requests = [
                self.comm.Recv_init(strided(got[::-1, 1]), self.left, 3),
                getattr(self.comm, send)(strided(matrix[:, 4]), self.right, 3),
            ]
            # Other views push these out of the cache meanwhile.
            for steps in range(100):
                self.ring(strided(np.zeros(400)[:: steps + 1]), np.zeros(400))
            for _ in range(3):
                got[:] = 0
                MPI.Prequest.Startall(requests)
                MPI.Request.Waitall(requests)
                self.same(got[::-1, 1], expected, send)
            for request in requests:
                request.Free()
        got = np.zeros((30, 2))
        request = self.comm.Isend(strided(matrix[:, 4]), self.right, 5)
        self.comm.Mprobe(self.left, 5).Recv(strided(got[:, 0]))
        request.Wait()
        self.same(got[:, 0], expected)

    def test_replacing(self) -> None:
        matrix = numbers((6, 5), self.rank)
        self.comm.Sendrecv_replace(strided(matrix[:, 2]), self.right, 1, self.left, 1)
        expected = numbers((6, 5), self.rank)
        expected[:, 2] = numbers((6, 5), self.left)[:, 2]
        self.same(matrix, expected)

    def test_views_live_as_long_as_their_request(self) -> None:
        requests = []
        for index in range(20):
            requests.append(self.comm.Isend(strided(np.full((2000, 3), index, "f8")[:, 1]), self.right, index))
        for index in range(20):
            got = np.zeros(2000)
            self.comm.Recv(got, self.left, index)
            self.assertEqual(set(got.tolist()), {float(index)})
        MPI.Request.Waitall(requests)

    def test_records_and_parts_of_numbers(self) -> None:
        dtype = np.dtype([("a", "i1"), ("b", "f8"), ("c", "i2", (3,))], align=True)
        base = np.zeros((6, 4), dtype)
        base["b"], base["a"], base["c"] = numbers((6, 4), self.rank), self.rank, self.rank + 1
        got = np.zeros((4, 6), dtype)
        self.ring(strided(base[::-1, 1]), strided(got[2]))
        self.same(got["b"][2], numbers((6, 4), self.left)[::-1, 1])
        self.assertEqual(got["a"][2].tolist() + got["c"][2].ravel().tolist(), [self.left] * 6 + [self.left + 1] * 18)
        self.assertFalse(got["b"][:2].any() or got["b"][3:].any())
        # A field alone, and the imaginary parts of numbers.
        got_b = np.zeros((6, 4))
        self.ring(strided(base["b"]), got_b)
        self.same(got_b, numbers((6, 4), self.left))
        target = np.zeros(5, "c16")
        self.ring(strided(numbers((5, 2), self.rank)[:, 1]), strided(target.imag))
        self.same(target, numbers((5, 2), self.left)[:, 1] * 1j)

    def test_other_buffers(self) -> None:
        got = bytearray(20)
        self.ring(
            strided(memoryview(data.message(self.rank, 20).tobytes())[::3]),
            strided(memoryview(got)[::-2][:7]),
        )
        expected = bytearray(20)
        view = memoryview(expected)[::-2][:7]
        for place, value in enumerate(data.message(self.left, 20).tobytes()[::3]):
            view[place] = value
        self.assertEqual(got, expected)
        plain = bytearray(5)
        self.ring(strided(b"abcde"), strided(plain))
        self.assertEqual(plain, b"abcde")
        # A class derived from ndarray.
        result = np.zeros((3, 4)).view(np.recarray)
        self.ring(strided(numbers((3, 4), self.rank)[:, 1]), strided(result[:, 2]))
        self.same(result[:, 2], numbers((3, 4), self.left)[:, 1])

    def test_dlpack_and_the_cuda_array_interface(self) -> None:
        class ByDlpack:
            def __init__(self, array: Any) -> None:
                self.array = array

            def __dlpack__(self, **options: Any) -> Any:
                return self.array.__dlpack__()

            def __dlpack_device__(self) -> tuple[int, int]:
                return (1, 0)

        class ByInterface:
            def __init__(self, array: Any) -> None:
                self.array = array
                self.__cuda_array_interface__ = {
                    "data": (array.ctypes.data, False),
                    "typestr": array.dtype.str,
                    "shape": array.shape,
                    "strides": array.strides,
                    "version": 3,
                }

        for wrap in (ByDlpack, ByInterface):
            matrix, got = numbers((6, 5), self.rank), np.zeros((6, 5))
            self.ring(strided(wrap(matrix[::2, 1])), strided(wrap(got[3:, 4])))
            expected = np.zeros((6, 5))
            expected[3:, 4] = numbers((6, 5), self.left)[::2, 1]
            self.same(got, expected, wrap.__name__)
            with self.assertRaisesRegex(BufferError, r"not contiguous: MPI\.strided"):
                self.comm.Send(wrap(matrix[:, 1]), self.right)


@our_extension("MPI.strided")
class InLists(Strided):
    def test_counts_and_displacements_are_elements(self) -> None:
        """Any stretch of the elements, wherever it begins and ends."""
        for shape, cut in (
            ((7, 5), np.s_[:, 1]),
            ((7, 5), np.s_[::2, ::2]),
            ((4, 5, 6), np.s_[::-1, 1:4, ::2]),
            ((3, 4, 3, 4), np.s_[:2, ::3, :, 1:3]),
        ):
            source, total = numbers(shape, self.rank)[cut], numbers(shape)[cut].size
            for displ in range(total):
                for count in {0, 1, 2, 3, 5, 7, total - displ}:
                    if displ + count > total:
                        continue
                    expected = numbers(shape, self.left)[cut].reshape(-1)[displ : displ + count]
                    got = np.zeros(count)
                    self.ring([strided(source), (count, displ)], got)
                    self.same(got, expected, (shape, count, displ))
                    target, whole = np.zeros(shape), np.zeros(total)
                    whole[displ : displ + count] = expected
                    self.ring([strided(source), count, displ, None], [strided(target[cut]), (count, displ)])
                    self.same(target[cut].reshape(-1), whole, (shape, count, displ))

    def test_datatypes(self) -> None:
        matrix = numbers((6, 4), self.rank, "i4")
        expected = numbers((6, 4), self.left, "i4")[:, ::2]
        for datatype, count in ((MPI.INT32_T, 12), ("i", 12), (MPI.SHORT, 24), (MPI.BYTE, 48)):
            got = np.zeros((6, 2), "i4")
            self.ring([strided(matrix[:, ::2]), datatype], [got, datatype])
            self.same(got, expected)
            got = np.zeros((6, 4), "i4")
            self.ring([strided(matrix[:, ::2]), count, datatype], [strided(got[::-1, 1::2]), count, datatype])
            self.same(got[::-1, 1::2], expected)
            self.assertFalse(got[:, ::2].any())
        # Three bytes of the first element.
        got = np.zeros(3, "u1")
        self.ring([strided(matrix[:, 1]), 3, MPI.BYTE], got)
        self.same(got, numbers((6, 4), self.left, "i4")[:1, 1].copy().view("u1")[:3])
        pair = MPI.INT.Create_contiguous(2).Commit()
        pairs = np.zeros((6, 4), np.dtype([("a", "i4"), ("b", "i4")]))
        pairs["a"], pairs["b"] = matrix, -matrix
        got = np.zeros((6, 2), "i4")
        self.ring([strided(pairs[:, 3]), pair], got)
        self.same(got[:, 0], numbers((6, 4), self.left, "i4")[:, 3])
        self.same(got[:, 1], -got[:, 0])
        pair.Free()

    def test_what_does_not_fit(self) -> None:
        column = np.zeros((10, 3))[:, 1]
        for message, text in (
            ([strided(column), 11], "11 elements .* 10 elements of 8 bytes"),
            ([strided(column), 11, MPI.DOUBLE], "11 elements .* 10 elements of 8 bytes"),
            ([strided(column), (4, 7), MPI.DOUBLE], "4 elements from element 7 on, 11 in all, .* 10 elements"),
            ([strided(column), (1, 11)], "displacement 11 .* 10 elements"),
            ([strided(column), (1, -1)], "displacement -1"),
            ([strided(column), -1], "negative count -1"),
            ([strided(column), 81, MPI.BYTE], "81 elements .* 80 elements of 1 bytes"),
            ([strided(column), MPI.LONG_DOUBLE], "extent is 16 bytes, elements of the strided array have 8"),
        ):
            for call in (self.comm.Send, self.comm.Recv, self.comm.Isend):
                with self.assertRaisesRegex(ValueError, text, msg=str(message)):
                    call(message, self.right)

    def test_what_is_refused(self) -> None:
        with self.assertRaisesRegex(TypeError, "expecting an array or another buffer, not 'int'"):
            strided(3)
        with self.assertRaises(TypeError):
            strided([np.zeros(3), MPI.INT])
        readonly = np.zeros((3, 4))
        readonly.setflags(write=False)
        with self.assertRaisesRegex(BufferError, "read-only"):
            self.comm.Recv(strided(readonly[:, 0]), self.left)
        with self.assertRaisesRegex(TypeError, "MPI.strided stands for a message; here memory in one piece"):
            MPI.buffer(strided(readonly))
        with self.assertRaisesRegex(TypeError, "one piece"):
            MPI.DOUBLE.Pack(strided(readonly[:, 0]), bytearray(100), 0, self.comm)
        with self.assertRaisesRegex(TypeError, "one piece"):
            self.comm.Alltoallw(
                [strided(readonly[:, 0]), [MPI.DOUBLE] * self.size], [np.zeros(3), [MPI.DOUBLE] * self.size]
            )
        with self.assertRaisesRegex(BufferError, r"not contiguous: MPI\.strided\(a\)"):
            self.comm.Send(np.zeros((3, 4))[:, 0], self.right)

    def test_elements_that_share_memory_are_sent_and_not_received(self) -> None:
        row = numbers(4, self.rank)
        for view, of_left in (
            (np.broadcast_to(row, (3, 4)), np.broadcast_to(numbers(4, self.left), (3, 4))),
            (np.broadcast_to(row[:, None], (4, 3)), np.broadcast_to(numbers(4, self.left)[:, None], (4, 3))),
            (np.broadcast_to(row[:1], (5,)), np.broadcast_to(numbers(4, self.left)[:1], (5,))),
            (
                np.lib.stride_tricks.sliding_window_view(row, 2),
                np.lib.stride_tricks.sliding_window_view(numbers(4, self.left), 2),
            ),
        ):
            got = np.zeros(view.shape)
            self.ring(strided(view), got)
            self.same(got, of_left)
            writable = np.lib.stride_tricks.as_strided(row, view.shape, view.strides)
            with self.assertRaisesRegex(ValueError, "share memory .*receive into an array of its own"):
                self.comm.Recv(strided(writable), self.left)

    def test_text(self) -> None:
        self.assertEqual(
            repr(strided(np.zeros((5, 6))[::2, 1])), "<mpi4py.MPI.strided of ndarray, shape (3,), strides (96,)>"
        )
        array = np.zeros((5, 6))[:, 2]
        self.assertIs(strided(strided(array)).obj, array)


@our_extension("MPI.strided")
class Collectives(Strided):
    def test_bcast(self) -> None:
        for root in range(self.size):
            matrix = numbers((7, 6), root) if self.rank == root else np.zeros((7, 6))
            self.comm.Bcast(strided(matrix[::-2, 1::2]), root)
            self.same(matrix[::-2, 1::2], numbers((7, 6), root)[::-2, 1::2])
            if self.rank != root:
                self.assertFalse(matrix[:, ::2].any() or matrix[1::2].any())

    @not_on("Intel", "its Gather puts blocks of some derived types elsewhere")
    def test_gather_and_scatter(self) -> None:
        """Blocks are equal parts of the root's view, along its first axis."""
        for blocks_shape in ((self.size,), (self.size * 3,), (self.size, 4), (self.size * 2, 3, 2)):
            base = np.zeros((2 * blocks_shape[0], *(2 * size for size in blocks_shape[1:])))
            views = [base[tuple(slice(None, None, 2) for _ in blocks_shape)], base[::-2]]
            for view in views:
                part = (view.shape[0] // self.size, *view.shape[1:])
                base[...] = 0
                self.comm.Gather(numbers(part, self.rank), strided(view) if self.rank == 0 else None)
                expected = np.concatenate([numbers(part, rank) for rank in range(self.size)])
                if self.rank == 0:
                    self.same(view, expected)
                    self.assertEqual(np.count_nonzero(base), np.count_nonzero(expected))
                base[...] = 0
                self.comm.Allgather(numbers(part, self.rank), strided(view))
                self.same(view, expected)
                self.assertEqual(np.count_nonzero(base), np.count_nonzero(expected))
                base[...] = 0
                view[...] = numbers(view.shape)
                got = np.zeros((*part, 2))
                self.comm.Scatter(strided(view) if self.rank == 0 else None, strided(got[..., 1]))
                self.same(got[..., 1], numbers(view.shape)[self.rank * part[0] : (self.rank + 1) * part[0]])
                view[...] = numbers(view.shape, self.rank)
                others = np.zeros(view.shape)
                self.comm.Alltoall(strided(view), others)
                mine = slice(self.rank * part[0], (self.rank + 1) * part[0])
                self.same(others, np.concatenate([numbers(view.shape, r)[mine] for r in range(self.size)]))

    def test_in_place(self) -> None:
        base = np.zeros((self.size, 6))
        base[self.rank, ::2] = self.rank + 1
        self.comm.Allgather(MPI.IN_PLACE, strided(base[:, ::2]))
        self.same(base[:, ::2], np.repeat(np.arange(1.0, self.size + 1)[:, None], 3, 1))
        self.assertFalse(base[:, 1::2].any())

    def test_vector_forms(self) -> None:
        counts = [rank + 1 for rank in range(self.size)]
        total = sum(counts)
        starts = [sum(counts[:rank]) for rank in range(self.size)]
        column = np.zeros((total, 3))
        message = [strided(column[:, 1]), counts] if self.rank == 0 else None
        self.comm.Gatherv(numbers(self.rank + 1, self.rank), message)
        if self.rank == 0:
            self.same(column[:, 1], np.concatenate([numbers(rank + 1, rank) for rank in range(self.size)]))
            self.assertFalse(column[:, ::2].any())
        # Backwards, blocks in another order, rows of two numbers.
        rows = np.zeros((total, 4))
        back = rows[::-1, ::3]
        displs = [2 * (total - starts[rank] - counts[rank]) for rank in range(self.size)]
        self.comm.Allgatherv(
            numbers((self.rank + 1, 2), self.rank), [strided(back), ([2 * count for count in counts], displs)]
        )
        expected = np.concatenate([numbers((rank + 1, 2), rank) for rank in reversed(range(self.size))])
        self.same(back, expected)
        got = np.zeros((self.rank + 1, 2))
        self.comm.Scatterv([strided(back), [2 * count for count in counts], displs, MPI.DOUBLE], got)
        self.same(got, numbers((self.rank + 1, 2), self.rank))
        # Shares of all elements, one more for the first ranks.
        whole = numbers((2 * self.size + 1, 2))[:, 1]
        got = np.zeros(3 if self.rank == 0 else 2)
        self.comm.Scatterv(strided(whole) if self.rank == 0 else None, got)
        self.same(got, whole[:3] if self.rank == 0 else whole[2 * self.rank + 1 : 2 * self.rank + 3])
        mine, others = numbers((self.size, 4), self.rank), np.zeros((self.size, 4))
        self.comm.Alltoallv(strided(mine[:, 1]), strided(others[:, 2]))
        self.same(others[:, 2], [numbers((self.size, 4), rank)[self.rank, 1] for rank in range(self.size)])

    def test_blocks_that_cannot_be(self) -> None:
        matrix = np.zeros((3, 2 * self.size + 1, 2))[:, :-1, 0]
        if self.size == 2:
            with self.assertRaisesRegex(ValueError, r"shape \(3, 4\) .* cut into 2 blocks of 6 .* multiple of 4"):
                self.comm.Allgather(np.zeros(6), strided(matrix))
        if self.size == 4:
            with self.assertRaisesRegex(ValueError, r"24 elements are not a multiple of 5 blocks|blocks of 6"):
                self.comm.Allgather(np.zeros(6), strided(matrix))
        with self.assertRaisesRegex(
            ValueError, f"1 elements from element 0 on .* multiples of {2 * self.size} elements"
        ):
            self.comm.Allgatherv(np.zeros(1), [strided(matrix), [1] * self.size])
        with self.assertRaisesRegex(ValueError, r"do not fit.*\(block of rank 0\)"):
            self.comm.Allgatherv(np.zeros(1), [strided(matrix), [100] * self.size])
        with self.assertRaisesRegex(ValueError, "negative count -1 for rank 0"):
            self.comm.Allgatherv(np.zeros(1), [strided(matrix), [-1] * self.size])

    def test_reductions(self) -> None:
        """By way of a copy: results are in the view, and only there."""
        total = sum(numbers((4, 5), rank) for rank in range(self.size))
        mine, base = numbers((4, 5), self.rank), np.zeros((4, 10))
        for send in (mine, strided(np.asfortranarray(mine)), strided(mine)):
            base[...] = 0
            self.comm.Allreduce(send, strided(base[::-1, 1::2]))
            self.same(base[::-1, 1::2], total)
            self.assertFalse(base[:, ::2].any())
        base[:, ::2] = mine
        self.comm.Allreduce(MPI.IN_PLACE, strided(base[:, ::2]), MPI.MAX)
        self.same(base[:, ::2], numbers((4, 5), self.size - 1))
        column = np.zeros((4, 3))
        for root in range(self.size):
            column[...] = 0
            self.comm.Reduce(strided(mine[:, 2]), strided(column[:, 1]) if self.rank == root else None, root=root)
            self.same(column[:, 1], total[:, 2] if self.rank == root else np.zeros(4))
        self.comm.Scan(strided(mine[:, 2]), strided(column[:, 0]))
        self.same(column[:, 0], sum(numbers((4, 5), rank)[:, 2] for rank in range(self.rank + 1)))
        column[...] = 5
        self.comm.Exscan(strided(mine[:, 2]), strided(column[:, 2]))
        before = sum((numbers((4, 5), rank)[:, 2] for rank in range(self.rank)), np.zeros(4))
        self.same(column[:, 2], before if self.rank else np.full(4, 5.0))
        wide, part = numbers((self.size, 3, 2), self.rank), np.zeros((3, 2))
        self.comm.Reduce_scatter_block(strided(wide[:, :, 1]), strided(part[:, 0]))
        self.same(part[:, 0], sum(numbers((self.size, 3, 2), rank)[self.rank, :, 1] for rank in range(self.size)))
        self.comm.Reduce_scatter(strided(wide[:, :, 0]), strided(part[:, 1]))
        self.same(part[:, 1], sum(numbers((self.size, 3, 2), rank)[self.rank, :, 0] for rank in range(self.size)))
        inout = numbers((4, 3), 1)
        MPI.SUM.Reduce_local(strided(numbers((3, 4), 2).T), strided(inout[:, :]))
        self.same(inout, numbers((4, 3), 1) + numbers((3, 4), 2).T)
        inout = numbers((4, 3), 1)
        MPI.PROD.Reduce_local(numbers(4, 2), strided(inout[::-1, 1]))
        self.same(inout[::-1, 1], numbers((4, 3), 1)[::-1, 1] * numbers(4, 2))
        self.same(inout[:, ::2], numbers((4, 3), 1)[:, ::2])

    def test_an_operation_in_python(self) -> None:
        def combine(a: Any, b: Any, datatype: MPI.Datatype) -> None:
            self.assertEqual(datatype, MPI.DOUBLE)
            np.frombuffer(b, "f8")[:] += np.frombuffer(a, "f8")

        operation = MPI.Op.Create(combine, commute=True)
        got = np.zeros((5, 2))
        self.comm.Allreduce(strided(numbers((5, 3), self.rank)[:, 1]), strided(got[:, 1]), operation)
        self.same(got[:, 1], sum(numbers((5, 3), rank)[:, 1] for rank in range(self.size)))
        operation.Free()

    def test_nonblocking_reductions(self) -> None:
        """The result is in the view when the request is over, whatever ends it."""
        total = sum(numbers((4, 5), rank) for rank in range(self.size))
        up_to = sum(numbers((4, 5), rank) for rank in range(self.rank + 1))
        for end in (MPI.Request.Wait, MPI.Request.wait, lambda request: MPI.Request.Waitall([request])):
            mine, base = numbers((4, 5), self.rank), np.zeros((4, 10))
            end(self.comm.Iallreduce(strided(mine), strided(base[:, ::2])))
            self.same(base[:, ::2], total)
            self.assertFalse(base[:, 1::2].any())
            base[:, 1::2] = mine
            end(self.comm.Iscan(MPI.IN_PLACE, strided(base[:, 1::2])))
            self.same(base[:, 1::2], up_to)
        column = np.zeros((4, 3))
        request = self.comm.Ireduce(strided(mine[:, 2]), strided(column[:, 1]) if self.rank == 0 else None)
        while not request.Test():
            pass
        self.same(column[:, 1], total[:, 2] if self.rank == 0 else np.zeros(4))

    def test_persistent_reductions(self) -> None:
        """What is in the view at the start counts; the result is there at the end, and nothing happens afterwards."""
        mine, base = np.zeros((4, 5)), np.zeros((4, 10))
        own = numbers((4, 5), self.rank)
        total = sum(numbers((4, 5), rank) for rank in range(self.size))
        request = self.comm.Allreduce_init(strided(mine), strided(base[:, ::2]))
        inside = self.comm.Allreduce_init(MPI.IN_PLACE, strided(base[:, 1::2]), MPI.SUM)
        both = [request, inside]
        ends: list[Any] = [
            lambda requests: [one.Wait() for one in requests],
            lambda requests: [one.wait() for one in requests],
            MPI.Request.Waitall,
            MPI.Request.waitall,
            lambda requests: [MPI.Request.Waitany(requests) for _ in requests],
            lambda requests: [MPI.Request.waitany(requests) for _ in requests],
        ]
        for turn, end in enumerate(ends):
            mine[...] = own + turn
            base[...] = -1
            base[:, 1::2] = own * turn
            if turn % 2:
                MPI.Prequest.Startall(both)
            else:
                for one in both:
                    one.Start()
            end(both)
            self.same(base[:, ::2], total + turn * self.size)
            self.same(base[:, 1::2], total * turn)
        base[...] = 7
        for one in both:
            one.Wait()
            one.Free()
        del request, inside, both, one
        self.assertTrue((base == 7).all())

    @later("nonblocking collectives")
    def test_nonblocking(self) -> None:
        base = np.zeros((self.size, 6))
        self.comm.Iallgather(strided(numbers((3, 2), self.rank)[:, 1]), strided(base[:, ::2])).Wait()
        self.same(base[:, ::2], [numbers((3, 2), rank)[:, 1] for rank in range(self.size)])


@our_extension("MPI.strided")
class Elsewhere(Strided):
    @later("one-sided communication")
    def test_windows(self) -> None:
        memory = numbers(20, self.rank)
        window = MPI.Win.Create(memory, 8, comm=self.comm)
        got, sent = np.zeros((6, 3)), numbers((3, 4), self.rank + 10)
        window.Fence()
        window.Get(strided(got[:, 1]), self.right, 2)
        window.Fence()
        self.same(got[:, 1], numbers(20, self.right)[2:8])
        window.Put(strided(sent[::-1, 2]), self.right, 8)
        window.Accumulate([strided(sent[:, 1]), 2], self.right, [15])
        window.Fence()
        expected = numbers(20, self.rank)
        expected[8:11] = numbers((3, 4), self.left + 10)[::-1, 2]
        expected[15:17] += numbers((3, 4), self.left + 10)[:2, 1]
        self.same(memory, expected)
        window.Free()

    def test_self(self) -> None:
        matrix, got = numbers((300, 200)), np.zeros((200, 300))
        MPI.COMM_SELF.Sendrecv(strided(matrix), 0, 0, strided(got.T), 0, 0)
        self.same(got, matrix.T)
        request = MPI.COMM_SELF.Isend(strided(matrix.T), 0, 0)
        MPI.COMM_SELF.Recv(got, 0, 0)
        request.Wait()
        self.same(got, matrix.T)


if __name__ == "__main__":
    unittest.main()

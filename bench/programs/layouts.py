"""Parts of arrays that are not contiguous, each with its derived type.

column   column 3 of a 1000 x 1000 matrix: 1000 single elements, 8000 bytes apart
         (vector)
face_j   block[:, 5, :] of a 128 x 128 x 128 block: 128 rows of 1 KiB, 128 KiB apart
         (subarray)
face_k   block[:, :, 5] of it: 16,384 single elements, 1 KiB apart, the worst face
         (subarray)
indexed  10,000 blocks of 1 to 5 elements with 1 to 8 elements between them (indexed)

All of float64.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from common import JUNK, Array
from mpi4py import MPI

MATRIX = 1000
BLOCK = 128
BLOCKS = 10_000


class Layout:
    """A part of an array and its type; a Place of pingpong.py.

    `data` is the contiguous buffer, of which one item of `datatype` is the part;
    `whole[index]` are the same elements for NumPy, in the order of the type.
    """

    def __init__(
        self, whole: Array, data: Array, index: Any, datatype: MPI.Datatype
    ) -> None:
        self.whole = whole
        self.data = data
        self.index = index
        self.datatype = datatype.Commit()
        self.count = whole[index].size
        self.shape = whole[index].shape
        self.spec = [data, 1, self.datatype]

    def clear(self) -> None:
        self.whole.fill(JUNK)

    def put(self, values: Array) -> None:
        self.whole[self.index] = values.reshape(self.shape)

    def get(self) -> Array:
        return self.whole[self.index].reshape(-1)

    def outside(self) -> str:
        rest = self.whole.copy()
        rest[self.index] = JUNK
        return "" if (rest == JUNK).all() else "an element beside the part was changed"

    def numpy_pack(self, out: Array) -> Callable[[], None]:
        """NumPy's fastest way to copy the part into the contiguous `out`."""
        if isinstance(self.index, np.ndarray):
            # Without `mode` take makes a copy on the way; it is faster than `[index]`.
            return lambda: self.whole.take(self.index, out=out, mode="clip")
        part, target = self.whole[self.index], out.reshape(self.shape)
        return lambda: np.copyto(target, part)

    def numpy_unpack(self, source: Array) -> Callable[[], None]:
        """The way back."""
        if isinstance(self.index, np.ndarray):
            whole, index = self.whole, self.index

            def scatter() -> None:
                whole[index] = source

            return scatter
        part, values = self.whole[self.index], source.reshape(self.shape)
        return lambda: np.copyto(part, values)


def column() -> Layout:
    whole = np.empty((MATRIX, MATRIX))
    datatype = MPI.DOUBLE.Create_vector(MATRIX, 1, MATRIX)
    return Layout(whole, whole.reshape(-1)[3:], np.s_[:, 3], datatype)


def face(subsizes: list[int], starts: list[int], index: Any) -> Layout:
    whole = np.empty((BLOCK, BLOCK, BLOCK))
    datatype = MPI.DOUBLE.Create_subarray([BLOCK] * 3, subsizes, starts)
    return Layout(whole, whole, index, datatype)


def face_j() -> Layout:
    return face([BLOCK, 1, BLOCK], [0, 5, 0], np.s_[:, 5, :])


def face_k() -> Layout:
    return face([BLOCK, BLOCK, 1], [0, 0, 5], np.s_[:, :, 5])


def indexed() -> Layout:
    random = np.random.default_rng(3)
    lengths = random.integers(1, 6, BLOCKS)
    starts = np.cumsum(lengths + random.integers(1, 9, BLOCKS)) - lengths
    whole = np.empty(int(starts[-1] + lengths[-1]))
    inside = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    index = np.repeat(starts, lengths) + inside
    datatype = MPI.DOUBLE.Create_indexed(lengths.tolist(), starts.tolist())
    return Layout(whole, whole, index, datatype)


LAYOUTS: dict[str, Callable[[], Layout]] = {
    maker.__name__: maker for maker in (column, face_j, face_k, indexed)
}

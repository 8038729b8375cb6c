"""Bytes to send: the same on every rank and in every run, different for every (sender, message), all of them checked.

A message's bytes are a stretch of one pseudo-random pool, which begins where its `seed` says. So making and checking
even large ones costs a copy and a comparison, and a byte that is lost, doubled, shifted or from another message shows.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]

# A prime, so that errors by whole pages, cells or pieces cannot hide in the pool's repetition.
_PERIOD = 999_983
_pool: Bytes = np.random.Generator(np.random.PCG64(20240229)).integers(0, 256, _PERIOD, dtype=np.uint8)
_GUARD = 0xA5

# Where implementations change their way of sending: cells, eager limits, pieces of pipelines, single copies.
SMALL_SIZES = (0, 1, 2, 3, 4, 7, 8, 9, 15, 16, 17, 31, 32, 33, 47, 48, 49, 63, 64, 65, 127, 128, 129, 255, 256, 257)
MEDIUM_SIZES = (
    *(512, 1000, 1023, 1024, 1025, 2047, 2048, 2049, 4000, 4095, 4096, 4097, 8191, 8192, 8193),
    *(12288, 16383, 16384, 16385, 32767, 32768, 32769, 65535, 65536, 65537),
)
LARGE_SIZES = (
    100_000,
    131_071,
    131_072,
    131_073,
    262_144,
    524_287,
    524_288,
    524_289,
    1_000_003,
    1 << 20,
    (1 << 20) + 1,
)
HUGE_SIZES = ((4 << 20) - 1, 4 << 20, (4 << 20) + 1, 16 << 20)
SIZES = SMALL_SIZES + MEDIUM_SIZES + LARGE_SIZES + HUGE_SIZES


def message(seed: int, size: int) -> Bytes:
    """`size` bytes that belong to `seed`; the caller's own, writable."""
    begin = (seed * 7919 + size) % _PERIOD
    out = np.empty(size, np.uint8)
    done = min(size, _PERIOD - begin)
    out[:done] = _pool[begin : begin + done]
    while done < size:
        step = min(size - done, _PERIOD)
        out[done : done + step] = _pool[:step]
        done += step
    return out


def wrong(got: Any, seed: int, size: int) -> str | None:
    """What is wrong with the bytes `got` that should be `message(seed, size)`, or None."""
    view = np.frombuffer(got, np.uint8) if size or memoryview(got).nbytes else np.empty(0, np.uint8)
    if view.size != size:
        return f"message {seed}: {view.size} bytes instead of {size}"
    expected = message(seed, size)
    if np.array_equal(view, expected):
        return None
    places = np.flatnonzero(view != expected)
    first, last = int(places[0]), int(places[-1])
    return (
        f"message {seed} of {size} bytes: {places.size} are wrong, from byte {first} to {last}; "
        f"at {first} came {view[first : first + 16].tolist()} for {expected[first : first + 16].tolist()}"
    )


class Room:
    """A receive buffer with guard bytes on both sides, which nobody may write to."""

    MARGIN = 64

    def __init__(self, size: int, offset: int = 0) -> None:
        """`offset` moves the buffer's begin off the alignment that NumPy gives."""
        self._all = np.full(size + 2 * self.MARGIN + offset, _GUARD, np.uint8)
        self._begin, self._end = self.MARGIN + offset, self.MARGIN + offset + size
        self.bytes: Bytes = self._all[self._begin : self._end]

    def wrong(self, seed: int, size: int) -> str | None:
        """What is wrong if `message(seed, size)` should lie at the begin of the buffer, and nothing else be touched."""
        return wrong(self.bytes[:size], seed, size) or self.touched(size)

    def touched(self, size: int = 0) -> str | None:
        """Whether a byte outside of the first `size` of the buffer was written."""
        before, after = self._all[: self._begin], self._all[self._begin + size :]
        if (before != _GUARD).any():
            return "bytes before the buffer were overwritten"
        if (after != _GUARD).any():
            first = int(np.flatnonzero(after != _GUARD)[0]) + size
            return f"byte {first} of the buffer was written to, after a message of {size} bytes"
        return None


def numbers(seed: int, count: int, dtype: Any, limit: int = 25) -> NDArray[Any]:
    """`count` numbers 1..limit of a NumPy type: small whole ones, so that sums are exact in any order."""
    dtype = np.dtype(dtype)
    raw = message(seed, count * 2).view(np.uint16)
    values = raw.astype(np.int64) % limit + 1
    if dtype.kind == "b":
        return values % 2 == 0
    if dtype.kind == "c":
        return (values + 1j * (values[::-1] % limit)).astype(dtype)
    return values.astype(dtype)

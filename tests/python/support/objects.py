"""Python objects to send: of every kind and size, and a comparison that knows arrays."""

from __future__ import annotations

import collections
import dataclasses
import datetime
import decimal
import fractions
from typing import Any

import numpy as np

from support import data


@dataclasses.dataclass
class Point:
    x: float
    y: float
    label: str = "p"


Pair = collections.namedtuple("Pair", "first second")


class Bomb:
    """Cannot be pickled."""

    def __reduce__(self) -> Any:
        raise RuntimeError("this object does not travel")


class LateBomb:
    """Can be pickled, but not made again."""

    def __reduce__(self) -> Any:
        return _explode, ()


def _explode() -> None:
    raise RuntimeError("this object did not survive the journey")


def small(seed: int) -> list[Any]:
    """Objects of many kinds, different for every seed."""
    return [
        None,
        bool(seed % 2),
        seed,
        -(10**40) - seed,
        seed + 0.5,
        complex(seed, -1),
        "",
        f"text {seed} äöü \N{SNOWMAN} \0",
        b"",
        bytes([seed % 256, 0, 255]),
        bytearray(b"abc" * (seed % 7)),
        [],
        [seed, [seed, [seed]]],
        (),
        (seed, "two", None),
        {},
        {"a": seed, "b": [1, 2, {"c": (3,)}], seed: "key"},
        {1, 2, seed + 3},
        frozenset(["x", seed]),
        range(seed, seed + 10),
        slice(1, seed, 2),
        Ellipsis,
        Point(seed, 2.0),
        Pair(seed, "b"),
        datetime.datetime(2024, 2, 29, 12, 30, seed % 60),
        decimal.Decimal("1.10") + seed,
        fractions.Fraction(seed, 7),
        collections.OrderedDict(z=1, a=seed),
        np.float64(seed / 3),
        np.arange(seed % 5),
        np.zeros((0, 3)),
        ValueError("an exception", seed),
        int,
        len,
    ]


def arrays(seed: int, count: int) -> list[Any]:
    """NumPy arrays of many kinds with about `count` elements, alone and inside of other objects."""
    values = data.numbers(seed, count, "d")
    square = max(1, int(count**0.5))
    grid = data.numbers(seed + 1, square * square, "i").reshape(square, square)
    return [
        values,
        grid,
        np.asfortranarray(grid),
        grid[::2, ::3],
        grid.T,
        values[::-1],
        values.astype(">f8"),
        values.astype("F"),
        np.array([seed, None, "x", [1]], dtype=object),
        np.array(["a", "bcd" * (seed % 4 + 1)]),
        np.array([(seed, 1.5)], dtype=[("a", "i4"), ("b", "f8")]),
        np.array(["2024-02-29"], dtype="M8[D]"),
        {"mesh": grid, "values": (values, values[: count // 2]), "name": f"run {seed}"},
        [values, values],
    ]


def large(seed: int) -> list[Any]:
    """Objects above every eager limit, and above the 32 KiB that the original's irecv can take."""
    return [
        data.message(seed, 40_000).tobytes(),
        "x" * (100_000 + seed),
        bytearray(data.message(seed + 1, 3_000_000)),
        list(range(seed, seed + 20_000)),
        {f"key {i}": [i, seed] for i in range(5000)},
        data.message(seed + 2, (4 << 20) + 1),
        [data.numbers(seed + i, 10_000, "d") for i in range(20)],
    ]


def same(a: Any, b: Any) -> bool:
    """Equal in type and value, through all levels; NaN-free."""
    if type(a) is not type(b):
        return False
    if isinstance(a, np.ndarray):
        if a.dtype != b.dtype or a.shape != b.shape:
            return False
        if a.dtype == object:
            return all(same(x, y) for x, y in zip(a.reshape(-1), b.reshape(-1), strict=True))
        return bool(np.array_equal(a, b))
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    if isinstance(a, BaseException):
        return a.args == b.args
    return bool(a == b)

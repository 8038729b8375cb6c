"""Plain objects (numbers, text, tuples, lists, dicts) have a shorter way to the wire and back. It must not show:
what is sent is a pickle, and what arrives is what `pickle` would have made of it."""

from __future__ import annotations

import collections
import enum
import gc
import math
import pickle
import random
import struct
import sys
from typing import Any

import numpy as np
from mpi4py import MPI
from support.case import Case, our_extension

UNPLAIN = b"\x80\x05\x95"  # Python's pickler goes on with a frame


def depiction(thing: Any) -> str:
    """Tells True from 1, -0.0 from 0.0, one order of a dict from another; nan is nan."""
    return f"{type(thing)} {thing!r}"


def sharing(thing: Any) -> list[int]:
    """Which containers in an object are one: their numbers by first appearance, wherever one comes."""
    numbers: dict[int, int] = {}
    order: list[int] = []

    def visit(thing: Any) -> None:
        if not isinstance(thing, tuple | list | dict) or thing == ():
            return
        again = id(thing) in numbers
        order.append(numbers.setdefault(id(thing), len(numbers)))
        if not again:
            for item in thing.items() if isinstance(thing, dict) else [(part,) for part in thing]:
                for part in item:
                    visit(part)

    visit(thing)
    return order


def linked(choose: random.Random, depth: int = 0, before: list[Any] | None = None) -> Any:
    """A random plain object in which containers come again."""
    before = [] if before is None else before
    if before and choose.randrange(3) == 0:
        return choose.choice(before)
    if depth > 4 or choose.randrange(3) == 0:
        return choose.choice([1, 2.5, "", None, True])
    parts = [linked(choose, depth + 1, before) for _ in range(choose.choice([0, 1, 2, 3, 4, 40]))]
    made = choose.choice([list, tuple, lambda parts: dict(enumerate(parts))])(parts)
    if len(repr(made)) < 200:  # so that what contains it does not become long
        before.append(made)
    return made


def plain(choose: random.Random, depth: int = 0) -> Any:
    """A random plain object."""
    kind = choose.randrange(12 if depth < 4 else 8)
    if kind == 0:
        return choose.choice([None, True, False, 0, 1, 0.0, -0.0, math.inf, math.nan, "", b"", (), [], {}])
    if kind < 3:
        return choose.randrange(-(1 << choose.randrange(1, 70)), 1 << choose.randrange(1, 70))
    if kind == 3:
        return struct.unpack("d", choose.randbytes(8))[0]
    if kind < 6:
        letters = choose.choice(["abc", "aß", "\N{SNOWMAN}\0", "a\N{GRINNING FACE}"])
        return "".join(choose.choices(letters, k=choose.choice([1, 5, 100, 256])))
    if kind == 6:
        return choose.randbytes(choose.choice([1, 7, 255, 256]))
    if kind == 7:
        return choose.randrange(256)
    if kind == 8:
        return tuple(plain(choose, depth + 1) for _ in range(choose.randrange(6)))
    if kind == 9:
        return [plain(choose, depth + 1) for _ in range(choose.randrange(8))]
    if kind == 10:
        return [choose.randrange(100_000) for _ in range(choose.randrange(200))]
    return {key(choose): plain(choose, depth + 1) for _ in range(choose.randrange(6))}


def key(choose: random.Random) -> Any:
    return choose.choice([choose.randrange(10), str(choose.random()), "clé", (1, ("x", None)), b"k", 2.5, None, True])


class PlainCase(Case):
    def wire(self, thing: Any) -> bytes:
        """What is sent for an object."""
        request = self.comm.isend(thing, self.rank, 5)
        status = MPI.Status()
        self.comm.Probe(self.rank, 5, status)
        data = bytearray(status.Get_count(MPI.BYTE))
        self.comm.Recv([data, MPI.BYTE], self.rank, 5)
        request.wait()
        return bytes(data)

    def there(self, thing: Any) -> Any:
        """What arrives of an object."""
        return self.comm.sendrecv(thing, self.right, 6, None, self.left, 6)

    def received(self, data: bytes) -> Any:
        """What a lower-case receive makes of these bytes."""
        request = self.comm.Isend([data, MPI.BYTE], self.rank, 7)
        try:
            return self.comm.recv(source=self.rank, tag=7)
        finally:
            request.Wait()

    def check(self, thing: Any, is_plain: bool = True) -> None:
        wire = self.wire(thing)
        standard = pickle.loads(pickle.dumps(thing))
        expected, shared = depiction(standard), sharing(standard)
        for got in (pickle.loads(wire), self.there(thing)):
            self.assertEqual((depiction(got), sharing(got)), (expected, shared))
        if is_plain:
            self.assertFalse(wire.startswith(UNPLAIN), f"for the pickler: {expected[:100]}")


@our_extension("the way of plain objects")
class Wire(PlainCase):
    def test_single_objects(self) -> None:
        for thing in (None, True, False, 0.0, -0.0, 1e300, 5e-324, math.inf, -math.inf, math.nan):
            self.check(thing)
        for bits in (7, 8, 15, 16, 31, 32, 62, 63):
            for number in ((1 << bits) - 1, 1 << bits, (1 << bits) + 1):
                self.check(number, number < 1 << 63)
                self.check(-number, number <= 1 << 63)
        for number in (10**30, -(10**30), 1 << 64, 1 << 4000):
            self.check(number, False)
        for length in (0, 1, 254, 255, 256, 257, 4000):
            self.check("x" * length)
            self.check("ü" * length)
            self.check(b"\x80" * length)

    def test_long_text_is_left_to_the_pickler(self) -> None:
        """It may be shared, and then must not travel twice."""
        for thing in ("x" * 65_535, "x" * 65_536, "ü" * 40_000, b"x" * 65_536, ["x" * 100] * 1000):
            self.check(thing, False)
            self.assertTrue(self.wire(thing).startswith(UNPLAIN) or self.wire(thing).endswith(b"\x94."))
        self.assertLess(len(self.wire(["x" * 100] * 1000)), 10_000)

    def test_containers(self) -> None:
        for length in (0, 1, 2, 3, 4, 5, 255, 256, 1000, 1001, 65_535, 65_536, 65_537, 70_000):
            numbers = list(range(length))
            self.check(numbers, length <= 65_536)
            self.check(tuple(numbers), length <= 65_536)
            self.check({i: i + 0.5 for i in numbers}, length <= 65_536)
        for thing in ([()], [[], {}, (), [[]]], ([],), ({},), {"a": {"b": {"c": ({},)}}}, [(1, 2, 3, 4), (5, 6)]):
            self.check(thing)
        self.check([(1, 2, 3, 4, 5)])
        self.check((((1, 2, 3, 4, 5), 6, 7, 8), 9))
        self.check({(1, 2, 3, 4): {(5,): [(6, 7, 8, 9)]}})
        self.check([{"name": f"point {i}", "at": (i, i + 0.5), "tags": [i, None]} for i in range(100)])

    def test_random_objects(self) -> None:
        choose = random.Random(self.comm.bcast(12, 0))
        for _ in range(1000):
            self.check(plain(choose), False)

    def test_surrogates(self) -> None:
        for thing in ("\ud800", ["a\udfffb"], {"\udc80": 1}):
            self.check(thing, False)

    def test_dicts_keep_their_order_and_keys(self) -> None:
        thing = {"z": 1, "a": 2, "é": 3, 1: 4, 2.5: 5, None: 6, (1, "x"): 7, b"k": 8}
        self.assertEqual(list(self.there(thing).items()), list(thing.items()))
        self.assertEqual({type(key) for key in self.there({1: 0, "1": 0})}, {int, str})


@our_extension("the way of plain objects")
class Identity(PlainCase):
    def test_what_comes_twice_stays_one(self) -> None:
        for inner in ([], [1], {}, {"a": 1}, (1, [2]), (1, 2)):
            for thing in (
                [inner, inner],
                (inner, inner),
                {"a": inner, "b": inner},
                [[inner], inner],
                [0, (inner,), inner],
            ):
                self.check(thing)
            a, b = self.there([inner, inner])
            self.assertIs(a, b)
            a, [b] = self.there([inner, [inner]])
            self.assertIs(a, b)
        self.check([(1, 2.5, "x")] * 50)

    def test_in_long_lists(self) -> None:
        """The table of containers with other references grows, and numbers in the pickle get longer."""
        for count in (10, 15, 16, 17, 64, 65, 97, 256, 257, 500, 5000):
            inner = [[i] for i in range(count)]
            self.check([*inner, inner[3], inner[-1], *inner])

    def test_random_objects(self) -> None:
        choose = random.Random(self.comm.bcast(13, 0))
        for _ in range(150):
            self.check(linked(choose))

    def test_circles(self) -> None:
        loop: list[Any] = [1]
        loop.append(loop)
        got = self.there(loop)
        self.assertIs(got[1], got)
        table: dict[str, Any] = {}
        table["me"] = [table]
        got = self.there(table)
        self.assertIs(got["me"][0], got)
        knot: tuple[list[Any]] = ([],)
        knot[0].append(knot)
        got = self.there(knot)
        self.assertIs(got[0][0], got)
        outer = [0, knot[0]]
        got = self.there(outer)
        self.assertIs(got[1][0][0], got[1])

    def test_deep_nesting(self) -> None:
        for depth in (30, 31, 32, 33, 34, 100):
            for wrap in (lambda x: [x], lambda x: (x,), lambda x: {"k": x}, lambda x: (x, 1, 2, 3, 4)):
                thing: Any = 7
                for _ in range(depth):
                    thing = wrap(thing)
                self.check(thing, depth <= 31)
        deep: list[Any] = []
        for _ in range(100_000):
            deep = [deep]
        with self.assertRaises(RecursionError):
            self.comm.isend(deep, self.rank)
        while deep:
            deep = deep.pop()

    def test_objects_are_not_the_senders(self) -> None:
        thing = [[1], {"a": [2]}, "text", b"bytes"]
        got = self.comm.sendrecv(thing, self.rank, 0, None, self.rank, 0)
        self.assertIsNot(got, thing)
        self.assertIsNot(got[0], thing[0])
        got[1]["a"].append(3)
        self.assertEqual(thing[1], {"a": [2]})


class Number(int):
    pass


class Text(str):
    pass


class Items(list):  # type: ignore[type-arg]
    pass


class Color(enum.IntEnum):
    RED = 1


@our_extension("the way of plain objects")
class OtherTypes(PlainCase):
    def test_derived_types_keep_their_type(self) -> None:
        things: list[Any] = [
            Number(3),
            Text("t"),
            Items([1]),
            Color.RED,
            collections.OrderedDict(a=1),
            collections.defaultdict(int, a=1),
            collections.Counter("abc"),
            {1, 2},
            frozenset([1]),
            1j,
            bytearray(b"abc"),
            range(5),
            Ellipsis,
            NotImplemented,
            np.float64(1.5),
            np.int32(3),
            np.str_("x"),
            np.bool_(True),
        ]
        for thing in things:
            for around in (thing, [1, thing], {"a": (thing, 2)}):
                self.check(around, False)
        for thing in (Number(3), Text("t"), Color.RED, frozenset([1])):
            self.check({thing: 1}, False)

    def test_only_the_standard_pickler_is_replaced(self) -> None:
        """Protocol 4 was asked for, or other functions."""
        pick = MPI.pickle
        for arguments in ({"protocol": 4}, {"dumps": pickle.dumps}, {"loads": pickle.loads}):
            try:
                pick.__init__(**arguments)  # type: ignore[misc]
                wire = self.wire([1, 2, 3])
                self.assertEqual(wire[2], 0x95)
                self.assertEqual(wire[1], arguments.get("protocol", 5 if "loads" in arguments else wire[1]))
                self.assertEqual(self.received(b"\x80\x05](K\x01K\x02e."), [1, 2])
            finally:
                pick.__init__()  # type: ignore[misc]
        self.assertNotEqual(self.wire([1, 2, 3])[2], 0x95)


@our_extension("the way of plain objects")
class Damaged(PlainCase):
    """Any bytes: the object or the error that `pickle` gives."""

    SEEDS = (
        b"\x80\x05](K\x01M\x00\x01J\xff\xff\xff\xff\x8a\x08\0\0\0\0\0\0\0\x80e.",
        b"\x80\x05}(\x8c\x01aG@\t\x1e\xb8Q\xeb\x85\x1f\x8c\x01b](NK\x02K\x03t\x88e\x86u.",
        b"\x80\x05(K\x01K\x02K\x03](}](ee)\x85\x87t.",
        b"\x80\x05X\x02\0\0\0\xc3\xa9C\x02\x80\x81\x86B\x03\0\0\0abc\x86.",
        b"\x80\x05]((]\x94](h\x00K\x01e\x94h\x01}(K\x02h\x00u\x94th\x02j\x01\0\0\0\x86e.",
        b"\x80\x05](K\x07\x85\x94h\x00](e\x94h\x01h\x00e.",
    )
    TOKENS = (
        *(b"(", b"e", b"u", b"t", b"a", b"s", b".", b"N", b"]", b"}", b")", b"](", b"}(", b"0", b"1", b"2", b"l", b"d"),
        *(b"h\x01", b"j\0\0\0\0", b"j\x02\0\0\0", b"\x94", b"\x94"),
        *(b"\x85", b"\x86", b"\x87", b"\x88", b"\x89", b"\x94", b"h\x00", b"K\x05", b"M\x05\x05", b"J\0\0\0\x80"),
        *(b"\x8a\x01\x05", b"\x8a\x00", b"\x8a\x08\0\0\0\0\0\0\0\x80", b"G\xff\xf8\0\0\0\0\0\1", b"\x8c\x02ab"),
        *(b"\x8c\x01\xff", b"\x8c\x03\xed\xa0\x80", b"X\x01\0\0\0z", b"X\xff\xff\xff\xff", b"C\x01\xff", b"B\0\0\0\0"),
        *(b"\x8f", b"\x90", b"\x80\x05"),
    )
    # These make room for as many objects as a number in the stream says.
    GREEDY = frozenset(b"rjp\x96")

    def compare(self, data: bytes) -> bool:
        """Whether the bytes are an object."""
        error = expected = None
        try:
            expected = depiction(pickle.loads(data))
        except Exception as e:
            error = type(e)
        if error is None:
            self.assertEqual(depiction(self.received(data)), expected, data)
            return True
        looks_like_a_pickle = data[0] == 0x80 and 2 <= data[1] <= 5 if len(data) > 1 else False
        if not looks_like_a_pickle and issubclass(error, pickle.UnpicklingError | EOFError | ValueError):
            error = pickle.UnpicklingError
        with self.assertRaises(Exception) as caught:
            self.received(data)
        self.assertIs(type(caught.exception), error, (data, caught.exception))
        return False

    def test_what_is_written_and_cut_off(self) -> None:
        for data in self.SEEDS[:1] + self.SEEDS[2:]:
            self.assertTrue(self.compare(data))
            for end in range(1, len(data)):
                self.assertFalse(self.compare(data[:end]))
            self.compare(data + b"rest")
            self.compare(data[2:])
            self.compare(b"\x80\x04" + data[2:])

    def test_changed_bytes(self) -> None:
        choose = random.Random(3)
        objects = 0
        for _ in range(4000):
            data = bytearray(choose.choice(self.SEEDS))
            for _ in range(choose.randrange(1, 4)):
                value = choose.choice([choose.randrange(256), choose.choice(choose.choice(self.TOKENS))])
                data[choose.randrange(len(data))] = value
            if not self.GREEDY & set(data):
                objects += self.compare(bytes(data))
        self.assertGreater(objects, 100)

    def test_random_opcodes(self) -> None:
        choose = random.Random(4)
        objects = 0
        for _ in range(6000):
            tokens = choose.choices(self.TOKENS, k=choose.randrange(1, 12))
            objects += self.compare(b"\x80\x05" + b"".join(tokens) + choose.choice([b".", b".", b".", b""]))
        self.assertGreater(objects, 100)

    def test_random_bytes(self) -> None:
        choose = random.Random(5)
        for _ in range(2000):
            data = choose.choice([b"", b"\x80\x05"]) + choose.randbytes(choose.randrange(1, 40))
            if not self.GREEDY & set(data):
                self.compare(data)

    def test_a_key_without_hash(self) -> None:
        for data in (b"\x80\x05}(]K\x01u.", b"\x80\x05}(K\x01K\x02(](K\x01ettK\x01u."):
            self.assertFalse(self.compare(data))


@our_extension("the way of plain objects")
class References(PlainCase):
    """Nothing is kept that nobody needs, and nothing is let go that somebody has."""

    def rounds(self, things: list[Any], times: int) -> int:
        """Memory blocks of the interpreter that are new after so many rounds."""
        gc.collect()
        before = sys.getallocatedblocks()
        for _ in range(times):
            for thing in things:
                self.comm.sendrecv(thing, self.rank, 0, None, self.rank, 0)
        gc.collect()
        return sys.getallocatedblocks() - before

    def test_objects(self) -> None:
        choose = random.Random(6)
        things = [plain(choose) for _ in range(200)]
        self.rounds(things, 2)
        self.assertLess(self.rounds(things, 20), 200)

    def test_reference_counts(self) -> None:
        held: list[Any] = ["text of its own", 12345678, 1.25, b"bytes", [1], {}, (1, 2)]
        before = [sys.getrefcount(item) for item in held]
        none, true = sys.getrefcount(None), sys.getrefcount(True)
        for _ in range(1000):
            self.comm.sendrecv([None, True, *held, 1j], self.rank, 0, None, self.rank, 0)  # given up at its end
            self.comm.sendrecv({"a": [None, True, *held]}, self.rank, 0, None, self.rank, 0)
        self.assertEqual([sys.getrefcount(item) for item in held], before)
        if sys.version_info < (3, 12):  # from there on they are not counted
            self.assertLess(abs(sys.getrefcount(None) - none), 100)
            self.assertLess(abs(sys.getrefcount(True) - true), 100)

    def test_damaged_streams(self) -> None:
        streams = [
            b"\x80\x05](](\x8c\x03abcG12345678M\x10\x10\x86\x94}(\x8c\x02xyKKu\x94h\x00" + end
            for end in (b"e", b"(t", b"\xff", b"h\x05")
        ]
        for times in (10, 500):
            gc.collect()
            before = sys.getallocatedblocks()
            for _ in range(times):
                for data in streams:
                    with self.assertRaises(Exception):  # noqa: B017 (of whatever kind)
                        self.received(data)
            gc.collect()
            grown = sys.getallocatedblocks() - before
        self.assertLess(grown, 200)


@our_extension("the way of plain objects")
class Collectives(PlainCase):
    def test_random_objects(self) -> None:
        mine = [plain(random.Random(rank)) for rank in range(self.size)]
        as_sent = [depiction(thing) for thing in mine]
        for root in range(self.size):
            self.assertEqual(depiction(self.comm.bcast(mine[root] if root == self.rank else None, root)), as_sent[root])
            got = self.comm.gather(mine[self.rank], root)
            if self.rank == root:
                assert got is not None
                self.assertEqual([depiction(thing) for thing in got], as_sent)
            got = self.comm.scatter(mine if root == self.rank else None, root)
            self.assertEqual(depiction(got), as_sent[self.rank])
        for got in (self.comm.allgather(mine[self.rank]), self.comm.alltoall([mine[self.rank]] * self.size)):
            self.assertEqual([depiction(thing) for thing in got], as_sent)

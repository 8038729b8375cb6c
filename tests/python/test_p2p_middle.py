"""Messages of middle size (between a few KiB and a quarter of a MiB), where a library goes over from sending at once to
asking first: many under way, with and without a receive, between others, and too long for their buffers."""

from __future__ import annotations

import random
import unittest

from mpi4py import MPI
from support import data
from support.case import OURS, Case, ranks_at_least

# Around one piece, several parts, an offer; and small ones between them.
SIZES = (8, 4096, 16_384, 20_000, 32_768, 32_769, 40_000, 49_152, 65_536, 100_000, 131_072, 131_073, 200_000)


class Middle(Case):
    def test_many_under_way(self) -> None:
        """More than the rings hold at once; sizes and order differ from round to round."""
        chance = random.Random(7)
        for turn in range(12):
            sizes = [chance.choice(SIZES) for _ in range(24)]
            rooms = [data.Room(size) for size in sizes]
            early = chance.random() < 0.5
            receives = []
            if early:
                receives = [self.comm.Irecv(room.bytes, self.left, i) for i, room in enumerate(rooms)]
                self.comm.Barrier()
            sends = [
                self.comm.Isend(data.message(100 * turn + i + self.rank, size), self.right, i)
                for i, size in enumerate(sizes)
            ]
            if not early:
                self.comm.Barrier()
                receives = [self.comm.Irecv(room.bytes, self.left, i) for i, room in enumerate(rooms)]
            MPI.Request.Waitall(receives + sends)
            for i, (room, size) in enumerate(zip(rooms, sizes, strict=True)):
                self.good(room.wrong(100 * turn + i + self.left, size), f"round {turn}, message {i} of {size} bytes")

    def test_received_in_another_order(self) -> None:
        sends = [self.comm.Isend(data.message(i + self.rank, size), self.right, i) for i, size in enumerate(SIZES)]
        for i in reversed(range(len(SIZES))):
            room = data.Room(SIZES[i])
            status = MPI.Status()
            self.comm.Recv(room.bytes, self.left, i, status)
            self.check_status(status, self.left, i, SIZES[i])
            self.good(room.wrong(i + self.left, SIZES[i]), SIZES[i])
        MPI.Request.Waitall(sends)

    def test_found_by_a_matched_probe(self) -> None:
        for seed, size in enumerate(SIZES):
            send = self.comm.Isend(data.message(seed + self.rank, size), self.right, seed)
            status = MPI.Status()
            message = self.comm.Mprobe(self.left, MPI.ANY_TAG, status)
            self.check_status(status, self.left, seed, size)
            room = data.Room(size)
            message.Recv(room.bytes)
            self.good(room.wrong(seed + self.left, size), size)
            send.Wait()

    def test_too_long(self) -> None:
        """The error says both sizes, and what comes after is in order."""
        for seed, size in enumerate(size for size in SIZES if size >= 4096):
            sends = [self.comm.Isend(data.message(seed, part), self.right, 1) for part in (size, 1000)]
            with self.mpi_error(MPI.ERR_TRUNCATE) as raised:
                self.comm.Recv(bytearray(size - 1), self.left, 1)
            if OURS:
                self.assertIn(str(size), raised.text)
            room = data.Room(1000)
            self.comm.Recv(room.bytes, self.left, 1)
            self.good(room.wrong(seed, 1000), size)
            MPI.Request.Waitall(sends)

    def test_a_derived_type(self) -> None:
        """Every second of many ints, which do not lie in one run on either side."""
        count = 20_000
        vector = MPI.INT.Create_vector(count, 1, 2).Commit()
        mine = data.numbers(self.rank + 1, 2 * count, "i")
        theirs = data.numbers(self.left + 1, 2 * count, "i")
        got = data.numbers(self.rank + 1, 2 * count, "i")
        send = self.comm.Isend([mine, 1, vector], self.right)
        self.comm.Recv([got, 1, vector], self.left)
        send.Wait()
        self.assertEqual(got[::2][:count].tolist(), theirs[::2][:count].tolist())
        self.assertEqual(got[1::2].tolist(), mine[1::2].tolist())
        vector.Free()

    @ranks_at_least(2)
    def test_objects_of_all_sizes(self) -> None:
        for size in (0, 10, 900, 1000, 1024, 1100, *SIZES):
            sent = bytes(data.message(size, size))
            self.assertEqual(self.comm.sendrecv(sent, self.right, 3, None, self.left, 3), sent)


if __name__ == "__main__":
    unittest.main()

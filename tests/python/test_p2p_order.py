"""Which message a receive gets: order, tags, wildcards; and many messages at once, in both directions."""

from __future__ import annotations

import unittest

import numpy as np
from mpi4py import MPI
from support import data
from support.case import Case, jitter, ranks_at_least

# One after the other these take different ways, and the fast ones may not overtake the slow ones.
MIXED = (8, 200_000, 0, 48, 5000, 1, 70_000, 49, 9000, 1 << 20, 16, 33_000, 64, 4096, 300_000, 8)


class Order(Case):
    """Messages from one rank on one communicator that both match a receive arrive in the order they were sent."""

    @ranks_at_least(2)
    def test_mixed_sizes_do_not_overtake(self) -> None:
        for late_receiver in (False, True):
            if late_receiver:
                jitter(self.rank + 1, 0.01)
            requests = [
                self.comm.Isend(data.message(i + self.rank, size), self.right, 1) for i, size in enumerate(MIXED)
            ]
            for i, size in enumerate(MIXED):
                room = data.Room(max(MIXED))
                status = MPI.Status()
                self.comm.Recv(room.bytes, self.left, 1, status)
                self.good(room.wrong(i + self.left, size), f"number {i}")
                self.check_status(status, self.left, 1, size)
            MPI.Request.Waitall(requests)

    @ranks_at_least(2)
    def test_mixed_sizes_with_receives_posted_first(self) -> None:
        rooms = [data.Room(max(MIXED)) for _ in MIXED]
        receives = [self.comm.Irecv(room.bytes, self.left, MPI.ANY_TAG) for room in rooms]
        self.comm.Barrier()
        for i, size in enumerate(MIXED):
            self.comm.Send(data.message(i + self.rank, size), self.right, i)
        statuses = [MPI.Status() for _ in MIXED]
        MPI.Request.Waitall(receives, statuses)
        for i, size in enumerate(MIXED):
            self.good(rooms[i].wrong(i + self.left, size), f"number {i}")
            self.check_status(statuses[i], self.left, i, size)

    @ranks_at_least(2)
    def test_modes_do_not_overtake_each_other(self) -> None:
        MPI.Attach_buffer(bytearray(1 << 20))
        starts = (self.comm.Isend, self.comm.Issend, self.comm.Ibsend)
        requests = []
        for i in range(60):
            size = (8, 3000, 100, 40_000)[i % 4]
            requests.append(starts[i % 3](data.message(i + self.rank, size), self.right, 1))
        for i in range(60):
            room = data.Room(50_000)
            self.comm.Recv(room.bytes, MPI.ANY_SOURCE, MPI.ANY_TAG)
            self.good(room.wrong(i + self.left, (8, 3000, 100, 40_000)[i % 4]), f"number {i}")
        MPI.Request.Waitall(requests)
        MPI.Detach_buffer()

    @ranks_at_least(2)
    def test_tags_are_taken_out_of_order(self) -> None:
        """A receive takes its tag, whatever came before, and leaves the rest in order."""
        count = 50
        requests = [self.comm.Isend(data.message(tag, 10 + tag * 97), self.right, tag % 25) for tag in range(count)]
        for wanted in reversed(range(25)):
            for i in (wanted, wanted + 25):
                room = data.Room(6000)
                self.comm.Recv(room.bytes, self.left, wanted)
                self.good(room.wrong(i, 10 + i * 97), f"tag {wanted}")
        MPI.Request.Waitall(requests)

    @ranks_at_least(2)
    def test_posted_receives_match_in_their_order(self) -> None:
        """Of several receives that fit, the one posted first gets the message."""
        rooms = [data.Room(100) for _ in range(4)]
        receives = [
            self.comm.Irecv(rooms[0].bytes, self.left, 7),
            self.comm.Irecv(rooms[1].bytes, MPI.ANY_SOURCE, MPI.ANY_TAG),
            self.comm.Irecv(rooms[2].bytes, self.left, MPI.ANY_TAG),
            self.comm.Irecv(rooms[3].bytes, MPI.ANY_SOURCE, 7),
        ]
        self.comm.Barrier()
        for i, tag in enumerate((5, 7, 6, 7)):
            self.comm.Send(data.message(i, 50 + i), self.right, tag)
        MPI.Request.Waitall(receives)
        for room, i in zip(rooms, (1, 0, 2, 3), strict=True):
            self.good(room.wrong(i, 50 + i))

    @ranks_at_least(2)
    def test_posted_receives_take_only_their_tags(self) -> None:
        """Room for any of the messages everywhere, and the one that is wanted first comes last."""
        rooms = [data.Room(max(MIXED)) for _ in MIXED]
        receives = [self.comm.Irecv(room.bytes, self.left, tag) for tag, room in reversed(list(enumerate(rooms)))]
        self.comm.Barrier()
        for tag, size in enumerate(MIXED):
            self.comm.Send(data.message(tag, size), self.right, tag)
        MPI.Request.Waitall(receives)
        for tag, size in enumerate(MIXED):
            self.good(rooms[tag].wrong(tag, size), f"tag {tag}")

    def test_communicators_do_not_mix(self) -> None:
        """The same tag on two communicators: each receive gets its own communicator's message."""
        other = self.comm.Dup()
        first, second = data.Room(3000), data.Room(3000)
        requests = [
            self.comm.Isend(data.message(1, 3000), self.right, 1),
            other.Isend(data.message(2, 2000), self.right, 1),
        ]
        other.Recv(second.bytes, MPI.ANY_SOURCE, MPI.ANY_TAG)
        self.comm.Recv(first.bytes, MPI.ANY_SOURCE, MPI.ANY_TAG)
        MPI.Request.Waitall(requests)
        self.good(first.wrong(1, 3000))
        self.good(second.wrong(2, 2000))
        other.Free()

    @ranks_at_least(2)
    def test_collectives_and_messages_do_not_mix(self) -> None:
        request = self.comm.Isend(data.message(self.rank, 100), self.right, 0)
        value = np.array([self.rank])
        for root in range(self.size):
            value[:] = self.rank
            self.comm.Bcast(value, root)
            self.assertEqual(value[0], root)
        room = data.Room(100)
        self.comm.Recv(room.bytes, MPI.ANY_SOURCE, MPI.ANY_TAG)
        self.good(room.wrong(self.left, 100))
        request.Wait()


class Wildcards(Case):
    @ranks_at_least(2)
    def test_any_source_gets_everybodys(self) -> None:
        """Rank 0 receives from all with a wildcard; within each sender the order holds."""
        each = 40
        if self.rank == 0:
            seen = [0] * self.size
            for _ in range(each * (self.size - 1)):
                room, status = data.Room(70_000), MPI.Status()
                self.comm.Recv(room.bytes, MPI.ANY_SOURCE, MPI.ANY_TAG, status)
                source = status.Get_source()
                i = seen[source]
                size = MIXED[i % len(MIXED)] % 70_000
                self.good(room.wrong(source * 1000 + i, size))
                self.check_status(status, source, i, size)
                seen[source] += 1
            self.assertEqual(seen, [0] + [each] * (self.size - 1))
        else:
            for i in range(each):
                size = MIXED[i % len(MIXED)] % 70_000
                self.comm.Send(data.message(self.rank * 1000 + i, size), 0, i)

    @ranks_at_least(3)
    def test_any_source_with_a_tag(self) -> None:
        if self.rank == 0:
            for tag in range(1, self.size):
                room, status = data.Room(100), MPI.Status()
                self.comm.Recv(room.bytes, MPI.ANY_SOURCE, tag, status)
                self.check_status(status, tag, tag, 100)
                self.good(room.wrong(tag, 100))
        else:
            jitter(self.size - self.rank)
            self.comm.Send(data.message(self.rank, 100), 0, self.rank)

    @ranks_at_least(2)
    def test_a_wildcard_receive_among_others(self) -> None:
        """Large messages from all to all with wildcard receives that are posted before and after."""
        size = 100_000
        rooms = [data.Room(size) for _ in range(self.size - 1)]
        half = len(rooms) // 2
        receives = [self.comm.Irecv(room.bytes, MPI.ANY_SOURCE, 1) for room in rooms[:half]]
        sends = [
            self.comm.Isend(data.message(self.rank, size), dest, 1) for dest in range(self.size) if dest != self.rank
        ]
        receives += [self.comm.Irecv(room.bytes, MPI.ANY_SOURCE, 1) for room in rooms[half:]]
        statuses = [MPI.Status() for _ in receives]
        MPI.Request.Waitall(receives, statuses)
        MPI.Request.Waitall(sends)
        self.assertEqual(sorted(s.Get_source() for s in statuses), [r for r in range(self.size) if r != self.rank])
        for room, status in zip(rooms, statuses, strict=True):
            self.good(room.wrong(status.Get_source(), size))

    def test_largest_tag(self) -> None:
        limit = self.comm.Get_attr(MPI.TAG_UB)
        self.assertGreaterEqual(limit, 32767)
        for tag in (0, 1, 32767, limit - 1, limit):
            status = MPI.Status()
            self.comm.Sendrecv(b"", self.right, tag, bytearray(), self.left, MPI.ANY_TAG, status)
            self.check_status(status, self.left, tag, 0)


class Many(Case):
    """Many messages under way at the same time."""

    @ranks_at_least(2)
    def test_many_unexpected(self) -> None:
        """Thousands of small messages before the first receive, then some large ones."""
        count = 3000
        requests = [self.comm.Isend(data.message(i, i % 100), self.right, i) for i in range(count)]
        large = [self.comm.Isend(data.message(i, 50_000), self.right, count + i) for i in range(20)]
        self.comm.Barrier()
        for i in reversed(range(20)):
            room = data.Room(50_000)
            self.comm.Recv(room.bytes, self.left, count + i)
            self.good(room.wrong(i, 50_000))
        for i in range(count):
            room = data.Room(100)
            self.comm.Recv(room.bytes, self.left, i)
            self.good(room.wrong(i, i % 100), f"number {i}")
        MPI.Request.Waitall(requests + large)

    @ranks_at_least(2)
    def test_many_posted(self) -> None:
        """Two thousand receives wait; the messages come in the opposite order of tags."""
        count = 2000
        rooms = [data.Room(64) for _ in range(count)]
        receives = [self.comm.Irecv(room.bytes, self.left, tag) for tag, room in enumerate(rooms)]
        self.comm.Barrier()
        for tag in reversed(range(count)):
            self.comm.Send(data.message(tag, tag % 64), self.right, tag)
        MPI.Request.Waitall(receives)
        for tag, room in enumerate(rooms):
            self.good(room.wrong(tag, tag % 64), f"tag {tag}")

    def test_windows_of_outstanding(self) -> None:
        """Like a bandwidth test: windows of 64 in one direction, for sizes below and above the thresholds."""
        for size in (8, 48, 1000, 8192, 32_768, 65_536, 262_144):
            rooms = [data.Room(size) for _ in range(64)]
            receives = [self.comm.Irecv(room.bytes, self.left, 1) for room in rooms]
            sends = [self.comm.Isend(data.message(i + self.rank, size), self.right, 1) for i in range(64)]
            MPI.Request.Waitall(sends + receives)
            for i, room in enumerate(rooms):
                self.good(room.wrong(i + self.left, size), f"size {size}, number {i}")

    def test_large_ones_in_both_directions(self) -> None:
        """All ranks send large messages to all, also to themselves, at the same time."""
        for size in (60_000, 1 << 20, (4 << 20) + 1):
            rooms = [data.Room(size) for _ in range(self.size)]
            receives = [self.comm.Irecv(room.bytes, source, 1) for source, room in enumerate(rooms)]
            sends = [self.comm.Isend(data.message(self.rank * 8 + d, size), d, 1) for d in range(self.size)]
            MPI.Request.Waitall(sends + receives)
            for source, room in enumerate(rooms):
                self.good(room.wrong(source * 8 + self.rank, size), f"size {size} from {source}")

    @ranks_at_least(2)
    def test_large_ones_received_in_reverse_order(self) -> None:
        sends = [self.comm.Isend(data.message(i, 300_000), self.right, i) for i in range(10)]
        for i in reversed(range(10)):
            room = data.Room(300_000)
            self.comm.Recv(room.bytes, self.left, i)
            self.good(room.wrong(i, 300_000))
        MPI.Request.Waitall(sends)

    @ranks_at_least(2)
    def test_a_small_message_passes_a_waiting_large_one(self) -> None:
        """A large message that nobody receives yet must not hold up one with another tag."""
        for size in (70_000, 2 << 20):
            large = self.comm.Isend(data.message(1, size), self.right, 1)
            small = self.comm.Isend(data.message(2, 8), self.right, 2)
            room = data.Room(8)
            self.comm.Recv(room.bytes, self.left, 2)
            self.good(room.wrong(2, 8))
            room = data.Room(size)
            self.comm.Recv(room.bytes, self.left, 1)
            self.good(room.wrong(1, size))
            MPI.Request.Waitall([large, small])

    @ranks_at_least(2)
    def test_ping_pong_of_all_sizes_in_random_order(self) -> None:
        order = np.random.Generator(np.random.PCG64(7)).permutation(len(data.SIZES[:-1]) * 4)
        partner = self.rank ^ 1
        if partner < self.size:
            for number in order:
                size = data.SIZES[number // 4]
                room = data.Room(size)
                if self.rank < partner:
                    self.comm.Send(data.message(int(number), size), partner, 1)
                    self.comm.Recv(room.bytes, partner, 2)
                    self.good(room.wrong(int(number) + 1, size))
                else:
                    self.comm.Recv(room.bytes, partner, 1)
                    self.good(room.wrong(int(number), size))
                    self.comm.Send(data.message(int(number) + 1, size), partner, 2)

    @ranks_at_least(2)
    def test_the_same_buffer_sent_to_all(self) -> None:
        """The buffer of a send may be read by other sends at the same time."""
        for size in (100, 100_000):
            if self.rank == 0:
                mine = data.message(3, size)
                MPI.Request.Waitall([self.comm.Isend(mine, dest, 1) for dest in range(1, self.size)])
                self.good(data.wrong(mine, 3, size))
            else:
                room = data.Room(size)
                self.comm.Recv(room.bytes, 0, 1)
                self.good(room.wrong(3, size))

    def test_a_send_buffer_is_free_again_after_the_send(self) -> None:
        """What is written after Send or Wait must not change the message."""
        for size in (8, 48, 5000, 70_000, 600_000):
            mine = data.message(self.rank, size)
            room = data.Room(size)
            receive = self.comm.Irecv(room.bytes, self.left, 1)
            self.comm.Send(mine, self.right, 1)
            mine[:] = 0
            receive.Wait()
            self.good(room.wrong(self.left, size), f"size {size}")


if __name__ == "__main__":
    unittest.main()

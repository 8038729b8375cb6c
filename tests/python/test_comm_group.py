"""Communicators and groups: making, comparing, freeing; who is who in them."""

from __future__ import annotations

import unittest

import numpy as np
from mpi4py import MPI
from support.case import Case, later, not_on, ours_only, ranks_at_least


class Predefined(Case):
    def test_world_and_self(self) -> None:
        world, alone = MPI.COMM_WORLD, MPI.COMM_SELF
        self.assertEqual((world.Get_rank(), world.Get_size()), (world.rank, world.size))
        self.assertTrue(0 <= world.rank < world.size)
        self.assertEqual((alone.rank, alone.size), (0, 1))
        self.assertTrue(world)
        self.assertFalse(MPI.COMM_NULL)
        self.assertIsInstance(world, MPI.Intracomm)
        self.assertFalse(world.Is_inter())
        self.assertTrue(world.Is_intra())
        self.assertTrue(world.is_intra)

    def test_ranks_are_all_different(self) -> None:
        ranks = np.zeros(self.size, "i")
        MPI.COMM_WORLD.Allgather(np.array([MPI.COMM_WORLD.rank], "i"), ranks)
        self.assertEqual(ranks.tolist(), list(range(self.size)))

    def test_names(self) -> None:
        self.assertEqual(MPI.COMM_WORLD.Get_name(), "MPI_COMM_WORLD")
        self.assertEqual(MPI.COMM_SELF.Get_name(), "MPI_COMM_SELF")
        self.comm.Set_name("mine")
        self.assertEqual(self.comm.Get_name(), "mine")
        self.assertEqual(self.comm.name, "mine")

    def test_attributes(self) -> None:
        self.assertGreaterEqual(MPI.COMM_WORLD.Get_attr(MPI.TAG_UB), 32767)
        self.assertIn(MPI.COMM_WORLD.Get_attr(MPI.WTIME_IS_GLOBAL), (True, False, None))
        self.assertIsInstance(MPI.Get_processor_name(), str)

    def test_the_predefined_ones_cannot_be_freed(self) -> None:
        for comm in (MPI.COMM_WORLD, MPI.COMM_SELF):
            with self.mpi_error(MPI.ERR_COMM, MPI.ERR_ARG):
                MPI.Intracomm(comm).Free()


class Dup(Case):
    def test_dup(self) -> None:
        for comm in (MPI.COMM_WORLD, MPI.COMM_SELF, self.comm):
            copy = comm.Dup()
            self.assertEqual((copy.rank, copy.size), (comm.rank, comm.size))
            self.assertEqual(MPI.Comm.Compare(comm, copy), MPI.CONGRUENT)
            self.assertNotEqual(comm, copy)
            self.assertIsInstance(copy, MPI.Intracomm)
            copy.Free()
            self.assertEqual(copy, MPI.COMM_NULL)

    def test_clone_and_copy(self) -> None:
        copy = self.comm.Clone()
        self.assertEqual(MPI.Comm.Compare(self.comm, copy), MPI.CONGRUENT)
        copy.Free()

    def test_idup(self) -> None:
        copy, request = self.comm.Idup()
        request.Wait()
        self.assertEqual(MPI.Comm.Compare(self.comm, copy), MPI.CONGRUENT)
        copy.Free()

    def test_messages_stay_inside(self) -> None:
        one, two = self.comm.Dup(), self.comm.Dup()
        request = two.isend("two", self.right)
        self.assertFalse(one.Iprobe())
        self.comm.Barrier()  # nobody has sent on `one` before all have looked
        self.assertEqual(one.sendrecv("one", self.right, 0, None, self.left, 0), "one")
        self.assertEqual(two.recv(source=self.left), "two")
        request.wait()
        two.Free()
        one.Free()

    def test_a_freed_one_delivers_what_is_under_way(self) -> None:
        """Free only takes the name away; what was started goes on to its end."""
        comm = self.comm.Dup()
        got = np.zeros(100_000)
        requests = [comm.Irecv(got, self.left), comm.Isend(np.full(100_000, self.rank + 1.0), self.right)]
        comm.Free()
        MPI.Request.Waitall(requests)
        self.assertTrue((got == self.left + 1).all())


class Split(Case):
    def test_colors(self) -> None:
        for colors in (1, 2, 3):
            part = self.comm.Split(self.rank % colors, self.rank)
            members = [r for r in range(self.size) if r % colors == self.rank % colors]
            self.assertEqual((part.size, part.rank), (len(members), members.index(self.rank)))
            self.assertEqual(part.allgather(self.rank), members)
            part.Free()

    def test_keys(self) -> None:
        """Ordered by key, and by the old rank where keys are equal; negative and huge keys are keys."""
        for keys in (
            [0] * self.size,
            list(range(self.size)),
            [-r for r in range(self.size)],
            [r % 2 for r in range(self.size)],
            [(2**31 - 1, -(2**31), 0, -1)[r % 4] for r in range(self.size)],
        ):
            whole = self.comm.Split(7, keys[self.rank])
            expected = sorted(range(self.size), key=lambda r, keys=keys: (keys[r], r))
            self.assertEqual(whole.allgather(self.rank), expected)
            whole.Free()

    def test_large_colors(self) -> None:
        part = self.comm.Split(2**31 - 1 - self.rank % 2, 0)
        self.assertEqual(part.allgather(self.rank), list(range(self.rank % 2, self.size, 2)))
        part.Free()

    def test_undefined(self) -> None:
        for left_out in range(self.size):
            part = self.comm.Split(MPI.UNDEFINED if self.rank == left_out else 0, self.rank)
            if self.rank == left_out:
                self.assertEqual(part, MPI.COMM_NULL)
            else:
                self.assertEqual(part.size, self.size - 1)
                part.Free()
        self.assertEqual(self.comm.Split(MPI.UNDEFINED), MPI.COMM_NULL)

    @ours_only("others take it for a color")
    def test_negative_color(self) -> None:
        with self.mpi_error(MPI.ERR_ARG):
            self.comm.Split(-5, 0)
        self.assertEqual(self.comm.allreduce(1), self.size)

    def test_congruence(self) -> None:
        same = self.comm.Split(0, self.rank)
        backwards = self.comm.Split(0, -self.rank)
        self.assertEqual(MPI.Comm.Compare(self.comm, self.comm), MPI.IDENT)
        self.assertEqual(MPI.Comm.Compare(self.comm, same), MPI.CONGRUENT)
        self.assertEqual(MPI.Comm.Compare(self.comm, backwards), MPI.SIMILAR if self.size > 1 else MPI.CONGRUENT)
        if self.size > 1:
            self.assertEqual(MPI.Comm.Compare(self.comm, MPI.COMM_SELF), MPI.UNEQUAL)
        same.Free()
        backwards.Free()

    @later("Comm.Split_type")
    def test_split_type(self) -> None:
        part = self.comm.Split_type(MPI.COMM_TYPE_SHARED)
        self.assertEqual(part.size, self.size)
        part.Free()

    @later("Comm.Create")
    def test_create(self) -> None:
        group = self.comm.Get_group()
        backwards = group.Incl(list(range(self.size))[::-1])
        comm = self.comm.Create(backwards)
        self.assertEqual(comm.allgather(self.rank), list(range(self.size))[::-1])
        comm.Free()
        none = self.comm.Create(MPI.GROUP_EMPTY)
        self.assertEqual(none, MPI.COMM_NULL)
        for item in (group, backwards):
            item.Free()

    @later("Comm.Create_group")
    def test_create_group(self) -> None:
        """Only the members of the group take part."""
        group = self.comm.Get_group().Range_incl([(0, self.size - 1, 2)])
        if self.rank % 2 == 0:
            comm = self.comm.Create_group(group, 5)
            self.assertEqual(comm.allgather(self.rank), list(range(0, self.size, 2)))
            comm.Free()
        group.Free()


class Freed(Case):
    def test_use_of_a_freed_one(self) -> None:
        """The Python object then is COMM_NULL."""
        comm = self.comm.Dup()
        comm.Free()
        self.assertFalse(comm)
        for call in (comm.Get_size, comm.Get_rank, comm.Dup, comm.Barrier, comm.Free):
            with self.mpi_error(MPI.ERR_COMM):
                call()

    @ours_only("others follow a stale handle wherever it leads")
    def test_use_of_a_stale_handle(self) -> None:
        comm = self.comm.Dup()
        stale = MPI.Intracomm.fromhandle(comm.handle)
        comm.Free()
        for call in (stale.Get_size, stale.Barrier, stale.Free):
            with self.mpi_error(MPI.ERR_COMM):
                call()
        with self.mpi_error(MPI.ERR_COMM):
            stale.Send(b"x", 0)
        # A new one in the same place is another one.
        other = self.comm.Dup()
        with self.mpi_error(MPI.ERR_COMM):
            stale.Get_size()
        other.Free()

    @ours_only("others follow a foreign handle wherever it leads")
    def test_use_of_a_foreign_handle(self) -> None:
        for handle in (1, 0x123, 0x7FFF_FFFF_F000, 0xDEAD_BEEF_DEAD_BEEF & (2**63 - 1), MPI.INT.handle, MPI.SUM.handle):
            with self.mpi_error(MPI.ERR_COMM):
                MPI.Intracomm.fromhandle(handle).Get_size()

    def test_handles(self) -> None:
        self.assertEqual(MPI.Comm.fromhandle(self.comm.handle), self.comm)

    @not_on("Intel", "its ABI library cannot make handles out of Fortran's")
    def test_fortran_handles(self) -> None:
        self.assertEqual(MPI.Comm.f2py(self.comm.py2f()), self.comm)

    def test_sessions_of_many(self) -> None:
        """Two thousand live at once: nobody runs out of ids below that."""
        count = 200 if self.size > 2 else 500
        comms = [MPI.COMM_SELF.Dup() for _ in range(count)]
        self.assertTrue(all(comm.size == 1 for comm in comms))
        for comm in comms:
            comm.Free()


class Groups(Case):
    def setUp(self) -> None:
        super().setUp()
        self.group = self.comm.Get_group()

    def tearDown(self) -> None:
        self.group.Free()
        super().tearDown()

    def members(self, group: MPI.Group) -> list[int]:
        """The world ranks of a group, in its order."""
        ranks = MPI.Group.Translate_ranks(group, list(range(group.Get_size())), self.group)
        return list(ranks)

    def test_of_a_communicator(self) -> None:
        self.assertEqual((self.group.size, self.group.rank), (self.size, self.rank))
        self.assertEqual((self.group.Get_size(), self.group.Get_rank()), (self.size, self.rank))
        group = self.comm.group
        self.assertEqual(MPI.Group.Compare(group, self.group), MPI.IDENT)
        group.Free()
        self.assertEqual(group, MPI.GROUP_NULL)

    def test_empty(self) -> None:
        self.assertEqual((MPI.GROUP_EMPTY.size, MPI.GROUP_EMPTY.rank), (0, MPI.UNDEFINED))
        self.assertFalse(MPI.GROUP_NULL)
        self.assertTrue(MPI.GROUP_EMPTY)

    def test_incl_and_excl(self) -> None:
        for ranks in ([], [0], list(range(self.size)), list(range(self.size))[::-1], list(range(0, self.size, 2))):
            chosen = self.group.Incl(ranks)
            self.assertEqual(self.members(chosen), ranks)
            self.assertEqual(chosen.rank, ranks.index(self.rank) if self.rank in ranks else MPI.UNDEFINED)
            rest = self.group.Excl(ranks)
            self.assertEqual(self.members(rest), [r for r in range(self.size) if r not in ranks])
            for group in (chosen, rest):
                if group != MPI.GROUP_EMPTY:
                    group.Free()

    def test_ranges(self) -> None:
        n = self.size
        for ranges, members in (
            ([(0, n - 1, 1)], list(range(n))),
            ([(n - 1, 0, -1)], list(range(n))[::-1]),
            ([(0, n - 1, 2)], list(range(0, n, 2))),
            ([(0, 0, 5)], [0]),
            ([(1, n - 1, 1), (0, 0, 1)] if n > 1 else [(0, 0, 1)], [*range(1, n), 0]),
        ):
            chosen = self.group.Range_incl(ranges)
            self.assertEqual(self.members(chosen), members)
            rest = self.group.Range_excl(ranges)
            self.assertEqual(self.members(rest), [r for r in range(n) if r not in members])
            chosen.Free()

    def test_set_operations(self) -> None:
        n = self.size
        low = self.group.Incl(list(range((n + 1) // 2)))
        even = self.group.Incl(list(range(0, n, 2))[::-1])
        lows, evens = self.members(low), self.members(even)
        union = MPI.Group.Union(low, even)
        self.assertEqual(self.members(union), lows + [r for r in evens if r not in lows])
        both = MPI.Group.Intersection(low, even)
        self.assertEqual(self.members(both), [r for r in lows if r in evens])
        difference = MPI.Group.Difference(low, even)
        self.assertEqual(self.members(difference), [r for r in lows if r not in evens])
        self.assertEqual(MPI.Group.Compare(MPI.Group.Union(low, MPI.GROUP_EMPTY), low), MPI.IDENT)
        self.assertEqual(MPI.Group.Difference(low, low).size, 0)

    def test_compare(self) -> None:
        backwards = self.group.Incl(list(range(self.size))[::-1])
        expected = MPI.SIMILAR if self.size > 1 else MPI.IDENT
        self.assertEqual(MPI.Group.Compare(self.group, backwards), expected)
        self.assertEqual(MPI.Group.Compare(self.group, MPI.GROUP_EMPTY), MPI.UNEQUAL)
        self.assertEqual(MPI.Group.Compare(self.group, self.group), MPI.IDENT)
        backwards.Free()

    def test_translate(self) -> None:
        backwards = self.group.Incl(list(range(self.size))[::-1])
        ranks = list(range(self.size))
        self.assertEqual(list(MPI.Group.Translate_ranks(self.group, ranks, backwards)), ranks[::-1])
        self.assertEqual(list(self.group.Translate_ranks(None, backwards)), ranks[::-1])
        first = self.group.Incl([0])
        expected = [0] + [MPI.UNDEFINED] * (self.size - 1)
        self.assertEqual(list(MPI.Group.Translate_ranks(self.group, ranks, first)), expected)
        null = MPI.PROC_NULL
        self.assertEqual(list(MPI.Group.Translate_ranks(self.group, [null], first)), [null])
        first.Free()
        backwards.Free()

    @ranks_at_least(2)
    def test_of_a_split(self) -> None:
        part = self.comm.Split(self.rank % 2, -self.rank)
        group = part.Get_group()
        self.assertEqual(self.members(group), [r for r in reversed(range(self.size)) if r % 2 == self.rank % 2])
        part.Free()
        # The group outlives its communicator.
        self.assertEqual(group.rank, (self.size - 1 - self.rank) // 2 if self.size % 2 == 0 else group.rank)
        group.Free()

    def test_bad_arguments(self) -> None:
        with self.mpi_error(MPI.ERR_RANK):
            self.group.Incl([self.size])
        with self.mpi_error(MPI.ERR_RANK):
            self.group.Incl([-1])
        with self.mpi_error(MPI.ERR_RANK, MPI.ERR_ARG):
            self.group.Excl([self.size])
        with self.mpi_error(MPI.ERR_ARG):
            self.group.Range_incl([(0, 0, 0)])
        with self.mpi_error(MPI.ERR_GROUP):
            MPI.GROUP_NULL.Get_size()
        with self.mpi_error(MPI.ERR_RANK):
            MPI.Group.Translate_ranks(self.group, [self.size], self.group)

    @ours_only("MPICH makes a group with a rank in it twice")
    def test_a_rank_twice(self) -> None:
        with self.mpi_error(MPI.ERR_RANK):
            self.group.Incl([0, 0])


class Python(Case):
    """What a communicator is as a Python object."""

    def test_equality_and_hash(self) -> None:
        again = MPI.Comm.fromhandle(self.comm.handle)
        self.assertEqual(again, self.comm)
        self.assertNotEqual(self.comm, MPI.COMM_WORLD)
        # What can be freed has no hash.
        with self.assertRaises(TypeError):
            hash(self.comm)

    def test_sizes_cannot_be_set(self) -> None:
        with self.assertRaises(AttributeError):
            self.comm.rank = 5  # type: ignore[misc]

    def test_predefined_objects_are_single(self) -> None:
        self.assertIs(MPI.COMM_WORLD, MPI.COMM_WORLD)
        self.assertEqual(MPI.Comm(MPI.COMM_WORLD), MPI.COMM_WORLD)

    def test_predefined_ones_can_be_pickled(self) -> None:
        for thing in (MPI.COMM_WORLD, MPI.COMM_SELF, MPI.COMM_NULL, MPI.INT, MPI.SUM, MPI.GROUP_EMPTY):
            got = self.comm.sendrecv(thing, self.right, 0, None, self.left, 0)
            self.assertEqual(got, thing)
        with self.assertRaises(ValueError):
            self.comm.send(self.comm, self.right)


if __name__ == "__main__":
    unittest.main()

"""Extensions of others over mpi4py: what was built of the sources beside this file (build.py) is called on every rank."""

from __future__ import annotations

import sys
import unittest
import warnings

from mpi4py import MPI

with warnings.catch_warnings():
    # Cython's word about objects of another size than it was told.
    warnings.simplefilter("error")
    import in_c
    import in_cython
    import in_swig
    import limited

world = MPI.COMM_WORLD
rank, size = world.Get_rank(), world.Get_size()
SUM = sum(range(size))


def objects() -> list[object]:
    status = MPI.Status()
    status.source, status.tag, status.error = 3, 4, MPI.ERR_OTHER
    return [
        MPI.INT,
        status,
        MPI.REQUEST_NULL,
        MPI.Prequest(MPI.REQUEST_NULL),
        MPI.Grequest(MPI.REQUEST_NULL),
        MPI.MESSAGE_NO_PROC,
        MPI.SUM,
        MPI.GROUP_EMPTY,
        MPI.INFO_ENV,
        MPI.ERRORS_RETURN,
        MPI.SESSION_NULL,
        MPI.COMM_WORLD,
        MPI.WIN_NULL,
        MPI.FILE_NULL,
    ]


class C(unittest.TestCase):
    def test_a_communicator_from_python_works_in_c(self) -> None:
        self.assertEqual(in_c.total(world, rank), SUM)

    def test_objects_are_made_again_from_their_handles(self) -> None:
        for one in objects():
            other = in_c.again(one)
            self.assertIs(type(other), type(one))
            self.assertEqual(other, one)
            self.assertIsNot(other, one)

    def test_the_class_of_a_communicator_is_found(self) -> None:
        cart = world.Create_cart([size])
        again = in_c.again(cart)
        self.assertIs(type(again), MPI.Cartcomm)
        again.Free()

    def test_another_object_is_a_type_error(self) -> None:
        for wrong in (MPI.INT, None, 7, MPI.Status()):
            with self.assertRaises(TypeError):
                in_c.comm_of(wrong)
        self.assertEqual(in_c.comm_of(MPI.COMM_SELF), MPI.COMM_SELF.handle)

    def test_objects_have_the_layout_of_the_header(self) -> None:
        for name, (bytes_, offset) in in_c.layout().items():
            self.assertEqual((name, getattr(MPI, name).__basicsize__), (name, bytes_))
            self.assertEqual(offset, object.__basicsize__)
        for one in objects():
            self.assertEqual(MPI._addressof(one) - id(one), object.__basicsize__, repr(one))

    def test_the_stable_abi_of_python_is_enough(self) -> None:
        self.assertEqual(limited.size_of(world), size)
        with self.assertRaises(TypeError):
            limited.size_of(object())


class Cython(unittest.TestCase):
    def test_handles_are_read_out_of_objects(self) -> None:
        self.assertEqual(in_cython.total(world, rank), SUM)
        self.assertEqual(in_cython.total_in_place(world, rank), SUM)

    def test_a_handle_is_stored_into_an_object(self) -> None:
        copy = in_cython.duplicate(world)
        self.assertEqual(MPI.Comm.Compare(copy, world), MPI.CONGRUENT)
        self.assertEqual(copy.allreduce(rank), SUM)
        copy.Free()
        self.assertEqual(copy, MPI.COMM_NULL)

    def test_a_status_is_filled_in(self) -> None:
        status = MPI.Status()
        left = (rank - 1) % size
        self.assertEqual(in_cython.around(world, status), left)
        self.assertEqual((status.source, status.tag, status.Get_count(MPI.INT)), (left, 5, 1))

    def test_a_class_on_top_of_mine(self) -> None:
        comm = in_cython.Counted(world)
        self.assertEqual([comm.use(), comm.use(), comm.uses], [size, size, 2])
        self.assertIsInstance(comm, MPI.Intracomm)
        self.assertEqual(in_c.total(comm, rank), SUM)

    def test_another_object_is_a_type_error(self) -> None:
        with self.assertRaises(TypeError):
            in_cython.total(MPI.INT, 1)


class Swig(unittest.TestCase):
    def test_arguments_and_results_are_objects_of_mpi4py(self) -> None:
        self.assertEqual(in_swig.total(world, rank), SUM)
        self.assertEqual(in_swig.world(), world)
        self.assertTrue(in_swig.is_nothing(None))
        self.assertFalse(in_swig.is_nothing(world))
        with self.assertRaises(TypeError):
            in_swig.total(MPI.INT, 1)

    def test_overloads_are_told_apart(self) -> None:
        self.assertEqual([in_swig.what(world), in_swig.what(MPI.INT), in_swig.what(5)], [1, 2, 3])


if __name__ == "__main__":
    result = unittest.main(exit=False, verbosity=1 if rank == 0 else 0).result
    sys.exit(not result.wasSuccessful())

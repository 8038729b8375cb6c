"""Nonblocking duplicates of communicators: nobody waits in the call."""

from __future__ import annotations

import contextlib
import io
import unittest
from typing import Any

from mpi4py import MPI
from support import data
from support.case import Case, ours_only, ranks_at_least


class Idup(Case):
    def works(self, comm: MPI.Comm, expected: int = MPI.CONGRUENT) -> None:
        """A message round the ring and a collective."""
        self.assertEqual(MPI.Comm.Compare(self.comm, comm), expected)
        room = data.Room(5000)
        comm.Sendrecv(data.message(self.rank, 5000), self.right, 3, room.bytes, self.left, 3)
        self.good(room.wrong(self.left, 5000))
        assert isinstance(comm, MPI.Intracomm)
        self.assertEqual(comm.allreduce(1), self.size)

    def test_a_ring_of_messages_before_the_wait(self) -> None:
        for turn in range(10):
            copy, request = self.comm.Idup()
            self.assertEqual(self.comm.sendrecv(turn, self.right, source=self.left), turn)
            request.Wait()
            self.assertEqual(request, MPI.REQUEST_NULL)
            self.works(copy)
            copy.Free()

    @ranks_at_least(2)
    def test_the_call_returns_though_one_rank_has_not_called(self) -> None:
        """Each in turn calls when it has heard from all others that their calls are over."""
        for late in range(self.size):
            if self.rank == late:
                for rank in range(self.size):
                    if rank != late:
                        self.assertEqual(self.comm.recv(source=rank), "called")
                copy, request = self.comm.Idup()
            else:
                copy, request = self.comm.Idup()
                self.comm.send("called", late)
            request.Wait()
            self.works(copy)
            copy.Free()

    def test_several_at_once(self) -> None:
        """Also of each other's parents, completed in another order, with other collectives between."""
        parent = self.comm.Dup()
        made = []
        for i in range(6):
            made.append((parent if i % 3 else self.comm).Idup())
            if i == 2:
                self.assertEqual(parent.bcast(i if self.rank == 0 else None), i)
            if i == 4:
                between = self.comm.Dup()
        copies, requests = [copy for copy, _ in made], [request for _, request in made]
        for place in (4, 0):
            requests[place].Wait()
        MPI.Request.Waitall(requests)
        # Rank and number of the communicator are in the tag: none is another one.
        for number, copy in enumerate([*copies, between]):
            sent = copy.Isend(bytes([number]), self.right, number)
            got = bytearray(1)
            copy.Recv(got, self.left, number)
            sent.Wait()
            self.assertEqual(got[0], number)
        for copy in (*copies, between, parent):
            self.works(copy)
            copy.Free()

    @ours_only("others keep the parent alive or not, as they like")
    def test_the_parent_may_be_freed_meanwhile(self) -> None:
        parent = self.comm.Dup()
        copy, request = parent.Idup()
        parent.Free()
        request.Wait()
        self.works(copy)
        copy.Free()

    def test_messages_that_come_before_the_communicator(self) -> None:
        """One rank is done and sends; another asks only then whether it is done too."""
        copy, request = self.comm.Idup()
        if self.rank == 0:
            request.Wait()
            sent = [copy.isend(rank, rank, 5) for rank in range(self.size)]
        self.comm.Barrier()
        if self.rank != 0:
            request.Wait()
        self.assertEqual(copy.recv(source=0, tag=5), self.rank)
        if self.rank == 0:
            MPI.Request.waitall(sent)
        self.works(copy)
        copy.Free()

    def test_what_is_kept_with_it_may_be_set_before_it_is_complete(self) -> None:
        """Error handler, name, attributes: what needs no other process."""
        key = MPI.Comm.Create_keyval(nopython=False)
        if self.rank == 0:
            MPI.COMM_WORLD.Barrier()
        copy, request = self.comm.Idup()
        self.assertEqual(copy.Get_errhandler(), self.comm.Get_errhandler())
        copy.Set_errhandler(MPI.ERRORS_ABORT)
        self.assertEqual(copy.Get_errhandler(), MPI.ERRORS_ABORT)
        copy.name = "early"
        self.assertEqual(copy.name, "early")
        self.assertIsNone(copy.Get_attr(key))
        copy.Set_attr(key, "kept")
        if self.rank != 0:
            MPI.COMM_WORLD.Barrier()
        request.Wait()
        self.assertEqual((copy.name, copy.Get_attr(key)), ("early", "kept"))
        self.assertEqual(copy.Get_errhandler(), MPI.ERRORS_ABORT)
        self.works(copy)
        copy.Free()
        MPI.Comm.Free_keyval(key)

    @ours_only("undefined elsewhere")
    def test_not_before_it_is_complete(self) -> None:
        if self.rank != 0:
            copy, request = self.comm.Idup()
            MPI.COMM_WORLD.Barrier()
            for use in (copy.Get_size, copy.Dup, copy.Free, copy.Get_group, lambda: copy.Send(b"", 0)):
                with self.mpi_error(MPI.ERR_COMM) as raised:
                    use()
                self.assertIn("still being made", raised.text)
            MPI.COMM_WORLD.Barrier()
        else:
            MPI.COMM_WORLD.Barrier()
            MPI.COMM_WORLD.Barrier()
            copy, request = self.comm.Idup()
        request.Wait()
        self.works(copy)
        copy.Free()

    def test_info(self) -> None:
        info = MPI.Info.Create({"mpi_assert_no_any_tag": "true"})
        for copy, request in (self.comm.Idup(info), self.comm.Idup_with_info(info)):
            request.Wait()
            got = copy.Get_info()
            self.assertEqual(got.Get("mpi_assert_no_any_tag"), "true")
            got.Free()
            copy.Free()
        info.Free()

    def test_error_handler_as_it_was(self) -> None:
        self.comm.Set_errhandler(MPI.ERRORS_ARE_FATAL)
        self.comm.Set_errhandler(MPI.ERRORS_RETURN)
        copy, request = self.comm.Idup()
        self.comm.Set_errhandler(MPI.ERRORS_ARE_FATAL)
        request.Wait()
        handler = copy.Get_errhandler()
        self.assertEqual(handler, MPI.ERRORS_RETURN)
        self.comm.Set_errhandler(MPI.ERRORS_RETURN)
        copy.Free()

    @ranks_at_least(2)
    def test_between_two_groups(self) -> None:
        half = self.comm.Split(self.rank % 2)
        inter = half.Create_intercomm(0, self.comm, 1 - self.rank % 2, 4)
        made = [inter.Idup() for _ in range(3)]
        MPI.Request.Waitall([request for _, request in made])
        for number, (copy, _) in enumerate(made):
            self.assertTrue(copy.Is_inter())
            self.assertEqual(copy.Get_remote_size(), inter.Get_remote_size())
            # Everybody hears from all on the other side.
            theirs = range(copy.Get_remote_size())
            sends = [copy.isend((number, copy.Get_rank()), rank, number) for rank in theirs]
            self.assertEqual([copy.recv(source=rank, tag=number) for rank in theirs], [(number, r) for r in theirs])
            MPI.Request.waitall(sends)
            merged = copy.Merge(self.rank % 2 == 1)
            self.assertEqual(merged.Get_size(), self.size)
            merged.Free()
            copy.Free()
        inter.Free()
        half.Free()

    @ours_only("MPICH and Intel MPI hang")
    def test_a_thousand(self) -> None:
        copies, requests = [], []
        for _ in range(1000):
            copy, request = self.comm.Idup()
            copies.append(copy)
            requests.append(request)
        MPI.Request.Waitall(requests)
        self.works(copies[0])
        self.works(copies[-1])
        for copy in copies:
            copy.Free()


class Attributes(Case):
    def test_copied_when_the_call_is_made(self) -> None:
        calls: list[Any] = []

        def copy_function(comm: MPI.Comm, key: int, value: Any) -> Any:
            calls.append(("copy", value))
            return value + 1

        def delete_function(comm: MPI.Comm, key: int, value: Any) -> None:
            calls.append(("delete", value))

        key = MPI.Comm.Create_keyval(copy_function, delete_function)
        self.comm.Set_attr(key, 10)
        copy, request = self.comm.Idup()
        self.assertEqual(calls, [("copy", 10)])
        self.comm.Set_attr(key, 50)
        request.Wait()
        self.assertEqual((self.comm.Get_attr(key), copy.Get_attr(key)), (50, 11))
        copy.Free()
        self.assertEqual(calls[-1], ("delete", 11))
        self.comm.Delete_attr(key)
        MPI.Comm.Free_keyval(key)

    @ours_only("undefined elsewhere")
    def test_a_copy_function_that_fails_on_one_rank(self) -> None:
        """The call fails there; the others have their communicator, and the next one is everybody's."""
        deleted = []

        def copy_function(comm: MPI.Comm, key: int, value: Any) -> Any:
            if value == "bad":
                raise MPI.Exception(MPI.ERR_KEYVAL)
            return value

        fine = MPI.Comm.Create_keyval(lambda comm, key, value: value, lambda comm, key, value: deleted.append(value))
        key = MPI.Comm.Create_keyval(copy_function)
        for bad in range(self.size):
            deleted.clear()
            self.comm.Set_attr(fine, "fine")
            self.comm.Set_attr(key, "bad" if self.rank == bad else "good")
            if self.rank == bad:
                with contextlib.redirect_stderr(io.StringIO()), self.mpi_error(MPI.ERR_KEYVAL):
                    self.comm.Idup()
                self.assertEqual(deleted, ["fine"])
            else:
                copy, request = self.comm.Idup()
                request.Wait()
                self.assertEqual(copy.Get_size(), self.size)
                copy.Free()
            self.comm.Delete_attr(key)
            copy, request = self.comm.Idup()
            self.comm.Barrier()
            request.Wait()
            self.assertEqual(copy.allreduce(1), self.size)
            copy.Free()
            self.comm.Delete_attr(fine)
        MPI.Comm.Free_keyval(key)
        MPI.Comm.Free_keyval(fine)


if __name__ == "__main__":
    unittest.main()

"""The forms in which the arguments of Send, Recv, Isend and Irecv may come: all mean the same."""

from __future__ import annotations

import enum
import unittest

import numpy as np
from mpi4py import MPI
from support.case import Case


class Name(enum.IntEnum):
    """Integers that are not exactly of type int."""

    TAG = 7


class Own(MPI.Intracomm):
    """A class of the program's own."""


class Forms(Case):
    def test_by_position_by_name_and_by_default(self) -> None:
        comm, left, right = self.comm, self.left, self.right
        sent, got = np.arange(4.0) + comm.rank, np.empty(4)
        tag = np.int32(7)
        sends = [
            lambda: comm.Isend(sent, right, 7),
            lambda: comm.Isend(sent, dest=right, tag=7),
            lambda: comm.Isend(buf=sent, dest=np.int64(right), tag=Name.TAG),
            lambda: comm.Isend([sent, 4, MPI.DOUBLE], right, tag),
            lambda: Own(comm).Isend(sent, right, 7),
        ]
        receives = [
            lambda: comm.Recv(got, left, 7),
            lambda: comm.Recv(got, source=left, tag=7),
            lambda: comm.Recv(got, left),
            lambda: comm.Recv(got),
            lambda: comm.Recv(got, left, 7, None),
            lambda: comm.Recv(got, left, Name.TAG, status=MPI.Status()),
            lambda: comm.Irecv(got).Wait(),
            lambda: comm.Irecv(got, left, Name.TAG).Wait(),
            lambda: MPI.Comm.Recv(comm, got, left, 7),
            lambda: Own(comm).Recv(got, left, tag),
        ]
        for send in sends:
            for receive in receives:
                got.fill(-1.0)
                request = send()
                receive()
                request.Wait()
                self.assertEqual(got.tolist(), (np.arange(4.0) + left).tolist())

    def test_what_does_not_fit(self) -> None:
        comm, sent = self.comm, np.zeros(1)
        for arguments in [(), (sent,), (sent, 0, 0, 0), (sent, "0"), (sent, 0, 0.5), (sent, None)]:
            for send in comm.Send, comm.Isend:
                with self.assertRaises(TypeError, msg=str(arguments)):
                    send(*arguments)
        for receive in comm.Recv, comm.Irecv:
            with self.assertRaises(TypeError):
                receive()
            with self.assertRaises(TypeError):
                receive(sent, 0, 0, None, 0)
        for number in 2**31, -(2**31) - 1, 2**63, 2**70:
            with self.assertRaises(OverflowError):
                comm.Send(sent, number)
            with self.assertRaises(OverflowError):
                comm.Recv(sent, 0, number)
        with self.assertRaises(TypeError):
            MPI.Comm.Send(object(), sent, 0)  # type: ignore[arg-type]
        self.assertTrue(comm.Send.__doc__.startswith("Send(self, buf"))


if __name__ == "__main__":
    unittest.main()

"""Buffers of one collective that overlap where the standard forbids it: an error that names both, on who gave them, before
anything has begun."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from mpi4py import MPI
from support.case import Case, ours_only


class OverlapCase(Case):
    def setUp(self) -> None:
        super().setUp()
        self.a = np.arange(100, dtype="i")

    def refused(self, call: Callable[[], object], *words: str) -> None:
        with self.assertRaises(MPI.Exception) as raised:
            call()
        text = raised.exception.error_string
        self.assertEqual(raised.exception.error_class, MPI.ERR_BUFFER, text)
        for word in words:
            self.assertIn(word, text)
        # Nothing has begun, and nothing was written.
        self.assertTrue((self.a == np.arange(100)).all())
        self.assertEqual(self.comm.allreduce(1), self.comm.size)


@ours_only("others compare addresses at most")
class SentAndReceived(OverlapCase):
    def test_the_same_memory(self) -> None:
        comm, a = self.comm, self.a
        n = comm.size
        for call in (
            lambda: comm.Allreduce(a, a),
            lambda: comm.Scan(a, a),
            lambda: comm.Iallreduce(a, a),
            lambda: comm.Alltoall([a, 2, MPI.INT], [a, 2, MPI.INT]),
            lambda: comm.Ialltoall([a, 2, MPI.INT], [a, 2, MPI.INT]),
            lambda: comm.Alltoallv([a, [2] * n], [a, [2] * n]),
        ):
            self.refused(call, "are the same memory", "give MPI_IN_PLACE")

    def test_a_part_of_it(self) -> None:
        comm, a = self.comm, self.a
        n = comm.size
        self.refused(lambda: comm.Allreduce(a[:10], a[9:19]), "overlap: bytes 0 to 3 of the receive buffer are sent")
        for call in (
            lambda: comm.Allgather(a[1:3], a[: 2 * n]),
            lambda: comm.Iallgather(a[1:3], a[: 2 * n]),
            lambda: comm.Allgatherv(a[1:3], [a, [2] * n]),
            lambda: comm.Iexscan(a[:10], a[5:15]),
        ):
            self.refused(call, "overlap", "of the receive buffer are sent as well")

    def test_side_by_side_is_apart(self) -> None:
        a = np.arange(20, dtype="i")
        self.comm.Allreduce(a[:10], a[10:])
        self.assertTrue((a[10:] == np.arange(10) * self.comm.size).all())
        # Columns of a matrix lie between each other.
        matrix = np.zeros((8, 4), "i")
        matrix[:, 0] = range(8)
        column = MPI.INT.Create_vector(8, 1, 4).Commit()
        MPI.COMM_SELF.Alltoall([matrix, 1, column], [matrix.ravel()[1:], 1, column])
        self.assertTrue((matrix[:, 1] == range(8)).all() and not matrix[:, 2:].any())
        column.Free()


@ours_only("others do not look")
class ReceivedTwice(OverlapCase):
    def test_blocks_of_ranks(self) -> None:
        comm, a = self.comm, self.a
        n = comm.size
        if n == 1:
            self.skipTest("one block")
        into = [np.zeros(100, "i"), [2] * n, [i for i in range(n)], MPI.INT]
        words = (
            "blocks of the receive buffer overlap: that of rank 0 are elements 0 to 1, that of rank 1 elements 1 to 2",
        )
        for call in (
            lambda: comm.Allgatherv(a[:2], into),
            lambda: comm.Iallgatherv(a[:2], into),
            lambda: comm.Alltoallv([a, [2] * n], into),
            lambda: comm.Ialltoallv([a, [2] * n], into),
        ):
            self.refused(call, *words)
        lanes = [np.zeros(100, "i"), ([1] * n, [2 * i for i in range(n)]), [MPI.INT] * n]
        sent = [a, ([1] * n, [4 * i for i in range(n)]), [MPI.INT] * n]
        for alltoallw in (comm.Alltoallw, comm.Ialltoallw):
            self.refused(
                lambda f=alltoallw: f(sent, lanes), "that of rank 0 are 4 bytes at 0x", "that of rank 1 4 bytes at 0x"
            )
        # Sent twice is no mistake, and types without bytes can not overlap.
        comm.Alltoallv([a, [2] * n, [0] * n, MPI.INT], [np.zeros(2 * n, "i"), [2] * n])
        nothing = MPI.INT.Create_contiguous(0).Commit()
        comm.Allgatherv([a, 2, nothing], [into[0], [2] * n, [0] * n, nothing])
        nothing.Free()

    def test_blocks_of_neighbours(self) -> None:
        ring = self.comm.Create_cart([self.comm.size], periods=[True])
        self.addCleanup(ring.Free)
        into = [np.zeros(100, "i"), [2, 2], [0, 1], MPI.INT]
        for call in (
            lambda: ring.Neighbor_allgatherv(self.a[:2], into),
            lambda: ring.Ineighbor_alltoallv([self.a, [2, 2]], into),
        ):
            self.refused(call, "that of source 0 are elements 0 to 1, that of source 1 elements 1 to 2")
        # Nothing comes from beyond the border.
        line = self.comm.Create_cart([self.comm.size])
        self.addCleanup(line.Free)
        if line.rank in (0, line.size - 1):
            line.Neighbor_allgatherv(self.a[:2], into)
        else:
            line.Neighbor_allgatherv(self.a[:2], [into[0], [2, 2]])

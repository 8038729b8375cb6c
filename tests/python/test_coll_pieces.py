"""Blocks that do not fit into a chunk of shared memory and, with more ranks than cores, go through chunks piece by piece: lengths
around the limits, of all ranks different, in parts of arrays, and wrong ones. Longer ones, which the kernel copies: from and to
all places in a page."""

from __future__ import annotations

import unittest
from typing import Any

import numpy as np
from mpi4py import MPI
from support.case import OURS, Case, ranks_at_least

Array = np.ndarray[Any, np.dtype[Any]]

# Elements of 8 bytes: a chunk of 64 KiB, and the longest blocks that go in pieces with 3, 4 and 8 ranks (6 MiB and 16 MiB by
# the square of the number of ranks), each and one more and less.
EDGES = [8192, 87_381, 49_152, 12_288, 233_016, 131_072, 32_768]
SIZES = sorted({edge + d for edge in EDGES for d in (-1, 0, 1)} | {2730, 20_000, 60_000})


def block(source: int, target: int, n: int) -> Array:
    return (np.arange(n, dtype="u8") * 2_654_435_761) ^ np.uint64(source << 40 | target << 50)


class Lengths(Case):
    def test_equal_blocks(self) -> None:
        comm, size, rank = self.comm, self.size, self.rank
        for k, n in enumerate(SIZES):
            root = k % size
            everything = np.stack([block(root, r, n) for r in range(size)])
            got = np.zeros(n, "u8")
            comm.Scatter(everything if rank == root else None, got, root)
            np.testing.assert_array_equal(got, everything[rank], f"Scatter of {n}")
            rows = np.zeros((size, n), "u8")
            comm.Gather(got, rows if rank == root else None, root)
            if rank == root:
                np.testing.assert_array_equal(rows, everything, f"Gather of {n}")
            rows[:] = 0
            comm.Alltoall(np.stack([block(rank, r, n) for r in range(size)]), rows)
            wanted = np.stack([block(r, rank, n) for r in range(size)])
            np.testing.assert_array_equal(rows, wanted, f"Alltoall of {n}")

    def test_blocks_of_different_lengths(self) -> None:
        comm, size, rank = self.comm, self.size, self.rank
        for k, n in enumerate(SIZES):
            # Most are short or empty, some are as long as n.
            counts = [[n if (s + t + k) % 3 == 0 else (s * t) % 5 for t in range(size)] for s in range(size)]
            send = [block(rank, t, counts[rank][t]) for t in range(size)]
            mine = [counts[s][rank] for s in range(size)]
            got = np.zeros(sum(mine), "u8")
            comm.Alltoallv([np.concatenate(send), counts[rank]], [got, mine])
            wanted = np.concatenate([block(s, rank, mine[s]) for s in range(size)])
            np.testing.assert_array_equal(got, wanted, f"Alltoallv of {n}")
            root = k % size
            got = np.zeros(counts[root][rank], "u8")
            all_of_root = np.concatenate([block(root, t, counts[root][t]) for t in range(size)])
            comm.Scatterv([all_of_root, counts[root]] if rank == root else None, got, root)
            np.testing.assert_array_equal(got, block(root, rank, len(got)), f"Scatterv of {n}")
            back = np.zeros_like(all_of_root)
            comm.Gatherv(got, [back, counts[root]] if rank == root else None, root)
            if rank == root:
                np.testing.assert_array_equal(back, all_of_root, f"Gatherv of {n}")

    def test_parts_of_arrays(self) -> None:
        """Every other column, on one side only or on both; in place."""
        comm, size, rank = self.comm, self.size, self.rank
        n = 15_001
        column = MPI.UINT64_T.Create_vector(n, 1, 2).Create_resized(0, 16 * n).Commit()
        wide = np.zeros((size, n, 2), "u8")
        wide[:, :, 0] = [block(rank, t, n) for t in range(size)]
        rows = np.zeros((size, n), "u8")
        comm.Alltoall([wide, 1, column], [rows, n, MPI.UINT64_T])
        wanted = np.stack([block(s, rank, n) for s in range(size)])
        np.testing.assert_array_equal(rows, wanted)
        got = np.zeros((size, n, 2), "u8")
        comm.Alltoallw(
            [rows, [n] * size, [8 * n * r for r in range(size)], [MPI.UINT64_T] * size],
            [got, [1] * size, [16 * n * r for r in range(size)], [column] * size],
        )
        np.testing.assert_array_equal(got[:, :, 0], [block(rank, s, n) for s in range(size)])
        np.testing.assert_array_equal(got[:, :, 1], 0)
        comm.Alltoall(MPI.IN_PLACE, [got, 1, column])
        np.testing.assert_array_equal(got[:, :, 0], wanted)
        for root in range(size):
            if rank == root:
                comm.Gather(MPI.IN_PLACE, [got, 1, column], root)
                np.testing.assert_array_equal(got[:, :, 0], [block(root, s, n) for s in range(size)])
                comm.Scatter([got, 1, column], MPI.IN_PLACE, root)
            else:
                comm.Gather([wanted[root], n, MPI.UINT64_T], None, root)
                part = np.zeros((n, 2), "u8")
                comm.Scatter(None, [part, 1, column], root)
                np.testing.assert_array_equal(part[:, 0], block(root, rank, n))
            got[:, :, 0] = wanted
        column.Free()

    @ranks_at_least(2)
    @unittest.skipUnless(OURS, "what happens otherwise is not said by the standard")
    def test_wrong_length_is_an_error_of_that_rank_only(self) -> None:
        comm, size, rank = self.comm, self.size, self.rank
        n, last = 20_000, size - 1
        counts = [n] * size
        # The last rank expects one element less than rank 0 sends.
        room = [n - 1 if rank == last and r == 0 else n for r in range(size)]
        got = np.zeros(sum(room), "u8")
        send = np.concatenate([block(rank, t, n) for t in range(size)])
        if rank == last:
            with self.assertRaises(MPI.Exception) as caught:
                comm.Alltoallv([send, counts], [got, room])
            self.assertEqual(caught.exception.Get_error_class(), MPI.ERR_TRUNCATE)
            self.assertIn(f"rank 0 sent {8 * n} bytes where {8 * (n - 1)} were expected", str(caught.exception))
        else:
            comm.Alltoallv([send, counts], [got, room])
        fits = np.zeros(n - 1 if rank == last else n, "u8")
        spec = [send, counts] if rank == 0 else None
        if rank == last:
            with self.assertRaises(MPI.Exception) as caught:
                comm.Scatterv(spec, fits, 0)
            self.assertEqual(caught.exception.Get_error_class(), MPI.ERR_TRUNCATE)
        else:
            comm.Scatterv(spec, fits, 0)
            np.testing.assert_array_equal(fits, block(0, rank, n))
        # The ranks are still in step.
        self.assertEqual(comm.allreduce(rank), size * (size - 1) // 2)


def placed(n: int, offset: int) -> Array:
    """Room for `n` elements, `offset` bytes from the beginning of a page on."""
    memory = np.zeros(8 * n + 2 * 4096, "u1")
    begin = (offset - memory.ctypes.data) % 4096
    return memory[begin : begin + 8 * n].view("u8")


class Places(Case):
    """Of the receiver's block in a page against the sender's: some processors' string moves, and so the kernel's copies, are slow
    where it lies just ahead, and go another way there."""

    # Whole pages, so that all blocks lie alike.
    SIZES = (40_960, 131_072, 600_064)
    # Sender, receiver.
    PLACES = ((0, 8), (0, 56), (16, 24), (4088, 0), (4064, 8), (8, 0), (0, 0), (64, 2048))

    def test_rooted(self) -> None:
        comm, size, rank = self.comm, self.size, self.rank
        for k, n in enumerate(self.SIZES):
            root = k % size
            everything = np.concatenate([block(root, r, n) for r in range(size)])
            for there, here in self.PLACES:
                send, got = placed(n * size, there), placed(n, here)
                send[:] = everything
                comm.Scatter(send if rank == root else None, got, root)
                np.testing.assert_array_equal(got, block(root, rank, n), f"Scatter of {n} from {there} to {here}")
                mine, back = placed(n, there), placed(n * size, here)
                mine[:] = got
                comm.Gather(mine, back if rank == root else None, root)
                if rank == root:
                    np.testing.assert_array_equal(back, everything, f"Gather of {n} from {there} to {here}")
                    # No element of the gap may change.
                    back[:] = 1
                counts, displs = [n - 3] * size, [r * n for r in range(size)]
                comm.Gatherv(mine[: n - 3], [back, counts, displs, MPI.UINT64_T] if rank == root else None, root)
                if rank == root:
                    rows, wanted = back.reshape(size, n), everything.reshape(size, n)
                    np.testing.assert_array_equal(rows[:, : n - 3], wanted[:, : n - 3])
                    np.testing.assert_array_equal(rows[:, n - 3 :], 1)

    def test_all_to_all(self) -> None:
        comm, size, rank = self.comm, self.size, self.rank
        for n in self.SIZES:
            for there, here in self.PLACES:
                send, got = placed(n * size, there), placed(n * size, here)
                send[:] = np.concatenate([block(rank, r, n) for r in range(size)])
                comm.Alltoall(send, got)
                wanted = np.concatenate([block(r, rank, n) for r in range(size)])
                np.testing.assert_array_equal(got, wanted, f"Alltoall of {n} from {there} to {here}")


if __name__ == "__main__":
    unittest.main()

"""Messages above 2 GiB, where a count no longer fits a C int. They need 5 GiB of memory: only with OXMPI_TEST_LARGE=1."""

from __future__ import annotations

import os
import unittest

import numpy as np
from mpi4py import MPI
from support import data
from support.case import Case, our_extension

SIZE = (1 << 31) + 12_345


@unittest.skipUnless(os.environ.get("OXMPI_TEST_LARGE") == "1", "only with OXMPI_TEST_LARGE=1")
class Large(Case):
    """Ranks 0 and 1; the others only take part in what is collective."""

    def ends(self, buffer: np.ndarray, seed: int) -> None:
        """The first, the last and the bytes around 2^31 are those of `fill`."""
        for begin in (0, (1 << 31) - 500, buffer.size - 1000):
            self.good(data.wrong(buffer[begin : begin + 1000], seed + begin, 1000), f"at {begin}")

    def fill(self, seed: int) -> np.ndarray:
        buffer = np.zeros(SIZE, np.uint8)
        for begin in (0, (1 << 31) - 500, SIZE - 1000):
            buffer[begin : begin + 1000] = data.message(seed + begin, 1000)
        return buffer

    def test_send_and_recv(self) -> None:
        if self.size == 1:
            got = np.zeros(SIZE, np.uint8)
            self.comm.Sendrecv(self.fill(1), 0, 0, got, 0, 0)
            self.ends(got, 1)
        elif self.rank == 0:
            self.comm.Send(self.fill(1), 1)
        elif self.rank == 1:
            got, status = np.zeros(SIZE, np.uint8), MPI.Status()
            self.comm.Recv(got, 0, 0, status)
            self.ends(got, 1)
            self.assertEqual(status.Get_count(MPI.BYTE), SIZE)
            self.assertEqual(status.Get_count(MPI.INT), MPI.UNDEFINED)

    @unittest.skipIf(MPI.COMM_WORLD.size > 2, "for two ranks")
    def test_bcast(self) -> None:
        buffer = self.fill(2) if self.rank == 0 else np.zeros(SIZE, np.uint8)
        self.comm.Bcast(buffer)
        self.ends(buffer, 2)

    @our_extension("the original's pickled messages end at 2 GiB")
    @unittest.skipIf(MPI.COMM_WORLD.size > 2, "for two ranks")
    def test_objects(self) -> None:
        if self.size == 1:
            return
        if self.rank == 0:
            self.comm.send({"big": self.fill(3)}, 1)
        else:
            self.ends(self.comm.recv(source=0)["big"], 3)

    @unittest.skipIf(MPI.COMM_WORLD.size > 2, "for two ranks")
    def test_a_vector_type_of_many_bytes(self) -> None:
        """Few elements, each large."""
        block = MPI.BYTE.Create_contiguous(1 << 20).Commit()
        count = SIZE >> 20
        got = np.zeros(SIZE, np.uint8)
        status = MPI.Status()
        self.comm.Sendrecv([self.fill(4), count, block], self.right, 0, [got, count, block], self.left, 0, status)
        self.assertEqual((status.Get_count(block), status.Get_elements(MPI.BYTE)), (count, count << 20))
        self.good(data.wrong(got[:1000], 4, 1000))
        block.Free()


if __name__ == "__main__":
    unittest.main()

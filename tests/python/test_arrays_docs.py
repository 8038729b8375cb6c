"""The programs in docs/arrays.md do what is said there, and the option `rc.strided` what it promises."""

from __future__ import annotations

import re
import sys
import textwrap
import unittest
from pathlib import Path

from support.alone import AloneCase, library, mpiexec, python, run

ALONE = True
PAGE = Path(__file__).resolve().parents[2] / "docs" / "arrays.md"

OPTION = """
import {mpi4py}
import numpy as np
from mpi4py import MPI

comm = MPI.COMM_WORLD
rank, size = comm.rank, comm.size
right, left = (rank + 1) % size, (rank - 1) % size

def ring(send, receive):
    comm.Sendrecv(send, right, 1, receive, left, 1)

def numbers(shape, seed):
    return np.arange(np.prod(shape), dtype="f8").reshape(shape) + 100 * seed

# Parts of arrays, alone and in lists, NumPy's and others.
a, b = numbers((5, 4), rank), np.zeros((5, 4))
ring(a[:, 1], b[::-1, 2])
assert b[::-1, 2].tolist() == numbers((5, 4), left)[:, 1].tolist() and np.count_nonzero(b[:, [0, 1, 3]]) == 0
ring([a[1:, ::2], (4, 1), MPI.DOUBLE], [b[:, 0], 4])
assert b[:4, 0].tolist() == numbers((5, 4), left)[1:, ::2].ravel()[1:5].tolist() and b[4, 0] == 0
ring(memoryview(bytes(range(10)))[::3], got := bytearray(4))
assert list(got) == [0, 3, 6, 9]
ring(a.view(np.recarray)[:, 3], b[:, 1])
assert b[:, 1].tolist() == numbers((5, 4), left)[:, 3].tolist()

# Fortran's order is C's for the others; alone, in lists, in collectives.
f = np.zeros((3, 2), order="F")
ring(numbers((3, 2), rank), f)
assert f.tolist() == numbers((3, 2), left).tolist()
c = np.zeros((3, 2))
for message in (f, [f, MPI.DOUBLE], [f, 6, MPI.DOUBLE], np.asfortranarray(numbers((3, 2), left))):
    ring(message, c)
    assert c.tolist() == numbers((3, 2), (left - 1) % size).tolist()
f[...] = rank
comm.Allreduce(f, c)
assert c.tolist() == [[sum(range(size))] * 2] * 3
comm.Allreduce(numbers((3, 2), 0), f)
assert f.tolist() == (size * numbers((3, 2), 0)).tolist()
comm.Bcast(f[::2], 0)
blocks = np.zeros((2, size), order="F").T
comm.Allgather(np.full(2, rank + 1.0), blocks)
assert blocks.tolist() == [[r + 1.0] * 2 for r in range(size)]

# A datatype of one's own describes the memory.
pair = MPI.DOUBLE.Create_vector(2, 1, 3).Commit()
f[...] = numbers((3, 2), 0)
two = np.zeros(2)
ring([f, 1, pair], two)
assert two.tolist() == [0, 1]
pair.Free()

# One dimension, contiguous arrays, bytes, constants: as always.
ring(np.arange(3.0), three := np.zeros(3))
ring(b"abc", got := bytearray(3))
assert three.tolist() == [0, 1, 2] and got == b"abc"
comm.Allreduce(MPI.IN_PLACE, three)
try:
    comm.Recv(np.broadcast_to(1.0, 3), left)
except BufferError:
    pass
else:
    raise AssertionError
print("done")
"""


class Page(AloneCase):
    def setUp(self) -> None:
        self.need_numpy()

    def test_the_examples(self) -> None:
        programs = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)
        self.assertGreaterEqual(len(programs), 6)
        for program in programs:
            ended = python(program + "\nprint('done')\n", ranks=2)
            self.assertEqual((ended.status, ended.out.split()), (0, ["done"] * 2), f"{program}\n{ended.text}")


class Datatypes(AloneCase):
    """Datatypes that messages need are made once, kept in a bounded number, and freed."""

    def setUp(self) -> None:
        self.need_numpy()

    def test_nothing_is_left_at_the_end(self) -> None:
        if not library().startswith("oxmpi"):
            self.skipTest("only oxmpi's mpiexec --check tells of datatypes that are left")
        program = """
            import numpy as np
            from mpi4py import MPI

            comm, got = MPI.COMM_SELF, np.zeros(2000)
            for step in range(1, 500):
                comm.Sendrecv(MPI.strided(np.zeros(2000)[::step]), 0, 0, got, 0, 0)
                record = np.dtype({"names": ["a"], "formats": ["f8"], "offsets": [step], "itemsize": step + 8})
                comm.Sendrecv(np.zeros(3, record), 0, 0, MPI.strided(got[:: step + 1]), 0, 0)
            kept = comm.Send_init(MPI.strided(np.zeros((4, 5))[:, 1]), 0)
            kept.Free()
            if FINALIZE:
                MPI.Finalize()
            """
        for finalize in ("True", "False"):
            command = [*mpiexec(), "--check", "-n", "1", sys.executable, "-c"]
            ended = run([*command, textwrap.dedent(program).replace("FINALIZE", finalize)])
            self.assertEqual((ended.status, ended.out, ended.err), (0, "", ""), ended.text)


class Option(AloneCase):
    def setUp(self) -> None:
        self.need_numpy()

    def test_set_by_the_program(self) -> None:
        program = OPTION.replace("import {mpi4py}", "import mpi4py; mpi4py.rc.strided = True")
        for ranks in (1, 2, 3):
            ended = python(program, ranks=ranks)
            self.assertEqual((ended.status, ended.out.split()), (0, ["done"] * ranks), ended.text)

    def test_set_by_the_environment(self) -> None:
        ended = python(OPTION.replace("{mpi4py}", "mpi4py"), ranks=2, MPI4PY_RC_STRIDED="1")
        self.assertEqual((ended.status, ended.out.split()), (0, ["done"] * 2), ended.text)

    def test_off_by_default(self) -> None:
        ended = python(
            """
            import mpi4py
            assert mpi4py.rc.strided is False
            import numpy as np
            from mpi4py import MPI
            try:
                MPI.COMM_SELF.Isend(np.zeros((3, 3))[:, 1], 0)
            except BufferError as error:
                print(error)
            """,
            ranks=1,
        )
        self.assertIn("not contiguous: MPI.strided(a) stands for it as it lies", ended.out, ended.text)


if __name__ == "__main__":
    unittest.main()

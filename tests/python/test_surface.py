"""Everything that mpi4py 4.1.2 has for the public is here, with the same signatures, types, bases and values."""

from __future__ import annotations

import fnmatch
import unittest

from mpi4py import MPI
from support import surface
from support.case import our_extension

# Not here yet, and when.
LATER = {
    "mpi4py.futures*": "futures: the issue of the Python packages",
    "mpi4py.util.pool*": "util.pool: the issue of the Python packages",
    "mpi4py.util.sync*": "util.sync: the issue of the Python packages",
    "mpi4py.bench*": "bench: the issue of the Python packages",
}
# Otherwise than in mpi4py on purpose: what it says there, and why not here.
ELSE = {
    "MPI.Comm.Bsend_init": "-> Request there, though what comes is a Prequest",
    "MPI.Comm.Rsend_init": "-> Request there, though what comes is a Prequest",
    "MPI.Comm.Ssend_init": "-> Request there, though what comes is a Prequest",
    "MPI.Distgraphcomm.Get_dist_neighbors_count": "-> int there, though what comes is a tuple",
}


def later(path: str) -> str | None:
    return next((why for pattern, why in LATER.items() if fnmatch.fnmatchcase(path, pattern)), None)


@our_extension("its signatures and documentation are this project's")
class Surface(unittest.TestCase):
    maxDiff = None

    def test_every_name_is_there_and_is_the_same(self) -> None:
        wrong, count = [], 0
        for entry in surface.entries():
            if later(entry.path) or entry.path in ELSE:
                continue
            count += 1
            if difference := surface.difference(entry):
                wrong.append(f"{entry.path} {difference}")
        self.assertEqual(wrong, [])
        # The file as a whole was read, and compared with something.
        self.assertGreater(count, 1150)

    def test_what_is_said_to_come_later_is_not_here_yet(self) -> None:
        """A line of LATER or ELSE that is no longer true has to go."""
        late: dict[str, int] = dict.fromkeys(LATER.values(), 0)
        for entry in surface.entries():
            why = later(entry.path)
            if why and surface.find(entry.path) is surface.MISSING:
                late[why] += 1
            if entry.path in ELSE:
                self.assertIsNotNone(surface.difference(entry), entry.path)
        for why, count in late.items():
            if MPI.COMM_WORLD.Get_size() == 1:
                print(f"{count} names are missing: {why}")
            self.assertGreater(count, 0, why)

    def test_constants_have_the_types_and_values_of_the_abi(self) -> None:
        wrong, values = [], 0
        for name, kind, value in surface.constants():
            found = getattr(MPI, name)
            if type(found).__name__ != kind:
                wrong.append(f"{name} is of type {type(found).__name__}, not {kind}")
            if value is not None:
                values += 1
                real = found if kind == "int" else int(found) if kind.endswith("Type") else found.handle
                if real != value:
                    wrong.append(f"{name} is {real:#x}, not {value:#x}")
        self.assertEqual(wrong, [])
        self.assertEqual(values, 300)


class Reader(unittest.TestCase):
    """That the comparison finds something."""

    def difference(self, line: str) -> str | None:
        match = surface.LINE.match(line)
        assert match is not None
        found = match.groupdict()
        return surface.difference(surface.Entry(**(found | {"mark": found["mark"] or ""})))

    def test_what_is_right_is_no_difference(self) -> None:
        for line in (
            "MPI.Comm.Send(self, buf: BufSpec, dest: int, tag: int=0) -> None",
            "MPI.Comm.rank: int [property rw]",
            "MPI.Intracomm(comm: Comm | None=None) [class bases=Comm]",
            "MPI.ANY_TAG: int [constant]",
            "MPI.Comm.__eq__(self, other: object, /) -> bool [special]",
        ):
            self.assertIsNone(self.difference(line), line)

    def test_what_is_wrong_is_found(self) -> None:
        for line, says in (
            ("MPI.Comm.Sent(self) -> None", "is missing"),
            ("MPI.Comm.Send(self, buf: BufSpec, dest: int, label: int=0) -> None", "label"),
            ("MPI.Comm.Send(self, buf: BufSpec, dest: int, tag: int) -> None", "tag: int"),
            ("MPI.Comm.Send(self, buf: Any, dest: int, tag: int=0) -> None", "buf: Any"),
            ("MPI.Comm.Send(self, buf: BufSpec, dest: int, tag: int=0) -> None [classmethod]", "no classmethod"),
            ("MPI.Comm.Get_parent(cls) -> Intercomm", "a classmethod"),
            ("MPI.Comm.rank: str [property rw]", "'rank: str'"),
            ("MPI.Comm.Get_rank: int [property rw]", "no property"),
            ("MPI.Intracomm(comm: Comm | None=None) [class bases=object]", "the bases Comm"),
            ("MPI.Intracomm(comm: Comm) [class bases=Comm]", "takes"),
            ("MPI.Comm(comm: Comm | None=None) [class bases=object final]", "subclasses"),
            ("MPI.ANY_TAG: Datatype [constant]", "of type int"),
            ("MPI.Comm.__matmul__ [special]", "missing"),
            ("mpi4py.rc.errors = 'fatal' [rc option]", "'exception'"),
        ):
            self.assertIn(says, self.difference(line) or "(no difference)", line)


if __name__ == "__main__":
    unittest.main()

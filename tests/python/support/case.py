"""The base class of the tests and the marks that say where a test applies.

The reference is what the standard says and what MPICH and Intel MPI do under the original mpi4py. A test of something
that only this project promises carries `ours_only` (the library does it) or `our_extension` (the module mpi4py.MPI
does it, over whatever library).
"""

from __future__ import annotations

import functools
import os
import time
import unittest
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from mpi4py import MPI

from support.which import is_our_extension

__unittest = True  # unittest leaves this file's frames out of tracebacks

Decorated = TypeVar("Decorated", bound=Callable[..., Any] | type)

LIBRARY = MPI.Get_library_version()
OURS = LIBRARY.startswith("oxmpi")


OUR_EXTENSION = is_our_extension()

world = MPI.COMM_WORLD
rank = world.Get_rank()
size = world.Get_size()

# Intel MPI 2021.18 as libmpi_abi.so.1 (handles are the standard's) ends the job at every error: ERRORS_RETURN stands for
# ERRORS_ABORT there. This project's mpi4py.MPI sets an error handler of its own instead. With OXMPI_TEST_ERRORS=1 the
# tests of errors run in any case.
ERRORS_END_THE_JOB = (
    "Intel" in LIBRARY
    and world.handle == 0x101
    and not OUR_EXTENSION
    and os.environ.get("OXMPI_TEST_ERRORS", "0") != "1"
)


def ours_only(reason: str) -> Callable[[Decorated], Decorated]:
    """For what other MPI libraries leave undefined or do worse; `reason` says what they do."""
    return unittest.skipUnless(OURS, f"only for oxmpi: {reason}")


def our_extension(reason: str) -> Callable[[Decorated], Decorated]:
    """For what this project's mpi4py.MPI does and the original does not."""
    return unittest.skipUnless(OUR_EXTENSION, f"only for oxmpi's mpi4py.MPI: {reason}")


def not_on(library: str, reason: str) -> Callable[[Decorated], Decorated]:
    """For a bug or gap of one library: `library` is in its MPI.Get_library_version()."""
    return unittest.skipIf(library in LIBRARY, f"not on {library}: {reason}")


def ranks_at_least(count: int) -> Callable[[Decorated], Decorated]:
    return unittest.skipIf(size < count, f"needs {count} ranks")


def later(name: str) -> Callable[[Decorated], Decorated]:
    """For a part of the standard that the engine does not have yet: skipped as long as a call says so."""

    def mark(test: Any) -> Any:
        @functools.wraps(test)
        def run(self: unittest.TestCase) -> None:
            try:
                test(self)
            except MPI.Exception as error:
                if error.Get_error_class() != MPI.ERR_UNSUPPORTED_OPERATION or not OURS:
                    raise
            except NotImplementedError:
                if not OUR_EXTENSION:
                    raise
            else:
                return
            self.skipTest(f"{name} is not built yet")

        return run

    return mark


class Raised:
    """Filled by `Case.mpi_error`."""

    text = ""


class Case(unittest.TestCase):
    """A test that all ranks run together. The communicator is `self.comm`: a copy of COMM_WORLD for this test alone."""

    longMessage = True
    comm: MPI.Intracomm
    rank: int
    size: int
    broken = False  # set by the collector when the test failed or was skipped in its middle

    def setUp(self) -> None:
        self.comm = world.Dup()
        self.rank, self.size = rank, size

    def tearDown(self) -> None:
        # After a failure the other ranks may be anywhere: the runner starts a new job then.
        if not self.broken:
            self.comm.Free()

    @property
    def left(self) -> int:
        return (self.rank - 1) % self.size

    @property
    def right(self) -> int:
        return (self.rank + 1) % self.size

    def good(self, complaint: str | None, note: object = "") -> None:
        """Fails with `complaint` (from `data.wrong` and the like) if there is one."""
        if complaint is not None:
            self.fail(f"{complaint} [{note}]" if note != "" else complaint)

    def check_status(self, status: MPI.Status, source: int, tag: int, size: int) -> None:
        self.assertEqual((status.Get_source(), status.Get_tag()), (source, tag), "source and tag in the status")
        self.assertEqual(status.Get_count(MPI.BYTE), size, "bytes in the status")
        self.assertFalse(status.Is_cancelled())

    @contextmanager
    def mpi_error(self, *classes: int) -> Iterator[Raised]:
        """The block has to raise MPI.Exception of one of these classes; what it raised can be looked at afterwards."""
        if ERRORS_END_THE_JOB:
            self.skipTest("this library ends the job at every error")
        raised = Raised()
        try:
            yield raised
        except MPI.Exception as error:
            raised.text = error.Get_error_string()
            self.assertIn(error.Get_error_class(), classes, f"class of: {raised.text}")
        else:
            self.fail(f"no MPI.Exception; expected class {' or '.join(str(number) for number in classes)}")


def jitter(seed: int, most: float = 0.002) -> None:
    """Sleeps for a time between 0 and `most` that depends on `seed` alone."""
    time.sleep(((seed * 2654435761) % 4096) / 4096 * most)

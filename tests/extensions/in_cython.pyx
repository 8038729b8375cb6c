# cython: language_level=3
"""An extension in Cython that uses MPI.pxd and libmpi.pxd. `test_extensions.py` calls it."""

from mpi4py cimport MPI
from mpi4py.libmpi cimport (
    MPI_Allreduce,
    MPI_Allreduce_c,
    MPI_BOTTOM,
    MPI_Comm,
    MPI_COMM_NULL,
    MPI_Comm_dup,
    MPI_Comm_free,
    MPI_Comm_rank,
    MPI_Count,
    MPI_Get_count,
    MPI_IN_PLACE,
    MPI_INT,
    MPI_MAX_PROCESSOR_NAME,
    MPI_Recv,
    MPI_Sendrecv,
    MPI_Status,
    MPI_STATUS_IGNORE,
    MPI_SUM,
)


def total(MPI.Comm comm not None, int value):
    """The sum over the ranks, with the handle out of the object."""
    cdef int sum_ = 0
    with nogil:
        MPI_Allreduce(&value, &sum_, 1, MPI_INT, MPI_SUM, comm.ob_mpi)
    return sum_


def total_in_place(MPI.Comm comm not None, int value):
    MPI_Allreduce_c(MPI_IN_PLACE, &value, <MPI_Count>1, MPI_INT, MPI_SUM, comm.ob_mpi)
    return value


def duplicate(MPI.Intracomm comm not None):
    """A new object, whose handle is stored into it."""
    cdef MPI.Intracomm copy = MPI.Intracomm()
    assert copy.ob_mpi == MPI_COMM_NULL
    MPI_Comm_dup(comm.ob_mpi, &copy.ob_mpi)
    return copy


def around(MPI.Comm comm not None, MPI.Status status not None):
    """What the left neighbour sent: its rank; the status is filled in."""
    cdef int rank = -1, size = 0, got = -1
    cdef char name[MPI_MAX_PROCESSOR_NAME]
    MPI_Comm_rank(comm.ob_mpi, &rank)
    size = comm.Get_size()
    MPI_Sendrecv(
        &rank, 1, MPI_INT, (rank + 1) % size, 5, &got, 1, MPI_INT, (rank - 1) % size, 5, comm.ob_mpi, &status.ob_mpi
    )
    return got


cdef class Counted(MPI.Intracomm):
    """A class of its own on top of one of mpi4py's."""

    cdef readonly int uses

    def use(self):
        self.uses += 1
        return self.Get_size()

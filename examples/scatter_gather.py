"""Deals fifteen numbers out to the ranks and collects them again."""

import numpy as np
from mpi4py import MPI

comm = MPI.COMM_WORLD
rank = comm.Get_rank()
size = comm.Get_size()

if rank == 0:
    sendbuf = np.arange(15.0)
    share, rest = divmod(sendbuf.size, size)
    counts = np.array([share + 1 if r < rest else share for r in range(size)])
    displs = np.concatenate(([0], np.cumsum(counts)[:-1]))
else:
    sendbuf = None
    counts = np.zeros(size, dtype=int)
    displs = None

comm.Bcast(counts, root=0)
part = np.zeros(counts[rank])
comm.Scatterv([sendbuf, counts, displs, MPI.DOUBLE], part, root=0)

# The way back: the root says where the part of each rank belongs.
gathered = np.zeros(counts.sum())
comm.Gatherv(part, [gathered, counts, displs, MPI.DOUBLE], root=0)

if rank == 0:
    print(f"After Gatherv, process 0 has data: {gathered}")

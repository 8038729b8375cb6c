"""Fifteen numbers are dealt out to the ranks in parts that need not be of one size."""

import numpy as np
from mpi4py import MPI

comm = MPI.COMM_WORLD
rank = comm.Get_rank()
size = comm.Get_size()

if rank == 0:
    sendbuf = np.arange(15.0)
    # The first `rest` ranks get one number more than the others.
    share, rest = divmod(sendbuf.size, size)
    counts = np.array([share + 1 if r < rest else share for r in range(size)])
    # Where in `sendbuf` the part of each rank begins.
    displs = np.concatenate(([0], np.cumsum(counts)[:-1]))
else:
    sendbuf = None
    counts = np.zeros(size, dtype=int)
    displs = None

# Everybody has to know how much will come.
comm.Bcast(counts, root=0)
recvbuf = np.zeros(counts[rank])

comm.Scatterv([sendbuf, counts, displs, MPI.DOUBLE], recvbuf, root=0)

print(f"After Scatterv, process {rank} has data: {recvbuf}")

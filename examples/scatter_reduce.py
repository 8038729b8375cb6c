"""Every rank adds up its part of fifteen numbers; the root gets the sum of the sums."""

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

partial_sum = np.array([part.sum()])
print(f"Partial sum on process {rank} is: {partial_sum[0]}")

total_sum = np.zeros(1)
comm.Reduce(partial_sum, total_sum, op=MPI.SUM, root=0)
if rank == 0:
    print(f"After Reduce, total sum on process 0 is: {total_sum[0]}")

"""One rank has the numbers, all get them."""

import numpy as np
from mpi4py import MPI

comm = MPI.COMM_WORLD
rank = comm.Get_rank()

data = np.arange(4.0) if rank == 0 else np.zeros(4)

comm.Bcast(data, root=0)

print(f"Process {rank} has data: {data}")

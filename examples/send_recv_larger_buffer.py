"""A receive buffer may be larger than the message: the rest of it stays as it was."""

import numpy as np
from mpi4py import MPI

comm = MPI.COMM_WORLD
rank = comm.Get_rank()
size = comm.Get_size()

if rank == 0:
    data = np.arange(4.0)
    for worker in range(1, size):
        comm.Send(data, dest=worker, tag=worker)
        print(f"Process {rank} sent data: {data}")
else:
    # Room for six numbers, and four will come. (Room for three would be an error.)
    data = np.zeros(6)
    comm.Recv(data, source=0, tag=rank)
    print(f"Process {rank} has data: {data}")

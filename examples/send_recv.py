"""Rank 0 sends an array of four numbers to every other rank."""

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
    # The memory for a message is made by the receiver, before the call.
    data = np.zeros(4)
    comm.Recv(data, source=0, tag=rank)
    print(f"Process {rank} received data: {data}")

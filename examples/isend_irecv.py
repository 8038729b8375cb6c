"""The same as send_recv.py with calls that return at once and a wait for their end."""

import numpy as np
from mpi4py import MPI

comm = MPI.COMM_WORLD
rank = comm.Get_rank()
size = comm.Get_size()

if rank == 0:
    data = np.arange(4.0)
    for worker in range(1, size):
        request = comm.Isend(data, dest=worker, tag=worker)
        # ... time for other work, which leaves `data` alone ...
        request.Wait()
        print(f"Process {rank} sent data: {data}")
else:
    data = np.zeros(4)
    request = comm.Irecv(data, source=0, tag=rank)
    # ... time for other work, which does not look at `data` yet ...
    request.Wait()
    print(f"Process {rank} received data: {data}")

# `from mpi4py cimport MPI, libmpi` in Cython: the classes of mpi4py.MPI, and the C interface of MPI.

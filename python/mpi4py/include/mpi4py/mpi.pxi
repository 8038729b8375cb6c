# The C interface of MPI for Cython files that `include` it.

include "../../libmpi.pxd"

/* The functions of mpi4py.MPI for C under the name that Cython gives such a header; mpi4py/mpi4py.h has them too. */

#ifndef MPI4PY_API_H
#define MPI4PY_API_H

#include "MPI.h"
#include "include/mpi4py/pycapi.h"

#endif

/* mpi4py for extensions in C and C++: takes MPI handles out of Python objects, and makes objects of handles.
 *
 *     #include <mpi4py/mpi4py.h>
 *
 *     if (import_mpi4py() < 0) return NULL;              once in each source file, when the module starts
 *     MPI_Comm *comm = PyMPIComm_Get(object);            NULL and TypeError for anything but a Comm
 *     PyObject *object = PyMPIComm_New(MPI_COMM_SELF);
 *
 * Compile with the mpicc of this package, or with -I of mpi4py.get_include(). */

#ifndef MPI4PY_H
#define MPI4PY_H

#include <Python.h>
#include <mpi.h>

#ifndef MPI_ABI_VERSION
#error "this mpi4py speaks the standard ABI of MPI 5.0: compile with its own mpicc, or with an mpi.h of that ABI"
#endif

#include "pycapi.h"
#ifndef MPI4PY_LIMITED_API
#include "../../MPI.h"
#endif

static int import_mpi4py(void)
{
    return import_mpi4py__MPI();
}

#endif

/* The objects of mpi4py.MPI in C. The MPI handle (of a Status the structure) stands right behind Python's head; the rest
 * is not for others. The functions of mpi4py/mpi4py.h are the better way to it: they check the class of the object. */

#ifndef MPI4PY_OBJECTS_H
#define MPI4PY_OBJECTS_H

#include <Python.h>
#include <mpi.h>

#define MPI4PY_OBJECT(Name, Handle)    \
    typedef struct PyMPI##Name##Object \
    {                                  \
        PyObject_HEAD                  \
        Handle ob_mpi;                 \
        unsigned flags;                \
        PyObject *weak;                \
    } PyMPI##Name##Object

#define MPI4PY_LARGER_OBJECT(Name, Handle, words) \
    typedef struct PyMPI##Name##Object            \
    {                                             \
        PyObject_HEAD                             \
        Handle ob_mpi;                            \
        unsigned flags;                           \
        void *room[words];                        \
        PyObject *weak;                           \
    } PyMPI##Name##Object

MPI4PY_OBJECT(Datatype, MPI_Datatype);
MPI4PY_OBJECT(Status, MPI_Status);
MPI4PY_OBJECT(Op, MPI_Op);
MPI4PY_OBJECT(Group, MPI_Group);
MPI4PY_OBJECT(Info, MPI_Info);
MPI4PY_OBJECT(Errhandler, MPI_Errhandler);
MPI4PY_OBJECT(Session, MPI_Session);
MPI4PY_OBJECT(Comm, MPI_Comm);
MPI4PY_OBJECT(File, MPI_File);
MPI4PY_LARGER_OBJECT(Win, MPI_Win, 1);
MPI4PY_LARGER_OBJECT(Message, MPI_Message, 1);
MPI4PY_LARGER_OBJECT(Request, MPI_Request, 5);

typedef PyMPIRequestObject PyMPIPrequestObject;
typedef PyMPIRequestObject PyMPIGrequestObject;
typedef PyMPICommObject PyMPIIntracommObject;
typedef PyMPICommObject PyMPITopocommObject;
typedef PyMPICommObject PyMPICartcommObject;
typedef PyMPICommObject PyMPIGraphcommObject;
typedef PyMPICommObject PyMPIDistgraphcommObject;
typedef PyMPICommObject PyMPIIntercommObject;

#undef MPI4PY_OBJECT
#undef MPI4PY_LARGER_OBJECT

#endif

/* The functions and classes of mpi4py.MPI for C, and import_mpi4py__MPI, which fetches them out of the module. It uses no
 * more of Python than its stable ABI. For programs: mpi4py.h. */

#ifndef MPI4PY_PYCAPI_H
#define MPI4PY_PYCAPI_H

#include <Python.h>
#include <mpi.h>
#include <string.h>

#if defined(__GNUC__)
#define MPI4PY_UNUSED __attribute__((unused))
#else
#define MPI4PY_UNUSED
#endif

/* Classes that have functions: name, what New takes. */
#define MPI4PY_CLASSES(X)         \
    X(Datatype, MPI_Datatype)     \
    X(Status, MPI_Status *)       \
    X(Request, MPI_Request)       \
    X(Message, MPI_Message)       \
    X(Op, MPI_Op)                 \
    X(Group, MPI_Group)           \
    X(Info, MPI_Info)             \
    X(Errhandler, MPI_Errhandler) \
    X(Session, MPI_Session)       \
    X(Comm, MPI_Comm)             \
    X(Win, MPI_Win)               \
    X(File, MPI_File)

/* Classes that are derived from these. */
#define MPI4PY_DERIVED_CLASSES(X) \
    X(Prequest)                   \
    X(Grequest)                   \
    X(Intracomm)                  \
    X(Topocomm)                   \
    X(Cartcomm)                   \
    X(Graphcomm)                  \
    X(Distgraphcomm)              \
    X(Intercomm)

#define MPI4PY_DECLARE(Name, Argument)                                             \
    static PyTypeObject *mpi4py_class_##Name MPI4PY_UNUSED = NULL;                 \
    static PyObject *(*PyMPI##Name##_New)(Argument) MPI4PY_UNUSED = NULL;          \
    static MPI_##Name *(*PyMPI##Name##_Get)(PyObject *) MPI4PY_UNUSED = NULL;
#define MPI4PY_DECLARE_DERIVED(Name) static PyTypeObject *mpi4py_class_##Name MPI4PY_UNUSED = NULL;

MPI4PY_CLASSES(MPI4PY_DECLARE)
MPI4PY_DERIVED_CLASSES(MPI4PY_DECLARE_DERIVED)
static PyObject *(*PyMPIPrequest_New)(MPI_Request) MPI4PY_UNUSED = NULL;
static PyObject *(*PyMPIGrequest_New)(MPI_Request) MPI4PY_UNUSED = NULL;

#undef MPI4PY_DECLARE
#undef MPI4PY_DECLARE_DERIVED

#define PyMPIDatatype_Type (*mpi4py_class_Datatype)
#define PyMPIStatus_Type (*mpi4py_class_Status)
#define PyMPIRequest_Type (*mpi4py_class_Request)
#define PyMPIPrequest_Type (*mpi4py_class_Prequest)
#define PyMPIGrequest_Type (*mpi4py_class_Grequest)
#define PyMPIMessage_Type (*mpi4py_class_Message)
#define PyMPIOp_Type (*mpi4py_class_Op)
#define PyMPIGroup_Type (*mpi4py_class_Group)
#define PyMPIInfo_Type (*mpi4py_class_Info)
#define PyMPIErrhandler_Type (*mpi4py_class_Errhandler)
#define PyMPISession_Type (*mpi4py_class_Session)
#define PyMPIComm_Type (*mpi4py_class_Comm)
#define PyMPIIntracomm_Type (*mpi4py_class_Intracomm)
#define PyMPITopocomm_Type (*mpi4py_class_Topocomm)
#define PyMPICartcomm_Type (*mpi4py_class_Cartcomm)
#define PyMPIGraphcomm_Type (*mpi4py_class_Graphcomm)
#define PyMPIDistgraphcomm_Type (*mpi4py_class_Distgraphcomm)
#define PyMPIIntercomm_Type (*mpi4py_class_Intercomm)
#define PyMPIWin_Type (*mpi4py_class_Win)
#define PyMPIFile_Type (*mpi4py_class_File)

/* Stores the class `name` in `place`: 0, or -1 with an exception set. */
static int mpi4py_fetch_class(PyObject *module, const char *name, PyTypeObject **place)
{
    PyObject *found = PyObject_GetAttrString(module, name);
    if (found == NULL)
        return -1;
    if (!PyType_Check(found)) {
        PyErr_Format(PyExc_TypeError, "mpi4py.MPI.%s is not a class", name);
        Py_DecRef(found);
        return -1;
    }
    *place = (PyTypeObject *)found; /* kept: the module is never unloaded */
    return 0;
}

/* Stores the address of the function `name` in `place`, a function pointer, if it has this signature. */
static int mpi4py_fetch_function(PyObject *table, const char *name, const char *signature, void *place)
{
    void *address;
    PyObject *capsule = PyMapping_GetItemString(table, name);
    if (capsule == NULL)
        return -1;
    address = PyCapsule_GetPointer(capsule, signature);
    Py_DecRef(capsule);
    if (address == NULL)
        return -1;
    memcpy(place, &address, sizeof address);
    return 0;
}

static int mpi4py_fetch_all(PyObject *module, PyObject *table)
{
#define MPI4PY_FETCH(Name, Argument)                                                                                  \
    if (mpi4py_fetch_class(module, #Name, &mpi4py_class_##Name) < 0 ||                                                \
        mpi4py_fetch_function(table, "PyMPI" #Name "_New", "PyObject *(" #Argument ")", &PyMPI##Name##_New) < 0 ||    \
        mpi4py_fetch_function(table, "PyMPI" #Name "_Get", "MPI_" #Name " *(PyObject *)", &PyMPI##Name##_Get) < 0)    \
        return -1;
#define MPI4PY_FETCH_DERIVED(Name)                                      \
    if (mpi4py_fetch_class(module, #Name, &mpi4py_class_##Name) < 0)    \
        return -1;
    MPI4PY_CLASSES(MPI4PY_FETCH)
    MPI4PY_DERIVED_CLASSES(MPI4PY_FETCH_DERIVED)
#undef MPI4PY_FETCH
#undef MPI4PY_FETCH_DERIVED
    if (mpi4py_fetch_function(table, "PyMPIPrequest_New", "PyObject *(MPI_Request)", &PyMPIPrequest_New) < 0)
        return -1;
    return mpi4py_fetch_function(table, "PyMPIGrequest_New", "PyObject *(MPI_Request)", &PyMPIGrequest_New);
}

#undef MPI4PY_UNUSED

/* 0, or -1 with an exception set. With rc.initialize (the default) this starts MPI, as the import does. */
static int import_mpi4py__MPI(void)
{
    int result = -1;
    PyObject *module = PyImport_ImportModule("mpi4py.MPI");
    PyObject *table = module == NULL ? NULL : PyObject_GetAttrString(module, "__pyx_capi__");
    if (table != NULL)
        result = mpi4py_fetch_all(module, table);
    Py_DecRef(table);
    Py_DecRef(module);
    return result;
}

#endif

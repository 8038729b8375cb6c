/* The same header with Python's stable ABI: no object layouts, only functions. */
#define Py_LIMITED_API 0x030b0000
#define MPI4PY_LIMITED_API 1
#include <mpi4py/mpi4py.h>

static PyObject *size_of(PyObject *self, PyObject *object)
{
    int size = 0;
    MPI_Comm *comm = PyMPIComm_Get(object);
    (void)self;
    if (comm == NULL)
        return NULL;
    MPI_Comm_size(*comm, &size);
    return PyLong_FromLong(size);
}

static PyMethodDef methods[] = {{"size_of", size_of, METH_O, NULL}, {NULL, NULL, 0, NULL}};
static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "limited", NULL, -1, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit_limited(void)
{
    if (import_mpi4py() < 0)
        return NULL;
    return PyModule_Create(&definition);
}

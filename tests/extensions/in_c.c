/* An extension in C that uses mpi4py.h. `test_extensions.py` calls it. */
#define PY_SSIZE_T_CLEAN
#include <mpi4py/mpi4py.h>
#include <stddef.h>

/* total(comm, value): the sum over the ranks of `comm`, by MPI from C. */
static PyObject *total(PyObject *self, PyObject *arguments)
{
    PyObject *object;
    int value, sum = 0;
    MPI_Comm *comm;
    (void)self;
    if (!PyArg_ParseTuple(arguments, "Oi", &object, &value) || (comm = PyMPIComm_Get(object)) == NULL)
        return NULL;
    MPI_Allreduce(&value, &sum, 1, MPI_INT, MPI_SUM, *comm);
    return PyLong_FromLong(sum);
}

/* again(object): a second object for the same handle (or a copy of a status), through _Get and _New. */
static PyObject *again(PyObject *self, PyObject *object)
{
    (void)self;
#define TRY(Name)                                                       \
    if (PyObject_TypeCheck(object, &PyMPI##Name##_Type)) {              \
        MPI_##Name *handle = PyMPI##Name##_Get(object);                 \
        return handle == NULL ? NULL : PyMPI##Name##_New(*handle);      \
    }
    if (PyObject_TypeCheck(object, &PyMPIStatus_Type))
        return PyMPIStatus_New(PyMPIStatus_Get(object));
    if (PyObject_TypeCheck(object, &PyMPIPrequest_Type))
        return PyMPIPrequest_New(*PyMPIRequest_Get(object));
    if (PyObject_TypeCheck(object, &PyMPIGrequest_Type))
        return PyMPIGrequest_New(*PyMPIRequest_Get(object));
    TRY(Datatype) TRY(Request) TRY(Message) TRY(Op) TRY(Group) TRY(Info) TRY(Errhandler) TRY(Session) TRY(Comm) TRY(Win)
    TRY(File)
    PyErr_SetString(PyExc_TypeError, "no object of mpi4py.MPI");
    return NULL;
}

/* comm_of(object): the handle as a number; the class is checked by PyMPIComm_Get. */
static PyObject *comm_of(PyObject *self, PyObject *object)
{
    MPI_Comm *comm = PyMPIComm_Get(object);
    (void)self;
    return comm == NULL ? NULL : PyLong_FromSsize_t((Py_ssize_t)(intptr_t)*comm);
}

/* layout(): for each class its size in C, and where the handle is in it. */
static PyObject *layout(PyObject *self, PyObject *nothing)
{
    (void)self, (void)nothing;
#define ONE(Name) #Name, sizeof(PyMPI##Name##Object), offsetof(PyMPI##Name##Object, ob_mpi)
    return Py_BuildValue(
        "{s(nn)s(nn)s(nn)s(nn)s(nn)s(nn)s(nn)s(nn)s(nn)s(nn)s(nn)s(nn)s(nn)s(nn)s(nn)s(nn)s(nn)s(nn)s(nn)s(nn)}",
        ONE(Datatype), ONE(Status), ONE(Request), ONE(Prequest), ONE(Grequest), ONE(Message), ONE(Op), ONE(Group), ONE(Info),
        ONE(Errhandler), ONE(Session), ONE(Comm), ONE(Intracomm), ONE(Topocomm), ONE(Cartcomm), ONE(Graphcomm),
        ONE(Distgraphcomm), ONE(Intercomm), ONE(Win), ONE(File));
}

static PyMethodDef methods[] = {
    {"total", total, METH_VARARGS, NULL},
    {"again", again, METH_O, NULL},
    {"comm_of", comm_of, METH_O, NULL},
    {"layout", layout, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "in_c", NULL, -1, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit_in_c(void)
{
    if (import_mpi4py() < 0)
        return NULL;
    return PyModule_Create(&definition);
}

/* mpi4py for SWIG: arguments and results of MPI's handle types are objects of mpi4py.MPI in Python.
 *
 *     %module solver
 *     %include <mpi4py/mpi4py.i>
 *     %mpi4py_typemap(Comm, MPI_Comm);
 *     void solve(MPI_Comm comm);
 *
 * Also for pointers to a handle, which may be changed: they are where the object keeps it, and NULL for None. */

%header %{
#include <mpi4py/mpi4py.h>
%}

/* In the function that starts the module: from SWIG 4.4 on it returns a number. */
%init %{
if (import_mpi4py() < 0) {
#if SWIG_VERSION >= 0x040400
    return -1;
#else
    return NULL;
#endif
}
%}

%define %mpi4py_typemap(PyType, Type)

%typemap(in) Type {
    Type *handle_ = PyMPI##PyType##_Get($input);
    if (handle_ == NULL)
        SWIG_fail;
    $1 = *handle_;
}

%typemap(in) Type * {
    $1 = NULL;
    if ($input != Py_None && ($1 = PyMPI##PyType##_Get($input)) == NULL)
        SWIG_fail;
}

/* Overloaded functions: before numbers and texts. */
%typemap(typecheck, precedence=SWIG_TYPECHECK_POINTER) Type {
    $1 = PyObject_TypeCheck($input, &PyMPI##PyType##_Type);
}

%typemap(typecheck, precedence=SWIG_TYPECHECK_POINTER) Type * {
    $1 = $input == Py_None || PyObject_TypeCheck($input, &PyMPI##PyType##_Type);
}

%typemap(out) Type {
    $result = PyMPI##PyType##_New($1);
    if ($result == NULL)
        SWIG_fail;
}

%enddef

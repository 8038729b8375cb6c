%module in_swig
%include <mpi4py/mpi4py.i>
%mpi4py_typemap(Comm, MPI_Comm);
%mpi4py_typemap(Datatype, MPI_Datatype);

%inline %{
int total(MPI_Comm comm, int value)
{
    int sum = 0;
    MPI_Allreduce(&value, &sum, 1, MPI_INT, MPI_SUM, comm);
    return sum;
}

/* Overloaded by what it is given. */
int what(MPI_Comm comm) { (void)comm; return 1; }
int what(MPI_Datatype datatype) { (void)datatype; return 2; }
int what(int number) { (void)number; return 3; }

MPI_Comm world(void) { return MPI_COMM_WORLD; }
int is_nothing(MPI_Comm *comm) { return comm == NULL; }
%}

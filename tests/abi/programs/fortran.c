/* The Fortran properties that a program tells the library: kept by the first call that sets them. Not
   for libraries that were built with a Fortran compiler and know them. */
#include "check.h"

int main(int argc, char **argv)
{
    start(&argc, &argv);
    OK(MPI_Comm_set_errhandler(MPI_COMM_SELF, MPI_ERRORS_RETURN));
    OK(MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN));
    int yes = 1, no = 0, t = 5, f = 5, set = 5, class = 0;
    OK(MPI_Abi_get_fortran_booleans(4, &t, &f, &set));
    if (!set) {
        OK(MPI_Abi_set_fortran_booleans(4, &yes, &no));
        OK(MPI_Abi_get_fortran_booleans(4, &t, &f, &set));
        CHECK(set && t == 1 && f == 0);
    }
    OK(MPI_Error_class(MPI_Abi_set_fortran_booleans(4, &yes, &no), &class));
    CHECK(class == MPI_ERR_ABI);

    MPI_Info info, back;
    char value[16];
    int len = sizeof value, found = 0;
    OK(MPI_Info_create(&info));
    OK(MPI_Info_set(info, "mpi_logical_size", "4"));
    OK(MPI_Info_set(info, "mpi_integer_size", "4"));
    OK(MPI_Abi_get_fortran_info(&back));
    if (back == MPI_INFO_NULL) {
        OK(MPI_Abi_set_fortran_info(info));
        OK(MPI_Abi_get_fortran_info(&back));
    }
    OK(MPI_Error_class(MPI_Abi_set_fortran_info(info), &class));
    CHECK(class == MPI_ERR_ABI);
    OK(MPI_Info_free(&info));
    CHECK(back != MPI_INFO_NULL);
    OK(MPI_Info_get_string(back, "mpi_integer_size", &len, value, &found));
    CHECK(found && !strcmp(value, "4"));
    OK(MPI_Info_free(&back));
    finish();
    return 0;
}

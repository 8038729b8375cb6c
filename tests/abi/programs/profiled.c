/* Runs with libtool_count.so preloaded (tool_count.c): the tool sees each call of this program, and
   none that the library makes for itself. */
#include "check.h"

extern int tool_count(const char *name) __attribute__((weak));

int main(int argc, char **argv)
{
    start(&argc, &argv);
    CHECK(tool_count != NULL);
    int value = rank, sum = 0, right = (rank + 1) % size, left = (rank + size - 1) % size;
    for (int i = 0; i < 10; i++) {
        if (rank % 2 == 0 && !(size % 2 && rank == size - 1))
            OK(MPI_Send(&value, 1, MPI_INT, right, 0, MPI_COMM_WORLD));
        OK(MPI_Sendrecv(&value, 1, MPI_INT, right, 1, &sum, 1, MPI_INT, left, 1, MPI_COMM_WORLD, MPI_STATUS_IGNORE));
        if (rank % 2 == 1)
            OK(MPI_Recv(&sum, 1, MPI_INT, left, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE));
        OK(MPI_Allreduce(&value, &sum, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD));
    }
    int sends = rank % 2 == 0 && !(size % 2 && rank == size - 1) ? 10 : 0;
    CHECK(tool_count("MPI_Send") == sends);
    CHECK(tool_count("MPI_Recv") == (rank % 2 ? 10 : 0));
    CHECK(tool_count("MPI_Allreduce") == 10);
    /* The program may use the other names itself: the tool does not see that. */
    OK(PMPI_Allreduce(&value, &sum, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD));
    CHECK(tool_count("MPI_Allreduce") == 10);
    finish();
    return 0;
}

/* MPI_Abort on one rank ends all, with its code; the others wait for what never comes. */
#include "check.h"

int main(int argc, char **argv)
{
    start(&argc, &argv);
    int x;
    if (rank == size - 1)
        MPI_Abort(MPI_COMM_WORLD, 7);
    MPI_Recv(&x, 1, MPI_INT, size - 1, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    return 0;
}

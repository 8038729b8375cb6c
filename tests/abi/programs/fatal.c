/* With the default handler an error ends the job: the line after the bad call is never reached. */
#include "check.h"

int main(int argc, char **argv)
{
    start(&argc, &argv);
    int x = 0;
    if (rank == 0) {
        MPI_Send(&x, 1, MPI_INT, size, 0, MPI_COMM_WORLD);
        puts("not reached");
        fflush(stdout);
    }
    MPI_Barrier(MPI_COMM_WORLD);
    MPI_Finalize();
    return 0;
}

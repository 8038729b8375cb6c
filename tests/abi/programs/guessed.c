/* Handles that nobody was given, but that are near ones that were: what they name can not be taken away. */
#include "fails.h"
#include <stdint.h>

int main(int argc, char **argv)
{
    MPI_Comm comm;
    MPI_Request first, second;
    int n;
    start(&argc, &argv);
    OK(MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN));
    OK(MPI_Comm_set_errhandler(MPI_COMM_SELF, MPI_ERRORS_RETURN));

    /* The predefined communicators are the first entries of the table. */
    OK(MPI_Comm_dup(MPI_COMM_WORLD, &comm));
    for (uintptr_t i = 0; i < 2; i++) {
        MPI_Comm entry = (MPI_Comm)(((uintptr_t)comm & ~(uintptr_t)0xffffffff) | i);
        FAILS_WITH(MPI_ERR_COMM, "predefined", MPI_Comm_free(&entry));
    }
    OK(MPI_Comm_free(&comm));
    OK(MPI_Comm_size(MPI_COMM_SELF, &n));
    CHECK(n == 1);
    OK(MPI_Comm_size(MPI_COMM_WORLD, &n));
    CHECK(n == size);

    /* Sends that are over at once share a request. */
    OK(MPI_Isend(&n, 1, MPI_INT, MPI_PROC_NULL, 0, MPI_COMM_WORLD, &first));
    OK(MPI_Isend(&n, 1, MPI_INT, (rank + 1) % size, 0, MPI_COMM_WORLD, &second));
    OK(MPI_Request_free(&first));
    int got;
    OK(MPI_Recv(&got, 1, MPI_INT, (rank + size - 1) % size, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE));
    OK(MPI_Cancel(&second));
    OK(MPI_Wait(&second, MPI_STATUS_IGNORE));
    CHECK(second == MPI_REQUEST_NULL);
    OK(MPI_Isend(&n, 1, MPI_INT, MPI_PROC_NULL, 0, MPI_COMM_WORLD, &first));
    OK(MPI_Wait(&first, MPI_STATUS_IGNORE));
    finish();
    return 0;
}

/* The `_c` forms: the same calls with MPI_Count and MPI_Aint. Not large: the forms, not the memory. */
#include "check.h"

enum { N = 1000 };

int main(int argc, char **argv)
{
    start(&argc, &argv);
    int right = (rank + 1) % size, left = (rank + size - 1) % size;
    double out[N], in[N];
    MPI_Count count = -1;
    MPI_Status status;
    MPI_Request request;
    for (int i = 0; i < N; i++)
        out[i] = rank * 10000 + i;
    OK(MPI_Isend_c(out, N, MPI_DOUBLE, right, 1, MPI_COMM_WORLD, &request));
    OK(MPI_Recv_c(in, (MPI_Count)N, MPI_DOUBLE, left, 1, MPI_COMM_WORLD, &status));
    OK(MPI_Wait(&request, MPI_STATUS_IGNORE));
    OK(MPI_Get_count_c(&status, MPI_DOUBLE, &count));
    CHECK(count == N && in[N - 1] == left * 10000 + N - 1);
    OK(MPI_Sendrecv_c(out, N, MPI_DOUBLE, right, 2, in, N, MPI_DOUBLE, left, 2, MPI_COMM_WORLD, &status));
    CHECK(in[5] == left * 10000 + 5);
    double mine = rank, sum = -1;
    OK(MPI_Allreduce_c(&mine, &sum, 1, MPI_DOUBLE, MPI_SUM, MPI_COMM_WORLD));
    CHECK(sum == size * (size - 1) / 2.0);
    OK(MPI_Bcast_c(rank ? in : out, N, MPI_DOUBLE, 0, MPI_COMM_WORLD));
    CHECK(rank == 0 || in[7] == 7);
    MPI_Count counts[64];
    MPI_Aint displs[64], total = 0;
    CHECK(size <= 64);
    for (int r = 0; r < size; r++) {
        counts[r] = r + 1;
        displs[r] = total;
        total += r + 1;
    }
    double *all = malloc(sizeof(double) * (size_t)total);
    OK(MPI_Allgatherv_c(out, rank + 1, MPI_DOUBLE, all, counts, displs, MPI_DOUBLE, MPI_COMM_WORLD));
    for (int r = 0; r < size; r++)
        for (int i = 0; i <= r; i++)
            CHECK(all[displs[r] + i] == r * 10000 + i);
    OK(MPI_Gatherv_c(out, rank + 1, MPI_DOUBLE, all, counts, displs, MPI_DOUBLE, 0, MPI_COMM_WORLD));
    OK(MPI_Scatterv_c(all, counts, displs, MPI_DOUBLE, in, rank + 1, MPI_DOUBLE, 0, MPI_COMM_WORLD));
    for (int i = 0; i <= rank; i++)
        CHECK(in[i] == rank * 10000 + i);
    MPI_Datatype type;
    MPI_Count lb, extent, bytes;
    OK(MPI_Type_vector_c(10, 2, 5, MPI_DOUBLE, &type));
    OK(MPI_Type_commit(&type));
    OK(MPI_Type_get_extent_c(type, &lb, &extent));
    OK(MPI_Type_size_c(type, &bytes));
    CHECK(lb == 0 && extent == 47 * 8 && bytes == 20 * 8);
    OK(MPI_Type_free(&type));
    /* A type larger than an int can say: the plain form says so. */
    int small = 0;
    OK(MPI_Type_contiguous_c((MPI_Count)1 << 33, MPI_BYTE, &type));
    OK(MPI_Type_size_c(type, &bytes));
    OK(MPI_Type_size(type, &small));
    CHECK(bytes == (MPI_Count)1 << 33 && small == MPI_UNDEFINED);
    OK(MPI_Type_free(&type));
    free(all);
    finish();
    return 0;
}

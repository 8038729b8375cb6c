/* The blocking collectives: results, roots, IN_PLACE, sizes on both sides of every protocol change. */
#include "check.h"

static const int lengths[] = {1, 3, 64, 1000, 8192, 100000};
enum { LENGTHS = sizeof lengths / sizeof *lengths, LONGEST = 100000 };

static int *a, *b;

/* Each root for short messages, the first and the last for long ones. */
static int next_root(int root, int n)
{
    return n > 1000 && root < size - 1 ? size - 1 : root + 1;
}

static void bcast_and_reduce(int n)
{
    for (int root = 0; root < size; root = next_root(root, n)) {
        for (int i = 0; i < n; i++)
            a[i] = rank == root ? i + root : -1;
        OK(MPI_Bcast(a, n, MPI_INT, root, MPI_COMM_WORLD));
        for (int i = 0; i < n; i++)
            CHECK(a[i] == i + root);
        for (int i = 0; i < n; i++)
            a[i] = rank + i, b[i] = -1;
        OK(MPI_Reduce(a, b, n, MPI_INT, MPI_SUM, root, MPI_COMM_WORLD));
        for (int i = 0; i < n; i++)
            CHECK(b[i] == (rank == root ? size * i + size * (size - 1) / 2 : -1));
        OK(MPI_Reduce(rank == root ? MPI_IN_PLACE : a, a, n, MPI_INT, MPI_MAX, root, MPI_COMM_WORLD));
        for (int i = 0; i < n; i++)
            CHECK(a[i] == (rank == root ? size - 1 : rank) + i);
    }
    for (int i = 0; i < n; i++)
        a[i] = rank * i;
    OK(MPI_Allreduce(a, b, n, MPI_INT, MPI_SUM, MPI_COMM_WORLD));
    OK(MPI_Allreduce(MPI_IN_PLACE, a, n, MPI_INT, MPI_MIN, MPI_COMM_WORLD));
    for (int i = 0; i < n; i++)
        CHECK(b[i] == i * (size * (size - 1) / 2) && a[i] == 0);
}

static void scans(int n)
{
    for (int i = 0; i < n; i++)
        a[i] = rank + 1, b[i] = -1;
    OK(MPI_Scan(a, b, n, MPI_INT, MPI_SUM, MPI_COMM_WORLD));
    for (int i = 0; i < n; i++)
        CHECK(b[i] == (rank + 1) * (rank + 2) / 2);
    for (int i = 0; i < n; i++)
        b[i] = -1;
    OK(MPI_Exscan(a, b, n, MPI_INT, MPI_SUM, MPI_COMM_WORLD));
    for (int i = 0; i < n; i++)
        CHECK(b[i] == (rank ? rank * (rank + 1) / 2 : -1));
}

static void blocks(int n)
{
    int *all = malloc(sizeof(int) * (size_t)(n * size)), *other = malloc(sizeof(int) * (size_t)(n * size));
    for (int root = 0; root < size; root = next_root(root, n)) {
        for (int i = 0; i < n; i++)
            a[i] = rank * n + i;
        memset(all, -1, sizeof(int) * (size_t)(n * size));
        OK(MPI_Gather(a, n, MPI_INT, all, n, MPI_INT, root, MPI_COMM_WORLD));
        for (int i = 0; i < n * size; i++)
            CHECK(all[i] == (rank == root ? i : -1));
        OK(MPI_Scatter(all, n, MPI_INT, b, n, MPI_INT, root, MPI_COMM_WORLD));
        for (int i = 0; i < n; i++)
            CHECK(b[i] == rank * n + i);
    }
    OK(MPI_Allgather(a, n, MPI_INT, all, n, MPI_INT, MPI_COMM_WORLD));
    for (int i = 0; i < n * size; i++)
        CHECK(all[i] == i);
    memset(all, -1, sizeof(int) * (size_t)(n * size));
    memcpy(all + rank * n, a, sizeof(int) * (size_t)n);
    OK(MPI_Allgather(MPI_IN_PLACE, 0, MPI_DATATYPE_NULL, all, n, MPI_INT, MPI_COMM_WORLD));
    for (int i = 0; i < n * size; i++)
        CHECK(all[i] == i);
    for (int to = 0; to < size; to++)
        for (int i = 0; i < n; i++)
            all[to * n + i] = 1000 * rank + to + i;
    OK(MPI_Alltoall(all, n, MPI_INT, other, n, MPI_INT, MPI_COMM_WORLD));
    for (int from = 0; from < size; from++)
        for (int i = 0; i < n; i++)
            CHECK(other[from * n + i] == 1000 * from + rank + i);
    free(all);
    free(other);
}

/* Rank r has r * n + 1 elements, with a gap after each block where they meet. */
static void uneven(int n)
{
    int counts[64], displs[64], total = 0, mine = rank * n + 1;
    CHECK(size <= 64);
    for (int r = 0; r < size; r++) {
        counts[r] = r * n + 1;
        displs[r] = total;
        total += counts[r] + 2;
    }
    int *all = malloc(sizeof(int) * (size_t)total), *some = malloc(sizeof(int) * (size_t)(mine + 1));
    for (int root = 0; root < size; root = next_root(root, n)) {
        for (int i = 0; i < mine; i++)
            some[i] = 100000 * rank + i;
        memset(all, -1, sizeof(int) * (size_t)total);
        OK(MPI_Gatherv(some, mine, MPI_INT, all, counts, displs, MPI_INT, root, MPI_COMM_WORLD));
        if (rank == root)
            for (int r = 0; r < size; r++) {
                for (int i = 0; i < counts[r]; i++)
                    CHECK(all[displs[r] + i] == 100000 * r + i);
                CHECK(all[displs[r] + counts[r]] == -1);
            }
        memset(some, 0, sizeof(int) * (size_t)mine);
        OK(MPI_Scatterv(all, counts, displs, MPI_INT, some, mine, MPI_INT, root, MPI_COMM_WORLD));
        for (int i = 0; i < mine; i++)
            CHECK(some[i] == 100000 * rank + i);
    }
    memset(all, -1, sizeof(int) * (size_t)total);
    OK(MPI_Allgatherv(some, mine, MPI_INT, all, counts, displs, MPI_INT, MPI_COMM_WORLD));
    for (int r = 0; r < size; r++)
        for (int i = 0; i < counts[r]; i++)
            CHECK(all[displs[r] + i] == 100000 * r + i);
    free(all);
    free(some);

    /* Everybody sends r + 1 times n elements to rank r. */
    int sendcounts[64], sdispls[64], recvcounts[64], rdispls[64], sent = 0, received = 0;
    for (int r = 0; r < size; r++) {
        sendcounts[r] = (r + 1) * n;
        sdispls[r] = sent;
        sent += sendcounts[r];
        recvcounts[r] = (rank + 1) * n;
        rdispls[r] = received;
        received += recvcounts[r];
    }
    int *out = malloc(sizeof(int) * (size_t)sent), *in = malloc(sizeof(int) * (size_t)received);
    for (int r = 0; r < size; r++)
        for (int i = 0; i < sendcounts[r]; i++)
            out[sdispls[r] + i] = 100 * rank + r;
    OK(MPI_Alltoallv(out, sendcounts, sdispls, MPI_INT, in, recvcounts, rdispls, MPI_INT, MPI_COMM_WORLD));
    for (int r = 0; r < size; r++)
        for (int i = 0; i < recvcounts[r]; i++)
            CHECK(in[rdispls[r] + i] == 100 * r + rank);
    free(out);
    free(in);
}

int main(int argc, char **argv)
{
    start(&argc, &argv);
    a = malloc(sizeof(int) * LONGEST);
    b = malloc(sizeof(int) * LONGEST);
    OK(MPI_Barrier(MPI_COMM_WORLD));
    for (int l = 0; l < LENGTHS; l++) {
        int n = lengths[l];
        bcast_and_reduce(n);
        scans(n);
        blocks(n);
        if (n <= 8192)
            uneven(n);
    }
    free(a);
    free(b);
    finish();
    return 0;
}

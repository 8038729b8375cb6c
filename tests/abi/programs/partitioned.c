/* Messages in partitions round a ring: other numbers of partitions on the two sides, threads, order, errors
   (chapter 4). */
#include "fails.h"
#include <pthread.h>

enum { ALL = 24 * 5000 };

static int out[2][ALL], in[2][ALL], left, right;
static MPI_Request sends[2], receives[2];

static void fill(int which, int turn)
{
    for (int i = 0; i < ALL; i++) {
        out[which][i] = rank * 7 + which * 100000 + turn * 1000 + i;
        in[which][i] = -1;
    }
}

static int here(int which, int turn, int from, int to)
{
    for (int i = from; i < to; i++)
        if (in[which][i] != left * 7 + which * 100000 + turn * 1000 + i)
            return 0;
    return 1;
}

/* All numbers of partitions in all orders of making them ready. */
static void sizes(void)
{
    static const int parts[] = {1, 2, 3, 8, 24};
    int list[24], flag;
    for (int s = 0; s < 5; s++)
        for (int r = 0; r < 5; r++) {
            int p = parts[s], q = parts[r];
            OK(MPI_Precv_init(in[0], q, ALL / q, MPI_INT, left, 3, MPI_COMM_WORLD, MPI_INFO_NULL, &receives[0]));
            OK(MPI_Psend_init(out[0], p, ALL / p, MPI_INT, right, 3, MPI_COMM_WORLD, MPI_INFO_NULL, &sends[0]));
            for (int turn = 0; turn < 4; turn++) {
                MPI_Status status;
                fill(0, turn);
                OK(MPI_Start(turn % 2 ? sends : receives));
                OK(MPI_Start(turn % 2 ? receives : sends));
                for (int i = 0; i < p; i++)
                    list[i] = (i * 5 + turn) % p;
                if (turn == 0)
                    OK(MPI_Pready_range(0, p - 1, sends[0]));
                else if (turn == 1 && p % 5)
                    OK(MPI_Pready_list(p, list, sends[0]));
                else
                    for (int i = p; i-- > 0;)
                        OK(MPI_Pready(i, sends[0]));
                for (int i = 0; i < q; i++) {
                    do
                        OK(MPI_Parrived(receives[0], i, &flag));
                    while (!flag);
                    CHECK(here(0, turn, i * (ALL / q), (i + 1) * (ALL / q)));
                }
                OK(MPI_Wait(&receives[0], &status));
                OK(MPI_Wait(&sends[0], MPI_STATUS_IGNORE));
                OK(MPI_Get_count(&status, MPI_INT, &flag));
                CHECK((flag == ALL && status.MPI_SOURCE == left && status.MPI_TAG == 3) || !ours());
                CHECK(here(0, turn, 0, ALL) && sends[0] != MPI_REQUEST_NULL && receives[0] != MPI_REQUEST_NULL);
            }
            OK(MPI_Request_free(&sends[0]));
            OK(MPI_Request_free(&receives[0]));
        }
}

/* Two with the same tag: the first made is for the first made. */
static void order(void)
{
    for (int i = 0; i < 2; i++) {
        OK(MPI_Psend_init(out[i], 3, ALL / 3, MPI_INT, right, 5, MPI_COMM_WORLD, MPI_INFO_NULL, &sends[i]));
        OK(MPI_Precv_init(in[i], 2, ALL / 2, MPI_INT, left, 5, MPI_COMM_WORLD, MPI_INFO_NULL, &receives[i]));
        fill(i, 0);
    }
    for (int i = 1; i >= 0; i--) {
        OK(MPI_Start(&sends[i]));
        OK(MPI_Pready_range(0, 2, sends[i]));
    }
    OK(MPI_Startall(2, receives));
    OK(MPI_Waitall(2, receives, MPI_STATUSES_IGNORE));
    OK(MPI_Waitall(2, sends, MPI_STATUSES_IGNORE));
    CHECK(here(0, 0, 0, ALL) && here(1, 0, 0, ALL));
    for (int i = 0; i < 2; i++) {
        OK(MPI_Request_free(&sends[i]));
        OK(MPI_Request_free(&receives[i]));
    }
}

/* A matrix by columns, in bands of rows: a vector goes out, integers come in. */
static void derived(void)
{
    MPI_Datatype column, band;
    OK(MPI_Type_vector(100, 1, 50, MPI_INT, &column));
    OK(MPI_Type_create_resized(column, 0, sizeof(int), &band));
    OK(MPI_Type_commit(&band));
    fill(0, 0);
    OK(MPI_Psend_init(out[0], 10, 5, band, right, 6, MPI_COMM_WORLD, MPI_INFO_NULL, &sends[0]));
    OK(MPI_Precv_init(in[0], 4, 1250, MPI_INT, left, 6, MPI_COMM_WORLD, MPI_INFO_NULL, &receives[0]));
    OK(MPI_Type_free(&band));
    OK(MPI_Type_free(&column));
    OK(MPI_Start(&receives[0]));
    OK(MPI_Start(&sends[0]));
    OK(MPI_Pready_range(5, 9, sends[0]));
    OK(MPI_Pready_range(0, 4, sends[0]));
    OK(MPI_Wait(&receives[0], MPI_STATUS_IGNORE));
    OK(MPI_Wait(&sends[0], MPI_STATUS_IGNORE));
    for (int i = 0; i < 5000; i++)
        CHECK(in[0][i] == left * 7 + i / 100 + i % 100 * 50);
    CHECK(in[0][5000] == -1);
    OK(MPI_Request_free(&sends[0]));
    OK(MPI_Request_free(&receives[0]));
}

static void *give(void *argument)
{
    for (int i = *(int *)argument; i < 24; i += 4)
        OK(MPI_Pready(i, sends[0]));
    return NULL;
}

static void threads(void)
{
    pthread_t thread[4];
    int mine[4];
    OK(MPI_Psend_init(out[0], 24, ALL / 24, MPI_INT, right, 3, MPI_COMM_WORLD, MPI_INFO_NULL, &sends[0]));
    OK(MPI_Precv_init(in[0], 8, ALL / 8, MPI_INT, left, 3, MPI_COMM_WORLD, MPI_INFO_NULL, &receives[0]));
    for (int turn = 0; turn < 20; turn++) {
        fill(0, turn);
        OK(MPI_Start(&receives[0]));
        OK(MPI_Start(&sends[0]));
        for (int i = 0; i < 4; i++) {
            mine[i] = i;
            CHECK(!pthread_create(&thread[i], NULL, give, &mine[i]));
        }
        OK(MPI_Wait(&receives[0], MPI_STATUS_IGNORE));
        OK(MPI_Wait(&sends[0], MPI_STATUS_IGNORE));
        for (int i = 0; i < 4; i++)
            CHECK(!pthread_join(thread[i], NULL));
        CHECK(here(0, turn, 0, ALL));
    }
    OK(MPI_Request_free(&sends[0]));
    OK(MPI_Request_free(&receives[0]));
}

static void wrong(void)
{
    MPI_Comm comm = MPI_COMM_WORLD;
    MPI_Request request;
    int flag, two[2] = {0, 4};
    FAILS(MPI_ERR_RANK, MPI_Precv_init(in, 1, 1, MPI_INT, MPI_ANY_SOURCE, 0, comm, MPI_INFO_NULL, &request));
    FAILS(MPI_ERR_TAG, MPI_Precv_init(in, 1, 1, MPI_INT, 0, MPI_ANY_TAG, comm, MPI_INFO_NULL, &request));
    FAILS(MPI_ERR_ARG, MPI_Psend_init(out, -1, 1, MPI_INT, 0, 0, comm, MPI_INFO_NULL, &request));
    FAILS(MPI_ERR_COUNT, MPI_Psend_init(out, 1, -1, MPI_INT, 0, 0, comm, MPI_INFO_NULL, &request));
    FAILS(MPI_ERR_COUNT, MPI_Psend_init(out, 1 << 20, (MPI_Count)1 << 60, MPI_INT, 0, 0, comm, MPI_INFO_NULL, &request));
    FAILS(MPI_ERR_TYPE, MPI_Psend_init(out, 1, 1, MPI_DATATYPE_NULL, 0, 0, comm, MPI_INFO_NULL, &request));
    FAILS(MPI_ERR_BUFFER, MPI_Psend_init(NULL, 1, 1, MPI_INT, 0, 0, comm, MPI_INFO_NULL, &request));
    FAILS(MPI_ERR_ARG, MPI_Psend_init(out, 1, 1, MPI_INT, 0, 0, comm, MPI_INFO_NULL, NULL));
    OK(MPI_Parrived(MPI_REQUEST_NULL, 0, &flag));
    CHECK(flag);
    OK(MPI_Psend_init(out, 4, 1, MPI_INT, right, 1, comm, MPI_INFO_NULL, &sends[0]));
    OK(MPI_Precv_init(in, 4, 1, MPI_INT, left, 1, comm, MPI_INFO_NULL, &receives[0]));
    FAILS_WITH(MPI_ERR_REQUEST, "not active", MPI_Pready(0, sends[0]));
    OK(MPI_Start(&sends[0]));
    OK(MPI_Start(&receives[0]));
    FAILS(MPI_ERR_REQUEST, MPI_Start(&sends[0]));
    FAILS_WITH(MPI_ERR_ARG, "partition 4 of 4", MPI_Pready(4, sends[0]));
    FAILS(MPI_ERR_ARG, MPI_Pready(-1, sends[0]));
    FAILS(MPI_ERR_ARG, MPI_Pready_range(2, 1, sends[0]));
    FAILS(MPI_ERR_ARG, MPI_Pready_list(2, two, sends[0]));
    FAILS(MPI_ERR_ARG, MPI_Pready_list(-1, two, sends[0]));
    FAILS(MPI_ERR_ARG, MPI_Pready_list(2, NULL, sends[0]));
    FAILS(MPI_ERR_ARG, MPI_Parrived(receives[0], 4, &flag));
    FAILS(MPI_ERR_ARG, MPI_Parrived(receives[0], 0, NULL));
    FAILS(MPI_ERR_REQUEST, MPI_Pready(0, receives[0]));
    FAILS(MPI_ERR_REQUEST, MPI_Parrived(sends[0], 0, &flag));
    FAILS(MPI_ERR_REQUEST, MPI_Pready(0, MPI_REQUEST_NULL));
    OK(MPI_Pready_range(0, 2, sends[0]));
    FAILS_WITH(MPI_ERR_ARG, "before", MPI_Pready(1, sends[0]));
    OK(MPI_Pready(3, sends[0]));
    OK(MPI_Wait(&receives[0], MPI_STATUS_IGNORE));
    OK(MPI_Wait(&sends[0], MPI_STATUS_IGNORE));
    request = sends[0];
    OK(MPI_Request_free(&sends[0]));
    OK(MPI_Request_free(&receives[0]));
    FAILS(MPI_ERR_REQUEST, MPI_Pready(0, request));
}

int main(int argc, char **argv)
{
    start(&argc, &argv);
    OK(MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN));
    OK(MPI_Comm_set_errhandler(MPI_COMM_SELF, MPI_ERRORS_RETURN));
    left = (rank + size - 1) % size;
    right = (rank + 1) % size;
    sizes();
    order();
    derived();
    if (ours()) {
        threads();
        wrong();
    }
    finish();
    return 0;
}

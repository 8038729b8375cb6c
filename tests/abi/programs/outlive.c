/* Datatypes and communicators that the user frees while operations use them: what is pending completes, and what is
   persistent can be started again and again. */
#include "fails.h"

enum { ROWS = 500, COLUMNS = 3, TURNS = 4 };

static int out[ROWS * COLUMNS], in[ROWS * COLUMNS], me, left, right;

/* All ranks, in reverse order, so that ranks here are others than in MPI_COMM_WORLD. */
static MPI_Comm reversed(void)
{
    MPI_Comm comm;
    OK(MPI_Comm_split(MPI_COMM_WORLD, 0, -rank, &comm));
    OK(MPI_Comm_rank(comm, &me));
    CHECK(me == size - 1 - rank);
    left = (me + size - 1) % size;
    right = (me + 1) % size;
    return comm;
}

static MPI_Datatype column(void)
{
    MPI_Datatype type;
    OK(MPI_Type_vector(ROWS, 1, COLUMNS, MPI_INT, &type));
    OK(MPI_Type_commit(&type));
    return type;
}

/* Handles that are used again must not be taken for those that were freed. */
static void others(void)
{
    MPI_Comm comm;
    MPI_Datatype type;
    OK(MPI_Comm_dup(MPI_COMM_WORLD, &comm));
    OK(MPI_Type_contiguous(1, MPI_CHAR, &type));
    OK(MPI_Type_commit(&type));
    OK(MPI_Comm_free(&comm));
    OK(MPI_Type_free(&type));
}

static void fill(int turn)
{
    for (int i = 0; i < ROWS * COLUMNS; i++) {
        out[i] = i % COLUMNS ? -2 : 10000 * me + 1000 * turn + i / COLUMNS;
        in[i] = -1;
    }
}

static void came(int turn, const MPI_Status *status)
{
    for (int i = 0; i < ROWS * COLUMNS; i++)
        CHECK(in[i] == (i % COLUMNS ? -1 : 10000 * left + 1000 * turn + i / COLUMNS));
    CHECK(status->MPI_SOURCE == left && status->MPI_TAG == 7);
}

typedef int Init(const void *, int, MPI_Datatype, int, int, MPI_Comm, MPI_Request *);

static void persistent(Init *init, int source, int late)
{
    MPI_Comm comm = reversed();
    MPI_Datatype type = column();
    MPI_Request requests[2];
    MPI_Status statuses[2];
    OK(MPI_Recv_init(in, 1, type, source == MPI_ANY_SOURCE ? source : left, 7, comm, &requests[0]));
    OK(init(out, 1, type, right, 7, comm, &requests[1]));
    OK(MPI_Type_free(&type));
    OK(MPI_Comm_free(&comm));
    for (int turn = 0; turn < TURNS; turn++) {
        fill(turn);
        if (turn % 2)
            others();
        if (late) {
            /* The message is here before its receive. */
            OK(MPI_Start(&requests[1]));
            OK(MPI_Barrier(MPI_COMM_WORLD));
            others();
            OK(MPI_Start(&requests[0]));
        } else {
            OK(MPI_Start(&requests[0]));
            OK(MPI_Barrier(MPI_COMM_WORLD));
            OK(MPI_Start(&requests[1]));
        }
        OK(MPI_Waitall(2, requests, statuses));
        came(turn, &statuses[0]);
    }
    OK(MPI_Request_free(&requests[0]));
    OK(MPI_Request_free(&requests[1]));
    others();
}

static void partitioned(void)
{
    MPI_Comm comm = reversed();
    MPI_Datatype type = column();
    MPI_Request requests[2];
    MPI_Status status;
    OK(MPI_Precv_init(in, 1, 1, type, left, 7, comm, MPI_INFO_NULL, &requests[0]));
    OK(MPI_Psend_init(out, 1, 1, type, right, 7, comm, MPI_INFO_NULL, &requests[1]));
    OK(MPI_Type_free(&type));
    OK(MPI_Comm_free(&comm));
    for (int turn = 0; turn < TURNS; turn++) {
        fill(turn);
        if (turn % 2)
            others();
        OK(MPI_Startall(2, requests));
        OK(MPI_Pready(0, requests[1]));
        OK(MPI_Wait(&requests[0], &status));
        OK(MPI_Wait(&requests[1], MPI_STATUS_IGNORE));
        if (ours())
            came(turn, &status);
    }
    OK(MPI_Request_free(&requests[0]));
    OK(MPI_Request_free(&requests[1]));
}

static void pending(void)
{
    MPI_Comm comm = reversed();
    MPI_Datatype type = column();
    MPI_Request requests[2];
    MPI_Status statuses[2];
    fill(9);
    OK(MPI_Irecv(in, 1, type, MPI_ANY_SOURCE, 7, comm, &requests[0]));
    OK(MPI_Barrier(MPI_COMM_WORLD));
    OK(MPI_Issend(out, 1, type, right, 7, comm, &requests[1]));
    OK(MPI_Type_free(&type));
    OK(MPI_Comm_free(&comm));
    others();
    OK(MPI_Waitall(2, requests, statuses));
    came(9, &statuses[0]);
}

/* The error handler of the communicator gets the error, though the communicator was freed before that. */
static void failing(void)
{
    MPI_Comm comm = reversed();
    MPI_Request requests[2];
    int two[2] = {1, 2}, one;
    OK(MPI_Comm_set_errhandler(comm, MPI_ERRORS_RETURN));
    OK(MPI_Recv_init(&one, 1, MPI_INT, left, 7, comm, &requests[0]));
    OK(MPI_Isend(two, 2, MPI_INT, right, 7, comm, &requests[1]));
    OK(MPI_Comm_free(&comm));
    others();
    OK(MPI_Start(&requests[0]));
    FAILS(MPI_ERR_TRUNCATE, MPI_Wait(&requests[0], MPI_STATUS_IGNORE));
    OK(MPI_Wait(&requests[1], MPI_STATUS_IGNORE));
    OK(MPI_Request_free(&requests[0]));
}

int main(int argc, char **argv)
{
    static Init *const inits[] = {MPI_Send_init, MPI_Ssend_init, MPI_Bsend_init};
    static char buffer[ROWS * sizeof(int) + MPI_BSEND_OVERHEAD];
    start(&argc, &argv);
    OK(MPI_Buffer_attach(buffer, sizeof buffer));
    for (int i = 0; i < 3; i++)
        for (int late = 0; late < 2; late++) {
            persistent(inits[i], 0, late);
            persistent(inits[i], MPI_ANY_SOURCE, late);
        }
    persistent(MPI_Rsend_init, 0, 0);
    partitioned();
    /* Intel MPI 2021.18.1 crashes when the communicator of a receive that waits is freed. */
    if (!library_is("Intel"))
        pending();
    if (ours())
        failing();
    void *address;
    int length;
    OK(MPI_Buffer_detach(&address, &length));
    finish();
    return 0;
}

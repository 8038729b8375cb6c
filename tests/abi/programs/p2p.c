/* Every send mode with every size class, wildcards, order, probes. Ranks 0 and 1 talk; others wait. */
#include "check.h"

typedef int (*send_fn)(const void *, int, MPI_Datatype, int, int, MPI_Comm);

static const int lengths[] = {0, 1, 7, 1000, 5000, 100000, 1500000};
enum { LENGTHS = sizeof lengths / sizeof *lengths, LONGEST = 1500000 };

static int *data, *room;

static void modes(void)
{
    send_fn modes[] = {MPI_Send, MPI_Ssend, MPI_Bsend};
    /* All buffered messages may be under way at the same time. */
    int bytes = 0;
    for (int l = 0; l < LENGTHS; l++)
        bytes += lengths[l] * (int)sizeof(int) + MPI_BSEND_OVERHEAD;
    void *buffer = malloc((size_t)bytes);
    OK(MPI_Buffer_attach(buffer, bytes));
    for (int m = 0; m < 3; m++)
        for (int l = 0; l < LENGTHS; l++) {
            int n = lengths[l], tag = 10 * m + l, got;
            MPI_Status status;
            if (rank == 0) {
                for (int i = 0; i < n; i++)
                    data[i] = i ^ tag;
                OK(modes[m](data, n, MPI_INT, 1, tag, MPI_COMM_WORLD));
            } else {
                memset(room, -1, sizeof(int) * (size_t)(n + 1));
                OK(MPI_Recv(room, LONGEST, MPI_INT, MPI_ANY_SOURCE, MPI_ANY_TAG, MPI_COMM_WORLD, &status));
                CHECK(status.MPI_SOURCE == 0 && status.MPI_TAG == tag);
                OK(MPI_Get_count(&status, MPI_INT, &got));
                CHECK(got == n && room[n] == -1);
                for (int i = 0; i < n; i++)
                    CHECK(room[i] == (i ^ tag));
            }
        }
    void *back;
    int back_bytes;
    OK(MPI_Buffer_detach(&back, &back_bytes));
    CHECK(back == buffer && back_bytes == bytes);
    free(buffer);
}

static void ready_send(void)
{
    for (int l = 0; l < LENGTHS; l++) {
        int n = lengths[l];
        if (rank == 0) {
            OK(MPI_Recv(NULL, 0, MPI_INT, 1, 1, MPI_COMM_WORLD, MPI_STATUS_IGNORE));
            data[0] = n;
            OK(MPI_Rsend(data, n, MPI_INT, 1, 2, MPI_COMM_WORLD));
        } else {
            MPI_Request request;
            OK(MPI_Irecv(room, n, MPI_INT, 0, 2, MPI_COMM_WORLD, &request));
            OK(MPI_Send(NULL, 0, MPI_INT, 0, 1, MPI_COMM_WORLD));
            OK(MPI_Wait(&request, MPI_STATUS_IGNORE));
            CHECK(request == MPI_REQUEST_NULL && (n == 0 || room[0] == n));
        }
    }
}

/* Messages of one tag arrive in order, whichever way they take. */
static void order(void)
{
    enum { MESSAGES = 64 };
    MPI_Request requests[MESSAGES];
    if (rank == 0) {
        for (int i = 0; i < MESSAGES; i++) {
            int n = lengths[i % 6];
            data[i * 8] = i;
            OK(MPI_Isend(n ? data + i * 8 : NULL, n ? (i % 2 ? 1 : 8) : 0, MPI_INT, 1, 5, MPI_COMM_WORLD, &requests[i]));
        }
        OK(MPI_Waitall(MESSAGES, requests, MPI_STATUSES_IGNORE));
    } else {
        for (int i = 0; i < MESSAGES; i++) {
            MPI_Status status;
            int got;
            OK(MPI_Recv(room, 8, MPI_INT, 0, 5, MPI_COMM_WORLD, &status));
            OK(MPI_Get_count(&status, MPI_INT, &got));
            CHECK(got == (lengths[i % 6] ? (i % 2 ? 1 : 8) : 0));
            CHECK(got == 0 || room[0] == i);
        }
    }
}

/* Tags choose among messages that wait, also later ones first. */
static void selection(void)
{
    enum { MESSAGES = 20 };
    int value;
    if (rank == 0)
        for (int tag = 0; tag < MESSAGES; tag++)
            OK(MPI_Send(&tag, 1, MPI_INT, 1, tag, MPI_COMM_WORLD));
    else
        for (int tag = MESSAGES - 1; tag >= 0; tag--) {
            OK(MPI_Recv(&value, 1, MPI_INT, 0, tag, MPI_COMM_WORLD, MPI_STATUS_IGNORE));
            CHECK(value == tag);
        }
}

static void probes(void)
{
    MPI_Status status;
    MPI_Message message;
    int got, flag = 0;
    for (int l = 0; l < LENGTHS; l++) {
        int n = lengths[l];
        if (rank == 0) {
            for (int i = 0; i < 3; i++)
                OK(MPI_Send(data, n, MPI_INT, 1, 3 + i, MPI_COMM_WORLD));
            continue;
        }
        OK(MPI_Probe(0, 3, MPI_COMM_WORLD, &status));
        OK(MPI_Get_count(&status, MPI_INT, &got));
        CHECK(got == n);
        OK(MPI_Recv(room, n, MPI_INT, 0, 3, MPI_COMM_WORLD, MPI_STATUS_IGNORE));
        OK(MPI_Mprobe(MPI_ANY_SOURCE, 4, MPI_COMM_WORLD, &message, &status));
        OK(MPI_Get_count(&status, MPI_INT, &got));
        CHECK(got == n && message != MPI_MESSAGE_NULL);
        OK(MPI_Mrecv(room, n, MPI_INT, &message, &status));
        CHECK(message == MPI_MESSAGE_NULL && status.MPI_TAG == 4);
        for (flag = 0; !flag;)
            OK(MPI_Improbe(0, 5, MPI_COMM_WORLD, &flag, &message, &status));
        MPI_Request request;
        OK(MPI_Imrecv(room, n, MPI_INT, &message, &request));
        OK(MPI_Wait(&request, &status));
        OK(MPI_Get_count(&status, MPI_INT, &got));
        CHECK(got == n && status.MPI_TAG == 5);
    }
    OK(MPI_Barrier(MPI_COMM_WORLD));
    OK(MPI_Iprobe(MPI_ANY_SOURCE, MPI_ANY_TAG, MPI_COMM_WORLD, &flag, &status));
    CHECK(!flag);
}

static void nobody(void)
{
    MPI_Status status;
    int got = -1;
    OK(MPI_Send(data, 5, MPI_INT, MPI_PROC_NULL, 1, MPI_COMM_WORLD));
    OK(MPI_Recv(room, 5, MPI_INT, MPI_PROC_NULL, 1, MPI_COMM_WORLD, &status));
    OK(MPI_Get_count(&status, MPI_INT, &got));
    CHECK(status.MPI_SOURCE == MPI_PROC_NULL && status.MPI_TAG == MPI_ANY_TAG && got == 0);
    /* To oneself, on the communicator of one. */
    MPI_Request request;
    data[0] = 77;
    OK(MPI_Isend(data, 1, MPI_INT, 0, 9, MPI_COMM_SELF, &request));
    OK(MPI_Recv(room, 1, MPI_INT, 0, 9, MPI_COMM_SELF, &status));
    OK(MPI_Wait(&request, MPI_STATUS_IGNORE));
    CHECK(room[0] == 77);
}

int main(int argc, char **argv)
{
    start(&argc, &argv);
    CHECK(size >= 2);
    data = calloc(LONGEST + 1, sizeof(int));
    room = calloc(LONGEST + 1, sizeof(int));
    nobody();
    if (rank < 2) {
        modes();
        ready_send();
        order();
        selection();
    }
    if (rank < 2)
        probes();
    else
        OK(MPI_Barrier(MPI_COMM_WORLD));
    free(data);
    free(room);
    finish();
    return 0;
}

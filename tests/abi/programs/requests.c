/* Waiting and testing in all forms, exchange, cancel. A ring of all ranks. */
#include "check.h"

enum { MESSAGES = 16 };

static int out[MESSAGES], in[MESSAGES];
static MPI_Request requests[2 * MESSAGES];
static MPI_Status statuses[2 * MESSAGES];

/* Posts receives from the left and sends to the right: requests 0.. are receives. */
static void post(int round)
{
    int left = (rank + size - 1) % size, right = (rank + 1) % size;
    for (int i = 0; i < MESSAGES; i++) {
        in[i] = -1;
        OK(MPI_Irecv(&in[i], 1, MPI_INT, left, i, MPI_COMM_WORLD, &requests[i]));
    }
    for (int i = 0; i < MESSAGES; i++) {
        out[i] = 1000 * rank + 100 * round + i;
        int (*send)(const void *, int, MPI_Datatype, int, int, MPI_Comm, MPI_Request *) = i % 2 ? MPI_Issend : MPI_Isend;
        OK(send(&out[i], 1, MPI_INT, right, i, MPI_COMM_WORLD, &requests[MESSAGES + i]));
    }
}

static void verify(int round)
{
    int left = (rank + size - 1) % size;
    for (int i = 0; i < MESSAGES; i++)
        CHECK(in[i] == 1000 * left + 100 * round + i);
    for (int i = 0; i < 2 * MESSAGES; i++)
        CHECK(requests[i] == MPI_REQUEST_NULL);
}

static void forms(void)
{
    int flag, index, done, indices[2 * MESSAGES];
    post(0);
    OK(MPI_Waitall(2 * MESSAGES, requests, statuses));
    for (int i = 0; i < MESSAGES; i++)
        CHECK(statuses[i].MPI_TAG == i && statuses[i].MPI_SOURCE == (rank + size - 1) % size);
    verify(0);
    post(1);
    for (int n = 0; n < 2 * MESSAGES; n++) {
        OK(MPI_Waitany(2 * MESSAGES, requests, &index, statuses));
        CHECK(index >= 0 && index < 2 * MESSAGES && requests[index] == MPI_REQUEST_NULL);
    }
    OK(MPI_Waitany(2 * MESSAGES, requests, &index, statuses));
    CHECK(index == MPI_UNDEFINED);
    verify(1);
    post(2);
    for (int n = 0; n < 2 * MESSAGES; n += done) {
        OK(MPI_Waitsome(2 * MESSAGES, requests, &done, indices, statuses));
        CHECK(done > 0);
    }
    OK(MPI_Waitsome(2 * MESSAGES, requests, &done, indices, statuses));
    CHECK(done == MPI_UNDEFINED);
    verify(2);
    post(3);
    for (int i = 0; i < 2 * MESSAGES; i++)
        for (flag = 0; !flag;)
            OK(MPI_Test(&requests[i], &flag, MPI_STATUS_IGNORE));
    verify(3);
    post(4);
    for (flag = 0; !flag;)
        OK(MPI_Testall(2 * MESSAGES, requests, &flag, statuses));
    verify(4);
    post(5);
    for (int n = 0; n < 2 * MESSAGES;) {
        OK(MPI_Testany(2 * MESSAGES, requests, &index, &flag, statuses));
        n += flag;
    }
    verify(5);
    post(6);
    for (int n = 0; n < 2 * MESSAGES; n += done)
        OK(MPI_Testsome(2 * MESSAGES, requests, &done, indices, statuses));
    verify(6);
    post(7);
    for (flag = 0; !flag;)
        OK(MPI_Request_get_status(requests[3], &flag, statuses));
    CHECK(requests[3] != MPI_REQUEST_NULL && statuses[0].MPI_TAG == 3);
    OK(MPI_Waitall(2 * MESSAGES, requests, MPI_STATUSES_IGNORE));
    verify(7);
}

static void exchange(void)
{
    int left = (rank + size - 1) % size, right = (rank + 1) % size;
    static int big_out[200000], big_in[200000];
    MPI_Status status;
    for (int i = 0; i < 200000; i++)
        big_out[i] = rank + i;
    OK(MPI_Sendrecv(big_out, 200000, MPI_INT, right, 1, big_in, 200000, MPI_INT, left, 1, MPI_COMM_WORLD, &status));
    for (int i = 0; i < 200000; i++)
        CHECK(big_in[i] == left + i);
    OK(MPI_Sendrecv_replace(big_out, 200000, MPI_INT, right, 2, left, 2, MPI_COMM_WORLD, &status));
    for (int i = 0; i < 200000; i++)
        CHECK(big_out[i] == left + i);
}

static void cancel(void)
{
    MPI_Request request;
    MPI_Status status;
    int cancelled = 0, value;
    OK(MPI_Irecv(&value, 1, MPI_INT, rank, 12345, MPI_COMM_WORLD, &request));
    OK(MPI_Cancel(&request));
    OK(MPI_Wait(&request, &status));
    OK(MPI_Test_cancelled(&status, &cancelled));
    CHECK(cancelled);
    if (!ours())
        return;
    /* Sends that nobody has asked for, small and large, to the neighbour and to oneself. */
    for (int i = 0; i < 4; i++) {
        static char bytes[300000];
        OK(MPI_Issend(bytes, i % 2 ? sizeof bytes : 4, MPI_CHAR, i < 2 ? rank : (rank + 1) % size, 12345,
                      MPI_COMM_WORLD, &request));
        OK(MPI_Cancel(&request));
        OK(MPI_Wait(&request, &status));
        OK(MPI_Test_cancelled(&status, &cancelled));
        CHECK(cancelled);
    }
    OK(MPI_Barrier(MPI_COMM_WORLD));
    OK(MPI_Iprobe(MPI_ANY_SOURCE, 12345, MPI_COMM_WORLD, &cancelled, &status));
    CHECK(!cancelled);
}

int main(int argc, char **argv)
{
    start(&argc, &argv);
    forms();
    exchange();
    cancel();
    finish();
    return 0;
}

/* Generalized requests: when their functions are called, with what, and where their errors go (section 13.2). */
#include "fails.h"
#include <pthread.h>
#include <unistd.h>

struct state {
    int queried, freed, cancelled; /* how often */
    int complete;                  /* what the cancel function was told */
    int result[3];                 /* what the functions return */
    MPI_Request *other;            /* completed from inside of the query function */
};

static int query(void *extra, MPI_Status *status)
{
    struct state *state = extra;
    state->queried++;
    CHECK(!ours() || (status->MPI_SOURCE == MPI_ANY_SOURCE && status->MPI_TAG == MPI_ANY_TAG));
    CHECK(!state->freed);
    status->MPI_SOURCE = 3;
    status->MPI_TAG = 70;
    OK(MPI_Status_set_elements(status, MPI_INT, 5));
    OK(MPI_Status_set_cancelled(status, state->cancelled));
    /* MPI may be used in here. */
    if (state->other)
        OK(MPI_Wait(state->other, MPI_STATUS_IGNORE));
    return state->result[0];
}

static int release(void *extra)
{
    struct state *state = extra;
    state->freed++;
    return state->result[1];
}

static int cancel(void *extra, int complete)
{
    struct state *state = extra;
    state->cancelled++;
    state->complete = complete;
    return state->result[2];
}

static MPI_Request make(struct state *state)
{
    MPI_Request request = MPI_REQUEST_NULL;
    OK(MPI_Grequest_start(query, release, cancel, state, &request));
    CHECK(request != MPI_REQUEST_NULL);
    return request;
}

static void check_status(MPI_Status *status)
{
    int count;
    CHECK(status->MPI_SOURCE == 3 && status->MPI_TAG == 70);
    OK(MPI_Get_count(status, MPI_INT, &count));
    CHECK(count == 5);
}

static void life(void)
{
    struct state state = {0};
    MPI_Status status = {.MPI_ERROR = 77};
    int flag;
    MPI_Request request = make(&state), none;
    OK(MPI_Test(&request, &flag, &status));
    CHECK(!flag && !state.queried);
    OK(MPI_Request_get_status(request, &flag, &status));
    CHECK(!flag && !state.queried);
    OK(MPI_Cancel(&request));
    CHECK(state.cancelled == 1 && !state.complete);
    OK(MPI_Grequest_complete(request));
    CHECK(!state.queried);
    OK(MPI_Cancel(&request));
    CHECK(state.cancelled == 2 && state.complete == 1);
    for (int i = 1; i < 4; i++) {
        OK(MPI_Request_get_status(request, &flag, i % 2 ? &status : MPI_STATUS_IGNORE));
        CHECK(flag && state.queried == i && !state.freed);
    }
    check_status(&status);
    FAILS(MPI_ERR_REQUEST, MPI_Grequest_complete(request));
    FAILS(MPI_ERR_REQUEST, MPI_Start(&request));
    OK(MPI_Wait(&request, &status));
    CHECK(request == MPI_REQUEST_NULL && state.queried == 4 && state.freed == 1);
    CHECK(status.MPI_ERROR == 77);
    check_status(&status);
    OK(MPI_Test_cancelled(&status, &flag));
    CHECK(flag);

    FAILS(MPI_ERR_REQUEST, MPI_Grequest_complete(MPI_REQUEST_NULL));
    OK(MPI_Irecv(&flag, 1, MPI_INT, rank, 9, MPI_COMM_WORLD, &none));
    FAILS(MPI_ERR_REQUEST, MPI_Grequest_complete(none));
    OK(MPI_Cancel(&none));
    OK(MPI_Wait(&none, MPI_STATUS_IGNORE));
    FAILS(MPI_ERR_ARG, MPI_Grequest_start(NULL, release, cancel, NULL, &none));
    FAILS(MPI_ERR_ARG, MPI_Grequest_start(query, release, cancel, NULL, NULL));
}

/* Freed before or after the end of the operation: the free function runs when both have happened. */
static void freed(void)
{
    struct state state = {0};
    MPI_Request request = make(&state), copy = request;
    OK(MPI_Request_free(&request));
    CHECK(request == MPI_REQUEST_NULL && !state.freed);
    OK(MPI_Grequest_complete(copy));
    CHECK(state.freed == 1 && !state.queried);
    FAILS(MPI_ERR_REQUEST, MPI_Grequest_complete(copy));
    request = make(&state);
    OK(MPI_Grequest_complete(request));
    CHECK(state.freed == 1);
    OK(MPI_Request_free(&request));
    CHECK(request == MPI_REQUEST_NULL && state.freed == 2 && !state.queried);
}

/* Among other requests, in all forms. */
enum { N = 5 };
static struct state states[N];
static MPI_Request requests[2 * N];
static MPI_Status statuses[2 * N];
static int in[N], out[N];

static void begin(void)
{
    memset(states, 0, sizeof states);
    for (int i = 0; i < N; i++) {
        out[i] = rank + i;
        OK(MPI_Irecv(&in[i], 1, MPI_INT, (rank + size - 1) % size, i, MPI_COMM_WORLD, &requests[2 * i]));
        requests[2 * i + 1] = make(&states[i]);
        statuses[2 * i].MPI_ERROR = statuses[2 * i + 1].MPI_ERROR = 77;
    }
}

/* Nothing is there before all ranks have come here. */
static void go(void)
{
    OK(MPI_Barrier(MPI_COMM_WORLD));
    for (int i = 0; i < N; i++)
        OK(MPI_Send(&out[i], 1, MPI_INT, (rank + 1) % size, i, MPI_COMM_WORLD));
    for (int i = 0; i < N; i++)
        OK(MPI_Grequest_complete(requests[2 * i + 1]));
}

static void over(void)
{
    for (int i = 0; i < N; i++) {
        CHECK(requests[2 * i] == MPI_REQUEST_NULL && requests[2 * i + 1] == MPI_REQUEST_NULL);
        CHECK(in[i] == (rank + size - 1) % size + i);
        CHECK(states[i].queried >= 1 && states[i].freed == 1);
    }
}

static void many(void)
{
    int flag, index, done, seen, indices[2 * N];
    begin();
    OK(MPI_Testall(2 * N, requests, &flag, statuses));
    CHECK(!flag);
    go();
    OK(MPI_Waitall(2 * N, requests, statuses));
    over();
    for (int i = 0; i < N; i++)
        check_status(&statuses[2 * i + 1]);
    CHECK(statuses[2].MPI_TAG == 1);

    begin();
    OK(MPI_Testany(2 * N, requests, &index, &flag, statuses));
    OK(MPI_Testsome(2 * N, requests, &done, indices, statuses));
    CHECK(!flag && index == MPI_UNDEFINED && done == 0);
    OK(MPI_Request_get_status_all(2 * N, requests, &flag, statuses));
    CHECK(!flag);
    go();
    OK(MPI_Request_get_status_any(2 * N, requests, &index, &flag, statuses));
    CHECK(flag && index != MPI_UNDEFINED);
    do
        OK(MPI_Request_get_status_all(2 * N, requests, &flag, statuses));
    while (!flag);
    for (int i = 0; i < N; i++)
        check_status(&statuses[2 * i + 1]);
    OK(MPI_Request_get_status_some(2 * N, requests, &done, indices, statuses));
    CHECK(done == 2 * N && indices[1] == 1);
    check_status(&statuses[1]);
    CHECK(states[0].queried >= 2 && !states[0].freed);
    for (int n = 0; n < N; n++) {
        OK(MPI_Waitany(2 * N, requests, &index, statuses));
        CHECK(index == n);
        if (index % 2)
            check_status(statuses);
    }
    for (seen = N; seen < 2 * N; seen += done)
        OK(MPI_Waitsome(2 * N, requests, &done, indices, MPI_STATUSES_IGNORE));
    over();

    begin();
    go();
    for (seen = 0; seen < 2 * N; seen += done) {
        OK(MPI_Testsome(2 * N, requests, &done, indices, statuses));
        CHECK(done != MPI_UNDEFINED);
        for (int i = 0; i < done; i++)
            if (indices[i] % 2)
                check_status(&statuses[i]);
    }
    over();
    begin();
    go();
    do
        OK(MPI_Testall(2 * N, requests, &flag, statuses));
    while (!flag);
    over();
}

/* Which error code comes out where. */
static int class_of(int code)
{
    int class = -1;
    OK(MPI_Error_class(code, &class));
    return class;
}

static void fails(void)
{
    struct state state = {.result = {MPI_ERR_BUFFER, MPI_SUCCESS, MPI_ERR_TAG}};
    MPI_Status status;
    int flag, indices[2], done, mine;
    MPI_Request request = make(&state), two[2], copy;
    FAILS_WITH(MPI_ERR_TAG, "cancel function", MPI_Cancel(&request));
    OK(MPI_Grequest_complete(request));
    FAILS_WITH(MPI_ERR_BUFFER, "query function", MPI_Request_get_status(request, &flag, &status));
    FAILS(MPI_ERR_BUFFER, MPI_Wait(&request, &status));
    CHECK(request == MPI_REQUEST_NULL && state.freed == 1);
    state = (struct state){.result = {MPI_ERR_BUFFER, MPI_ERR_COUNT, 0}};
    request = make(&state);
    OK(MPI_Grequest_complete(request));
    FAILS_WITH(MPI_ERR_COUNT, "free function", MPI_Wait(&request, &status));
    /* A code of the user's own stays what it is. */
    OK(MPI_Add_error_class(&mine));
    OK(MPI_Add_error_code(mine, &mine));
    state = (struct state){.result = {MPI_SUCCESS, mine, 0}};
    request = copy = make(&state);
    OK(MPI_Request_free(&request));
    CHECK(!ours() || MPI_Grequest_complete(copy) == mine);
    state = (struct state){.result = {-5, MPI_SUCCESS, 0}};
    request = make(&state);
    OK(MPI_Grequest_complete(request));
    FAILS_WITH(MPI_ERR_OTHER, "-5", MPI_Wait(&request, &status));

    struct state good = {0};
    state = (struct state){.result = {MPI_ERR_BUFFER, MPI_SUCCESS, 0}};
    two[0] = make(&good), two[1] = make(&state);
    OK(MPI_Grequest_complete(two[0]));
    OK(MPI_Grequest_complete(two[1]));
    FAILS(MPI_ERR_IN_STATUS, MPI_Request_get_status_all(2, two, &flag, statuses));
    CHECK(!ours() || (statuses[0].MPI_ERROR == MPI_SUCCESS && class_of(statuses[1].MPI_ERROR) == MPI_ERR_BUFFER));
    FAILS(MPI_ERR_IN_STATUS, MPI_Waitall(2, two, statuses));
    CHECK(two[0] == MPI_REQUEST_NULL && two[1] == MPI_REQUEST_NULL);
    CHECK(!ours() || (statuses[0].MPI_ERROR == MPI_SUCCESS && class_of(statuses[1].MPI_ERROR) == MPI_ERR_BUFFER));
    two[0] = make(&state), two[1] = MPI_REQUEST_NULL, state.freed = 0;
    OK(MPI_Grequest_complete(two[0]));
    FAILS(MPI_ERR_IN_STATUS, MPI_Testsome(2, two, &done, indices, MPI_STATUSES_IGNORE));
    CHECK(two[0] == MPI_REQUEST_NULL && done == 1 && indices[0] == 0);
}

/* Another thread ends the operation while this one waits, spinning or asleep. */
static void *later(void *request)
{
    static int turn;
    usleep(turn++ % 2 ? 30000 : 20);
    OK(MPI_Grequest_complete(*(MPI_Request *)request));
    return NULL;
}

static void threads(void)
{
    for (int i = 0; i < 8; i++) {
        struct state state = {0};
        MPI_Request request = make(&state), copy = request;
        pthread_t thread;
        CHECK(!pthread_create(&thread, NULL, later, &copy));
        OK(MPI_Wait(&request, MPI_STATUS_IGNORE));
        CHECK(state.queried == 1 && state.freed == 1);
        CHECK(!pthread_join(thread, NULL));
    }
}

int main(int argc, char **argv)
{
    start(&argc, &argv);
    OK(MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN));
    OK(MPI_Comm_set_errhandler(MPI_COMM_SELF, MPI_ERRORS_RETURN));
    life();
    freed();
    many();
    if (ours()) {
        fails();
        /* Others want to know of the threads at the beginning (MPI_Init_thread). */
        threads();
    }
    /* The query function of one completes another. */
    struct state inner = {0}, outer = {0};
    MPI_Request first = make(&inner), second = make(&outer);
    outer.other = &first;
    OK(MPI_Grequest_complete(first));
    OK(MPI_Grequest_complete(second));
    OK(MPI_Wait(&second, MPI_STATUS_IGNORE));
    CHECK(inner.freed == 1 && outer.freed == 1 && first == MPI_REQUEST_NULL);
    finish();
    return 0;
}

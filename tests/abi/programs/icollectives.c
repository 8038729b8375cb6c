/* Nonblocking collectives: each alone, many at once on several communicators, completed in any order, progress in
 * other calls only, and what the user may do while they are at work. */
#include "collkinds.h"

static unsigned seed = 1;

/* The same on all ranks. */
static unsigned next_random(unsigned below)
{
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 8) % below;
}

/* Another one on each rank. */
static unsigned own_random(unsigned below)
{
    static unsigned own;
    own = own * 1103515245u + 12345u + (unsigned)rank * 2654435761u;
    return (own >> 8) % below;
}

static struct job some_job(MPI_Comm comm, int most)
{
    static const int lengths[] = {0, 1, 3, 17, 500, 3000, 40000};
    int n, of = sizeof lengths / sizeof *lengths;
    do
        n = lengths[next_random((unsigned)of)];
    while (n > most);
    struct job j = {.kind = (enum kind)next_random(KINDS), .comm = comm, .n = n};
    int members;
    OK(MPI_Comm_size(comm, &members));
    j.root = (int)next_random((unsigned)members);
    j.derived = (int)next_random(2), j.in_place = (int)next_random(2);
    j.seed = next_random(1 << 20);
    return j;
}

static void each_alone(void)
{
    static const int lengths[] = {0, 1, 20, 5000, 60000};
    for (int k = 0; k < KINDS; k++)
        for (int variant = 0; variant < 4; variant++)
            for (size_t l = 0; l < sizeof lengths / sizeof *lengths; l++)
                for (int root = 0; root < size; root += size > 1 ? size - 1 : 1) {
                    if (root > 0 && !has_root((enum kind)k))
                        break;
                    struct job j = {.kind = (enum kind)k, .comm = MPI_COMM_WORLD, .n = lengths[l], .root = root,
                                    .derived = variant & 1, .in_place = variant >> 1, .seed = (unsigned)(k + 100 * variant)};
                    prepare(&j, 1);
                    begin(&j, NONBLOCKING);
                    CHECK(j.request != MPI_REQUEST_NULL);
                    OK(MPI_Wait(&j.request, MPI_STATUS_IGNORE));
                    CHECK(j.request == MPI_REQUEST_NULL);
                    check(&j);
                    discard(&j);
                }
}

enum { MANY = 24 };

/* Waits for all in one of several ways. */
static void complete(struct job *jobs, int n)
{
    MPI_Request requests[MANY];
    for (int i = 0; i < n; i++)
        requests[i] = jobs[i].request;
    switch (own_random(5)) {
    case 0: OK(MPI_Waitall(n, requests, MPI_STATUSES_IGNORE)); break;
    case 1:
        for (int left = n; left > 0; left--) {
            int i;
            OK(MPI_Waitany(n, requests, &i, MPI_STATUS_IGNORE));
            CHECK(i >= 0 && i < n && requests[i] == MPI_REQUEST_NULL);
            check(&jobs[i]);
        }
        break;
    case 2:
        for (int done = 0; !done;) {
            int which[MANY], found;
            OK(MPI_Testsome(n, requests, &found, which, MPI_STATUSES_IGNORE));
            done = found == MPI_UNDEFINED;
        }
        break;
    case 3:
        for (int i = n - 1; i >= 0; i--) {
            int flag = 0;
            OK(MPI_Request_get_status(requests[i], &flag, MPI_STATUS_IGNORE));
            OK(MPI_Wait(&requests[i], MPI_STATUS_IGNORE));
        }
        break;
    default:
        for (int left = n; left > 0;) {
            int i = (int)own_random((unsigned)n), flag = 0;
            if (requests[i] == MPI_REQUEST_NULL)
                continue;
            OK(MPI_Test(&requests[i], &flag, MPI_STATUS_IGNORE));
            left -= flag;
        }
    }
    for (int i = 0; i < n; i++) {
        CHECK(requests[i] == MPI_REQUEST_NULL);
        check(&jobs[i]);
        discard(&jobs[i]);
    }
}

/* On one communicator all ranks start in the same order; between communicators each as it likes. */
static void many_at_once(int rounds)
{
    MPI_Comm comms[3];
    OK(MPI_Comm_dup(MPI_COMM_WORLD, &comms[0]));
    OK(MPI_Comm_split(MPI_COMM_WORLD, 0, -rank, &comms[1]));
    OK(MPI_Comm_dup(comms[1], &comms[2]));
    for (int round = 0; round < rounds; round++) {
        struct job jobs[MANY];
        int started[3] = {0, 0, 0};
        for (int i = 0; i < MANY; i++) {
            jobs[i] = some_job(comms[i / (MANY / 3)], round % 4 ? 3000 : 40000);
            prepare(&jobs[i], 1);
        }
        for (int left = MANY; left > 0;) {
            int c = (int)own_random(3);
            if (started[c] == MANY / 3)
                continue;
            begin(&jobs[c * (MANY / 3) + started[c]++], NONBLOCKING);
            left--;
            if (own_random(8) == 0)
                OK(MPI_Iprobe(MPI_ANY_SOURCE, 0, MPI_COMM_WORLD, &(int){0}, MPI_STATUS_IGNORE));
        }
        complete(jobs, MANY);
    }
    for (int c = 0; c < 3; c++)
        OK(MPI_Comm_free(&comms[c]));
}

/* Blocking ones in between, of the same communicator. */
static void among_blocking_ones(void)
{
    for (int round = 0; round < 10; round++) {
        struct job outer = some_job(MPI_COMM_WORLD, 3000), inner = some_job(MPI_COMM_WORLD, 3000);
        prepare(&outer, 1), prepare(&inner, 1);
        begin(&outer, NONBLOCKING);
        begin(&inner, BLOCKING);
        check(&inner);
        OK(MPI_Wait(&outer.request, MPI_STATUS_IGNORE));
        check(&outer);
        discard(&outer), discard(&inner);
    }
}

/* Rank 0 looks at its request only after the last rank has its result, and it has to take part in that. */
static void progress_in_other_calls(void)
{
    if (size < 2)
        return;
    static const enum kind all_need_all[] = {BARRIER, ALLGATHER, ALLREDUCE, ALLTOALL, REDUCE_SCATTER_BLOCK};
    for (size_t k = 0; k < sizeof all_need_all / sizeof *all_need_all; k++)
        for (int derived = 0; derived < 2; derived++) {
            struct job j = {.kind = all_need_all[k], .comm = MPI_COMM_WORLD, .n = 30000, .derived = derived, .seed = 5};
            prepare(&j, 1);
            begin(&j, NONBLOCKING);
            int token = 17;
            if (rank == 0) {
                if (k % 2) {
                    OK(MPI_Recv(&token, 1, MPI_INT, size - 1, 3, MPI_COMM_WORLD, MPI_STATUS_IGNORE));
                } else {
                    int there = 0;
                    while (!there)
                        OK(MPI_Iprobe(size - 1, 3, MPI_COMM_WORLD, &there, MPI_STATUS_IGNORE));
                    OK(MPI_Recv(&token, 1, MPI_INT, size - 1, 3, MPI_COMM_WORLD, MPI_STATUS_IGNORE));
                }
            }
            OK(MPI_Wait(&j.request, MPI_STATUS_IGNORE));
            if (rank == size - 1)
                OK(MPI_Send(&token, 1, MPI_INT, 0, 3, MPI_COMM_WORLD));
            check(&j);
            discard(&j);
        }
}

/* Types, operations and the communicator may be freed while they are in use. */
static void freed_meanwhile(void)
{
    for (int k = 0; k < KINDS; k++) {
        MPI_Comm comm;
        OK(MPI_Comm_dup(MPI_COMM_WORLD, &comm));
        make_types();
        struct job j = {.kind = (enum kind)k, .comm = comm, .n = 2000, .derived = 1, .seed = 9};
        prepare(&j, 1);
        begin(&j, NONBLOCKING);
        free_types();
        OK(MPI_Comm_free(&comm));
        if (rank % 2)
            OK(MPI_Send(&rank, 1, MPI_INT, rank - 1, 4, MPI_COMM_WORLD));
        else if (rank + 1 < size)
            OK(MPI_Recv(&(int){0}, 1, MPI_INT, rank + 1, 4, MPI_COMM_WORLD, MPI_STATUS_IGNORE));
        OK(MPI_Wait(&j.request, MPI_STATUS_IGNORE));
        check(&j);
        discard(&j);
    }
}

/* Their requests can neither be freed nor cancelled. */
static void forbidden(void)
{
    MPI_Request request;
    int class, flag, number = rank;
    OK(MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN));
    OK(MPI_Comm_set_errhandler(MPI_COMM_SELF, MPI_ERRORS_RETURN));
    OK(MPI_Ibcast(&number, 1, MPI_INT, 0, MPI_COMM_WORLD, &request));
    if (rank != 0 || size == 1) {
        MPI_Request copy = request;
        if (rank != 0) { /* it cannot be complete: rank 0 has not seen the barrier below */
            OK(MPI_Error_class(MPI_Cancel(&copy), &class));
            CHECK(class == MPI_ERR_REQUEST);
        }
    }
    OK(MPI_Wait(&request, MPI_STATUS_IGNORE));
    CHECK(number == 0);
    MPI_Request barrier = MPI_REQUEST_NULL;
    if (size > 1) {
        if (rank == 0) {
            OK(MPI_Ibarrier(MPI_COMM_WORLD, &barrier));
            MPI_Request copy = barrier;
            OK(MPI_Error_class(MPI_Request_free(&copy), &class));
            CHECK(class == MPI_ERR_REQUEST && copy == barrier);
            OK(MPI_Test(&barrier, &flag, MPI_STATUS_IGNORE));
            CHECK(!flag);
            for (int r = 1; r < size; r++)
                OK(MPI_Send(&number, 1, MPI_INT, r, 6, MPI_COMM_WORLD));
        } else {
            OK(MPI_Recv(&number, 1, MPI_INT, 0, 6, MPI_COMM_WORLD, MPI_STATUS_IGNORE));
            OK(MPI_Ibarrier(MPI_COMM_WORLD, &barrier));
        }
        OK(MPI_Wait(&barrier, MPI_STATUS_IGNORE));
    }
    /* What is wrong is said by the call. */
    OK(MPI_Error_class(MPI_Ibcast(&number, 1, MPI_INT, size, MPI_COMM_WORLD, &request), &class));
    CHECK(class == MPI_ERR_ROOT);
    OK(MPI_Error_class(MPI_Ibcast(&number, 1, MPI_DATATYPE_NULL, 0, MPI_COMM_WORLD, &request), &class));
    CHECK(class == MPI_ERR_TYPE);
    OK(MPI_Error_class(MPI_Iallreduce(&number, &flag, 1, MPI_INT, MPI_OP_NULL, MPI_COMM_WORLD, &request), &class));
    CHECK(class == MPI_ERR_OP);
    OK(MPI_Error_class(MPI_Ibcast(&number, -1, MPI_INT, 0, MPI_COMM_WORLD, &request), &class));
    CHECK(class == MPI_ERR_COUNT);
    /* Lengths that differ are found by the receiver, and the next collective is as good as ever. */
    if (size > 1) {
        int numbers[3] = {rank, rank, rank};
        OK(MPI_Ibcast(numbers, rank == 0 ? 3 : 2, MPI_INT, 0, MPI_COMM_WORLD, &request));
        OK(MPI_Error_class(MPI_Wait(&request, MPI_STATUS_IGNORE), &class));
        CHECK(class == (rank == 0 ? MPI_SUCCESS : MPI_ERR_TRUNCATE));
        CHECK(numbers[2] == rank);
        OK(MPI_Ibcast(numbers, 3, MPI_INT, 0, MPI_COMM_WORLD, &request));
        OK(MPI_Wait(&request, MPI_STATUS_IGNORE));
        CHECK(numbers[2] == 0);
    }
    OK(MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_ARE_FATAL));
    OK(MPI_Comm_set_errhandler(MPI_COMM_SELF, MPI_ERRORS_ARE_FATAL));
}

int main(int argc, char **argv)
{
    start(&argc, &argv);
    make_types();
    each_alone();
    /* Intel MPI 2021.18.1 hangs if three ranks start those of several communicators in different orders. */
    if (size < 3 || !library_is("Intel"))
        many_at_once(argc > 1 ? atoi(argv[1]) : 12);
    among_blocking_ones();
    progress_in_other_calls();
    free_types();
    freed_meanwhile();
    if (ours())
        forbidden();
    finish();
    return 0;
}

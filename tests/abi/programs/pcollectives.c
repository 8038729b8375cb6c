/* Persistent collectives: started again and again, in another order on each rank, freed while inactive. */
#include "collkinds.h"

enum { JOBS = 2 * KINDS };

static unsigned own;

static unsigned own_random(unsigned below)
{
    own = own * 1103515245u + 12345u + (unsigned)rank * 2654435761u;
    return (own >> 8) % below;
}

static void shuffle(int *order, int n)
{
    for (int i = n - 1; i > 0; i--) {
        int k = (int)own_random((unsigned)i + 1), other = order[k];
        order[k] = order[i], order[i] = other;
    }
}

static void make(struct job *jobs, MPI_Comm comm, int n)
{
    for (int i = 0; i < JOBS; i++) {
        jobs[i] = (struct job){.kind = (enum kind)(i % KINDS), .comm = comm, .n = i % 5 == 0 ? 0 : n + i,
                               .root = i % size, .derived = i / KINDS, .in_place = i % 3 == 0, .seed = (unsigned)i};
        prepare(&jobs[i], 1);
        begin(&jobs[i], PERSISTENT);
        CHECK(jobs[i].request != MPI_REQUEST_NULL);
    }
}

/* All at work at once; each rank starts and completes them as it likes. */
static void in_any_order(struct job *jobs, int rounds)
{
    for (int round = 0; round < rounds; round++) {
        int order[JOBS];
        for (int i = 0; i < JOBS; i++) {
            order[i] = i;
            jobs[i].seed = (unsigned)(1000 * round + i);
            fill(&jobs[i]);
        }
        /* Other libraries want them started in one order (the standard's hint says that they may). */
        if (ours())
            shuffle(order, JOBS);
        if (round % 2) {
            for (int i = 0; i < JOBS; i++)
                OK(MPI_Start(&jobs[order[i]].request));
        } else {
            MPI_Request requests[JOBS];
            for (int i = 0; i < JOBS; i++)
                requests[i] = jobs[order[i]].request;
            OK(MPI_Startall(JOBS, requests));
        }
        shuffle(order, JOBS);
        for (int i = 0; i < JOBS; i++) {
            struct job *j = &jobs[order[i]];
            MPI_Request before = j->request;
            if (own_random(2)) {
                for (int done = 0; !done;)
                    OK(MPI_Test(&j->request, &done, MPI_STATUS_IGNORE));
            } else {
                OK(MPI_Wait(&j->request, MPI_STATUS_IGNORE));
            }
            CHECK(j->request == before);
            check(j);
        }
    }
}

/* One again and again: a fast rank is a start ahead of a slow one. */
static void again_and_again(struct job *jobs)
{
    for (int i = 0; i < JOBS; i++)
        for (int round = 0; round < 6; round++) {
            jobs[i].seed = (unsigned)(7 * round + i);
            fill(&jobs[i]);
            OK(MPI_Start(&jobs[i].request));
            OK(MPI_Wait(&jobs[i].request, MPI_STATUS_IGNORE));
            check(&jobs[i]);
        }
}

/* With blocking and nonblocking ones of the same communicator in between. */
static void among_others(struct job *jobs)
{
    for (int i = 0; i < JOBS; i++) {
        int sum = 0, one = 1;
        struct job other = {.kind = ALLGATHER, .comm = jobs[i].comm, .n = 100, .seed = (unsigned)i};
        prepare(&other, 1);
        fill(&jobs[i]);
        OK(MPI_Start(&jobs[i].request));
        begin(&other, NONBLOCKING);
        OK(MPI_Allreduce(&one, &sum, 1, MPI_INT, MPI_SUM, jobs[i].comm));
        CHECK(sum == size);
        OK(MPI_Wait(&other.request, MPI_STATUS_IGNORE));
        OK(MPI_Wait(&jobs[i].request, MPI_STATUS_IGNORE));
        check(&other), check(&jobs[i]);
        discard(&other);
    }
}

static void forbidden(struct job *jobs)
{
    int class;
    MPI_Request copy = jobs[BARRIER].request;
    OK(MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN));
    OK(MPI_Comm_set_errhandler(MPI_COMM_SELF, MPI_ERRORS_RETURN));
    OK(MPI_Barrier(MPI_COMM_WORLD));
    if (size > 1 && rank == 0) {
        OK(MPI_Start(&jobs[BARRIER].request));
        OK(MPI_Error_class(MPI_Start(&jobs[BARRIER].request), &class));
        CHECK(class == MPI_ERR_REQUEST);
        OK(MPI_Error_class(MPI_Request_free(&copy), &class));
        CHECK(class == MPI_ERR_REQUEST);
        OK(MPI_Error_class(MPI_Cancel(&copy), &class));
        CHECK(class == MPI_ERR_REQUEST);
        OK(MPI_Barrier(MPI_COMM_WORLD));
        OK(MPI_Wait(&jobs[BARRIER].request, MPI_STATUS_IGNORE));
    } else if (size > 1) {
        OK(MPI_Barrier(MPI_COMM_WORLD));
        OK(MPI_Start(&jobs[BARRIER].request));
        OK(MPI_Wait(&jobs[BARRIER].request, MPI_STATUS_IGNORE));
    }
    /* Inactive: nothing to wait for. */
    MPI_Status status;
    OK(MPI_Wait(&jobs[BARRIER].request, &status));
    CHECK(jobs[BARRIER].request != MPI_REQUEST_NULL);
    CHECK(status.MPI_SOURCE == MPI_ANY_SOURCE && status.MPI_TAG == MPI_ANY_TAG);
    OK(MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_ARE_FATAL));
    OK(MPI_Comm_set_errhandler(MPI_COMM_SELF, MPI_ERRORS_ARE_FATAL));
}

static void free_all(struct job *jobs)
{
    for (int i = 0; i < JOBS; i++) {
        OK(MPI_Request_free(&jobs[i].request));
        CHECK(jobs[i].request == MPI_REQUEST_NULL);
        discard(&jobs[i]);
    }
}

int main(int argc, char **argv)
{
    static struct job jobs[JOBS], others[JOBS];
    start(&argc, &argv);
    /* A Gather_init of Intel MPI 2021.18.1 leaves the root's own block out. */
    if (library_is("Intel")) {
        finish();
        return 0;
    }
    make_types();
    make(jobs, MPI_COMM_WORLD, 40);
    in_any_order(jobs, 8);
    again_and_again(jobs);
    among_others(jobs);
    if (ours())
        forbidden(jobs);
    /* Long ones; of two communicators; types and communicator freed while they are inactive. */
    MPI_Comm comm;
    OK(MPI_Comm_dup(MPI_COMM_WORLD, &comm));
    make(others, comm, 20000);
    in_any_order(others, 3);
    if (ours()) {
        free_types();
        OK(MPI_Comm_free(&comm));
        for (int i = 0; i < 2; i++) {
            in_any_order(others, 1);
            again_and_again(jobs);
        }
        free_all(others);
    } else {
        free_all(others);
        OK(MPI_Comm_free(&comm));
        free_types();
    }
    free_all(jobs);
    finish();
    return 0;
}

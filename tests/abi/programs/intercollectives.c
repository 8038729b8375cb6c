/* Collectives between two groups, in all forms. */
#include "collkinds.h"

static MPI_Comm comm;
static int in_first;

/* The first group has the ranks below `split`. */
static void connect_groups(int split)
{
    MPI_Comm local;
    in_first = rank < split;
    OK(MPI_Comm_split(MPI_COMM_WORLD, in_first, rank, &local));
    OK(MPI_Intercomm_create(local, 0, MPI_COMM_WORLD, in_first ? split : 0, 5, &comm));
    OK(MPI_Comm_free(&local));
}

static int exists(enum kind k)
{
    return k != SCAN && k != EXSCAN;
}

static struct job one(int k, int n, int root, int derived)
{
    struct job j = {.kind = (enum kind)k, .comm = comm, .n = n, .root = root, .derived = derived, .seed = (unsigned)(k + n)};
    int near, far;
    OK(MPI_Comm_size(comm, &near));
    OK(MPI_Comm_remote_size(comm, &far));
    /* Both groups contribute as many elements as the other one gets. */
    if (k == REDUCE_SCATTER || k == REDUCE_SCATTER_BLOCK) {
        j.kind = REDUCE_SCATTER_BLOCK;
        j.n = n / near / far * far;
    }
    prepare(&j, in_first);
    return j;
}

static void each_alone(int split)
{
    static const int lengths[] = {0, 1, 60, 3000, 30000};
    for (int k = 0; k < KINDS; k++)
        for (int derived = 0; derived < 2; derived++)
            for (size_t l = 0; l < sizeof lengths / sizeof *lengths; l++)
                for (int form = 0; form < 3; form++) {
                    if (!exists((enum kind)k))
                        continue;
                    struct job j = one(k, lengths[l], (k + (int)l) % split, derived);
                    begin(&j, (enum form)form);
                    if (form == PERSISTENT)
                        OK(MPI_Start(&j.request));
                    OK(MPI_Wait(&j.request, MPI_STATUS_IGNORE));
                    check(&j);
                    if (form == PERSISTENT)
                        OK(MPI_Request_free(&j.request));
                    discard(&j);
                }
}

/* All kinds at once, with a blocking one in between. */
static void many_at_once(int split)
{
    struct job jobs[KINDS];
    MPI_Request requests[KINDS];
    for (int round = 0; round < 5; round++) {
        int n = 0;
        for (int k = 0; k < KINDS; k++)
            if (exists((enum kind)k)) {
                jobs[n] = one(k, 600 * round, k % split, round % 2);
                begin(&jobs[n], NONBLOCKING);
                requests[n] = jobs[n].request;
                n++;
                if (k == 7)
                    OK(MPI_Barrier(comm));
            }
        OK(MPI_Waitall(n, requests, MPI_STATUSES_IGNORE));
        while (n-- > 0) {
            check(&jobs[n]);
            discard(&jobs[n]);
        }
    }
}

/* Of counts that differ within a group. */
static void reduce_scatter(void)
{
    int near, far, counts[64], total = 0, me;
    OK(MPI_Comm_rank(comm, &me));
    OK(MPI_Comm_size(comm, &near));
    OK(MPI_Comm_remote_size(comm, &far));
    CHECK(near <= 64);
    for (int r = 0; r < near; r++)
        total += counts[r] = r == near - 1 ? 1000 - total : 3 * r;
    int a[1000], b[1001], before = 0;
    for (int i = 0; i < 1000; i++)
        a[i] = i * (in_first ? 1 : 2) + me;
    for (int r = 0; r < me; r++)
        before += counts[r];
    b[counts[me]] = -5;
    OK(MPI_Reduce_scatter(a, b, counts, MPI_INT, MPI_SUM, comm));
    for (int i = 0; i < counts[me]; i++)
        CHECK(b[i] == (before + i) * (in_first ? 2 : 1) * far + far * (far - 1) / 2);
    CHECK(b[counts[me]] == -5);
}

static void forbidden(void)
{
    int a[64] = {0}, b[64], class;
    MPI_Request request;
    OK(MPI_Comm_set_errhandler(comm, MPI_ERRORS_RETURN));
    OK(MPI_Error_class(MPI_Scan(a, b, 1, MPI_INT, MPI_SUM, comm), &class));
    CHECK(class == MPI_ERR_COMM);
    OK(MPI_Error_class(MPI_Iexscan(a, b, 1, MPI_INT, MPI_SUM, comm, &request), &class));
    CHECK(class == MPI_ERR_COMM);
    OK(MPI_Error_class(MPI_Allreduce(MPI_IN_PLACE, b, 1, MPI_INT, MPI_SUM, comm), &class));
    CHECK(class == MPI_ERR_BUFFER);
    OK(MPI_Error_class(MPI_Bcast(a, 1, MPI_INT, 63, comm), &class));
    CHECK(class == MPI_ERR_ROOT);
}

int main(int argc, char **argv)
{
    start(&argc, &argv);
    make_types();
    for (int split = 1; split < size; split += size > 3 ? 2 : 1) {
        connect_groups(split);
        each_alone(split);
        many_at_once(split);
        reduce_scatter();
        if (ours())
            forbidden();
        OK(MPI_Comm_free(&comm));
    }
    free_types();
    finish();
    return 0;
}

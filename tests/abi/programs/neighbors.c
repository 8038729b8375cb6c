/* Collectives of neighbours, in all forms, on grids, graphs and distributed graphs: with borders, with the same
 * neighbour twice, with oneself. */
#include "check.h"
#include <stdint.h>

enum kind { ALLGATHER, ALLGATHERV, ALLTOALL, ALLTOALLV, ALLTOALLW, KINDS };
enum form { BLOCKING, NONBLOCKING, PERSISTENT };
enum { MOST = 64 };
#define GUARD 0xdeadbeefu

/* Where an edge comes from: the rank, and its place among that one's destinations. */
struct edges {
    int ins, outs;
    int from[MOST], place[MOST], to[MOST];
};

static uint32_t value(unsigned seed, int from, int place, int i)
{
    uint32_t x = seed * 2654435761u + (uint32_t)from * 40503u + (uint32_t)place * 977u + (uint32_t)i * 31u;
    return x ^ x >> 15;
}

static int count_of(enum kind k, int n, int from, int place)
{
    if (k == ALLTOALLV || k == ALLTOALLW)
        return n * ((from + place) % 3) / 2 + place % 2;
    return k == ALLGATHERV ? n * (from % 3) / 2 + 1 : n;
}

struct job {
    uint32_t *send, *recv;
    int scounts[MOST], sdispls[MOST], rcounts[MOST], rdispls[MOST];
    MPI_Aint sbytes[MOST], rbytes[MOST];
    MPI_Datatype types[MOST];
    enum kind kind;
    int n, sends, recvs;
    MPI_Request request;
};

static void fill(struct job *j, const struct edges *e, unsigned seed)
{
    int everything = j->kind == ALLGATHER || j->kind == ALLGATHERV;
    for (int i = 0; i < j->sends; i++)
        j->send[i] = GUARD;
    for (int i = 0; i < j->recvs; i++)
        j->recv[i] = GUARD;
    for (int d = 0; d < (everything ? 1 : e->outs); d++)
        for (int i = 0; i < j->scounts[d]; i++)
            j->send[j->sdispls[d] + i] = value(seed, rank, d, i);
}

static void prepare(struct job *j, const struct edges *e, enum kind k, int n, unsigned seed)
{
    int everything = k == ALLGATHER || k == ALLGATHERV, gap = k == ALLGATHER || k == ALLTOALL ? 0 : 1, at = 0;
    *j = (struct job){.kind = k, .n = n, .request = MPI_REQUEST_NULL};
    j->scounts[0] = count_of(k, n, rank, 0);
    for (int d = 0; d < e->outs; d++) {
        j->scounts[d] = count_of(k, n, rank, d), j->sdispls[d] = at, j->sbytes[d] = 4 * (MPI_Aint)at;
        at += j->scounts[d] + gap;
    }
    j->sends = everything ? j->scounts[0] : at;
    at = 0;
    for (int s = 0; s < e->ins; s++) {
        j->rcounts[s] = e->from[s] == MPI_PROC_NULL ? n : count_of(k, n, e->from[s], everything ? 0 : e->place[s]);
        j->rdispls[s] = at, j->rbytes[s] = 4 * (MPI_Aint)at;
        at += j->rcounts[s] + gap;
    }
    j->recvs = at;
    for (int i = 0; i < MOST; i++)
        j->types[i] = MPI_UINT32_T;
    j->send = malloc(4 * (size_t)(j->sends + 1)), j->recv = malloc(4 * (size_t)(j->recvs + 1));
    fill(j, e, seed);
}

#define CALL(name, ...)                                                                            \
    do {                                                                                           \
        if (form == BLOCKING)                                                                      \
            OK(MPI_Neighbor_##name(__VA_ARGS__));                                                  \
        else if (form == NONBLOCKING)                                                              \
            OK(MPI_Ineighbor_##name(__VA_ARGS__, &j->request));                                    \
        else                                                                                       \
            OK(MPI_Neighbor_##name##_init(__VA_ARGS__, MPI_INFO_NULL, &j->request));               \
    } while (0)

static void begin(struct job *j, enum form form, MPI_Comm comm)
{
    MPI_Datatype t = MPI_UINT32_T;
    switch (j->kind) {
    case KINDS: break;
    case ALLGATHER: CALL(allgather, j->send, j->n, t, j->recv, j->n, t, comm); break;
    case ALLGATHERV: CALL(allgatherv, j->send, j->scounts[0], t, j->recv, j->rcounts, j->rdispls, t, comm); break;
    case ALLTOALL: CALL(alltoall, j->send, j->n, t, j->recv, j->n, t, comm); break;
    case ALLTOALLV:
        CALL(alltoallv, j->send, j->scounts, j->sdispls, t, j->recv, j->rcounts, j->rdispls, t, comm);
        break;
    case ALLTOALLW:
        CALL(alltoallw, j->send, j->scounts, j->sbytes, j->types, j->recv, j->rcounts, j->rbytes, j->types, comm);
        break;
    }
}

static void check(const struct job *j, const struct edges *e, unsigned seed)
{
    int everything = j->kind == ALLGATHER || j->kind == ALLGATHERV;
    for (int s = 0; s < e->ins; s++) {
        int nobody = e->from[s] == MPI_PROC_NULL, place = everything ? 0 : e->place[s];
        for (int i = 0; i < j->rcounts[s]; i++)
            CHECK(j->recv[j->rdispls[s] + i] == (nobody ? GUARD : value(seed, e->from[s], place, i)));
    }
}

static void discard(struct job *j)
{
    free(j->send), free(j->recv);
}

static void all_kinds(MPI_Comm comm, const struct edges *e)
{
    static const int lengths[] = {1, 0, 30, 2000, 30000};
    struct job jobs[KINDS];
    for (size_t l = 0; l < sizeof lengths / sizeof *lengths; l++) {
        for (int form = 0; form < 3; form++)
            for (int k = 0; k < KINDS; k++) {
                prepare(&jobs[k], e, (enum kind)k, lengths[l], 3);
                begin(&jobs[k], (enum form)form, comm);
                if (form == PERSISTENT)
                    OK(MPI_Start(&jobs[k].request));
                OK(MPI_Wait(&jobs[k].request, MPI_STATUS_IGNORE));
                check(&jobs[k], e, 3);
                if (form == PERSISTENT)
                    OK(MPI_Request_free(&jobs[k].request));
                discard(&jobs[k]);
            }
        /* All at once, completed from the last to the first. */
        for (int k = 0; k < KINDS; k++) {
            prepare(&jobs[k], e, (enum kind)k, lengths[l], (unsigned)k);
            begin(&jobs[k], NONBLOCKING, comm);
        }
        for (int k = KINDS - 1; k >= 0; k--) {
            OK(MPI_Wait(&jobs[k].request, MPI_STATUS_IGNORE));
            check(&jobs[k], e, (unsigned)k);
            discard(&jobs[k]);
        }
    }
    /* Persistent ones, each time in another order. */
    for (int k = 0; k < KINDS; k++) {
        prepare(&jobs[k], e, (enum kind)k, 50, 0);
        begin(&jobs[k], PERSISTENT, comm);
    }
    for (unsigned round = 1; round < 6; round++) {
        for (int k = 0; k < KINDS; k++) {
            int which = ours() ? (k * 2 + rank + (int)round) % KINDS : k;
            fill(&jobs[which], e, round);
            OK(MPI_Start(&jobs[which].request));
        }
        for (int k = 0; k < KINDS; k++) {
            OK(MPI_Wait(&jobs[k].request, MPI_STATUS_IGNORE));
            check(&jobs[k], e, round);
        }
    }
    for (int k = 0; k < KINDS; k++) {
        OK(MPI_Request_free(&jobs[k].request));
        discard(&jobs[k]);
    }
}

static void grid(int ndims, const int *dims, const int *periods)
{
    MPI_Comm comm;
    struct edges e = {0};
    int nodes = 1;
    for (int d = 0; d < ndims; d++)
        nodes *= dims[d];
    if (nodes != size)
        return;
    OK(MPI_Cart_create(MPI_COMM_WORLD, ndims, dims, periods, 0, &comm));
    for (int d = 0; d < ndims; d++) {
        int before, behind;
        OK(MPI_Cart_shift(comm, d, 1, &before, &behind));
        /* What comes from before me was sent by that one to the one behind it. */
        e.from[e.ins] = e.to[e.ins] = before, e.place[e.ins] = 2 * d + 1, e.ins++;
        e.from[e.ins] = e.to[e.ins] = behind, e.place[e.ins] = 2 * d, e.ins++;
    }
    e.outs = e.ins;
    all_kinds(comm, &e);
    OK(MPI_Comm_free(&comm));
}

static void grids(void)
{
    static const int shapes[][3] = {{1, 1, 1}, {2, 1, 1}, {1, 2, 1}, {3, 1, 1}, {4, 1, 1}, {2, 2, 1}, {5, 1, 1}, {3, 2, 1}, {2, 2, 2}};
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
        for (int ndims = 1; ndims <= 3; ndims++)
            for (int bits = 0; bits < 1 << ndims; bits++) {
                int periods[] = {bits & 1, bits >> 1 & 1, bits >> 2 & 1}, same = 0;
                /* Other libraries mix up the directions of neighbours that are the same twice. */
                for (int d = 0; d < ndims; d++)
                    same |= periods[d] && shapes[s][d] <= 2;
                if (!same || ours())
                    grid(ndims, shapes[s], periods);
            }
}

/* Everybody's destinations are known to all here; sources are listed by rank and then in order. */
static void distributed(int degree, int (*target)(int from, int i))
{
    MPI_Comm comm;
    struct edges e = {.outs = degree};
    for (int i = 0; i < degree; i++)
        e.to[i] = target(rank, i);
    for (int r = 0; r < size; r++)
        for (int i = 0; i < degree; i++)
            if (target(r, i) == rank) {
                e.from[e.ins] = r, e.place[e.ins] = i;
                e.ins++;
            }
    CHECK(e.ins <= MOST);
    int *volatile none = MPI_UNWEIGHTED; /* the compiler takes the constant for an array */
    OK(MPI_Dist_graph_create_adjacent(MPI_COMM_WORLD, e.ins, e.from, none, e.outs, e.to, none, MPI_INFO_NULL, 0, &comm));
    all_kinds(comm, &e);
    OK(MPI_Comm_free(&comm));
}

static int next_ones(int from, int i)
{
    return (from + i + 1) % size;
}

static int twice_the_next(int from, int i)
{
    return (from + 1 + i / 2) % size;
}

static int all_to_first(int from, int i)
{
    return from * 0 + i * 0;
}

/* A ring in both directions; two nodes are neighbours twice. */
static void graph(void)
{
    MPI_Comm comm;
    struct edges e = {.ins = 2, .outs = 2};
    int index[64], edges[128];
    CHECK(size <= 64);
    for (int r = 0; r < size; r++) {
        index[r] = 2 * r + 2;
        edges[2 * r] = (r + 1) % size, edges[2 * r + 1] = (r + size - 1) % size;
    }
    OK(MPI_Graph_create(MPI_COMM_WORLD, size, index, edges, 0, &comm));
    for (int i = 0; i < 2; i++) {
        e.from[i] = e.to[i] = edges[2 * rank + i];
        e.place[i] = size > 2 ? 1 - i : i;
    }
    all_kinds(comm, &e);
    OK(MPI_Comm_free(&comm));
}

static void forbidden(void)
{
    int a[8] = {0}, b[8], class;
    MPI_Request request;
    OK(MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN));
    OK(MPI_Error_class(MPI_Neighbor_allgather(a, 1, MPI_INT, b, 1, MPI_INT, MPI_COMM_WORLD), &class));
    CHECK(class == MPI_ERR_TOPOLOGY);
    OK(MPI_Error_class(MPI_Ineighbor_alltoallv(a, a, a, MPI_INT, b, a, a, MPI_INT, MPI_COMM_WORLD, &request), &class));
    CHECK(class == MPI_ERR_TOPOLOGY);
    OK(MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_ARE_FATAL));
}

int main(int argc, char **argv)
{
    start(&argc, &argv);
    grids();
    for (int degree = 0; degree <= 3; degree++)
        distributed(degree, next_ones);
    distributed(4, twice_the_next);
    distributed(2, all_to_first);
    graph();
    if (ours())
        forbidden();
    finish();
    return 0;
}

/* Any collective in any form: begin() starts one or makes it persistent, check() compares with plain arithmetic.
 * Used by icollectives.c, pcollectives.c and intercollectives.c. */
#ifndef COLLKINDS_H
#define COLLKINDS_H

#include "check.h"
#include <stdint.h>

enum kind {
    BARRIER, BCAST, GATHER, GATHERV, SCATTER, SCATTERV, ALLGATHER, ALLGATHERV, ALLTOALL, ALLTOALLV, ALLTOALLW,
    REDUCE, ALLREDUCE, REDUCE_SCATTER, REDUCE_SCATTER_BLOCK, SCAN, EXSCAN, KINDS
};

enum form { BLOCKING, NONBLOCKING, PERSISTENT };

/* The affine maps x -> a x + b under composition: associative, and the order matters. Two numbers with a hole
 * behind each, or two numbers side by side. */
static MPI_Datatype holes;
static MPI_Op compose;

static void compose_maps(void *in, void *inout, int *len, MPI_Datatype *type)
{
    MPI_Aint lb, extent;
    MPI_Type_get_extent(*type, &lb, &extent);
    size_t step = (size_t)extent / sizeof(uint32_t), b = step == 4 ? 2 : 1;
    uint32_t *x = in, *y = inout;
    for (int i = 0; i < *len; i++, x += step, y += step) {
        uint32_t first = x[0] * y[0], second = x[0] * y[b] + x[b];
        y[0] = first, y[b] = second;
    }
}

__attribute__((unused)) static void make_types(void)
{
    MPI_Datatype two;
    OK(MPI_Type_vector(2, 1, 2, MPI_UINT32_T, &two));
    OK(MPI_Type_create_resized(two, 0, 16, &holes));
    OK(MPI_Type_commit(&holes));
    OK(MPI_Type_free(&two));
    OK(MPI_Op_create(compose_maps, 0, &compose));
}

__attribute__((unused)) static void free_types(void)
{
    OK(MPI_Type_free(&holes));
    OK(MPI_Op_free(&compose));
}

/* One collective. */
struct job {
    enum kind kind;
    MPI_Comm comm;
    int n, root;       /* elements; the root's rank in its group */
    int derived, in_place;
    unsigned seed;
    /* From here on made by prepare(). */
    int me, near, far, inter, first; /* ranks in both groups; whether mine is the first, in which the root is */
    int at_root, takes_part;
    uint32_t *send, *recv;
    size_t sends, recvs; /* elements of both buffers */
    int *scounts, *sdispls, *rcounts, *rdispls, *sbytes, *rbytes;
    MPI_Datatype *types;
    MPI_Request request;
};

#define GUARD 0xdeadbeefu

static uint32_t value(unsigned seed, int from, int to, size_t i, int part)
{
    uint64_t x = seed * 0x9e3779b97f4a7c15u + (unsigned)from * 7919u + (unsigned)to * 104729u + i * 31u + (unsigned)part;
    x ^= x >> 29, x *= 0xbf58476d1ce4e5b9u, x ^= x >> 32;
    return (uint32_t)x;
}

static size_t width(const struct job *j)
{
    return j->derived ? 4 : 1;
}

static void put(const struct job *j, uint32_t *buffer, size_t at, int from, int to, size_t i)
{
    buffer += at * width(j);
    buffer[0] = value(j->seed, from, to, i, 0);
    if (j->derived)
        buffer[2] = value(j->seed, from, to, i, 1);
}

static int count_of(const struct job *j, int from, int to)
{
    switch (j->kind) {
    case GATHERV: case ALLGATHERV: return j->n * (from % 3) / 2 + from % 2;
    case SCATTERV: case REDUCE_SCATTER: return j->n * (to % 3) / 2 + to % 2;
    case ALLTOALLV: case ALLTOALLW: return j->n * ((from + 2 * to) % 4) / 3;
    case BARRIER: return 0;
    default: return j->n;
    }
}

/* Ranks in the group that contributes to what I get, counted by an id that differs between the two groups. */
static int id(const struct job *j, int there, int rank_there)
{
    int of_first = j->inter ? (there ? !j->first : j->first) : 1;
    return of_first ? rank_there : 100 + rank_there;
}

static int has_root(enum kind k)
{
    return k == BCAST || k == GATHER || k == GATHERV || k == SCATTER || k == SCATTERV || k == REDUCE;
}

static int is_v(enum kind k)
{
    return k == GATHERV || k == SCATTERV || k == ALLGATHERV || k == ALLTOALLV || k == ALLTOALLW || k == REDUCE_SCATTER;
}

static int is_reduction(enum kind k)
{
    return k >= REDUCE;
}

/* Counts and displacements in elements: with a gap behind each block. Gives the elements of the whole buffer. */
static size_t layout(int n, int **counts, int **displs)
{
    size_t total = 0;
    for (int r = 0; r < n; r++) {
        (*displs)[r] = (int)total;
        total += (size_t)(*counts)[r] + 1;
    }
    return total;
}

/* Elements of my block of a Reduce_scatter, of all, and before mine; of the group that gets them. */
static int scattered(const struct job *j, int r)
{
    return j->kind == REDUCE_SCATTER ? count_of(j, 0, r) : j->n;
}

static size_t scattered_before(const struct job *j, int r)
{
    size_t sum = 0;
    for (int i = 0; i < r; i++)
        sum += (size_t)scattered(j, i);
    return sum;
}

static void fill(struct job *j)
{
    memset(j->send, 0xaa, (j->sends + 1) * width(j) * 4);
    memset(j->recv, 0, (j->recvs + 1) * width(j) * 4);
    for (size_t i = 0; i < (j->recvs + 1) * width(j); i++)
        j->recv[i] = GUARD;
    int me = id(j, 0, j->me);
    int own_in_place = j->in_place && (!has_root(j->kind) || j->at_root);
    uint32_t *mine = own_in_place ? j->recv : j->send;
    switch (j->kind) {
    case BARRIER: case KINDS: break;
    case BCAST:
        if (j->at_root)
            for (int i = 0; i < j->n; i++)
                put(j, j->recv, (size_t)i, me, 0, (size_t)i);
        break;
    case SCATTER: case SCATTERV:
        if (j->at_root)
            for (int r = 0; r < j->far; r++)
                for (int i = 0; i < j->scounts[r]; i++)
                    put(j, j->send, (size_t)(j->sdispls[r] + i), me, r, (size_t)i);
        break;
    case ALLTOALL: case ALLTOALLV: case ALLTOALLW:
        for (int r = 0; r < j->far; r++)
            for (int i = 0; i < j->scounts[r]; i++)
                put(j, mine, (size_t)(j->sdispls[r] + i), me, r, (size_t)i);
        break;
    case GATHER: case GATHERV: case ALLGATHER: case ALLGATHERV: {
        size_t at = own_in_place ? (size_t)j->rdispls[j->me] : 0;
        for (int i = 0; i < count_of(j, j->me, 0); i++)
            put(j, mine, at + (size_t)i, me, 0, (size_t)i);
        break;
    }
    case REDUCE: case ALLREDUCE: case REDUCE_SCATTER: case REDUCE_SCATTER_BLOCK: case SCAN: case EXSCAN: {
        size_t all = j->kind == REDUCE_SCATTER || j->kind == REDUCE_SCATTER_BLOCK ? scattered_before(j, j->near) : (size_t)j->n;
        for (size_t i = 0; i < all; i++)
            put(j, mine, i, me, 0, i);
    }
    }
}

/* Makes buffers. On an intercommunicator the root is in the first group. */
__attribute__((unused)) static void prepare(struct job *j, int in_first_group)
{
    OK(MPI_Comm_rank(j->comm, &j->me));
    OK(MPI_Comm_size(j->comm, &j->near));
    OK(MPI_Comm_test_inter(j->comm, &j->inter));
    j->far = j->near, j->first = 1;
    /* MPICH 5.0.2 combines in another order than that of the ranks, and loses elements with holes between groups. */
    if (!ours() && (is_reduction(j->kind) || j->inter))
        j->derived = 0;
    if (j->inter) {
        OK(MPI_Comm_remote_size(j->comm, &j->far));
        j->first = in_first_group;
        j->in_place = 0;
    }
    j->at_root = j->first && j->me == j->root;
    j->takes_part = !(j->inter && has_root(j->kind) && j->first && !j->at_root);
    int most = (j->near > j->far ? j->near : j->far) + 1;
    j->scounts = malloc(6 * sizeof(int) * (size_t)most);
    j->sdispls = j->scounts + most, j->rcounts = j->sdispls + most, j->rdispls = j->rcounts + most;
    j->sbytes = j->rdispls + most, j->rbytes = j->sbytes + most;
    j->types = malloc(sizeof(MPI_Datatype) * (size_t)most);
    for (int r = 0; r < j->far; r++) {
        j->scounts[r] = count_of(j, j->me, r);
        j->rcounts[r] = count_of(j, r, j->me);
        if (j->in_place && j->kind >= ALLTOALL && j->kind <= ALLTOALLW) /* both directions are the same */
            j->scounts[r] = j->rcounts[r] = count_of(j, j->me < r ? j->me : r, j->me < r ? r : j->me);
    }
    j->sends = layout(j->far, &j->scounts, &j->sdispls);
    j->recvs = layout(j->far, &j->rcounts, &j->rdispls);
    if (!is_v(j->kind))
        for (int r = 0; r < j->far; r++)
            j->sdispls[r] = j->rdispls[r] = r * j->n;
    for (int r = 0; r < j->far; r++) {
        j->types[r] = j->derived ? holes : MPI_UINT32_T;
        j->sbytes[r] = j->sdispls[r] * 4 * (int)width(j), j->rbytes[r] = j->rdispls[r] * 4 * (int)width(j);
    }
    if (j->kind == REDUCE_SCATTER || j->kind == REDUCE_SCATTER_BLOCK) {
        j->sends = j->recvs = scattered_before(j, j->near);
        for (int r = 0; r < j->near; r++)
            j->rcounts[r] = scattered(j, r);
    } else if (is_reduction(j->kind)) {
        j->sends = j->recvs = (size_t)j->n;
    }
    if (j->sends < (size_t)j->n)
        j->sends = (size_t)j->n;
    if (j->sends < (size_t)count_of(j, j->me, 0))
        j->sends = (size_t)count_of(j, j->me, 0);
    if (j->recvs < (size_t)j->n)
        j->recvs = (size_t)j->n;
    if (j->recvs < (size_t)count_of(j, 0, j->me))
        j->recvs = (size_t)count_of(j, 0, j->me);
    j->send = malloc((j->sends + 1) * width(j) * 4);
    j->recv = malloc((j->recvs + 1) * width(j) * 4);
    j->request = MPI_REQUEST_NULL;
    fill(j);
}

__attribute__((unused)) static void discard(struct job *j)
{
    free(j->send), free(j->recv), free(j->scounts), free(j->types);
}

/* The arguments of all three forms are the same but for what comes last. */
#define CALL(name, ...)                                                                                  \
    do {                                                                                                 \
        if (form == BLOCKING)                                                                            \
            OK(MPI_##name(__VA_ARGS__));                                                                 \
        else if (form == NONBLOCKING)                                                                    \
            OK(MPI_I##name(__VA_ARGS__, &j->request));                                           \
        else                                                                                             \
            OK(MPI_##name##_init(__VA_ARGS__, MPI_INFO_NULL, &j->request));                              \
    } while (0)

#define MPI_IBarrier MPI_Ibarrier
#define MPI_IBcast MPI_Ibcast
#define MPI_IGather MPI_Igather
#define MPI_IGatherv MPI_Igatherv
#define MPI_IScatter MPI_Iscatter
#define MPI_IScatterv MPI_Iscatterv
#define MPI_IAllgather MPI_Iallgather
#define MPI_IAllgatherv MPI_Iallgatherv
#define MPI_IAlltoall MPI_Ialltoall
#define MPI_IAlltoallv MPI_Ialltoallv
#define MPI_IAlltoallw MPI_Ialltoallw
#define MPI_IReduce MPI_Ireduce
#define MPI_IAllreduce MPI_Iallreduce
#define MPI_IReduce_scatter MPI_Ireduce_scatter
#define MPI_IReduce_scatter_block MPI_Ireduce_scatter_block
#define MPI_IScan MPI_Iscan
#define MPI_IExscan MPI_Iexscan

__attribute__((unused)) static void begin(struct job *j, enum form form)
{
    MPI_Datatype t = j->derived ? holes : MPI_UINT32_T;
    MPI_Op op = j->derived ? compose : MPI_SUM;
    void *s = j->in_place ? MPI_IN_PLACE : (void *)j->send;
    int root = !j->inter || !j->first ? j->root : j->at_root ? MPI_ROOT : MPI_PROC_NULL;
    switch (j->kind) {
    case KINDS: break;
    case BARRIER: CALL(Barrier, j->comm); break;
    case BCAST: CALL(Bcast, j->recv, j->n, t, root, j->comm); break;
    case GATHER:
        CALL(Gather, j->at_root ? s : j->send, j->n, t, j->recv, j->n, t, root, j->comm);
        break;
    case GATHERV:
        CALL(Gatherv, j->at_root ? s : j->send, count_of(j, j->me, 0), t, j->recv, j->rcounts, j->rdispls, t, root, j->comm);
        break;
    case SCATTER:
        CALL(Scatter, j->send, j->n, t, j->in_place && j->at_root ? MPI_IN_PLACE : (void *)j->recv, j->n, t, root, j->comm);
        break;
    case SCATTERV:
        CALL(Scatterv, j->send, j->scounts, j->sdispls, t, j->in_place && j->at_root ? MPI_IN_PLACE : (void *)j->recv,
             count_of(j, 0, j->me), t, root, j->comm);
        break;
    case ALLGATHER: CALL(Allgather, s, j->n, t, j->recv, j->n, t, j->comm); break;
    case ALLGATHERV:
        CALL(Allgatherv, s, count_of(j, j->me, 0), t, j->recv, j->rcounts, j->rdispls, t, j->comm);
        break;
    case ALLTOALL: CALL(Alltoall, s, j->n, t, j->recv, j->n, t, j->comm); break;
    case ALLTOALLV:
        CALL(Alltoallv, s, j->scounts, j->sdispls, t, j->recv, j->rcounts, j->rdispls, t, j->comm);
        break;
    case ALLTOALLW:
        CALL(Alltoallw, s, j->scounts, j->sbytes, j->types, j->recv, j->rcounts, j->rbytes, j->types, j->comm);
        break;
    case REDUCE:
        CALL(Reduce, j->at_root ? s : j->send, j->at_root ? j->recv : NULL, j->n, t, op, root, j->comm);
        break;
    case ALLREDUCE: CALL(Allreduce, s, j->recv, j->n, t, op, j->comm); break;
    case REDUCE_SCATTER: CALL(Reduce_scatter, s, j->recv, j->rcounts, t, op, j->comm); break;
    case REDUCE_SCATTER_BLOCK: CALL(Reduce_scatter_block, s, j->recv, j->n, t, op, j->comm); break;
    case SCAN: CALL(Scan, s, j->recv, j->n, t, op, j->comm); break;
    case EXSCAN: CALL(Exscan, s, j->recv, j->n, t, op, j->comm); break;
    }
}

/* Element `at` of the receive buffer is what `from` sent to `to` as its element `i`. */
static void expect(const struct job *j, size_t at, int from, int to, size_t i)
{
    const uint32_t *got = j->recv + at * width(j);
    CHECK(got[0] == value(j->seed, from, to, i, 0));
    if (j->derived)
        CHECK(got[1] == GUARD && got[2] == value(j->seed, from, to, i, 1) && got[3] == GUARD);
}

/* Element `at` is the combination of elements `i` of ranks 0 to `last` of the contributing group. */
static void expect_combined(const struct job *j, size_t at, int last, size_t i)
{
    const uint32_t *got = j->recv + at * width(j);
    int there = j->inter;
    uint32_t a = value(j->seed, id(j, there, 0), 0, i, 0), b = value(j->seed, id(j, there, 0), 0, i, 1);
    for (int r = 1; r <= last; r++) {
        uint32_t c = value(j->seed, id(j, there, r), 0, i, 0), d = value(j->seed, id(j, there, r), 0, i, 1);
        if (j->derived)
            b = a * d + b, a = a * c;
        else
            a += c;
    }
    CHECK(got[0] == a);
    if (j->derived)
        CHECK(got[2] == b);
}

static void untouched(const struct job *j, size_t at)
{
    CHECK(j->recv[at * width(j)] == GUARD);
}

__attribute__((unused)) static void check(struct job *j)
{
    if (!j->takes_part)
        return;
    int there = j->inter, me = j->me;
    switch (j->kind) {
    case BARRIER: case KINDS: break;
    case BCAST:
        if (j->inter && j->first)
            break;
        for (int i = 0; i < j->n; i++)
            expect(j, (size_t)i, id(j, there, j->root), 0, (size_t)i);
        break;
    case GATHER: case GATHERV:
        if (!j->at_root) {
            untouched(j, 0);
            break;
        }
        /* fall through */
    case ALLGATHER: case ALLGATHERV:
        for (int r = 0; r < j->far; r++) {
            for (int i = 0; i < j->rcounts[r]; i++)
                expect(j, (size_t)(j->rdispls[r] + i), id(j, there, r), 0, (size_t)i);
            if (is_v(j->kind))
                untouched(j, (size_t)(j->rdispls[r] + j->rcounts[r]));
        }
        break;
    case SCATTER: case SCATTERV:
        if ((j->in_place && j->at_root) || (j->inter && j->first))
            break;
        for (int i = 0; i < count_of(j, 0, me); i++)
            expect(j, (size_t)i, id(j, there, j->root), me, (size_t)i);
        untouched(j, (size_t)count_of(j, 0, me));
        break;
    case ALLTOALL: case ALLTOALLV: case ALLTOALLW:
        for (int r = 0; r < j->far; r++)
            for (int i = 0; i < j->rcounts[r]; i++)
                expect(j, (size_t)(j->rdispls[r] + i), id(j, there, r), me, (size_t)i);
        break;
    case REDUCE:
        if (!j->at_root) {
            untouched(j, 0);
            break;
        }
        /* fall through */
    case ALLREDUCE:
        for (int i = 0; i < j->n; i++)
            expect_combined(j, (size_t)i, j->far - 1, (size_t)i);
        break;
    case SCAN:
        for (int i = 0; i < j->n; i++)
            expect_combined(j, (size_t)i, me, (size_t)i);
        break;
    case EXSCAN:
        for (int i = 0; i < j->n && me > 0; i++)
            expect_combined(j, (size_t)i, me - 1, (size_t)i);
        if (me == 0 && !j->in_place && j->n > 0)
            untouched(j, 0);
        break;
    case REDUCE_SCATTER: case REDUCE_SCATTER_BLOCK:
        for (int i = 0; i < scattered(j, me); i++)
            expect_combined(j, (size_t)i, j->far - 1, scattered_before(j, me) + (size_t)i);
        break;
    }
}

#endif

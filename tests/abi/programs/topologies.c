/* Process topologies. */
#include "fails.h"

/* Hidden from the compiler, which would warn that there are no weights at these addresses. */
static int *volatile unweighted = MPI_UNWEIGHTED, *volatile weights_empty = MPI_WEIGHTS_EMPTY;

static void dims(void)
{
    int d[3] = {0, 0, 0};
    OK(MPI_Dims_create(12, 2, d));
    CHECK(d[0] == 4 && d[1] == 3 && d[2] == 0);
    d[0] = 0, d[1] = 3, d[2] = 0;
    OK(MPI_Dims_create(6, 3, d));
    CHECK(d[0] == 2 && d[1] == 3 && d[2] == 1);
    d[0] = 0, d[1] = 3, d[2] = 0;
    FAILS_WITH(MPI_ERR_DIMS, "does not divide the 7 nodes", MPI_Dims_create(7, 3, d));
    d[0] = -1;
    FAILS_WITH(MPI_ERR_DIMS, "dims[0] is -1", MPI_Dims_create(6, 2, d));
    FAILS(MPI_ERR_ARG, MPI_Dims_create(0, 2, d));
    FAILS(MPI_ERR_ARG, MPI_Dims_create(4, -1, d));
    OK(MPI_Dims_create(1, 0, NULL));
}

/* The left and right neighbour along a dimension of a grid. */
static void grid(void)
{
    int d[2] = {0, 0}, periods[2] = {1, 0}, coords[2], got[2], flags[2], n, status, r, from, to, newrank;
    MPI_Comm cart, copy;
    OK(MPI_Dims_create(size, 2, d));
    OK(MPI_Cart_create(MPI_COMM_WORLD, 2, d, periods, 1, &cart));
    OK(MPI_Topo_test(cart, &status));
    CHECK(status == MPI_CART);
    OK(MPI_Cart_map(MPI_COMM_WORLD, 2, d, periods, &newrank));
    OK(MPI_Comm_rank(cart, &r));
    CHECK(newrank == r);
    OK(MPI_Cartdim_get(cart, &n));
    CHECK(n == 2);
    OK(MPI_Cart_get(cart, 2, got, flags, coords));
    CHECK(got[0] == d[0] && got[1] == d[1] && flags[0] == 1 && flags[1] == 0);
    CHECK(coords[0] == r / d[1] && coords[1] == r % d[1]);
    for (int other = 0; other < size; other++) {
        OK(MPI_Cart_coords(cart, other, 2, coords));
        CHECK(coords[0] == other / d[1] && coords[1] == other % d[1]);
        coords[0] += 7 * d[0];
        OK(MPI_Cart_rank(cart, coords, &n));
        CHECK(n == other);
    }
    OK(MPI_Cart_coords(cart, r, 2, coords));
    OK(MPI_Cart_shift(cart, 0, 1, &from, &to));
    CHECK(from == (coords[0] + d[0] - 1) % d[0] * d[1] + coords[1]);
    CHECK(to == (coords[0] + 1) % d[0] * d[1] + coords[1]);
    OK(MPI_Cart_shift(cart, 1, -1, &from, &to));
    CHECK(from == (coords[1] + 1 < d[1] ? r + 1 : MPI_PROC_NULL));
    CHECK(to == (coords[1] ? r - 1 : MPI_PROC_NULL));
    /* Duplicates have it too, parts do not. */
    OK(MPI_Comm_dup(cart, &copy));
    OK(MPI_Cart_get(copy, 2, got, flags, coords));
    CHECK(got[0] == d[0] && got[1] == d[1] && flags[0] == 1 && flags[1] == 0);
    OK(MPI_Comm_compare(cart, copy, &n));
    CHECK(n == MPI_CONGRUENT);
    OK(MPI_Comm_free(&copy));
    MPI_Request request;
    OK(MPI_Comm_idup(cart, &copy, &request));
    OK(MPI_Wait(&request, MPI_STATUS_IGNORE));
    OK(MPI_Topo_test(copy, &status));
    CHECK(status == MPI_CART);
    OK(MPI_Comm_free(&copy));
    OK(MPI_Comm_split(cart, 0, 0, &copy));
    OK(MPI_Topo_test(copy, &status));
    CHECK(status == MPI_UNDEFINED);
    OK(MPI_Comm_free(&copy));
    /* Rows and columns are communicators to talk on. */
    for (int i = 0; i < 2; i++) {
        int remain[2] = {i == 0, i == 1}, sum = 0, expected = 0, dim;
        OK(MPI_Cart_sub(cart, remain, &copy));
        OK(MPI_Cart_get(copy, 1, &dim, flags, got));
        OK(MPI_Cart_coords(cart, r, 2, coords));
        CHECK(dim == d[i] && flags[0] == periods[i] && got[0] == coords[i]);
        OK(MPI_Comm_rank(copy, &n));
        CHECK(n == coords[i]);
        OK(MPI_Allreduce(&r, &sum, 1, MPI_INT, MPI_SUM, copy));
        for (int k = 0; k < d[i]; k++)
            expected += i ? coords[0] * d[1] + k : k * d[1] + coords[1];
        CHECK(sum == expected);
        OK(MPI_Comm_free(&copy));
    }
    /* Nothing remains: each one alone, in a grid without dimensions. */
    int remain[2] = {0, 0};
    OK(MPI_Cart_sub(cart, remain, &copy));
    /* Over Intel MPI it is no communicator on some ranks. */
    if (copy != MPI_COMM_NULL || ours()) {
        OK(MPI_Comm_size(copy, &n));
        OK(MPI_Topo_test(copy, &status));
        CHECK(n == 1 && status == MPI_CART);
        OK(MPI_Comm_free(&copy));
    }
    OK(MPI_Comm_free(&cart));
}

static void small_grids(void)
{
    int one[1] = {1}, no[1] = {0}, n, r, newrank;
    MPI_Comm cart;
    /* Fewer processes than there are: the others get none. */
    OK(MPI_Cart_create(MPI_COMM_WORLD, 1, one, no, 0, &cart));
    OK(MPI_Cart_map(MPI_COMM_WORLD, 1, one, no, &newrank));
    CHECK((cart == MPI_COMM_NULL) == (rank != 0));
    CHECK(newrank == (rank ? MPI_UNDEFINED : 0));
    if (cart != MPI_COMM_NULL)
        OK(MPI_Comm_free(&cart));
    /* No dimensions. */
    OK(MPI_Cart_create(MPI_COMM_WORLD, 0, NULL, NULL, 0, &cart));
    CHECK((cart == MPI_COMM_NULL) == (rank != 0));
    if (cart != MPI_COMM_NULL) {
        OK(MPI_Cartdim_get(cart, &n));
        OK(MPI_Cart_rank(cart, NULL, &r));
        CHECK(n == 0 && r == 0);
        OK(MPI_Cart_get(cart, 0, NULL, NULL, NULL));
        OK(MPI_Cart_coords(cart, 0, 0, NULL));
        FAILS(MPI_ERR_ARG, MPI_Cart_shift(cart, 0, 1, &r, &n));
        OK(MPI_Comm_free(&cart));
    }
}

static void grid_errors(void)
{
    int d[2] = {size, 1}, zero[2] = {0, 1}, large[2] = {size, 2}, periods[2] = {0, 1}, coords[2], n, r;
    MPI_Comm cart = MPI_COMM_NULL;
    FAILS_WITH(MPI_ERR_DIMS, "dims[0] is 0", MPI_Cart_create(MPI_COMM_WORLD, 2, zero, periods, 0, &cart));
    FAILS_WITH(MPI_ERR_DIMS, "needs", MPI_Cart_create(MPI_COMM_WORLD, 2, large, periods, 0, &cart));
    FAILS(MPI_ERR_ARG, MPI_Cart_create(MPI_COMM_WORLD, -1, d, periods, 0, &cart));
    FAILS(MPI_ERR_ARG, MPI_Cart_create(MPI_COMM_WORLD, 2, NULL, periods, 0, &cart));
    FAILS(MPI_ERR_COMM, MPI_Cart_create(MPI_COMM_NULL, 2, d, periods, 0, &cart));
    FAILS_WITH(MPI_ERR_TOPOLOGY, "has no topology", MPI_Cartdim_get(MPI_COMM_WORLD, &n));
    OK(MPI_Cart_create(MPI_COMM_WORLD, 2, d, periods, 0, &cart));
    OK(MPI_Comm_set_errhandler(cart, MPI_ERRORS_RETURN));
    coords[0] = size, coords[1] = 0;
    FAILS_WITH(MPI_ERR_ARG, "not periodic", MPI_Cart_rank(cart, coords, &r));
    FAILS(MPI_ERR_RANK, MPI_Cart_coords(cart, size, 2, coords));
    FAILS(MPI_ERR_ARG, MPI_Cart_coords(cart, 0, 1, coords));
    FAILS(MPI_ERR_ARG, MPI_Cart_get(cart, 1, coords, coords, coords));
    FAILS(MPI_ERR_ARG, MPI_Cart_shift(cart, 2, 1, &n, &r));
    FAILS(MPI_ERR_TOPOLOGY, MPI_Graphdims_get(cart, &n, &r));
    FAILS_WITH(MPI_ERR_TOPOLOGY, "Cartesian", MPI_Dist_graph_neighbors_count(cart, &n, &r, &n));
    OK(MPI_Comm_free(&cart));
}

/* A ring, and in it each process a neighbour of itself, twice. */
static void graph(void)
{
    int *index = malloc(sizeof(int) * size), *edges = malloc(sizeof(int) * 4 * size);
    int *got_index = malloc(sizeof(int) * size), *got_edges = malloc(sizeof(int) * 4 * size);
    int nnodes, nedges, n, r, status, near[4];
    MPI_Comm comm, copy;
    for (int i = 0; i < size; i++) {
        index[i] = 4 * (i + 1);
        edges[4 * i] = (i + size - 1) % size, edges[4 * i + 1] = edges[4 * i + 2] = i;
        edges[4 * i + 3] = (i + 1) % size;
    }
    OK(MPI_Graph_create(MPI_COMM_WORLD, size, index, edges, 1, &comm));
    OK(MPI_Comm_rank(comm, &r));
    OK(MPI_Graph_map(MPI_COMM_WORLD, size, index, edges, &n));
    CHECK(n == r);
    OK(MPI_Comm_dup(comm, &copy));
    OK(MPI_Topo_test(copy, &status));
    CHECK(status == MPI_GRAPH);
    OK(MPI_Graphdims_get(copy, &nnodes, &nedges));
    CHECK(nnodes == size && nedges == 4 * size);
    OK(MPI_Graph_get(copy, nnodes, nedges, got_index, got_edges));
    CHECK(!memcmp(index, got_index, sizeof(int) * size) && !memcmp(edges, got_edges, sizeof(int) * 4 * size));
    for (int i = 0; i < size; i++) {
        OK(MPI_Graph_neighbors_count(copy, i, &n));
        CHECK(n == 4);
        OK(MPI_Graph_neighbors(copy, i, 4, near));
        CHECK(!memcmp(near, edges + 4 * i, sizeof near));
    }
    OK(MPI_Comm_set_errhandler(copy, MPI_ERRORS_RETURN));
    FAILS(MPI_ERR_RANK, MPI_Graph_neighbors_count(copy, size, &n));
    FAILS(MPI_ERR_ARG, MPI_Graph_neighbors(copy, 0, 3, near));
    FAILS(MPI_ERR_ARG, MPI_Graph_get(copy, nnodes, nedges - 1, got_index, got_edges));
    FAILS(MPI_ERR_TOPOLOGY, MPI_Cartdim_get(copy, &n));
    OK(MPI_Comm_free(&copy));
    OK(MPI_Comm_free(&comm));
    /* Fewer nodes than processes; none. */
    int end[1] = {1}, self[1] = {0}, wrong[2] = {2, 1};
    OK(MPI_Graph_create(MPI_COMM_WORLD, 1, end, self, 0, &comm));
    CHECK((comm == MPI_COMM_NULL) == (rank != 0));
    if (comm != MPI_COMM_NULL)
        OK(MPI_Comm_free(&comm));
    OK(MPI_Graph_create(MPI_COMM_WORLD, 0, end, self, 0, &comm));
    CHECK(comm == MPI_COMM_NULL);
    self[0] = 1;
    FAILS_WITH(MPI_ERR_ARG, "edges[0] is 1", MPI_Graph_create(MPI_COMM_WORLD, 1, end, self, 0, &comm));
    FAILS(MPI_ERR_ARG, MPI_Graph_create(MPI_COMM_WORLD, -1, end, self, 0, &comm));
    if (size > 1)
        FAILS_WITH(MPI_ERR_ARG, "index[1] is 1 after 2", MPI_Graph_create(MPI_COMM_WORLD, 2, wrong, edges, 0, &comm));
    FAILS(MPI_ERR_ARG, MPI_Graph_create(MPI_COMM_WORLD, size + 1, index, edges, 0, &comm));
    free(index), free(edges), free(got_index), free(got_edges);
}

static void adjacent(void)
{
    int from[2] = {(rank + size - 1) % size, rank}, to[2] = {(rank + 1) % size, rank};
    int weights_in[2] = {(rank + size - 1) % size, 100}, weights_out[2] = {rank, 100};
    int in, out, weighted, a[2] = {-5, -5}, b[2], aw[2] = {-5, -5}, bw[2] = {-5, -5}, status;
    MPI_Comm comm, copy;
    OK(MPI_Dist_graph_create_adjacent(MPI_COMM_WORLD, 2, from, weights_in, 2, to, weights_out, MPI_INFO_NULL, 1, &copy));
    OK(MPI_Comm_dup(copy, &comm));
    OK(MPI_Comm_free(&copy));
    OK(MPI_Topo_test(comm, &status));
    CHECK(status == MPI_DIST_GRAPH);
    OK(MPI_Dist_graph_neighbors_count(comm, &in, &out, &weighted));
    CHECK(in == 2 && out == 2 && weighted);
    OK(MPI_Dist_graph_neighbors(comm, 2, a, aw, 2, b, bw));
    CHECK(!memcmp(a, from, sizeof a) && !memcmp(b, to, sizeof b));
    CHECK(!memcmp(aw, weights_in, sizeof aw) && !memcmp(bw, weights_out, sizeof bw));
    OK(MPI_Comm_free(&comm));
    /* Without weights nothing is said about them. */
    OK(MPI_Dist_graph_create_adjacent(MPI_COMM_WORLD, 2, from, unweighted, 2, to, unweighted, MPI_INFO_NULL, 0,
                                      &comm));
    OK(MPI_Dist_graph_neighbors_count(comm, &in, &out, &weighted));
    CHECK(in == 2 && out == 2 && !weighted);
    aw[0] = bw[1] = -5;
    OK(MPI_Dist_graph_neighbors(comm, 2, a, unweighted, 2, b, unweighted));
    CHECK(a[0] == from[0] && b[0] == to[0]);
    if (ours()) {
        a[1] = -5;
        OK(MPI_Dist_graph_neighbors(comm, 1, a, aw, 0, b, bw));
        CHECK(a[0] == from[0] && a[1] == -5 && aw[0] == -5 && bw[1] == -5);
    }
    OK(MPI_Comm_free(&comm));
    /* No edges at all. */
    OK(MPI_Dist_graph_create_adjacent(MPI_COMM_WORLD, 0, NULL, weights_empty, 0, NULL, weights_empty,
                                      MPI_INFO_NULL, 0, &comm));
    OK(MPI_Dist_graph_neighbors_count(comm, &in, &out, &weighted));
    CHECK(in == 0 && out == 0 && weighted);
    OK(MPI_Comm_free(&comm));
    from[0] = size;
    FAILS_WITH(MPI_ERR_RANK, "sources[0]",
               MPI_Dist_graph_create_adjacent(MPI_COMM_WORLD, 2, from, unweighted, 2, to, unweighted,
                                              MPI_INFO_NULL, 0, &comm));
    FAILS(MPI_ERR_ARG, MPI_Dist_graph_create_adjacent(MPI_COMM_WORLD, 0, from, weights_in, 2, to, unweighted,
                                                      MPI_INFO_NULL, 0, &comm));
    FAILS(MPI_ERR_ARG, MPI_Dist_graph_create_adjacent(MPI_COMM_WORLD, -1, from, weights_in, 2, to, weights_out,
                                                      MPI_INFO_NULL, 0, &comm));
}

/* Rank 0 gives all edges: from each process to the next one, twice, with the weights 10 and 20; the others give none. */
static void distributed(void)
{
    int n = rank ? 0 : size, in, out, weighted, a[2], b[2], aw[2], bw[2];
    int *from = malloc(sizeof(int) * size), *degrees = malloc(sizeof(int) * size), *to = malloc(sizeof(int) * 2 * size);
    int *weights = malloc(sizeof(int) * 2 * size);
    MPI_Comm comm;
    for (int i = 0; i < size; i++) {
        from[i] = i, degrees[i] = 2, to[2 * i] = to[2 * i + 1] = (i + 1) % size;
        weights[2 * i] = 10 + i, weights[2 * i + 1] = 20 + i;
    }
    OK(MPI_Dist_graph_create(MPI_COMM_WORLD, n, from, degrees, to, weights, MPI_INFO_NULL, 1, &comm));
    OK(MPI_Dist_graph_neighbors_count(comm, &in, &out, &weighted));
    CHECK(in == 2 && out == 2 && weighted);
    OK(MPI_Dist_graph_neighbors(comm, 2, a, aw, 2, b, bw));
    int left = (rank + size - 1) % size, right = (rank + 1) % size;
    CHECK(a[0] == left && a[1] == left && b[0] == right && b[1] == right);
    /* The standard leaves the order open; with us the two edges have the same one at both ends. */
    CHECK(aw[0] + aw[1] == 30 + 2 * left && bw[0] + bw[1] == 30 + 2 * rank);
    if (ours())
        CHECK(aw[0] == 10 + left && bw[0] == 10 + rank);
    OK(MPI_Comm_free(&comm));
    OK(MPI_Dist_graph_create(MPI_COMM_WORLD, n, from, degrees, to, unweighted, MPI_INFO_NULL, 0, &comm));
    OK(MPI_Dist_graph_neighbors_count(comm, &in, &out, &weighted));
    CHECK(in == 2 && out == 2 && !weighted);
    OK(MPI_Comm_free(&comm));
    /* All learn that they do not agree. */
    if (size > 1)
        FAILS_WITH(MPI_ERR_ARG, "rank 0 gives weights, rank 1 gives MPI_UNWEIGHTED",
                   MPI_Dist_graph_create(MPI_COMM_WORLD, n, from, degrees, to, rank ? unweighted : weights,
                                         MPI_INFO_NULL, 0, &comm));
    degrees[0] = -1;
    FAILS(MPI_ERR_ARG, MPI_Dist_graph_create(MPI_COMM_WORLD, size, from, degrees, to, weights, MPI_INFO_NULL, 0, &comm));
    degrees[0] = 2, to[0] = -1;
    FAILS(MPI_ERR_RANK, MPI_Dist_graph_create(MPI_COMM_WORLD, size, from, degrees, to, weights, MPI_INFO_NULL, 0, &comm));
    to[0] = 0, weights[0] = -1;
    FAILS(MPI_ERR_ARG, MPI_Dist_graph_create(MPI_COMM_WORLD, size, from, degrees, to, weights, MPI_INFO_NULL, 0, &comm));
    FAILS(MPI_ERR_ARG, MPI_Dist_graph_create(MPI_COMM_WORLD, size, from, degrees, to, weights_empty, MPI_INFO_NULL, 0,
                                             &comm));
    free(from), free(degrees), free(to), free(weights);
}

int main(int argc, char **argv)
{
    start(&argc, &argv);
    OK(MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN));
    OK(MPI_Comm_set_errhandler(MPI_COMM_SELF, MPI_ERRORS_RETURN));
    dims();
    grid();
    small_grids();
    grid_errors();
    graph();
    adjacent();
    distributed();
    if (!rank)
        printf("No Errors\n");
    finish();
    return 0;
}

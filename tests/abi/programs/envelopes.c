/* What is told about how a type was made: by the plain form of its constructor, and by the form with large counts. */
#include "fails.h"

#define MOST 16

/* What is expected of a type. */
struct told {
    int combiner;
    int n_integers, integers[MOST];
    int n_addresses;
    MPI_Aint addresses[MOST];
    int n_counts;
    MPI_Count counts[MOST];
    int n_types;
};

static void contents(const char *what, MPI_Datatype type, const struct told *want)
{
    MPI_Count n[4];
    MPI_Aint addresses[MOST];
    MPI_Count counts[MOST];
    MPI_Datatype types[MOST];
    int integers[MOST], combiner, ni, na, nt;
    OK(MPI_Type_get_envelope_c(type, &n[0], &n[1], &n[2], &n[3], &combiner));
    if (n[0] != want->n_integers || n[1] != want->n_addresses || n[2] != want->n_counts)
        fprintf(stderr, "%s: %ld integers, %ld addresses, %ld large counts\n", what, (long)n[0], (long)n[1], (long)n[2]);
    CHECK(combiner == want->combiner);
    CHECK(n[0] == want->n_integers && n[1] == want->n_addresses);
    CHECK(n[2] == want->n_counts && n[3] == want->n_types);
    OK(MPI_Type_get_contents_c(type, MOST, MOST, MOST, MOST, integers, addresses, counts, types));
    CHECK(!memcmp(integers, want->integers, sizeof(int) * n[0]));
    CHECK(!memcmp(addresses, want->addresses, sizeof(MPI_Aint) * n[1]));
    CHECK(!memcmp(counts, want->counts, sizeof(MPI_Count) * n[2]));
    for (int i = 0; i < n[3]; i++)
        CHECK(types[i] == MPI_INT);
    if (want->n_counts) {
        /* The plain forms have no place for large counts. */
        FAILS_WITH(MPI_ERR_TYPE, "_c", MPI_Type_get_envelope(type, &ni, &na, &nt, &combiner));
        FAILS_WITH(MPI_ERR_TYPE, "_c", MPI_Type_get_contents(type, MOST, MOST, MOST, integers, addresses, types));
        FAILS(MPI_ERR_ARG, MPI_Type_get_contents_c(type, MOST, MOST, 0, MOST, integers, addresses, NULL, types));
    } else {
        OK(MPI_Type_get_envelope(type, &ni, &na, &nt, &combiner));
        CHECK(ni == want->n_integers && na == want->n_addresses && nt == want->n_types && combiner == want->combiner);
        OK(MPI_Type_get_contents(type, MOST, MOST, MOST, integers, addresses, types));
        CHECK(!memcmp(integers, want->integers, sizeof(int) * ni));
        CHECK(!memcmp(addresses, want->addresses, sizeof(MPI_Aint) * na));
    }
}

/* Checks a type and frees it; a duplicate tells of its type alone. */
static void is(const char *what, MPI_Datatype type, struct told want)
{
    MPI_Datatype copy;
    MPI_Count n[4];
    int combiner;
    contents(what, type, &want);
    OK(MPI_Type_dup(type, &copy));
    OK(MPI_Type_get_envelope_c(copy, &n[0], &n[1], &n[2], &n[3], &combiner));
    CHECK(combiner == MPI_COMBINER_DUP && n[0] == 0 && n[1] == 0 && n[2] == 0 && n[3] == 1);
    OK(MPI_Type_free(&copy));
    OK(MPI_Type_free(&type));
}

int main(int argc, char **argv)
{
    MPI_Datatype t, types[2] = {MPI_INT, MPI_INT};
    int i1[2] = {1, 2}, i2[2] = {0, 3};
    MPI_Count c1[2] = {1, 2}, c2[2] = {0, 3}, c3[2] = {0, 12};
    MPI_Aint a[2] = {0, 12};
    start(&argc, &argv);
    OK(MPI_Comm_set_errhandler(MPI_COMM_SELF, MPI_ERRORS_RETURN));

    OK(MPI_Type_contiguous(3, MPI_INT, &t));
    is("contiguous", t, (struct told){MPI_COMBINER_CONTIGUOUS, 1, {3}, .n_types = 1});
    OK(MPI_Type_contiguous_c(3, MPI_INT, &t));
    is("contiguous_c", t, (struct told){MPI_COMBINER_CONTIGUOUS, .n_counts = 1, .counts = {3}, .n_types = 1});
    OK(MPI_Type_contiguous_c(1L << 40, MPI_INT, &t));
    is("contiguous_c", t, (struct told){MPI_COMBINER_CONTIGUOUS, .n_counts = 1, .counts = {1L << 40}, .n_types = 1});

    OK(MPI_Type_vector(2, 1, 3, MPI_INT, &t));
    is("vector", t, (struct told){MPI_COMBINER_VECTOR, 3, {2, 1, 3}, .n_types = 1});
    OK(MPI_Type_vector_c(2, 1, 3, MPI_INT, &t));
    is("vector_c", t, (struct told){MPI_COMBINER_VECTOR, .n_counts = 3, .counts = {2, 1, 3}, .n_types = 1});

    OK(MPI_Type_create_hvector(2, 1, 12, MPI_INT, &t));
    is("hvector", t, (struct told){MPI_COMBINER_HVECTOR, 2, {2, 1}, 1, {12}, .n_types = 1});
    OK(MPI_Type_create_hvector_c(2, 1, 12, MPI_INT, &t));
    is("hvector_c", t, (struct told){MPI_COMBINER_HVECTOR, .n_counts = 3, .counts = {2, 1, 12}, .n_types = 1});

    OK(MPI_Type_indexed(2, i1, i2, MPI_INT, &t));
    is("indexed", t, (struct told){MPI_COMBINER_INDEXED, 5, {2, 1, 2, 0, 3}, .n_types = 1});
    OK(MPI_Type_indexed_c(2, c1, c2, MPI_INT, &t));
    is("indexed_c", t, (struct told){MPI_COMBINER_INDEXED, .n_counts = 5, .counts = {2, 1, 2, 0, 3}, .n_types = 1});

    OK(MPI_Type_create_hindexed(2, i1, a, MPI_INT, &t));
    is("hindexed", t, (struct told){MPI_COMBINER_HINDEXED, 3, {2, 1, 2}, 2, {0, 12}, .n_types = 1});
    OK(MPI_Type_create_hindexed_c(2, c1, c3, MPI_INT, &t));
    is("hindexed_c", t, (struct told){MPI_COMBINER_HINDEXED, .n_counts = 5, .counts = {2, 1, 2, 0, 12}, .n_types = 1});

    OK(MPI_Type_create_indexed_block(2, 2, i2, MPI_INT, &t));
    is("indexed_block", t, (struct told){MPI_COMBINER_INDEXED_BLOCK, 4, {2, 2, 0, 3}, .n_types = 1});
    OK(MPI_Type_create_indexed_block_c(2, 2, c2, MPI_INT, &t));
    is("indexed_block_c", t,
       (struct told){MPI_COMBINER_INDEXED_BLOCK, .n_counts = 4, .counts = {2, 2, 0, 3}, .n_types = 1});

    OK(MPI_Type_create_hindexed_block(2, 2, a, MPI_INT, &t));
    is("hindexed_block", t, (struct told){MPI_COMBINER_HINDEXED_BLOCK, 2, {2, 2}, 2, {0, 12}, .n_types = 1});
    OK(MPI_Type_create_hindexed_block_c(2, 2, c3, MPI_INT, &t));
    is("hindexed_block_c", t,
       (struct told){MPI_COMBINER_HINDEXED_BLOCK, .n_counts = 4, .counts = {2, 2, 0, 12}, .n_types = 1});

    OK(MPI_Type_create_struct(2, i1, a, types, &t));
    is("struct", t, (struct told){MPI_COMBINER_STRUCT, 3, {2, 1, 2}, 2, {0, 12}, .n_types = 2});
    OK(MPI_Type_create_struct_c(2, c1, c3, types, &t));
    is("struct_c", t, (struct told){MPI_COMBINER_STRUCT, .n_counts = 5, .counts = {2, 1, 2, 0, 12}, .n_types = 2});

    int size4[1] = {4}, part[1] = {2}, from[1] = {1}, block[1] = {MPI_DISTRIBUTE_BLOCK};
    int none[1] = {MPI_DISTRIBUTE_DFLT_DARG}, one[1] = {1};
    MPI_Count size4_c[1] = {4}, part_c[1] = {2}, from_c[1] = {1};
    OK(MPI_Type_create_subarray(1, size4, part, from, MPI_ORDER_C, MPI_INT, &t));
    is("subarray", t, (struct told){MPI_COMBINER_SUBARRAY, 5, {1, 4, 2, 1, MPI_ORDER_C}, .n_types = 1});
    OK(MPI_Type_create_subarray_c(1, size4_c, part_c, from_c, MPI_ORDER_C, MPI_INT, &t));
    is("subarray_c", t,
       (struct told){MPI_COMBINER_SUBARRAY, 2, {1, MPI_ORDER_C}, .n_counts = 3, .counts = {4, 2, 1}, .n_types = 1});

    OK(MPI_Type_create_darray(1, 0, 1, size4, block, none, one, MPI_ORDER_C, MPI_INT, &t));
    is("darray", t,
       (struct told){MPI_COMBINER_DARRAY, 8, {1, 0, 1, 4, block[0], none[0], 1, MPI_ORDER_C}, .n_types = 1});
    OK(MPI_Type_create_darray_c(1, 0, 1, size4_c, block, none, one, MPI_ORDER_C, MPI_INT, &t));
    is("darray_c", t,
       (struct told){MPI_COMBINER_DARRAY, 7, {1, 0, 1, block[0], none[0], 1, MPI_ORDER_C}, .n_counts = 1,
                     .counts = {4}, .n_types = 1});

    OK(MPI_Type_create_resized(MPI_INT, -4, 16, &t));
    is("resized", t, (struct told){MPI_COMBINER_RESIZED, .n_addresses = 2, .addresses = {-4, 16}, .n_types = 1});
    OK(MPI_Type_create_resized_c(MPI_INT, -4, 16, &t));
    is("resized_c", t, (struct told){MPI_COMBINER_RESIZED, .n_counts = 2, .counts = {-4, 16}, .n_types = 1});

    struct told named = {.combiner = MPI_COMBINER_NAMED};
    MPI_Count n[4];
    int combiner;
    OK(MPI_Type_get_envelope_c(MPI_INT, &n[0], &n[1], &n[2], &n[3], &combiner));
    CHECK(combiner == named.combiner && n[0] + n[1] + n[2] + n[3] == 0);
    finish();
    return 0;
}

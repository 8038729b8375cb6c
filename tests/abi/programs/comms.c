/* Communicators and groups. */
#include "check.h"

static void groups(void)
{
    MPI_Group world, part, rest, both;
    int n, r, result, first[1] = {0}, translated[1];
    OK(MPI_Comm_group(MPI_COMM_WORLD, &world));
    OK(MPI_Group_size(world, &n));
    OK(MPI_Group_rank(world, &r));
    CHECK(n == size && r == rank);
    OK(MPI_Group_incl(world, 1, first, &part));
    OK(MPI_Group_excl(world, 1, first, &rest));
    OK(MPI_Group_rank(rest, &r));
    CHECK(r == (rank ? rank - 1 : MPI_UNDEFINED));
    OK(MPI_Group_union(part, rest, &both));
    OK(MPI_Group_compare(world, both, &result));
    CHECK(result == MPI_IDENT);
    OK(MPI_Group_free(&both));
    OK(MPI_Group_intersection(part, rest, &both));
    OK(MPI_Group_size(both, &n));
    CHECK(n == 0);
    if (size > 1) {
        OK(MPI_Group_translate_ranks(rest, 1, first, world, translated));
        CHECK(translated[0] == 1);
        OK(MPI_Group_translate_ranks(part, 1, first, rest, translated));
        CHECK(translated[0] == MPI_UNDEFINED);
    }
    if (both != MPI_GROUP_EMPTY)
        OK(MPI_Group_free(&both));
    OK(MPI_Group_free(&part));
    OK(MPI_Group_free(&rest));
    OK(MPI_Group_free(&world));
    CHECK(world == MPI_GROUP_NULL);
}

static void contexts(void)
{
    MPI_Comm copy;
    int result, value = -1;
    OK(MPI_Comm_dup(MPI_COMM_WORLD, &copy));
    OK(MPI_Comm_compare(MPI_COMM_WORLD, copy, &result));
    CHECK(result == MPI_CONGRUENT);
    OK(MPI_Comm_compare(copy, copy, &result));
    CHECK(result == MPI_IDENT);
    /* A message on the one is not seen on the other. */
    int right = (rank + 1) % size, left = (rank + size - 1) % size;
    int a = rank, b = rank + 1000;
    MPI_Request requests[2];
    OK(MPI_Isend(&a, 1, MPI_INT, right, 3, MPI_COMM_WORLD, &requests[0]));
    OK(MPI_Isend(&b, 1, MPI_INT, right, 3, copy, &requests[1]));
    OK(MPI_Recv(&value, 1, MPI_INT, left, 3, copy, MPI_STATUS_IGNORE));
    CHECK(value == left + 1000);
    OK(MPI_Recv(&value, 1, MPI_INT, left, 3, MPI_COMM_WORLD, MPI_STATUS_IGNORE));
    CHECK(value == left);
    OK(MPI_Waitall(2, requests, MPI_STATUSES_IGNORE));
    OK(MPI_Comm_free(&copy));
}

static void splits(void)
{
    MPI_Comm part;
    int n, r, sum;
    /* Odd and even, in reversed order. */
    OK(MPI_Comm_split(MPI_COMM_WORLD, rank % 2, -rank, &part));
    OK(MPI_Comm_size(part, &n));
    OK(MPI_Comm_rank(part, &r));
    CHECK(n == (rank % 2 ? size / 2 : (size + 1) / 2) && r == n - 1 - rank / 2);
    OK(MPI_Allreduce(&rank, &sum, 1, MPI_INT, MPI_SUM, part));
    int want = 0;
    for (int i = rank % 2; i < size; i += 2)
        want += i;
    CHECK(sum == want);
    OK(MPI_Comm_free(&part));
    OK(MPI_Comm_split(MPI_COMM_WORLD, rank == 0 ? MPI_UNDEFINED : 0, 0, &part));
    CHECK((part == MPI_COMM_NULL) == (rank == 0));
    if (part != MPI_COMM_NULL)
        OK(MPI_Comm_free(&part));
    /* More of them than can be alive at a time, used and freed. */
    for (int i = 0; i < 200; i++) {
        OK(MPI_Comm_dup(MPI_COMM_WORLD, &part));
        if (i % 50 == 0)
            OK(MPI_Barrier(part));
        OK(MPI_Comm_free(&part));
    }
}

int main(int argc, char **argv)
{
    start(&argc, &argv);
    int inter = 1;
    OK(MPI_Comm_test_inter(MPI_COMM_WORLD, &inter));
    CHECK(!inter);
    groups();
    contexts();
    splits();
    finish();
    return 0;
}

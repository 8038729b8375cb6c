/* How communicators are made, of both kinds, and that there may be many (chapter 7 of the standard). */
#include "fails.h"

/* The members of both communicators are the same, in the same order, and can talk. */
static void congruent(MPI_Comm one, MPI_Comm other)
{
    int result, sum, n;
    OK(MPI_Comm_compare(one, other, &result));
    CHECK(result == MPI_CONGRUENT);
    OK(MPI_Comm_size(other, &n));
    int value = 1;
    OK(MPI_Allreduce(&value, &sum, 1, MPI_INT, MPI_SUM, other));
    CHECK(sum == n);
}

static void parts(void)
{
    MPI_Comm comm, again;
    MPI_Group world, low, far;
    int lower[1][3] = {{0, (size - 1) / 2, 1}};
    OK(MPI_Comm_group(MPI_COMM_WORLD, &world));
    OK(MPI_Group_range_incl(world, 1, lower, &low));
    OK(MPI_Comm_create(MPI_COMM_WORLD, low, &comm));
    CHECK((comm == MPI_COMM_NULL) == (rank > (size - 1) / 2));
    if (comm != MPI_COMM_NULL) {
        OK(MPI_Comm_create_group(MPI_COMM_WORLD, low, 7, &again));
        congruent(comm, again);
        OK(MPI_Comm_free(&again));
        OK(MPI_Comm_create_from_group(low, "a tag", MPI_INFO_NULL, MPI_ERRORS_RETURN, &again));
        congruent(comm, again);
        OK(MPI_Comm_disconnect(&again));
        CHECK(again == MPI_COMM_NULL);
        FAILS(MPI_ERR_TAG, MPI_Comm_create_group(MPI_COMM_WORLD, low, -1, &again));
        FAILS_WITH(MPI_ERR_GROUP, size > 1 ? "not in the communicator" : "", size > 1
                   ? MPI_Comm_create(comm, world, &again) : MPI_Comm_create(comm, MPI_GROUP_NULL, &again));
        OK(MPI_Comm_free(&comm));
    }
    /* Several groups in one call, each process with its own. */
    OK(MPI_Group_incl(world, 1, &rank, &far));
    OK(MPI_Comm_create(MPI_COMM_WORLD, far, &comm));
    congruent(MPI_COMM_SELF, comm);
    OK(MPI_Comm_free(&comm));
    OK(MPI_Group_free(&far));
    OK(MPI_Group_free(&low));
    OK(MPI_Group_free(&world));
}

static void resources(void)
{
    MPI_Comm comm;
    MPI_Info info;
    int n;
    OK(MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &comm));
    congruent(MPI_COMM_WORLD, comm);
    OK(MPI_Comm_free(&comm));
    OK(MPI_Comm_split_type(MPI_COMM_WORLD, rank ? MPI_UNDEFINED : MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &comm));
    CHECK((comm == MPI_COMM_NULL) == (rank != 0));
    if (!rank)
        OK(MPI_Comm_free(&comm));
    OK(MPI_Info_create(&info));
    OK(MPI_Info_set(info, "mpi_hw_resource_type", "mpi_shared_memory"));
    OK(MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_HW_GUIDED, -rank, info, &comm));
    OK(MPI_Comm_rank(comm, &n));
    CHECK(n == size - 1 - rank);
    OK(MPI_Comm_free(&comm));
    OK(MPI_Info_set(info, "mpi_hw_resource_type", "no such thing"));
    OK(MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_HW_GUIDED, 0, info, &comm));
    CHECK(comm == MPI_COMM_NULL || !ours());
    if (comm != MPI_COMM_NULL)
        OK(MPI_Comm_free(&comm));
    OK(MPI_Info_free(&info));
    OK(MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_HW_UNGUIDED, 0, MPI_INFO_NULL, &comm));
    if (comm != MPI_COMM_NULL) {
        OK(MPI_Comm_size(comm, &n));
        CHECK(n < size);
        OK(MPI_Comm_free(&comm));
    }
    FAILS(MPI_ERR_ARG, MPI_Comm_split_type(MPI_COMM_WORLD, 4711, 0, MPI_INFO_NULL, &comm));
    FAILS(MPI_ERR_ARG, MPI_Comm_split(MPI_COMM_WORLD, -5, 0, &comm));
    /* Named sets of processes. */
    for (int self = 0; self < 2; self++) {
        OK(MPI_Info_create(&info));
        OK(MPI_Info_set(info, "mpi_pset_name", self ? "mpi://SELF" : "mpi://WORLD"));
        OK(MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_RESOURCE_GUIDED, 0, info, &comm));
        CHECK(comm != MPI_COMM_NULL || !ours());
        if (comm != MPI_COMM_NULL) {
            OK(MPI_Comm_size(comm, &n));
            CHECK(n == (self ? 1 : size));
            OK(MPI_Comm_free(&comm));
        }
        OK(MPI_Info_free(&info));
    }
    FAILS(MPI_ERR_COMM, MPI_Comm_free(&(MPI_Comm){MPI_COMM_WORLD}));
    FAILS(MPI_ERR_COMM, MPI_Comm_disconnect(&(MPI_Comm){MPI_COMM_SELF}));
}

static int failures;
static MPI_Comm failed_on;

static void count_failures(MPI_Comm *comm, int *code, ...)
{
    (void)code;
    failures++;
    failed_on = *comm;
}

/* Groups without members make no communicator, and nobody else is asked. */
static void empty_groups(void)
{
    MPI_Comm comm = MPI_COMM_WORLD;
    MPI_Errhandler handler;
    MPI_Group world;
    if (rank == 0) {
        OK(MPI_Comm_create_from_group(MPI_GROUP_EMPTY, "alone", MPI_INFO_NULL, MPI_ERRORS_RETURN, &comm));
        CHECK(comm == MPI_COMM_NULL);
        OK(MPI_Comm_group(MPI_COMM_WORLD, &world));
        comm = MPI_COMM_WORLD;
        OK(MPI_Intercomm_create_from_groups(world, 0, MPI_GROUP_EMPTY, 0, "alone", MPI_INFO_NULL, MPI_ERRORS_RETURN,
                                            &comm));
        CHECK(comm == MPI_COMM_NULL);
        comm = MPI_COMM_WORLD;
        OK(MPI_Intercomm_create_from_groups(MPI_GROUP_EMPTY, 0, world, 0, "alone", MPI_INFO_NULL, MPI_ERRORS_RETURN,
                                            &comm));
        CHECK(comm == MPI_COMM_NULL);
        comm = MPI_COMM_WORLD;
        OK(MPI_Comm_create_group(MPI_COMM_WORLD, MPI_GROUP_EMPTY, 0, &comm));
        CHECK(comm == MPI_COMM_NULL);
        OK(MPI_Group_free(&world));
    }
    /* The error handler for the new communicator is asked if it cannot be made. */
    OK(MPI_Comm_create_errhandler(count_failures, &handler));
    FAILS(MPI_ERR_GROUP, MPI_Comm_create_from_group(MPI_GROUP_NULL, "none", MPI_INFO_NULL, handler, &comm));
    CHECK(!ours() || (failures == 1 && failed_on == MPI_COMM_NULL));
    OK(MPI_Errhandler_free(&handler));
}

/* All hints of the standard are there, with their defaults; other libraries show what they support. */
static void default_hints(MPI_Comm comm, const char *any_tag)
{
    MPI_Info info;
    char value[64];
    int len = sizeof value, flag;
    if (!ours())
        return;
    OK(MPI_Comm_get_info(comm, &info));
    OK(MPI_Info_get_string(info, "mpi_assert_no_any_tag", &len, value, &flag));
    CHECK(flag && !strcmp(value, any_tag));
    len = sizeof value;
    OK(MPI_Info_get_string(info, "mpi_assert_exact_length", &len, value, &flag));
    CHECK(flag && !strcmp(value, "false"));
    len = sizeof value;
    OK(MPI_Info_get_string(info, "mpi_memory_alloc_kinds", &len, value, &flag));
    CHECK(flag && strstr(value, "system") && strstr(value, "mpi"));
    OK(MPI_Info_free(&info));
}

static void names_and_hints(void)
{
    default_hints(MPI_COMM_WORLD, "false");
    default_hints(MPI_COMM_SELF, "false");
    MPI_Comm comm;
    MPI_Info info;
    char name[MPI_MAX_OBJECT_NAME], value[16];
    int len = sizeof value, flag;
    OK(MPI_Info_create(&info));
    OK(MPI_Info_set(info, "mpi_assert_no_any_tag", "true"));
    OK(MPI_Comm_dup_with_info(MPI_COMM_WORLD, info, &comm));
    OK(MPI_Info_free(&info));
    OK(MPI_Comm_get_info(comm, &info));
    OK(MPI_Info_get_string(info, "mpi_assert_no_any_tag", &len, value, &flag));
    CHECK(flag && !strcmp(value, "true"));
    OK(MPI_Info_free(&info));
    default_hints(comm, "true");
    /* A plain duplicate has the defaults (since MPI-4.0). */
    MPI_Comm copy;
    OK(MPI_Comm_dup(comm, &copy));
    default_hints(copy, "false");
    OK(MPI_Comm_free(&copy));
    OK(MPI_Comm_get_name(comm, name, &len));
    CHECK(len == 0 && !*name);
    OK(MPI_Comm_set_name(comm, "mine"));
    OK(MPI_Comm_get_name(comm, name, &len));
    CHECK(len == 4 && !strcmp(name, "mine"));
    OK(MPI_Comm_free(&comm));
    OK(MPI_Comm_get_name(MPI_COMM_WORLD, name, &len));
    CHECK(!strcmp(name, "MPI_COMM_WORLD"));
    OK(MPI_Type_get_name(MPI_INT, name, &len));
    CHECK(!strcmp(name, "MPI_INT"));
}

/* The first process may go on before the others have called. */
static void nonblocking(MPI_Comm comm)
{
    MPI_Comm one, two;
    MPI_Request requests[2];
    int result;
    OK(MPI_Comm_idup(comm, &one, &requests[0]));
    OK(MPI_Comm_idup_with_info(comm, MPI_INFO_NULL, &two, &requests[1]));
    OK(MPI_Waitall(2, requests, MPI_STATUSES_IGNORE));
    OK(MPI_Comm_compare(one, two, &result));
    CHECK(result == MPI_CONGRUENT);
    OK(MPI_Comm_compare(comm, two, &result));
    CHECK(result == MPI_CONGRUENT);
    OK(MPI_Comm_free(&one));
    OK(MPI_Comm_free(&two));
}

static void intercommunicators(void)
{
    MPI_Comm half, inter, other, merged;
    MPI_Group near, far;
    int high = rank % 2, n, r, flag, result;
    OK(MPI_Comm_split(MPI_COMM_WORLD, high, rank, &half));
    OK(MPI_Intercomm_create(half, 0, MPI_COMM_WORLD, 1 - high, 3, &inter));
    OK(MPI_Comm_test_inter(inter, &flag));
    CHECK(flag);
    OK(MPI_Comm_remote_size(inter, &n));
    CHECK(n == (size + high) / 2);
    OK(MPI_Comm_rank(inter, &r));
    CHECK(r == rank / 2);
    /* Each talks to the one with its rank on the other side. */
    if (r < n && r < size / 2) {
        int got = -1;
        OK(MPI_Sendrecv(&rank, 1, MPI_INT, r, 1, &got, 1, MPI_INT, r, 1, inter, MPI_STATUS_IGNORE));
        CHECK(got == (rank ^ 1));
    }
    OK(MPI_Comm_dup(inter, &other));
    OK(MPI_Comm_compare(inter, other, &result));
    CHECK(result == MPI_CONGRUENT);
    OK(MPI_Intercomm_merge(other, high, &merged));
    OK(MPI_Comm_size(merged, &n));
    OK(MPI_Comm_rank(merged, &r));
    CHECK(n == size && r == rank / 2 + (high ? (size + 1) / 2 : 0));
    OK(MPI_Allreduce(&rank, &n, 1, MPI_INT, MPI_SUM, merged));
    CHECK(n == size * (size - 1) / 2);
    OK(MPI_Comm_free(&merged));
    OK(MPI_Intercomm_merge(other, 1, &merged));
    OK(MPI_Comm_rank(merged, &r));
    CHECK(r < size);
    OK(MPI_Comm_free(&merged));
    OK(MPI_Comm_free(&other));
    /* Pairs with the same color find each other across the sides. */
    OK(MPI_Comm_split(inter, rank / 2, 0, &other));
    CHECK((other == MPI_COMM_NULL) == (rank == size - 1 && size % 2 == 1));
    if (other != MPI_COMM_NULL) {
        OK(MPI_Comm_remote_size(other, &n));
        CHECK(n == 1);
        OK(MPI_Comm_free(&other));
    }
    OK(MPI_Comm_group(inter, &near));
    OK(MPI_Comm_remote_group(inter, &far));
    OK(MPI_Intercomm_create_from_groups(near, 0, far, 0, "between", MPI_INFO_NULL, MPI_ERRORS_RETURN, &other));
    OK(MPI_Comm_compare(inter, other, &result));
    CHECK(result == MPI_CONGRUENT);
    OK(MPI_Comm_disconnect(&other));
    /* Only the first process of each side goes on. */
    int first = 0;
    MPI_Group one;
    OK(MPI_Group_incl(near, 1, &first, &one));
    OK(MPI_Comm_create(inter, one, &other));
    CHECK((other == MPI_COMM_NULL) == (rank > 1));
    if (other != MPI_COMM_NULL)
        OK(MPI_Comm_free(&other));
    nonblocking(inter);
    FAILS(MPI_ERR_COMM, MPI_Intercomm_merge(half, 0, &merged));
    FAILS_WITH(MPI_ERR_RANK, "77", MPI_Intercomm_create(half, 0, MPI_COMM_WORLD, 77, 3, &other));
    FAILS(MPI_ERR_RANK, MPI_Intercomm_create(half, 99, MPI_COMM_WORLD, 0, 3, &other));
    OK(MPI_Group_free(&one));
    OK(MPI_Group_free(&near));
    OK(MPI_Group_free(&far));
    OK(MPI_Comm_free(&inter));
    OK(MPI_Comm_free(&half));
}

/* More than any table of fixed size: first one after the other, then all at a time. */
static void many(void)
{
    int n = ours() ? 10000 : 500;
    MPI_Comm comm, *all = malloc(sizeof *all * (size_t)n);
    for (int i = 0; i < n; i++) {
        OK(MPI_Comm_dup(MPI_COMM_WORLD, &comm));
        OK(MPI_Comm_free(&comm));
    }
    for (int i = 0; i < n; i++)
        OK(MPI_Comm_dup(MPI_COMM_SELF, &all[i]));
    for (int i = 0; i < n; i++)
        OK(MPI_Comm_free(&all[i]));
    if (ours()) {
        for (int i = 0; i < n; i++)
            OK(MPI_Comm_dup(MPI_COMM_WORLD, &all[i]));
        congruent(all[0], all[n - 1]);
        for (int i = 0; i < n; i++)
            OK(MPI_Comm_free(&all[i]));
    }
    free(all);
}

int main(int argc, char **argv)
{
    start(&argc, &argv);
    OK(MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN));
    OK(MPI_Comm_set_errhandler(MPI_COMM_SELF, MPI_ERRORS_RETURN));
    parts();
    resources();
    empty_groups();
    names_and_hints();
    nonblocking(MPI_COMM_WORLD);
    if (size > 1)
        intercommunicators();
    many();
    finish();
    return 0;
}

/* Nonblocking duplicates: nobody waits in the call, orders, errors (section 7.4.2). */
#include "fails.h"

enum { N = 20 };

static void works(MPI_Comm comm)
{
    int value = rank, sum, got;
    OK(MPI_Sendrecv(&rank, 1, MPI_INT, (rank + 1) % size, 1, &got, 1, MPI_INT, (rank + size - 1) % size, 1, comm,
                    MPI_STATUS_IGNORE));
    CHECK(got == (rank + size - 1) % size);
    OK(MPI_Allreduce(&value, &sum, 1, MPI_INT, MPI_SUM, comm));
    CHECK(sum == size * (size - 1) / 2);
}

/* Each rank in turn calls only after it has heard that all other calls are over. */
static void late(void)
{
    for (int turn = 0; turn < size; turn++) {
        MPI_Comm copy = MPI_COMM_NULL;
        MPI_Request request;
        if (rank == turn)
            for (int i = 0; i < size - 1; i++)
                OK(MPI_Recv(NULL, 0, MPI_INT, MPI_ANY_SOURCE, 9, MPI_COMM_WORLD, MPI_STATUS_IGNORE));
        OK(MPI_Comm_idup(MPI_COMM_WORLD, &copy, &request));
        if (rank != turn)
            OK(MPI_Send(NULL, 0, MPI_INT, turn, 9, MPI_COMM_WORLD));
        OK(MPI_Wait(&request, MPI_STATUS_IGNORE));
        works(copy);
        OK(MPI_Comm_free(&copy));
    }
}

static void many(void)
{
    static MPI_Comm copies[N];
    MPI_Request requests[N];
    MPI_Comm dup;
    for (int i = 0; i < N; i++) {
        OK(MPI_Comm_idup_with_info(MPI_COMM_WORLD, MPI_INFO_NULL, &copies[i], &requests[i]));
        if (i == N / 2)
            OK(MPI_Comm_dup(MPI_COMM_WORLD, &dup));
        if (i == N / 2 + 1)
            OK(MPI_Barrier(dup));
    }
    for (int left = N; left > 0;) {
        int done, which[N];
        OK(MPI_Waitsome(N, requests, &done, which, MPI_STATUSES_IGNORE));
        CHECK(done != MPI_UNDEFINED);
        left -= done;
    }
    for (int i = 0; i < N; i++) {
        int all = -1, one = i * 100 + rank;
        MPI_Request request;
        OK(MPI_Isend(&one, 1, MPI_INT, (rank + 1) % size, 4, copies[i], &request));
        OK(MPI_Recv(&all, 1, MPI_INT, (rank + size - 1) % size, 4, copies[i], MPI_STATUS_IGNORE));
        OK(MPI_Wait(&request, MPI_STATUS_IGNORE));
        CHECK(all == i * 100 + (rank + size - 1) % size);
    }
    for (int i = 0; i < N; i++) {
        works(copies[i]);
        OK(MPI_Comm_free(&copies[i]));
    }
    works(dup);
    OK(MPI_Comm_free(&dup));
}

/* The copy function of rank `failing` fails. */
static int failing = -1, copied, deleted;

static int copy_fn(MPI_Comm comm, int key, void *extra, void *in, void *out, int *flag)
{
    (void)comm, (void)key, (void)extra;
    copied++;
    *(void **)out = in;
    *flag = 1;
    return rank == failing && *(int *)in ? MPI_ERR_BUFFER : MPI_SUCCESS;
}

static int delete_fn(MPI_Comm comm, int key, void *value, void *extra)
{
    (void)comm, (void)key, (void)value, (void)extra;
    deleted++;
    return MPI_SUCCESS;
}

static void attributes(void)
{
    int keys[2], values[2] = {0, 1}, flag, *got;
    MPI_Comm copy, parent;
    MPI_Request request;
    OK(MPI_Comm_dup(MPI_COMM_WORLD, &parent));
    OK(MPI_Comm_set_errhandler(parent, MPI_ERRORS_RETURN));
    for (int i = 0; i < 2; i++) {
        OK(MPI_Comm_create_keyval(copy_fn, delete_fn, &keys[i], NULL));
        OK(MPI_Comm_set_attr(parent, keys[i], &values[i]));
    }
    OK(MPI_Comm_idup(parent, &copy, &request));
    CHECK(copied == 2 && !deleted);
    OK(MPI_Wait(&request, MPI_STATUS_IGNORE));
    OK(MPI_Comm_get_attr(copy, keys[1], &got, &flag));
    CHECK(flag && got == &values[1]);
    OK(MPI_Comm_free(&copy));
    CHECK(deleted == 2);
    if (ours())
        for (failing = 0; failing < size; failing++) {
            deleted = 0;
            int code = MPI_Comm_idup(parent, &copy, &request), class = MPI_SUCCESS;
            if (rank == failing) {
                OK(MPI_Error_class(code, &class));
                CHECK(class == MPI_ERR_BUFFER && deleted == 1);
            } else {
                OK(code);
                OK(MPI_Wait(&request, MPI_STATUS_IGNORE));
                OK(MPI_Comm_free(&copy));
            }
            int turn = failing;
            failing = -1;
            OK(MPI_Comm_idup(parent, &copy, &request));
            OK(MPI_Wait(&request, MPI_STATUS_IGNORE));
            works(copy);
            OK(MPI_Comm_free(&copy));
            failing = turn;
        }
    failing = -1;
    OK(MPI_Comm_free(&parent));
    for (int i = 0; i < 2; i++)
        OK(MPI_Comm_free_keyval(&keys[i]));
}

/* What needs no other process works before the communicator is there, and is there with it. */
static void early(void)
{
    MPI_Comm copy, parent;
    MPI_Request request;
    MPI_Errhandler handler;
    MPI_Info info;
    char text[MPI_MAX_OBJECT_NAME];
    int key, flag, length, values[2] = {1, 2}, *got;
    OK(MPI_Comm_dup(MPI_COMM_WORLD, &parent));
    OK(MPI_Comm_set_name(parent, "parent"));
    OK(MPI_Comm_set_errhandler(parent, MPI_ERRORS_RETURN));
    OK(MPI_Comm_create_keyval(copy_fn, delete_fn, &key, NULL));
    OK(MPI_Comm_set_attr(parent, key, &values[0]));
    if (rank == 0 && size > 1)
        OK(MPI_Barrier(MPI_COMM_WORLD));
    OK(MPI_Comm_idup(parent, &copy, &request));
    deleted = 0;
    OK(MPI_Comm_get_errhandler(copy, &handler));
    CHECK(handler == MPI_ERRORS_RETURN);
    OK(MPI_Comm_set_errhandler(copy, MPI_ERRORS_ABORT));
    OK(MPI_Comm_get_errhandler(copy, &handler));
    CHECK(handler == MPI_ERRORS_ABORT);
    OK(MPI_Comm_get_name(copy, text, &length));
    CHECK(length == 0 || !ours());
    OK(MPI_Comm_set_name(copy, "copy"));
    OK(MPI_Comm_get_name(copy, text, &length));
    CHECK(!strcmp(text, "copy"));
    OK(MPI_Comm_get_attr(copy, key, &got, &flag));
    CHECK(flag && got == &values[0]);
    OK(MPI_Comm_set_attr(copy, key, &values[1]));
    CHECK(deleted == 1);
    OK(MPI_Info_create(&info));
    OK(MPI_Info_set(info, "mpi_assert_no_any_tag", "true"));
    OK(MPI_Comm_set_info(copy, info));
    OK(MPI_Info_free(&info));
    if (rank != 0)
        OK(MPI_Barrier(MPI_COMM_WORLD));
    OK(MPI_Wait(&request, MPI_STATUS_IGNORE));
    OK(MPI_Comm_get_errhandler(copy, &handler));
    CHECK(handler == MPI_ERRORS_ABORT);
    OK(MPI_Comm_get_name(copy, text, &length));
    CHECK(!strcmp(text, "copy") && length == 4);
    OK(MPI_Comm_get_attr(copy, key, &got, &flag));
    CHECK(flag && got == &values[1]);
    OK(MPI_Comm_get_info(copy, &info));
    OK(MPI_Info_get(info, "mpi_assert_no_any_tag", 9, text, &flag));
    CHECK(flag && !strcmp(text, "true"));
    OK(MPI_Info_free(&info));
    works(copy);
    OK(MPI_Comm_free(&copy));
    CHECK(deleted == 2);
    OK(MPI_Comm_free(&parent));
    OK(MPI_Comm_free_keyval(&key));
}

static void wrong(void)
{
    MPI_Comm copy, other;
    MPI_Request request, unused;
    MPI_Group group;
    int n;
    FAILS(MPI_ERR_COMM, MPI_Comm_idup(MPI_COMM_NULL, &copy, &request));
    FAILS(MPI_ERR_ARG, MPI_Comm_idup(MPI_COMM_WORLD, NULL, &request));
    FAILS(MPI_ERR_ARG, MPI_Comm_idup(MPI_COMM_WORLD, &copy, NULL));
    FAILS(MPI_ERR_INFO, MPI_Comm_idup_with_info(MPI_COMM_WORLD, (MPI_Info)copy, &copy, &request));
    // The first process makes the copy when the others have seen that they do not have it yet.
    for (int i = 1; rank == 0 && i < size; i++)
        OK(MPI_Recv(NULL, 0, MPI_INT, i, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE));
    OK(MPI_Comm_idup(MPI_COMM_WORLD, &copy, &request));
    if (rank != 0) {
        FAILS_WITH(MPI_ERR_COMM, "still being made", MPI_Comm_size(copy, &n));
        FAILS_WITH(MPI_ERR_COMM, "still being made", MPI_Comm_free(&copy));
        FAILS_WITH(MPI_ERR_COMM, "still being made", MPI_Send(NULL, 0, MPI_INT, 0, 0, copy));
        FAILS_WITH(MPI_ERR_COMM, "still being made", MPI_Comm_rank(copy, &n));
        FAILS_WITH(MPI_ERR_COMM, "still being made", MPI_Comm_compare(copy, MPI_COMM_WORLD, &n));
        FAILS_WITH(MPI_ERR_COMM, "still being made", MPI_Comm_test_inter(copy, &n));
        FAILS_WITH(MPI_ERR_COMM, "still being made", MPI_Topo_test(copy, &n));
        FAILS_WITH(MPI_ERR_COMM, "still being made", MPI_Barrier(copy));
        FAILS_WITH(MPI_ERR_COMM, "still being made", MPI_Comm_disconnect(&copy));
        FAILS_WITH(MPI_ERR_COMM, "still being made", MPI_Comm_dup(copy, &other));
        FAILS_WITH(MPI_ERR_COMM, "still being made", MPI_Comm_idup(copy, &other, &unused));
        FAILS_WITH(MPI_ERR_COMM, "still being made", MPI_Comm_split(copy, 0, 0, &other));
        FAILS_WITH(MPI_ERR_COMM, "still being made", MPI_Comm_group(copy, &group));
        FAILS_WITH(MPI_ERR_COMM, "still being made", MPI_Irecv(NULL, 0, MPI_INT, 0, 0, copy, &unused));
        FAILS_WITH(MPI_ERR_COMM, "still being made", MPI_Iprobe(0, 0, copy, &n, MPI_STATUS_IGNORE));
        FAILS_WITH(MPI_ERR_COMM, "still being made", MPI_Recv_init(NULL, 0, MPI_INT, 0, 0, copy, &unused));
        OK(MPI_Send(NULL, 0, MPI_INT, 0, 0, MPI_COMM_WORLD));
    }
    OK(MPI_Wait(&request, MPI_STATUS_IGNORE));
    works(copy);
    OK(MPI_Comm_free(&copy));
}

int main(int argc, char **argv)
{
    start(&argc, &argv);
    OK(MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN));
    OK(MPI_Comm_set_errhandler(MPI_COMM_SELF, MPI_ERRORS_RETURN));
    late();
    many();
    attributes();
    early();
    if (ours())
        wrong();
    finish();
    return 0;
}

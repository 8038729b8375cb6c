/* Bad arguments give the class that the standard names, through the handler of the communicator. */
#include "check.h"

static int class_of(int code)
{
    int class = -1, len = -1;
    char text[MPI_MAX_ERROR_STRING];
    CHECK(MPI_Error_class(code, &class) == MPI_SUCCESS);
    CHECK(MPI_Error_string(code, text, &len) == MPI_SUCCESS && len > 0 && (size_t)len == strlen(text));
    return class;
}

#define FAILS(call, expected)                                                                  \
    do {                                                                                       \
        int got_ = class_of(call);                                                             \
        if (got_ != (expected)) {                                                              \
            fprintf(stderr, "%s:%d: %s gives class %d\n", __FILE__, __LINE__, #call, got_);    \
            CHECK(got_ == (expected));                                                         \
        }                                                                                      \
    } while (0)

static void arguments(MPI_Comm comm)
{
    int x = 0, y = 0;
    MPI_Request request;
    MPI_Comm freed;
    FAILS(MPI_Send(&x, 1, MPI_INT, size, 0, comm), MPI_ERR_RANK);
    FAILS(MPI_Send(&x, 1, MPI_INT, -7, 0, comm), MPI_ERR_RANK);
    FAILS(MPI_Send(&x, 1, MPI_INT, 0, -5, comm), MPI_ERR_TAG);
    FAILS(MPI_Send(&x, -1, MPI_INT, 0, 0, comm), MPI_ERR_COUNT);
    FAILS(MPI_Send(&x, 1, MPI_DATATYPE_NULL, 0, 0, comm), MPI_ERR_TYPE);
    FAILS(MPI_Send(&x, 1, MPI_INT, 0, 0, MPI_COMM_NULL), MPI_ERR_COMM);
    FAILS(MPI_Recv(&x, 1, MPI_INT, size + 3, 0, comm, MPI_STATUS_IGNORE), MPI_ERR_RANK);
    FAILS(MPI_Irecv(&x, -2, MPI_INT, 0, 0, comm, &request), MPI_ERR_COUNT);
    FAILS(MPI_Bcast(&x, 1, MPI_INT, size, comm), MPI_ERR_ROOT);
    FAILS(MPI_Allreduce(&x, &y, 1, MPI_INT, MPI_OP_NULL, comm), MPI_ERR_OP);
    FAILS(MPI_Comm_rank(MPI_COMM_NULL, &x), MPI_ERR_COMM);
    OK(MPI_Comm_dup(comm, &freed));
    MPI_Comm stale = freed;
    OK(MPI_Comm_free(&freed));
    (void)stale;
}

static void truncation(MPI_Comm comm)
{
    int lengths[] = {4, 20000, 2000000};
    for (int i = 0; i < 3; i++) {
        int n = lengths[i], x = -1;
        if (rank == 0) {
            int *big = calloc((size_t)n, sizeof(int));
            OK(MPI_Send(big, n, MPI_INT, 1, 0, comm));
            free(big);
        } else if (rank == 1) {
            FAILS(MPI_Recv(&x, 1, MPI_INT, 0, 0, comm, MPI_STATUS_IGNORE), MPI_ERR_TRUNCATE);
        }
    }
    /* The communicator still works. */
    int sum = 0;
    OK(MPI_Allreduce(&rank, &sum, 1, MPI_INT, MPI_SUM, comm));
    CHECK(sum == size * (size - 1) / 2);
    /* Among several requests: the status says which one. */
    if (rank == 0) {
        int three[3] = {1, 2, 3};
        OK(MPI_Send(three, 3, MPI_INT, 1, 1, comm));
        OK(MPI_Send(three, 1, MPI_INT, 1, 2, comm));
    } else if (rank == 1) {
        int a, b;
        MPI_Request requests[2];
        MPI_Status statuses[2];
        OK(MPI_Irecv(&a, 1, MPI_INT, 0, 1, comm, &requests[0]));
        OK(MPI_Irecv(&b, 1, MPI_INT, 0, 2, comm, &requests[1]));
        FAILS(MPI_Waitall(2, requests, statuses), MPI_ERR_IN_STATUS);
        CHECK(class_of(statuses[0].MPI_ERROR) == MPI_ERR_TRUNCATE);
        /* A library may give up waiting for the other one. */
        CHECK(statuses[1].MPI_ERROR == MPI_SUCCESS || class_of(statuses[1].MPI_ERROR) == MPI_ERR_PENDING);
        if (requests[1] != MPI_REQUEST_NULL)
            OK(MPI_Wait(&requests[1], MPI_STATUS_IGNORE));
        CHECK(b == 1);
    }
}

static int called;
static MPI_Comm called_with;
static int called_code;

static void handler(MPI_Comm *comm, int *code, ...)
{
    called++;
    called_with = *comm;
    called_code = *code;
}

static void own_handler(void)
{
    MPI_Comm comm;
    MPI_Errhandler made, got;
    int x = 0;
    OK(MPI_Comm_dup(MPI_COMM_WORLD, &comm));
    OK(MPI_Comm_create_errhandler(handler, &made));
    OK(MPI_Comm_set_errhandler(comm, made));
    OK(MPI_Comm_get_errhandler(comm, &got));
    CHECK(got == made);
    OK(MPI_Errhandler_free(&got));
    OK(MPI_Errhandler_free(&made));
    CHECK(made == MPI_ERRHANDLER_NULL);
    int code = MPI_Send(&x, 1, MPI_INT, size, 0, comm);
    CHECK(called == 1 && called_with == comm);
    CHECK(class_of(called_code) == MPI_ERR_RANK);
    /* MPICH 5.0.2 returns MPI_SUCCESS after a handler of the program's own. */
    CHECK(code == called_code || !ours());
    OK(MPI_Comm_call_errhandler(comm, MPI_ERR_OTHER));
    CHECK(called == 2 && called_code == MPI_ERR_OTHER);
    OK(MPI_Comm_free(&comm));
}

/* What a request does wrong is its communicator's affair: the fatal handlers of the others are not called. */
static void handler_of_the_request(void)
{
    MPI_Comm comm;
    int three[3] = {1, 2, 3}, x = 0;
    OK(MPI_Comm_dup(MPI_COMM_WORLD, &comm));
    return_errors(comm);
    /* Intel MPI 2021.18.1 calls that of MPI_COMM_WORLD. */
    if (!library_is("Intel"))
        OK(MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_ARE_FATAL));
    OK(MPI_Comm_set_errhandler(MPI_COMM_SELF, MPI_ERRORS_ARE_FATAL));
    if (rank == 0) {
        OK(MPI_Send(three, 3, MPI_INT, 1, 4, comm));
    } else if (rank == 1) {
        MPI_Request request;
        OK(MPI_Irecv(&x, 1, MPI_INT, 0, 4, comm, &request));
        FAILS(MPI_Wait(&request, MPI_STATUS_IGNORE), MPI_ERR_TRUNCATE);
        CHECK(request == MPI_REQUEST_NULL);
    }
    OK(MPI_Comm_free(&comm));
}

static void added(void)
{
    int class = 0, code = 0, *last, flag = 0, len = 0;
    char text[MPI_MAX_ERROR_STRING];
    OK(MPI_Add_error_class(&class));
    OK(MPI_Add_error_code(class, &code));
    OK(MPI_Add_error_string(code, "of my own"));
    CHECK(class > MPI_ERR_LASTCODE && code > class);
    int got = 0;
    OK(MPI_Error_class(code, &got));
    CHECK(got == class);
    OK(MPI_Error_string(code, text, &len));
    CHECK(!strcmp(text, "of my own"));
    OK(MPI_Comm_get_attr(MPI_COMM_WORLD, MPI_LASTUSEDCODE, &last, &flag));
    /* MPICH 5.0.2 gives the value from before. */
    CHECK(flag && (*last >= code || !ours()));
}

int main(int argc, char **argv)
{
    start(&argc, &argv);
    CHECK(size >= 2);
    MPI_Errhandler first;
    OK(MPI_Comm_get_errhandler(MPI_COMM_WORLD, &first));
    CHECK(first == MPI_ERRORS_ARE_FATAL);
    return_errors(MPI_COMM_WORLD);
    /* Errors without an object, and of null communicators, go to the handler of MPI_COMM_SELF. */
    return_errors(MPI_COMM_SELF);
    arguments(MPI_COMM_WORLD);
    truncation(MPI_COMM_WORLD);
    own_handler();
    added();
    handler_of_the_request();
    finish();
    return 0;
}

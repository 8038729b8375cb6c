/* Buffered sends over the buffers of the process, of a communicator and of a session; flushing them (section 3.6). */
#include "fails.h"

enum { LARGE = 1000000 };

static char out[LARGE], in[LARGE], room[3][LARGE + MPI_BSEND_OVERHEAD + 64];

static void fill(int seed)
{
    for (int i = 0; i < LARGE; i++)
        out[i] = (char)(seed + i % 251);
}

static void receive(MPI_Comm comm, int tag)
{
    int left = (rank + size - 1) % size;
    memset(in, 0, sizeof in);
    OK(MPI_Recv(in, LARGE, MPI_CHAR, left, tag, comm, MPI_STATUS_IGNORE));
    for (int i = 0; i < LARGE; i++)
        CHECK(in[i] == (char)(left + tag + i % 251));
}

/* The message waits in the buffer until the neighbour asks for it; then the flush is over. */
static void flushes(MPI_Comm comm, int tag, int (*iflush)(MPI_Request *), int (*flush)(void))
{
    MPI_Request request, second;
    int flag;
    fill(rank + tag);
    OK(iflush(&request));
    OK(MPI_Wait(&request, MPI_STATUS_IGNORE));
    OK(MPI_Bsend(out, LARGE, MPI_CHAR, (rank + 1) % size, tag, comm));
    OK(iflush(&request));
    OK(iflush(&second));
    OK(MPI_Test(&request, &flag, MPI_STATUS_IGNORE));
    /* Intel MPI's flush does not wait. */
    CHECK(!flag || size == 1 || !ours());
    OK(MPI_Barrier(MPI_COMM_WORLD));
    receive(comm, tag);
    if (!flag)
        OK(MPI_Wait(&request, MPI_STATUS_IGNORE));
    CHECK(request == MPI_REQUEST_NULL);
    OK(flush());
    OK(MPI_Test(&second, &flag, MPI_STATUS_IGNORE));
    CHECK(flag);
}

static MPI_Comm comm;
static MPI_Session session;
static int comm_iflush(MPI_Request *request) { return MPI_Comm_iflush_buffer(comm, request); }
static int comm_flush(void) { return MPI_Comm_flush_buffer(comm); }
static int session_iflush(MPI_Request *request) { return MPI_Session_iflush_buffer(session, request); }
static int session_flush(void) { return MPI_Session_flush_buffer(session); }

int main(int argc, char **argv)
{
    MPI_Request request;
    MPI_Group group;
    MPI_Comm own;
    void *address;
    int bytes;
    start(&argc, &argv);
    OK(MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN));
    OK(MPI_Comm_set_errhandler(MPI_COMM_SELF, MPI_ERRORS_RETURN));
    OK(MPI_Comm_dup(MPI_COMM_WORLD, &comm));
    OK(MPI_Session_init(MPI_INFO_NULL, MPI_ERRORS_RETURN, &session));
    OK(MPI_Group_from_session_pset(session, "mpi://WORLD", &group));
    OK(MPI_Comm_create_from_group(group, "buffers", MPI_INFO_NULL, MPI_ERRORS_RETURN, &own));
    OK(MPI_Group_free(&group));

    OK(MPI_Buffer_attach(room[0], sizeof room[0]));
    flushes(MPI_COMM_WORLD, 1, MPI_Buffer_iflush, MPI_Buffer_flush);
    OK(MPI_Comm_attach_buffer(comm, room[1], sizeof room[1]));
    flushes(comm, 2, comm_iflush, comm_flush);
    OK(MPI_Buffer_detach(&address, &bytes));
    CHECK(address == room[0] && bytes == sizeof room[0]);
    flushes(comm, 3, comm_iflush, comm_flush);
    FAILS(MPI_ERR_BUFFER, MPI_Bsend(out, 1, MPI_CHAR, rank, 4, MPI_COMM_WORLD));
    FAILS(MPI_ERR_BUFFER, MPI_Bsend(out, 1, MPI_CHAR, rank, 4, own));
    OK(MPI_Session_attach_buffer(session, room[2], sizeof room[2]));
    flushes(own, 5, session_iflush, session_flush);
    OK(MPI_Session_detach_buffer(session, &address, &bytes));
    CHECK(address == room[2] && bytes == sizeof room[2]);
    OK(MPI_Comm_detach_buffer(comm, &address, &bytes));
    CHECK(address == room[1]);

    FAILS(MPI_ERR_COMM, MPI_Comm_iflush_buffer(MPI_COMM_NULL, &request));
    FAILS(MPI_ERR_SESSION, MPI_Session_iflush_buffer(MPI_SESSION_NULL, &request));
    FAILS(MPI_ERR_ARG, MPI_Buffer_iflush(NULL));
    OK(MPI_Comm_free(&own));
    OK(MPI_Session_finalize(&session));
    OK(MPI_Comm_free(&comm));
    finish();
    return 0;
}

/* A program that never calls MPI_Init: sessions, one after the other and at the same time (chapter 11
   of the standard). With the argument "world", MPI_Init comes in between. */
#include "fails.h"

static MPI_Session open_session(void)
{
    MPI_Session session;
    OK(MPI_Session_init(MPI_INFO_NULL, MPI_ERRORS_RETURN, &session));
    return session;
}

static MPI_Comm world_of(MPI_Session session, const char *tag)
{
    MPI_Group group;
    MPI_Comm comm;
    OK(MPI_Group_from_session_pset(session, "mpi://WORLD", &group));
    OK(MPI_Comm_create_from_group(group, tag, MPI_INFO_NULL, MPI_ERRORS_RETURN, &comm));
    OK(MPI_Group_free(&group));
    return comm;
}

static void sets(MPI_Session session)
{
    int n, len = 0, flag;
    char name[64];
    MPI_Info info;
    MPI_Group group;
    OK(MPI_Session_get_num_psets(session, MPI_INFO_NULL, &n));
    CHECK(n >= 2);
    OK(MPI_Session_get_nth_pset(session, MPI_INFO_NULL, 0, &len, NULL));
    CHECK(len > 1 && len < (int)sizeof name);
    OK(MPI_Session_get_nth_pset(session, MPI_INFO_NULL, 0, &len, name));
    CHECK((int)strlen(name) == len - 1);
    OK(MPI_Session_get_pset_info(session, "mpi://SELF", &info));
    len = sizeof name;
    OK(MPI_Info_get_string(info, "mpi_size", &len, name, &flag));
    CHECK(flag && !strcmp(name, "1"));
    OK(MPI_Info_free(&info));
    OK(MPI_Session_get_info(session, &info));
    OK(MPI_Info_free(&info));
    FAILS(MPI_ERR_ARG, MPI_Group_from_session_pset(session, "no such set", &group));
    FAILS(MPI_ERR_ARG, MPI_Session_get_nth_pset(session, MPI_INFO_NULL, 77, &len, name));
    FAILS(MPI_ERR_ARG, MPI_Session_get_nth_pset(session, MPI_INFO_NULL, -1, &len, name));
}

static int failures;
static MPI_Session failed_on;

static void count_failures(MPI_Session *session, int *code, ...)
{
    (void)code;
    failures++;
    failed_on = *session;
}

/* The error handler for a session is asked if the session cannot be made; and for its own errors. */
static void handlers(void)
{
    MPI_Errhandler handler;
    MPI_Session session;
    int len = 0;
    if (!ours())
        return;
    OK(MPI_Session_create_errhandler(count_failures, &handler));
    FAILS(MPI_ERR_INFO, MPI_Session_init((MPI_Info)MPI_COMM_WORLD, handler, &session));
    CHECK(failures == 1 && failed_on == MPI_SESSION_NULL);
    OK(MPI_Session_init(MPI_INFO_NULL, handler, &session));
    OK(MPI_Errhandler_free(&handler));
    FAILS(MPI_ERR_ARG, MPI_Session_get_nth_pset(session, MPI_INFO_NULL, 77, &len, NULL));
    CHECK(failures == 2 && failed_on == session);
    OK(MPI_Session_call_errhandler(session, MPI_ERR_OTHER));
    CHECK(failures == 3);
    OK(MPI_Session_finalize(&session));
}

int main(int argc, char **argv)
{
    int flag, sum;
    MPI_Session first = open_session(), second = open_session();
    CHECK(first != second);
    OK(MPI_Initialized(&flag));
    CHECK(!flag || !ours());
    sets(first);
    handlers();
    MPI_Comm one = world_of(first, "one"), two = world_of(second, "two");
    OK(MPI_Comm_rank(one, &rank));
    OK(MPI_Comm_size(one, &size));
    int value = rank;
    OK(MPI_Allreduce(&value, &sum, 1, MPI_INT, MPI_SUM, two));
    CHECK(sum == size * (size - 1) / 2);
    OK(MPI_Comm_disconnect(&one));
    OK(MPI_Session_finalize(&first));
    CHECK(first == MPI_SESSION_NULL);
    if (argc > 1 && !strcmp(argv[1], "world")) {
        OK(MPI_Init(&argc, &argv));
        OK(MPI_Initialized(&flag));
        CHECK(flag);
        OK(MPI_Barrier(MPI_COMM_WORLD));
        OK(MPI_Finalize());
        OK(MPI_Finalized(&flag));
        CHECK(flag);
    }
    /* The other session is not concerned. */
    OK(MPI_Allreduce(&value, &sum, 1, MPI_INT, MPI_SUM, two));
    OK(MPI_Comm_disconnect(&two));
    OK(MPI_Session_finalize(&second));
    if (argc == 1 && ours()) {
        first = open_session();
        one = world_of(first, "one");
        OK(MPI_Barrier(one));
        OK(MPI_Comm_disconnect(&one));
        OK(MPI_Session_finalize(&first));
    }
    return 0;
}

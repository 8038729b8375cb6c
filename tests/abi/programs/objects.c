/* Groups, infos, attributes, error handlers, error codes and memory: what chapters 7, 9 and 10 of the
   standard promise, with right and with wrong arguments. */
#include "fails.h"

static void groups(void)
{
    MPI_Group world, first, reversed, empty, none;
    int n, result, zero = 0, out[3];
    OK(MPI_Comm_group(MPI_COMM_WORLD, &world));
    OK(MPI_Group_incl(world, 1, &zero, &first));
    OK(MPI_Group_difference(first, world, &empty));
    CHECK(empty == MPI_GROUP_EMPTY);
    int back[1][3] = {{size - 1, 0, -1}};
    OK(MPI_Group_range_incl(world, 1, back, &reversed));
    OK(MPI_Group_compare(reversed, world, &result));
    CHECK(result == (size == 1 ? MPI_IDENT : MPI_SIMILAR));
    int in[3] = {0, MPI_PROC_NULL, size - 1};
    OK(MPI_Group_translate_ranks(world, 3, in, reversed, out));
    CHECK(out[0] == size - 1 && out[1] == MPI_PROC_NULL && out[2] == 0);

    int bad[2] = {0, 77}, twice[2] = {0, 0}, still[1][3] = {{0, 0, 0}}, past[1][3] = {{0, size, 1}};
    FAILS_WITH(MPI_ERR_RANK, "rank 77 in position 1", MPI_Group_incl(world, 2, bad, &none));
    FAILS_WITH(MPI_ERR_RANK, "twice", MPI_Group_incl(world, 2, twice, &none));
    FAILS(MPI_ERR_RANK, MPI_Group_range_incl(world, 1, past, &none));
    FAILS(MPI_ERR_ARG, MPI_Group_range_incl(world, 1, still, &none));
    FAILS(MPI_ERR_ARG, MPI_Group_incl(world, -1, bad, &none));
    FAILS(MPI_ERR_ARG, MPI_Group_incl(world, 2, NULL, &none));
    FAILS(MPI_ERR_ARG, MPI_Group_size(world, NULL));
    FAILS(MPI_ERR_GROUP, MPI_Group_size(MPI_GROUP_NULL, &n));
    FAILS_WITH(MPI_ERR_GROUP, "a communicator", MPI_Group_size((MPI_Group)MPI_COMM_WORLD, &n));
    MPI_Group stale = reversed;
    OK(MPI_Group_free(&first));
    OK(MPI_Group_free(&reversed));
    OK(MPI_Group_free(&world));
    FAILS_WITH(MPI_ERR_GROUP, "freed", MPI_Group_size(stale, &n));
}

static void infos(void)
{
    MPI_Info info, copy;
    char text[64], key[MPI_MAX_INFO_KEY];
    int n, flag, len = sizeof text;
    OK(MPI_Info_create(&info));
    OK(MPI_Info_set(info, "one", "1"));
    OK(MPI_Info_set(info, "two", "22"));
    OK(MPI_Info_get_string(info, "two", &len, text, &flag));
    CHECK(flag && len == 3 && !strcmp(text, "22"));
    len = 2;
    OK(MPI_Info_get_string(info, "two", &len, text, &flag));
    CHECK(flag && len == 3 && !strcmp(text, "2"));
    len = 0;
    OK(MPI_Info_get_string(info, "two", &len, NULL, &flag));
    CHECK(flag && len == 3);
    OK(MPI_Info_get(info, "two", 10, text, &flag));
    CHECK(flag && !strcmp(text, "22"));
    OK(MPI_Info_get_valuelen(info, "two", &len, &flag));
    CHECK(flag && len == 2);
    OK(MPI_Info_get(info, "three", 10, text, &flag));
    CHECK(!flag);
    OK(MPI_Info_dup(info, &copy));
    OK(MPI_Info_delete(info, "one"));
    OK(MPI_Info_get_nthkey(info, 0, key));
    CHECK(!strcmp(key, "two"));
    OK(MPI_Info_get_nkeys(copy, &n));
    CHECK(n == 2);
    FAILS_WITH(MPI_ERR_INFO_NOKEY, "\"one\"", MPI_Info_delete(info, "one"));
    FAILS(MPI_ERR_INFO_KEY, MPI_Info_set(info, "", "x"));
    FAILS(MPI_ERR_ARG, MPI_Info_set(info, NULL, "x"));
    FAILS(MPI_ERR_INFO, MPI_Info_set(MPI_INFO_NULL, "k", "x"));
    FAILS(MPI_ERR_INFO, MPI_Info_set(MPI_INFO_ENV, "k", "x"));
    FAILS(MPI_ERR_INFO, MPI_Info_get_nkeys((MPI_Info)12345, &n));
    FAILS(MPI_ERR_ARG, MPI_Info_get_nthkey(info, 5, key));
    OK(MPI_Info_free(&copy));
    OK(MPI_Info_free(&info));
    CHECK(info == MPI_INFO_NULL);
    if (ours()) {
        len = sizeof text;
        OK(MPI_Info_get_string(MPI_INFO_ENV, "thread_level", &len, text, &flag));
        CHECK(flag && !strcmp(text, "MPI_THREAD_MULTIPLE"));
    }
    char *args[] = {"program", "-x", NULL};
    OK(MPI_Info_create_env(2, args, &info));
    OK(MPI_Info_free(&info));
}

static int copies, deletes;
static size_t deleted;

static int copy(MPI_Comm comm, int key, void *extra, void *in, void *out, int *flag)
{
    (void)comm, (void)key;
    CHECK(extra == &copies);
    copies++;
    *(void **)out = (char *)in + 1;
    *flag = 1;
    return MPI_SUCCESS;
}

static int forget(MPI_Comm comm, int key, void *value, void *extra)
{
    (void)comm, (void)key, (void)extra;
    deletes++;
    deleted = (size_t)value;
    return MPI_SUCCESS;
}

static int no_copy(MPI_Comm comm, int key, void *extra, void *in, void *out, int *flag)
{
    (void)comm, (void)key, (void)extra, (void)in, (void)out, (void)flag;
    return MPI_ERR_OTHER;
}

static int no_delete(MPI_Comm comm, int key, void *value, void *extra)
{
    (void)comm, (void)key, (void)value, (void)extra;
    return MPI_ERR_OTHER;
}

/* A delete function may itself work with attributes and communicators. */
static int nested(MPI_Comm comm, int key, void *value, void *extra)
{
    MPI_Comm other;
    (void)key, (void)extra;
    OK(MPI_Comm_dup(comm, &other));
    OK(MPI_Comm_set_attr(other, *(int *)value, NULL));
    OK(MPI_Comm_free(&other));
    return MPI_SUCCESS;
}

static void attributes(void)
{
    int own, dup, none, failing, nesting, of_types, flag, *number;
    void *value;
    MPI_Comm comm, second;
    OK(MPI_Comm_create_keyval(copy, forget, &own, &copies));
    OK(MPI_Comm_create_keyval(MPI_COMM_DUP_FN, MPI_COMM_NULL_DELETE_FN, &dup, NULL));
    OK(MPI_Comm_create_keyval(MPI_COMM_NULL_COPY_FN, MPI_COMM_NULL_DELETE_FN, &none, NULL));
    OK(MPI_Comm_dup(MPI_COMM_WORLD, &comm));
    OK(MPI_Comm_get_attr(comm, own, &value, &flag));
    CHECK(!flag);
    OK(MPI_Comm_set_attr(comm, own, (void *)10));
    OK(MPI_Comm_set_attr(comm, dup, (void *)20));
    OK(MPI_Comm_set_attr(comm, none, (void *)30));
    OK(MPI_Comm_dup(comm, &second));
    OK(MPI_Comm_get_attr(second, own, &value, &flag));
    CHECK(flag && value == (void *)11 && copies == 1);
    OK(MPI_Comm_get_attr(second, dup, &value, &flag));
    CHECK(flag && value == (void *)20);
    OK(MPI_Comm_get_attr(second, none, &value, &flag));
    CHECK(!flag);
    OK(MPI_Comm_free(&second));
    CHECK(deletes == 1 && deleted == 11);
    OK(MPI_Comm_set_attr(comm, own, (void *)12));
    CHECK(deletes == 2 && deleted == 10);
    OK(MPI_Comm_delete_attr(comm, own));
    CHECK(deletes == 3 && deleted == 12);

    OK(MPI_Comm_create_keyval(MPI_COMM_NULL_COPY_FN, nested, &nesting, NULL));
    OK(MPI_Comm_set_attr(comm, nesting, &own));
    OK(MPI_Comm_delete_attr(comm, nesting));
    CHECK(deletes == 4);

    int gone = own;
    OK(MPI_Comm_free_keyval(&own));
    CHECK(own == MPI_KEYVAL_INVALID);
    FAILS_WITH(MPI_ERR_KEYVAL, "freed", MPI_Comm_get_attr(comm, gone, &value, &flag));
    FAILS(MPI_ERR_KEYVAL, MPI_Comm_get_attr(comm, MPI_KEYVAL_INVALID, &value, &flag));
    FAILS_WITH(MPI_ERR_KEYVAL, "MPI_TAG_UB", MPI_Comm_set_attr(comm, MPI_TAG_UB, NULL));
    OK(MPI_Comm_create_keyval(no_copy, no_delete, &failing, NULL));
    OK(MPI_Comm_set_attr(comm, failing, NULL));
    FAILS(MPI_ERR_OTHER, MPI_Comm_dup(comm, &second));
    FAILS(MPI_ERR_OTHER, MPI_Comm_delete_attr(comm, failing));
    FAILS(MPI_ERR_OTHER, MPI_Comm_free(&comm));

    OK(MPI_Comm_get_attr(MPI_COMM_WORLD, MPI_TAG_UB, &number, &flag));
    CHECK(flag && *number >= 32767);
    OK(MPI_Comm_get_attr(MPI_COMM_WORLD, MPI_LASTUSEDCODE, &number, &flag));
    CHECK(flag && (*number >= MPI_ERR_LASTCODE || !ours()));

    MPI_Datatype type, twin;
    OK(MPI_Type_create_keyval(MPI_TYPE_DUP_FN, MPI_TYPE_NULL_DELETE_FN, &of_types, NULL));
    OK(MPI_Type_dup(MPI_INT, &type));
    OK(MPI_Type_set_attr(type, of_types, (void *)5));
    OK(MPI_Type_dup(type, &twin));
    OK(MPI_Type_get_attr(twin, of_types, &value, &flag));
    CHECK(flag && value == (void *)5);
    OK(MPI_Type_free(&twin));
    OK(MPI_Type_free(&type));
    FAILS_WITH(MPI_ERR_KEYVAL, "datatypes", MPI_Comm_set_attr(comm, of_types, NULL));
    FAILS(MPI_ERR_TYPE, MPI_Type_set_attr(MPI_DATATYPE_NULL, of_types, NULL));
    FAILS(MPI_ERR_WIN, MPI_Win_set_attr(MPI_WIN_NULL, of_types, NULL));
    OK(MPI_Type_free_keyval(&of_types));
    OK(MPI_Comm_free_keyval(&dup));
    OK(MPI_Comm_free_keyval(&none));
    OK(MPI_Comm_free_keyval(&nesting));
    OK(MPI_Comm_free_keyval(&failing));
}

static int handled, handled_code;
static MPI_Comm handled_comm;

static void handler(MPI_Comm *comm, int *code, ...)
{
    handled++;
    handled_comm = *comm;
    handled_code = *code;
}

static void handlers(void)
{
    MPI_Comm comm;
    MPI_Errhandler mine, got;
    int n;
    OK(MPI_Comm_dup(MPI_COMM_WORLD, &comm));
    OK(MPI_Comm_get_errhandler(comm, &got));
    CHECK(got == MPI_ERRORS_RETURN);
    OK(MPI_Errhandler_free(&got));
    OK(MPI_Comm_create_errhandler(handler, &mine));
    OK(MPI_Comm_set_errhandler(comm, mine));
    OK(MPI_Comm_get_errhandler(comm, &got));
    CHECK(got == mine);
    OK(MPI_Errhandler_free(&got));
    OK(MPI_Errhandler_free(&mine));
    CHECK(mine == MPI_ERRHANDLER_NULL);
    OK(MPI_Comm_call_errhandler(comm, MPI_ERR_TAG));
    CHECK(handled == 1 && handled_comm == comm && handled_code == MPI_ERR_TAG);
    FAILS(MPI_ERR_COMM, MPI_Comm_remote_size(comm, &n));
    CHECK(!ours() || (handled == 2 && handled_comm == comm));
    OK(MPI_Comm_free(&comm));
    OK(MPI_File_get_errhandler(MPI_FILE_NULL, &got));
    CHECK(got == MPI_ERRORS_RETURN || !ours());
    FAILS(MPI_ERR_COMM, MPI_Comm_size(MPI_COMM_NULL, &n));
    FAILS(MPI_ERR_ERRHANDLER, MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRHANDLER_NULL));
    FAILS(MPI_ERR_ERRHANDLER, MPI_Errhandler_free(&(MPI_Errhandler){MPI_ERRHANDLER_NULL}));
    FAILS(MPI_ERR_WIN, MPI_Win_call_errhandler(MPI_WIN_NULL, MPI_ERR_OTHER));
    FAILS(MPI_ERR_SESSION, MPI_Session_call_errhandler(MPI_SESSION_NULL, MPI_ERR_OTHER));
}

static void codes(void)
{
    int class, code, got, len;
    char text[MPI_MAX_ERROR_STRING];
    OK(MPI_Add_error_class(&class));
    OK(MPI_Add_error_code(class, &code));
    OK(MPI_Add_error_string(code, "mine"));
    OK(MPI_Error_class(code, &got));
    CHECK(got == class);
    OK(MPI_Error_string(code, text, &len));
    CHECK(len == 4 && !strcmp(text, "mine"));
    FAILS(MPI_ERR_ARG, MPI_Remove_error_class(class));
    FAILS(MPI_ERR_ARG, MPI_Remove_error_code(code));
    OK(MPI_Remove_error_string(code));
    OK(MPI_Remove_error_code(code));
    OK(MPI_Remove_error_class(class));
    FAILS(MPI_ERR_ARG, MPI_Add_error_string(MPI_ERR_RANK, "not yours"));
    for (class = 0; class <= MPI_ERR_ABI; class++) {
        OK(MPI_Error_class(class, &got));
        CHECK(got == class);
        OK(MPI_Error_string(class, text, &len));
        CHECK(len > 0);
    }
}

static void memory_and_place(void)
{
    void *base;
    char name[MPI_MAX_PROCESSOR_NAME];
    int n;
    MPI_Info info;
    OK(MPI_Alloc_mem(1000, MPI_INFO_NULL, &base));
    memset(base, 1, 1000);
    OK(MPI_Free_mem(base));
    FAILS_WITH(MPI_ERR_BASE, "MPI_Alloc_mem", MPI_Free_mem(name));
    FAILS(MPI_ERR_ARG, MPI_Alloc_mem(-1, MPI_INFO_NULL, &base));
    OK(MPI_Get_processor_name(name, &n));
    CHECK(n > 0 && (int)strlen(name) == n);
    OK(MPI_Get_hw_resource_info(&info));
    OK(MPI_Info_free(&info));
    OK(MPI_Is_thread_main(&n));
    CHECK(n);
}

static size_t ended;

/* MPI still works while attributes of MPI_COMM_SELF go, the last one first. */
static int at_end(MPI_Comm comm, int key, void *value, void *extra)
{
    int flag, r;
    (void)comm, (void)key, (void)extra;
    CHECK((size_t)value == 2 - ended);
    ended++;
    OK(MPI_Finalized(&flag));
    CHECK(!flag);
    OK(MPI_Comm_rank(MPI_COMM_WORLD, &r));
    return MPI_SUCCESS;
}

int main(int argc, char **argv)
{
    int flag;
    OK(MPI_Initialized(&flag));
    CHECK(!flag);
    start(&argc, &argv);
    OK(MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN));
    OK(MPI_Comm_set_errhandler(MPI_COMM_SELF, MPI_ERRORS_RETURN));
    groups();
    infos();
    attributes();
    handlers();
    codes();
    memory_and_place();
    for (size_t i = 1; i <= 2; i++) {
        int key;
        OK(MPI_Comm_create_keyval(MPI_COMM_NULL_COPY_FN, at_end, &key, NULL));
        OK(MPI_Comm_set_attr(MPI_COMM_SELF, key, (void *)i));
    }
    finish();
    CHECK(ended == 2);
    OK(MPI_Finalized(&flag));
    CHECK(flag);
    return 0;
}

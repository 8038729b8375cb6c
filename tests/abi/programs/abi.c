/* What needs no other process: versions, handles as numbers, addresses, what may be called at any time. */
#include "check.h"

static void before_and_after(int initialized, int finalized)
{
    int a = -1, b = -1, len = -1;
    static char text[MPI_MAX_LIBRARY_VERSION_STRING], error[MPI_MAX_ERROR_STRING];
    OK(MPI_Initialized(&a));
    OK(MPI_Finalized(&b));
    CHECK(a == initialized && b == finalized);
    OK(MPI_Get_version(&a, &b));
    CHECK(a == MPI_VERSION && b == MPI_SUBVERSION);
    OK(MPI_Abi_get_version(&a, &b));
    CHECK(a == MPI_ABI_VERSION && b == MPI_ABI_SUBVERSION);
    OK(MPI_Get_library_version(text, &len));
    CHECK(len > 0 && (size_t)len == strlen(text));
    OK(MPI_Error_class(MPI_ERR_RANK, &a));
    CHECK(a == MPI_ERR_RANK);
    OK(MPI_Error_string(MPI_ERR_RANK, error, &len));
    CHECK(len > 0 && (size_t)len == strlen(error));
}

static void numbers(void)
{
    /* Intel MPI 2021.18.1 has numbers of its own for predefined handles, and does not always find the way back. */
    int of_the_abi = !library_is("Intel");
    CHECK(MPI_Comm_toint(MPI_COMM_WORLD) == 0x101 || !of_the_abi);
    CHECK(MPI_Comm_fromint(0x101) == MPI_COMM_WORLD || !of_the_abi);
    CHECK(MPI_Type_toint(MPI_DOUBLE) == 0x214 || !of_the_abi);
    CHECK(MPI_Type_fromint(MPI_Type_toint(MPI_DOUBLE)) == MPI_DOUBLE);
    CHECK(MPI_Op_fromint(MPI_Op_toint(MPI_MAXLOC)) == MPI_MAXLOC);
    CHECK(MPI_Group_fromint(MPI_Group_toint(MPI_GROUP_EMPTY)) == MPI_GROUP_EMPTY);
    CHECK(MPI_Info_fromint(MPI_Info_toint(MPI_INFO_NULL)) == MPI_INFO_NULL);
    CHECK(MPI_Errhandler_fromint(MPI_Errhandler_toint(MPI_ERRORS_RETURN)) == MPI_ERRORS_RETURN);
    CHECK(MPI_Request_fromint(MPI_Request_toint(MPI_REQUEST_NULL)) == MPI_REQUEST_NULL);
    CHECK(MPI_Message_fromint(MPI_Message_toint(MPI_MESSAGE_NO_PROC)) == MPI_MESSAGE_NO_PROC);
    CHECK(MPI_Win_fromint(MPI_Win_toint(MPI_WIN_NULL)) == MPI_WIN_NULL);
    CHECK(MPI_File_fromint(MPI_File_toint(MPI_FILE_NULL)) == MPI_FILE_NULL);
    CHECK(MPI_Session_fromint(MPI_Session_toint(MPI_SESSION_NULL)) == MPI_SESSION_NULL);
    MPI_Comm comm;
    OK(MPI_Comm_dup(MPI_COMM_WORLD, &comm));
    int number = MPI_Comm_toint(comm);
    /* Not among the numbers of predefined handles, and the same each time. */
    CHECK((number < 0 || number >= 0x1000) && number == MPI_Comm_toint(comm));
    CHECK(MPI_Comm_fromint(number) == comm || !of_the_abi);
    OK(MPI_Comm_free(&comm));
    CHECK(comm == MPI_COMM_NULL);
}

static void sizes_of_the_abi(void)
{
    MPI_Info info;
    const char *keys[] = {"mpi_aint_size", "mpi_count_size", "mpi_offset_size"};
    size_t sizes[] = {sizeof(MPI_Aint), sizeof(MPI_Count), sizeof(MPI_Offset)};
    OK(MPI_Abi_get_info(&info));
    for (int i = 0; i < 3; i++) {
        char value[16];
        int len = sizeof value, found = 0;
        OK(MPI_Info_get_string(info, keys[i], &len, value, &found));
        CHECK(found && (size_t)atoi(value) == sizes[i]);
    }
    OK(MPI_Info_free(&info));
}

int main(int argc, char **argv)
{
    before_and_after(0, 0);
    start(&argc, &argv);
    before_and_after(1, 0);
    numbers();
    sizes_of_the_abi();
    int array[4];
    MPI_Aint a, b;
    OK(MPI_Get_address(&array[0], &a));
    OK(MPI_Get_address(&array[3], &b));
    CHECK(MPI_Aint_diff(b, a) == (MPI_Aint)(3 * sizeof(int)));
    CHECK(MPI_Aint_add(a, (MPI_Aint)(3 * sizeof(int))) == b);
    double then = MPI_Wtime();
    CHECK(MPI_Wtick() > 0 && MPI_Wtime() >= then);
    char name[MPI_MAX_PROCESSOR_NAME];
    int len;
    OK(MPI_Get_processor_name(name, &len));
    CHECK(len > 0 && (size_t)len == strlen(name));
    OK(MPI_Pcontrol(1));
    finish();
    before_and_after(1, 1);
    return 0;
}

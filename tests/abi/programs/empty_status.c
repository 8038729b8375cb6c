/* Where there was no operation the status is empty, with its error field (MPI-5.0 section 3.7.3). */
#include "check.h"

static MPI_Status touched(void)
{
    MPI_Status status = {.MPI_SOURCE = 77, .MPI_TAG = 77, .MPI_ERROR = MPI_ERR_OTHER};
    return status;
}

static void check_empty(MPI_Status status)
{
    int count = -1, cancelled = 1;
    CHECK(status.MPI_SOURCE == MPI_ANY_SOURCE && status.MPI_TAG == MPI_ANY_TAG);
    /* Intel MPI 2021.18.1 leaves the field. */
    CHECK(status.MPI_ERROR == MPI_SUCCESS || library_is("Intel"));
    OK(MPI_Get_count(&status, MPI_BYTE, &count));
    OK(MPI_Test_cancelled(&status, &cancelled));
    CHECK(count == 0 && !cancelled);
}

static void empty(void)
{
    int flag, index, value = 1;
    MPI_Request null[2] = {MPI_REQUEST_NULL, MPI_REQUEST_NULL}, inactive;
    MPI_Status status;
    OK(MPI_Send_init(&value, 1, MPI_INT, rank, 1, MPI_COMM_WORLD, &inactive));
    for (MPI_Request *request = &inactive;; request = null) {
        status = touched();
        OK(MPI_Wait(request, &status));
        check_empty(status);
        status = touched();
        OK(MPI_Test(request, &flag, &status));
        CHECK(flag);
        check_empty(status);
        status = touched();
        OK(MPI_Request_get_status(*request, &flag, &status));
        CHECK(flag);
        check_empty(status);
        if (request == null)
            break;
    }
    status = touched();
    OK(MPI_Waitany(2, null, &index, &status));
    CHECK(index == MPI_UNDEFINED);
    check_empty(status);
    status = touched();
    OK(MPI_Testany(2, null, &index, &flag, &status));
    CHECK(index == MPI_UNDEFINED && flag);
    check_empty(status);
    status = touched();
    OK(MPI_Request_get_status_any(2, null, &index, &flag, &status));
    CHECK(index == MPI_UNDEFINED && flag);
    check_empty(status);
    OK(MPI_Request_free(&inactive));
}

int main(int argc, char **argv)
{
    start(&argc, &argv);
    empty();
    finish();
    return 0;
}

/* Sizes of the predefined types; contiguous and vector types through messages and collectives. */
#include "check.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <wchar.h>

static void size_is(MPI_Datatype type, size_t bytes)
{
    int got = -1;
    MPI_Count large = -1;
    MPI_Aint lb = -1, extent = -1;
    OK(MPI_Type_size(type, &got));
    OK(MPI_Type_size_c(type, &large));
    OK(MPI_Type_get_extent(type, &lb, &extent));
    CHECK((size_t)got == bytes && (size_t)large == bytes && lb == 0 && (size_t)extent >= bytes);
}

static void predefined(void)
{
    size_is(MPI_CHAR, 1);
    size_is(MPI_SIGNED_CHAR, 1);
    size_is(MPI_UNSIGNED_CHAR, 1);
    size_is(MPI_BYTE, 1);
    size_is(MPI_PACKED, 1);
    size_is(MPI_WCHAR, sizeof(wchar_t));
    size_is(MPI_C_BOOL, sizeof(bool));
    size_is(MPI_SHORT, sizeof(short));
    size_is(MPI_INT, sizeof(int));
    size_is(MPI_LONG, sizeof(long));
    size_is(MPI_LONG_LONG, sizeof(long long));
    size_is(MPI_UNSIGNED_SHORT, sizeof(short));
    size_is(MPI_UNSIGNED, sizeof(int));
    size_is(MPI_UNSIGNED_LONG, sizeof(long));
    size_is(MPI_UNSIGNED_LONG_LONG, sizeof(long long));
    size_is(MPI_FLOAT, sizeof(float));
    size_is(MPI_DOUBLE, sizeof(double));
    size_is(MPI_LONG_DOUBLE, sizeof(long double));
    size_is(MPI_C_FLOAT_COMPLEX, 2 * sizeof(float));
    size_is(MPI_C_DOUBLE_COMPLEX, 2 * sizeof(double));
    size_is(MPI_C_LONG_DOUBLE_COMPLEX, 2 * sizeof(long double));
    size_is(MPI_INT8_T, 1);
    size_is(MPI_INT16_T, 2);
    size_is(MPI_INT32_T, 4);
    size_is(MPI_INT64_T, 8);
    size_is(MPI_UINT8_T, 1);
    size_is(MPI_UINT16_T, 2);
    size_is(MPI_UINT32_T, 4);
    size_is(MPI_UINT64_T, 8);
    size_is(MPI_AINT, sizeof(MPI_Aint));
    size_is(MPI_COUNT, sizeof(MPI_Count));
    size_is(MPI_OFFSET, sizeof(MPI_Offset));
    size_is(MPI_2INT, 2 * sizeof(int));
    size_is(MPI_FLOAT_INT, sizeof(float) + sizeof(int));
    size_is(MPI_DOUBLE_INT, sizeof(double) + sizeof(int));
    size_is(MPI_LONG_INT, sizeof(long) + sizeof(int));
    size_is(MPI_SHORT_INT, sizeof(short) + sizeof(int));
    MPI_Aint lb, extent;
    struct { double value; int index; } pair;
    OK(MPI_Type_get_extent(MPI_DOUBLE_INT, &lb, &extent));
    CHECK((size_t)extent == sizeof pair);
}

enum { ROWS = 300, COLUMNS = 200 };
static double matrix[ROWS][COLUMNS], column[ROWS], other[ROWS][COLUMNS];

static void columns(void)
{
    MPI_Datatype type, same;
    MPI_Aint lb, extent;
    MPI_Status status;
    int bytes, count;
    OK(MPI_Type_vector(ROWS, 1, COLUMNS, MPI_DOUBLE, &type));
    OK(MPI_Type_commit(&type));
    OK(MPI_Type_size(type, &bytes));
    OK(MPI_Type_get_extent(type, &lb, &extent));
    CHECK(bytes == ROWS * 8 && lb == 0 && extent == ((ROWS - 1) * COLUMNS + 1) * 8);
    int right = (rank + 1) % size, left = (rank + size - 1) % size;
    for (int r = 0; r < ROWS; r++)
        for (int c = 0; c < COLUMNS; c++)
            matrix[r][c] = 1e6 * rank + 1000 * r + c, other[r][c] = -1;
    /* A column to a plain array, and to another column. */
    MPI_Request requests[2];
    OK(MPI_Isend(&matrix[0][7], 1, type, right, 1, MPI_COMM_WORLD, &requests[0]));
    OK(MPI_Isend(&matrix[0][8], 1, type, right, 2, MPI_COMM_WORLD, &requests[1]));
    OK(MPI_Recv(column, ROWS, MPI_DOUBLE, left, 1, MPI_COMM_WORLD, &status));
    OK(MPI_Get_count(&status, MPI_DOUBLE, &count));
    CHECK(count == ROWS);
    OK(MPI_Recv(&other[0][3], 1, type, left, 2, MPI_COMM_WORLD, &status));
    OK(MPI_Get_count(&status, type, &count));
    CHECK(count == 1);
    OK(MPI_Waitall(2, requests, MPI_STATUSES_IGNORE));
    for (int r = 0; r < ROWS; r++) {
        CHECK(column[r] == 1e6 * left + 1000 * r + 7 && other[r][3] == 1e6 * left + 1000 * r + 8);
        CHECK(other[r][2] == -1 && other[r][4] == -1);
    }
    /* The same through a collective, and with a duplicate whose first handle is gone. */
    OK(MPI_Type_dup(type, &same));
    OK(MPI_Type_free(&type));
    CHECK(type == MPI_DATATYPE_NULL);
    OK(MPI_Bcast(&matrix[0][5], 1, same, 0, MPI_COMM_WORLD));
    for (int r = 0; r < ROWS; r++)
        CHECK(matrix[r][5] == 1000 * r + 5 && matrix[r][6] == 1e6 * rank + 1000 * r + 6);
    OK(MPI_Type_free(&same));
}

static void contiguous(void)
{
    MPI_Datatype triple, nested;
    MPI_Status status;
    int bytes, count;
    static int out[60], in[60];
    OK(MPI_Type_contiguous(3, MPI_INT, &triple));
    OK(MPI_Type_contiguous(2, triple, &nested));
    OK(MPI_Type_commit(&nested));
    OK(MPI_Type_free(&triple));
    OK(MPI_Type_size(nested, &bytes));
    CHECK(bytes == 24);
    for (int i = 0; i < 60; i++)
        out[i] = rank * 100 + i, in[i] = -1;
    int right = (rank + 1) % size, left = (rank + size - 1) % size;
    OK(MPI_Sendrecv(out, 5, nested, right, 0, in, 60, MPI_INT, left, 0, MPI_COMM_WORLD, &status));
    OK(MPI_Get_count(&status, nested, &count));
    CHECK(count == 5);
    for (int i = 0; i < 60; i++)
        CHECK(in[i] == (i < 30 ? left * 100 + i : -1));
    /* A part of an element: the count is undefined, the number of basic elements is not. */
    OK(MPI_Sendrecv(out, 8, MPI_INT, right, 0, in, 5, nested, left, 0, MPI_COMM_WORLD, &status));
    OK(MPI_Get_count(&status, nested, &count));
    CHECK(count == MPI_UNDEFINED);
    OK(MPI_Type_free(&nested));
}

int main(int argc, char **argv)
{
    start(&argc, &argv);
    predefined();
    columns();
    contiguous();
    finish();
    return 0;
}

/* Every predefined reduction on every kind of type, against the loop that it stands for. */
#include "check.h"
#include <complex.h>
#include <stdint.h>

enum { N = 37 };

#define LOOP(T, type, op, expression)                                      \
    do {                                                                   \
        T mine[N], all[N], want[N];                                        \
        for (int i = 0; i < N; i++) {                                      \
            want[i] = value_##T(0, i);                                     \
            for (int r = 1; r < size; r++) {                               \
                T x = want[i], y = value_##T(r, i);                        \
                want[i] = (T)(expression);                                 \
            }                                                              \
            mine[i] = value_##T(rank, i);                                  \
        }                                                                  \
        OK(MPI_Allreduce(mine, all, N, type, op, MPI_COMM_WORLD));         \
        for (int i = 0; i < N; i++)                                        \
            CHECK(all[i] == want[i]);                                      \
    } while (0)

#define VALUE(T) static T value_##T(int r, int i) { return (T)((r * 7 + i * 3) % 5 + (r + i) % 2); }

typedef signed char schar;
typedef unsigned char uchar;
typedef unsigned short ushort_;
typedef long long llong;
typedef unsigned long long ullong;
typedef unsigned long ulong_;
typedef long double ldouble;
typedef float complex cfloat;
typedef double complex cdouble;
typedef _Bool boolean;

VALUE(schar) VALUE(uchar) VALUE(short) VALUE(ushort_) VALUE(int) VALUE(unsigned) VALUE(long) VALUE(ulong_)
VALUE(llong) VALUE(ullong) VALUE(int8_t) VALUE(int16_t) VALUE(int32_t) VALUE(int64_t) VALUE(uint8_t) VALUE(uint16_t)
VALUE(uint32_t) VALUE(uint64_t) VALUE(float) VALUE(double) VALUE(ldouble) VALUE(cfloat) VALUE(cdouble)
VALUE(MPI_Aint) VALUE(MPI_Count) VALUE(MPI_Offset)

static boolean value_boolean(int r, int i) { return (r + i) % 3 != 0; }

#define ARITHMETIC(T, type)                     \
    LOOP(T, type, MPI_SUM, x + y);              \
    LOOP(T, type, MPI_PROD, x * y);             \
    LOOP(T, type, MPI_MAX, x > y ? x : y);      \
    LOOP(T, type, MPI_MIN, x < y ? x : y)
#define BITS(T, type)                           \
    LOOP(T, type, MPI_BAND, x & y);             \
    LOOP(T, type, MPI_BOR, x | y);              \
    LOOP(T, type, MPI_BXOR, x ^ y)
#define LOGIC(T, type)                          \
    LOOP(T, type, MPI_LAND, x && y);            \
    LOOP(T, type, MPI_LOR, x || y);             \
    LOOP(T, type, MPI_LXOR, !x != !y)
#define INTEGER(T, type) ARITHMETIC(T, type); BITS(T, type); LOGIC(T, type)

#define PAIR(name, T, type)                                                                    \
    do {                                                                                       \
        struct { T value; int index; } mine[N], all[N];                                        \
        for (int i = 0; i < N; i++)                                                            \
            mine[i].value = (T)((rank * 5 + i) % 3), mine[i].index = rank * 100 + i;           \
        OK(MPI_Allreduce(mine, all, N, type, MPI_MAXLOC, MPI_COMM_WORLD));                     \
        for (int i = 0; i < N; i++) {                                                          \
            int best = 0;                                                                      \
            for (int r = 1; r < size; r++)                                                     \
                if ((r * 5 + i) % 3 > (best * 5 + i) % 3)                                      \
                    best = r;                                                                  \
            CHECK(all[i].value == (T)((best * 5 + i) % 3) && all[i].index == best * 100 + i);  \
        }                                                                                      \
        OK(MPI_Allreduce(mine, all, N, type, MPI_MINLOC, MPI_COMM_WORLD));                     \
        for (int i = 0; i < N; i++) {                                                          \
            int best = 0;                                                                      \
            for (int r = 1; r < size; r++)                                                     \
                if ((r * 5 + i) % 3 < (best * 5 + i) % 3)                                      \
                    best = r;                                                                  \
            CHECK(all[i].value == (T)((best * 5 + i) % 3) && all[i].index == best * 100 + i);  \
        }                                                                                      \
    } while (0)

static void integers(void)
{
    INTEGER(schar, MPI_SIGNED_CHAR);
    INTEGER(uchar, MPI_UNSIGNED_CHAR);
    INTEGER(short, MPI_SHORT);
    INTEGER(ushort_, MPI_UNSIGNED_SHORT);
    INTEGER(int, MPI_INT);
    INTEGER(unsigned, MPI_UNSIGNED);
    INTEGER(long, MPI_LONG);
    INTEGER(ulong_, MPI_UNSIGNED_LONG);
    INTEGER(llong, MPI_LONG_LONG);
    INTEGER(ullong, MPI_UNSIGNED_LONG_LONG);
    INTEGER(int8_t, MPI_INT8_T);
    INTEGER(int16_t, MPI_INT16_T);
    INTEGER(int32_t, MPI_INT32_T);
    INTEGER(int64_t, MPI_INT64_T);
    INTEGER(uint8_t, MPI_UINT8_T);
    INTEGER(uint16_t, MPI_UINT16_T);
    INTEGER(uint32_t, MPI_UINT32_T);
    INTEGER(uint64_t, MPI_UINT64_T);
}

int main(int argc, char **argv)
{
    start(&argc, &argv);
    integers();
    ARITHMETIC(MPI_Aint, MPI_AINT);
    ARITHMETIC(MPI_Count, MPI_COUNT);
    ARITHMETIC(MPI_Offset, MPI_OFFSET);
    ARITHMETIC(float, MPI_FLOAT);
    ARITHMETIC(double, MPI_DOUBLE);
    ARITHMETIC(ldouble, MPI_LONG_DOUBLE);
    LOOP(cfloat, MPI_C_FLOAT_COMPLEX, MPI_SUM, x + y);
    LOOP(cfloat, MPI_C_FLOAT_COMPLEX, MPI_PROD, x * y);
    LOOP(cdouble, MPI_C_DOUBLE_COMPLEX, MPI_SUM, x + y);
    LOOP(cdouble, MPI_C_DOUBLE_COMPLEX, MPI_PROD, x * y);
    LOGIC(boolean, MPI_C_BOOL);
    LOOP(uint8_t, MPI_BYTE, MPI_BAND, x & y);
    LOOP(uint8_t, MPI_BYTE, MPI_BOR, x | y);
    PAIR(int, int, MPI_2INT);
    PAIR(float, float, MPI_FLOAT_INT);
    PAIR(double, double, MPI_DOUBLE_INT);
    PAIR(long, long, MPI_LONG_INT);
    PAIR(short, short, MPI_SHORT_INT);
    PAIR(long double, long double, MPI_LONG_DOUBLE_INT);
    /* A pair of an operation and a type that do not fit is an error. */
    float x = 1, y;
    int class = 0;
    return_errors(MPI_COMM_WORLD);
    OK(MPI_Error_class(MPI_Allreduce(&x, &y, 1, MPI_FLOAT, MPI_BAND, MPI_COMM_WORLD), &class));
    CHECK(class == MPI_ERR_OP);
    finish();
    return 0;
}

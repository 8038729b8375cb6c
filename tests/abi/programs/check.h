/* What every program here uses: a failed CHECK says where and ends the job. */
#ifndef CHECK_H
#define CHECK_H

#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int rank, size;

#define CHECK(what)                                                                        \
    do {                                                                                   \
        if (!(what)) {                                                                     \
            fprintf(stderr, "rank %d: %s:%d: not so: %s\n", rank, __FILE__, __LINE__, #what); \
            MPI_Abort(MPI_COMM_WORLD, 99);                                                 \
            abort();                                                                       \
        }                                                                                  \
    } while (0)

/* A call that must succeed. */
#define OK(call) CHECK((call) == MPI_SUCCESS)

__attribute__((unused)) static void start(int *argc, char ***argv)
{
    OK(MPI_Init(argc, argv));
    OK(MPI_Comm_rank(MPI_COMM_WORLD, &rank));
    OK(MPI_Comm_size(MPI_COMM_WORLD, &size));
}

/* Whether the library's version begins with these words. */
__attribute__((unused)) static int library_is(const char *words)
{
    static char text[MPI_MAX_LIBRARY_VERSION_STRING];
    int len;
    OK(MPI_Get_library_version(text, &len));
    return !strncmp(text, words, strlen(words));
}

/* Our own library, from which more is wanted where another has a known fault. */
__attribute__((unused)) static int ours(void)
{
    return library_is("oxmpi");
}

__attribute__((unused)) static void finish(void)
{
    OK(MPI_Barrier(MPI_COMM_WORLD));
    OK(MPI_Finalize());
}

#endif

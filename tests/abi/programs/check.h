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

static void return_code(MPI_Comm *comm, int *code, ...)
{
    (void)comm, (void)code;
}

/* Errors of the communicator give codes from now on. Intel MPI 2021.18.1 takes MPI_ERRORS_RETURN for MPI_ERRORS_ABORT:
   there a function that does nothing is the handler. */
__attribute__((unused)) static void return_errors(MPI_Comm comm)
{
    MPI_Errhandler handler = MPI_ERRORS_RETURN;
    if (library_is("Intel"))
        OK(MPI_Comm_create_errhandler(return_code, &handler));
    OK(MPI_Comm_set_errhandler(comm, handler));
    if (handler != MPI_ERRORS_RETURN)
        OK(MPI_Errhandler_free(&handler));
}

__attribute__((unused)) static void finish(void)
{
    OK(MPI_Barrier(MPI_COMM_WORLD));
    OK(MPI_Finalize());
}

#endif

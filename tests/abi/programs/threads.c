/* MPI_THREAD_MULTIPLE: threads of two ranks talk at the same time, each pair with its own tag. */
#include "check.h"
#include <pthread.h>

enum { THREADS = 4, MESSAGES = 300 };

static void *talk(void *argument)
{
    int tag = *(int *)argument, peer = rank ^ 1, sent, got;
    static const int lengths[] = {1, 100, 20000};
    int *out = malloc(sizeof(int) * 20000), *in = malloc(sizeof(int) * 20000);
    for (int i = 0; i < MESSAGES; i++) {
        int n = lengths[i % 50 == 49 ? 2 : i % 2];
        MPI_Status status;
        for (int k = 0; k < n; k++)
            out[k] = tag * 1000 + i + k;
        sent = n;
        if (rank == 0)
            OK(MPI_Send(out, sent, MPI_INT, peer, tag, MPI_COMM_WORLD));
        OK(MPI_Recv(in, 20000, MPI_INT, peer, tag, MPI_COMM_WORLD, &status));
        if (rank == 1)
            OK(MPI_Send(out, sent, MPI_INT, peer, tag, MPI_COMM_WORLD));
        OK(MPI_Get_count(&status, MPI_INT, &got));
        CHECK(got == n && status.MPI_TAG == tag);
        for (int k = 0; k < n; k++)
            CHECK(in[k] == tag * 1000 + i + k);
    }
    free(out);
    free(in);
    return NULL;
}

int main(int argc, char **argv)
{
    int provided = -1, level = -1, is_main = 0;
    OK(MPI_Init_thread(&argc, &argv, MPI_THREAD_MULTIPLE, &provided));
    OK(MPI_Query_thread(&level));
    OK(MPI_Is_thread_main(&is_main));
    CHECK(provided == MPI_THREAD_MULTIPLE && level == provided && is_main);
    OK(MPI_Comm_rank(MPI_COMM_WORLD, &rank));
    OK(MPI_Comm_size(MPI_COMM_WORLD, &size));
    CHECK(size >= 2);
    if (rank < 2) {
        pthread_t threads[THREADS];
        int tags[THREADS];
        for (int i = 0; i < THREADS; i++) {
            tags[i] = i + 1;
            CHECK(pthread_create(&threads[i], NULL, talk, &tags[i]) == 0);
        }
        for (int i = 0; i < THREADS; i++)
            CHECK(pthread_join(threads[i], NULL) == 0);
    }
    finish();
    return 0;
}

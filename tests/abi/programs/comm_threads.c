/* Threads that make and free communicators at the same time: each on a communicator of its own, by
   groups and tags on the same one, and by string tags (chapters 7 and 11.6 of the standard). */
#include "check.h"
#include <pthread.h>

enum { THREADS = 4, ROUNDS = 50 };

static MPI_Comm own[THREADS];
static MPI_Group world;

static void used(MPI_Comm comm)
{
    int one = 1, sum = 0;
    OK(MPI_Allreduce(&one, &sum, 1, MPI_INT, MPI_SUM, comm));
    CHECK(sum == size);
}

static void *work(void *argument)
{
    int me = (int)(size_t)argument, key;
    char tag[16];
    snprintf(tag, sizeof tag, "thread %d", me);
    for (int i = 0; i < ROUNDS; i++) {
        MPI_Comm comm, part;
        MPI_Info info;
        OK(MPI_Comm_dup(own[me], &comm));
        used(comm);
        OK(MPI_Comm_split(comm, 0, -rank, &part));
        used(part);
        OK(MPI_Comm_create_keyval(MPI_COMM_DUP_FN, MPI_COMM_NULL_DELETE_FN, &key, NULL));
        OK(MPI_Comm_set_attr(part, key, NULL));
        OK(MPI_Comm_free(&part));
        OK(MPI_Comm_free_keyval(&key));
        OK(MPI_Comm_free(&comm));
        OK(MPI_Comm_create_group(MPI_COMM_WORLD, world, me, &comm));
        used(comm);
        OK(MPI_Comm_free(&comm));
        OK(MPI_Comm_create_from_group(world, tag, MPI_INFO_NULL, MPI_ERRORS_ARE_FATAL, &comm));
        used(comm);
        OK(MPI_Comm_free(&comm));
        OK(MPI_Info_create(&info));
        OK(MPI_Info_set(info, "key", tag));
        OK(MPI_Info_free(&info));
    }
    return NULL;
}

int main(int argc, char **argv)
{
    int provided;
    pthread_t threads[THREADS];
    OK(MPI_Init_thread(&argc, &argv, MPI_THREAD_MULTIPLE, &provided));
    CHECK(provided == MPI_THREAD_MULTIPLE);
    OK(MPI_Comm_rank(MPI_COMM_WORLD, &rank));
    OK(MPI_Comm_size(MPI_COMM_WORLD, &size));
    OK(MPI_Comm_group(MPI_COMM_WORLD, &world));
    for (int i = 0; i < THREADS; i++)
        OK(MPI_Comm_dup(MPI_COMM_WORLD, &own[i]));
    for (int i = 0; i < THREADS; i++)
        CHECK(!pthread_create(&threads[i], NULL, work, (void *)(size_t)i));
    for (int i = 0; i < THREADS; i++)
        CHECK(!pthread_join(threads[i], NULL));
    for (int i = 0; i < THREADS; i++)
        OK(MPI_Comm_free(&own[i]));
    OK(MPI_Group_free(&world));
    finish();
    return 0;
}

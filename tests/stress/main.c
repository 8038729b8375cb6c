/* Messages of all kinds between all ranks, each byte checked: see README.md in this folder.
 *
 *   mpiexec -n 4 stress [-m messages] [-s seed] [-t threads per rank] [-p: say how far it is]
 *
 * SIGUSR1 and SIGUSR2 end a rank at once with exit code 3 or 0, whatever it is doing (for kills.py). */
#include "stress.h"
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <time.h>
#include <unistd.h>

static int world_rank;

void wrong(const char *format, ...)
{
    char text[1000];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    fprintf(stderr, "stress: rank %d: %s\n", world_rank, text);
    MPI_Abort(MPI_COMM_WORLD, 9);
    abort();
}

void mpi_failed(int code, const char *call, const char *file, int line)
{
    char text[MPI_MAX_ERROR_STRING];
    int length;
    MPI_Error_string(code, text, &length);
    wrong("%s:%d: %s: %s", file, line, call, text);
}

static void leave(int signal)
{
    _exit(signal == SIGUSR1 ? 3 : 0);
}

static void *run(void *lane)
{
    lane_run(lane);
    return NULL;
}

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

int main(int argc, char **argv)
{
    unsigned long long messages = 100000, seed = 1;
    int threads = 2, processes = 0, option, provided, ranks;
    while ((option = getopt(argc, argv, "m:s:t:p")) != -1) {
        switch (option) {
        case 'm': messages = strtoull(optarg, NULL, 10); break;
        case 's': seed = strtoull(optarg, NULL, 10); break;
        case 't': threads = atoi(optarg); break;
        case 'p': processes = 1; break;
        default: return 2;
        }
    }
    signal(SIGUSR1, leave);
    signal(SIGUSR2, leave);
    OK(MPI_Init_thread(&argc, &argv, MPI_THREAD_MULTIPLE, &provided));
    OK(MPI_Comm_rank(MPI_COMM_WORLD, &world_rank));
    OK(MPI_Comm_size(MPI_COMM_WORLD, &ranks));
    OK(MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN));
    OK(MPI_Comm_set_errhandler(MPI_COMM_SELF, MPI_ERRORS_RETURN));
    if (provided != MPI_THREAD_MULTIPLE || threads < 1)
        wrong("threads");
    Lane *lanes = calloc(threads, sizeof *lanes);
    pthread_t *others = calloc(threads, sizeof *others);
    for (int i = 0; i < threads; i++) {
        Lane *lane = &lanes[i];
        *lane = (Lane){.number = i, .rank = world_rank, .ranks = ranks, .seed = seed, .messages = messages / threads};
        lane->own.state = mixed(seed ^ mixed(1000ull * i + world_rank));
        pool_make(&lane->pool, 8 << 20);
        for (int kind = 0; kind < KINDS; kind++) {
            OK(MPI_Comm_dup(MPI_COMM_WORLD, &lane->comm[kind]));
            OK(MPI_Comm_attach_buffer(lane->comm[kind], MPI_BUFFER_AUTOMATIC, 0));
        }
    }
    OK(MPI_Barrier(MPI_COMM_WORLD));
    if (processes) {
        printf("rank %d is process %d\n", world_rank, (int)getpid());
        fflush(stdout);
    }
    double begun = seconds();
    for (int i = 1; i < threads; i++)
        if (pthread_create(&others[i], NULL, run, &lanes[i]))
            wrong("no thread");
    lane_run(&lanes[0]);
    for (int i = 1; i < threads; i++)
        pthread_join(others[i], NULL);
    uint64_t mine[2] = {0, 0}, all[2];
    for (int i = 0; i < threads; i++) {
        mine[0] += lanes[i].done;
        mine[1] += lanes[i].bytes;
    }
    if (processes) {
        printf("rank %d has everything\n", world_rank);
        fflush(stdout);
    }
    OK(MPI_Reduce(mine, all, 2, MPI_UINT64_T, MPI_SUM, 0, MPI_COMM_WORLD));
    double took = seconds() - begun;
    if (world_rank == 0)
        printf("%llu messages, %.1f GB, %d ranks of %d threads, seed %llu: every byte as it was sent; %.1f s, %.0f per second\n",
               (unsigned long long)all[0], (double)all[1] * 1e-9, ranks, threads, seed, took, (double)all[0] / took);
    for (int i = 0; i < threads; i++)
        for (int kind = 0; kind < KINDS; kind++) {
            void *address;
            int size;
            OK(MPI_Comm_detach_buffer(lanes[i].comm[kind], &address, &size));
            OK(MPI_Comm_free(&lanes[i].comm[kind]));
        }
    OK(MPI_Finalize());
    return 0;
}

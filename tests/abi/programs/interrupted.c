/* Calls that are given up because of a signal (as the extension does for Ctrl-C, by OXMPI_Set_wait_hooks): when they have
 * returned, nothing uses their buffers any more, and what was sent arrives all the same, as it was. */
#define _GNU_SOURCE
#include "check.h"
#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <sys/time.h>
#include <unistd.h>

enum { MIDDLE = 1 << 20, LARGE = 16 << 20 };

static int give_up;

static int signals(void) { return give_up; }
static void nothing(int number) { (void)number; }

static void install(void)
{
    static struct {
        int version;
        void (*block)(void), (*unblock)(void);
        int (*signals)(void);
    } hooks = {1, NULL, NULL, signals};
    struct sigaction action = {.sa_handler = nothing};
    void *self = dlopen("libmpi_abi.so.1", RTLD_NOW | RTLD_NOLOAD);
    CHECK(self);
    int (*set)(const void *) = (int (*)(const void *))dlsym(self, "OXMPI_Set_wait_hooks");
    CHECK(set && set(&hooks) == 0);
    CHECK(sigaction(SIGALRM, &action, NULL) == 0);
    OK(MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN));
    OK(MPI_Comm_set_errhandler(MPI_COMM_SELF, MPI_ERRORS_RETURN));
}

/* Waits of this rank are given up from now on (on), or last again. */
static void interrupts(int on)
{
    struct itimerval every = {{0, on ? 10000 : 0}, {0, on ? 10000 : 0}};
    give_up = on;
    CHECK(setitimer(ITIMER_REAL, &every, NULL) == 0);
}

/* The call was given up. */
#define GIVEN_UP(call)                          \
    do {                                        \
        int class_;                             \
        interrupts(1);                          \
        int code_ = (call);                     \
        interrupts(0);                          \
        OK(MPI_Error_class(code_, &class_));    \
        CHECK(class_ == MPI_ERR_OTHER);         \
    } while (0)

static char *filled(int bytes, int seed)
{
    char *memory = malloc(bytes);
    CHECK(memory);
    for (int i = 0; i < bytes; i++)
        memory[i] = (char)(seed + i % 241);
    return memory;
}

static void is_filled(const char *memory, int bytes, int seed)
{
    for (int i = 0; i < bytes; i++)
        CHECK(memory[i] == (char)(seed + i % 241));
}

/* To oneself: the send of a pair waits for nobody, the receive for a message that does not come. */
static void pairs(void)
{
    char *out = filled(MIDDLE, 1), *in = filled(MIDDLE, 2), *fresh = filled(MIDDLE, 3);
    GIVEN_UP(MPI_Sendrecv(out, MIDDLE, MPI_CHAR, 0, 7, in, MIDDLE, MPI_CHAR, 0, 5, MPI_COMM_SELF, MPI_STATUS_IGNORE));
    memset(out, 0, MIDDLE);
    OK(MPI_Recv(fresh, MIDDLE, MPI_CHAR, 0, 7, MPI_COMM_SELF, MPI_STATUS_IGNORE));
    is_filled(fresh, MIDDLE, 1);
    OK(MPI_Send(fresh, MIDDLE, MPI_CHAR, 0, 5, MPI_COMM_SELF));
    is_filled(in, MIDDLE, 2);
    OK(MPI_Recv(out, MIDDLE, MPI_CHAR, 0, 5, MPI_COMM_SELF, MPI_STATUS_IGNORE));
    is_filled(out, MIDDLE, 1);

    GIVEN_UP(MPI_Sendrecv_replace(in, MIDDLE, MPI_CHAR, 0, 7, 0, 5, MPI_COMM_SELF, MPI_STATUS_IGNORE));
    /* What the call had copied is likely to be taken by these. */
    char *others[8];
    for (int i = 0; i < 8; i++)
        others[i] = filled(MIDDLE, 50 + i);
    memset(in, 0, MIDDLE);
    OK(MPI_Recv(fresh, MIDDLE, MPI_CHAR, 0, 7, MPI_COMM_SELF, MPI_STATUS_IGNORE));
    is_filled(fresh, MIDDLE, 2);
    for (int i = 0; i < 8; i++)
        free(others[i]);

    /* The request that all finished sends share is still good. */
    MPI_Request request;
    GIVEN_UP(MPI_Sendrecv(out, 0, MPI_CHAR, MPI_PROC_NULL, 0, in, 1, MPI_CHAR, 0, 5, MPI_COMM_SELF, MPI_STATUS_IGNORE));
    GIVEN_UP(MPI_Sendrecv(out, 1, MPI_CHAR, (rank + 1) % size, 6, in, 1, MPI_CHAR, rank, 5, MPI_COMM_WORLD,
                          MPI_STATUS_IGNORE));
    OK(MPI_Isend(out, 1, MPI_CHAR, MPI_PROC_NULL, 0, MPI_COMM_SELF, &request));
    OK(MPI_Wait(&request, MPI_STATUS_IGNORE));
    OK(MPI_Recv(in, 1, MPI_CHAR, (rank + size - 1) % size, 6, MPI_COMM_WORLD, MPI_STATUS_IGNORE));
    CHECK(in[0] == out[0]);

    /* A receive may promise more than there is memory; only what comes is needed. */
    GIVEN_UP(MPI_Recv_c(in, (MPI_Count)1 << 60, MPI_CHAR, 0, 9, MPI_COMM_SELF, MPI_STATUS_IGNORE));
    free(out), free(in), free(fresh);
}

/* Rank 1 gives a message up that rank 0 has not matched, and changes its buffer at once. */
static void sends(int bytes)
{
    if (rank == 1) {
        char *out = filled(bytes, 4);
        GIVEN_UP(MPI_Ssend(out, bytes, MPI_CHAR, 0, 1, MPI_COMM_WORLD));
        memset(out, 0, bytes);
        OK(MPI_Send(NULL, 0, MPI_CHAR, 0, 2, MPI_COMM_WORLD));
        OK(MPI_Recv(out, bytes, MPI_CHAR, 0, 3, MPI_COMM_WORLD, MPI_STATUS_IGNORE));
        is_filled(out, bytes, 4);
        free(out);
    } else if (rank == 0) {
        char *in = malloc(bytes);
        OK(MPI_Recv(NULL, 0, MPI_CHAR, 1, 2, MPI_COMM_WORLD, MPI_STATUS_IGNORE));
        OK(MPI_Recv(in, bytes, MPI_CHAR, 1, 1, MPI_COMM_WORLD, MPI_STATUS_IGNORE));
        is_filled(in, bytes, 4);
        OK(MPI_Send(in, bytes, MPI_CHAR, 1, 3, MPI_COMM_WORLD));
        free(in);
    }
    OK(MPI_Barrier(MPI_COMM_WORLD));
}

static int other;

static void *let_go(void *unused)
{
    (void)unused;
    usleep(200000);
    kill(other, SIGCONT);
    return NULL;
}

/* Rank 0 has matched a message whose sender is stopped, and gives the receive up. */
static void receives(int bytes, int matched)
{
    if (rank == 1) {
        char *out = filled(bytes, 5);
        int own = getpid();
        OK(MPI_Send(&own, 1, MPI_INT, 0, 1, MPI_COMM_WORLD));
        OK(MPI_Send(out, bytes, MPI_CHAR, 0, 2, MPI_COMM_WORLD));
        free(out);
    } else if (rank == 0) {
        char *in = filled(bytes, 6), *before = malloc(bytes);
        MPI_Message message;
        pthread_t thread;
        OK(MPI_Recv(&other, 1, MPI_INT, 1, 1, MPI_COMM_WORLD, MPI_STATUS_IGNORE));
        OK(MPI_Mprobe(1, 2, MPI_COMM_WORLD, &message, MPI_STATUS_IGNORE));
        CHECK(kill(other, SIGSTOP) == 0);
        if (matched) {
            CHECK(pthread_create(&thread, NULL, let_go, NULL) == 0);
            GIVEN_UP(MPI_Mrecv(in, bytes, MPI_CHAR, &message, MPI_STATUS_IGNORE));
        } else {
            MPI_Request request;
            OK(MPI_Imrecv(in, bytes, MPI_CHAR, &message, &request));
            CHECK(pthread_create(&thread, NULL, let_go, NULL) == 0);
            GIVEN_UP(MPI_Wait(&request, MPI_STATUS_IGNORE));
            /* The request is the user's own: it goes on, and ends as any other. */
            OK(MPI_Wait(&request, MPI_STATUS_IGNORE));
            is_filled(in, bytes, 5);
        }
        memcpy(before, in, bytes);
        CHECK(pthread_join(thread, NULL) == 0);
        /* The rest of the message passes by. */
        OK(MPI_Recv(NULL, 0, MPI_CHAR, 1, 3, MPI_COMM_WORLD, MPI_STATUS_IGNORE));
        CHECK(!memcmp(before, in, bytes));
        free(in), free(before);
    }
    if (rank == 1)
        OK(MPI_Send(NULL, 0, MPI_CHAR, 0, 3, MPI_COMM_WORLD));
    OK(MPI_Barrier(MPI_COMM_WORLD));
}

int main(int argc, char **argv)
{
    start(&argc, &argv);
    install();
    pairs();
    for (int i = 0; size > 1 && i < 3; i++) {
        sends(MIDDLE);
        sends(LARGE);
        receives(MIDDLE, 1);
        receives(LARGE, 1);
        receives(MIDDLE, 0);
        receives(LARGE, 0);
    }
    /* A message that nobody will receive does not hold up the end. */
    if (rank == 0)
        GIVEN_UP(MPI_Ssend(&rank, 1, MPI_INT, size - 1, 99, MPI_COMM_WORLD));
    finish();
    return 0;
}

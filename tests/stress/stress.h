/* What the parts of the stress program share; README.md in this folder says what it does. */
#ifndef STRESS_H
#define STRESS_H

#include <mpi.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Random numbers that a seed determines (splitmix64). */
typedef struct {
    uint64_t state;
} Random;

static inline uint64_t mixed(uint64_t z)
{
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
}

static inline uint64_t next(Random *random)
{
    return mixed(random->state += 0x9e3779b97f4a7c15ull);
}

/* Less than n. */
static inline unsigned below(Random *random, unsigned n)
{
    return (unsigned)((next(random) >> 32) * n >> 32);
}

static inline int percent(Random *random, unsigned p)
{
    return below(random, 100) < p;
}

/* How a message is sent. What comes after Isend is not blocking. */
typedef enum { SEND, SSEND, BSEND, RSEND, SENDRECV, ISEND, ISSEND, IBSEND, IRSEND, ISENDRECV, SEND_INIT, SSEND_INIT,
               BSEND_INIT, RSEND_INIT, CANCELLED_SEND, SEND_WAYS } SendWay;

/* When its receive is there: before anything is sent, or only later; SHORT: with too little room; ASKED: later,
 * when a second message has said whether the first was cancelled. */
typedef enum { EARLY, LATE, SHORT, ASKED } RecvWay;

/* What receives of a communicator of a lane can say. */
typedef enum { EXACT, WILD, ORDERED, KINDS } Kind;

/* A message that all ranks of a round know of. */
typedef struct {
    int source, dest, tag;
    Kind kind;
    SendWay send;
    RecvWay recv;
    int unit;   /* of its values, in bytes: 1, 4 or 8 */
    int repeat; /* how often a persistent one is started */
    size_t size;
    uint64_t key; /* of what is in it */
} Message;

/* Where the bytes of a message lie: runs of memory in the order of the message, and the same as a datatype. */
typedef struct {
    char *memory; /* with its margins */
    size_t length;
    ptrdiff_t origin; /* of the type, in it */
    char *buffer; /* what MPI gets */
    MPI_Count count;
    MPI_Datatype type;
    int own; /* the type is to be freed */
    int runs;
    struct run {
        ptrdiff_t at; /* from memory */
        size_t bytes;
    } *run;
    size_t bytes; /* of the message */
} Layout;

/* Memory that a round uses and then forgets. */
typedef struct {
    char *memory;
    size_t used, room;
    void *large[4096];
    int larges;
} Pool;

void pool_make(Pool *pool, size_t room);
void *pool_take(Pool *pool, size_t bytes);
void pool_empty(Pool *pool);

/* A random way to lay out a message of so many bytes in values of `unit` bytes. */
void layout_make(Layout *layout, Pool *pool, Random *random, size_t bytes, int unit);
void layout_free(Layout *layout);
/* Fills with the pattern of `key`. */
void layout_fill(const Layout *layout, uint64_t key);
/* Prepares for a receive: marks what no message may touch. */
void layout_guard(const Layout *layout);
/* Whether the first `bytes` are the pattern and all around is as it was; else says what is wrong. */
int layout_check(const Layout *layout, uint64_t key, size_t bytes);

/* Ends the job with a sentence. */
void wrong(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

#define OK(call)                                                                   \
    do {                                                                           \
        int code_ = (call);                                                        \
        if (code_ != MPI_SUCCESS)                                                  \
            mpi_failed(code_, #call, __FILE__, __LINE__);                          \
    } while (0)

void mpi_failed(int code, const char *call, const char *file, int line) __attribute__((noreturn));

/* One thread's share of the job: the same number on all ranks. */
typedef struct {
    int number, rank, ranks;
    uint64_t seed;
    uint64_t messages; /* to be received by all ranks in this lane, at the least */
    uint64_t done, bytes; /* so far, by this rank */
    uint64_t round;
    MPI_Comm comm[KINDS];
    Pool pool;
    Random own; /* for what the others need not know */
} Lane;

/* Everything from the first to the last round. */
void lane_run(Lane *lane);

#endif

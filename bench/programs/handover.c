/* One cache line handed to and fro between two processes: what no message can beat.
   Compiled by handover.py. */

#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>

/* So often a word is looked at before the processor is given away: only where both
   processes have come to run on one. */
#define LOOKS 20000

static void wait_for(_Atomic uint64_t *word, uint64_t value)
{
    for (unsigned looks = 0; atomic_load_explicit(word, memory_order_acquire) != value;)
        if (++looks % LOOKS == 0)
            sched_yield();
}

/* The word counts up from 0; the first process writes the odd numbers, the other one
   the even ones. After it the word is twice the number of round trips. */
void hand_over(_Atomic uint64_t *word, int first, uint64_t round_trips)
{
    for (uint64_t i = 0; i < round_trips; ++i) {
        if (first) {
            atomic_store_explicit(word, 2 * i + 1, memory_order_release);
            wait_for(word, 2 * i + 2);
        } else {
            wait_for(word, 2 * i + 1);
            atomic_store_explicit(word, 2 * i + 2, memory_order_release);
        }
    }
}

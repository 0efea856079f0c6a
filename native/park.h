/* Waiting for another process to publish, without a system call when nobody waits.
 *
 * A cursor is one 32-bit word: a count (upper 31 bits, wraps) and, in its lowest bit, "somebody sleeps on me".
 *
 *   Who may do what                                   changes
 *   publisher (one at a time, holds its side's lock)   adds to the count, clears the bit
 *   sleeper   (one at a time, holds the other lock)    sets the bit
 *
 * Always true:
 *   1. A sleeper is asleep only while the word still has the value it saw: the kernel compares before it sleeps.
 *   2. The count and the wake are one step. With the bit clear nobody sleeps, and a compare-and-swap publishes.
 *      With the bit set, one FUTEX_WAKE_OP adds to the count, clears the bit and wakes, inside the kernel. So a
 *      publisher killed at any instruction has either published and woken, or done neither.
 *   3. Only a publication clears the bit. A sleeper that gives up, or is killed, leaves it set, and the next
 *      publisher does one needless system call. Why the one that gives up must not clear it: a publisher may have
 *      seen the bit and be on its way into the kernel, to add what takes the bit away with it.
 *
 * Spinning: see mh_spin. Deadlines are CLOCK_MONOTONIC nanoseconds; MH_NO_WAIT and MH_FOREVER are the two ends.
 * MH_TRY is a MH_NO_WAIT that does not even give a busy lock's holder a moment (message.c): for callers that hold
 * something which others need, such as an interpreter's lock.
 */
#ifndef MH_PARK_H
#define MH_PARK_H

#include "atomics.h"
#include "status.h"

typedef struct {
    mh_atomic32 word;
} mh_cursor;

#define MH_NO_WAIT UINT64_C(0)
#define MH_TRY UINT64_C(1)
#define MH_FOREVER UINT64_MAX

/* A process's own experience with spinning at one place. Not shared, not precise, guarded by the sleeper's lock. */
typedef struct {
    uint32_t skip;     /* park at once this many times more */
    uint32_t failures; /* spins in a row that found nothing */
} mh_spin;

uint64_t mh_now_ns(void);

/* Longest spin before parking, ns; 0 parks at once. Set once at start. */
extern uint32_t mh_spin_ns;

/* A main thread sleeps no longer than this at a time, then its wait is MH_INTERRUPTED; 0: as long as it likes. A signal
 * that arrives after the interpreter has looked for one, and before the thread sleeps, does not end the sleep: without
 * this a Ctrl-C in those microseconds would not be seen before the next message. */
extern uint64_t mh_nap_ns;

static inline uint32_t mh_count_of(uint32_t word) { return word >> 1; }
static inline uint32_t mh_count_relaxed(const mh_cursor *c) { return mh_count_of(load_relaxed(&c->word)); }
static inline uint32_t mh_count_acquire(const mh_cursor *c) { return mh_count_of(load_acquire(&c->word)); }

/* How far `later` is ahead of `earlier`, both 31-bit counts. */
static inline uint32_t mh_distance(uint32_t earlier, uint32_t later) { return (later - earlier) & 0x7fffffffu; }

/* Add `n` to the count and wake whoever sleeps on it. */
void mh_publish(mh_cursor *cursor, uint32_t n);

/* Sleep until the count is not `seen`. MH_OK, MH_TIMEOUT or MH_INTERRUPTED. */
mh_status mh_wait(mh_cursor *cursor, uint32_t seen, uint64_t deadline, mh_spin *spin);

/* A word of the calling thread's choice: while it is not 0 every wait of this thread returns MH_INTERRUPTED instead
 * of going back to sleep. Who sets it must wake the sleepers, again and again until they have left. */
extern __thread mh_atomic32 *mh_cancelled;

/* The bare futex, for the lock. */
mh_status mh_futex_wait(mh_atomic32 *word, uint32_t expected, uint64_t deadline);
void mh_futex_wake(mh_atomic32 *word, int how_many);

#endif

/* Futex waits, and the publish that counts and wakes in one step. See park.h for the rules. */
#include "park.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "kill_points.h"

#define SLEEPER 1u
#define WAKE_OP_MOST 1023u /* FUTEX_WAKE_OP adds a signed 12-bit number; 2 * 1023 - 1 fits */

uint32_t mh_spin_ns = 0;
uint64_t mh_nap_ns = 0;
__thread mh_atomic32 *mh_cancelled;

uint64_t mh_now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* Shorten a long wait of the main thread. */
static bool is_nap(uint64_t *deadline) {
    if (mh_nap_ns == 0 || syscall(SYS_gettid) != getpid()) return false;
    uint64_t end = mh_now_ns() + mh_nap_ns;
    if (end >= *deadline) return false;
    *deadline = end;
    return true;
}

mh_status mh_futex_wait(mh_atomic32 *word, uint32_t expected, uint64_t deadline) {
    if (mh_cancelled != NULL && load_acquire(mh_cancelled)) return MH_INTERRUPTED;
    bool nap = is_nap(&deadline);
    struct timespec until = {(time_t)(deadline / 1000000000u), (long)(deadline % 1000000000u)};
    struct timespec *timeout = deadline == MH_FOREVER ? NULL : &until;
    long got = syscall(SYS_futex, word, FUTEX_WAIT_BITSET, expected, timeout, NULL, FUTEX_BITSET_MATCH_ANY);
    if (got == 0 || errno == EAGAIN) return MH_OK; /* woken, or the word had already changed */
    if (errno == ETIMEDOUT) return nap ? MH_INTERRUPTED : MH_TIMEOUT;
    return MH_INTERRUPTED; /* EINTR; nothing else is possible on a mapped word */
}

void mh_futex_wake(mh_atomic32 *word, int how_many) { syscall(SYS_futex, word, FUTEX_WAKE, how_many, NULL, NULL, 0); }

/* The word has the sleeper's bit: add to the count, clear the bit and wake, all in the kernel. */
static void publish_and_wake(mh_cursor *cursor, uint32_t n) {
#ifndef __SANITIZE_THREAD__ /* ThreadSanitizer does not see what the kernel writes */
    int op = FUTEX_OP(FUTEX_OP_ADD, (int)(2 * n - SLEEPER), FUTEX_OP_CMP_EQ, 0);
    if (syscall(SYS_futex, &cursor->word, FUTEX_WAKE_OP, INT_MAX, 0, &cursor->word, op) >= 0) return;
#endif
    atomic_fetch_add_explicit(&cursor->word, 2 * n - SLEEPER, memory_order_release);
    mh_futex_wake(&cursor->word, INT_MAX);
}

void mh_publish(mh_cursor *cursor, uint32_t n) {
    while (n > 0) {
        uint32_t word = load_relaxed(&cursor->word);
        if (!(word & SLEEPER)) {
            /* PAIR(publish): whoever acquires this count sees the slots and data behind it. */
            if (cas_seq_cst(&cursor->word, &word, word + 2 * n)) return;
            continue; /* a sleeper has set its bit meanwhile */
        }
        uint32_t step = n < WAKE_OP_MOST ? n : WAKE_OP_MOST;
        publish_and_wake(cursor, step);
        n -= step;
    }
}

/* Spin only where spinning has paid.
 *
 * Waking a process that sleeps on another, idle core takes 20 to 50 us; a waiter that still looks sees the change
 * in well under one. But when more processes want to run than there are cores, a spin only takes time from the one
 * that is waited for. So each waiter remembers: a spin that found something keeps spinning on; each that did not
 * doubles the number of waits that park at once before the next try. A spin that was itself taken off its core is
 * the plainest sign that cores are short, and counts as many failures.
 */
#define SPIN_FAILURES_MOST 8u       /* at the worst one wait in 256 spins */
#define SPIN_DESCHEDULED_NS 200000u /* a gap in the clock that long: somebody else ran here */

static bool spin_until_changed(const mh_cursor *cursor, uint32_t seen, mh_spin *spin) {
    if (mh_spin_ns == 0) return false;
    if (spin->skip > 0) {
        spin->skip--;
        return false;
    }
    uint64_t start = mh_now_ns(), now = start, last;
    do {
        for (int i = 0; i < 16; i++) {
            if (mh_count_acquire(cursor) != seen) {
                spin->failures = 0;
                return true;
            }
            cpu_relax();
        }
        last = now;
        now = mh_now_ns();
    } while (now - start < mh_spin_ns);
    spin->failures += now - last > SPIN_DESCHEDULED_NS ? SPIN_FAILURES_MOST : 1;
    if (spin->failures > SPIN_FAILURES_MOST) spin->failures = SPIN_FAILURES_MOST;
    spin->skip = (1u << spin->failures) - 1;
    return false;
}

mh_status mh_wait(mh_cursor *cursor, uint32_t seen, uint64_t deadline, mh_spin *spin) {
    if (spin_until_changed(cursor, seen, spin)) return MH_OK;
    for (;;) {
        uint32_t word = load_acquire(&cursor->word); /* PAIR(publish) */
        if (mh_count_of(word) != seen) return MH_OK;
        if (!(word & SLEEPER) && !cas_acq_rel(&cursor->word, &word, word | SLEEPER)) continue;
        MH_POINT(ring_parked);
        mh_status status = mh_futex_wait(&cursor->word, word | SLEEPER, deadline);
        if (status == MH_OK) continue;
        return mh_count_acquire(cursor) != seen ? MH_OK : status; /* the bit stays: see rule 3 */
    }
}

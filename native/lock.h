/* A lock between processes that its owner's death cannot keep.
 *
 * Not pthread's: a wait for a robust pthread mutex cannot be interrupted by a signal, and Ctrl-C must work.
 * This one uses the same kernel service, the robust list (see robust_list(2)), by its "pending operation" alone:
 * before a thread touches the lock word it writes the lock's address into its robust head, and erases it after it
 * has released the lock. If the thread dies in between, the kernel looks at that one address: a word that names
 * the dead thread becomes OWNER_DIED and a waiter is woken; a word without owner gets a waiter woken, in case the
 * dead thread had just released it or had just been woken itself.
 *
 *   word    thread id of the owner | FUTEX_WAITERS | FUTEX_OWNER_DIED
 *   waiters how many threads are inside the slow path
 *
 * Always true:
 *   1. A thread holds at most one mh_lock, and calls no robust pthread mutex while it does.
 *   2. A thread asleep on the word has counted itself in `waiters` and seen FUTEX_WAITERS in the word.
 *   3. Whoever takes the lock while others are counted takes it with FUTEX_WAITERS set, so that a release, or
 *      the kernel after a death, wakes one of them.
 *   4. A waiter that dies leaves `waiters` too high: each later release then costs one needless system call.
 *   5. No Python code, callback or allocation that could run some happens under the lock.
 */
#ifndef MH_LOCK_H
#define MH_LOCK_H

#include <sys/types.h>

#include "park.h"

typedef struct {
    mh_atomic32 word;
    mh_atomic32 waiters;
} mh_lock;

/* Take the lock. MH_OK, MH_AGAIN (deadline MH_NO_WAIT or MH_TRY), MH_TIMEOUT, MH_INTERRUPTED, MH_SYSTEM (no robust
 * list). `owner_died` is set when the last owner died inside: the caller repairs what the lock guards. */
mh_status mh_lock_acquire(mh_lock *lock, uint64_t deadline, bool *owner_died);

void mh_lock_release(mh_lock *lock);

/* getpid() without the system call. */
pid_t mh_pid(void);

#endif

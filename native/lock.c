/* The robust lock of lock.h. */
#include "lock.h"

#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kill_points.h"

/* What this thread told the kernel. The head belongs to the C library, which registers one for every thread. */
static __thread struct robust_list_head *head;
static __thread uint32_t own_tid;
static pid_t own_pid;

static void forget_after_fork(void) {
    head = NULL;
    own_tid = 0;
    own_pid = 0;
}

static void forget_in_children(void) { pthread_atfork(NULL, NULL, forget_after_fork); }

static pthread_once_t once = PTHREAD_ONCE_INIT;

pid_t mh_pid(void) {
    pthread_once(&once, forget_in_children);
    if (own_pid == 0) own_pid = getpid();
    return own_pid;
}

static mh_status know_thyself(void) {
    size_t size;
    pthread_once(&once, forget_in_children);
    if (syscall(SYS_get_robust_list, 0, &head, &size) != 0) return MH_SYSTEM;
    if (head == NULL) {
        errno = ENOSYS;
        return MH_SYSTEM;
    }
    own_tid = (uint32_t)syscall(SYS_gettid);
    return MH_OK;
}

/* The kernel reads the field when the thread is dead, so only the compiler must keep the order. */
static void set_pending(void *address) {
    atomic_signal_fence(memory_order_seq_cst);
    *(void *volatile *)&head->list_op_pending = address;
    atomic_signal_fence(memory_order_seq_cst);
}

static void *entry_of(mh_lock *lock) { return (char *)&lock->word - head->futex_offset; }

/* One attempt. `counted` is 1 when the caller is itself counted among the waiters. */
static bool try_take(mh_lock *lock, uint32_t counted, bool *owner_died) {
    uint32_t word = load_relaxed(&lock->word);
    while (!(word & FUTEX_TID_MASK)) {
        uint32_t others = load_seq_cst(&lock->waiters) > counted ? FUTEX_WAITERS : 0;
        uint32_t waiters = (word & FUTEX_WAITERS) | others;
        if (cas_seq_cst(&lock->word, &word, own_tid | waiters)) { /* PAIR(lock) */
            if (word & FUTEX_OWNER_DIED) *owner_died = true;
            return true;
        }
    }
    return false;
}

static mh_status wait_and_take(mh_lock *lock, uint64_t deadline, bool *owner_died) {
    mh_status status = MH_OK;
    add_seq_cst(&lock->waiters, 1);
    MH_POINT(lock_waiting);
    while (!try_take(lock, 1, owner_died)) {
        uint32_t word = load_relaxed(&lock->word);
        if (!(word & FUTEX_TID_MASK)) continue;
        if (!(word & FUTEX_WAITERS) && !cas_seq_cst(&lock->word, &word, word | FUTEX_WAITERS)) continue;
        status = mh_futex_wait(&lock->word, word | FUTEX_WAITERS, deadline);
        if (status != MH_OK) break;
    }
    add_seq_cst(&lock->waiters, (uint32_t)-1);
    return status;
}

mh_status mh_lock_acquire(mh_lock *lock, uint64_t deadline, bool *owner_died) {
    if (own_tid == 0) {
        mh_status known = know_thyself();
        if (known != MH_OK) return known;
    }
    set_pending(entry_of(lock));
    MH_POINT(lock_pending);
    mh_status status = MH_OK;
    if (!try_take(lock, 0, owner_died))
        status = deadline <= MH_TRY ? MH_AGAIN : wait_and_take(lock, deadline, owner_died);
    if (status != MH_OK) set_pending(NULL);
    else MH_POINT(lock_taken);
    return status;
}

void mh_lock_release(mh_lock *lock) {
    uint32_t word = exchange_release(&lock->word, 0); /* PAIR(lock) */
    MH_POINT(lock_released);
    if (word & FUTEX_WAITERS) mh_futex_wake(&lock->word, 1);
    set_pending(NULL);
}

/* The lock of lock.h: exclusion, waiting, and what a dead owner leaves. */
#include "check.h"

#include <linux/futex.h>

#include "kill_points.h"
#include "lock.h"

typedef struct {
    mh_lock lock;
    mh_atomic32 inside, got, died;
    uint64_t counter;
} shared_lock;

static shared_lock *fresh(void) { return check_shared(sizeof(shared_lock)); }

static void a_free_lock_is_taken_and_released(void) {
    shared_lock *at = fresh();
    bool died = false;
    CHECK(mh_lock_acquire(&at->lock, MH_NO_WAIT, &died) == MH_OK);
    CHECK(load_relaxed(&at->lock.word) != 0);
    mh_lock_release(&at->lock);
    CHECK(load_relaxed(&at->lock.word) == 0 && !died);
}

static void *try_without_waiting(void *with) {
    bool died = false;
    return (void *)(intptr_t)mh_lock_acquire(&((shared_lock *)with)->lock, MH_NO_WAIT, &died);
}

static void *try_for_a_millisecond(void *with) {
    bool died = false;
    return (void *)(intptr_t)mh_lock_acquire(&((shared_lock *)with)->lock, mh_now_ns() + 1000000, &died);
}

static intptr_t result_of(pthread_t thread) {
    void *result;
    CHECK(pthread_join(thread, &result) == 0);
    return (intptr_t)result;
}

static void a_held_lock_refuses_and_a_deadline_ends_the_wait(void) {
    shared_lock *at = fresh();
    bool died = false;
    CHECK(mh_lock_acquire(&at->lock, MH_FOREVER, &died) == MH_OK);
    CHECK(result_of(check_thread(try_without_waiting, at)) == MH_AGAIN);
    CHECK(result_of(check_thread(try_for_a_millisecond, at)) == MH_TIMEOUT);
    CHECK(load_relaxed(&at->lock.waiters) == 0);
    mh_lock_release(&at->lock);
}

#define ROUNDS 20000

static void *count_under_the_lock(void *with) {
    shared_lock *at = with;
    for (int i = 0; i < ROUNDS; i++) {
        bool died = false;
        mh_status status;
        do status = mh_lock_acquire(&at->lock, i % 3 ? MH_FOREVER : mh_now_ns() + 20000, &died);
        while (status == MH_TIMEOUT);
        CHECK(status == MH_OK && !died);
        at->counter++;
        mh_lock_release(&at->lock);
    }
    return NULL;
}

static void threads_exclude_each_other_and_no_wake_is_lost(void) {
    shared_lock *at = fresh();
    pthread_t thread[4];
    for (int i = 0; i < 4; i++) thread[i] = check_thread(count_under_the_lock, at);
    for (int i = 0; i < 4; i++) pthread_join(thread[i], NULL);
    CHECK(at->counter == 4 * ROUNDS);
    CHECK(load_relaxed(&at->lock.word) == 0 && load_relaxed(&at->lock.waiters) == 0);
}

static void *wait_for_ever(void *with) {
    shared_lock *at = with;
    bool died = false;
    mh_status status = mh_lock_acquire(&at->lock, MH_FOREVER, &died);
    if (status == MH_OK) mh_lock_release(&at->lock);
    store_release(&at->got, 1);
    return (void *)(intptr_t)status;
}

static void nothing(int signal) { (void)signal; }

static void a_signal_interrupts_the_wait(void) {
    shared_lock *at = fresh();
    bool died = false;
    struct sigaction action = {.sa_handler = nothing};
    sigaction(SIGUSR1, &action, NULL);
    CHECK(mh_lock_acquire(&at->lock, MH_FOREVER, &died) == MH_OK);
    pthread_t thread = check_thread(wait_for_ever, at);
    while (!load_acquire(&at->got)) {
        pthread_kill(thread, SIGUSR1);
        check_breathe();
    }
    CHECK(result_of(thread) == MH_INTERRUPTED);
    mh_lock_release(&at->lock);
}

static mh_atomic32 cancelled;

static void *wait_cancellably(void *with) {
    mh_cancelled = &cancelled;
    return wait_for_ever(with);
}

static void a_cancelled_thread_leaves_its_wait(void) {
    shared_lock *at = fresh();
    bool died = false;
    CHECK(mh_lock_acquire(&at->lock, MH_FOREVER, &died) == MH_OK);
    pthread_t thread = check_thread(wait_cancellably, at);
    UNTIL(load_acquire(&at->lock.waiters) == 1);
    store_release(&cancelled, 1);
    while (!load_acquire(&at->got)) {
        mh_futex_wake(&at->lock.word, INT32_MAX);
        check_breathe();
    }
    CHECK(result_of(thread) == MH_INTERRUPTED);
    mh_lock_release(&at->lock);
}

#ifndef __SANITIZE_THREAD__
static void take_it_and_stay(void *with) {
    shared_lock *at = with;
    bool died = false;
    CHECK(mh_lock_acquire(&at->lock, MH_FOREVER, &died) == MH_OK);
    store_release(&at->inside, 1);
    for (;;) pause();
}

static void take_it_once(void *with) {
    shared_lock *at = with;
    bool died = false;
    CHECK(mh_lock_acquire(&at->lock, MH_FOREVER, &died) == MH_OK);
    store_release(&at->died, died);
    add_acq_rel(&at->got, 1);
    mh_lock_release(&at->lock);
}

static void a_killed_owner_hands_the_lock_on_and_says_so_once(void) {
    shared_lock *at = fresh();
    bool died = false, again = false;
    pid_t owner = check_child(take_it_and_stay, at);
    UNTIL(load_acquire(&at->inside));
    CHECK(mh_lock_acquire(&at->lock, MH_NO_WAIT, &died) == MH_AGAIN);
    check_killed(owner);
    CHECK(mh_lock_acquire(&at->lock, MH_FOREVER, &died) == MH_OK && died);
    mh_lock_release(&at->lock);
    CHECK(mh_lock_acquire(&at->lock, MH_FOREVER, &again) == MH_OK && !again);
    mh_lock_release(&at->lock);
}

static void a_killed_owner_wakes_a_sleeper(void) {
    shared_lock *at = fresh();
    pid_t owner = check_child(take_it_and_stay, at);
    UNTIL(load_acquire(&at->inside));
    pid_t sleeper = check_child(take_it_once, at);
    UNTIL(load_acquire(&at->lock.waiters) == 1);
    check_killed(owner);
    CHECK(check_ended(sleeper) == 0 && load_acquire(&at->died) == 1);
}

/* A parent that had taken locks forks: what it knew of itself must not be believed by the child. */
static void a_forked_child_is_its_own_owner(void) {
    shared_lock *at = fresh();
    bool died = false;
    CHECK(mh_lock_acquire(&at->lock, MH_FOREVER, &died) == MH_OK);
    mh_lock_release(&at->lock);
    pid_t owner = check_child(take_it_and_stay, at);
    UNTIL(load_acquire(&at->inside));
    check_killed(owner);
    CHECK(mh_lock_acquire(&at->lock, mh_now_ns() + 5000000000u, &died) == MH_OK && died);
    mh_lock_release(&at->lock);
}

/* Sleepers are killed one after the other while the lock goes round: whoever is left gets it. */
static void killed_sleepers_do_not_swallow_the_wake(void) {
    shared_lock *at = fresh();
    for (int round = 0; round < 30; round++) {
        bool died = false;
        CHECK(mh_lock_acquire(&at->lock, MH_FOREVER, &died) == MH_OK);
        uint32_t before = load_acquire(&at->lock.waiters), got = load_acquire(&at->got);
        pid_t first = check_child(take_it_once, at), second = check_child(take_it_once, at);
        UNTIL(load_acquire(&at->lock.waiters) == before + 2);
        mh_lock_release(&at->lock);
        kill(first, SIGKILL);
        check_ended(first);
        CHECK(check_ended(second) == 0 && load_acquire(&at->got) > got);
    }
}

#ifdef MH_KILL_POINTS
static void die_when_released(mh_point point) {
    if (point == MH_AT_lock_released) kill(getpid(), SIGKILL);
}

static void take_it_and_die_releasing(void *with) {
    shared_lock *at = with;
    bool died = false;
    mh_point_hook = die_when_released;
    CHECK(mh_lock_acquire(&at->lock, MH_FOREVER, &died) == MH_OK);
    store_release(&at->inside, 1);
    UNTIL(load_acquire(&at->lock.word) & FUTEX_WAITERS);
    check_breathe(); /* the sleeper is about to sleep, and most often does */
    mh_lock_release(&at->lock);
}

static void a_death_between_release_and_wake_wakes_the_next(void) {
    for (int round = 0; round < 20; round++) {
        shared_lock *at = fresh();
        pid_t owner = check_child(take_it_and_die_releasing, at);
        UNTIL(load_acquire(&at->inside));
        pid_t sleeper = check_child(take_it_once, at);
        CHECK(check_was_killed(check_ended(owner)));
        CHECK(check_ended(sleeper) == 0 && !load_acquire(&at->died));
    }
}
#endif
#endif

int main(void) {
    RUN(a_free_lock_is_taken_and_released);
    RUN(a_held_lock_refuses_and_a_deadline_ends_the_wait);
    RUN(threads_exclude_each_other_and_no_wake_is_lost);
    RUN(a_signal_interrupts_the_wait);
    RUN(a_cancelled_thread_leaves_its_wait);
#ifndef __SANITIZE_THREAD__
    RUN(a_killed_owner_hands_the_lock_on_and_says_so_once);
    RUN(a_killed_owner_wakes_a_sleeper);
    RUN(a_forked_child_is_its_own_owner);
    RUN(killed_sleepers_do_not_swallow_the_wake);
#ifdef MH_KILL_POINTS
    RUN(a_death_between_release_and_wake_wakes_the_next);
#endif
#endif
    return 0;
}

/* The cursors of park.h: counting, sleeping, waking, and the moments in between. */
#include "check.h"
#include "park.h"

typedef struct {
    mh_cursor cursor;
    mh_atomic32 ready, stop;
    uint32_t times, step;
} shared_cursor;

static shared_cursor *fresh(void) { return check_shared(sizeof(shared_cursor)); }

static mh_spin park_at_once(void) { return (mh_spin){UINT32_MAX, 0}; }

static void publishing_adds_and_the_count_wraps(void) {
    shared_cursor *at = fresh();
    mh_publish(&at->cursor, 3);
    CHECK(mh_count_acquire(&at->cursor) == 3);
    store_relaxed(&at->cursor.word, 0x7fffffffu << 1);
    mh_publish(&at->cursor, 2);
    CHECK(mh_count_acquire(&at->cursor) == 1);
    CHECK(mh_distance(0x7fffffffu, 1) == 2);
}

static void a_changed_count_is_not_waited_for(void) {
    shared_cursor *at = fresh();
    mh_spin spin = park_at_once();
    mh_publish(&at->cursor, 1);
    CHECK(mh_wait(&at->cursor, 0, MH_FOREVER, &spin) == MH_OK);
}

static void a_deadline_ends_the_sleep(void) {
    shared_cursor *at = fresh();
    mh_spin spin = park_at_once();
    CHECK(mh_wait(&at->cursor, 0, mh_now_ns() + 1000000, &spin) == MH_TIMEOUT);
    CHECK(mh_wait(&at->cursor, 0, MH_NO_WAIT, &spin) == MH_TIMEOUT);
    CHECK(mh_count_acquire(&at->cursor) == 0);
}

static void *publish_many(void *with) {
    shared_cursor *at = with;
    for (uint32_t i = 0; i < at->times; i++) {
        mh_publish(&at->cursor, at->step);
        if (i % 64 == 0) sched_yield();
    }
    return NULL;
}

/* Publish one at a time, each after a random while, until it has gone wrong or was right often enough. */
static void *publish_hesitantly(void *with) {
    shared_cursor *at = with;
    uint64_t random = 88172645463325252u;
    for (uint32_t i = 0; i < at->times; i++) {
        uint64_t until = mh_now_ns() + check_random(&random) % 40000;
        while (mh_now_ns() < until) cpu_relax();
        mh_publish(&at->cursor, 1);
        CHECK(mh_count_acquire(&at->cursor) == i + 1);
    }
    store_release(&at->stop, 1);
    return NULL;
}

/* A sleeper that gives up just when the publisher has seen it asleep: the count must not notice. */
static void a_sleeper_that_gives_up_does_not_disturb_the_count(void) {
    shared_cursor *at = fresh();
    mh_spin spin = park_at_once();
    at->times = 40000;
    prctl(PR_SET_TIMERSLACK, 1);
    pthread_t publisher = check_thread(publish_hesitantly, at);
    uint64_t random = 362436069u;
    while (!load_acquire(&at->stop)) {
        uint32_t seen = mh_count_acquire(&at->cursor);
        mh_status status = mh_wait(&at->cursor, seen, mh_now_ns() + check_random(&random) % 20000, &spin);
        CHECK(status == MH_OK || status == MH_TIMEOUT);
    }
    pthread_join(publisher, NULL);
    CHECK(mh_count_acquire(&at->cursor) == at->times);
}

static void *sleep_through(void *with) {
    shared_cursor *at = with;
    mh_spin spin = park_at_once();
    for (uint32_t seen = 0; seen < at->times * at->step; seen = mh_count_acquire(&at->cursor)) {
        store_release(&at->ready, 1);
        CHECK(mh_wait(&at->cursor, seen, MH_FOREVER, &spin) == MH_OK);
    }
    return NULL;
}

static void each_sleeper_is_woken(void) {
    shared_cursor *at = fresh();
    at->times = 50000;
    at->step = 1;
    pthread_t sleeper = check_thread(sleep_through, at);
    publish_many(at);
    pthread_join(sleeper, NULL);
}

static void a_publication_larger_than_the_kernel_can_add_arrives_whole(void) {
    shared_cursor *at = fresh();
    at->times = 20;
    at->step = 5000;
    pthread_t sleeper = check_thread(sleep_through, at);
    UNTIL(load_acquire(&at->cursor.word) & 1);
    publish_many(at);
    pthread_join(sleeper, NULL);
    CHECK(mh_count_acquire(&at->cursor) == 100000);
}

static mh_atomic32 cancelled;

static void *sleep_cancellably(void *with) {
    shared_cursor *at = with;
    mh_spin spin = park_at_once();
    mh_cancelled = &cancelled;
    mh_status status = mh_wait(&at->cursor, 0, MH_FOREVER, &spin);
    store_release(&at->stop, 1);
    return (void *)(intptr_t)status;
}

static void a_cancelled_sleeper_leaves(void) {
    shared_cursor *at = fresh();
    void *status;
    pthread_t sleeper = check_thread(sleep_cancellably, at);
    UNTIL(load_acquire(&at->cursor.word) & 1);
    store_release(&cancelled, 1);
    while (!load_acquire(&at->stop)) {
        mh_futex_wake(&at->cursor.word, INT32_MAX);
        check_breathe();
    }
    pthread_join(sleeper, &status);
    CHECK((intptr_t)status == MH_INTERRUPTED);
}

static void *sleep_spinning(void *with) {
    shared_cursor *at = with;
    mh_spin spin = {0, 0};
    for (uint32_t seen = 0; seen < at->times; seen = mh_count_acquire(&at->cursor))
        CHECK(mh_wait(&at->cursor, seen, MH_FOREVER, &spin) == MH_OK);
    return NULL;
}

static void a_spinning_waiter_sees_everything_too(void) {
    shared_cursor *at = fresh();
    at->times = 20000;
    at->step = 1;
    mh_spin_ns = 5000;
    pthread_t waiter = check_thread(sleep_spinning, at);
    publish_many(at);
    pthread_join(waiter, NULL);
    mh_spin_ns = 0;
}

#ifndef __SANITIZE_THREAD__
static void sleep_for_ever(void *with) {
    mh_spin spin = park_at_once();
    mh_wait(&((shared_cursor *)with)->cursor, 0, MH_FOREVER, &spin);
}

static void a_killed_sleeper_costs_one_wake_and_no_count(void) {
    shared_cursor *at = fresh();
    pid_t sleeper = check_child(sleep_for_ever, at);
    UNTIL(load_acquire(&at->cursor.word) & 1);
    check_killed(sleeper);
    CHECK(load_acquire(&at->cursor.word) == 1);
    mh_publish(&at->cursor, 1);
    CHECK(load_acquire(&at->cursor.word) == 2);
}
#endif

int main(void) {
    RUN(publishing_adds_and_the_count_wraps);
    RUN(a_changed_count_is_not_waited_for);
    RUN(a_deadline_ends_the_sleep);
    RUN(each_sleeper_is_woken);
    RUN(a_publication_larger_than_the_kernel_can_add_arrives_whole);
    RUN(a_cancelled_sleeper_leaves);
    RUN(a_spinning_waiter_sees_everything_too);
#ifndef __SANITIZE_THREAD__
    RUN(a_killed_sleeper_costs_one_wake_and_no_count);
#endif
    RUN(a_sleeper_that_gives_up_does_not_disturb_the_count);
    return 0;
}

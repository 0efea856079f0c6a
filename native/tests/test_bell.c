/* The bell of a ring: a reader that waits by poll, for other things too, misses no entry. See mh_ring_want_bell.
 *
 * Each writer puts one entry and waits until it was taken. So a wake-up that is lost is never made up for by the next
 * one: the poll, which is patient, ends without anything, and the test fails.
 */
#include "check.h"
#include "message.h"

#include <poll.h>
#include <sys/eventfd.h>

#define ROUNDS 20000u
#define PATIENCE_MS 10000

typedef struct {
    mh_ring ring; /* its bell_fd is set where it is written */
    int bell;
    uint32_t rounds;
    bool alternate;    /* the reader waits now by poll, now in the ring */
    mh_atomic32 taken; /* by the reader */
} tower;

static tower *tower_open(uint32_t rounds) {
    tower *all = check_shared(sizeof *all);
    mh_ring_options options = {0, 2, 8, 4096, 0};
    CHECK(mh_ring_create(&all->ring, &options) == MH_OK);
    CHECK(all->ring.bell_fd == -1);
    all->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    CHECK(all->bell >= 0);
    all->rounds = rounds;
    return all;
}

static void tower_close(tower *all) {
    close(all->bell);
    mh_ring_detach(&all->ring);
    munmap(all, sizeof *all);
}

static void put(mh_ring *ring, uint32_t number) {
    mh_part part = {&number, sizeof number};
    mh_message message = {.kind = 0, .parts = 1, .part = &part};
    CHECK(mh_message_put(ring, &message, NULL, MH_FOREVER, false) == MH_OK);
}

/* False: there is none. */
static bool take(mh_ring *ring, uint32_t number, uint64_t deadline) {
    mh_entry entry;
    uint32_t got;
    mh_status status = mh_message_next(ring, &entry, NULL, deadline);
    if (status != MH_OK) return false;
    memcpy(&got, entry.bytes, sizeof got);
    CHECK(got == number);
    mh_ring_advance(ring, &entry);
    mh_ring_unlock_read(ring);
    return true;
}

/* How often it has rung. */
static uint64_t rung(const tower *all) {
    uint64_t times = 0;
    return read(all->bell, &times, sizeof times) == sizeof times ? times : 0;
}

/* ---- one step at a time ---- */

static void nobody_rings_who_has_no_bell(void) {
    tower *all = tower_open(0);
    CHECK(mh_ring_want_bell(&all->ring, true) == 0);
    put(&all->ring, 1);
    CHECK(rung(all) == 0 && load_relaxed(&all->ring.shared->bell_wanted) == 1);
    tower_close(all);
}

static void a_bell_that_nobody_wants_is_not_rung(void) {
    tower *all = tower_open(0);
    all->ring.bell_fd = all->bell;
    put(&all->ring, 1);
    CHECK(rung(all) == 0);
    CHECK(mh_ring_want_bell(&all->ring, true) == 1);
    CHECK(mh_ring_want_bell(&all->ring, false) == 1);
    put(&all->ring, 2);
    CHECK(rung(all) == 0);
    tower_close(all);
}

static void a_bell_is_rung_once_for_each_wish(void) {
    tower *all = tower_open(0);
    all->ring.bell_fd = all->bell;
    for (uint32_t wish = 0; wish < 3; wish++) {
        CHECK(mh_ring_want_bell(&all->ring, true) == 3 * wish);
        for (uint32_t i = 0; i < 3; i++) put(&all->ring, 3 * wish + i);
        CHECK(rung(all) == 1);
    }
    for (uint32_t i = 0; i < 9; i++) CHECK(take(&all->ring, i, MH_NO_WAIT));
    CHECK(mh_ring_want_bell(&all->ring, false) == 0);
    tower_close(all);
}

static void several_entries_at_once_ring_once(void) {
    tower *all = tower_open(0);
    uint32_t number = 5;
    mh_batch batch;
    bool note_left;
    mh_part part = {&number, sizeof number};
    mh_message message = {.kind = 0, .parts = 1, .part = &part};
    all->ring.bell_fd = all->bell;
    mh_ring_want_bell(&all->ring, true);
    CHECK(mh_ring_lock_write(&all->ring, MH_FOREVER, &batch, &note_left) == MH_OK);
    for (int i = 0; i < 4; i++) CHECK(mh_message_add(&all->ring, &batch, &message, false) == MH_OK);
    CHECK(rung(all) == 0);
    mh_ring_submit(&all->ring, &batch);
    mh_ring_unlock_write(&all->ring);
    CHECK(rung(all) == 1 && mh_ring_unread(&all->ring) == 4);
    tower_close(all);
}

/* ---- no wake-up is lost ---- */

/* Until there is an entry; as a pool's supervisor does it. */
static void wait_for_the_bell(tower *all) {
    struct pollfd poll_on = {.fd = all->bell, .events = POLLIN};
    while (mh_ring_want_bell(&all->ring, true) == 0) {
        CHECK(poll(&poll_on, 1, PATIENCE_MS) == 1); /* 0: it was not rung */
        CHECK(rung(all) > 0);
    }
    mh_ring_want_bell(&all->ring, false);
}

static void read_by_the_bell(tower *all) {
    uint64_t random = 5;
    for (uint32_t i = 0; i < all->rounds; i++) {
        for (uint64_t wait = check_random(&random) % 60; wait > 0; wait--) cpu_relax();
        if (!all->alternate || check_random(&random) % 2) wait_for_the_bell(all);
        CHECK(take(&all->ring, i, mh_now_ns() + PATIENCE_MS * UINT64_C(1000000)));
        store_release(&all->taken, i + 1);
    }
}

static void write_and_ring(void *with) {
    tower *all = with;
    mh_ring mine = all->ring;
    uint64_t random = 11;
    mine.bell_fd = all->bell;
    for (uint32_t i = 0; i < all->rounds; i++) {
        for (uint64_t wait = check_random(&random) % 60; wait > 0; wait--) cpu_relax();
        put(&mine, i);
        while (load_acquire(&all->taken) <= i) sched_yield();
    }
}

static void *write_as_a_thread(void *with) {
    write_and_ring(with);
    return NULL;
}

static void with_a_thread(uint32_t rounds, bool alternate) {
    tower *all = tower_open(rounds);
    all->alternate = alternate;
    pthread_t writer = check_thread(write_as_a_thread, all);
    read_by_the_bell(all);
    pthread_join(writer, NULL);
    tower_close(all);
}

static void a_reader_that_polls_misses_no_entry_of_a_thread(void) { with_a_thread(ROUNDS, false); }
static void a_reader_that_polls_or_sleeps_in_the_ring_misses_no_entry(void) { with_a_thread(ROUNDS, true); }

#ifndef __SANITIZE_THREAD__
static void a_reader_that_polls_misses_no_entry_of_a_process(void) {
    tower *all = tower_open(ROUNDS);
    pid_t writer = check_child(write_and_ring, all);
    read_by_the_bell(all);
    CHECK(check_ended(writer) == 0);
    tower_close(all);
}

/* A writer that died before it rang leaves its entry; who looks when it has died finds it. */
static void put_and_die(void *with) {
    mh_ring mine = ((tower *)with)->ring;
    put(&mine, 0); /* no bell_fd: as far as others can see it never came to ring */
    kill(getpid(), SIGKILL);
}

static void who_looks_after_a_death_finds_what_was_not_rung_for(void) {
    tower *all = tower_open(1);
    CHECK(mh_ring_want_bell(&all->ring, true) == 0);
    CHECK(check_was_killed(check_ended(check_child(put_and_die, all))));
    CHECK(rung(all) == 0 && mh_ring_want_bell(&all->ring, true) == 1);
    CHECK(take(&all->ring, 0, MH_NO_WAIT));
    tower_close(all);
}
#endif

int main(void) {
    RUN(nobody_rings_who_has_no_bell);
    RUN(a_bell_that_nobody_wants_is_not_rung);
    RUN(a_bell_is_rung_once_for_each_wish);
    RUN(several_entries_at_once_ring_once);
    RUN(a_reader_that_polls_misses_no_entry_of_a_thread);
    RUN(a_reader_that_polls_or_sleeps_in_the_ring_misses_no_entry);
#ifndef __SANITIZE_THREAD__
    RUN(a_reader_that_polls_misses_no_entry_of_a_process);
    RUN(who_looks_after_a_death_finds_what_was_not_rung_for);
#endif
    return 0;
}

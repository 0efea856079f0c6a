/* The ring of ring.h by itself: order, room, levels, limits, counts that wrap, and writers that died half way. */
#include "check.h"
#include "kill_points.h"
#include "message.h"

static mh_ring fresh(uint32_t max_items, uint32_t levels, uint32_t slots, uint64_t max_heavy) {
    mh_ring ring;
    mh_ring_options options = {max_items, levels, slots, 4096, max_heavy};
    CHECK(mh_ring_create(&ring, &options) == MH_OK);
    return ring;
}

#define TAG 12 /* a test's number of an entry is its kind, clear of the flags below */

static mh_status put_heavy(mh_ring *ring, uint32_t kind, uint64_t length, uint64_t heavy, uint64_t deadline) {
    static __thread char bytes[1 << 20];
    memset(bytes, (int)kind, length);
    mh_part part = {bytes, length};
    mh_message message = {.kind = kind << TAG, .parts = 1, .part = &part, .heavy = heavy};
    return mh_message_put(ring, &message, NULL, deadline, deadline == MH_NO_WAIT);
}

static mh_status put(mh_ring *ring, uint32_t kind, uint64_t length) {
    return put_heavy(ring, kind, length, 0, MH_NO_WAIT);
}

/* Take one entry; its bytes must all say its kind. */
static mh_status take(mh_ring *ring, uint32_t *kind, uint64_t deadline) {
    mh_entry entry;
    mh_status status = mh_message_next(ring, &entry, NULL, deadline);
    if (status != MH_OK) return status;
    *kind = entry.kind >> TAG;
    for (uint64_t i = 0; i < entry.length; i++) CHECK(entry.bytes[i] == (char)*kind);
    mh_ring_advance(ring, &entry);
    mh_ring_unlock_read(ring);
    return MH_OK;
}

static void expect(mh_ring *ring, uint32_t kind) {
    uint32_t got = ~kind;
    CHECK(take(ring, &got, MH_NO_WAIT) == MH_OK && got == kind);
}

static void expect_empty(mh_ring *ring) {
    uint32_t got;
    CHECK(take(ring, &got, MH_NO_WAIT) == MH_AGAIN);
    CHECK(mh_ring_unread(ring) == 0 && mh_ring_check(ring) == MH_OK);
}

static void entries_come_out_as_they_went_in(void) {
    mh_ring ring = fresh(0, 1, 8, 0);
    expect_empty(&ring);
    for (uint32_t i = 1; i <= 5; i++) CHECK(put(&ring, i, i * 100) == MH_OK);
    CHECK(mh_ring_unread(&ring) == 5 && mh_ring_check(&ring) == MH_OK);
    for (uint32_t i = 1; i <= 5; i++) expect(&ring, i);
    expect_empty(&ring);
    mh_ring_detach(&ring);
}

static void entries_of_all_sizes_wrap_around(void) {
    mh_ring ring = fresh(0, 1, 8, 0);
    uint64_t random = 42;
    uint32_t in = 0, out = 0;
    for (int i = 0; i < 20000; i++) {
        if (check_random(&random) % 2 && put(&ring, in, check_random(&random) % 3000) == MH_OK) in++;
        else if (out < in) expect(&ring, out++);
    }
    while (out < in) expect(&ring, out++);
    expect_empty(&ring);
    mh_ring_detach(&ring);
}

static void a_full_ring_refuses_without_blocking(void) {
    mh_ring ring = fresh(0, 1, 8, 0);
    for (uint32_t i = 0; i < 8; i++) CHECK(put(&ring, i, 10) == MH_OK);
    CHECK(put(&ring, 8, 10) == MH_AGAIN);
    CHECK(put_heavy(&ring, 8, 10, 0, mh_now_ns() + 1000000) == MH_TIMEOUT);
    expect(&ring, 0);
    CHECK(put(&ring, 8, 10) == MH_OK);
    CHECK(put(&ring, 9, 4097) == MH_TOO_BIG);
    mh_ring_detach(&ring);
}

static void a_limit_of_items_is_kept(void) {
    mh_ring ring = fresh(3, 4, 8, 0);
    for (uint32_t i = 0; i < 3; i++) CHECK(put(&ring, i, 10) == MH_OK);
    CHECK(put(&ring, 3, 10) == MH_AGAIN);
    expect(&ring, 0);
    CHECK(put(&ring, 3, 10) == MH_OK);
    mh_ring_detach(&ring);
}

static void a_growing_ring_takes_all_and_comes_back_to_its_first_level(void) {
    mh_ring ring = fresh(0, 4, 8, 0);
    for (int round = 0; round < 5; round++) {
        uint32_t in = 0;
        while (put(&ring, in, 1000) == MH_OK) in++;
        CHECK(in > 100);
        for (uint32_t i = 0; i < in; i++) expect(&ring, i);
        expect_empty(&ring);
        CHECK(put(&ring, 7, 10) == MH_OK);
        CHECK(load_relaxed(&ring.shared->write_level) == 0);
        expect(&ring, 7);
    }
    mh_ring_detach(&ring);
}

static void the_longest_entry_fits_again_and_again(void) {
    mh_ring ring = fresh(0, 3, 8, 0);
    CHECK(mh_ring_longest(&ring) == 65536);
    for (uint32_t i = 0; i < 6; i++) {
        CHECK(put(&ring, i, 65536) == MH_OK);
        expect(&ring, i);
        if (i % 2) {
            CHECK(put(&ring, 100, 5) == MH_OK);
            expect(&ring, 100);
        }
    }
    mh_ring_detach(&ring);
}

/* All larger levels are on the readers' way: then there is nothing to grow into, and time passes all the same. */
static void a_deadline_holds_when_the_ring_may_grow_but_cannot(void) {
    mh_ring ring = fresh(0, 2, 8, 0);
    uint32_t in = 0;
    while (put(&ring, in, 10) == MH_OK) in++;
    for (uint32_t i = 0; i < in; i++) expect(&ring, i);
    for (uint32_t i = 0; i < 8; i++) CHECK(put(&ring, i, 10) == MH_OK);
    CHECK(put(&ring, 8, 10) == MH_AGAIN);
    CHECK(put_heavy(&ring, 8, 10, 0, mh_now_ns() + 2000000) == MH_TIMEOUT);
    for (uint32_t i = 0; i < 8; i++) expect(&ring, i);
    expect_empty(&ring);
    mh_ring_detach(&ring);
}

static void a_patient_writer_grows_at_the_latest_at_its_deadline(void) {
    mh_ring ring = fresh(0, 2, 8, 0);
    for (uint32_t i = 0; i < 8; i++) CHECK(put(&ring, i, 10) == MH_OK);
    CHECK(put_heavy(&ring, 8, 10, 0, mh_now_ns() + 1000) == MH_OK);
    CHECK(put_heavy(&ring, 9, 10, 0, MH_FOREVER) == MH_OK);
    for (uint32_t i = 0; i < 10; i++) expect(&ring, i);
    mh_ring_detach(&ring);
}

static void weight_outside_the_ring_is_limited_but_one_item_always_passes(void) {
    mh_ring ring = fresh(0, 1, 8, 1000);
    CHECK(put_heavy(&ring, 0, 10, 5000, MH_NO_WAIT) == MH_OK);
    CHECK(put_heavy(&ring, 1, 10, 1, MH_NO_WAIT) == MH_AGAIN);
    CHECK(put_heavy(&ring, 1, 10, 0, MH_NO_WAIT) == MH_OK);
    expect(&ring, 0);
    CHECK(put_heavy(&ring, 2, 10, 1000, MH_NO_WAIT) == MH_OK);
    CHECK(put_heavy(&ring, 3, 10, 1, MH_NO_WAIT) == MH_AGAIN);
    expect(&ring, 1);
    expect(&ring, 2);
    CHECK(put_heavy(&ring, 3, 10, 900, MH_NO_WAIT) == MH_OK);
    mh_ring_detach(&ring);
}

/* As a writer leaves it that was killed after it had added to heavy_put and before it published. */
static void weight_that_was_never_published_blocks_nobody(void) {
    mh_ring ring = fresh(0, 1, 8, 1000);
    store64_relaxed(&ring.shared->heavy_put, 900);
    CHECK(put_heavy(&ring, 0, 10, 900, MH_NO_WAIT) == MH_OK);
    CHECK(put_heavy(&ring, 1, 10, 900, MH_NO_WAIT) == MH_AGAIN);
    expect(&ring, 0);
    CHECK(put_heavy(&ring, 1, 10, 900, MH_NO_WAIT) == MH_OK);
    mh_ring_detach(&ring);
}

/* A ring that has carried `count` entries and is empty. */
static mh_ring aged(uint32_t count, uint32_t levels) {
    mh_ring ring = fresh(0, levels, 8, 0);
    store_relaxed(&ring.shared->head.word, count << 1);
    store_relaxed(&ring.shared->tail.word, count << 1);
    store_relaxed(&ring.shared->done.word, count << 1);
    return ring;
}

static void carry_on(mh_ring *ring, uint32_t waiting, uint32_t times) {
    uint32_t in = 0, out = 0;
    for (; in < waiting; in++) CHECK(put(ring, in, 500) == MH_OK);
    for (; in < times; in++) {
        expect(ring, out++);
        CHECK(put(ring, in, 500) == MH_OK);
        CHECK(mh_ring_unread(ring) == waiting);
    }
    while (out < in) expect(ring, out++);
    expect_empty(ring);
}

static void the_counts_wrap_unseen(void) {
    for (uint32_t waiting = 1; waiting <= 7; waiting += 3) {
        mh_ring ring = aged(0x7ffffff5u, 1);
        store_relaxed(&ring.shared->level[0].base, 0x7ffffff5u);
        carry_on(&ring, waiting, 64);
        mh_ring_detach(&ring);
    }
}

/* Its first level still begins at 0 when entry 2^31 comes: unread entries must not be taken for room. */
static void a_level_that_is_never_left_may_see_all_counts(void) {
    for (uint32_t waiting = 1; waiting <= 7; waiting += 3) {
        mh_ring ring = aged(0x7ffffff5u, 1);
        carry_on(&ring, waiting, 64);
        mh_ring_detach(&ring);
    }
}

static void levels_change_across_the_wrap(void) {
    mh_ring ring = aged(0x7fffffd0u, 4);
    for (int round = 0; round < 6; round++) {
        for (uint32_t i = 0; i < 20; i++) CHECK(put(&ring, i, 1500) == MH_OK);
        for (uint32_t i = 0; i < 20; i++) expect(&ring, i);
    }
    expect_empty(&ring);
    mh_ring_detach(&ring);
}

static void batches_are_published_as_one(void) {
    mh_ring ring = fresh(0, 2, 8, 0);
    mh_batch batch;
    bool note_left;
    mh_part part = {"\1\1\1", 3};
    mh_message message = {.kind = 1 << TAG, .parts = 1, .part = &part};
    CHECK(mh_ring_lock_write(&ring, MH_FOREVER, &batch, &note_left) == MH_OK);
    for (int i = 0; i < 8; i++) CHECK(mh_message_add(&ring, &batch, &message, false) == MH_OK);
    CHECK(mh_message_add(&ring, &batch, &message, false) == MH_AGAIN);
    CHECK(mh_ring_unread(&ring) == 0);
    mh_ring_submit(&ring, &batch);
    CHECK(mh_ring_unread(&ring) == 8);
    CHECK(mh_message_add(&ring, &batch, &message, true) == MH_OK);
    mh_ring_submit(&ring, &batch);
    mh_ring_unlock_write(&ring);
    for (int i = 0; i < 9; i++) expect(&ring, 1);
    expect_empty(&ring);
    mh_ring_detach(&ring);
}

static void join_waits_until_all_is_done(void) {
    mh_ring ring = aged(0x7ffffffeu, 1);
    CHECK(mh_ring_join(&ring, MH_FOREVER) == MH_OK);
    CHECK(mh_ring_done(&ring, MH_FOREVER) == MH_AGAIN);
    for (uint32_t i = 0; i < 4; i++) CHECK(put(&ring, i, 10) == MH_OK);
    CHECK(mh_ring_join(&ring, mh_now_ns() + 1000000) == MH_TIMEOUT);
    for (uint32_t i = 0; i < 4; i++) CHECK(mh_ring_done(&ring, MH_FOREVER) == MH_OK);
    CHECK(mh_ring_join(&ring, MH_FOREVER) == MH_OK);
    mh_ring_detach(&ring);
}

static void a_second_hold_sees_the_same_ring(void) {
    mh_ring ring = fresh(0, 3, 8, 0), other;
    int fd = dup(ring.fd);
    CHECK(mh_ring_attach(&other, fd) == MH_OK);
    for (uint32_t i = 0; i < 50; i++) CHECK(put(&ring, i, 200) == MH_OK);
    for (uint32_t i = 0; i < 50; i++) expect(&other, i);
    mh_ring_detach(&ring);
    CHECK(put(&other, 3, 10) == MH_OK);
    expect(&other, 3);
    mh_ring_detach(&other);
}

static void a_shape_that_cannot_be_is_refused(void) {
    mh_ring ring;
    mh_ring_options bad[] = {{0, 0, 8, 4096, 0},  {0, 9, 8, 4096, 0},      {0, 1, 7, 4096, 0},
                             {0, 1, 8, 4095, 0},  {0, 1, 1, 4096, 0},      {0, 8, 1u << 20, 4096, 0},
                             {0, 1, 8, 1024, 0},  {0, 1, 1u << 21, 4096, 0}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) CHECK(mh_ring_create(&ring, &bad[i]) == MH_SYSTEM);
}

/* ---- many at once ---- */

enum { WRITERS = 3, READERS = 2, EACH = 4000 };

typedef struct {
    mh_ring ring;
    mh_atomic32 next_writer, taken, last[WRITERS];
} crowd;

static void *write_many(void *with) {
    crowd *all = with;
    uint32_t me = add_acq_rel(&all->next_writer, 1);
    for (uint32_t i = 1; i <= EACH; i++) {
        mh_status status;
        do status = put_heavy(&all->ring, me << 12 | i, i * 37 % 900, 0, i % 5 ? MH_FOREVER : mh_now_ns() + 30000);
        while (status == MH_TIMEOUT);
        CHECK(status == MH_OK);
    }
    return NULL;
}

static void note_order(crowd *all, const mh_entry *entry) {
    uint32_t writer = entry->kind >> TAG >> 12, serial = entry->kind >> TAG & 0xfff;
    CHECK(load_relaxed(&all->last[writer]) + 1 == serial);
    store_relaxed(&all->last[writer], serial);
}

static void *read_many(void *with) {
    crowd *all = with;
    mh_entry entry;
    while (load_acquire(&all->taken) < WRITERS * EACH) {
        mh_status status = mh_message_next(&all->ring, &entry, NULL, mh_now_ns() + 50000);
        CHECK(status == MH_OK || status == MH_TIMEOUT);
        if (status != MH_OK) continue;
        for (uint64_t i = 0; i < entry.length; i++) CHECK(entry.bytes[i] == (char)(entry.kind >> TAG));
        note_order(all, &entry);
        mh_ring_advance(&all->ring, &entry);
        mh_ring_unlock_read(&all->ring);
        add_acq_rel(&all->taken, 1);
    }
    return NULL;
}

static void crowd_of(uint32_t max_items, uint32_t levels) {
    crowd *all = check_shared(sizeof *all);
    pthread_t thread[WRITERS + READERS];
    all->ring = fresh(max_items, levels, 8, 0);
    for (int i = 0; i < WRITERS + READERS; i++) thread[i] = check_thread(i < WRITERS ? write_many : read_many, all);
    for (int i = 0; i < WRITERS + READERS; i++) pthread_join(thread[i], NULL);
    CHECK(load_acquire(&all->taken) == WRITERS * EACH);
    expect_empty(&all->ring);
    mh_ring_detach(&all->ring);
}

static void many_writers_and_readers_lose_nothing_in_a_growing_ring(void) { crowd_of(0, 4); }
static void many_writers_and_readers_lose_nothing_in_a_small_ring(void) { crowd_of(4, 1); }

int main(void) {
    RUN(entries_come_out_as_they_went_in);
    RUN(entries_of_all_sizes_wrap_around);
    RUN(a_full_ring_refuses_without_blocking);
    RUN(a_limit_of_items_is_kept);
    RUN(a_growing_ring_takes_all_and_comes_back_to_its_first_level);
    RUN(the_longest_entry_fits_again_and_again);
    RUN(a_deadline_holds_when_the_ring_may_grow_but_cannot);
    RUN(a_patient_writer_grows_at_the_latest_at_its_deadline);
    RUN(weight_outside_the_ring_is_limited_but_one_item_always_passes);
    RUN(weight_that_was_never_published_blocks_nobody);
    RUN(the_counts_wrap_unseen);
    RUN(a_level_that_is_never_left_may_see_all_counts);
    RUN(levels_change_across_the_wrap);
    RUN(batches_are_published_as_one);
    RUN(join_waits_until_all_is_done);
    RUN(a_second_hold_sees_the_same_ring);
    RUN(a_shape_that_cannot_be_is_refused);
    RUN(many_writers_and_readers_lose_nothing_in_a_growing_ring);
    RUN(many_writers_and_readers_lose_nothing_in_a_small_ring);
    return 0;
}

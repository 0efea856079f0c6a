/* Messages and parcels: how they lie in the ring, how blocks change hands with them, and what the notes settle. */
#include "check.h"
#include "kill_points.h"
#include "message.h"

static mh_ring ring_of(uint32_t max_items, uint32_t levels) {
    mh_ring ring;
    mh_ring_options options = {max_items, levels, 16, 4096, 0};
    CHECK(mh_ring_create(&ring, &options) == MH_OK);
    return ring;
}

static mh_arena arena_of(uint64_t segments) {
    mh_arena arena;
    CHECK(mh_arena_create(&arena, segments << MH_SEGMENT_SHIFT, UINT64_C(1) << 24) == MH_OK);
    CHECK(mh_arena_ready(&arena) == MH_OK);
    return arena;
}

static mh_status put_bytes(mh_ring *ring, const char *bytes, uint64_t deadline) {
    mh_part part = {bytes, strlen(bytes)};
    mh_message message = {.kind = 0, .parts = 1, .part = &part};
    return mh_message_put(ring, &message, NULL, deadline, true);
}

static mh_parcel parcel_of(mh_arena *arena, uint64_t length, char byte) {
    mh_parcel parcel = {.arena = arena->shared->id, .length = length};
    CHECK(mh_arena_alloc(arena, length, &parcel.block) == MH_OK);
    memset(mh_arena_bytes(arena, parcel.block), byte, length);
    return parcel;
}

static mh_status put_parcel(mh_ring *ring, mh_arena *arena, const mh_parcel *parcel, uint64_t deadline) {
    mh_part part = {parcel, sizeof *parcel};
    mh_message message = {.kind = MH_KIND_PARCEL, .parts = 1, .part = &part, .heavy = parcel->length, .arena = arena};
    message.parcel = *parcel;
    return mh_message_put(ring, &message, arena, deadline, false);
}

static uint32_t blocks_given(mh_arena *arena) {
    mh_arena_statistics now;
    mh_arena_look(arena, &now);
    return now.blocks;
}

static void parts_begin_at_cache_lines(void) {
    mh_ring ring = ring_of(0, 1);
    mh_entry entry;
    mh_part part[] = {{"abc", 3}, {NULL, 0}, {"defg", 4}, {"h", 1}};
    mh_message message = {.kind = 7, .parts = 4, .part = part};
    CHECK(mh_message_length(&message) == 64 + 64 + 1);
    CHECK(mh_message_put(&ring, &message, NULL, MH_FOREVER, false) == MH_OK);
    CHECK(mh_message_next(&ring, &entry, NULL, MH_FOREVER) == MH_OK);
    CHECK(entry.kind == 7 && entry.length == 129);
    CHECK(!memcmp(entry.bytes, "abc", 3) && !memcmp(entry.bytes + 64, "defg", 4) && entry.bytes[128] == 'h');
    mh_ring_advance(&ring, &entry);
    mh_ring_unlock_read(&ring);
    mh_ring_detach(&ring);
}

static void an_empty_message_is_a_message(void) {
    mh_ring ring = ring_of(0, 1);
    mh_entry entry;
    for (int i = 0; i < 100; i++) {
        CHECK(put_bytes(&ring, "", MH_NO_WAIT) == MH_OK);
        CHECK(mh_message_next(&ring, &entry, NULL, MH_NO_WAIT) == MH_OK && entry.length == 0);
        mh_ring_advance(&ring, &entry);
        mh_ring_unlock_read(&ring);
    }
    CHECK(mh_message_next(&ring, &entry, NULL, MH_NO_WAIT) == MH_AGAIN);
    CHECK(mh_message_next(&ring, &entry, NULL, mh_now_ns() + 1000000) == MH_TIMEOUT);
    mh_ring_detach(&ring);
}

static void a_parcel_takes_its_block_along(void) {
    mh_ring ring = ring_of(0, 1);
    mh_arena arena = arena_of(2), other;
    mh_entry entry;
    mh_parcel sent = parcel_of(&arena, 200000, 'x'), got;
    CHECK(mh_arena_attach(&other, dup(arena.fd), 0) == MH_OK && mh_arena_ready(&other) == MH_OK);
    CHECK(put_parcel(&ring, &arena, &sent, MH_NO_WAIT) == MH_OK);
    CHECK(blocks_given(&arena) == 1);
    CHECK(mh_message_next(&ring, &entry, NULL, MH_NO_WAIT) == MH_OK && entry.kind & MH_KIND_PARCEL);
    CHECK(mh_parcel_read(&entry, &got) == MH_OK && mh_parcel_fits(&other, &got));
    CHECK(mh_parcel_take(&ring, &entry, &other, &got));
    mh_ring_unlock_read(&ring);
    CHECK(mh_arena_bytes(&other, got.block)[199999] == 'x' && blocks_given(&arena) == 1);
    mh_arena_release(&other, got.block);
    CHECK(blocks_given(&arena) == 0);
    mh_arena_detach(&other);
    mh_arena_detach(&arena);
    mh_ring_detach(&ring);
}

static void a_parcel_that_is_none_is_recognised(void) {
    mh_ring ring = ring_of(0, 1);
    mh_arena arena = arena_of(2);
    mh_entry entry;
    mh_parcel parcel = {.block = 5, .length = 100};
    CHECK(put_bytes(&ring, "short", MH_NO_WAIT) == MH_OK);
    CHECK(mh_message_next(&ring, &entry, NULL, MH_NO_WAIT) == MH_OK);
    CHECK(mh_parcel_read(&entry, &parcel) == MH_CORRUPT);
    mh_ring_unlock_read(&ring);
    parcel = parcel_of(&arena, 100, 'y');
    parcel.length = UINT64_C(1) << 40;
    CHECK(!mh_parcel_fits(&arena, &parcel));
    parcel.block = UINT32_MAX;
    CHECK(!mh_parcel_fits(&arena, &parcel));
    mh_arena_detach(&arena);
    mh_ring_detach(&ring);
}

/* ---- who does not want to wait ---- */

typedef struct {
    mh_ring ring;
    mh_atomic32 holds, stop;
} busy;

static void *hold_the_write_lock_a_while(void *with) {
    busy *scene = with;
    bool died = false;
    CHECK(mh_lock_acquire(&scene->ring.shared->write_lock, MH_FOREVER, &died) == MH_OK);
    store_release(&scene->holds, 1);
    while (!load_acquire(&scene->stop)) check_breathe();
    mh_lock_release(&scene->ring.shared->write_lock);
    return NULL;
}

static void *hold_the_read_lock_a_while(void *with) {
    busy *scene = with;
    bool died = false;
    CHECK(mh_lock_acquire(&scene->ring.shared->read_lock, MH_FOREVER, &died) == MH_OK);
    store_release(&scene->holds, 1);
    while (!load_acquire(&scene->stop)) check_breathe();
    mh_lock_release(&scene->ring.shared->read_lock);
    return NULL;
}

static void let_go(busy *scene, pthread_t thread) {
    store_release(&scene->stop, 1);
    pthread_join(thread, NULL);
    mh_ring_detach(&scene->ring);
}

static void a_busy_lock_means_not_now_to_a_writer_that_does_not_wait(void) {
    busy scene = {.ring = ring_of(0, 1)};
    pthread_t thread = check_thread(hold_the_write_lock_a_while, &scene);
    UNTIL(load_acquire(&scene.holds));
    CHECK(put_bytes(&scene.ring, "x", MH_TRY) == MH_AGAIN);
    CHECK(put_bytes(&scene.ring, "x", MH_NO_WAIT) == MH_AGAIN);
    CHECK(put_bytes(&scene.ring, "x", mh_now_ns() + 1000000) == MH_TIMEOUT);
    let_go(&scene, thread);
}

static void a_busy_lock_means_not_now_to_a_reader_that_does_not_wait(void) {
    busy scene = {.ring = ring_of(0, 1)};
    mh_entry entry;
    CHECK(put_bytes(&scene.ring, "x", MH_NO_WAIT) == MH_OK);
    pthread_t thread = check_thread(hold_the_read_lock_a_while, &scene);
    UNTIL(load_acquire(&scene.holds));
    CHECK(mh_message_next(&scene.ring, &entry, NULL, MH_TRY) == MH_AGAIN);
    CHECK(mh_message_next(&scene.ring, &entry, NULL, MH_NO_WAIT) == MH_AGAIN);
    CHECK(mh_message_next(&scene.ring, &entry, NULL, mh_now_ns() + 1000000) == MH_TIMEOUT);
    let_go(&scene, thread);
}

/* ---- many at once ---- */

enum { WRITERS = 2, READERS = 2, EACH = 1500 };

typedef struct {
    mh_ring ring;
    mh_arena arena;
    mh_atomic32 taken;
} crowd;

static void *send_parcels(void *with) {
    crowd *all = with;
    for (uint32_t i = 0; i < EACH; i++) {
        if (i % 3) {
            CHECK(put_bytes(&all->ring, "between", MH_FOREVER) == MH_OK);
            continue;
        }
        mh_parcel parcel = parcel_of(&all->arena, 1000 + i * 100, (char)i);
        CHECK(put_parcel(&all->ring, &all->arena, &parcel, MH_FOREVER) == MH_OK);
    }
    return NULL;
}

static void receive_parcel(crowd *all, const mh_entry *entry) {
    mh_parcel parcel;
    CHECK(mh_parcel_read(entry, &parcel) == MH_OK && mh_parcel_fits(&all->arena, &parcel));
    CHECK(mh_parcel_take(&all->ring, entry, &all->arena, &parcel));
    mh_ring_unlock_read(&all->ring);
    const char *bytes = mh_arena_bytes(&all->arena, parcel.block);
    CHECK(bytes[0] == bytes[parcel.length - 1]);
    mh_arena_release(&all->arena, parcel.block);
}

static void *receive_parcels(void *with) {
    crowd *all = with;
    mh_entry entry;
    while (load_acquire(&all->taken) < WRITERS * EACH) {
        mh_status status = mh_message_next(&all->ring, &entry, &all->arena, mh_now_ns() + 100000);
        CHECK(status == MH_OK || status == MH_TIMEOUT);
        if (status != MH_OK) continue;
        if (entry.kind & MH_KIND_PARCEL) receive_parcel(all, &entry);
        else {
            mh_ring_advance(&all->ring, &entry);
            mh_ring_unlock_read(&all->ring);
        }
        add_acq_rel(&all->taken, 1);
    }
    return NULL;
}

static void threads_send_and_receive_parcels_of_one_arena(void) {
    crowd all = {.ring = ring_of(8, 1), .arena = arena_of(8)};
    pthread_t thread[WRITERS + READERS];
    for (int i = 0; i < WRITERS + READERS; i++) thread[i] = check_thread(i < WRITERS ? send_parcels : receive_parcels, &all);
    for (int i = 0; i < WRITERS + READERS; i++) pthread_join(thread[i], NULL);
    CHECK(blocks_given(&all.arena) == 0 && mh_ring_unread(&all.ring) == 0);
    mh_arena_detach(&all.arena);
    mh_ring_detach(&all.ring);
}

#ifndef __SANITIZE_THREAD__
/* ---- notes of the dead: here the dead is a child that did half of mh_parcel_send or mh_parcel_take by hand ---- */

static mh_ring scene_ring;
static mh_arena scene_arena;
static mh_parcel scene_parcel;

static void write_note(mh_note *note, uint32_t count) {
    store_relaxed(&note->count, count);
    store64_relaxed(&note->arena, scene_arena.shared->id);
    store64_relaxed(&note->block, scene_parcel.block);
    store_release(&note->set, 1);
}

static void fly_and_die(void *with) {
    mh_batch batch;
    bool note_left;
    (void)with;
    CHECK(mh_ring_lock_write(&scene_ring, MH_FOREVER, &batch, &note_left) == MH_OK);
    write_note(&scene_ring.shared->sending, mh_count_relaxed(&scene_ring.shared->tail));
    mh_arena_fly(&scene_arena, scene_parcel.block);
    kill(getpid(), SIGKILL);
}

static void take_and_die(void *with) {
    mh_entry entry;
    (void)with;
    CHECK(mh_message_next(&scene_ring, &entry, NULL, MH_FOREVER) == MH_OK);
    write_note(&scene_ring.shared->taking, entry.count);
    mh_ring_advance(&scene_ring, &entry);
    kill(getpid(), SIGKILL);
}

static void open_scene(void) {
    scene_ring = ring_of(0, 1);
    scene_arena = arena_of(2);
    scene_parcel = parcel_of(&scene_arena, 100000, 'z');
}

static void close_scene(void) {
    mh_arena_detach(&scene_arena);
    mh_ring_detach(&scene_ring);
}

static void a_block_whose_writer_died_before_publishing_is_freed_by_the_next_writer(void) {
    open_scene();
    CHECK(check_was_killed(check_ended(check_child(fly_and_die, NULL))));
    mh_parcel next = parcel_of(&scene_arena, 10, 'n');
    CHECK(put_parcel(&scene_ring, &scene_arena, &next, MH_NO_WAIT) == MH_OK);
    CHECK(blocks_given(&scene_arena) == 1 && mh_ring_unread(&scene_ring) == 1);
    close_scene();
}

static void a_block_whose_reader_died_after_taking_is_freed_by_the_next_reader(void) {
    mh_entry entry;
    open_scene();
    CHECK(put_parcel(&scene_ring, &scene_arena, &scene_parcel, MH_NO_WAIT) == MH_OK);
    CHECK(check_was_killed(check_ended(check_child(take_and_die, NULL))));
    CHECK(blocks_given(&scene_arena) == 1);
    CHECK(mh_message_next(&scene_ring, &entry, &scene_arena, MH_NO_WAIT) == MH_AGAIN);
    CHECK(blocks_given(&scene_arena) == 0);
    close_scene();
}
#endif

int main(void) {
    RUN(parts_begin_at_cache_lines);
    RUN(an_empty_message_is_a_message);
    RUN(a_parcel_takes_its_block_along);
    RUN(a_parcel_that_is_none_is_recognised);
    RUN(a_busy_lock_means_not_now_to_a_writer_that_does_not_wait);
    RUN(a_busy_lock_means_not_now_to_a_reader_that_does_not_wait);
    RUN(threads_send_and_receive_parcels_of_one_arena);
#ifndef __SANITIZE_THREAD__
    RUN(a_block_whose_writer_died_before_publishing_is_freed_by_the_next_writer);
    RUN(a_block_whose_reader_died_after_taking_is_freed_by_the_next_reader);
#endif
    return 0;
}

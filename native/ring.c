/* Writing to and reading from a ring. ring.h has the rules, ring_file.c the file. */
#include "ring.h"

#include <string.h>
#include <unistd.h>

#include "kill_points.h"
#include "ring_inside.h"

#define ALIGN 16u
#define KEEP_LEVELS 1u /* the pages of levels 0 and 1, some 5 MB, stay warm */
#define FAR (1u << 29) /* a quarter of what a count can tell apart */

static uint64_t room_for(uint64_t length) { return length == 0 ? ALIGN : (length + ALIGN - 1) & ~(uint64_t)(ALIGN - 1); }

static mh_slot *slot_at(const mh_ring *ring, char *base, uint32_t level, uint32_t count) {
    return &mh_ring_slots(base)[count & (level_slots(ring, level) - 1)];
}

static bool sealed(const mh_ring_header *shared, uint32_t level) { return load_acquire(&shared->level[level].sealed) != 0; }

/* ---- writing ---- */

/* A writer died after it sealed its level and before it moved on: move on. Doing it twice is harmless. */
static mh_status recover_writer(mh_ring *ring) {
    mh_ring_header *shared = ring->shared;
    uint32_t level = load_relaxed(&shared->write_level);
    if (level >= ring->levels) return MH_CORRUPT;
    if (!sealed(shared, level)) return MH_OK;
    uint32_t next = load_relaxed(&shared->level[level].next);
    if (next >= ring->levels) return MH_CORRUPT;
    store_relaxed(&shared->write_level, next);
    return MH_OK;
}

mh_status mh_ring_lock_write(mh_ring *ring, uint64_t deadline, mh_batch *batch, bool *note_left) {
    bool owner_died = false;
    mh_status status = mh_lock_acquire(&ring->shared->write_lock, deadline, &owner_died);
    if (status != MH_OK) return status;
    *note_left = owner_died && load_relaxed(&ring->shared->sending.set) != 0;
    if (owner_died) status = recover_writer(ring);
    batch->entries = 0;
    batch->level = load_relaxed(&ring->shared->write_level);
    batch->heavy = load64_relaxed(&ring->shared->heavy_put);
    if (batch->level >= ring->levels) status = MH_CORRUPT;
    if (status != MH_OK) mh_lock_release(&ring->shared->write_lock);
    return status;
}

void mh_ring_unlock_write(mh_ring *ring) { mh_lock_release(&ring->shared->write_lock); }

/* Where `room` bytes fit behind the newest entry of a level without touching an unread one.
 * `oldest` and `newest` are the slots of the first and last unread entry of this level. */
static bool fits(const mh_slot *oldest, const mh_slot *newest, uint64_t room, uint64_t size, uint64_t *offset) {
    uint64_t start = oldest->offset, end = newest->offset + room_for(newest->length);
    bool wrapped = newest->offset < start;
    if (!wrapped && end <= size && size - end >= room) *offset = end;
    else if (!wrapped && start >= room) *offset = 0;
    else if (wrapped && start >= end && start - end >= room) *offset = end;
    else return false;
    return true;
}

/* How many of the entries before `tail` are unread and in this level, the one that is written to. A level that is
 * never left keeps its base, and 2^31 entries later their distance would begin at 0 again: so the base follows. */
static uint32_t unread_here(mh_level *level, uint32_t head, uint32_t tail) {
    uint32_t unread = mh_distance(head, tail), here = mh_distance(load_relaxed(&level->base), tail);
    if (here <= unread) return here;
    if (here > FAR) store_relaxed(&level->base, head);
    return unread;
}

/* Find a place in the batch's level. MH_AGAIN when it is full. */
static mh_status place(mh_ring *ring, mh_batch *batch, uint64_t length, char **bytes) {
    mh_ring_header *shared = ring->shared;
    uint32_t level = batch->level, tail = mh_count_relaxed(&shared->tail) + batch->entries;
    uint32_t head = mh_count_acquire(&shared->head); /* PAIR(take): what is before head has been copied out */
    uint32_t here = unread_here(&shared->level[level], head, tail);
    uint64_t size = level_data(ring, level), offset = 0, room = room_for(length);
    char *base;
    mh_status status = mh_ring_map_level(ring, level, &base);
    if (status != MH_OK) return status;
    if (here >= level_slots(ring, level) || room > size) return MH_AGAIN;
    if (here > 0 && !fits(slot_at(ring, base, level, tail - here), slot_at(ring, base, level, tail - 1), room, size, &offset))
        return MH_AGAIN;
    if (offset > size || size - offset < room) return MH_CORRUPT;
    batch->slot = slot_at(ring, base, level, tail);
    batch->slot->offset = offset;
    batch->slot->count = tail & 0x7fffffffu;
    *bytes = mh_ring_data(ring, base, level) + offset;
    return MH_OK;
}

/* Which levels the readers have not yet passed, as bits. */
static uint32_t levels_in_use(const mh_ring_header *shared, const mh_batch *batch) {
    uint32_t used = 0, level = load_acquire(&shared->read_level); /* PAIR(leave): it has left what is before */
    for (uint32_t i = 0; i < MH_RING_LEVELS && level < MH_RING_LEVELS && !(used & (1u << level)); i++) {
        used |= 1u << level;
        if (!sealed(shared, level)) break;
        level = load_relaxed(&shared->level[level].next);
    }
    return used | 1u << batch->level;
}

/* Seal the current level and go on in `next`, which nobody uses. */
static mh_status move_on(mh_ring *ring, mh_batch *batch, uint32_t next) {
    mh_ring_header *shared = ring->shared;
    mh_ring_submit(ring, batch);
    mh_status status = mh_ring_extend(ring, next);
    if (status != MH_OK) return status;
    uint32_t tail = mh_count_relaxed(&shared->tail);
    mh_level *from = &shared->level[batch->level], *to = &shared->level[next];
    store_relaxed(&to->sealed, 0);
    store_relaxed(&to->base, tail);
    MH_POINT(ring_level_made);
    store_relaxed(&from->end, tail);
    store_relaxed(&from->next, next);
    store_release(&from->sealed, 1); /* PAIR(seal) */
    MH_POINT(ring_sealed);
    store_relaxed(&shared->write_level, next);
    batch->level = next;
    return MH_OK;
}

/* The smallest unused level that is larger than the current one and holds `length`; ring->levels if none is. */
static uint32_t larger_level(const mh_ring *ring, const mh_batch *batch, uint64_t length) {
    uint32_t used = levels_in_use(ring->shared, batch), level = batch->level + 1;
    while (level < ring->levels && (used & 1u << level || level_data(ring, level) < room_for(length))) level++;
    return level;
}

/* Everything was read, yet the readers stand in a level that the writers have left: they follow when there is an
 * entry. If only that level holds `length`, nothing else will ever move, so the writers go back to it. Nobody reads
 * the chain meanwhile. A death before the seal is broken: recover_writer follows it, and all is as it was. */
static mh_status reopen(mh_ring *ring, mh_batch *batch, uint64_t length) {
    mh_ring_header *shared = ring->shared;
    uint32_t tail = mh_count_relaxed(&shared->tail);
    if (batch->entries > 0 || mh_count_acquire(&shared->head) != tail) return MH_AGAIN; /* PAIR(take) */
    uint32_t level = load_acquire(&shared->read_level);
    if (level >= ring->levels) return MH_CORRUPT;
    if (level == batch->level || level_data(ring, level) < room_for(length)) return MH_AGAIN;
    store_relaxed(&shared->write_level, level);
    MH_POINT(ring_reopening);
    store_relaxed(&shared->level[level].base, tail);
    store_release(&shared->level[level].sealed, 0); /* PAIR(seal) */
    batch->level = level;
    return MH_OK;
}

static mh_status grow(mh_ring *ring, mh_batch *batch, uint64_t length) {
    uint32_t level = larger_level(ring, batch, length);
    return level < ring->levels ? move_on(ring, batch, level) : reopen(ring, batch, length);
}

/* Everything was read: go back to the small, warm level, if it will do. */
static mh_status shrink(mh_ring *ring, mh_batch *batch, uint64_t length) {
    mh_ring_header *shared = ring->shared;
    uint32_t tail = mh_count_relaxed(&shared->tail) + batch->entries;
    if (batch->level == 0 || mh_count_acquire(&shared->head) != (tail & 0x7fffffffu)) return MH_OK;
    if (room_for(length) > level_data(ring, 0)) return MH_OK;
    return levels_in_use(shared, batch) & 1u ? MH_OK : move_on(ring, batch, 0);
}

static bool over_limits(const mh_ring_header *shared, const mh_batch *batch, uint64_t heavy) {
    uint32_t tail = mh_count_relaxed(&shared->tail) + batch->entries;
    uint32_t unread = mh_distance(mh_count_acquire(&shared->head), tail);
    if (shared->max_items && unread >= shared->max_items) return true;
    if (unread == 0) return false; /* whatever a writer has added to heavy_put that died before it published */
    uint64_t flying = batch->heavy - load64_relaxed(&shared->heavy_got);
    return heavy && shared->max_heavy && (int64_t)flying > 0 && flying + heavy > shared->max_heavy;
}

bool mh_ring_could_grow(const mh_ring *ring, const mh_batch *batch, uint64_t length, uint64_t heavy) {
    return !over_limits(ring->shared, batch, heavy) && larger_level(ring, batch, length) < ring->levels;
}

mh_status mh_ring_reserve(mh_ring *ring, mh_batch *batch, uint64_t length, uint64_t heavy, bool grow_it, char **bytes) {
    if (length > mh_ring_longest(ring)) return MH_TOO_BIG;
    if (over_limits(ring->shared, batch, heavy)) return MH_AGAIN;
    mh_status status = shrink(ring, batch, length);
    if (status == MH_OK) status = place(ring, batch, length, bytes);
    while (status == MH_AGAIN && (grow_it || room_for(length) > level_data(ring, batch->level))) {
        status = grow(ring, batch, length);
        if (status != MH_OK) return status;
        status = place(ring, batch, length, bytes);
    }
    if (status == MH_OK) {
        batch->slot->heavy = batch->heavy + heavy;
        MH_POINT(ring_reserved);
    }
    return status;
}

void mh_ring_commit(mh_ring *ring, mh_batch *batch, uint64_t length, uint32_t kind) {
    (void)ring;
    MH_POINT(ring_copied);
    batch->slot->length = length;
    batch->slot->kind = kind;
    batch->heavy = batch->slot->heavy;
    batch->entries++;
    MH_POINT(ring_committed);
}

static void ring_bell(mh_ring *ring) {
    static const uint64_t one = 1;
    /* PAIR(bell): the publication above is sequentially consistent, or was done by the kernel, before this load. */
    if (!load_seq_cst(&ring->shared->bell_wanted) || !exchange_seq_cst(&ring->shared->bell_wanted, 0)) return;
    ssize_t ignored = write(ring->bell_fd, &one, sizeof one); /* fails only when it has rung 2^64 times */
    (void)ignored;
}

void mh_ring_submit(mh_ring *ring, mh_batch *batch) {
    if (batch->entries == 0) return;
    store64_relaxed(&ring->shared->heavy_put, batch->heavy);
    MH_POINT(ring_weighed);
    mh_publish(&ring->shared->tail, batch->entries); /* PAIR(publish) */
    batch->entries = 0;
    MH_POINT(ring_published);
    if (ring->bell_fd >= 0) ring_bell(ring);
}

uint32_t mh_ring_want_bell(mh_ring *ring, bool wanted) {
    exchange_seq_cst(&ring->shared->bell_wanted, wanted); /* PAIR(bell) */
    return mh_distance(mh_count_relaxed(&ring->shared->head), mh_count_of(load_seq_cst(&ring->shared->tail.word)));
}

mh_status mh_ring_wait_room(mh_ring *ring, uint32_t head_seen, uint64_t deadline) {
    return mh_wait(&ring->shared->head, head_seen, deadline, &ring->writing);
}

/* ---- reading ---- */

mh_status mh_ring_lock_read(mh_ring *ring, uint64_t deadline, bool *note_left) {
    bool owner_died = false;
    mh_status status = mh_lock_acquire(&ring->shared->read_lock, deadline, &owner_died);
    *note_left = status == MH_OK && owner_died && load_relaxed(&ring->shared->taking.set) != 0;
    return status;
}

void mh_ring_unlock_read(mh_ring *ring) { mh_lock_release(&ring->shared->read_lock); }

/* The level of the next entry: follow the seals that end just here, giving back what is left behind. */
static mh_status follow(mh_ring *ring, uint32_t count, uint32_t *level) {
    mh_ring_header *shared = ring->shared;
    *level = load_relaxed(&shared->read_level);
    for (uint32_t i = 0; i <= MH_RING_LEVELS; i++) {
        if (*level >= ring->levels) return MH_CORRUPT;
        if (!sealed(shared, *level) || load_relaxed(&shared->level[*level].end) != count) return MH_OK;
        if (*level > KEEP_LEVELS) mh_ring_give_back(ring, *level);
        *level = load_relaxed(&shared->level[*level].next);
        store_release(&shared->read_level, *level); /* PAIR(leave) */
        MH_POINT(ring_followed);
    }
    return MH_CORRUPT;
}

mh_status mh_ring_peek(mh_ring *ring, mh_entry *entry) {
    mh_ring_header *shared = ring->shared;
    uint32_t level, head = mh_count_relaxed(&shared->head);
    if (mh_count_acquire(&shared->tail) == head) return MH_AGAIN; /* PAIR(publish) */
    char *base;
    mh_status status = follow(ring, head, &level);
    if (status == MH_OK) status = mh_ring_map_level(ring, level, &base);
    if (status != MH_OK) return status;
    mh_slot slot = *slot_at(ring, base, level, head);
    uint64_t size = level_data(ring, level);
    if (slot.count != head || slot.offset > size || slot.length > size - slot.offset) return MH_CORRUPT;
    *entry = (mh_entry){mh_ring_data(ring, base, level) + slot.offset, slot.length, slot.kind, head, slot.heavy};
    MH_POINT(ring_peeked);
    return MH_OK;
}

void mh_ring_advance(mh_ring *ring, const mh_entry *entry) {
    store64_relaxed(&ring->shared->heavy_got, entry->heavy);
    mh_publish(&ring->shared->head, 1); /* PAIR(take) */
    MH_POINT(ring_advanced);
}

mh_status mh_ring_wait_entry(mh_ring *ring, uint64_t deadline) {
    return mh_wait(&ring->shared->tail, mh_count_relaxed(&ring->shared->head), deadline, &ring->reading);
}

/* ---- looking ---- */

uint64_t mh_ring_longest(const mh_ring *ring) { return level_data(ring, ring->levels - 1); }

uint32_t mh_ring_unread(const mh_ring *ring) {
    uint32_t head = mh_count_acquire(&ring->shared->head);
    uint32_t unread = mh_distance(head, mh_count_acquire(&ring->shared->tail));
    return unread;
}

mh_status mh_ring_check(mh_ring *ring) {
    mh_ring_header *shared = ring->shared;
    if (load_relaxed(&shared->read_level) >= ring->levels) return MH_CORRUPT;
    if (load_relaxed(&shared->write_level) >= ring->levels) return MH_CORRUPT;
    mh_entry entry;
    mh_status status = mh_ring_peek(ring, &entry);
    return status == MH_AGAIN ? MH_OK : status;
}

/* ---- task_done and join ---- */

mh_status mh_ring_done(mh_ring *ring, uint64_t deadline) {
    mh_ring_header *shared = ring->shared;
    bool owner_died = false;
    mh_status status = mh_lock_acquire(&shared->done_lock, deadline, &owner_died);
    if (status != MH_OK) return status;
    uint32_t left = mh_distance(mh_count_relaxed(&shared->done), mh_count_acquire(&shared->tail));
    if (left == 0) status = MH_AGAIN;
    else mh_publish(&shared->done, 1);
    mh_lock_release(&shared->done_lock);
    return status;
}

mh_status mh_ring_join(mh_ring *ring, uint64_t deadline) {
    mh_ring_header *shared = ring->shared;
    mh_spin park_at_once = {UINT32_MAX, 0};
    bool owner_died = false;
    mh_status status = mh_lock_acquire(&shared->join_lock, deadline, &owner_died);
    if (status != MH_OK) return status;
    while (status == MH_OK) {
        uint32_t done = mh_count_acquire(&shared->done);
        if (done == mh_count_acquire(&shared->tail)) break;
        status = mh_wait(&shared->done, done, deadline, &park_at_once);
    }
    mh_lock_release(&shared->join_lock);
    return status;
}

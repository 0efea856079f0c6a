/* Parcels: see parcel.h. */
#include "parcel.h"

#include <string.h>

#include "kill_points.h"

static void write_note(mh_note *note, uint32_t count, const mh_arena *arena, const mh_parcel *parcel) {
    store_relaxed(&note->count, count);
    store64_relaxed(&note->arena, arena->shared->id);
    store64_relaxed(&note->block, parcel->block);
    store_release(&note->set, 1);
}

void mh_parcel_send(mh_ring *ring, mh_batch *batch, mh_arena *arena, const mh_parcel *parcel) {
    mh_note *note = &ring->shared->sending;
    write_note(note, mh_count_relaxed(&ring->shared->tail), arena, parcel);
    MH_POINT(ring_sending);
    mh_arena_fly(arena, parcel->block);
    mh_ring_submit(ring, batch);
    store_release(&note->set, 0);
}

mh_status mh_parcel_read(const mh_entry *entry, mh_parcel *parcel) {
    if (entry->length != sizeof *parcel) return MH_CORRUPT;
    memcpy(parcel, entry->bytes, sizeof *parcel);
    return MH_OK;
}

bool mh_parcel_fits(const mh_arena *arena, const mh_parcel *parcel) {
    uint64_t room = mh_arena_room(arena, parcel->block);
    return room > 0 && parcel->length <= room;
}

bool mh_parcel_take(mh_ring *ring, const mh_entry *entry, mh_arena *arena, const mh_parcel *parcel) {
    mh_note *note = &ring->shared->taking;
    write_note(note, entry->count, arena, parcel);
    MH_POINT(ring_taking);
    mh_ring_advance(ring, entry);
    bool claimed = mh_arena_claim(arena, parcel->block);
    MH_POINT(arena_claimed);
    store_release(&note->set, 0);
    return claimed;
}

/* The block that a note names belongs to nobody: free it, if it still flies. */
static void free_stray(const mh_note *note, mh_arena *arena) {
    uint32_t block = (uint32_t)load64_relaxed(&note->block);
    if (arena == NULL || arena->shared == NULL || load64_relaxed(&note->arena) != arena->shared->id) return;
    if (mh_arena_room(arena, block) > 0 && mh_arena_claim(arena, block)) mh_arena_release(arena, block);
}

void mh_parcel_settle_sending(mh_ring *ring, mh_arena *arena) {
    mh_note *note = &ring->shared->sending;
    if (load_relaxed(&note->count) == mh_count_relaxed(&ring->shared->tail)) free_stray(note, arena);
    store_release(&note->set, 0);
}

void mh_parcel_settle_taking(mh_ring *ring, mh_arena *arena) {
    mh_note *note = &ring->shared->taking;
    if (load_relaxed(&note->count) != mh_count_relaxed(&ring->shared->head)) free_stray(note, arena);
    store_release(&note->set, 0);
}

/* Messages: see message.h. */
#include "message.h"

#include <string.h>

/* A call with MH_NO_WAIT still gives a lock's holder this long to finish copying. */
#define BUSY_NS 50000000u

/* A full level makes the writer wait this long for a reader before the ring grows: a reader that is at work frees
 * warm memory sooner than fresh pages could be had (64 KB of fresh pages cost 40 us), and one that is not at work
 * costs the writer this much once a level. */
#define PATIENCE_NS 300000u

static uint64_t part_end(uint64_t at) { return (at + MH_PART_ALIGN - 1) & ~(uint64_t)(MH_PART_ALIGN - 1); }

uint64_t mh_message_length(const mh_message *message) {
    uint64_t at = 0;
    for (uint32_t i = 0; i < message->parts; i++) at = part_end(at) + message->part[i].length;
    return at;
}

static void copy(const mh_message *message, char *to) {
    uint64_t at = 0;
    for (uint32_t i = 0; i < message->parts; i++) {
        at = part_end(at);
        if (message->part[i].length) memcpy(to + at, message->part[i].bytes, message->part[i].length);
        at += message->part[i].length;
    }
}

mh_status mh_message_add(mh_ring *ring, mh_batch *batch, const mh_message *message, bool grow) {
    char *bytes;
    uint64_t length = mh_message_length(message);
    mh_status status = mh_ring_reserve(ring, batch, length, message->heavy, grow, &bytes);
    if (status != MH_OK) return status;
    copy(message, bytes);
    mh_ring_commit(ring, batch, length, message->kind);
    return MH_OK;
}

/* Is the lock refused by somebody who is only copying, not by one who waits in it? */
static bool worth_another_moment(mh_status status, uint64_t deadline, bool nothing_to_do) {
    return status == MH_AGAIN && deadline == MH_NO_WAIT && !nothing_to_do;
}

/* However that moment ended: who did not want to wait knows of no time-out and no interrupted wait. */
static mh_status not_now(mh_status status) {
    return status == MH_TIMEOUT || status == MH_INTERRUPTED ? MH_AGAIN : status;
}

static bool is_full(const mh_ring *ring) {
    return ring->shared->max_items && mh_ring_unread(ring) >= ring->shared->max_items;
}

/* Wait for room under the write lock. `grow` becomes true when a reader had its chance and the ring may grow. */
static mh_status wait_for_room(mh_ring *ring, const mh_batch *batch, const mh_message *message, uint32_t head,
                               uint64_t deadline, bool *grow) {
    bool could_grow = mh_ring_could_grow(ring, batch, mh_message_length(message), message->heavy);
    uint64_t patience = mh_now_ns() + PATIENCE_NS, until = could_grow && patience < deadline ? patience : deadline;
    mh_status status = mh_ring_wait_room(ring, head, until);
    *grow = status == MH_TIMEOUT && could_grow;
    return *grow ? MH_OK : status;
}

static mh_status add_or_wait(mh_ring *ring, mh_batch *batch, const mh_message *message, uint64_t deadline, bool grow) {
    for (;;) {
        uint32_t head = mh_count_acquire(&ring->shared->head);
        mh_status status = mh_message_add(ring, batch, message, grow);
        if (status != MH_AGAIN || deadline <= MH_TRY) return status;
        status = wait_for_room(ring, batch, message, head, deadline, &grow);
        if (status != MH_OK) return status;
    }
}

mh_status mh_message_put(mh_ring *ring, const mh_message *message, mh_arena *settle, uint64_t deadline, bool grow) {
    mh_batch batch;
    bool note_left = false;
    mh_status status = mh_ring_lock_write(ring, deadline, &batch, &note_left);
    if (worth_another_moment(status, deadline, is_full(ring)))
        status = not_now(mh_ring_lock_write(ring, mh_now_ns() + BUSY_NS, &batch, &note_left));
    if (status != MH_OK) return status;
    if (note_left) mh_parcel_settle_sending(ring, settle);
    status = add_or_wait(ring, &batch, message, deadline, grow);
    if (status == MH_OK) {
        if (message->kind & MH_KIND_PARCEL) mh_parcel_send(ring, &batch, message->arena, &message->parcel);
        else mh_ring_submit(ring, &batch);
    }
    mh_ring_unlock_write(ring);
    return status;
}

mh_status mh_message_next(mh_ring *ring, mh_entry *entry, mh_arena *settle, uint64_t deadline) {
    bool note_left = false;
    mh_status status = mh_ring_lock_read(ring, deadline, &note_left);
    if (worth_another_moment(status, deadline, mh_ring_unread(ring) == 0))
        status = not_now(mh_ring_lock_read(ring, mh_now_ns() + BUSY_NS, &note_left));
    if (status != MH_OK) return status;
    if (note_left) mh_parcel_settle_taking(ring, settle);
    for (;;) {
        status = mh_ring_peek(ring, entry);
        if (status != MH_AGAIN || deadline <= MH_TRY) break;
        status = mh_ring_wait_entry(ring, deadline);
        if (status != MH_OK) break;
    }
    if (status != MH_OK) mh_ring_unlock_read(ring);
    return status;
}

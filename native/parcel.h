/* Where ring and arena meet: an entry whose bytes are in a block.
 *
 * Sending or taking such an entry is two facts in two places: a count of the ring moves on, and the block changes
 * hands. Whoever does it first writes into the ring which block it is (a note, under its side's lock), then does
 * both, then erases the note. If it dies in between, the next holder of that lock reads the note:
 *
 *   sending, tail has not moved   nobody will ever take it: the block is freed
 *   sending, tail has moved       it is published: nothing to do
 *   taking, head has not moved    the entry is still there: nothing to do
 *   taking, head has moved        the dead reader had taken it: a block still FLYING is freed; one that is HELD by
 *                                 the dead is found by its owner
 */
#ifndef MH_PARCEL_H
#define MH_PARCEL_H

#include "arena.h"
#include "ring.h"

/* What the ring carries in place of the bytes. */
typedef struct {
    uint64_t arena;  /* its id */
    uint64_t length; /* bytes of payload */
    uint32_t block;
    uint32_t keeper_pid; /* who can give the arena's descriptor to a stranger */
    uint32_t keeper_fd;
    uint32_t kind; /* of the payload */
} mh_parcel;

/* Publish the committed entry, which is `parcel`, together with its block. Under the write lock, alone in its batch. */
void mh_parcel_send(mh_ring *ring, mh_batch *batch, mh_arena *arena, const mh_parcel *parcel);

/* A copy of the parcel that `entry` carries, safe from later writes; MH_CORRUPT when it carries none. */
mh_status mh_parcel_read(const mh_entry *entry, mh_parcel *parcel);
bool mh_parcel_fits(const mh_arena *arena, const mh_parcel *parcel);

/* Take the entry and claim its block, under the read lock. false: the block was not flying (it is lost). */
bool mh_parcel_take(mh_ring *ring, const mh_entry *entry, mh_arena *arena, const mh_parcel *parcel);

/* After a death, under the lock of that side. `arena` may be NULL: then the block stays lost. */
void mh_parcel_settle_sending(mh_ring *ring, mh_arena *arena);
void mh_parcel_settle_taking(mh_ring *ring, mh_arena *arena);

#endif

/* What the arena's files share: states, identities, buddies. Nobody else includes this. */
#ifndef MH_ARENA_INSIDE_H
#define MH_ARENA_INSIDE_H

#include "arena.h"

#define UNIT (UINT64_C(1) << MH_UNIT_SHIFT)
#define SEGMENT (UINT64_C(1) << MH_SEGMENT_SHIFT)
#define SPAN 0x80000000u /* in a shape: a lease of its own, of so many segments */

enum { FREE = 0, FILLING = 1u << 28, FLYING = 2u << 28, HELD = 3u << 28, SHARED = 4u << 28 };
#define STATE_MASK 0xf0000000u
#define WHO_MASK 0x0fffffffu

mh_segment *mh_segments(const mh_arena *arena);
mh_unit *mh_units(const mh_arena *arena);
void mh_arena_punch(const mh_arena *arena, uint64_t unit, uint64_t units);
void mh_arena_forget(mh_arena *arena); /* the private half belongs to another process, or ends */

/* Who is who (arena_who.c). `who` is never 0. */
mh_status mh_who_am_i(mh_arena *arena);
bool mh_who_lives(const mh_arena *arena, uint32_t who);
void mh_who_leaves(mh_arena *arena); /* what it leased and holds is from now on a dead one's */

/* Buddies of one lease (arena_buddy.c): blocks of 1 << order units. */
void mh_buddy_clear(mh_lease *lease);
bool mh_buddy_take(mh_lease *lease, uint32_t order, uint32_t *unit);
void mh_buddy_give(mh_lease *lease, uint32_t order, uint32_t unit);
uint64_t mh_warm_count(const mh_lease *lease, uint32_t unit, uint32_t units);
void mh_warm_set(mh_lease *lease, uint32_t unit, uint32_t units, bool warm);

/* The arena's lock, with what its last owner left half done repaired (arena_lease.c). */
mh_status mh_table_lock(mh_arena *arena);

/* Leases (arena_lease.c), under the private mutex. */
mh_status mh_lease_more(mh_arena *arena, uint32_t span, mh_lease **lease);
void mh_lease_end(mh_arena *arena, mh_lease *lease);
void mh_lease_sweep(mh_arena *arena); /* end what the dead leased; needs no mutex */
mh_lease *mh_lease_of(const mh_arena *arena, uint32_t block);

/* May a block of that shape begin at that unit of a segment? Then it also ends in it. */
static inline bool mh_shape_is_sane(uint32_t shape, uint32_t unit) {
    return shape < MH_ORDERS && (unit & ((1u << shape) - 1)) == 0;
}

/* Has the block become free, or is it due to become free? `deep` also asks whether holders live. */
bool mh_block_is_over(mh_arena *arena, uint32_t block, bool deep);
bool mh_remember_given(mh_arena *arena, uint32_t block);

#endif

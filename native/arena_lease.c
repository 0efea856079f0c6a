/* Segments: leasing, adopting what the dead leased, giving back. Under the arena's lock where it says so. */
#include <stdlib.h>
#include <string.h>

#include "arena_inside.h"
#include "kill_points.h"

static bool make_room(void **array, uint32_t used, uint32_t *room, size_t each) {
    if (used < *room) return true;
    uint32_t more = *room ? 2 * *room : 16;
    void *larger = realloc(*array, more * each);
    if (larger == NULL) return false;
    *array = larger;
    *room = more;
    return true;
}

bool mh_remember_given(mh_arena *arena, uint32_t block) {
    if (!make_room((void **)&arena->given, arena->givens, &arena->givens_room, sizeof *arena->given)) return false;
    arena->given[arena->givens++] = block;
    return true;
}

mh_lease *mh_lease_of(const mh_arena *arena, uint32_t block) {
    uint32_t segment = block / MH_UNITS;
    for (uint32_t i = 0; i < arena->leases; i++)
        if (segment >= arena->lease[i]->first && segment < arena->lease[i]->first + arena->lease[i]->span)
            return arena->lease[i];
    return NULL;
}

/* Somebody died while leasing: owned segments that no lease covers go back. Under the lock; idempotent. */
static void recover_leases(mh_arena *arena) {
    mh_segment *table = mh_segments(arena);
    uint32_t covered = 0;
    for (uint32_t i = 0; i < arena->segments; i++) {
        uint32_t span = load_relaxed(&table[i].span);
        if (load_relaxed(&table[i].owner) == 0) span = 0;
        if (span > 0 && i >= covered) covered = i + span;
        else if (i >= covered) store_relaxed(&table[i].owner, 0);
    }
}

mh_status mh_table_lock(mh_arena *arena) {
    bool owner_died = false;
    mh_status status;
    do status = mh_lock_acquire(&arena->shared->lock, MH_FOREVER, &owner_died);
    while (status == MH_INTERRUPTED); /* held for microseconds only; the caller has a mutex and cannot run handlers */
    if (status == MH_OK && owner_died) recover_leases(arena);
    return status;
}

static bool find_run(mh_arena *arena, uint32_t span, uint32_t *first) {
    mh_segment *table = mh_segments(arena);
    uint32_t run = 0;
    for (uint32_t i = 0; i < arena->segments; i++) {
        run = load_relaxed(&table[i].owner) == 0 ? run + 1 : 0;
        if (run == span) {
            *first = i + 1 - span;
            return true;
        }
    }
    return false;
}

/* From the last to the first, whose span makes it a lease. */
static void sign_lease(mh_arena *arena, uint32_t first, uint32_t span) {
    mh_segment *table = mh_segments(arena);
    for (uint32_t i = span; i-- > 0;) {
        store_relaxed(&table[first + i].span, 0);
        store_relaxed(&table[first + i].owner, arena->who);
        MH_POINT(arena_leasing);
    }
    store_release(&table[first].span, span);
    MH_POINT(arena_leased);
}

/* One store: a death before or after leaves a lease with its blocks, never a free segment that still has some. */
static void adopt_lease(mh_arena *arena, uint32_t first) {
    store_release(&mh_segments(arena)[first].owner, arena->who);
    MH_POINT(arena_adopted);
}

static void end_lease(mh_arena *arena, uint32_t first, uint32_t span) {
    mh_segment *table = mh_segments(arena);
    mh_arena_punch(arena, (uint64_t)first * MH_UNITS, (uint64_t)span * MH_UNITS);
    store_relaxed(&table[first].span, 0);
    MH_POINT(arena_ending);
    for (uint32_t i = 0; i < span; i++) store_release(&table[first + i].owner, 0);
}

static uint32_t units_of(uint32_t shape, uint32_t span) { return shape & SPAN ? span * MH_UNITS : 1u << shape; }

/* What a dead owner left in a segment: end what can end; true when a block is still somebody's. */
static bool still_used(mh_arena *arena, uint32_t first, uint32_t span) {
    mh_unit *units = mh_units(arena);
    bool used = false;
    for (uint32_t u = first * MH_UNITS; u < (first + span) * MH_UNITS;) {
        uint32_t state = load_acquire(&units[u].state), shape = load_relaxed(&units[u].shape);
        if ((state & STATE_MASK) == FILLING) store_relaxed(&units[u].state, FREE);
        else if (state != FREE && !mh_block_is_over(arena, u, true)) used = true;
        if (state == FREE) u++;
        else u += shape & SPAN || shape < MH_ORDERS ? units_of(shape, span) : 1;
    }
    return used;
}

/* Under the lock: give back whole leases of dead owners; keep the first that is still partly used, for adoption. */
static bool sweep_the_dead(mh_arena *arena, uint32_t *adoptable) {
    mh_segment *table = mh_segments(arena);
    bool found = false;
    for (uint32_t i = 0; i < arena->segments; i++) {
        uint32_t owner = load_relaxed(&table[i].owner), span = load_relaxed(&table[i].span);
        if (owner == 0 || span == 0 || span > arena->segments - i) continue;
        if (owner != arena->who && !mh_who_lives(arena, owner)) {
            if (!still_used(arena, i, span)) end_lease(arena, i, span);
            else if (span == 1 && !found) {
                *adoptable = i;
                found = true;
            }
        }
        i += span - 1;
    }
    return found;
}

/* The private half of a lease: what is used is given, what lies between is free. */
static void take_stock(mh_arena *arena, mh_lease *lease) {
    mh_unit *units = mh_units(arena);
    uint32_t start = lease->first * MH_UNITS;
    mh_buddy_clear(lease);
    if (lease->span > 1) return; /* one block as a whole */
    for (uint32_t u = 0; u < MH_UNITS;) {
        uint32_t state = load_acquire(&units[start + u].state), shape = load_relaxed(&units[start + u].shape);
        if (state == FREE) {
            mh_buddy_give(lease, 0, u++);
            continue;
        }
        uint32_t units = mh_shape_is_sane(shape, u) ? 1u << shape : 1;
        mh_remember_given(arena, start + u); /* if memory for that is refused, its units stay out of this lease */
        mh_warm_set(lease, u, units, true);
        u += units;
    }
}

static mh_status note_lease(mh_arena *arena, uint32_t first, uint32_t span, mh_lease **lease) {
    *lease = NULL;
    if (!make_room((void **)&arena->lease, arena->leases, &arena->leases_room, sizeof *arena->lease)) return MH_NOMEM;
    *lease = calloc(1, sizeof **lease);
    if (*lease == NULL) return MH_NOMEM;
    (*lease)->first = first;
    (*lease)->span = span;
    take_stock(arena, *lease);
    arena->lease[arena->leases++] = *lease;
    return MH_OK;
}

/* Under the lock: segments that were free, or became so now, or at worst one of the dead with blocks in it. */
static bool find_lease(mh_arena *arena, uint32_t span, uint32_t *first) {
    uint32_t adoptable = 0;
    bool found = find_run(arena, span, first), adopt = !found && sweep_the_dead(arena, &adoptable) && span == 1;
    if (!found) found = find_run(arena, span, first);
    if (found) sign_lease(arena, *first, span);
    else if (adopt) adopt_lease(arena, *first = adoptable);
    return found || adopt;
}

mh_status mh_lease_more(mh_arena *arena, uint32_t span, mh_lease **lease) {
    uint32_t first;
    mh_status status = mh_table_lock(arena);
    if (status != MH_OK) return status;
    bool found = find_lease(arena, span, &first);
    mh_lock_release(&arena->shared->lock);
    return found ? note_lease(arena, first, span, lease) : MH_NOMEM;
}

void mh_lease_end(mh_arena *arena, mh_lease *lease) {
    for (uint32_t i = 0; i < arena->leases; i++)
        if (arena->lease[i] == lease) arena->lease[i] = arena->lease[--arena->leases];
    if (mh_table_lock(arena) == MH_OK) {
        end_lease(arena, lease->first, lease->span);
        mh_lock_release(&arena->shared->lock);
    }
    free(lease);
}

void mh_lease_sweep(mh_arena *arena) {
    uint32_t adoptable;
    if (mh_table_lock(arena) != MH_OK) return;
    sweep_the_dead(arena, &adoptable);
    mh_lock_release(&arena->shared->lock);
}

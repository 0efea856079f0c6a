/* Blocks: allocating, flying, claiming, releasing, and finding out that they are free again. See arena.h. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "arena_inside.h"
#include "kill_points.h"

#define LOOK_AT 16u /* given blocks looked at by each allocation: finds freed ones at a constant price */

static mh_unit *unit_of(const mh_arena *arena, uint32_t block) { return &mh_units(arena)[block]; }

static bool is_block(const mh_arena *arena, uint32_t block) {
    return block < arena->segments * (uint64_t)MH_UNITS;
}

static uint32_t shape_for(uint64_t bytes) {
    if (bytes > SEGMENT) return SPAN | (uint32_t)((bytes + SEGMENT - 1) >> MH_SEGMENT_SHIFT);
    uint32_t order = 0;
    while (UNIT << order < bytes) order++;
    return order;
}

static uint64_t units_in(uint32_t shape) { return shape & SPAN ? (uint64_t)(shape & ~SPAN) * MH_UNITS : UINT64_C(1) << shape; }

uint64_t mh_arena_room(const mh_arena *arena, uint32_t block) {
    if (!is_block(arena, block)) return 0;
    uint32_t shape = load_relaxed(&unit_of(arena, block)->shape);
    if (!(shape & SPAN) && shape >= MH_ORDERS) return 0;
    uint64_t units = units_in(shape), all = arena->segments * (uint64_t)MH_UNITS;
    return units <= all - block ? units << MH_UNIT_SHIFT : 0;
}

/* ---- the private half ---- */

static void set_state(mh_arena *arena, uint32_t block, uint32_t state) {
    store_release(&unit_of(arena, block)->state, state); /* PAIR(block) */
}

static bool cas_state(mh_arena *arena, uint32_t block, uint32_t from, uint32_t to) {
    return cas_acq_rel(&unit_of(arena, block)->state, &from, to); /* PAIR(block) */
}

static bool nobody_has(const mh_arena *arena, uint32_t block, bool deep) {
    mh_shared_prefix *prefix = (mh_shared_prefix *)mh_arena_bytes(arena, block);
    uint32_t changes = load_seq_cst(&prefix->changes);
    if (load_seq_cst(&prefix->flights) != 0) return false;
    uint32_t most = load_seq_cst(&prefix->most); /* not sooner: who has just landed has counted itself before */
    for (uint32_t i = 0; i < most && i < MH_SHARED_HOLDERS; i++) {
        uint32_t who = load_seq_cst(&prefix->holder[i]);
        if (who == 0) continue;
        if (!deep || mh_who_lives(arena, who)) return false;
        cas_seq_cst(&prefix->holder[i], &who, 0);
    }
    /* A holder may have sent it on and let go between the two looks: then the number has changed. */
    return load_seq_cst(&prefix->flights) == 0 && load_seq_cst(&prefix->changes) == changes;
}

bool mh_block_is_over(mh_arena *arena, uint32_t block, bool deep) {
    uint32_t state = load_acquire(&unit_of(arena, block)->state); /* PAIR(block) */
    switch (state & STATE_MASK) {
    case FREE: return true;
    case HELD:
        if (!deep || mh_who_lives(arena, state & WHO_MASK)) return false;
        return cas_state(arena, block, state, FREE);
    case SHARED: return nobody_has(arena, block, deep) && cas_state(arena, block, state, FREE);
    default: return false;
    }
}

/* A given block is over: its units are free again, warm within the budget. */
static void put_back(mh_arena *arena, uint32_t block) {
    uint32_t shape = load_relaxed(&unit_of(arena, block)->shape);
    mh_lease *lease = mh_lease_of(arena, block);
    if (lease == NULL) return;
    if (lease->span > 1) {
        uint64_t bytes = (uint64_t)lease->span << MH_SEGMENT_SHIFT;
        if (arena->warm_free + bytes > arena->budget) mh_lease_end(arena, lease);
        else {
            arena->warm_free += bytes;
            lease->warm[0] = 1; /* kept for the next span of this size */
        }
        return;
    }
    uint32_t unit = block - lease->first * MH_UNITS, units = 1u << shape % 32;
    if (!mh_shape_is_sane(shape, unit)) return; /* overwritten: what is not understood is not used again */
    uint64_t warm = mh_warm_count(lease, unit, units) << MH_UNIT_SHIFT;
    if (arena->warm_free + warm > arena->budget) {
        mh_arena_punch(arena, block, units);
        mh_warm_set(lease, unit, units, false);
    } else arena->warm_free += warm;
    mh_buddy_give(lease, shape, unit);
}

/* Look at up to `most` given blocks, round and round, and put back those that are over. */
static void collect(mh_arena *arena, uint32_t most, bool deep) {
    for (uint32_t i = 0; i < most && arena->givens > 0; i++) {
        if (arena->hand >= arena->givens) arena->hand = 0;
        uint32_t block = arena->given[arena->hand];
        if (!mh_block_is_over(arena, block, deep)) {
            arena->hand++;
            continue;
        }
        arena->given[arena->hand] = arena->given[--arena->givens];
        put_back(arena, block);
    }
}

/* After a fork the private half is the parent's: this process begins with none. */
static mh_status own_half(mh_arena *arena) {
    if (arena->shared == NULL) return MH_NOMEM;
    if (arena->pid != getpid()) {
        pthread_mutex_init(&arena->mutex, NULL);
        mh_arena_forget(arena);
        arena->pid = getpid();
    }
    return MH_OK;
}

mh_status mh_arena_ready(mh_arena *arena) {
    mh_status status = own_half(arena);
    if (status != MH_OK || arena->who != 0) return status;
    pthread_mutex_lock(&arena->mutex);
    status = mh_who_am_i(arena);
    pthread_mutex_unlock(&arena->mutex);
    return status;
}

/* ---- allocating ---- */

static bool take_from_leases(mh_arena *arena, uint32_t order, uint32_t *block) {
    for (uint32_t i = 0; i < arena->leases; i++) {
        mh_lease *lease = arena->lease[i];
        uint32_t unit;
        if (lease->span != 1 || !mh_buddy_take(lease, order, &unit)) continue;
        *block = lease->first * MH_UNITS + unit;
        return true;
    }
    return false;
}

static mh_status take_units(mh_arena *arena, uint32_t order, uint32_t *block) {
    mh_lease *lease;
    if (take_from_leases(arena, order, block)) return MH_OK;
    collect(arena, arena->givens, true);
    if (take_from_leases(arena, order, block)) return MH_OK;
    mh_status status = mh_lease_more(arena, 1, &lease);
    if (status != MH_OK) return status;
    return take_from_leases(arena, order, block) ? MH_OK : MH_NOMEM;
}

static mh_status take_span(mh_arena *arena, uint32_t span, uint32_t *block) {
    mh_lease *lease = NULL;
    for (uint32_t i = 0; i < arena->leases && lease == NULL; i++)
        if (arena->lease[i]->span == span && span > 1 && arena->lease[i]->warm[0]) lease = arena->lease[i];
    if (lease != NULL) {
        lease->warm[0] = 0;
        arena->warm_free -= (uint64_t)span << MH_SEGMENT_SHIFT;
    } else {
        collect(arena, arena->givens, true);
        mh_status status = mh_lease_more(arena, span, &lease);
        if (status != MH_OK) return status;
    }
    *block = lease->first * MH_UNITS;
    return MH_OK;
}

/* The units that `bytes` will touch have pages from now on. */
static void warm_up(mh_arena *arena, uint32_t block, uint32_t shape, uint64_t bytes) {
    mh_lease *lease = mh_lease_of(arena, block);
    if (lease == NULL || shape & SPAN) return;
    uint32_t unit = block - lease->first * MH_UNITS;
    arena->warm_free -= mh_warm_count(lease, unit, 1u << shape) << MH_UNIT_SHIFT;
    mh_warm_set(lease, unit, (uint32_t)((bytes + UNIT - 1) >> MH_UNIT_SHIFT), true);
}

static mh_status alloc_locked(mh_arena *arena, uint64_t bytes, uint32_t *block) {
    mh_status status = mh_who_am_i(arena);
    if (status != MH_OK) return status;
    uint32_t shape = shape_for(bytes);
    collect(arena, LOOK_AT, false);
    status = shape & SPAN ? take_span(arena, shape & ~SPAN, block) : take_units(arena, shape, block);
    if (status != MH_OK) return status;
    if (!mh_remember_given(arena, *block)) {
        put_back(arena, *block);
        return MH_NOMEM;
    }
    warm_up(arena, *block, shape, bytes);
    store_relaxed(&unit_of(arena, *block)->shape, shape);
    set_state(arena, *block, FILLING | arena->who);
    return MH_OK;
}

mh_status mh_arena_alloc(mh_arena *arena, uint64_t bytes, uint32_t *block) {
    mh_status status = own_half(arena);
    if (status != MH_OK) return status;
    if (bytes > (uint64_t)arena->segments << MH_SEGMENT_SHIFT) return MH_TOO_BIG;
    if (bytes == 0) bytes = 1;
    pthread_mutex_lock(&arena->mutex);
    status = alloc_locked(arena, bytes, block);
    pthread_mutex_unlock(&arena->mutex);
    if (status == MH_OK) MH_POINT(arena_filling);
    return status;
}

/* ---- the life of a block ---- */

void mh_arena_fly(mh_arena *arena, uint32_t block) {
    set_state(arena, block, FLYING);
    MH_POINT(arena_flying);
}

void mh_arena_abandon(mh_arena *arena, uint32_t block) { set_state(arena, block, FREE); }

bool mh_arena_claim(mh_arena *arena, uint32_t block) { return cas_state(arena, block, FLYING, HELD | arena->who); }

void mh_arena_release(mh_arena *arena, uint32_t block) {
    MH_POINT(arena_releasing);
    set_state(arena, block, FREE);
}

/* ---- shared blocks ---- */

static mh_shared_prefix *prefix_of(const mh_arena *arena, uint32_t block) {
    return (mh_shared_prefix *)mh_arena_bytes(arena, block);
}

void mh_arena_share(mh_arena *arena, uint32_t block) {
    mh_shared_prefix *prefix = prefix_of(arena, block);
    memset(prefix, 0, sizeof *prefix);
    store_relaxed(&prefix->holder[0], arena->who);
    store_relaxed(&prefix->most, 1);
    set_state(arena, block, SHARED);
}

bool mh_arena_is_shared(const mh_arena *arena, uint32_t block) {
    return is_block(arena, block) && (load_acquire(&unit_of(arena, block)->state) & STATE_MASK) == SHARED;
}

/* A block's first unit is a multiple of its size: so few units can be the first of the block around `unit`. */
static bool shared_in_segment(const mh_arena *arena, uint32_t unit, uint32_t *block) {
    for (uint32_t order = 0; order < MH_ORDERS; order++) {
        *block = unit & ~((1u << order) - 1);
        if (mh_arena_is_shared(arena, *block) && load_relaxed(&unit_of(arena, *block)->shape) == order) return true;
    }
    return false;
}

bool mh_arena_shared_at(const mh_arena *arena, const void *address, uint32_t *block) {
    uint64_t at = (uint64_t)((const char *)address - (const char *)arena->shared);
    if (arena->shared == NULL || at < arena->first_byte || at >= arena->size) return false;
    uint32_t unit = (uint32_t)((at - arena->first_byte) >> MH_UNIT_SHIFT);
    if (shared_in_segment(arena, unit, block)) return true;
    uint32_t segment = unit / MH_UNITS; /* or in a span: back to the segment that has one */
    while (segment > 0 && load_relaxed(&mh_segments(arena)[segment].span) == 0) segment--;
    *block = segment * MH_UNITS;
    return mh_arena_is_shared(arena, *block) && load_relaxed(&unit_of(arena, *block)->shape) & SPAN;
}

void mh_arena_take_off(mh_arena *arena, uint32_t block) {
    add_seq_cst(&prefix_of(arena, block)->flights, 1);
    add_seq_cst(&prefix_of(arena, block)->changes, 1);
}

void mh_arena_land(mh_arena *arena, uint32_t block) { add_seq_cst(&prefix_of(arena, block)->flights, (uint32_t)-1); }

mh_status mh_arena_hold(mh_arena *arena, uint32_t block) {
    mh_shared_prefix *prefix = prefix_of(arena, block);
    for (uint32_t i = 0; i < MH_SHARED_HOLDERS; i++) {
        uint32_t nobody = 0, most = load_seq_cst(&prefix->most);
        while (most <= i && !cas_seq_cst(&prefix->most, &most, i + 1)) continue;
        if (cas_seq_cst(&prefix->holder[i], &nobody, arena->who)) return MH_OK;
    }
    return MH_NOMEM;
}

void mh_arena_drop(mh_arena *arena, uint32_t block) {
    mh_shared_prefix *prefix = prefix_of(arena, block);
    uint32_t most = load_acquire(&prefix->most);
    for (uint32_t i = 0; i < most && i < MH_SHARED_HOLDERS; i++) {
        uint32_t who = arena->who;
        if (cas_seq_cst(&prefix->holder[i], &who, 0)) return;
    }
}

/* ---- looking and tidying ---- */

void mh_arena_look(mh_arena *arena, mh_arena_statistics *out) {
    memset(out, 0, sizeof *out);
    if (own_half(arena) != MH_OK) return;
    pthread_mutex_lock(&arena->mutex);
    collect(arena, arena->givens, true);
    for (uint32_t i = 0; i < arena->leases; i++) out->leased += (uint64_t)arena->lease[i]->span << MH_SEGMENT_SHIFT;
    for (uint32_t i = 0; i < arena->givens; i++) out->given += mh_arena_room(arena, arena->given[i]);
    out->warm_free = arena->warm_free;
    out->blocks = arena->givens;
    pthread_mutex_unlock(&arena->mutex);
}

void mh_arena_reclaim(mh_arena *arena) {
    if (arena->shared == NULL) return;
    mh_lease_sweep(arena);
    if (arena->pid != getpid()) return; /* forked, and has not begun a half of its own */
    pthread_mutex_lock(&arena->mutex);
    collect(arena, arena->givens, true);
    pthread_mutex_unlock(&arena->mutex);
}

void mh_arena_trim(mh_arena *arena) {
    if (own_half(arena) != MH_OK) return;
    pthread_mutex_lock(&arena->mutex);
    uint64_t budget = arena->budget;
    arena->budget = 0;
    collect(arena, arena->givens, true);
    for (uint32_t i = 0; i < arena->leases; i++) {
        mh_lease *lease = arena->lease[i];
        if (lease->span > 1 && lease->warm[0]) mh_lease_end(arena, lease), i--;
        else if (lease->span == 1)
            for (uint32_t order = 0; order < MH_ORDERS; order++)
                for (uint32_t at = 0; at < MH_UNITS >> order; at++)
                    if (lease->free[order][at / 64] >> at % 64 & 1) {
                        mh_arena_punch(arena, (uint64_t)lease->first * MH_UNITS + (at << order), UINT64_C(1) << order);
                        mh_warm_set(lease, at << order, 1u << order, false);
                    }
    }
    arena->warm_free = 0;
    arena->budget = budget;
    pthread_mutex_unlock(&arena->mutex);
}

/* The buddy system of one leased segment: private to its owner, plain bits. Source: Knuth, TAOCP 1, 2.5. */
#include <string.h>

#include "arena_inside.h"

static bool get(const uint64_t *bits, uint32_t at) { return bits[at / 64] >> at % 64 & 1; }
static void put(uint64_t *bits, uint32_t at, bool on) {
    uint64_t bit = UINT64_C(1) << at % 64;
    bits[at / 64] = on ? bits[at / 64] | bit : bits[at / 64] & ~bit;
}

void mh_buddy_clear(mh_lease *lease) {
    memset(lease->free, 0, sizeof lease->free);
    memset(lease->warm, 0, sizeof lease->warm);
}

/* The lowest free block of an order: low addresses are used again and again, and stay warm. */
static bool lowest(const mh_lease *lease, uint32_t order, uint32_t *at) {
    for (uint32_t word = 0; word < MH_UNITS / 64; word++)
        if (lease->free[order][word] != 0) {
            *at = word * 64 + (uint32_t)__builtin_ctzll(lease->free[order][word]);
            return true;
        }
    return false;
}

bool mh_buddy_take(mh_lease *lease, uint32_t order, uint32_t *unit) {
    uint32_t have = order, at = 0;
    while (have < MH_ORDERS && !lowest(lease, have, &at)) have++;
    if (have == MH_ORDERS) return false;
    put(lease->free[have], at, false);
    while (have > order) { /* keep the lower half, free the upper */
        have--;
        at *= 2;
        put(lease->free[have], at + 1, true);
    }
    *unit = at << order;
    return true;
}

void mh_buddy_give(mh_lease *lease, uint32_t order, uint32_t unit) {
    uint32_t at = unit >> order;
    while (order < MH_ORDERS - 1 && get(lease->free[order], at ^ 1)) {
        put(lease->free[order], at ^ 1, false);
        at /= 2;
        order++;
    }
    put(lease->free[order], at, true);
}

uint64_t mh_warm_count(const mh_lease *lease, uint32_t unit, uint32_t units) {
    uint64_t count = 0;
    for (uint32_t i = unit; i < unit + units; i++) count += get(lease->warm, i);
    return count;
}

void mh_warm_set(mh_lease *lease, uint32_t unit, uint32_t units, bool warm) {
    for (uint32_t i = unit; i < unit + units; i++) put(lease->warm, i, warm);
}

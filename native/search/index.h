/* Which grams occur in which blocks: a matrix of bits, hashed gram x block. See docs/internals/search.md.
 *
 * The columns stand in windows of 64 blocks; the windows of a group lie side by side, so that a look-up reads one cache
 * line a gram and group. The first group has one window (a small tree costs 640 KB), the others have eight.
 *
 * Always true:
 *   1. The index may say too much, never too little: a block whose `pending` bit is not set has the bits of all grams
 *      that its living text has.
 *   2. A look-up of a bucket that says nothing (grams.h) is not made.
 *   3. Coarse bits (grams of three bytes) speak of four blocks at once. When they are cleared for a block that is used
 *      again, its three neighbours are pending until they have been indexed again.
 *
 * Threads: one at a time; the caller sees to it.
 */
#ifndef MS_INDEX_H
#define MS_INDEX_H

#include "grams.h"
#include "store.h"

#define MS_WINDOW 64u /* blocks */
#define MS_QUAD 4u    /* blocks that share a coarse column */

typedef struct {
    uint64_t *fine;   /* [bucket][window] */
    uint16_t *coarse; /* [bucket][window] */
    uint32_t windows;
} ms_group;

typedef struct {
    ms_group *groups;
    size_t count, capacity;
    struct ms_work *work; /* the bits of one window's blocks while it is being indexed */
} ms_index;

void ms_index_close(ms_index *index);
uint64_t ms_index_memory(const ms_index *index);

/* Index about so many pending blocks (whole quads). False: no memory; what was indexed stays so. */
bool ms_index_run(ms_index *index, ms_store *store, uint64_t most_blocks);
uint64_t ms_index_pending(const ms_store *store);

/* A block is used again while the index has bits of what it was: its quad is pending from now on. */
void ms_index_forget_around(ms_store *store, uint32_t block);

/* Set the bits of `blocks` (store->block_count of them, in words) that may have a line with this literal in any case of
 * ASCII; with `folds`, also with U+017F for s and U+212A for k. Of a literal with newlines: with one of its parts. */
bool ms_index_candidates(const ms_index *index, const ms_store *store, const uint8_t *literal, size_t bytes, bool folds,
                         uint64_t *blocks);

/* The group and the window in it of the blocks from 64 * window on. */
static inline size_t ms_group_of(uint32_t window, uint32_t *inside) {
    *inside = window == 0 ? 0 : (window - 1) % 8;
    return window == 0 ? 0 : 1 + (window - 1) / 8;
}

#endif

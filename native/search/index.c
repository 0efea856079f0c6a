/* Building the index, a window at a time: see index.h.
 *
 * The grams of each block go into a row of bits of its own, small enough for the nearest cache. When the window's blocks
 * are done, their rows become columns of the group (columns.c).
 */
#include "index.h"

#include <string.h>
#include <sys/mman.h>

#include "array.h"
#include "columns.h"
#include "kind.h"
#include "scan.h"

static size_t group_bytes(uint32_t windows) {
    return (size_t)MS_BUCKETS * windows * (sizeof(uint64_t) + sizeof(uint16_t));
}

void ms_index_close(ms_index *index) {
    for (size_t i = 0; i < index->count; i++) munmap(index->groups[i].fine, group_bytes(index->groups[i].windows));
    free(index->groups);
    free(index->work);
    *index = (ms_index){0};
}

uint64_t ms_index_memory(const ms_index *index) {
    uint64_t bytes = index->work ? sizeof *index->work : 0;
    for (size_t i = 0; i < index->count; i++) bytes += group_bytes(index->groups[i].windows);
    return bytes;
}

static bool expect_group(ms_index *index, size_t number) {
    if (index->work == NULL && (index->work = malloc(sizeof *index->work)) == NULL) return false;
    while (index->count <= number) {
        uint32_t windows = index->count == 0 ? 1 : 8;
        if (!MS_GROW(index->groups, index->capacity, index->count + 1)) return false;
        void *at = mmap(NULL, group_bytes(windows), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (at == MAP_FAILED) return false;
        uint64_t *fine = at;
        index->groups[index->count++] =
            (ms_group){fine, (uint16_t *)(void *)(fine + (size_t)MS_BUCKETS * windows), windows};
    }
    return true;
}

/* ---- the grams of one block ---- */

/* Once more, with what folds to s and k as these. */
static bool add_folded(ms_gram_word *row, const uint8_t *text, size_t bytes) {
    uint8_t *folded = malloc(bytes + MS_GRAM_SLACK), letter;
    size_t length = 0;
    if (folded == NULL) return false;
    for (size_t at = 0; at < bytes;) {
        int skipped = ms_fold_at(text + at, &letter);
        folded[length++] = skipped ? letter : text[at];
        at += skipped ? (size_t)skipped : 1;
    }
    memset(folded + length, '\n', MS_GRAM_SLACK);
    ms_path->grams(folded, length, row);
    free(folded);
    return true;
}

static bool add_block(ms_work *work, const ms_store *store, uint32_t number) {
    const ms_block *block = &store->blocks[number];
    ms_gram_word *row = work->row[number % MS_WINDOW];
    memset(row, 0, sizeof work->row[0]);
    for (uint32_t i = block->first; i != MS_NONE; i = store->segments[i].later) {
        const ms_segment *segment = &store->segments[i];
        const uint8_t *text = store->text.bytes + segment->start;
        if (segment->start < block->start + block->indexed) continue;
        ms_path->grams(text, segment->bytes, row);
        if (segment->kind & MS_FOLDS && !add_folded(row, text, segment->bytes)) return false;
    }
    return true;
}

/* ---- windows ---- */

/* The pending blocks of a window, whole quads, until there are so many. */
static uint64_t choose(const ms_store *store, uint32_t window, uint64_t most_blocks) {
    uint64_t pending = store->pending[window], chosen = 0;
    for (uint32_t i = 0; i < MS_WINDOW && (uint64_t)__builtin_popcountll(chosen) < most_blocks; i += MS_QUAD)
        chosen |= pending & UINT64_C(15) << i;
    return chosen;
}

static bool gather(ms_work *work, const ms_store *store, uint32_t window, ms_pass *pass) {
    for (uint32_t i = 0; i < MS_WINDOW; i++) {
        uint32_t number = window * MS_WINDOW + i;
        if (!(pass->indexed >> i & 1)) continue;
        if (store->blocks[number].stale) pass->cleared |= UINT64_C(1) << i;
        if (!add_block(work, store, number)) return false;
    }
    return true;
}

static bool run_window(ms_index *index, ms_store *store, uint32_t window, uint64_t chosen) {
    ms_pass pass = {.indexed = chosen};
    size_t number = ms_group_of(window, &pass.inside);
    if (!expect_group(index, number) || !gather(index->work, store, window, &pass)) return false;
    pass.group = &index->groups[number];
    ms_columns_write(index->work, &pass);
    for (uint32_t i = 0; i < MS_WINDOW; i++) {
        ms_block *block = &store->blocks[window * MS_WINDOW + i];
        if (!(chosen >> i & 1)) continue;
        block->indexed = block->bytes;
        block->stale = false;
    }
    store->pending[window] &= ~chosen;
    return true;
}

bool ms_index_run(ms_index *index, ms_store *store, uint64_t most_blocks) {
    for (uint32_t window = 0; (size_t)window * MS_WINDOW < store->block_count && most_blocks > 0; window++) {
        uint64_t chosen = choose(store, window, most_blocks), count = (uint64_t)__builtin_popcountll(chosen);
        if (count > 0 && !run_window(index, store, window, chosen)) return false;
        most_blocks -= count < most_blocks ? count : most_blocks;
    }
    return true;
}

uint64_t ms_index_pending(const ms_store *store) {
    uint64_t count = 0;
    for (size_t i = 0; i < store->bitmap_capacity / 64; i++) count += (uint64_t)__builtin_popcountll(store->pending[i]);
    return count;
}

void ms_index_forget_around(ms_store *store, uint32_t number) {
    for (uint32_t i = number - number % MS_QUAD; i < number - number % MS_QUAD + MS_QUAD; i++) {
        if (i == number || i >= store->block_count || store->blocks[i].free) continue;
        ms_block *block = &store->blocks[i];
        block->stale |= block->indexed > 0; /* it will be indexed from its start: its fine bits may go as well */
        block->indexed = 0;
        ms_bit_set(store->pending, i, true);
    }
}

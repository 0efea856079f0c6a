/* Which blocks may have a line with a literal: see ms_index_candidates in index.h. */
#include <stdlib.h>
#include <string.h>

#include "grams.h"
#include "index.h"

/* More grams than that say little that these do not; longer literals are looked for by some of their grams. */
#define MOST_GRAMS 48

typedef struct {
    uint16_t bucket[MOST_GRAMS];
    bool coarse[MOST_GRAMS];
    uint32_t count;
} grams;

static void add_gram(grams *grams, uint32_t bucket, bool coarse) {
    if (ms_says_nothing(bucket) || grams->count == MOST_GRAMS) return;
    grams->bucket[grams->count] = (uint16_t)bucket;
    grams->coarse[grams->count++] = coarse;
}

/* The grams of bytes that stand together in the literal; of a long run, of `stride` apart. */
static void add_run(grams *grams, const uint8_t *run, size_t bytes, size_t stride) {
    uint32_t gram = 0;
    for (size_t i = 0; i < bytes; i++) {
        gram = gram >> 8 | (uint32_t)ms_lower(run[i]) << 24;
        if (i >= 3 && (i - 3) % stride == 0) add_gram(grams, ms_fine_bucket(gram), false);
    }
    if (bytes == 3) add_gram(grams, ms_coarse_bucket(gram >> 8), true);
}

static grams grams_of(const uint8_t *part, size_t bytes, bool folds) {
    grams found = {.count = 0};
    size_t start = 0, stride = bytes / MOST_GRAMS + 1;
    for (size_t i = 0; i <= bytes; i++) {
        if (i < bytes && !(folds && part[i] >= 0x80)) continue;
        add_run(&found, part + start, i - start, stride);
        start = i + 1;
    }
    return found;
}

/* Each of 16 bits four times. */
static uint64_t spread(uint64_t quads) {
    quads = (quads | quads << 24) & UINT64_C(0x000000ff000000ff);
    quads = (quads | quads << 12) & UINT64_C(0x000f000f000f000f);
    quads = (quads | quads << 6) & UINT64_C(0x0303030303030303);
    quads = (quads | quads << 3) & UINT64_C(0x1111111111111111);
    return quads * 15;
}

/* The bits of one group's windows that have all grams. */
static void look_up(const ms_group *group, const grams *grams, uint64_t *words) {
    memset(words, 0xff, group->windows * sizeof *words);
    for (uint32_t i = 0; i < grams->count; i++) {
        size_t row = (size_t)grams->bucket[i] * group->windows;
        uint64_t any = 0;
        for (uint32_t w = 0; w < group->windows; w++)
            any |= words[w] &= grams->coarse[i] ? spread(group->coarse[row + w]) : group->fine[row + w];
        if (any == 0) return;
    }
}

static uint64_t find_part(const ms_index *index, const ms_store *store, const grams *grams, uint64_t *blocks) {
    size_t windows = (store->block_count + MS_WINDOW - 1) / MS_WINDOW;
    uint64_t words[8], count = 0;
    for (size_t window = 0; window < windows;) {
        uint32_t inside, width = window == 0 ? 1 : 8;
        size_t group = ms_group_of((uint32_t)window, &inside);
        memset(words, grams->count ? 0 : 0xff, sizeof words);
        if (grams->count && group < index->count) look_up(&index->groups[group], grams, words);
        for (uint32_t i = 0; i < width && window < windows; i++, window++) {
            blocks[window] = (words[i] | store->pending[window]) & store->living[window];
            count += (uint64_t)__builtin_popcountll(blocks[window]);
        }
    }
    return count;
}

/* A match with newlines may begin in one block and end in another, so only one part can be asked for: the rarest. */
bool ms_index_candidates(const ms_index *index, const ms_store *store, const uint8_t *literal, size_t bytes, bool folds,
                         uint64_t *blocks) {
    size_t words = (store->block_count + MS_WINDOW - 1) / MS_WINDOW;
    uint64_t fewest = UINT64_MAX, *found = malloc((words + 1) * sizeof *found);
    if (found == NULL) return false;
    for (size_t start = 0, end; start <= bytes; start = end + 1) {
        for (end = start; end < bytes && literal[end] != '\n';) end++;
        grams grams = grams_of(literal + start, end - start, folds);
        uint64_t count = find_part(index, store, &grams, found);
        if (count >= fewest) continue;
        fewest = count;
        memcpy(blocks, found, words * sizeof *found);
    }
    free(found);
    return true;
}

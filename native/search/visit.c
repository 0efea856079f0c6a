/* Which segments a visit goes over, and in which order: see visit.h. */
#include "visit.h"

#include <stdlib.h>
#include <string.h>

#include "array.h"

typedef struct {
    uint64_t key; /* the file's place; where in the document */
    uint32_t segment;
} entry;

typedef struct {
    const ms_store *store;
    const uint8_t *blocks, *files;
    size_t file_count;
} wish;

static bool wants_file(const wish *wish, uint32_t file) {
    return wish->files == NULL || file >= wish->file_count || wish->files[file] != 0;
}

static bool wants_block(const wish *wish, uint32_t block) {
    return wish->blocks == NULL || wish->blocks[block / 8] >> block % 8 & 1;
}

static bool add(ms_visit *visit, size_t *capacity, uint32_t segment) {
    if (!MS_GROW(visit->segments, *capacity, visit->count + 1)) return false;
    visit->segments[visit->count++] = segment;
    return true;
}

/* ---- few blocks: take their segments, then sort ---- */

static int by_key(const void *left, const void *right) {
    uint64_t a = ((const entry *)left)->key, b = ((const entry *)right)->key;
    return (a > b) - (a < b);
}

static entry entry_of(const ms_store *store, uint32_t number) {
    const ms_segment *segment = &store->segments[number];
    const ms_document *document = &store->documents[segment->document];
    uint64_t place = ms_store_place_of(store, document->file);
    return (entry){place << 32 | (segment->start - document->start), number};
}

/* True: there is memory. `*sorted` becomes false when they are not in order as they are. */
static bool collect(const wish *wish, entry **entries, size_t *count, bool *sorted) {
    const ms_store *store = wish->store;
    size_t capacity = 0;
    for (uint32_t block = 0; block < store->block_count; block++) {
        if (!wants_block(wish, block)) continue;
        for (uint32_t i = store->blocks[block].first; i != MS_NONE; i = store->segments[i].later) {
            const ms_document *document = &store->documents[store->segments[i].document];
            if (!document->living || !wants_file(wish, document->file)) continue;
            if (!MS_GROW(*entries, capacity, *count + 1)) return false;
            (*entries)[*count] = entry_of(store, i);
            if (*count > 0 && (*entries)[*count - 1].key > (*entries)[*count].key) *sorted = false;
            ++*count;
        }
    }
    return true;
}

static bool visit_few(ms_visit *visit, const wish *wish) {
    entry *entries = NULL;
    size_t count = 0, capacity = 0;
    bool sorted = true, enough = collect(wish, &entries, &count, &sorted);
    if (enough && !sorted) qsort(entries, count, sizeof *entries, by_key);
    for (size_t i = 0; enough && i < count; i++) enough = add(visit, &capacity, entries[i].segment);
    free(entries);
    return enough;
}

/* ---- many blocks: go through the files in order ---- */

static bool visit_many(ms_visit *visit, const wish *wish) {
    const ms_store *store = wish->store;
    uint64_t files = store->files_end > store->ranked ? store->files_end : store->ranked;
    size_t capacity = 0;
    for (uint64_t n = 0; n < files; n++) {
        uint32_t file = ms_store_nth(store, n);
        const ms_document *document = ms_store_find(store, file);
        if (document == NULL || !wants_file(wish, file)) continue;
        for (uint32_t i = document->first; i != MS_NONE; i = store->segments[i].next)
            if (wants_block(wish, store->segments[i].block) && !add(visit, &capacity, i)) return false;
    }
    return true;
}

static size_t count_bits(const uint8_t *bits, size_t bytes) {
    size_t count = 0;
    for (size_t i = 0; i < bytes; i++) count += (size_t)__builtin_popcount(bits[i]);
    return count;
}

bool ms_visit_open(ms_visit *visit, const ms_store *store, const uint8_t *blocks, const uint8_t *files, size_t file_count) {
    const wish wish = {store, blocks, files, file_count};
    size_t all = store->block_count;
    bool few = blocks != NULL && count_bits(blocks, (all + 7) / 8) < all / 8 + 1;
    *visit = (ms_visit){.store = store, .skipped = MS_NONE, .file = MS_NONE};
    if (few ? visit_few(visit, &wish) : visit_many(visit, &wish)) return true;
    ms_visit_close(visit);
    return false;
}

size_t ms_visit_files(const ms_visit *visit, uint32_t *files) {
    const ms_store *store = visit->store;
    size_t count = 0;
    for (size_t i = 0; i < visit->count; i++) {
        uint32_t file = store->documents[store->segments[visit->segments[i]].document].file;
        if (count == 0 || files[count - 1] != file) files[count++] = file;
    }
    return count;
}

void ms_visit_close(ms_visit *visit) {
    free(visit->segments);
    *visit = (ms_visit){.store = visit->store, .scanned_bytes = visit->scanned_bytes};
}

/* Blocks and segments: cutting a document, and giving back what a dead one leaves. See store.h. */
#include <string.h>

#include "array.h"
#include "index.h"
#include "kind.h"
#include "scan.h"
#include "store.h"

static bool expect_bits(ms_store *store, size_t blocks) {
    size_t words = store->bitmap_capacity / 64, living = words, pending = words;
    if (blocks <= store->bitmap_capacity) return true;
    if (!MS_GROW(store->living, living, blocks / 64 + 1) || !MS_GROW(store->pending, pending, blocks / 64 + 1))
        return false;
    memset(store->living + words, 0, (living - words) * sizeof *store->living);
    memset(store->pending + words, 0, (pending - words) * sizeof *store->pending);
    store->bitmap_capacity = living * 64;
    return true;
}

bool ms_blocks_expect(ms_store *store, uint64_t bytes) {
    size_t pieces = (size_t)(bytes / MS_BLOCK_BYTES) + 2, blocks = store->block_count + pieces;
    return MS_GROW(store->segments, store->segment_capacity, store->segment_count + pieces) &&
           MS_GROW(store->blocks, store->block_capacity, blocks) && expect_bits(store, blocks) &&
           ms_text_expect(&store->text, blocks + 2); /* a hole between every two blocks, and both ends */
}

/* ---- cutting ---- */

static uint32_t new_block(ms_store *store, uint64_t start) {
    uint32_t number = store->free_block;
    bool stale = false;
    if (number == MS_NONE) {
        number = (uint32_t)store->block_count++;
    } else {
        store->free_block = store->blocks[number].next;
        stale = store->blocks[number].stale;
    }
    store->blocks[number] = (ms_block){.start = start, .first = MS_NONE, .last = MS_NONE, .next = MS_NONE,
                                       .stale = stale};
    if (stale) ms_index_forget_around(store, number);
    return number;
}

static uint32_t block_at(ms_store *store, uint64_t at) {
    if (store->open != MS_NONE) {
        const ms_block *open = &store->blocks[store->open];
        if (open->start + open->bytes == at && open->bytes < MS_BLOCK_BYTES) return store->open;
    }
    return store->open = new_block(store, at);
}

/* Where the piece from `at` on that goes into this block ends: at the first line end at which the block is full. */
static uint64_t piece_end(const ms_store *store, const ms_block *block, uint64_t at, uint64_t end) {
    uint64_t room = MS_BLOCK_BYTES - block->bytes;
    if (end - at <= room) return end;
    const uint8_t *bytes = store->text.bytes;
    return (uint64_t)(ms_path->newline(bytes + at + room - 1) + 1 - bytes);
}

static uint32_t new_segment(ms_store *store) {
    uint32_t number = store->free_segment;
    if (number == MS_NONE) return (uint32_t)store->segment_count++;
    store->free_segment = store->segments[number].next;
    return number;
}

/* Put a segment at its block's end. */
static void add_to_block(ms_store *store, uint32_t number) {
    ms_segment *segment = &store->segments[number];
    ms_block *block = &store->blocks[segment->block];
    segment->later = MS_NONE;
    segment->earlier = block->last;
    if (block->last == MS_NONE) block->first = number;
    else store->segments[block->last].later = number;
    block->last = number;
    block->bytes += segment->bytes;
    block->living += segment->bytes;
    store->block_bytes += segment->bytes;
    ms_bit_set(store->living, segment->block, true);
    ms_bit_set(store->pending, segment->block, true);
}

void ms_blocks_cut(ms_store *store, uint32_t document) {
    const uint8_t *bytes = store->text.bytes;
    uint64_t at = store->documents[document].start, end = at + store->documents[document].bytes;
    uint32_t line = 1, *link = &store->documents[document].first;
    while (at < end) {
        uint32_t block = block_at(store, at), number = new_segment(store);
        uint64_t stop = piece_end(store, &store->blocks[block], at, end);
        store->segments[number] = (ms_segment){
            .start = at, .bytes = (uint32_t)(stop - at), .document = document, .block = block, .next = MS_NONE,
            .first_line = line, .kind = (uint8_t)ms_kind_of(bytes + at, stop - at)};
        add_to_block(store, number);
        *link = number;
        link = &store->segments[number].next;
        if (stop < end) line += (uint32_t)ms_path->newlines(bytes + at, bytes + stop);
        at = stop;
    }
}

/* ---- giving back ---- */

static void free_block(ms_store *store, uint32_t number) {
    ms_block *block = &store->blocks[number];
    ms_text_give(&store->text, block->start, block->start + block->bytes);
    store->block_bytes -= block->bytes;
    block->stale |= block->indexed > 0;
    block->free = true;
    block->bytes = block->indexed = 0;
    block->next = store->free_block;
    store->free_block = number;
    ms_bit_set(store->living, number, false);
    ms_bit_set(store->pending, number, false);
    if (store->open == number) store->open = MS_NONE;
}

static void remove_from_block(ms_store *store, const ms_segment *segment) {
    ms_block *block = &store->blocks[segment->block];
    if (segment->earlier == MS_NONE) block->first = segment->later;
    else store->segments[segment->earlier].later = segment->later;
    if (segment->later == MS_NONE) block->last = segment->earlier;
    else store->segments[segment->later].earlier = segment->earlier;
    if (block->first == MS_NONE) free_block(store, segment->block);
}

void ms_blocks_bury(ms_store *store, uint32_t number) {
    ms_document *document = &store->documents[number];
    for (uint32_t next, i = document->first; i != MS_NONE; i = next) {
        ms_segment *segment = &store->segments[i];
        next = segment->next;
        remove_from_block(store, segment);
        segment->next = store->free_segment;
        segment->document = MS_NONE;
        store->free_segment = i;
    }
    document->first = MS_NONE;
    document->file = MS_NONE;
    document->next = store->free_document;
    store->free_document = number;
}

/* Is the store sane? For tests: every table is gone through, and what two of them say of one thing must agree. */
#include <stddef.h>

#include "scan.h"
#include "store.h"

/* One document: its segments follow each other, cover it, and know their lines. */
static const char *check_document(const ms_store *store, uint32_t number) {
    const ms_document *document = &store->documents[number];
    uint64_t at = document->start, line = 1;
    const uint8_t *bytes = store->text.bytes;
    for (uint32_t i = document->first; i != MS_NONE; i = store->segments[i].next) {
        const ms_segment *segment = &store->segments[i];
        if (segment->document != number) return "a segment is in a document that is not its own";
        if (segment->start != at || segment->bytes == 0) return "segments do not follow each other";
        if (segment->first_line != line) return "a segment's first line has another number";
        at += segment->bytes;
        if (bytes[at - 1] != '\n') return "a segment does not end in a newline";
        line += ms_path->newlines(bytes + segment->start, bytes + at);
    }
    return at == document->start + document->bytes ? NULL : "segments do not cover their document";
}

/* One block: its segments lie in it, and its sums are theirs. */
static const char *check_block(const ms_store *store, uint32_t number) {
    const ms_block *block = &store->blocks[number];
    uint64_t living = 0;
    uint32_t last = MS_NONE;
    bool has_bits = ms_bit(store->living, number) || ms_bit(store->pending, number);
    if (block->free) return has_bits ? "a free block has bits" : NULL;
    for (uint32_t i = block->first; i != MS_NONE; last = i, i = store->segments[i].later) {
        const ms_segment *segment = &store->segments[i];
        if (segment->block != number || segment->earlier != last) return "a block's list of segments is broken";
        if (segment->start < block->start || segment->start + segment->bytes > block->start + block->bytes)
            return "a segment is not inside its block";
        if (store->documents[segment->document].living) living += segment->bytes;
    }
    if (last != block->last || last == MS_NONE) return "a block's last segment is another one";
    if (living != block->living) return "a block's living bytes are not those of its segments";
    if (ms_bit(store->living, number) != (living > 0)) return "a block's living bit is wrong";
    if (ms_bit(store->pending, number) != (block->indexed < block->bytes)) return "a block's pending bit is wrong";
    return NULL;
}

static const char *check_free(const ms_store *store, uint64_t block_bytes) {
    const ms_text *text = &store->text;
    uint64_t behind = 0, holes = 0;
    if (text->free_count == 0 || text->free[text->free_count - 1].end != text->reserved) return "the end is not free";
    for (size_t i = 0; i < text->free_count; i++) {
        bool is_apart = i == 0 || text->free[i].start > behind;
        if (!is_apart) return "free extents are not in order";
        behind = text->free[i].end;
        holes += text->free[i].end - text->free[i].start;
    }
    return holes + block_bytes == text->reserved ? NULL : "free extents and blocks do not make up the whole";
}

static const char *check_blocks(const ms_store *store) {
    uint64_t all = 0;
    for (uint32_t i = 0; i < store->block_count; i++) {
        const char *wrong = check_block(store, i);
        if (wrong != NULL) return wrong;
        all += store->blocks[i].bytes;
    }
    return all == store->block_bytes ? check_free(store, all) : "the bytes in blocks are miscounted";
}

const char *ms_store_check(const ms_store *store) {
    uint64_t files = 0, bytes = 0, text = 0;
    for (uint64_t file = 0; file < store->files_end; file++) {
        const ms_document *document = ms_store_find(store, (uint32_t)file);
        if (document == NULL) continue;
        if (document->file != file || !document->living) return "a file has a document that is not its own";
        const char *wrong = check_document(store, (uint32_t)(document - store->documents));
        if (wrong != NULL) return wrong;
        files++;
        bytes += document->bytes;
        text += ms_document_bytes(document);
    }
    if (files != store->living_files || bytes != store->living_bytes || text != store->text_bytes)
        return "living files or bytes are miscounted";
    if (store->pins == 0 && store->graveyard != MS_NONE) return "somebody waits to be buried for no reason";
    return check_blocks(store);
}

/* Death in the store: pins, the graveyard, and moving what lives out of blocks that are mostly dead. See store.h. */
#include "store.h"

#include <string.h>

/* A longer document is not moved for the sake of the two blocks at its ends. */
#define MOST_MOVED (1u << 20)

static void bury_all(ms_store *store) {
    while (store->graveyard != MS_NONE) {
        uint32_t number = store->graveyard;
        store->graveyard = store->documents[number].next;
        ms_blocks_bury(store, number);
    }
}

void ms_store_pin(ms_store *store) { store->pins++; }

void ms_store_unpin(ms_store *store) {
    if (--store->pins == 0) bury_all(store);
}

void ms_document_die(ms_store *store, uint32_t number) {
    ms_document *document = &store->documents[number];
    for (uint32_t i = document->first; i != MS_NONE; i = store->segments[i].next) {
        const ms_segment *segment = &store->segments[i];
        ms_block *block = &store->blocks[segment->block];
        block->living -= segment->bytes;
        if (block->living == 0) ms_bit_set(store->living, segment->block, false);
    }
    document->living = false;
    uint32_t *current = &store->document_of[document->file];
    if (*current == number + 1) *current = 0;
    store->living_bytes -= document->bytes;
    store->text_bytes -= ms_document_bytes(document);
    store->living_files--;
    document->next = store->graveyard;
    store->graveyard = number;
    if (store->pins == 0) bury_all(store);
}

/* ---- tidying ---- */

static bool is_wasteful(uint64_t living, uint64_t all) { return (all - living) * 3 > all; }

static bool is_movable(const ms_document *document, uint64_t most_bytes) {
    return document->living && document->bytes <= MOST_MOVED && document->bytes <= most_bytes;
}

/* The first document of this block that may be moved, or MS_NONE. */
static uint32_t next_movable(const ms_store *store, uint32_t block, uint64_t most_bytes) {
    for (uint32_t i = store->blocks[block].first; i != MS_NONE; i = store->segments[i].later) {
        uint32_t number = store->segments[i].document;
        if (is_movable(&store->documents[number], most_bytes)) return number;
    }
    return MS_NONE;
}

static bool move(ms_store *store, uint32_t number, uint64_t *moved) {
    const ms_document document = store->documents[number];
    if (!ms_store_put(store, document.file, store->text.bytes + document.start, ms_document_bytes(&document)))
        return false;
    *moved += document.bytes;
    return true;
}

static bool is_sparse(const ms_store *store, uint32_t number) {
    const ms_block *block = &store->blocks[number];
    return !block->free && block->living > 0 && is_wasteful(block->living, block->bytes);
}

bool ms_store_tidy(ms_store *store, uint64_t most_bytes, uint64_t *moved) {
    *moved = 0;
    if (store->pins > 0 || !is_wasteful(store->living_bytes, store->block_bytes)) return true;
    /* Or what is in the open block would move to its end. */
    if (store->open != MS_NONE && is_sparse(store, store->open)) store->open = MS_NONE;
    for (uint32_t block = 0; block < store->block_count && *moved < most_bytes; block++) {
        uint32_t number;
        if (!is_sparse(store, block)) continue;
        while (!store->blocks[block].free && (number = next_movable(store, block, most_bytes - *moved)) != MS_NONE)
            if (!move(store, number, moved)) return false;
    }
    return true;
}

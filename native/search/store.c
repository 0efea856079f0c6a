/* The store's files: where a text is put, and which document is whose. See store.h. */
#include "store.h"

#include <string.h>
#include <sys/mman.h>

#include "array.h"

#define FILES_LEAST 4096u

bool ms_store_open(ms_store *store) {
    *store = (ms_store){.free_document = MS_NONE, .free_segment = MS_NONE, .free_block = MS_NONE,
                        .graveyard = MS_NONE, .open = MS_NONE};
    return ms_text_open(&store->text);
}

void ms_store_close(ms_store *store) {
    if (store->document_of != NULL) munmap(store->document_of, store->files_capacity * sizeof *store->document_of);
    free(store->documents);
    free(store->segments);
    free(store->blocks);
    free(store->living);
    free(store->pending);
    free(store->order);
    free(store->place);
    if (store->text.bytes != NULL) ms_text_close(&store->text);
}

/* ---- one file ---- */

ms_document *ms_store_find(const ms_store *store, uint32_t file) {
    uint32_t record = file < store->files_capacity ? store->document_of[file] : 0;
    return record ? &store->documents[record - 1] : NULL;
}

/* The table by file number is pages of the system, so that what is not used costs nothing however high the numbers. */
static bool expect_file(ms_store *store, uint32_t file) {
    const size_t each = sizeof *store->document_of;
    uint64_t before = store->files_capacity, wanted = before ? before : FILES_LEAST;
    if (file < before) return true;
    while (wanted <= file) wanted *= 2;
    void *at = before ? mremap(store->document_of, before * each, wanted * each, MREMAP_MAYMOVE)
                      : mmap(NULL, wanted * each, PROT_READ | PROT_WRITE,
                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (at == MAP_FAILED) return false;
    store->document_of = at;
    store->files_capacity = wanted;
    return true;
}

bool ms_store_place(ms_store *store, uint64_t bytes, uint64_t *at) {
    uint64_t preferred = UINT64_MAX;
    if (store->open != MS_NONE) {
        const ms_block *block = &store->blocks[store->open];
        if (block->bytes < MS_BLOCK_BYTES) preferred = block->start + block->bytes;
    }
    return ms_text_place(&store->text, bytes + 1, preferred, at);
}

static uint32_t new_document(ms_store *store) {
    uint32_t number = store->free_document;
    if (number == MS_NONE) return (uint32_t)store->document_count++;
    store->free_document = store->documents[number].next;
    return number;
}

static bool expect(ms_store *store, uint32_t file, uint64_t bytes) {
    return expect_file(store, file) && MS_GROW(store->documents, store->document_capacity, store->document_count + 1) &&
           ms_blocks_expect(store, bytes);
}

/* Everything that could fail is done. */
static void add(ms_store *store, uint32_t file, uint64_t at, uint64_t bytes, bool added) {
    uint32_t number = new_document(store);
    store->documents[number] = (ms_document){.start = at, .bytes = (uint32_t)(bytes + added), .file = file,
                                             .first = MS_NONE, .next = MS_NONE, .added = added, .living = true};
    if (bytes > 0) {
        ms_text_take(&store->text, at, bytes + added);
        ms_blocks_cut(store, number);
    }
    store->document_of[file] = number + 1;
    store->living_bytes += bytes + added;
    store->text_bytes += bytes;
    store->living_files++;
    if (file >= store->files_end) store->files_end = (uint64_t)file + 1;
}

bool ms_store_commit(ms_store *store, uint32_t file, uint64_t at, uint64_t bytes) {
    if (!expect(store, file, bytes)) return false;
    uint32_t old = file < store->files_capacity ? store->document_of[file] : 0;
    bool added = bytes > 0 && store->text.bytes[at + bytes - 1] != '\n';
    if (added) store->text.bytes[at + bytes] = '\n';
    add(store, file, at, bytes, added);
    if (old) ms_document_die(store, old - 1); /* not before: what is given back could join the place at `at` */
    return true;
}

bool ms_store_put(ms_store *store, uint32_t file, const uint8_t *text, uint64_t bytes) {
    uint64_t at = 0;
    if (bytes > MS_MOST_BYTES || !ms_store_place(store, bytes, &at)) return false;
    memcpy(store->text.bytes + at, text, bytes);
    return ms_store_commit(store, file, at, bytes);
}

bool ms_store_remove(ms_store *store, uint32_t file) {
    const ms_document *document = ms_store_find(store, file);
    if (document != NULL) ms_document_die(store, (uint32_t)(document - store->documents));
    return document != NULL;
}

int ms_store_kind(const ms_store *store, const ms_document *document) {
    int worst = MS_ASCII, folds = 0;
    for (uint32_t i = document->first; i != MS_NONE; i = store->segments[i].next) {
        int kind = store->segments[i].kind & ~MS_FOLDS;
        folds |= store->segments[i].kind & MS_FOLDS;
        if (kind > worst) worst = kind;
    }
    return worst | folds;
}

uint64_t ms_store_memory(const ms_store *store) {
    return store->text.used + store->files_end * sizeof *store->document_of +
           store->document_capacity * sizeof *store->documents + store->segment_capacity * sizeof *store->segments +
           store->block_capacity * sizeof *store->blocks + store->bitmap_capacity / 4 +
           store->text.free_capacity * sizeof *store->text.free + store->ranked * 8;
}

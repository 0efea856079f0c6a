/* The store: documents (the text of one file each), cut into segments that lie in blocks. See docs/internals/search.md.
 *
 * Always true:
 *   1. A document is contiguous and ends in a newline; its segments follow each other in it and end in newlines.
 *   2. A segment lies in one block. A block is contiguous; what is in it but in no living segment is dead.
 *   3. While somebody holds a pin, nothing that was ever alive is overwritten: not text, not the records of it. What dies
 *      meanwhile waits in the graveyard and is buried (its blocks and records become free) when the last pin goes.
 *   4. A call that fails for want of memory leaves the store as it was.
 *
 * Threads: one at a time; the caller sees to it.
 */
#ifndef MS_STORE_H
#define MS_STORE_H

#include "text.h"

#define MS_NONE UINT32_MAX
#define MS_BLOCK_BYTES 65536u           /* a block that has so many takes no more */
#define MS_MOST_FILES (UINT32_C(1) << 31) /* file numbers are below this */
#define MS_MOST_BYTES (UINT32_MAX - 65536u) /* of one document: offsets in it are u32 */

enum { MS_ASCII = 0, MS_UTF8 = 1, MS_INVALID = 2, MS_FOLDS = 4 };

typedef struct {
    uint64_t start;
    uint32_t bytes; /* with the added newline */
    uint32_t file;
    uint32_t first; /* segment; MS_NONE: the text is empty */
    uint32_t next;  /* in the graveyard or in the list of free records */
    bool added;     /* the last newline is the store's */
    bool living;
} ms_document;

typedef struct {
    uint64_t start;
    uint32_t bytes;
    uint32_t document, block;
    uint32_t next;             /* in its document; or in the list of free records */
    uint32_t later, earlier;   /* in its block */
    uint32_t first_line;
    uint8_t kind;
} ms_segment;

typedef struct {
    uint64_t start, bytes;
    uint64_t living;        /* bytes in living segments */
    uint64_t indexed;       /* bytes from the block's start that the index knows */
    uint32_t first, last;   /* segments, dead ones too until they are buried */
    uint32_t next;          /* in the list of free records */
    bool free;
    bool stale;             /* the index still has the bits of what was here before: clear them first */
} ms_block;

typedef struct {
    ms_text text;
    uint32_t *document_of;      /* by file number: record + 1, 0 for none; zero pages from the system */
    uint64_t files_capacity, files_end; /* no file number from files_end on was ever used */
    ms_document *documents;
    ms_segment *segments;
    ms_block *blocks;
    size_t document_count, segment_count, block_count; /* records, free ones too */
    size_t document_capacity, segment_capacity, block_capacity;
    uint32_t free_document, free_segment, free_block, graveyard;
    uint32_t open; /* the block that takes the next text, or MS_NONE */
    uint64_t *living, *pending; /* a bit a block: has living text; has text that is not indexed */
    size_t bitmap_capacity;     /* blocks, a multiple of 64 */
    uint64_t living_bytes, block_bytes; /* of documents with their added newlines; of blocks in use */
    uint64_t text_bytes; /* living, without added newlines */
    uint64_t living_files;
    uint32_t *order, *place; /* files by rank, and the inverse; files beyond come after them, by number */
    size_t ranked;
    uint32_t pins;
} ms_store;

bool ms_store_open(ms_store *store);
void ms_store_close(ms_store *store);

/* ---- one file ---- */

/* The living document of that file, or NULL. */
ms_document *ms_store_find(const ms_store *store, uint32_t file);

/* Where a text of so many bytes, and its added newline, would go. */
bool ms_store_place(ms_store *store, uint64_t bytes, uint64_t *at);
/* The bytes at `at` (as ms_store_place gave it, not more than asked for) are the text of that file now; what it had
 * before dies. */
bool ms_store_commit(ms_store *store, uint32_t file, uint64_t at, uint64_t bytes);
bool ms_store_put(ms_store *store, uint32_t file, const uint8_t *text, uint64_t bytes);
bool ms_store_remove(ms_store *store, uint32_t file);

/* The text of a document as it was put. */
static inline uint64_t ms_document_bytes(const ms_document *document) { return document->bytes - document->added; }
/* The worst kind of its segments, and MS_FOLDS if one has that. */
int ms_store_kind(const ms_store *store, const ms_document *document);

/* ---- order ---- */

/* A rank for each file number from 0 on. */
bool ms_store_rank(ms_store *store, const uint8_t *ranks, size_t count);
/* The n-th file in visiting order, and where a file is in it. */
static inline uint32_t ms_store_nth(const ms_store *store, uint64_t n) {
    return n < store->ranked ? store->order[n] : (uint32_t)n;
}
static inline uint32_t ms_store_place_of(const ms_store *store, uint32_t file) {
    return file < store->ranked ? store->place[file] : file;
}

/* ---- death ---- */

void ms_document_die(ms_store *store, uint32_t document);
void ms_store_pin(ms_store *store);
void ms_store_unpin(ms_store *store);
/* Move documents out of sparse blocks, up to so many bytes. False: no memory; what was moved stays moved. */
bool ms_store_tidy(ms_store *store, uint64_t most_bytes, uint64_t *moved);

/* ---- blocks ---- */

/* Room in all tables for one more document of so many bytes: ms_blocks_cut cannot fail then. */
bool ms_blocks_expect(ms_store *store, uint64_t bytes);
/* Cut a document's text into segments and blocks. */
void ms_blocks_cut(ms_store *store, uint32_t document);
/* Give back the records of a dead document, and its blocks that have no other. */
void ms_blocks_bury(ms_store *store, uint32_t document);

/* ---- the whole ---- */

uint64_t ms_store_memory(const ms_store *store);
/* NULL, or what is wrong. */
const char *ms_store_check(const ms_store *store);

static inline bool ms_bit(const uint64_t *bits, uint64_t n) { return bits[n / 64] >> n % 64 & 1; }
static inline void ms_bit_set(uint64_t *bits, uint64_t n, bool value) {
    bits[n / 64] = (bits[n / 64] & ~(UINT64_C(1) << n % 64)) | (uint64_t)value << n % 64;
}

#endif

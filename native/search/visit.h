/* A visit: going once over the living segments of some blocks and files, in visiting order; and the lines it finds.
 *
 * Always true:
 *   1. The visit's list of segments is made when it begins; what is put or removed later is not in it. A pin keeps what is
 *      in it where it is.
 *   2. A visit is gone over by lines (find, count, every line) and by regions, in turn at the ends of segments; or by files.
 *
 * Threads: one at a time, as for the store.
 */
#ifndef MS_VISIT_H
#define MS_VISIT_H

#include "scan.h"
#include "store.h"

typedef enum { MS_WAY_NONE, MS_WAY_LINES, MS_WAY_FILES } ms_way;

typedef struct {
    const ms_store *store;
    uint32_t *segments;
    size_t count, at; /* the segment that comes next, or is being scanned */
    ms_cursor cursor; /* in that segment; `at` NULL: at its beginning */
    uint32_t skipped; /* MS_NONE, or a document of which the rest is not wanted */
    size_t region_from, region_to; /* the present region's segments; none: equal */
    uint64_t scanned_bytes;
    uint32_t file; /* the present file's document, or MS_NONE */
    ms_way way;
    bool at_folds; /* a search that wants none of what folds has stopped before a segment that does */
} ms_visit;

typedef struct {
    ms_line *lines;
    size_t count, capacity;
} ms_lines;

/* A bit a block, a byte a file number; NULL: all. False: no memory. */
bool ms_visit_open(ms_visit *visit, const ms_store *store, const uint8_t *blocks, const uint8_t *files, size_t file_count);
void ms_visit_close(ms_visit *visit);
static inline bool ms_visit_done(const ms_visit *visit) { return visit->at >= visit->count; }

/* ---- by lines (find.c) ---- */

typedef struct {
    bool first_only; /* one line a document */
    bool plain_only; /* stop before a segment with MS_FOLDS */
} ms_wish;

bool ms_visit_find(ms_visit *visit, const ms_needle *needle, ms_wish wish, uint64_t most_bytes, size_t most_lines,
                   ms_lines *found);
/* `found->lines`: document and, in `number`, how many lines it has. */
bool ms_visit_count(ms_visit *visit, const ms_needle *needle, ms_wish wish, uint64_t most_bytes, ms_lines *found);
bool ms_visit_all(ms_visit *visit, uint64_t most_bytes, size_t most_lines, ms_lines *found);
/* Go past what is done and what is not wanted. Does the visit stand between two segments then, or is it done? */
bool ms_visit_settle(ms_visit *visit);

/* ---- by regions (lines.c) ---- */

typedef struct {
    const uint8_t *text;
    uint64_t bytes;
    uint8_t kind;
} ms_region;

/* False: done. `mixed`: kinds may differ, but for MS_FOLDS; the region's kind is the worst of them. */
bool ms_visit_region(ms_visit *visit, uint64_t most_bytes, bool mixed, ms_region *region);
ms_region ms_visit_present(const ms_visit *visit);
/* The lines in which matches end; `ends` is sorted. */
bool ms_visit_lines_at(const ms_visit *visit, const uint32_t *ends, size_t count, ms_lines *found);
/* The lines of the region that are not in `known`, which are lines of it in order. */
bool ms_visit_others(const ms_visit *visit, const ms_lines *known, ms_lines *found);
void ms_sort_u32(uint32_t *numbers, uint32_t *spare, size_t count);

/* ---- by files (lines.c) ---- */

/* The next document, or NULL: done. */
const ms_document *ms_visit_file(ms_visit *visit);
/* A stretch of the present document's text. */
typedef struct {
    uint32_t start, end;
} ms_span;
/* The lines that spans touch; `spans` is sorted by start. Lines of one span, and of spans that share a line, are one. */
bool ms_visit_spans(const ms_visit *visit, const ms_span *spans, size_t count, ms_lines *found);
/* The files of all segments, in order, each once: how many. `files` has room for visit->count. */
size_t ms_visit_files(const ms_visit *visit, uint32_t *files);

/* ---- lines (gather.c) ---- */

bool ms_lines_expect(ms_lines *lines, size_t more);
void ms_lines_close(ms_lines *lines);
/* Those that have the needle, or those that have not. */
bool ms_lines_containing(const ms_lines *lines, const ms_store *store, const ms_needle *needle, bool first_only,
                         bool wanted, ms_lines *kept);
/* These and the lines of the same document around them, each once. */
bool ms_lines_around(const ms_lines *lines, const ms_store *store, uint64_t before, uint64_t after, ms_lines *rows);
uint64_t ms_lines_bytes(const ms_lines *lines);
/* Copy the text of all lines back to back, and where each begins: count + 1 offsets. */
void ms_lines_gather(const ms_lines *lines, const ms_store *store, uint8_t *text, uint32_t *offsets);

#endif

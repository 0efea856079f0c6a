/* Going over a visit by regions and by files; which lines of a region are meant. See visit.h. */
#include <stdlib.h>
#include <string.h>

#include "visit.h"

/* ---- regions ---- */

static const ms_segment *nth(const ms_visit *visit, size_t n) { return &visit->store->segments[visit->segments[n]]; }

/* May a region that begins with `one`, and has so many bytes, go on with `other`? */
static bool go_together(const ms_segment *one, const ms_segment *other, uint64_t bytes, bool mixed) {
    if (other->start != one->start + bytes) return false;
    return mixed ? (one->kind & MS_FOLDS) == (other->kind & MS_FOLDS) : one->kind == other->kind;
}

bool ms_visit_region(ms_visit *visit, uint64_t most_bytes, bool mixed, ms_region *region) {
    size_t from = visit->at, to = from;
    uint64_t bytes = 0;
    visit->region_from = visit->region_to = from;
    if (from >= visit->count) return false;
    do {
        bytes += nth(visit, to++)->bytes;
        if (to == visit->count || bytes + nth(visit, to)->bytes > most_bytes) break;
    } while (go_together(nth(visit, from), nth(visit, to), bytes, mixed));
    visit->at = visit->region_to = to;
    visit->cursor.at = NULL;
    visit->at_folds = false;
    visit->scanned_bytes += bytes;
    *region = ms_visit_present(visit);
    return true;
}

ms_region ms_visit_present(const ms_visit *visit) {
    const ms_segment *first = nth(visit, visit->region_from), *last = nth(visit, visit->region_to - 1);
    uint8_t kind = first->kind;
    for (size_t i = visit->region_from; i < visit->region_to; i++)
        if (nth(visit, i)->kind > kind) kind = nth(visit, i)->kind;
    return (ms_region){visit->store->text.bytes + first->start, last->start + last->bytes - first->start, kind};
}

/* Where in the region a walk over its lines stands. */
typedef struct {
    const ms_visit *visit;
    size_t segment;       /* index in the visit */
    const uint8_t *end;   /* of the segment */
    ms_cursor cursor;     /* the next line */
} walk;

static void enter(walk *walk, size_t segment) {
    const ms_segment *entered = nth(walk->visit, segment);
    const uint8_t *start = walk->visit->store->text.bytes + entered->start;
    walk->segment = segment;
    walk->end = start + entered->bytes;
    walk->cursor = (ms_cursor){start, entered->first_line};
}

static walk walk_from(const ms_visit *visit) {
    walk begun = {.visit = visit};
    enter(&begun, visit->region_from);
    return begun;
}

/* Go on to the line that has this byte; it is not before the walk's next line. */
static void go_to(walk *walk, const uint8_t *byte) {
    while (byte >= walk->end) enter(walk, walk->segment + 1);
    const uint8_t *start = ms_path->line_start(byte, walk->cursor.at);
    walk->cursor.number += (uint32_t)ms_path->newlines(walk->cursor.at, start);
    walk->cursor.at = start;
}

/* Take the next line. False: no memory. */
static bool take(walk *walk, ms_lines *found) {
    if (!ms_lines_expect(found, 1)) return false;
    const uint8_t *start = walk->cursor.at, *newline = ms_path->newline(start);
    found->lines[found->count++] = (ms_line){
        .start = (uint64_t)(start - walk->visit->store->text.bytes), .bytes = (uint32_t)(newline - start),
        .number = walk->cursor.number, .document = nth(walk->visit, walk->segment)->document};
    walk->cursor = (ms_cursor){newline + 1, walk->cursor.number + 1};
    return true;
}

bool ms_visit_lines_at(const ms_visit *visit, const uint32_t *ends, size_t count, ms_lines *found) {
    const uint8_t *text = ms_visit_present(visit).text;
    walk walk = walk_from(visit);
    for (size_t i = 0; i < count; i++) {
        const uint8_t *byte = text + ends[i] - (ends[i] > 0); /* the match's last; an empty one begins with the region */
        if (byte < walk.cursor.at) continue; /* in the line before, which is there */
        go_to(&walk, byte);
        if (!take(&walk, found)) return false;
    }
    return true;
}

bool ms_visit_others(const ms_visit *visit, const ms_lines *known, ms_lines *found) {
    const uint8_t *base = visit->store->text.bytes;
    ms_region region = ms_visit_present(visit);
    walk walk = walk_from(visit);
    size_t next = 0;
    while (walk.cursor.at < region.text + region.bytes) {
        if (walk.cursor.at == walk.end) enter(&walk, walk.segment + 1);
        if (next < known->count && base + known->lines[next].start == walk.cursor.at) {
            walk.cursor = (ms_cursor){walk.cursor.at + known->lines[next].bytes + 1, walk.cursor.number + 1};
            next++;
        } else if (!take(&walk, found)) {
            return false;
        }
    }
    return true;
}

/* By one byte after the other, the lowest first; passes that would change nothing are left out. */
void ms_sort_u32(uint32_t *numbers, uint32_t *spare, size_t count) {
    uint32_t *from = numbers, *to = spare;
    for (unsigned shift = 0; shift < 32; shift += 8) {
        size_t begin[257] = {0};
        for (size_t i = 0; i < count; i++) begin[(from[i] >> shift & 0xff) + 1]++;
        if (begin[(from[0] >> shift & 0xff) + 1] == count) continue;
        for (unsigned i = 0; i < 256; i++) begin[i + 1] += begin[i];
        for (size_t i = 0; i < count; i++) to[begin[from[i] >> shift & 0xff]++] = from[i];
        uint32_t *swapped = from;
        from = to;
        to = swapped;
    }
    if (from != numbers) memcpy(numbers, from, count * sizeof *numbers);
}

/* ---- files ---- */

const ms_document *ms_visit_file(ms_visit *visit) {
    visit->file = MS_NONE;
    if (visit->at >= visit->count) return NULL;
    visit->file = nth(visit, visit->at)->document;
    while (visit->at < visit->count && nth(visit, visit->at)->document == visit->file) visit->at++;
    const ms_document *document = &visit->store->documents[visit->file];
    visit->scanned_bytes += document->bytes;
    return document;
}

/* The present document's bytes, and where those of a span are. */
typedef struct {
    const uint8_t *text, *last;
} whole;

/* The byte at an offset. What stands behind the last newline belongs to the line that this ends. */
static const uint8_t *byte_at(whole whole, uint32_t offset) {
    return whole.text + offset < whole.last ? whole.text + offset : whole.last;
}

/* The newline that ends the last line which a span touches. An empty one is in the line that it stands in. */
static const uint8_t *last_newline(whole whole, ms_span span) {
    return ms_path->newline(byte_at(whole, span.end > span.start ? span.end - 1 : span.start));
}

bool ms_visit_spans(const ms_visit *visit, const ms_span *spans, size_t count, ms_lines *found) {
    const ms_document *document = &visit->store->documents[visit->file];
    const uint8_t *text = visit->store->text.bytes + document->start;
    const whole whole = {text, text + document->bytes - 1};
    ms_cursor cursor = {text, 1};
    for (size_t i = 0; i < count;) {
        const uint8_t *start = ms_path->line_start(byte_at(whole, spans[i].start), cursor.at);
        const uint8_t *end = last_newline(whole, spans[i]);
        for (i++; i < count && byte_at(whole, spans[i].start) <= end; i++) {
            const uint8_t *further = last_newline(whole, spans[i]);
            if (further > end) end = further;
        }
        if (!ms_lines_expect(found, 1)) return false;
        cursor = (ms_cursor){start, cursor.number + (uint32_t)ms_path->newlines(cursor.at, start)};
        found->lines[found->count++] = (ms_line){.start = document->start + (uint64_t)(start - text),
                                                 .number = cursor.number, .bytes = (uint32_t)(end - start),
                                                 .document = visit->file};
    }
    return true;
}

/* Going over a visit by lines: see visit.h.
 *
 * A step ends in the middle of a segment when it has as many lines as were wanted: the cursor then says where the next
 * one goes on. Bytes are counted as they are passed.
 */
#include "visit.h"

#define BATCH 256u /* lines found before they are stored */

typedef struct {
    const ms_segment *segment;
    const uint8_t *end;
    uint32_t number;
} place;

/* The segment to scan now, cursor set; false: done. Skips what is left of a document that has had its one line. */
static bool present(ms_visit *visit, place *place) {
    const ms_store *store = visit->store;
    for (; visit->at < visit->count; visit->at++, visit->cursor.at = NULL) {
        place->number = visit->segments[visit->at];
        place->segment = &store->segments[place->number];
        if (place->segment->document == visit->skipped) continue;
        const uint8_t *start = store->text.bytes + place->segment->start;
        place->end = start + place->segment->bytes;
        if (visit->cursor.at == NULL) visit->cursor = (ms_cursor){start, place->segment->first_line};
        if (visit->cursor.at < place->end) return true;
    }
    return false;
}

static void pass(ms_visit *visit, const uint8_t *from, uint64_t *left) {
    uint64_t passed = (uint64_t)(visit->cursor.at - from);
    visit->scanned_bytes += passed;
    *left -= passed < *left ? passed : *left;
}

typedef size_t next_lines(const ms_needle *needle, ms_cursor *cursor, const uint8_t *end, const uint8_t *base,
                          ms_line *lines, size_t most);

static size_t every_line(const ms_needle *needle, ms_cursor *cursor, const uint8_t *end, const uint8_t *base,
                         ms_line *lines, size_t most) {
    size_t count = 0;
    (void)needle;
    while (count < most && cursor->at < end) {
        const uint8_t *newline = ms_path->newline(cursor->at);
        lines[count++] = (ms_line){.start = (uint64_t)(cursor->at - base), .bytes = (uint32_t)(newline - cursor->at),
                                   .number = cursor->number++};
        cursor->at = newline + 1;
    }
    return count;
}

/* Leave things settled: `done` is true as soon as nothing is left. */
static void end_step(ms_visit *visit, ms_wish wish) {
    place place;
    bool more = present(visit, &place);
    visit->at_folds = more && wish.plain_only && place.segment->kind & MS_FOLDS;
}

static bool step(ms_visit *visit, next_lines *next, const ms_needle *needle, ms_wish wish, uint64_t most_bytes,
                 size_t most_lines, ms_lines *found) {
    uint64_t left = most_bytes;
    place place;
    while (left > 0 && found->count < most_lines && present(visit, &place)) {
        size_t most = wish.first_only ? 1 : most_lines - found->count;
        if (wish.plain_only && place.segment->kind & MS_FOLDS) break;
        if (!ms_lines_expect(found, BATCH)) return false;
        const uint8_t *from = visit->cursor.at;
        ms_line *lines = found->lines + found->count;
        if (most > BATCH) most = BATCH;
        size_t count = next(needle, &visit->cursor, place.end, visit->store->text.bytes, lines, most);
        for (size_t i = 0; i < count; i++) lines[i].document = place.segment->document;
        found->count += count;
        if (count > 0 && wish.first_only) visit->skipped = place.segment->document;
        pass(visit, from, &left);
    }
    end_step(visit, wish);
    return true;
}

bool ms_visit_find(ms_visit *visit, const ms_needle *needle, ms_wish wish, uint64_t most_bytes, size_t most_lines,
                   ms_lines *found) {
    return step(visit, ms_path->lines, needle, wish, most_bytes, most_lines, found);
}

bool ms_visit_settle(ms_visit *visit) {
    place place;
    return !present(visit, &place) || visit->cursor.at == visit->store->text.bytes + place.segment->start;
}

bool ms_visit_all(ms_visit *visit, uint64_t most_bytes, size_t most_lines, ms_lines *found) {
    return step(visit, every_line, NULL, (ms_wish){0}, most_bytes, most_lines, found);
}

static bool add_count(ms_lines *found, uint32_t document, uint32_t count) {
    if (count == 0) return true;
    if (found->count > 0 && found->lines[found->count - 1].document == document) {
        found->lines[found->count - 1].number += count;
        return true;
    }
    if (!ms_lines_expect(found, 1)) return false;
    found->lines[found->count++] = (ms_line){.document = document, .number = count};
    return true;
}

bool ms_visit_count(ms_visit *visit, const ms_needle *needle, ms_wish wish, uint64_t most_bytes, ms_lines *found) {
    uint64_t left = most_bytes;
    place place;
    while (left > 0 && present(visit, &place)) {
        if (wish.plain_only && place.segment->kind & MS_FOLDS) break;
        const uint8_t *from = visit->cursor.at;
        uint32_t count = wish.first_only ? ms_path->find(needle, from, place.end) != NULL
                                         : ms_path->count(needle, from, place.end);
        if (!add_count(found, place.segment->document, count)) return false;
        if (count > 0 && wish.first_only) visit->skipped = place.segment->document;
        visit->cursor.at = place.end;
        pass(visit, from, &left);
    }
    end_step(visit, wish);
    return true;
}

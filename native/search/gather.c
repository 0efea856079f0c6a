/* Lines that were found: keeping some, adding those around them, copying their text. See visit.h. */
#include <stdlib.h>
#include <string.h>

#include "array.h"
#include "visit.h"

#define COPY 32u /* bytes copied at once: most lines are one or two of these */

bool ms_lines_expect(ms_lines *lines, size_t more) {
    return MS_GROW(lines->lines, lines->capacity, lines->count + more);
}

void ms_lines_close(ms_lines *lines) {
    free(lines->lines);
    *lines = (ms_lines){0};
}

static bool add(ms_lines *lines, ms_line line, bool context) {
    if (!ms_lines_expect(lines, 1)) return false;
    line.context = context;
    lines->lines[lines->count++] = line;
    return true;
}

bool ms_lines_containing(const ms_lines *lines, const ms_store *store, const ms_needle *needle, bool first_only,
                         bool wanted, ms_lines *kept) {
    for (size_t i = 0; i < lines->count; i++) {
        const ms_line *line = &lines->lines[i];
        const uint8_t *text = store->text.bytes + line->start;
        if (first_only && kept->count > 0 && kept->lines[kept->count - 1].document == line->document) continue;
        if ((ms_path->find(needle, text, text + line->bytes + 1) != NULL) == wanted && !add(kept, *line, false))
            return false;
    }
    return true;
}

/* ---- context ---- */

/* The line that ends just before `line` begins. */
static ms_line line_before(const ms_store *store, const ms_line *line) {
    const uint8_t *base = store->text.bytes, *newline = base + line->start - 1;
    uint64_t start = (uint64_t)(ms_path->line_start(newline, base + store->documents[line->document].start) - base);
    return (ms_line){start, (uint32_t)(line->start - 1 - start), line->number - 1, line->document, 1};
}

static ms_line line_after(const ms_store *store, const ms_line *line) {
    const uint8_t *base = store->text.bytes;
    uint64_t start = line->start + line->bytes + 1;
    uint64_t end = (uint64_t)(ms_path->newline(base + start) - base);
    uint32_t inside = (uint32_t)ms_path->newlines(base + line->start, base + line->start + line->bytes); /* of several */
    return (ms_line){start, (uint32_t)(end - start), line->number + inside + 1, line->document, 1};
}

/* The lines before a hit that are not there yet: they begin at `lowest` or later. */
static bool add_before(ms_lines *rows, const ms_store *store, const ms_line *hit, uint64_t lowest, uint64_t most) {
    ms_line line = *hit;
    uint64_t count = 0;
    for (; count < most && line.start > lowest; count++) line = line_before(store, &line);
    for (; count > 0; count--) {
        if (!add(rows, line, true)) return false;
        line = line_after(store, &line);
    }
    return true;
}

static bool add_after(ms_lines *rows, const ms_store *store, const ms_line *hit, uint64_t end, uint64_t most) {
    ms_line line = *hit;
    for (uint64_t count = 0; count < most && line.start + line.bytes + 1 < end; count++) {
        line = line_after(store, &line);
        if (!add(rows, line, true)) return false;
    }
    return true;
}

bool ms_lines_around(const ms_lines *lines, const ms_store *store, uint64_t before, uint64_t after, ms_lines *rows) {
    for (size_t i = 0; i < lines->count; i++) {
        const ms_line *hit = &lines->lines[i], *last = rows->count ? &rows->lines[rows->count - 1] : NULL;
        const ms_line *next = i + 1 < lines->count ? hit + 1 : NULL;
        const ms_document *document = &store->documents[hit->document];
        uint64_t lowest = document->start, end = document->start + document->bytes;
        if (last != NULL && last->document == hit->document) lowest = last->start + last->bytes + 1;
        if (next != NULL && next->document == hit->document) end = next->start;
        if (!add_before(rows, store, hit, lowest, before) || !add(rows, *hit, false) ||
            !add_after(rows, store, hit, end, after))
            return false;
    }
    return true;
}

/* ---- copying ---- */

uint64_t ms_lines_bytes(const ms_lines *lines) {
    uint64_t bytes = 0;
    for (size_t i = 0; i < lines->count; i++) bytes += lines->lines[i].bytes;
    return bytes;
}

/* Room behind both sides: copy whole pieces, which overwrite what comes next before it is written. */
static void copy(uint8_t *to, const uint8_t *from, size_t bytes) {
    for (size_t at = 0; at < bytes; at += COPY) memcpy(to + at, from + at, COPY);
}

void ms_lines_gather(const ms_lines *lines, const ms_store *store, uint8_t *text, uint32_t *offsets) {
    uint64_t all = ms_lines_bytes(lines), at = 0;
    for (size_t i = 0; i < lines->count; i++) {
        const ms_line *line = &lines->lines[i];
        const uint8_t *from = store->text.bytes + line->start;
        offsets[i] = (uint32_t)at;
        if (at + line->bytes + COPY <= all) copy(text + at, from, line->bytes);
        else memcpy(text + at, from, line->bytes);
        at += line->bytes;
    }
    offsets[lines->count] = (uint32_t)at;
}

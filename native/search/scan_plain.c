/* Searching in plain C, for every processor: see scan.h. The C library's memchr is fast wherever there is one. */
#include <string.h>

#include "scan.h"

#define TARGET
#define STEP 256

static bool is_match(const ms_needle *needle, const uint8_t *at) {
    if (needle->exact) return memcmp(at, needle->value, needle->bytes) == 0;
    for (size_t i = 0; i < needle->bytes; i++)
        if ((at[i] | needle->fold[i]) != needle->value[i]) return false;
    return true;
}

/* The first of the positions [at, last] where the rare byte is, or NULL. */
static const uint8_t *rare_from(const ms_needle *needle, const uint8_t *at, const uint8_t *last) {
    const size_t offset = needle->rare;
    const uint8_t value = needle->value[offset], fold = needle->fold[offset];
    if (fold == 0) {
        const uint8_t *found = memchr(at + offset, value, (size_t)(last - at) + 1);
        return found == NULL ? NULL : found - offset;
    }
    for (; at <= last; at++)
        if ((at[offset] | fold) == value) return at;
    return NULL;
}

static const uint8_t *find_first(const ms_needle *needle, const uint8_t *from, const uint8_t *end) {
    if (end - from < (ptrdiff_t)needle->bytes) return NULL;
    const uint8_t *last = end - needle->bytes;
    for (const uint8_t *at = from; at <= last; at++) {
        if ((at = rare_from(needle, at, last)) == NULL) return NULL;
        if (is_match(needle, at) && (!needle->word || ms_is_word(needle, at, from))) return at;
    }
    return NULL;
}

static const uint8_t *newline_from(const uint8_t *at) {
    const uint8_t *found;
    for (; (found = memchr(at, '\n', STEP)) == NULL;) at += STEP; /* there is one, and room behind it */
    return found;
}

static const uint8_t *line_start_at(const uint8_t *at, const uint8_t *lowest) {
    while (at > lowest && at[-1] != '\n') at--;
    return at;
}

static uint64_t count_newlines(const uint8_t *from, const uint8_t *end) {
    uint64_t count = 0;
    for (; from < end; from++) count += *from == '\n';
    return count;
}

#include "scan_lines.h"

const ms_path_functions ms_path_plain = {"plain",      find,          count_lines,    find_lines,
                                         newline_from, line_start_at, count_newlines, ms_grams_plain};

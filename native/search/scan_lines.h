/* What is the same in every way of searching, made from four functions that the including file defines: find_first,
 * newline_from, line_start_at, count_newlines. Included, not linked, so that these are inlined.
 *
 * TARGET is the including file's attribute for what the machine must have.
 */

TARGET static uint32_t count_lines(const ms_needle *needle, const uint8_t *from, const uint8_t *end) {
    uint32_t count = 0;
    for (;;) {
        const uint8_t *match = find_first(needle, from, end);
        if (match == NULL) return count;
        count++;
        from = newline_from(match + needle->bytes) + 1;
    }
}

TARGET static size_t find_lines(const ms_needle *needle, ms_cursor *cursor, const uint8_t *end, const uint8_t *base,
                                ms_line *lines, size_t most) {
    size_t count = 0;
    const uint8_t *from = cursor->at, *match;
    while (count < most && (match = find_first(needle, from, end)) != NULL) {
        const uint8_t *start = line_start_at(match, from), *newline = newline_from(match + needle->bytes);
        cursor->number += (uint32_t)count_newlines(from, start);
        lines[count++] = (ms_line){.start = (uint64_t)(start - base), .bytes = (uint32_t)(newline - start),
                                   .number = cursor->number++};
        from = newline + 1;
    }
    cursor->at = count < most ? end : from;
    return count;
}

TARGET static const uint8_t *find(const ms_needle *needle, const uint8_t *from, const uint8_t *end) {
    return find_first(needle, from, end);
}

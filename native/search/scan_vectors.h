/* Searching with vectors of WIDTH bytes, made from what the including file defines: TARGET, WIDTH, vector, LOAD, SPLAT,
 * EQUAL, AND, OR, MASK (a bit a byte). See scan.h.
 *
 * A match is looked for by two of its bytes, those that are rarest in source text, at their distance; where both are, the
 * whole is compared.
 */

TARGET static inline bool is_match(const ms_needle *needle, const uint8_t *at) {
    for (size_t i = 0; i < needle->bytes; i += WIDTH) {
        vector text = OR(LOAD(at + i), LOAD(needle->fold + i)); /* the padding matches everything */
        if (MASK(EQUAL(text, LOAD(needle->value + i))) != FULL) return false;
    }
    return true;
}

typedef struct {
    vector rare, rare_fold, second, second_fold;
    size_t rare_at, second_at;
} probe;

TARGET static inline vector probed(const probe *probe, const uint8_t *at) {
    vector rare = EQUAL(OR(LOAD(at + probe->rare_at), probe->rare_fold), probe->rare);
    return AND(rare, EQUAL(OR(LOAD(at + probe->second_at), probe->second_fold), probe->second));
}

/* The first match at one of these positions. */
TARGET static inline const uint8_t *first_match(const ms_needle *needle, const uint8_t *at, uint32_t mask,
                                                const uint8_t *from) {
    for (; mask != 0; mask &= mask - 1) {
        const uint8_t *match = at + __builtin_ctz(mask);
        if (is_match(needle, match) && (!needle->word || ms_is_word(needle, match, from))) return match;
    }
    return NULL;
}

TARGET static inline const uint8_t *find_first(const ms_needle *needle, const uint8_t *from, const uint8_t *end) {
    const probe probe = {SPLAT(needle->value[needle->rare]), SPLAT(needle->fold[needle->rare]),
                         SPLAT(needle->value[needle->second]), SPLAT(needle->fold[needle->second]),
                         needle->rare, needle->second};
    const uint8_t *at = from, *match;
    ptrdiff_t left = end - from - (ptrdiff_t)needle->bytes + 1; /* positions */
    for (; left >= 4 * WIDTH; at += 4 * WIDTH, left -= 4 * WIDTH) {
        vector found[4];
        for (int i = 0; i < 4; i++) found[i] = probed(&probe, at + i * WIDTH);
        if (MASK(OR(OR(found[0], found[1]), OR(found[2], found[3]))) == 0) continue;
        for (int i = 0; i < 4; i++)
            if ((match = first_match(needle, at + i * WIDTH, MASK(found[i]), from)) != NULL) return match;
    }
    for (; left > 0; at += WIDTH, left -= WIDTH) {
        uint32_t mask = MASK(probed(&probe, at));
        if (left < WIDTH) mask &= (UINT32_C(1) << left) - 1;
        if ((match = first_match(needle, at, mask, from)) != NULL) return match;
    }
    return NULL;
}

TARGET static inline const uint8_t *newline_from(const uint8_t *at) {
    const vector newline = SPLAT('\n');
    for (;; at += WIDTH) {
        uint32_t mask = MASK(EQUAL(LOAD(at), newline));
        if (mask != 0) return at + __builtin_ctz(mask);
    }
}

TARGET static inline const uint8_t *line_start_at(const uint8_t *at, const uint8_t *lowest) {
    const vector newline = SPLAT('\n');
    while (at > lowest) {
        uint32_t mask = MASK(EQUAL(LOAD(at - WIDTH), newline));
        if (mask == 0) {
            at -= WIDTH;
            continue;
        }
        const uint8_t *start = at - WIDTH + (32 - __builtin_clz(mask));
        return start > lowest ? start : lowest;
    }
    return lowest;
}

TARGET static inline uint64_t count_newlines(const uint8_t *from, const uint8_t *end) {
    const vector newline = SPLAT('\n');
    uint64_t count = 0;
    for (; end - from >= WIDTH; from += WIDTH) count += (uint64_t)__builtin_popcount(MASK(EQUAL(LOAD(from), newline)));
    uint32_t rest = MASK(EQUAL(LOAD(from), newline)) & (uint32_t)((UINT64_C(1) << (end - from)) - 1);
    return count + (uint64_t)__builtin_popcount(rest);
}

/* Searching text: one set of functions per way of doing it (AVX2, SSE2, plain C), chosen once for the machine.
 *
 * All work on the store's text, or on memory with as much room around it: they may read (not use) up to MS_MARGIN bytes
 * before and behind what they are given. `from` is the beginning of a line and `end` is just behind a newline.
 */
#ifndef MS_SCAN_H
#define MS_SCAN_H

#include "grams.h"
#include "needle.h"

typedef struct {
    uint64_t start; /* in the store's text */
    uint32_t bytes; /* without the newline */
    uint32_t number, document;
    uint32_t context; /* 1: not a hit, but near one */
} ms_line;

/* How far a scan of one segment has come: the beginning of a line, and its number. */
typedef struct {
    const uint8_t *at;
    uint32_t number;
} ms_cursor;

typedef struct {
    const char *name;
    /* The first match in these lines, or NULL. */
    const uint8_t *(*find)(const ms_needle *needle, const uint8_t *from, const uint8_t *end);
    /* How many lines have the needle. */
    uint32_t (*count)(const ms_needle *needle, const uint8_t *from, const uint8_t *end);
    /* The next lines that have it, at most so many; `start` of each counts from `base`, `document` is not set. The cursor
     * comes to stand behind the last of them, or at `end`. */
    size_t (*lines)(const ms_needle *needle, ms_cursor *cursor, const uint8_t *end, const uint8_t *base, ms_line *lines,
                    size_t most);
    /* The next newline from `at` on; there is one. */
    const uint8_t *(*newline)(const uint8_t *at);
    /* The beginning of the line that `at` is in, but not before `lowest`. */
    const uint8_t *(*line_start)(const uint8_t *at, const uint8_t *lowest);
    uint64_t (*newlines)(const uint8_t *from, const uint8_t *end);
    void (*grams)(const uint8_t *text, size_t bytes, ms_gram_word *row); /* see grams.h */
} ms_path_functions;

extern const ms_path_functions *ms_path; /* the fastest that this machine has, or what a test has chosen */
extern const ms_path_functions ms_path_plain;
#if defined(__x86_64__)
extern const ms_path_functions ms_path_sse2, ms_path_avx2;
#endif

/* 0: the fastest; 1: plain; 2: SSE2; 3: AVX2. False: this machine has it not. */
bool ms_path_choose(int number);

#endif

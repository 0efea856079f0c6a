/* Grams: runs of four (fine) and three (coarse) bytes, ASCII letters lowered, each with a bucket of its kind.
 *
 * The bucket is a word (from the first three bytes) and a bit in it, so that the two grams that begin at a byte are in
 * the same word of a row, side by side, and one store sets both.
 *
 * Always true: word 0 says nothing. Grams with a newline in their first three bytes go there. (Fine grams that end in one
 * do not matter: no literal has them.)
 */
#ifndef MS_GRAMS_H
#define MS_GRAMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MS_BUCKETS 65536u /* of each kind */
#define MS_WORDS (MS_BUCKETS / 64)
#define MS_GRAM_SLACK 96u /* so many bytes behind the end may be read */

typedef struct {
    uint64_t fine, coarse;
} ms_gram_word;

#define MS_FINE_FACTOR 0x9E3779B1u
#define MS_COARSE_FACTOR 0x85EBCA77u

static inline uint8_t ms_lower(uint8_t byte) { return (uint8_t)(byte - 'A') < 26 ? byte | 0x20 : byte; }

/* A gram is four lowered bytes, the first lowest. */
static inline uint32_t ms_coarse_bucket(uint32_t gram) { return (gram & 0xffffff) * MS_COARSE_FACTOR >> 16; }
static inline uint32_t ms_fine_bucket(uint32_t gram) {
    return (ms_coarse_bucket(gram) & ~63u) | gram * MS_FINE_FACTOR >> 26;
}
static inline bool ms_says_nothing(uint32_t bucket) { return bucket < 64; }

/* Add the grams that begin at each of these bytes, the last of which is a newline, to a row of MS_WORDS words. */
void ms_grams_plain(const uint8_t *text, size_t bytes, ms_gram_word *row);
#if defined(__x86_64__)
void ms_grams_avx2(const uint8_t *text, size_t bytes, ms_gram_word *row);
#endif

#endif

/* Adding grams to rows, without and with AVX2: see grams.h. */
#include "grams.h"

#include <string.h>

static bool has_newline(uint32_t three) {
    uint32_t other = (three ^ 0x0a0a0a) | 0xff000000; /* a newline is a zero byte of this */
    return (other - 0x01010101) & ~other & 0x80808080;
}

void ms_grams_plain(const uint8_t *text, size_t bytes, ms_gram_word *row) {
    uint32_t gram = 0;
    for (size_t i = 0; i < 3; i++) gram = gram >> 8 | (uint32_t)ms_lower(text[i]) << 24;
    for (size_t i = 0; i < bytes; i++) {
        gram = gram >> 8 | (uint32_t)ms_lower(text[i + 3]) << 24;
        if (has_newline(gram & 0xffffff)) continue;
        uint32_t fine = ms_fine_bucket(gram), coarse = ms_coarse_bucket(gram);
        row[fine / 64].fine |= UINT64_C(1) << fine % 64;
        row[coarse / 64].coarse |= UINT64_C(1) << coarse % 64;
    }
}

#if defined(__x86_64__)
#include <immintrin.h>

#define AVX2 __attribute__((target("avx2")))
#define STEP 256u /* what is worked on stays in the nearest cache, with the row */

AVX2 static inline __m256i lower(__m256i bytes) {
    __m256i from_a = _mm256_add_epi8(bytes, _mm256_set1_epi8((char)(127 - 'Z'))); /* A..Z become 102..127 */
    __m256i is_upper = _mm256_cmpgt_epi8(from_a, _mm256_set1_epi8(127 - 26));
    return _mm256_or_si256(bytes, _mm256_and_si256(is_upper, _mm256_set1_epi8(0x20)));
}

/* The four bytes from each of eight positions on, as eight words. */
AVX2 static inline __m256i words_at(const uint8_t *bytes) {
    const __m256i pick = _mm256_setr_epi8(0, 1, 2, 3, 1, 2, 3, 4, 2, 3, 4, 5, 3, 4, 5, 6, /* and the next four */
                                          4, 5, 6, 7, 5, 6, 7, 8, 6, 7, 8, 9, 7, 8, 9, 10);
    __m128i sixteen = _mm_loadu_si128((const __m128i *)(const void *)bytes);
    return _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(sixteen), pick);
}

/* For each of eight positions: where its word is in the row (bytes; the lower half), its fine bit (the third byte) and its
 * coarse bit (the fourth). `line` has 0xff where `low` has a newline. */
AVX2 static inline __m256i places(const uint8_t *low, const uint8_t *line) {
    const __m256i three = _mm256_set1_epi32(0xffffff);
    __m256i grams = words_at(low), newlines = _mm256_and_si256(words_at(line), three);
    __m256i coarse = _mm256_mullo_epi32(_mm256_and_si256(grams, three), _mm256_set1_epi32((int)MS_COARSE_FACTOR));
    __m256i fine = _mm256_mullo_epi32(grams, _mm256_set1_epi32((int)MS_FINE_FACTOR));
    __m256i word = _mm256_and_si256(_mm256_srli_epi32(coarse, 18), _mm256_set1_epi32(0x3ff0));
    word = _mm256_and_si256(word, _mm256_cmpeq_epi32(newlines, _mm256_setzero_si256()));
    __m256i coarse_bit = _mm256_and_si256(_mm256_slli_epi32(coarse, 8), _mm256_set1_epi32(0x3f000000));
    __m256i fine_bit = _mm256_and_si256(_mm256_srli_epi32(fine, 10), _mm256_set1_epi32(0x003f0000));
    return _mm256_or_si256(word, _mm256_or_si256(coarse_bit, fine_bit));
}

AVX2 static inline void set(ms_gram_word *row, uint16_t place, __m128i bits) {
    __m128i *word = (__m128i *)(void *)((char *)row + place);
    _mm_storeu_si128(word, _mm_or_si128(_mm_loadu_si128(word), bits));
}

/* Two positions: four bits made by one shift, in pairs that one store each sets. */
AVX2 static inline void set_two(ms_gram_word *row, const uint32_t *at) {
    const __m128i pick = _mm_setr_epi8(2, 3, 6, 7, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1);
    __m128i two = _mm_loadl_epi64((const __m128i *)(const void *)at);
    __m256i counts = _mm256_cvtepu8_epi64(_mm_shuffle_epi8(two, pick));
    __m256i bits = _mm256_sllv_epi64(_mm256_set1_epi64x(1), counts);
    set(row, (uint16_t)at[0], _mm256_castsi256_si128(bits));
    set(row, (uint16_t)at[1], _mm256_extracti128_si256(bits, 1));
}

AVX2 static void add_step(const uint8_t *text, size_t bytes, ms_gram_word *row) {
    uint8_t low[STEP + 64], line[STEP + 64];
    uint32_t place[STEP + 8];
    for (size_t i = 0; i < bytes + 32; i += 32) {
        __m256i piece = _mm256_loadu_si256((const __m256i *)(const void *)(text + i));
        _mm256_storeu_si256((__m256i *)(void *)(low + i), lower(piece));
        _mm256_storeu_si256((__m256i *)(void *)(line + i), _mm256_cmpeq_epi8(piece, _mm256_set1_epi8('\n')));
    }
    for (size_t i = 0; i < bytes; i += 8)
        _mm256_storeu_si256((__m256i *)(void *)(place + i), places(low + i, line + i));
    if (bytes % 2) place[bytes] = 0; /* word 0 may have any bits */
    for (size_t i = 0; i < bytes; i += 2) set_two(row, place + i);
}

AVX2 void ms_grams_avx2(const uint8_t *text, size_t bytes, ms_gram_word *row) {
    for (size_t at = 0; at < bytes; at += STEP) add_step(text + at, bytes - at < STEP ? bytes - at : STEP, row);
}
#endif

/* Needles: see needle.h. */
#include "needle.h"

#include <stdlib.h>
#include <string.h>

/* How frequent each byte is in source text and its documentation: ten times the binary logarithm, from counts over C,
 * Python and prose. */
static const uint8_t frequency[256] = {
      0,   0,   0,   0,   0,   0,   0,   0,   0, 182, 192,   0,   4, 113,   0,   0,
      0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,
    218, 125, 175, 155, 128, 129, 141, 156, 173, 173, 166, 144, 179, 179, 176, 163,
    181, 171, 168, 162, 160, 158, 158, 153, 157, 152, 171, 164, 148, 176, 160, 113,
    130, 166, 151, 166, 162, 168, 156, 152, 147, 166, 113, 142, 161, 161, 161, 160,
    163, 130, 164, 167, 168, 153, 148, 142, 144, 138, 124, 150, 138, 150, 122, 188,
    151, 194, 173, 188, 187, 202, 181, 175, 179, 194, 135, 165, 188, 182, 193, 192,
    184, 149, 194, 194, 198, 183, 170, 165, 169, 170, 144, 151, 142, 151, 132,   0,
    129, 111, 120, 110, 123, 115, 113, 110, 118, 113, 111, 114, 122, 112, 105, 117,
    112, 102,  93, 104, 120, 114, 110, 108, 115, 109, 122, 109, 122, 114, 105, 106,
    115, 113, 101, 102, 114, 113, 107, 106, 120, 100, 105,  99, 105, 110, 114, 117,
    117, 101, 100, 103, 110,  97, 109, 105, 126, 110, 118, 119, 124, 117, 105, 113,
     28,  13,  83, 118,  44,  46,  28,  35,  33,  26,  35,  25,  28,  28,  39,  35,
    118, 118,  28,  32,  31,  23,  33,  28,  18,  18,  18,   0,  18,  11,  21,  17,
     17,   8, 110, 112, 133, 142, 136, 133, 128, 122, 102, 119, 122, 104,  11, 116,
     11,  11,  18,  24,   0,   8,   4,  17,  15,  11,  11,  13,   8,   8,  15,   0,
};

#define RANGE(from, to) [from ... to] = true
__extension__ const bool ms_word_byte[256] = {RANGE('0', '9'), RANGE('A', 'Z'), RANGE('a', 'z'), ['_'] = true};

static bool is_letter(uint8_t byte) { return (uint8_t)((byte | 0x20) - 'a') < 26; }

static uint8_t frequency_at(const ms_needle *needle, size_t i) {
    uint8_t value = needle->value[i], other = (uint8_t)(value ^ needle->fold[i]); /* of a letter that folds: the capital */
    return frequency[value] > frequency[other] ? frequency[value] : frequency[other];
}

/* The rarest byte, but for one value: two equal bytes tell less. The last of equals, which is less often in line with
 * what begins many words. */
static size_t rarest(const ms_needle *needle, size_t but) {
    size_t best = but;
    for (size_t i = 0; i < needle->bytes; i++) {
        if (i == but || (but < needle->bytes && needle->value[i] == needle->value[but])) continue;
        if (best == but || frequency_at(needle, i) <= frequency_at(needle, best)) best = i;
    }
    return best;
}

static void choose_rare(ms_needle *needle) {
    needle->rare = rarest(needle, needle->bytes);
    needle->second = rarest(needle, needle->rare);
    /* All bytes are equal: the two at the ends are the least likely to be seen together. */
    if (needle->second == needle->rare) needle->second = needle->rare == 0 ? needle->bytes - 1 : 0;
}

bool ms_needle_open(ms_needle *needle, const uint8_t *literal, size_t bytes, bool caseless, bool word) {
    size_t padded = (bytes + MS_NEEDLE_PAD - 1) / MS_NEEDLE_PAD * MS_NEEDLE_PAD;
    *needle = (ms_needle){.bytes = bytes, .word = word, .exact = true, .value = malloc(2 * padded)};
    if (needle->value == NULL) return false;
    needle->fold = needle->value + padded;
    memset(needle->value, 0xff, 2 * padded);
    for (size_t i = 0; i < bytes; i++) {
        bool folds = caseless && is_letter(literal[i]);
        needle->fold[i] = folds ? 0x20 : 0;
        needle->value[i] = literal[i] | needle->fold[i];
        if (folds) needle->exact = false;
    }
    choose_rare(needle);
    return true;
}

void ms_needle_close(ms_needle *needle) { free(needle->value); }

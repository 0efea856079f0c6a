/* Kinds of text: see kind.h. Most text is ASCII, so that is looked for first, and skipped within the rest. */
#include "kind.h"

#include <stdbool.h>
#include <string.h>

#include "store.h"

#define HIGH_BITS UINT64_C(0x8080808080808080)
#define STRIDE 256u

/* How many bytes from the beginning are surely ASCII. */
static size_t ascii_prefix(const uint8_t *text, size_t bytes) {
    size_t at = 0;
    for (; at + STRIDE <= bytes; at += STRIDE) {
        uint8_t any = 0;
        for (size_t i = 0; i < STRIDE; i++) any |= text[at + i]; /* becomes vector code */
        if (any & 0x80) break;
    }
    for (; at + sizeof(uint64_t) <= bytes; at += sizeof(uint64_t)) {
        uint64_t word;
        memcpy(&word, text + at, sizeof word);
        if (word & HIGH_BITS) break;
    }
    while (at < bytes && text[at] < 0x80) at++;
    return at;
}

static bool continues(uint8_t byte) { return (byte & 0xc0) == 0x80; }

/* The length of the UTF-8 sequence that a byte from 0x80 on begins, as Unicode's table 3-7 has it; 0: none. */
static size_t sequence(const uint8_t *text, size_t left) {
    uint8_t first = text[0], second = left > 1 ? text[1] : 0;
    if (!continues(second)) return 0;
    if (first >= 0xc2 && first <= 0xdf) return 2;
    if (left < 3 || !continues(text[2])) return 0;
    if (first == 0xe0 && second < 0xa0) return 0; /* could be shorter */
    if (first == 0xed && second > 0x9f) return 0; /* a surrogate */
    if (first >= 0xe0 && first <= 0xef) return 3;
    if (left < 4 || !continues(text[3])) return 0;
    if (first == 0xf0 && second < 0x90) return 0;
    if (first == 0xf4 && second > 0x8f) return 0; /* beyond U+10FFFF */
    return first >= 0xf0 && first <= 0xf4 ? 4 : 0;
}

int ms_fold_at(const uint8_t *text, uint8_t *letter) {
    if (text[0] == 0xc5 && text[1] == 0xbf) return *letter = 's', 2;
    if (text[0] == 0xe2 && text[1] == 0x84 && text[2] == 0xaa) return *letter = 'k', 3;
    return 0;
}

int ms_kind_of(const uint8_t *text, size_t bytes) {
    size_t at = ascii_prefix(text, bytes);
    int kind = at == bytes ? MS_ASCII : MS_UTF8, folds = 0;
    while (at < bytes) {
        uint8_t letter;
        size_t length = sequence(text + at, bytes - at);
        if (length == 0) kind = MS_INVALID;
        if (length > 0 && ms_fold_at(text + at, &letter)) folds = MS_FOLDS;
        at += length ? length : 1;
        if (at < bytes && text[at] < 0x80) at += ascii_prefix(text + at, bytes - at);
    }
    return kind | folds;
}

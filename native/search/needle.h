/* A literal made ready to be searched for. */
#ifndef MS_NEEDLE_H
#define MS_NEEDLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MS_NEEDLE_PAD 32u

typedef struct {
    size_t bytes;
    size_t rare, second; /* offsets of the two bytes that are looked for first */
    bool word, exact;    /* exact: no byte folds */
    /* A byte b of the text matches byte i when (b | fold[i]) == value[i]. Both are padded to MS_NEEDLE_PAD with bytes that
     * match everything (fold 0xff, value 0xff). */
    uint8_t *value, *fold;
} ms_needle;

/* `bytes` is not 0. False: no memory. */
bool ms_needle_open(ms_needle *needle, const uint8_t *literal, size_t bytes, bool caseless, bool word);
void ms_needle_close(ms_needle *needle);

/* Is this a byte of a word: [A-Za-z0-9_]? */
extern const bool ms_word_byte[256];

/* May a match that begins at `at` and is in the lines [from, end) be a word's? Line ends are no bytes of words. */
static inline bool ms_is_word(const ms_needle *needle, const uint8_t *at, const uint8_t *from) {
    return (at == from || !ms_word_byte[at[-1]]) && !ms_word_byte[at[needle->bytes]];
}

#endif

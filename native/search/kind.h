/* What kind of text some bytes are: MS_ASCII, MS_UTF8 or MS_INVALID, and MS_FOLDS. */
#ifndef MS_KIND_H
#define MS_KIND_H

#include <stddef.h>
#include <stdint.h>

int ms_kind_of(const uint8_t *text, size_t bytes);

/* How many bytes at `text` are U+017F or U+212A (2 or 3), or 0; `letter` becomes what it folds to. `text` ends in a
 * newline, so looking ahead is safe. */
int ms_fold_at(const uint8_t *text, uint8_t *letter);

#endif

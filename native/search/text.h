/* The memory that holds all text: one reserved stretch of address space, of which more and more is committed, and a
 * list of what in it is free.
 *
 * Always true:
 *   1. Text never moves while the store lives: positions and pointers stay good.
 *   2. Around every byte that is taken, MS_MARGIN bytes before and behind may be read (not used): SIMD reads past ends.
 *   3. The free extents are sorted, do not touch each other, and the last one reaches to the end of the reservation.
 */
#ifndef MS_TEXT_H
#define MS_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MS_MARGIN 4096u

typedef struct {
    uint64_t start, end;
} ms_extent;

typedef struct {
    uint8_t *bytes;     /* position 0; there is a margin before it */
    uint64_t reserved;  /* positions that could ever be used */
    uint64_t committed; /* positions below this can be read and written */
    uint64_t used;      /* no position from here on was ever taken */
    uint64_t touched;   /* pages below this were asked for ahead of their use; UINT64_MAX: the system cannot do that */
    ms_extent *free;
    size_t free_count, free_capacity;
} ms_text;

bool ms_text_open(ms_text *text);
void ms_text_close(ms_text *text);

/* A free position with room for so many bytes, all of it committed: in a hole, if possible at `preferred`; or at the end.
 * Takes nothing. False: no memory. */
bool ms_text_place(ms_text *text, uint64_t bytes, uint64_t preferred, uint64_t *at);

/* How many bytes from `at`, a position that ms_text_place gave, are free. */
uint64_t ms_text_room(const ms_text *text, uint64_t at);

/* Commit so that [at, at + bytes) can be written. */
bool ms_text_commit(ms_text *text, uint64_t at, uint64_t bytes);

/* Take the first bytes of the free extent that begins at `at`. */
void ms_text_take(ms_text *text, uint64_t at, uint64_t bytes);

/* So many extents will be enough: a later ms_text_give cannot fail. */
bool ms_text_expect(ms_text *text, size_t extents);
void ms_text_give(ms_text *text, uint64_t start, uint64_t end);

#endif

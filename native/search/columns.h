/* Rows of bits, one a block, become columns of the index. The one place that knows how a group is laid out to write it. */
#ifndef MS_COLUMNS_H
#define MS_COLUMNS_H

#include "grams.h"
#include "index.h"

/* The grams of a window's blocks. The pad: or the rows would all meet in the same few lines of the cache. */
typedef struct ms_work {
    ms_gram_word row[MS_WINDOW][MS_WORDS + 4];
} ms_work;

typedef struct {
    ms_group *group;
    uint32_t inside;  /* the window in it */
    uint64_t indexed; /* blocks of the window that have a row; the rows of others are not looked at */
    uint64_t cleared; /* blocks of which the old bits go; what is coarse goes for their quads */
} ms_pass;

/* Add the rows to the group's columns. */
void ms_columns_write(ms_work *work, const ms_pass *pass);

#endif

/* Text memory: see text.h. */
#include "text.h"

#include <string.h>
#include <sys/mman.h>

#include "array.h"

#define MOST_RESERVED (64ull << 30)
#define LEAST_RESERVED (16ull << 20)
#define COMMIT_LEAST (1ull << 20)
#define PAGE 4096ull
#define TOUCH_LEAST (64ull << 10) /* a small store should not have much more than it needs */
#define TOUCH_MOST (4ull << 20)

/* A block is not begun in a hole smaller than this: each block costs 8 KB of index. */
#define LEAST_HOLE (16ull << 10)

bool ms_text_open(ms_text *text) {
    *text = (ms_text){0};
    if (!MS_GROW(text->free, text->free_capacity, 4)) return false;
    for (uint64_t bytes = MOST_RESERVED; bytes >= LEAST_RESERVED; bytes /= 2) {
        void *at = mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (at == MAP_FAILED) continue; /* RLIMIT_AS, or strict overcommit: be content with less */
        text->bytes = (uint8_t *)at + MS_MARGIN;
        text->reserved = bytes - 2 * MS_MARGIN;
        text->free[text->free_count++] = (ms_extent){0, text->reserved};
        if (mprotect(at, MS_MARGIN, PROT_READ | PROT_WRITE) == 0 && ms_text_commit(text, 0, 0)) return true;
        break;
    }
    ms_text_close(text);
    return false;
}

void ms_text_close(ms_text *text) {
    if (text->bytes != NULL) munmap(text->bytes - MS_MARGIN, text->reserved + 2 * MS_MARGIN);
    free(text->free);
    *text = (ms_text){0};
}

static bool commit_until(ms_text *text, uint64_t end) {
    uint64_t most = text->reserved + MS_MARGIN;
    end = (end + PAGE - 1) & ~(PAGE - 1);
    if (end > most) end = most;
    if (mprotect(text->bytes + text->committed, end - text->committed, PROT_READ | PROT_WRITE) < 0) return false;
    text->committed = end;
    return true;
}

#if defined(MADV_POPULATE_WRITE)
/* Have the next pages made in one call, which costs half of what their faults would cost one by one. */
static void touch(ms_text *text, uint64_t at, uint64_t bytes) {
    uint64_t ahead = text->used / 16 < TOUCH_LEAST ? TOUCH_LEAST : text->used / 16;
    if (text->touched == UINT64_MAX || at + bytes <= text->touched) return;
    uint64_t from = (at > text->touched ? at : text->touched) & ~(PAGE - 1);
    uint64_t end = from + (ahead < TOUCH_MOST ? ahead : TOUCH_MOST);
    if (end > text->committed) end = text->committed;
    bool done = madvise(text->bytes + from, end - from, MADV_POPULATE_WRITE) == 0;
    text->touched = done ? end : UINT64_MAX;
}
#else
static void touch(ms_text *text, uint64_t at, uint64_t bytes) { (void)text, (void)at, (void)bytes; }
#endif

static bool has_committed(ms_text *text, uint64_t needed) {
    if (needed <= text->committed) return true;
    /* In large steps, because each is a system call; exactly, where that much is refused. */
    return commit_until(text, needed + text->committed / 8 + COMMIT_LEAST) || commit_until(text, needed);
}

bool ms_text_commit(ms_text *text, uint64_t at, uint64_t bytes) {
    if (bytes > text->reserved || at + bytes > text->reserved) return false;
    if (!has_committed(text, at + bytes + MS_MARGIN)) return false;
    touch(text, at, bytes);
    return true;
}

/* The index of the first free extent that begins at `at` or later. */
static size_t first_from(const ms_text *text, uint64_t at) {
    size_t low = 0, high = text->free_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (text->free[middle].start < at) low = middle + 1;
        else high = middle;
    }
    return low;
}

static bool begins_at(const ms_text *text, size_t index, uint64_t at) {
    return index < text->free_count && text->free[index].start == at;
}

uint64_t ms_text_room(const ms_text *text, uint64_t at) {
    size_t index = first_from(text, at);
    return begins_at(text, index, at) ? text->free[index].end - at : 0;
}

/* Holes before the end: what has died is used again before the store grows. */
bool ms_text_place(ms_text *text, uint64_t bytes, uint64_t preferred, uint64_t *at) {
    uint64_t room = ms_text_room(text, preferred), wanted = bytes < LEAST_HOLE ? LEAST_HOLE : bytes;
    size_t last = text->free_count - 1, chosen = 0;
    *at = preferred;
    if (room > 0 && room >= bytes && preferred != text->free[last].start) return ms_text_commit(text, *at, bytes);
    while (chosen < last && text->free[chosen].end - text->free[chosen].start < wanted) chosen++;
    *at = text->free[chosen].start;
    return ms_text_commit(text, *at, bytes);
}

void ms_text_take(ms_text *text, uint64_t at, uint64_t bytes) {
    size_t index = first_from(text, at);
    ms_extent *extent = &text->free[index];
    extent->start += bytes;
    if (extent->start > text->used) text->used = extent->start;
    if (extent->start < extent->end || index == text->free_count - 1) return;
    memmove(extent, extent + 1, (text->free_count - index - 1) * sizeof *extent);
    text->free_count--;
}

bool ms_text_expect(ms_text *text, size_t extents) {
    return MS_GROW(text->free, text->free_capacity, extents);
}

void ms_text_give(ms_text *text, uint64_t start, uint64_t end) {
    size_t index = first_from(text, start);
    bool joins_next = begins_at(text, index, end), joins_last = index > 0 && text->free[index - 1].end == start;
    ms_extent *extent = &text->free[index];
    if (joins_next) extent->start = start;
    if (joins_last) extent[-1].end = joins_next ? extent->end : end;
    if (joins_next != joins_last) return;
    size_t behind = text->free_count - index;
    if (joins_next) {
        memmove(extent, extent + 1, (behind - 1) * sizeof *extent);
        text->free_count--;
    } else {
        memmove(extent + 1, extent, behind * sizeof *extent);
        *extent = (ms_extent){start, end};
        text->free_count++;
    }
}

/* Writing columns: see columns.h. Many blocks are turned 64 by 64 bits and written in one pass over the window; of few
 * blocks each bit is set by itself. */
#include "columns.h"

#include <string.h>

#define QUADS (MS_WINDOW / MS_QUAD)
#define FEW 8 /* for so many blocks a pass over the window costs less */

static bool has(uint64_t blocks, uint32_t i) { return blocks >> i & 1; }

/* Bit j of word i and bit i of word j change places. */
static void transpose(uint64_t *words) {
    uint64_t mask = UINT64_C(0x00000000ffffffff);
    for (unsigned width = 32; width != 0; width >>= 1, mask ^= mask << width) {
        for (unsigned at = 0; at < 64; at = (at + width + 1) & ~width) {
            uint64_t swapped = (words[at] >> width ^ words[at + width]) & mask;
            words[at + width] ^= swapped;
            words[at] ^= swapped << width;
        }
    }
}

/* Four bits, a quad's, as one. */
static uint16_t quads_of(uint64_t blocks) {
    uint16_t quads = 0;
    for (unsigned i = 0; i < QUADS; i++) quads |= (uint16_t)((blocks >> 4 * i & 15) != 0) << i;
    return quads;
}

static void write_fine(const ms_work *work, const ms_pass *pass) {
    const uint32_t windows = pass->group->windows;
    uint64_t *fine = pass->group->fine + pass->inside, tile[64];
    for (uint32_t word = 0; word < MS_WORDS; word++) {
        for (uint32_t i = 0; i < MS_WINDOW; i++) tile[i] = work->row[i][word].fine;
        transpose(tile);
        for (uint32_t i = 0; i < 64; i++, fine += windows) *fine = (*fine & ~pass->cleared) | tile[i];
    }
}

static uint64_t quad_word(const ms_work *work, uint32_t quad, uint32_t word) {
    const uint32_t i = quad * MS_QUAD;
    return work->row[i][word].coarse | work->row[i + 1][word].coarse | work->row[i + 2][word].coarse |
           work->row[i + 3][word].coarse;
}

/* Four words of 16 quads are turned at once: 4 times 16 rows of the tile. */
static void write_coarse(const ms_work *work, const ms_pass *pass) {
    const uint32_t windows = pass->group->windows;
    uint16_t *coarse = pass->group->coarse + pass->inside, cleared = quads_of(pass->cleared);
    uint64_t tile[64];
    for (uint32_t word = 0; word < MS_WORDS; word += 4) {
        for (uint32_t i = 0; i < 64; i++) tile[i] = quad_word(work, i % QUADS, word + i / QUADS);
        transpose(tile);
        for (uint32_t i = 0; i < 256; i++, coarse += windows)
            *coarse = (uint16_t)((*coarse & ~cleared) | (uint16_t)(tile[i % 64] >> i / 64 * QUADS));
    }
}

static void write_bits(const ms_gram_word *row, uint32_t i, const ms_pass *pass) {
    const size_t windows = pass->group->windows;
    uint64_t *fine = pass->group->fine + pass->inside;
    uint16_t *coarse = pass->group->coarse + pass->inside;
    for (uint32_t word = 0; word < MS_WORDS; word++) {
        for (uint64_t left = row[word].fine; left != 0; left &= left - 1)
            fine[(word * 64 + (uint32_t)__builtin_ctzll(left)) * windows] |= UINT64_C(1) << i;
        for (uint64_t left = row[word].coarse; left != 0; left &= left - 1)
            coarse[(word * 64 + (uint32_t)__builtin_ctzll(left)) * windows] |= (uint16_t)(1u << i / MS_QUAD);
    }
}

void ms_columns_write(ms_work *work, const ms_pass *pass) {
    bool few = pass->cleared == 0 && __builtin_popcountll(pass->indexed) < FEW;
    for (uint32_t i = 0; i < MS_WINDOW; i++) {
        if (few && has(pass->indexed, i)) write_bits(work->row[i], i, pass);
        if (!few && !has(pass->indexed, i)) memset(work->row[i], 0, sizeof work->row[i]);
    }
    if (few) return;
    write_fine(work, pass);
    write_coarse(work, pass);
}

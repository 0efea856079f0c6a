/* Searching 16 bytes at a time, which every x86-64 processor can: see scan.h and scan_vectors.h. */
#include "scan.h"

#if defined(__x86_64__)
#include <emmintrin.h>

#define TARGET
#define WIDTH 16
#define FULL 0xffffu
#define LOAD(at) _mm_loadu_si128((const __m128i *)(const void *)(at))
#define SPLAT(byte) _mm_set1_epi8((char)(byte))
#define EQUAL(a, b) _mm_cmpeq_epi8(a, b)
#define AND(a, b) _mm_and_si128(a, b)
#define OR(a, b) _mm_or_si128(a, b)
#define MASK(bytes) ((uint32_t)_mm_movemask_epi8(bytes))
typedef __m128i vector;

#include "scan_vectors.h"
#include "scan_lines.h"

static const uint8_t *newline(const uint8_t *at) { return newline_from(at); }
static const uint8_t *line_start(const uint8_t *at, const uint8_t *lowest) { return line_start_at(at, lowest); }
static uint64_t newlines(const uint8_t *from, const uint8_t *end) { return count_newlines(from, end); }

const ms_path_functions ms_path_sse2 = {"sse2",  find,       count_lines, find_lines,
                                        newline, line_start, newlines,    ms_grams_plain};
#endif

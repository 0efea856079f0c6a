/* Searching 32 bytes at a time: see scan.h and scan_vectors.h. Only called where the processor has AVX2. */
#include "scan.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define TARGET __attribute__((target("avx2,bmi,popcnt")))
#define WIDTH 32
#define FULL UINT32_MAX
#define LOAD(at) _mm256_loadu_si256((const __m256i *)(const void *)(at))
#define SPLAT(byte) _mm256_set1_epi8((char)(byte))
#define EQUAL(a, b) _mm256_cmpeq_epi8(a, b)
#define AND(a, b) _mm256_and_si256(a, b)
#define OR(a, b) _mm256_or_si256(a, b)
#define MASK(bytes) ((uint32_t)_mm256_movemask_epi8(bytes))
typedef __m256i vector;

#include "scan_vectors.h"
#include "scan_lines.h"

TARGET static const uint8_t *newline(const uint8_t *at) { return newline_from(at); }
TARGET static const uint8_t *line_start(const uint8_t *at, const uint8_t *lowest) { return line_start_at(at, lowest); }
TARGET static uint64_t newlines(const uint8_t *from, const uint8_t *end) { return count_newlines(from, end); }

const ms_path_functions ms_path_avx2 = {"avx2",  find,       count_lines, find_lines,
                                        newline, line_start, newlines,    ms_grams_avx2};
#endif

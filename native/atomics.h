/* Every atomic operation of the core, with its memory order in its name.
 *
 * Plain C11 atomics, no fences: ThreadSanitizer understands each of these. An acquire in one file names the
 * release it pairs with in a label, "PAIR(name)", that stands at both ends.
 */
#ifndef MH_ATOMICS_H
#define MH_ATOMICS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

typedef _Atomic uint32_t mh_atomic32;
typedef _Atomic uint64_t mh_atomic64;

static inline uint32_t load_relaxed(const mh_atomic32 *at) { return atomic_load_explicit(at, memory_order_relaxed); }
static inline uint32_t load_acquire(const mh_atomic32 *at) { return atomic_load_explicit(at, memory_order_acquire); }
static inline void store_relaxed(mh_atomic32 *at, uint32_t v) { atomic_store_explicit(at, v, memory_order_relaxed); }
static inline void store_release(mh_atomic32 *at, uint32_t v) { atomic_store_explicit(at, v, memory_order_release); }

static inline uint64_t load64_relaxed(const mh_atomic64 *at) { return atomic_load_explicit(at, memory_order_relaxed); }
static inline void store64_relaxed(mh_atomic64 *at, uint64_t v) { atomic_store_explicit(at, v, memory_order_relaxed); }

static inline uint64_t load64_acquire(const mh_atomic64 *at) { return atomic_load_explicit(at, memory_order_acquire); }
static inline void store64_release(mh_atomic64 *at, uint64_t v) { atomic_store_explicit(at, v, memory_order_release); }
static inline bool cas64_acq_rel(mh_atomic64 *at, uint64_t *expected, uint64_t desired) {
    return atomic_compare_exchange_weak_explicit(at, expected, desired, memory_order_acq_rel, memory_order_acquire);
}

static inline uint32_t exchange_seq_cst(mh_atomic32 *at, uint32_t v) {
    return atomic_exchange_explicit(at, v, memory_order_seq_cst);
}
static inline uint32_t exchange_release(mh_atomic32 *at, uint32_t v) {
    return atomic_exchange_explicit(at, v, memory_order_release);
}
static inline uint32_t add_acq_rel(mh_atomic32 *at, uint32_t v) {
    return atomic_fetch_add_explicit(at, v, memory_order_acq_rel);
}
static inline uint32_t add_seq_cst(mh_atomic32 *at, uint32_t v) {
    return atomic_fetch_add_explicit(at, v, memory_order_seq_cst);
}
static inline uint32_t load_seq_cst(const mh_atomic32 *at) { return atomic_load_explicit(at, memory_order_seq_cst); }
static inline bool cas_acq_rel(mh_atomic32 *at, uint32_t *expected, uint32_t desired) {
    return atomic_compare_exchange_strong_explicit(at, expected, desired, memory_order_acq_rel, memory_order_acquire);
}
static inline bool cas_seq_cst(mh_atomic32 *at, uint32_t *expected, uint32_t desired) {
    return atomic_compare_exchange_strong_explicit(at, expected, desired, memory_order_seq_cst, memory_order_acquire);
}

static inline void cpu_relax(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

#endif

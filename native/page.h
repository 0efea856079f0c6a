/* A worker's page: what it may run, how far it is, and what it has finished but not sent. One page a worker.
 *
 * The owner deals work to a worker in batches. Each batch has a lease: one word that says which items of it the
 * worker may still begin. Both sides change the word by compare-and-swap, so at every instant an item is either
 * begun by the worker or still the owner's, never both and never neither.
 *
 *   word = generation (16 bits) | next (24) | end (24)      items [0, next) are begun, [next, end) may be begun
 *
 *   Who may do what
 *   owner    grants an unused slot: (generation, 0, count)
 *            cuts: end = next, or half way from next to end; the items behind it are the owner's again
 *   worker   claims: next = next + 1, and begins that item
 *
 * A batch whose generation is not the slot's was taken back before it was read: the worker drops it.
 *
 * Results that are small lie in the page's scratch until they are sent together. (count, used) is one word,
 * published after the bytes, so that the owner can read a dead or a slow worker's finished results (salvage). The
 * epoch tells whether the scratch was emptied meanwhile.
 *
 *   What a death leaves        how the owner finds it
 *   a batch not begun          next == 0: deal it again
 *   items before next          finished, in scratch or sent, but for the last one, which died with the worker
 *   items from next to end     not begun: deal them again
 *   scratch sent, not emptied  the results come twice; each names its batch and place, so the second is dropped
 *
 * Threads: one a side. Processes: the owner and its worker. Numbers from a page are checked by whoever uses them.
 */
#ifndef MH_PAGE_H
#define MH_PAGE_H

#include <stddef.h>

#include "atomics.h"
#include "status.h"

#define MH_LEASES 16u
#define MH_LEASE_ITEMS_MOST 0xffffffu
#define MH_PAGE_MAGIC UINT64_C(0x3165676170796d6d)

typedef struct {
    uint32_t generation, next, end;
} mh_grant;

typedef struct {
    uint64_t magic;
    uint64_t scratch_bytes;
    _Alignas(64) mh_atomic64 lease[MH_LEASES];
    _Alignas(64) mh_atomic64 began_ns; /* when the item that runs was begun, or a little before; 0: none runs */
    mh_atomic32 epoch;                 /* how often the scratch was emptied */
    mh_atomic32 slot, generation;      /* whose results the scratch holds */
    mh_atomic32 first;                 /* index of the first of them */
    mh_atomic64 filled;                /* count << 32 | used bytes */
    _Alignas(64) char scratch[];
} mh_page_shared;

typedef struct {
    int fd;
    uint64_t scratch_bytes; /* as checked when it was mapped */
    mh_page_shared *shared;
} mh_page;

/* What the scratch held, copied out. */
typedef struct {
    uint32_t slot, generation, first, count, used;
} mh_finished;

mh_status mh_page_create(mh_page *page, uint64_t scratch_bytes);
/* Takes `fd` over on success. */
mh_status mh_page_attach(mh_page *page, int fd);
void mh_page_detach(mh_page *page);

/* Owner. */
void mh_page_grant(mh_page *page, uint32_t slot, uint32_t generation, uint32_t count);
/* Take back what the worker has not begun: all of it, or the second half. With `whole`, only if it has begun nothing
 * of the batch. The lease as it is then. MH_AGAIN: the slot has another generation. */
mh_status mh_page_cut(mh_page *page, uint32_t slot, uint32_t generation, bool half, bool whole, mh_grant *now);
mh_grant mh_page_look(const mh_page *page, uint32_t slot);
/* Copy the finished results into `to`, which has room for scratch_bytes. MH_AGAIN: emptied meanwhile, look again. */
mh_status mh_page_salvage(const mh_page *page, char *to, mh_finished *finished);

/* Worker. */
bool mh_page_claim(mh_page *page, uint32_t slot, uint32_t generation, uint32_t *index);
/* The scratch is empty from now on, and the next results in it are those of this batch from `first` on. */
void mh_page_empty(mh_page *page, uint32_t slot, uint32_t generation, uint32_t first);
/* One more result was written behind the others; the scratch is used up to `used`. */
void mh_page_filled(mh_page *page, uint32_t used);

static inline uint32_t mh_page_used(const mh_page *page) {
    return (uint32_t)load64_relaxed(&page->shared->filled);
}
static inline uint32_t mh_page_count(const mh_page *page) {
    return (uint32_t)(load64_relaxed(&page->shared->filled) >> 32);
}

#endif

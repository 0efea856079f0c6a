/* Pages: see page.h. */
#include "page.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kill_points.h"

#define SCRATCH_MOST (UINT64_C(1) << 30)

static uint64_t word_of(mh_grant lease) {
    return (uint64_t)lease.generation << 48 | (uint64_t)lease.next << 24 | lease.end;
}

static mh_grant lease_of(uint64_t word) {
    return (mh_grant){(uint32_t)(word >> 48), (uint32_t)(word >> 24) & MH_LEASE_ITEMS_MOST,
                      (uint32_t)word & MH_LEASE_ITEMS_MOST};
}

static size_t page_bytes(uint64_t scratch_bytes) { return sizeof(mh_page_shared) + (size_t)scratch_bytes; }

static mh_status map(mh_page *page, int fd, uint64_t scratch_bytes) {
    void *at = mmap(NULL, page_bytes(scratch_bytes), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (at == MAP_FAILED) return MH_NOMEM;
    *page = (mh_page){fd, scratch_bytes, at};
    return MH_OK;
}

mh_status mh_page_create(mh_page *page, uint64_t scratch_bytes) {
    *page = (mh_page){.fd = -1};
    if (scratch_bytes == 0 || scratch_bytes > SCRATCH_MOST) return MH_TOO_BIG;
    int fd = memfd_create("manyhands-page", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0) return MH_SYSTEM;
    mh_status status = MH_NOMEM;
    if (ftruncate(fd, (off_t)page_bytes(scratch_bytes)) == 0 && fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK) == 0)
        status = map(page, fd, scratch_bytes);
    if (status != MH_OK) {
        close(fd);
        return status;
    }
    page->shared->scratch_bytes = scratch_bytes;
    page->shared->magic = MH_PAGE_MAGIC;
    return MH_OK;
}

/* A file that could shrink under the mapping would end this process with SIGBUS, so the seal is asked for. */
static mh_status sane_file(int fd, uint64_t *scratch_bytes) {
    struct stat status;
    uint64_t head[2];
    int seals = fcntl(fd, F_GET_SEALS);
    if (seals < 0 || !(seals & F_SEAL_SHRINK) || fstat(fd, &status) != 0) return MH_CORRUPT;
    if (pread(fd, head, sizeof head, 0) != (ssize_t)sizeof head || head[0] != MH_PAGE_MAGIC) return MH_CORRUPT;
    if (head[1] == 0 || head[1] > SCRATCH_MOST || (uint64_t)status.st_size < page_bytes(head[1])) return MH_CORRUPT;
    *scratch_bytes = head[1];
    return MH_OK;
}

mh_status mh_page_attach(mh_page *page, int fd) {
    uint64_t scratch_bytes;
    *page = (mh_page){.fd = -1};
    mh_status status = sane_file(fd, &scratch_bytes);
    return status == MH_OK ? map(page, fd, scratch_bytes) : status;
}

void mh_page_detach(mh_page *page) {
    if (page->shared == NULL) return;
    munmap(page->shared, page_bytes(page->scratch_bytes));
    close(page->fd);
    *page = (mh_page){.fd = -1};
}

/* ---- owner ---- */

void mh_page_grant(mh_page *page, uint32_t slot, uint32_t generation, uint32_t count) {
    /* The ring's publish orders this before the worker's reading of the batch; the release is for salvage alone. */
    store64_release(&page->shared->lease[slot], word_of((mh_grant){generation, 0, count}));
}

mh_grant mh_page_look(const mh_page *page, uint32_t slot) {
    return lease_of(load64_acquire(&page->shared->lease[slot])); /* PAIR(claim) */
}

mh_status mh_page_cut(mh_page *page, uint32_t slot, uint32_t generation, bool half, bool whole, mh_grant *now) {
    mh_atomic64 *at = &page->shared->lease[slot];
    uint64_t seen = load64_acquire(at); /* PAIR(claim) */
    do {
        *now = lease_of(seen);
        if (now->generation != generation) return MH_AGAIN;
        if (whole && now->next > 0) return MH_OK;
        if (now->next < now->end) now->end = now->next + (half ? (now->end - now->next) / 2 : 0);
    } while (!cas64_acq_rel(at, &seen, word_of(*now))); /* PAIR(cut) */
    return MH_OK;
}

/* The worker may be overwriting what is copied here. The epoch tells, and then the copy is thrown away; when it does
 * not tell, the worker's next write happens after this reading (PAIR(empty), both ways). So nothing read in a race is
 * ever used, but ThreadSanitizer sees only the race. Words, loaded atomically: no memcpy, which it sees everywhere. */
__attribute__((noinline, no_sanitize("thread"))) static void copy_out(char *to, const char *from, size_t length) {
    size_t at = 0;
    for (; at + sizeof(uint64_t) <= length; at += sizeof(uint64_t)) {
        uint64_t word = atomic_load_explicit((const mh_atomic64 *)(const void *)(from + at), memory_order_relaxed);
        __builtin_memcpy(to + at, &word, sizeof word);
    }
    for (; at < length; at++) to[at] = ((const volatile char *)from)[at];
}

mh_status mh_page_salvage(const mh_page *page, char *to, mh_finished *finished) {
    const mh_page_shared *shared = page->shared;
    uint32_t epoch = load_acquire(&shared->epoch); /* PAIR(empty) */
    uint64_t filled = load64_acquire(&shared->filled); /* PAIR(filled) */
    *finished = (mh_finished){load_relaxed(&shared->slot), load_relaxed(&shared->generation),
                              load_relaxed(&shared->first), (uint32_t)(filled >> 32), (uint32_t)filled};
    if (finished->used > page->scratch_bytes || finished->slot >= MH_LEASES) return MH_CORRUPT;
    copy_out(to, shared->scratch, finished->used);
    /* An addition of nothing, not a load: the reads above may not sink below it. */
    return add_acq_rel((mh_atomic32 *)&page->shared->epoch, 0) == epoch ? MH_OK : MH_AGAIN;
}

/* ---- worker ---- */

bool mh_page_claim(mh_page *page, uint32_t slot, uint32_t generation, uint32_t *index) {
    mh_atomic64 *at = &page->shared->lease[slot];
    uint64_t seen = load64_acquire(at); /* PAIR(cut) */
    mh_grant lease;
    do {
        lease = lease_of(seen);
        if (lease.generation != generation || lease.next >= lease.end) return false;
        *index = lease.next++;
    } while (!cas64_acq_rel(at, &seen, word_of(lease))); /* PAIR(claim) */
    MH_POINT(lease_claimed);
    return true;
}

void mh_page_empty(mh_page *page, uint32_t slot, uint32_t generation, uint32_t first) {
    mh_page_shared *shared = page->shared;
    store64_release(&shared->filled, 0);
    MH_POINT(page_emptied);
    /* PAIR(empty): who sees what is written from now on sees the new epoch when it looks again. */
    add_acq_rel(&shared->epoch, 1);
    store_relaxed(&shared->slot, slot);
    store_relaxed(&shared->generation, generation);
    store_relaxed(&shared->first, first);
}

void mh_page_filled(mh_page *page, uint32_t used) {
    uint64_t count = mh_page_count(page) + 1;
    store64_release(&page->shared->filled, count << 32 | used); /* PAIR(filled) */
    MH_POINT(page_filled);
}

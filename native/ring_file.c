/* The file behind a ring: layout, making, attaching, mapping levels. ring.h has the rules. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ring_inside.h"

#define SLOTS_MOST (1u << 20)
#define DATA_MOST (UINT64_C(1) << 32)
#define ALL_SLOTS_MOST (UINT64_C(1) << 29) /* in the largest level: all together stay below the 31-bit counts */

static bool power_of_two(uint64_t n) { return n != 0 && (n & (n - 1)) == 0; }

static bool sane_shape(uint32_t levels, uint32_t slots, uint64_t data) {
    return levels >= 1 && levels <= MH_RING_LEVELS && power_of_two(slots) && slots >= 2 && slots <= SLOTS_MOST &&
           power_of_two(data) && data >= 4096 && data <= DATA_MOST &&
           (uint64_t)slots << 2 * (levels - 1) <= ALL_SLOTS_MOST;
}

static uint64_t page_up(uint64_t bytes) { return (bytes + 4095) & ~UINT64_C(4095); }

static uint64_t level_bytes(const mh_ring *ring, uint32_t level) {
    return page_up((uint64_t)level_slots(ring, level) * sizeof(mh_slot)) + level_data(ring, level);
}

static uint64_t level_start(const mh_ring *ring, uint32_t level) {
    uint64_t at = page_up(sizeof(mh_ring_header));
    for (uint32_t i = 0; i < level; i++) at += level_bytes(ring, i);
    return at;
}

static bool file_reaches(int fd, uint64_t bytes) {
    struct stat status;
    return fstat(fd, &status) == 0 && (uint64_t)status.st_size >= bytes;
}

static mh_status map_header(mh_ring *ring, int fd) {
    void *at = mmap(NULL, page_up(sizeof(mh_ring_header)), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (at == MAP_FAILED) return MH_NOMEM;
    ring->fd = fd;
    ring->shared = at;
    return MH_OK;
}

mh_status mh_ring_map_level(mh_ring *ring, uint32_t level, char **base) {
    char *at = atomic_load_explicit(&ring->map[level], memory_order_acquire);
    if (at == NULL) {
        uint64_t start = level_start(ring, level), bytes = level_bytes(ring, level);
        if (!file_reaches(ring->fd, start + bytes)) return MH_CORRUPT;
        at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, ring->fd, (off_t)start);
        if (at == MAP_FAILED) return MH_NOMEM;
        char *expected = NULL; /* a reader and a writer of this process may both come here */
        if (!atomic_compare_exchange_strong(&ring->map[level], &expected, at)) {
            munmap(at, bytes);
            at = expected;
        }
    }
    *base = at;
    return MH_OK;
}

mh_slot *mh_ring_slots(char *base) { return (mh_slot *)base; }

char *mh_ring_data(const mh_ring *ring, char *base, uint32_t level) {
    return base + page_up((uint64_t)level_slots(ring, level) * sizeof(mh_slot));
}

/* Make the file long enough for `level`. It only ever grows, under the write lock. */
mh_status mh_ring_extend(mh_ring *ring, uint32_t level) {
    uint64_t bytes = level_start(ring, level) + level_bytes(ring, level);
    if (file_reaches(ring->fd, bytes)) return MH_OK;
    return ftruncate(ring->fd, (off_t)bytes) == 0 ? MH_OK : MH_NOMEM;
}

/* Give a left level's memory back. Only while it is still on the chain, so that no writer prepares it anew. */
void mh_ring_give_back(mh_ring *ring, uint32_t level) {
    fallocate(ring->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)level_start(ring, level),
              (off_t)level_bytes(ring, level));
}

static void set_shape(mh_ring *ring, uint32_t levels, uint32_t slots, uint64_t data) {
    ring->levels = levels;
    ring->slots = slots;
    ring->data = data;
}

static void fill_header(mh_ring_header *shared, const mh_ring_options *options) {
    shared->version = MH_RING_VERSION;
    shared->max_items = options->max_items;
    shared->levels = options->levels;
    shared->slots = options->slots;
    shared->data = options->data;
    shared->max_heavy = options->max_heavy;
    store_relaxed(&shared->holders, 1);
    shared->magic = MH_RING_MAGIC;
}

mh_status mh_ring_create(mh_ring *ring, const mh_ring_options *options) {
    if (!sane_shape(options->levels, options->slots, options->data)) {
        errno = EINVAL;
        return MH_SYSTEM;
    }
    memset(ring, 0, sizeof *ring);
    ring->bell_fd = -1;
    int fd = memfd_create("manyhands-ring", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0) return MH_SYSTEM;
    set_shape(ring, options->levels, options->slots, options->data);
    mh_status status = MH_NOMEM;
    if (ftruncate(fd, (off_t)(level_start(ring, 0) + level_bytes(ring, 0))) == 0 &&
        fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK) == 0)
        status = map_header(ring, fd);
    if (status != MH_OK) {
        close(fd);
        return status;
    }
    fill_header(ring->shared, options);
    return MH_OK;
}

/* A file that could shrink under the mapping would end this process with SIGBUS, so the seal is asked for. */
static mh_status refuse_strangers(int fd) {
    int seals = fcntl(fd, F_GET_SEALS);
    if (seals < 0 || !(seals & F_SEAL_SHRINK)) return MH_CORRUPT;
    return file_reaches(fd, page_up(sizeof(mh_ring_header))) ? MH_OK : MH_CORRUPT;
}

mh_status mh_ring_attach(mh_ring *ring, int fd) {
    memset(ring, 0, sizeof *ring);
    ring->bell_fd = -1;
    mh_status status = refuse_strangers(fd);
    if (status == MH_OK) status = map_header(ring, fd);
    if (status != MH_OK) return status;
    const mh_ring_header *shared = ring->shared;
    char *base;
    status = MH_CORRUPT;
    set_shape(ring, shared->levels, shared->slots, shared->data);
    if (shared->magic == MH_RING_MAGIC && shared->version == MH_RING_VERSION &&
        sane_shape(ring->levels, ring->slots, ring->data))
        status = mh_ring_map_level(ring, 0, &base);
    if (status != MH_OK) {
        munmap(ring->shared, page_up(sizeof(mh_ring_header)));
        ring->shared = NULL;
    }
    return status;
}

void mh_ring_detach(mh_ring *ring) {
    if (ring->shared == NULL) return;
    for (uint32_t level = 0; level < MH_RING_LEVELS; level++) {
        char *at = atomic_load(&ring->map[level]);
        if (at != NULL) munmap(at, level_bytes(ring, level));
    }
    munmap(ring->shared, page_up(sizeof(mh_ring_header)));
    close(ring->fd);
    memset(ring, 0, sizeof *ring);
    ring->fd = ring->bell_fd = -1;
}

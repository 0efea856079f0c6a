/* The file behind the arena: layout, making, attaching. arena.h has the rules. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "arena_inside.h"

#define SEGMENTS_MOST (1u << 18) /* a block's number has 28 bits */

static uint64_t table_bytes(uint32_t segments) {
    return sizeof(mh_arena_header) + segments * (sizeof(mh_segment) + (uint64_t)MH_UNITS * sizeof(mh_unit));
}

static uint64_t first_byte_for(uint32_t segments) { return (table_bytes(segments) + SEGMENT - 1) & ~(SEGMENT - 1); }

mh_segment *mh_segments(const mh_arena *arena) { return (mh_segment *)(arena->shared + 1); }
mh_unit *mh_units(const mh_arena *arena) { return (mh_unit *)(mh_segments(arena) + arena->segments); }

char *mh_arena_bytes(const mh_arena *arena, uint32_t block) {
    return (char *)arena->shared + arena->first_byte + ((uint64_t)block << MH_UNIT_SHIFT);
}

void mh_arena_punch(const mh_arena *arena, uint64_t unit, uint64_t units) {
    fallocate(arena->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
              (off_t)(arena->first_byte + (unit << MH_UNIT_SHIFT)), (off_t)(units << MH_UNIT_SHIFT));
}

static void begin(mh_arena *arena, int fd, uint64_t budget) {
    memset(arena, 0, sizeof *arena);
    arena->fd = fd;
    arena->pid = getpid();
    arena->budget = budget;
    pthread_mutex_init(&arena->mutex, NULL);
}

static mh_status map_all(mh_arena *arena, uint64_t size) {
    void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, arena->fd, 0);
    if (at == MAP_FAILED) return MH_NOMEM;
    arena->shared = at;
    arena->size = size;
    return MH_OK;
}

mh_status mh_arena_create(mh_arena *arena, uint64_t bytes, uint64_t budget) {
    uint64_t segments = (bytes + SEGMENT - 1) >> MH_SEGMENT_SHIFT;
    if (segments == 0 || segments > SEGMENTS_MOST) {
        errno = EINVAL;
        return MH_SYSTEM;
    }
    int fd = memfd_create("manyhands-arena", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0) return MH_SYSTEM;
    begin(arena, fd, budget);
    uint64_t first = first_byte_for((uint32_t)segments), size = first + (segments << MH_SEGMENT_SHIFT);
    mh_status status = MH_NOMEM;
    if (ftruncate(fd, (off_t)size) == 0 && fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) == 0)
        status = map_all(arena, size);
    if (status != MH_OK) {
        close(fd);
        return status;
    }
    arena->shared->version = MH_ARENA_VERSION;
    arena->shared->segments = arena->segments = (uint32_t)segments;
    arena->shared->first_byte = arena->first_byte = first;
    arena->shared->keeper_pid = (uint32_t)getpid();
    arena->shared->keeper_fd = (uint32_t)fd;
    if (getrandom(&arena->shared->id, sizeof arena->shared->id, GRND_NONBLOCK) < 0) arena->shared->id = mh_now_ns();
    arena->shared->magic = MH_ARENA_MAGIC;
    return MH_OK;
}

static bool sane(const mh_arena_header *shared, uint64_t size) {
    return shared->magic == MH_ARENA_MAGIC && shared->version == MH_ARENA_VERSION && shared->segments > 0 &&
           shared->segments <= SEGMENTS_MOST && shared->first_byte == first_byte_for(shared->segments) &&
           size == shared->first_byte + ((uint64_t)shared->segments << MH_SEGMENT_SHIFT);
}

mh_status mh_arena_attach(mh_arena *arena, int fd, uint64_t budget) {
    struct stat file;
    int seals = fcntl(fd, F_GET_SEALS);
    if (seals < 0 || !(seals & F_SEAL_SHRINK) || fstat(fd, &file) != 0) return MH_CORRUPT;
    if ((uint64_t)file.st_size < sizeof(mh_arena_header)) return MH_CORRUPT;
    begin(arena, fd, budget);
    mh_status status = map_all(arena, (uint64_t)file.st_size);
    if (status == MH_OK && !sane(arena->shared, arena->size)) {
        munmap(arena->shared, arena->size);
        arena->shared = NULL;
        status = MH_CORRUPT;
    }
    if (status != MH_OK) return status;
    arena->segments = arena->shared->segments;
    arena->first_byte = first_byte_for(arena->segments);
    return MH_OK;
}

void mh_arena_forget(mh_arena *arena) {
    for (uint32_t i = 0; i < arena->leases; i++) free(arena->lease[i]);
    free(arena->lease);
    free(arena->given);
    arena->lease = NULL;
    arena->given = NULL;
    arena->leases = arena->leases_room = arena->givens = arena->givens_room = arena->hand = 0;
    arena->warm_free = 0;
    arena->who = 0;
}

void mh_arena_detach(mh_arena *arena) {
    if (arena->shared == NULL) return;
    mh_who_leaves(arena);
    mh_arena_forget(arena);
    munmap(arena->shared, arena->size);
    close(arena->fd);
    arena->shared = NULL;
    arena->fd = -1;
}

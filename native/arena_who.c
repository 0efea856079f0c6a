/* Who a process is to the arena: a slot with pid and start time. See arena.h. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "arena_inside.h"
#include "kill_points.h"

#define SLOT_SHIFT 16u
#define GENERATION_MASK 0xffffu

#define GONE UINT64_C(0)
#define UNKNOWN UINT64_MAX /* it lives, or nobody can tell: no descriptor was to be had, or there is no /proc */

/* Why /proc/<pid>/stat could not be read. Only a process that is surely gone may lose its blocks. */
static uint64_t gone_or_unknown(uint32_t pid) {
    bool missing = errno == ENOENT || errno == ESRCH;
    return missing && kill((pid_t)pid, 0) != 0 && errno == ESRCH ? GONE : UNKNOWN;
}

/* Start time of a living process, from /proc/<pid>/stat; GONE also when it is a zombie. */
static uint64_t start_of(uint32_t pid) {
    char path[32], text[512], state;
    unsigned long long start;
    snprintf(path, sizeof path, "/proc/%u/stat", pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return gone_or_unknown(pid);
    ssize_t got = read(fd, text, sizeof text - 1);
    uint64_t otherwise = got < 0 ? gone_or_unknown(pid) : UNKNOWN;
    close(fd);
    if (got <= 0) return otherwise;
    text[got] = 0;
    const char *after_name = strrchr(text, ')'); /* the name may hold anything */
    if (after_name == NULL) return UNKNOWN;
    int fields = sscanf(after_name + 1, " %c %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %llu",
                        &state, &start);
    if (fields != 2) return UNKNOWN;
    return state != 'Z' && state != 'X' ? start : GONE;
}

/* Does the process that wrote its pid and start time into the slot still run? */
static bool tenant_lives(const mh_process_slot *slot, uint32_t pid) {
    uint64_t start = start_of(pid), then = load64_relaxed(&slot->start);
    return start != GONE && (start == then || start == UNKNOWN || then == UNKNOWN);
}

bool mh_who_lives(const mh_arena *arena, uint32_t who) {
    const mh_process_slot *slot = &arena->shared->process[(who & WHO_MASK) >> SLOT_SHIFT];
    uint32_t pid = load_acquire(&slot->pid);
    if (pid == 0 || (load_relaxed(&slot->generation) & GENERATION_MASK) != (who & GENERATION_MASK)) return false;
    return tenant_lives(slot, pid);
}

static bool slot_is_vacant(const mh_process_slot *slot) {
    uint32_t pid = load_relaxed(&slot->pid);
    return pid == 0 || !tenant_lives(slot, pid);
}

/* Under the arena's lock. Never-used slots first, so that the living are not asked for needlessly. */
static mh_process_slot *vacant_slot(mh_arena_header *shared) {
    for (uint32_t i = 0; i < MH_PROCESSES; i++)
        if (load_relaxed(&shared->process[i].pid) == 0) return &shared->process[i];
    for (uint32_t i = 0; i < MH_PROCESSES; i++)
        if (slot_is_vacant(&shared->process[i])) return &shared->process[i];
    return NULL;
}

static uint32_t move_in(mh_arena *arena, mh_process_slot *slot) {
    uint32_t generation = (load_relaxed(&slot->generation) + 1) & GENERATION_MASK;
    if (generation == 0) generation = 1;
    store_release(&slot->pid, 0);
    store_relaxed(&slot->generation, generation);
    MH_POINT(arena_slot);
    atomic_store_explicit(&slot->start, start_of((uint32_t)arena->pid), memory_order_relaxed);
    store_release(&slot->pid, (uint32_t)arena->pid); /* from here on somebody lives here */
    return (uint32_t)(slot - arena->shared->process) << SLOT_SHIFT | generation;
}

mh_status mh_who_am_i(mh_arena *arena) {
    if (arena->who != 0) return MH_OK;
    mh_status status = mh_table_lock(arena);
    if (status != MH_OK) return status;
    mh_process_slot *slot = vacant_slot(arena->shared);
    if (slot != NULL) arena->who = move_in(arena, slot);
    mh_lock_release(&arena->shared->lock);
    return slot != NULL ? MH_OK : MH_NOMEM;
}

void mh_who_leaves(mh_arena *arena) {
    if (arena->who == 0 || arena->pid != getpid()) return; /* a forked child leaves nothing: it has not begun */
    store_release(&arena->shared->process[(arena->who & WHO_MASK) >> SLOT_SHIFT].pid, 0);
}

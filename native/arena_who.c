/* Who a process is to the arena: a slot with pid and start time. See arena.h. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "arena_inside.h"
#include "kill_points.h"

#define SLOT_SHIFT 16u
#define GENERATION_MASK 0xffffu

/* Start time of a living process, from /proc/<pid>/stat; 0 when it is gone or a zombie. */
static uint64_t start_of(uint32_t pid) {
    char path[32], text[512], state;
    unsigned long long start;
    snprintf(path, sizeof path, "/proc/%u/stat", pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return 0;
    ssize_t got = read(fd, text, sizeof text - 1);
    close(fd);
    if (got <= 0) return 0;
    text[got] = 0;
    const char *after_name = strrchr(text, ')'); /* the name may hold anything */
    if (after_name == NULL) return 0;
    int fields = sscanf(after_name + 1, " %c %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %llu",
                        &state, &start);
    return fields == 2 && state != 'Z' && state != 'X' ? start : 0;
}

bool mh_who_lives(const mh_arena *arena, uint32_t who) {
    const mh_process_slot *slot = &arena->shared->process[(who & WHO_MASK) >> SLOT_SHIFT];
    uint32_t pid = load_acquire(&slot->pid);
    if (pid == 0 || (load_relaxed(&slot->generation) & GENERATION_MASK) != (who & GENERATION_MASK)) return false;
    return start_of(pid) == load64_relaxed(&slot->start);
}

static bool slot_is_vacant(const mh_process_slot *slot) {
    uint32_t pid = load_relaxed(&slot->pid);
    return pid == 0 || start_of(pid) != load64_relaxed(&slot->start);
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
    bool owner_died = false;
    mh_status status;
    do status = mh_lock_acquire(&arena->shared->lock, MH_FOREVER, &owner_died);
    while (status == MH_INTERRUPTED); /* held for microseconds only */
    if (status != MH_OK) return status;
    mh_process_slot *slot = vacant_slot(arena->shared);
    if (slot != NULL) arena->who = move_in(arena, slot);
    mh_lock_release(&arena->shared->lock);
    return slot != NULL ? MH_OK : MH_NOMEM;
}

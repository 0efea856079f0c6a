/* The arena of arena.h: blocks and their states, leases, who is who, and what the dead leave. */
#include "check.h"

#include <fcntl.h>
#include <sys/resource.h>

#include "arena_inside.h"

#define MB (UINT64_C(1) << 20)

static mh_arena fresh(uint64_t segments) {
    mh_arena arena;
    CHECK(mh_arena_create(&arena, segments << MH_SEGMENT_SHIFT, 16 * MB) == MH_OK);
    return arena;
}

static uint32_t block_of(mh_arena *arena, uint64_t bytes) {
    uint32_t block;
    CHECK(mh_arena_alloc(arena, bytes, &block) == MH_OK);
    CHECK(mh_arena_room(arena, block) >= bytes);
    return block;
}

static uint32_t blocks_given(mh_arena *arena) {
    mh_arena_statistics now;
    mh_arena_look(arena, &now);
    return now.blocks;
}

static uint32_t segments_owned(const mh_arena *arena) {
    uint32_t owned = 0;
    for (uint32_t i = 0; i < arena->segments; i++) owned += load_relaxed(&mh_segments(arena)[i].owner) != 0;
    return owned;
}

static void blocks_do_not_overlap_and_come_back(void) {
    static const uint64_t sizes[] = {1, 65536, 65537, 300000, 5 * 1000000, 40 * MB, 64 * MB, 65 * MB, 130 * MB};
    enum { N = sizeof sizes / sizeof *sizes };
    mh_arena arena = fresh(16);
    for (int round = 0; round < 3; round++) {
        uint32_t block[N];
        for (int i = 0; i < N; i++) {
            block[i] = block_of(&arena, sizes[i]);
            memset(mh_arena_bytes(&arena, block[i]), i, 4096);
            mh_arena_bytes(&arena, block[i])[sizes[i] - 1] = (char)i;
        }
        for (int i = 0; i < N; i++) CHECK(mh_arena_bytes(&arena, block[i])[sizes[i] - 1] == (char)i);
        for (int i = 0; i < N; i++) mh_arena_abandon(&arena, block[i]);
        CHECK(blocks_given(&arena) == 0);
    }
    mh_arena_detach(&arena);
}

static void freed_memory_is_used_again_first(void) {
    mh_arena arena = fresh(4);
    uint32_t first = block_of(&arena, 100000);
    mh_arena_abandon(&arena, first);
    for (int i = 0; i < 100; i++) {
        uint32_t next = block_of(&arena, 100000);
        CHECK(next < 16);
        mh_arena_abandon(&arena, next);
    }
    mh_arena_detach(&arena);
}

static void what_can_never_fit_is_refused_and_what_does_not_fit_now_too(void) {
    mh_arena arena = fresh(2);
    uint32_t block;
    CHECK(mh_arena_alloc(&arena, 129 * MB, &block) == MH_TOO_BIG);
    uint32_t all = block_of(&arena, 128 * MB);
    CHECK(mh_arena_alloc(&arena, 1, &block) == MH_NOMEM);
    mh_arena_abandon(&arena, all);
    CHECK(mh_arena_alloc(&arena, 1, &block) == MH_OK);
    mh_arena_detach(&arena);
}

static void freed_blocks_beyond_the_budget_give_their_pages_back(void) {
    mh_arena arena = fresh(4);
    mh_arena_statistics now;
    uint32_t large = block_of(&arena, 40 * MB), small = block_of(&arena, 1 * MB);
    memset(mh_arena_bytes(&arena, large), 1, 40 * MB);
    mh_arena_abandon(&arena, large);
    mh_arena_abandon(&arena, small);
    mh_arena_look(&arena, &now);
    CHECK(now.warm_free <= 16 * MB && now.warm_free >= 1 * MB);
    CHECK(mh_arena_bytes(&arena, large)[0] == 0);
    mh_arena_trim(&arena);
    mh_arena_look(&arena, &now);
    CHECK(now.warm_free == 0 && now.blocks == 0);
    mh_arena_detach(&arena);
}

static void a_block_flies_to_one_claimer_and_is_free_when_released(void) {
    mh_arena arena = fresh(2);
    uint32_t block = block_of(&arena, 1000);
    CHECK(!mh_arena_claim(&arena, block));
    mh_arena_fly(&arena, block);
    CHECK(mh_arena_claim(&arena, block) && !mh_arena_claim(&arena, block));
    CHECK(blocks_given(&arena) == 1);
    mh_arena_release(&arena, block);
    CHECK(blocks_given(&arena) == 0);
    mh_arena_detach(&arena);
}

static void numbers_that_are_no_blocks_have_no_room(void) {
    mh_arena arena = fresh(2);
    CHECK(mh_arena_room(&arena, 2 * MH_UNITS) == 0 && mh_arena_room(&arena, UINT32_MAX) == 0);
    store_relaxed(&mh_units(&arena)[5].shape, 77);
    CHECK(mh_arena_room(&arena, 5) == 0);
    store_relaxed(&mh_units(&arena)[5].shape, SPAN | 0x7fffffffu);
    CHECK(mh_arena_room(&arena, 5) == 0);
    CHECK(!mh_arena_is_shared(&arena, UINT32_MAX));
    mh_arena_detach(&arena);
}

static void an_overwritten_shape_is_not_believed(void) {
    static const uint32_t bad[] = {11, 31, 32, 1000, SPAN | 1, SPAN | 3, 10};
    mh_arena arena = fresh(4);
    block_of(&arena, 1);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        uint32_t block = block_of(&arena, 1);
        store_relaxed(&mh_units(&arena)[block].shape, bad[i]);
        mh_arena_abandon(&arena, block);
        blocks_given(&arena);
        CHECK(block_of(&arena, 1) != block);
    }
    mh_arena_detach(&arena);
}

/* ---- shared blocks ---- */

static void a_shared_block_is_free_when_nobody_has_it_and_it_flies_nowhere(void) {
    mh_arena arena = fresh(2), other;
    CHECK(mh_arena_attach(&other, dup(arena.fd), 0) == MH_OK && mh_arena_ready(&other) == MH_OK);
    uint32_t block = block_of(&arena, 100000);
    mh_arena_share(&arena, block);
    CHECK(mh_arena_is_shared(&arena, block));
    mh_arena_take_off(&arena, block);
    mh_arena_drop(&arena, block);
    CHECK(blocks_given(&arena) == 1);
    CHECK(mh_arena_hold(&other, block) == MH_OK);
    mh_arena_land(&other, block);
    CHECK(blocks_given(&arena) == 1);
    mh_arena_drop(&other, block);
    CHECK(blocks_given(&arena) == 0);
    mh_arena_detach(&other);
    mh_arena_detach(&arena);
}

typedef struct {
    mh_arena *owner, *hand[2];
    uint32_t block;
    mh_atomic32 turns, stop;
} handing_on;

/* Two holders hand the block to each other, each letting go as soon as the other has it. */
static void *hand_it_on(void *with) {
    handing_on *game = with;
    for (uint32_t i = 0; i < 30000; i++) {
        mh_arena *from = game->hand[i % 2], *to = game->hand[(i + 1) % 2];
        mh_arena_take_off(from, game->block);
        mh_arena_drop(from, game->block);
        CHECK(mh_arena_hold(to, game->block) == MH_OK);
        mh_arena_land(to, game->block);
    }
    store_release(&game->stop, 1);
    return NULL;
}

static void a_shared_block_that_is_handed_on_is_never_taken_for_free(void) {
    mh_arena arena = fresh(2), one, two;
    CHECK(mh_arena_attach(&one, dup(arena.fd), 0) == MH_OK && mh_arena_ready(&one) == MH_OK);
    CHECK(mh_arena_attach(&two, dup(arena.fd), 0) == MH_OK && mh_arena_ready(&two) == MH_OK);
    handing_on game = {.owner = &arena, .hand = {&one, &two}, .block = block_of(&arena, 10000)};
    mh_arena_share(&arena, game.block);
    CHECK(mh_arena_hold(&one, game.block) == MH_OK);
    mh_arena_drop(&arena, game.block);
    pthread_t thread = check_thread(hand_it_on, &game);
    while (!load_acquire(&game.stop)) CHECK(blocks_given(&arena) == 1);
    pthread_join(thread, NULL);
    mh_arena_drop(&one, game.block);
    CHECK(blocks_given(&arena) == 0);
    mh_arena_detach(&one);
    mh_arena_detach(&two);
    mh_arena_detach(&arena);
}

static void *allocate_and_free(void *with) {
    mh_arena *arena = with;
    for (uint32_t i = 0; i < 2000; i++) {
        uint32_t block = block_of(arena, 1 + i * 7919 % 900000);
        mh_arena_bytes(arena, block)[0] = 1;
        mh_arena_fly(arena, block);
        CHECK(mh_arena_claim(arena, block));
        mh_arena_release(arena, block);
    }
    return NULL;
}

static void threads_allocate_from_one_half(void) {
    mh_arena arena = fresh(4);
    pthread_t thread[3];
    CHECK(mh_arena_ready(&arena) == MH_OK);
    for (int i = 0; i < 3; i++) thread[i] = check_thread(allocate_and_free, &arena);
    for (int i = 0; i < 3; i++) pthread_join(thread[i], NULL);
    CHECK(blocks_given(&arena) == 0);
    mh_arena_detach(&arena);
}

static void who_detaches_leaves_its_slot_and_its_segments_to_others(void) {
    mh_arena arena = fresh(3), other;
    CHECK(mh_arena_ready(&arena) == MH_OK);
    for (uint32_t i = 0; i < 2 * MH_PROCESSES; i += 64) {
        CHECK(mh_arena_attach(&other, dup(arena.fd), 0) == MH_OK);
        block_of(&other, 1);
        CHECK((other.who & WHO_MASK) >> 16 < 2);
        mh_arena_detach(&other);
    }
    mh_arena_reclaim(&arena);
    CHECK(segments_owned(&arena) == 0);
    mh_arena_detach(&arena);
}

#ifndef __SANITIZE_THREAD__
/* ---- deaths ---- */

static uint32_t state_of(const mh_arena *arena, uint32_t block) { return load_acquire(&mh_units(arena)[block].state); }

static mh_arena *scene;
static uint32_t scene_block;
static mh_atomic32 *told;

static void begin(mh_arena *arena) {
    scene = arena;
    told = check_shared(sizeof *told);
    CHECK(mh_arena_ready(arena) == MH_OK);
}

static void allocate_and_die(void *with) {
    (void)with;
    block_of(scene, 100);
    block_of(scene, 200 * MB);
    mh_arena_fly(scene, block_of(scene, 100));
    kill(getpid(), SIGKILL);
}

static void what_a_dead_owner_was_filling_is_freed_and_what_flies_lives_on(void) {
    mh_arena arena = fresh(8);
    begin(&arena);
    CHECK(check_was_killed(check_ended(check_child(allocate_and_die, NULL))));
    CHECK(segments_owned(&arena) == 5);
    mh_arena_reclaim(&arena);
    CHECK(segments_owned(&arena) == 1);
    uint32_t flying = 0;
    while (state_of(&arena, flying) != FLYING) flying++;
    CHECK(mh_arena_claim(&arena, flying));
    mh_arena_release(&arena, flying);
    mh_arena_reclaim(&arena);
    CHECK(segments_owned(&arena) == 0);
    mh_arena_detach(&arena);
}

static void claim_and_stay(void *with) {
    (void)with;
    CHECK(mh_arena_ready(scene) == MH_OK && mh_arena_claim(scene, scene_block));
    store_release(told, 1);
    for (;;) pause();
}

static void what_a_dead_holder_held_comes_back_by_reclaim(void) {
    mh_arena arena = fresh(2);
    begin(&arena);
    scene_block = block_of(&arena, 100);
    mh_arena_fly(&arena, scene_block);
    pid_t holder = check_child(claim_and_stay, NULL);
    UNTIL(load_acquire(told));
    mh_arena_reclaim(&arena);
    CHECK((state_of(&arena, scene_block) & STATE_MASK) == HELD);
    check_killed(holder);
    mh_arena_reclaim(&arena);
    CHECK(state_of(&arena, scene_block) == FREE && blocks_given(&arena) == 0);
    mh_arena_detach(&arena);
}

/* No descriptor is to be had for /proc: that must not make anybody dead. */
static void who_cannot_be_looked_up_is_alive(void) {
    mh_arena arena = fresh(2);
    struct rlimit before, none = {3, 3};
    begin(&arena);
    scene_block = block_of(&arena, 100);
    mh_arena_fly(&arena, scene_block);
    pid_t holder = check_child(claim_and_stay, NULL);
    UNTIL(load_acquire(told));
    getrlimit(RLIMIT_NOFILE, &before);
    none.rlim_max = before.rlim_max;
    setrlimit(RLIMIT_NOFILE, &none);
    mh_arena_reclaim(&arena);
    CHECK(blocks_given(&arena) == 1 && (state_of(&arena, scene_block) & STATE_MASK) == HELD);
    setrlimit(RLIMIT_NOFILE, &before);
    check_killed(holder);
    mh_arena_reclaim(&arena);
    CHECK(blocks_given(&arena) == 0);
    mh_arena_detach(&arena);
}

static void hold_shared_and_die(void *with) {
    (void)with;
    CHECK(mh_arena_ready(scene) == MH_OK && mh_arena_hold(scene, scene_block) == MH_OK);
    kill(getpid(), SIGKILL);
}

static void a_dead_holder_of_a_shared_block_does_not_count(void) {
    mh_arena arena = fresh(2);
    begin(&arena);
    scene_block = block_of(&arena, 100000);
    mh_arena_share(&arena, scene_block);
    CHECK(check_was_killed(check_ended(check_child(hold_shared_and_die, NULL))));
    CHECK(blocks_given(&arena) == 1);
    mh_arena_drop(&arena, scene_block);
    CHECK(blocks_given(&arena) == 0);
    mh_arena_detach(&arena);
}

/* Die as in sign_lease: segments have an owner, but no lease covers them. */
static void die_with_half_a_lease(void *with) {
    bool died = false;
    (void)with;
    CHECK(mh_lock_acquire(&scene->shared->lock, MH_FOREVER, &died) == MH_OK);
    for (uint32_t i = 0; i < scene->segments; i++) store_relaxed(&mh_segments(scene)[i].owner, 1u << 16 | 1);
    kill(getpid(), SIGKILL);
}

static void get_a_slot(void *with) {
    (void)with;
    CHECK(mh_arena_ready(scene) == MH_OK);
}

/* The first to have the lock afterwards may be somebody who only wants a slot. */
static void half_a_lease_is_given_back_by_whoever_locks_next(void) {
    mh_arena arena = fresh(4);
    begin(&arena);
    CHECK(check_was_killed(check_ended(check_child(die_with_half_a_lease, NULL))));
    arena.who = 0;
    get_a_slot(NULL);
    CHECK(check_ended(check_child(get_a_slot, NULL)) == 0);
    CHECK(segments_owned(&arena) == 0);
    block_of(&arena, 200 * MB);
    mh_arena_detach(&arena);
}

static void leave_a_flying_block_in_each_segment(void *with) {
    uint32_t block;
    (void)with;
    while (mh_arena_alloc(scene, 30 * MB, &block) == MH_OK)
        if (block % MH_UNITS == 0) mh_arena_fly(scene, block);
}

static void a_segment_of_the_dead_is_adopted_with_its_blocks(void) {
    mh_arena arena = fresh(3);
    begin(&arena);
    CHECK(check_ended(check_child(leave_a_flying_block_in_each_segment, NULL)) == 0);
    uint32_t small = block_of(&arena, 20 * MB), room;
    CHECK(blocks_given(&arena) == 2);
    CHECK(small % MH_UNITS >= 512);
    CHECK(mh_arena_alloc(&arena, 100 * MB, &room) == MH_NOMEM);
    for (uint32_t i = 0; i < 3; i++) {
        CHECK(mh_arena_claim(&arena, i * MH_UNITS));
        mh_arena_release(&arena, i * MH_UNITS);
    }
    mh_arena_reclaim(&arena);
    CHECK(segments_owned(&arena) == 1 && blocks_given(&arena) == 1);
    mh_arena_detach(&arena);
}

static void use_the_parents_arena(void *with) {
    (void)with;
    uint32_t parents = scene->who, block = block_of(scene, 100);
    CHECK(scene->who != parents && block / MH_UNITS != scene_block / MH_UNITS);
    CHECK(blocks_given(scene) == 1);
}

static void a_forked_child_has_a_half_of_its_own(void) {
    mh_arena arena = fresh(4);
    begin(&arena);
    scene_block = block_of(&arena, 100);
    CHECK(check_ended(check_child(use_the_parents_arena, NULL)) == 0);
    CHECK(blocks_given(&arena) == 1);
    mh_arena_detach(&arena);
}

/* All slots have been used: the dead make room, and their old names are nobody's. */
static void a_slot_of_the_dead_is_used_again(void) {
    mh_arena arena = fresh(2);
    begin(&arena);
    uint32_t mine = arena.who;
    for (uint32_t i = 0; i < MH_PROCESSES; i++)
        if (i != mine >> 16) {
            store_relaxed(&arena.shared->process[i].generation, 7);
            store_relaxed(&arena.shared->process[i].pid, 0x3fffffff);
        }
    CHECK(!mh_who_lives(&arena, 5u << 16 | 7) && mh_who_lives(&arena, mine));
    arena.who = 0;
    CHECK(mh_arena_ready(&arena) == MH_OK && arena.who != mine && (arena.who & 0xffff) == 8);
    CHECK(mh_who_lives(&arena, arena.who) && !mh_who_lives(&arena, (arena.who & ~0xffffu) | 7));
    mh_arena_detach(&arena);
}
#endif

int main(void) {
    RUN(blocks_do_not_overlap_and_come_back);
    RUN(freed_memory_is_used_again_first);
    RUN(what_can_never_fit_is_refused_and_what_does_not_fit_now_too);
    RUN(freed_blocks_beyond_the_budget_give_their_pages_back);
    RUN(a_block_flies_to_one_claimer_and_is_free_when_released);
    RUN(numbers_that_are_no_blocks_have_no_room);
    RUN(an_overwritten_shape_is_not_believed);
    RUN(a_shared_block_is_free_when_nobody_has_it_and_it_flies_nowhere);
    RUN(a_shared_block_that_is_handed_on_is_never_taken_for_free);
    RUN(threads_allocate_from_one_half);
    RUN(who_detaches_leaves_its_slot_and_its_segments_to_others);
#ifndef __SANITIZE_THREAD__
    RUN(what_a_dead_owner_was_filling_is_freed_and_what_flies_lives_on);
    RUN(what_a_dead_holder_held_comes_back_by_reclaim);
    RUN(who_cannot_be_looked_up_is_alive);
    RUN(a_dead_holder_of_a_shared_block_does_not_count);
    RUN(half_a_lease_is_given_back_by_whoever_locks_next);
    RUN(a_segment_of_the_dead_is_adopted_with_its_blocks);
    RUN(a_forked_child_has_a_half_of_its_own);
    RUN(a_slot_of_the_dead_is_used_again);
#endif
    return 0;
}

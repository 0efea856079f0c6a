/* A death at each named point: a writer, then a reader, is killed when it passes the point for the n-th time, while
 * others work on. world.h says what must hold then. A worker dies alone with its page: what it has begun, done and
 * sent must be plain to see. A point at which nobody ever died fails the test.
 */
#include "page.h"
#include "world.h"

#include <stddef.h>

#ifndef MH_KILL_POINTS
#error "this test is about kill points"
#endif

#define TRIES 5 /* some points are passed only when two want the same at the same moment */

static mh_point victims_point;
static uint32_t passes_left;

static void die_at_the_point(mh_point point) {
    if (point == victims_point && --passes_left == 0) {
        kill(getpid(), SIGKILL);
        for (;;) pause();
    }
}

static void become_the_victim(void) { mh_point_hook = die_at_the_point; }

/* One ring of little room that grows, one that makes writers and readers wait for each other. */
static const mh_ring_options shapes[] = {{0, 4, 8, 4096, 0}, {3, 4, 8, 4096, 2000000}};

static world *world_of(int shape) {
    world *all = malloc(sizeof *all);
    CHECK(all != NULL);
    world_open(all, &shapes[shape]);
    all->writes_most = 50;
    all->large = true;
    return all;
}

static void world_end(world *all) {
    world_close(all);
    free(all);
}

/* The parent sends, too, after the victim has died: whoever locks next meets what the dead has left. */
static void send_after_the_death(world *all) {
    for (uint32_t serial = 1; serial <= 4; serial++)
        CHECK(world_send(all, (world_name){0, serial}, 30000, serial % 2) == MH_OK);
}

/* Two writers and two readers, one of them the victim. Did it die? */
static bool work_with_a_victim(int shape, bool victim_writes, mh_point point, uint32_t passes) {
    world *all = world_of(shape);
    victims_point = point;
    passes_left = passes;
    pid_t first = world_writer(all, victim_writes ? become_the_victim : NULL, NULL);
    pid_t second = world_writer(all, NULL, NULL);
    pid_t reader = world_reader(all, NULL, NULL);
    pid_t other = world_reader(all, victim_writes ? NULL : become_the_victim, NULL);
    int status = victim_writes ? check_ended(first) : 0;
    CHECK(check_ended(second) == 0);
    if (!victim_writes) CHECK(check_ended(first) == 0);
    send_after_the_death(all);
    store_release(&all->ledger->stop, 1);
    CHECK(check_ended(reader) == 0);
    if (victim_writes) CHECK(check_ended(other) == 0);
    else status = check_ended(other);
    CHECK(status == 0 || check_was_killed(status));
    world_verify(all, !victim_writes && status != 0);
    world_end(all);
    return status != 0;
}

static uint32_t deaths[MH_POINT_COUNT];

static void die_at(mh_point point) {
    static const uint32_t passes[] = {1, 2, 9};
    for (int i = 0; i < 3; i++)
        for (int shape = 0; shape < 2; shape++) {
            deaths[point] += work_with_a_victim(shape, true, point, passes[i]);
            deaths[point] += work_with_a_victim(shape, false, point, passes[i]);
        }
}

/* ---- points that need their own scene ---- */

static world *scene;

static void send_small(void *with) {
    (void)with;
    become_the_victim();
    world_send(scene, (world_name){1, 1}, 100, false);
}

static void send_longest(void *with) {
    (void)with;
    become_the_victim();
    world_send(scene, (world_name){2, 1}, 200000, false);
}

static bool dies(void (*body)(void *), mh_point point) {
    victims_point = point;
    passes_left = 1;
    return check_was_killed(check_ended(check_child(body, NULL)));
}

/* One died when the ring was empty and it had sealed the largest level; the next needs just that level, and dies. */
static void die_while_reopening(void) {
    scene = world_of(0);
    scene->lives = 3;
    CHECK(world_send(scene, (world_name){0, 1}, 200000, false) == MH_OK);
    CHECK(world_receive(scene, 0, MH_NO_WAIT) == MH_OK);
    CHECK(dies(send_small, MH_AT_ring_sealed));
    deaths[MH_AT_ring_reopening] += dies(send_longest, MH_AT_ring_reopening);
    CHECK(world_send(scene, (world_name){0, 2}, 200000, false) == MH_OK);
    CHECK(world_receive(scene, 0, MH_NO_WAIT) == MH_OK);
    CHECK(world_send(scene, (world_name){0, 3}, 10, false) == MH_OK);
    world_verify(scene, 0);
    world_end(scene);
}

/* All segments have had an owner and none is free as a whole, so the next who allocates adopts one. */
static void fill_all_segments(void *with) {
    uint32_t block, kept = 0;
    (void)with;
    while (mh_arena_alloc(&scene->arena, UINT64_C(20) << 20, &block) == MH_OK)
        if (kept++ % 2 == 0) mh_arena_fly(&scene->arena, block);
}

static void adopt_one(void *with) {
    uint32_t block;
    (void)with;
    become_the_victim();
    CHECK(mh_arena_alloc(&scene->arena, 1000, &block) == MH_OK);
}

static void die_while_adopting(void) {
    uint32_t block, claimed = 0;
    scene = world_of(0);
    CHECK(check_ended(check_child(fill_all_segments, NULL)) == 0);
    deaths[MH_AT_arena_adopted] += dies(adopt_one, MH_AT_arena_adopted);
    CHECK(mh_arena_alloc(&scene->arena, UINT64_C(100) << 20, &block) == MH_NOMEM); /* that would lie over blocks */
    CHECK(mh_arena_alloc(&scene->arena, 1000, &block) == MH_OK);
    mh_arena_abandon(&scene->arena, block);
    for (block = 0; block < scene->arena.segments * MH_UNITS; block++)
        if (mh_arena_claim(&scene->arena, block)) claimed++, mh_arena_release(&scene->arena, block);
    CHECK(claimed >= scene->arena.segments);
    world_verify(scene, 0);
    world_end(scene);
}

static void use_a_segment(void *with) {
    uint32_t block;
    (void)with;
    CHECK(mh_arena_alloc(&scene->arena, UINT64_C(200) << 20, &block) == MH_OK);
}

static void reclaim(void *with) {
    (void)with;
    become_the_victim();
    mh_arena_reclaim(&scene->arena);
}

/* Who tidies up after the dead dies of it. */
static void die_while_ending_a_lease(void) {
    scene = world_of(0);
    CHECK(check_ended(check_child(use_a_segment, NULL)) == 0);
    deaths[MH_AT_arena_ending] += dies(reclaim, MH_AT_arena_ending);
    world_verify(scene, 0);
    world_end(scene);
}

/* ---- pages: a worker runs a batch, sends its results four at a time, and dies ---- */

#define BATCH 12u
#define SENT_AT_ONCE 4u

typedef struct {
    uint32_t first, count, value[SENT_AT_ONCE];
} sent_results;

static struct {
    mh_page page;
    mh_ring ring;
    uint32_t done; /* so many results are known */
} desk;

static void send_the_scratch(mh_ring *ring, uint32_t first) {
    sent_results sent = {.first = first, .count = mh_page_count(&desk.page)};
    memcpy(sent.value, desk.page.shared->scratch, mh_page_used(&desk.page));
    mh_part part = {&sent, sizeof sent};
    mh_message message = {.kind = 0, .parts = 1, .part = &part};
    CHECK(mh_message_put(ring, &message, NULL, MH_FOREVER, false) == MH_OK);
}

/* The result of an item is ten times its index. */
static void run_the_batch(void *with) {
    mh_ring mine = desk.ring;
    uint32_t index, first = 0;
    (void)with;
    become_the_victim();
    mh_page_empty(&desk.page, 3, 4, 0);
    while (mh_page_claim(&desk.page, 3, 4, &index)) {
        uint32_t value = 10 * index, used = mh_page_used(&desk.page);
        memcpy(desk.page.shared->scratch + used, &value, sizeof value);
        mh_page_filled(&desk.page, used + (uint32_t)sizeof value);
        if (mh_page_count(&desk.page) < SENT_AT_ONCE) continue;
        send_the_scratch(&mine, first);
        first = index + 1;
        mh_page_empty(&desk.page, 3, 4, first);
    }
}

/* Results arrive, by message or by salvage: none is missing before them, and those known already are dropped. */
static void hear(uint32_t first, uint32_t count, const uint32_t *value) {
    CHECK(first <= desk.done);
    for (uint32_t i = 0; i < count; i++) CHECK(value[i] == 10 * (first + i));
    if (first + count > desk.done) desk.done = first + count;
}

static void hear_what_was_sent(void) {
    mh_entry entry;
    while (mh_message_next(&desk.ring, &entry, NULL, MH_NO_WAIT) == MH_OK) {
        sent_results sent;
        CHECK(entry.length == sizeof sent);
        memcpy(&sent, entry.bytes, sizeof sent);
        hear(sent.first, sent.count, sent.value);
        mh_ring_advance(&desk.ring, &entry);
        mh_ring_unlock_read(&desk.ring);
    }
}

/* How many results were in the dead one's scratch. */
static uint32_t salvage(void) {
    uint32_t value[SENT_AT_ONCE * 4];
    mh_finished finished;
    CHECK(mh_page_salvage(&desk.page, (char *)value, &finished) == MH_OK);
    CHECK(finished.count <= SENT_AT_ONCE && finished.used == finished.count * sizeof *value);
    if (finished.count == 0) return 0;
    CHECK(finished.slot == 3 && finished.generation == 4);
    hear(finished.first, finished.count, value);
    return finished.count;
}

static bool is_of_a_page(mh_point point) {
    return point == MH_AT_lease_claimed || point == MH_AT_page_emptied || point == MH_AT_page_filled;
}

/* A worker dies when it passes the point for the n-th time. So many items were begun, and so many results must be
 * known; `in_scratch` of them are in the scratch. What was not begun stays so. */
static void die_at_the_desk(mh_point point, uint32_t passes, uint32_t begun, uint32_t done, uint32_t in_scratch) {
    mh_grant now;
    uint32_t index;
    mh_ring_options options = {0, 1, 8, 4096, 0};
    CHECK(mh_page_create(&desk.page, SENT_AT_ONCE * 16) == MH_OK && mh_ring_create(&desk.ring, &options) == MH_OK);
    desk.done = 0;
    mh_page_grant(&desk.page, 3, 4, BATCH);
    victims_point = point;
    passes_left = passes;
    CHECK(check_was_killed(check_ended(check_child(run_the_batch, NULL))));
    deaths[point] += is_of_a_page(point); /* the others have their world */
    CHECK(mh_page_look(&desk.page, 3).next == begun);
    CHECK(mh_page_cut(&desk.page, 3, 4, false, false, &now) == MH_OK && now.next == begun && now.end == begun);
    CHECK(!mh_page_claim(&desk.page, 3, 4, &index));
    hear_what_was_sent();
    CHECK(salvage() == in_scratch);
    CHECK(desk.done == done && begun - done <= 1); /* one at most died with it */
    mh_page_detach(&desk.page);
    mh_ring_detach(&desk.ring);
}

static void die_while_running_a_batch(void) {
    for (uint32_t n = 1; n <= BATCH; n++) {
        uint32_t unsent = (n - 1) % SENT_AT_ONCE;
        die_at_the_desk(MH_AT_lease_claimed, n, n, n - 1, unsent);
        die_at_the_desk(MH_AT_page_filled, n, n, n, unsent + 1);
    }
    for (uint32_t n = 0; n <= BATCH / SENT_AT_ONCE; n++)
        die_at_the_desk(MH_AT_page_emptied, n + 1, n * SENT_AT_ONCE, n * SENT_AT_ONCE, 0);
    for (uint32_t n = 1; n <= BATCH / SENT_AT_ONCE; n++) { /* sent, and not emptied: they are heard of twice */
        die_at_the_desk(MH_AT_ring_committed, n, n * SENT_AT_ONCE, n * SENT_AT_ONCE, SENT_AT_ONCE);
        die_at_the_desk(MH_AT_ring_published, n, n * SENT_AT_ONCE, n * SENT_AT_ONCE, SENT_AT_ONCE);
    }
}

static bool has_its_scene(mh_point point) {
    return point == MH_AT_ring_reopening || point == MH_AT_arena_adopted || point == MH_AT_arena_ending;
}

static void a_death_at_each_point_harms_nobody_else(void) {
    for (mh_point point = 0; point < MH_POINT_COUNT; point++) {
        if (is_of_a_page(point)) continue; /* in that world there is none */
        check_watch(WATCHDOG_S);
        check_running = mh_point_names[point];
        for (int tries = 0; tries < TRIES && (tries == 0 || (deaths[point] == 0 && !has_its_scene(point))); tries++)
            die_at(point);
    }
    die_while_reopening();
    die_while_adopting();
    die_while_ending_a_lease();
}

static void a_worker_that_dies_leaves_its_page_as_it_must_be(void) { die_while_running_a_batch(); }

static void somebody_died_at_each_point(void) {
    for (mh_point point = 0; point < MH_POINT_COUNT; point++) {
        printf("   %-16s %u deaths\n", mh_point_names[point], deaths[point]);
        check_running = mh_point_names[point];
        CHECK(deaths[point] > 0);
    }
}

int main(void) {
    RUN(a_worker_that_dies_leaves_its_page_as_it_must_be);
    RUN(a_death_at_each_point_harms_nobody_else);
    RUN(somebody_died_at_each_point);
    return 0;
}

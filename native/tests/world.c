/* Writers, readers and their ledger: see world.h. */
#include "world.h"

#include "arena_inside.h"

#define READER_WAITS_NS 10000000u

typedef struct {
    world *all;
    void (*before)(void);
    uint32_t life;
} role;

void world_open(world *all, const mh_ring_options *options) {
    memset(all, 0, sizeof *all);
    all->ledger = check_shared(sizeof *all->ledger);
    all->life = all->ledger->life;
    CHECK(mh_ring_create(&all->ring, options) == MH_OK);
    CHECK(mh_arena_create(&all->arena, UINT64_C(24) << MH_SEGMENT_SHIFT, UINT64_C(64) << 20) == MH_OK);
    all->lives = 1; /* life 0 is the parent's */
}

void world_close(world *all) {
    mh_ring_detach(&all->ring);
    mh_arena_detach(&all->arena);
    munmap(all->ledger, sizeof *all->ledger);
}

/* ---- what a message says ---- */

/* Its name, then bytes that follow from the name. */
static void write_body(char *to, world_name name, uint64_t length) {
    memcpy(to, &name, sizeof name);
    memset(to + sizeof name, (int)(name.life * 31 + name.serial), length - sizeof name);
}

static bool read_body(const char *from, uint64_t length, world_name *name) {
    if (length < sizeof *name) return false;
    memcpy(name, from, sizeof *name);
    if (name->life >= LIVES || name->serial == 0 || name->serial >= SERIALS) return false;
    char byte = (char)(name->life * 31 + name->serial);
    for (uint64_t i = sizeof *name; i < length; i += i < 256 || i + 256 > length ? 1 : 61)
        if (from[i] != byte) return false;
    return true;
}

/* ---- sending ---- */

static mh_status send_inline(world *all, world_name name, uint64_t length) {
    static char body[1 << 20];
    write_body(body, name, length);
    mh_part part = {body, length};
    mh_message message = {.kind = 0, .parts = 1, .part = &part};
    return mh_message_put(&all->ring, &message, &all->arena, MH_FOREVER, name.serial % 2);
}

static mh_status send_parcel(world *all, world_name name, uint64_t length) {
    uint32_t block;
    mh_status status = mh_arena_alloc(&all->arena, length, &block);
    if (status != MH_OK) return status;
    write_body(mh_arena_bytes(&all->arena, block), name, length);
    mh_message message = {.kind = MH_KIND_PARCEL, .parts = 1, .heavy = length, .arena = &all->arena};
    message.parcel = (mh_parcel){.arena = all->arena.shared->id, .length = length, .block = block};
    mh_part part = {&message.parcel, sizeof message.parcel};
    message.part = &part;
    status = mh_message_put(&all->ring, &message, &all->arena, MH_FOREVER, false);
    if (status != MH_OK) mh_arena_abandon(&all->arena, block);
    return status;
}

mh_status world_send(world *all, world_name name, uint64_t length, bool parcel) {
    mh_status status = parcel ? send_parcel(all, name, length) : send_inline(all, name, length);
    if (status == MH_OK) store_release(&all->life[name.life].sent, name.serial);
    return status;
}

/* Mostly small ones, some that need a larger level, some in blocks of one unit to sixteen. */
static mh_status send_some(world *all, world_name name, uint64_t random) {
    uint64_t what = random % 16, size = random >> 8;
    if (what < 9) return world_send(all, name, 8 + size % 300, false);
    if (what < 12) return world_send(all, name, 2000 + size % 18000, false);
    if (what == 12) return world_send(all, name, 70000 + size % 100000, false);
    return world_send(all, name, 20000 + size % 1000000, all->large);
}

static void write_messages(void *with) {
    role *mine = with;
    world *all = mine->all;
    uint64_t random = mine->life * UINT64_C(0x9e3779b97f4a7c15) + 1;
    if (mine->before) mine->before();
    for (uint32_t serial = 1; serial <= all->writes_most && !load_acquire(&all->ledger->stop); serial++) {
        mh_status status = send_some(all, (world_name){mine->life, serial}, check_random(&random));
        CHECK(status == MH_OK);
    }
}

/* ---- receiving ---- */

static void mark_received(world *all, world_life *me, world_name name, uint32_t count) {
    store_relaxed(&all->life[name.life].taken_at[name.serial], count + 1);
    add_acq_rel(&all->life[name.life].got[name.serial], 1);
    store_release(&me->holds, 0);
    add_acq_rel(&all->ledger->received, 1);
}

static void take_parcel(world *all, world_life *me, const mh_entry *entry) {
    mh_parcel parcel;
    world_name name = {0, 0};
    bool fits = mh_parcel_read(entry, &parcel) == MH_OK && mh_parcel_fits(&all->arena, &parcel);
    const char *body = fits ? mh_arena_bytes(&all->arena, parcel.block) : NULL;
    if (!fits || !read_body(body, parcel.length, &name)) add_acq_rel(&all->ledger->wrong, 1);
    store_release(&me->holds, name.life << 16 | name.serial);
    bool claimed = fits && mh_parcel_take(&all->ring, entry, &all->arena, &parcel);
    mh_ring_unlock_read(&all->ring);
    if (!claimed || !read_body(body, parcel.length, &name)) add_acq_rel(&all->ledger->wrong, 1);
    mark_received(all, me, name, entry->count);
    if (claimed) mh_arena_release(&all->arena, parcel.block);
}

mh_status world_receive(world *all, uint32_t who, uint64_t deadline) {
    mh_entry entry;
    world_name name = {0, 0};
    world_life *me = &all->life[who];
    mh_status status = mh_message_next(&all->ring, &entry, &all->arena, deadline);
    if (status != MH_OK) return status;
    if (entry.kind & MH_KIND_PARCEL) return take_parcel(all, me, &entry), MH_OK;
    if (!read_body(entry.bytes, entry.length, &name)) add_acq_rel(&all->ledger->wrong, 1);
    store_release(&me->holds, name.life << 16 | name.serial);
    mh_ring_advance(&all->ring, &entry);
    mh_ring_unlock_read(&all->ring);
    mark_received(all, me, name, entry.count);
    return MH_OK;
}

static void read_messages(void *with) {
    role *mine = with;
    if (mine->before) mine->before();
    CHECK(mh_arena_ready(&mine->all->arena) == MH_OK);
    for (;;) {
        mh_status status = world_receive(mine->all, mine->life, mh_now_ns() + READER_WAITS_NS);
        CHECK(status == MH_OK || status == MH_TIMEOUT);
        if (status == MH_TIMEOUT && load_acquire(&mine->all->ledger->stop) && mh_ring_unread(&mine->all->ring) == 0) return;
    }
}

static pid_t start(world *all, void (*body)(void *), void (*before)(void), uint32_t *life) {
    role mine = {all, before, all->lives++};
    CHECK(mine.life < LIVES);
    if (life) *life = mine.life;
    return check_child(body, &mine);
}

pid_t world_writer(world *all, void (*before)(void), uint32_t *life) { return start(all, write_messages, before, life); }
pid_t world_reader(world *all, void (*before)(void), uint32_t *life) { return start(all, read_messages, before, life); }

static void print_lock(const char *name, const mh_lock *lock) {
    fprintf(stderr, "    %s: word %#x (owner %u), %u waiters\n", name, load_relaxed(&lock->word),
            load_relaxed(&lock->word) & 0x3fffffff, load_relaxed(&lock->waiters));
}

void world_print(const world *all) {
    const mh_ring_header *at = all->ring.shared;
    fprintf(stderr, "    process %d: head %#x, tail %#x, read level %u, write level %u\n", getpid(),
            load_relaxed(&at->head.word), load_relaxed(&at->tail.word), load_relaxed(&at->read_level),
            load_relaxed(&at->write_level));
    for (uint32_t i = 0; i < all->ring.levels; i++)
        fprintf(stderr, "    level %u: base %u, end %u, next %u, sealed %u\n", i, load_relaxed(&at->level[i].base),
                load_relaxed(&at->level[i].end), load_relaxed(&at->level[i].next), load_relaxed(&at->level[i].sealed));
    print_lock("write lock", &at->write_lock);
    print_lock("read lock", &at->read_lock);
    print_lock("arena's lock", &all->arena.shared->lock);
}

/* ---- the reckoning ---- */

static bool in_dead_hands(const world *all, uint32_t life, uint32_t serial) {
    for (uint32_t i = 0; i < all->lives; i++)
        if (load_relaxed(&all->life[i].holds) == (life << 16 | serial)) return true;
    return false;
}

static bool message_is_right(world *all, uint32_t life, uint32_t serial) {
    uint32_t got = load_relaxed(&all->life[life].got[serial]), sent = load_relaxed(&all->life[life].sent);
    if (got == 1) return serial <= sent + 1;
    return got == 0 && (serial > sent || in_dead_hands(all, life, serial));
}

static bool order_is_right(const world_life *life) {
    uint32_t before = 0;
    for (uint32_t serial = 1; serial < SERIALS; serial++) {
        uint32_t at = load_relaxed(&life->taken_at[serial]);
        if (at == 0) continue;
        if (at <= before) return false;
        before = at;
    }
    return true;
}

static void verify_messages(world *all) {
    for (uint32_t life = 0; life < all->lives; life++) {
        if (load_relaxed(&all->life[life].sent) == 0 && load_relaxed(&all->life[life].got[1]) == 0) continue;
        CHECK(order_is_right(&all->life[life]));
        for (uint32_t serial = 1; serial < SERIALS; serial++)
            if (!message_is_right(all, life, serial)) {
                fprintf(stderr, "life %u, message %u: received %u times; its writer had sent %u\n", life, serial,
                        load_relaxed(&all->life[life].got[serial]), load_relaxed(&all->life[life].sent));
                CHECK(!"each message is received once");
            }
    }
}

/* Where nobody lives any more nobody owns anything. */
static void verify_arena(mh_arena *arena) {
    mh_arena_statistics now;
    mh_arena_reclaim(arena);
    mh_arena_look(arena, &now);
    CHECK(now.blocks == 0);
    for (uint32_t i = 0; i < arena->segments; i++) {
        uint32_t owner = load_relaxed(&mh_segments(arena)[i].owner);
        CHECK(owner == 0 || owner == arena->who);
    }
    for (uint32_t i = 0; i < arena->segments * MH_UNITS; i++)
        if (load_relaxed(&mh_units(arena)[i].state) != FREE) {
            fprintf(stderr, "block %u has state %x\n", i, load_relaxed(&mh_units(arena)[i].state));
            CHECK(!"no block is lost");
        }
}

void world_verify(world *all, uint32_t dead_readers) {
    uint32_t in_hands = 0;
    CHECK(mh_arena_ready(&all->arena) == MH_OK);
    mh_status status;
    while ((status = world_receive(all, 0, MH_NO_WAIT)) == MH_OK) continue;
    CHECK(status == MH_AGAIN);
    for (uint32_t i = 0; i < all->lives; i++) in_hands += load_relaxed(&all->life[i].holds) != 0;
    CHECK(in_hands <= dead_readers);
    CHECK(load_relaxed(&all->ledger->wrong) == 0);
    CHECK(mh_ring_check(&all->ring) == MH_OK && mh_ring_unread(&all->ring) == 0);
    verify_messages(all);
    verify_arena(&all->arena);
}

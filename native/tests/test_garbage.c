/* Rings, arenas and pages that hold what they should not: every call must come back with a status.
 *
 *   MH_SEED     the random numbers
 *   MH_ROUNDS   how many mutated files of each sort, instead of 3,000
 *
 * The words of the locks are spared most of the time: one that names a living stranger is a lock that is held, and a
 * call that does not want to wait gives its holder a moment. The arena's lock is spared always: it is waited for.
 */
#include "check.h"

#include <fcntl.h>

#include "arena_inside.h"
#include "message.h"
#include "page.h"
#include "ring_inside.h"

#define ROUNDS 3000u

static uint64_t seed;

static uint64_t any(uint64_t below) { return check_random(&seed) % below; }

static uint32_t rounds_wanted(void) {
    const char *given = getenv("MH_ROUNDS");
    return given ? (uint32_t)strtoul(given, NULL, 10) : ROUNDS;
}

/* Values that break arithmetic more often than others do. */
static uint32_t nasty(uint32_t before) {
    switch (any(9)) {
    case 0: return (uint32_t)check_random(&seed);
    case 1: return (uint32_t)any(10);
    case 2: return UINT32_MAX - (uint32_t)any(3);
    case 3: return 0x7fffffffu + (uint32_t)any(3);
    case 4: return 1u << any(32);
    case 5: return before + 1;
    case 6: return before - 1;
    case 7: return before ^ 1u << any(32);
    default: return before * 2;
    }
}

static int sealed_file(const void *bytes, uint64_t length, uint64_t size, int seals) {
    int fd = memfd_create("garbage", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    CHECK(fd >= 0 && ftruncate(fd, (off_t)size) == 0);
    CHECK(pwrite(fd, bytes, length < size ? length : size, 0) >= 0);
    CHECK(fcntl(fd, F_ADD_SEALS, seals) == 0);
    return fd;
}

/* ---- rings ---- */

static mh_status put(mh_ring *ring, uint32_t length) {
    static char bytes[1 << 20];
    mh_part part = {bytes, length};
    mh_message message = {.kind = 0, .parts = 1, .part = &part, .heavy = any(3)};
    return mh_message_put(ring, &message, NULL, MH_NO_WAIT, any(2));
}

/* Both ends of what the entry says are its bytes. */
static void look_at(const mh_entry *entry) {
    volatile char sum = 0;
    for (uint64_t i = 0; i < entry->length && i < 8192; i++) sum += entry->bytes[i] + entry->bytes[entry->length - 1 - i];
}

static mh_status take(mh_ring *ring) {
    mh_entry entry;
    mh_status status = mh_message_next(ring, &entry, NULL, MH_NO_WAIT);
    if (status != MH_OK) return status;
    look_at(&entry);
    mh_ring_advance(ring, &entry);
    mh_ring_unlock_read(ring);
    return status;
}

/* A ring with a history and unread entries in several levels, as the bytes of its file. */
static uint64_t worn_ring(char **bytes) {
    mh_ring ring;
    mh_ring_options options = {0, 4, 8, 4096, 100};
    CHECK(mh_ring_create(&ring, &options) == MH_OK);
    for (int i = 0; i < 40; i++) CHECK(put(&ring, (uint32_t)any(i % 7 ? 900 : 20000)) != MH_CORRUPT);
    for (uint64_t i = any(30); i > 0; i--) take(&ring);
    off_t size = lseek(ring.fd, 0, SEEK_END);
    CHECK(size > 0 && (*bytes = malloc((size_t)size)) != NULL);
    CHECK(pread(ring.fd, *bytes, (size_t)size, 0) == size);
    mh_ring_detach(&ring);
    return (uint64_t)size;
}

/* Everything one may ask of a ring, in any state. Only MH_CORRUPT and its sisters may come out, and soon. */
static void ask_everything(mh_ring *ring) {
    for (int i = 0; i < 6; i++) {
        mh_ring_unread(ring);
        mh_ring_check(ring);
        if (any(2)) put(ring, (uint32_t)any(any(4) ? 500 : 300000));
        if (any(2) && take(ring) == MH_TIMEOUT) return;
    }
    mh_ring_done(ring, MH_NO_WAIT);
    mh_ring_join(ring, MH_NO_WAIT);
}

static bool is_of_a_lock(uint64_t offset) {
    static const uint64_t locks[] = {offsetof(mh_ring_header, write_lock), offsetof(mh_ring_header, read_lock),
                                     offsetof(mh_ring_header, done_lock), offsetof(mh_ring_header, join_lock)};
    for (int i = 0; i < 4; i++)
        if (offset >= locks[i] && offset < locks[i] + sizeof(mh_lock)) return true;
    return false;
}

static uint64_t word_of_a_header(void) {
    uint64_t at = any(2) ? any(sizeof(mh_ring_header)) : offsetof(mh_ring_header, level) + any(4 * sizeof(mh_level));
    at &= ~UINT64_C(3);
    return is_of_a_lock(at) && any(40) ? offsetof(mh_ring_header, tail) : at;
}

/* A word of the header, of the first slots, or of anything else. */
static uint64_t word_of_a_ring(uint64_t size) {
    switch (any(4)) {
    case 0: return (4096 + any(8 * sizeof(mh_slot))) & ~UINT64_C(3);
    case 1: return 4096 + (any(size - 4096) & ~UINT64_C(3));
    default: return word_of_a_header();
    }
}

static void mutate(char *bytes, uint64_t at) {
    uint32_t word;
    memcpy(&word, bytes + at, sizeof word);
    word = nasty(word);
    memcpy(bytes + at, &word, sizeof word);
}

static void a_ring_with_mutated_words_answers(void) {
    uint32_t attached = 0;
    for (uint32_t round = 0; round < rounds_wanted(); round++) {
        char *bytes;
        mh_ring ring;
        uint64_t size = worn_ring(&bytes);
        for (uint64_t i = 1 + any(6); i > 0; i--) mutate(bytes, word_of_a_ring(size));
        int fd = sealed_file(bytes, size, size, F_SEAL_SHRINK);
        free(bytes);
        mh_status status = mh_ring_attach(&ring, fd);
        CHECK(status == MH_OK || status == MH_CORRUPT || status == MH_NOMEM);
        if (status == MH_OK) attached++, ask_everything(&ring), mh_ring_detach(&ring);
        else close(fd);
        if (round % 64 == 0) check_watch(WATCHDOG_S);
    }
    CHECK(attached > 0);
}

/* A neighbour overwrites the header while it is mapped here. */
static void a_ring_that_is_overwritten_in_use_answers(void) {
    for (uint32_t round = 0; round < rounds_wanted() / 3; round++) {
        mh_ring ring;
        mh_ring_options options = {0, 1 + (uint32_t)any(8), 8, 4096, 0};
        CHECK(mh_ring_create(&ring, &options) == MH_OK);
        for (int i = 0; i < 8; i++) {
            ask_everything(&ring);
            mutate((char *)ring.shared, word_of_a_header());
        }
        mh_ring_detach(&ring);
        if (round % 64 == 0) check_watch(WATCHDOG_S);
    }
}

static void levels_that_follow_each_other_in_a_circle_are_refused(void) {
    mh_ring ring;
    mh_ring_options options = {0, 4, 8, 4096, 0};
    CHECK(mh_ring_create(&ring, &options) == MH_OK);
    CHECK(put(&ring, 10) == MH_OK);
    for (uint32_t i = 0; i < 4; i++) {
        store_relaxed(&ring.shared->level[i].next, (i + 1) % 4);
        store_relaxed(&ring.shared->level[i].sealed, 1);
    }
    CHECK(mh_ring_check(&ring) == MH_CORRUPT && take(&ring) == MH_CORRUPT);
    put(&ring, 100000);
    mh_ring_detach(&ring);
}

static void a_slot_with_an_absurd_place_is_refused(void) {
    static const uint64_t absurd[] = {4097, UINT64_MAX, UINT64_MAX - 7, UINT64_C(1) << 63, 4096};
    for (size_t i = 0; i < sizeof absurd / sizeof *absurd; i++) {
        mh_ring ring;
        char *base;
        mh_ring_options options = {0, 1, 8, 4096, 0};
        CHECK(mh_ring_create(&ring, &options) == MH_OK && put(&ring, 10) == MH_OK);
        CHECK(mh_ring_map_level(&ring, 0, &base) == MH_OK);
        *(i % 2 ? &mh_ring_slots(base)->offset : &mh_ring_slots(base)->length) = absurd[i];
        put(&ring, 10);
        CHECK(take(&ring) == (i == 4 ? MH_OK : MH_CORRUPT));
        mh_ring_detach(&ring);
    }
}

/* ---- files that are neither ---- */

static void refuse(int fd) {
    mh_ring ring;
    mh_arena arena;
    CHECK(fd >= 0);
    CHECK(mh_ring_attach(&ring, fd) == MH_CORRUPT);
    CHECK(mh_arena_attach(&arena, fd, 0) == MH_CORRUPT);
    CHECK(close(fd) == 0); /* it was not taken over */
}

static void files_that_are_no_ring_and_no_arena_are_refused(void) {
    int ends[2];
    char *ring;
    uint64_t size = worn_ring(&ring);
    refuse(sealed_file(ring, size, size, 0));
    refuse(open("/proc/self/exe", O_RDONLY));
    refuse(open("/dev/null", O_RDWR));
    CHECK(pipe(ends) == 0);
    refuse(ends[0]);
    refuse(ends[1]);
    mh_ring none;
    CHECK(mh_ring_attach(&none, -1) == MH_CORRUPT);
    free(ring);
}

static void cut_off_rings_are_refused_or_answer(void) {
    char *bytes;
    uint64_t size = worn_ring(&bytes);
    for (uint64_t length = 0; length <= size; length += length < 16384 ? 512 : 8192) {
        mh_ring ring;
        int fd = sealed_file(bytes, size, length, F_SEAL_SHRINK);
        mh_status status = mh_ring_attach(&ring, fd);
        CHECK(status == MH_OK || status == MH_CORRUPT);
        if (status == MH_OK) ask_everything(&ring), mh_ring_detach(&ring);
        else close(fd);
    }
    free(bytes);
}

static void random_bytes_are_refused(void) {
    static _Alignas(128) uint64_t bytes[16384];
    for (uint32_t round = 0; round < rounds_wanted() / 3; round++) {
        for (size_t i = 0; i < 16384; i++) bytes[i] = check_random(&seed);
        mh_ring_header *header = (mh_ring_header *)bytes;
        if (any(2)) *header = (mh_ring_header){.magic = MH_RING_MAGIC, .version = 1, .levels = (uint32_t)any(300)};
        refuse(sealed_file(bytes, sizeof bytes, any(sizeof bytes), F_SEAL_SHRINK));
        mh_arena_header *arena = (mh_arena_header *)bytes;
        arena->magic = MH_ARENA_MAGIC;
        arena->version = MH_ARENA_VERSION;
        refuse(sealed_file(bytes, sizeof bytes, 65536 + any(1 << 20), F_SEAL_SHRINK));
    }
}

/* ---- arenas ---- */

static void ask_everything_of_an_arena(mh_arena *arena) {
    mh_arena_statistics now;
    uint32_t block;
    for (int i = 0; i < 6; i++) {
        uint32_t any_block = (uint32_t)any(arena->segments * MH_UNITS);
        if (mh_arena_alloc(arena, any(4) ? any(300000) : any(UINT64_C(200) << 20), &block) == MH_OK) {
            CHECK(mh_arena_room(arena, block) > 0);
            mh_arena_bytes(arena, block)[0] = 1;
            if (any(2)) mh_arena_abandon(arena, block);
            else if (any(2)) mh_arena_share(arena, block), mh_arena_drop(arena, block);
        }
        if (mh_arena_claim(arena, any_block)) mh_arena_release(arena, any_block);
        if (mh_arena_is_shared(arena, any_block) && mh_arena_hold(arena, any_block) == MH_OK) mh_arena_drop(arena, any_block);
        mh_arena_room(arena, nasty(any_block));
    }
    mh_arena_look(arena, &now);
    mh_arena_reclaim(arena);
    mh_arena_trim(arena);
}

static void mutate_an_arena(mh_arena *arena) {
    char *bytes = (char *)arena->shared;
    uint64_t units = (uint64_t)((char *)mh_units(arena) - bytes), segments = (uint64_t)((char *)mh_segments(arena) - bytes);
    uint64_t at;
    switch (any(5)) {
    case 0: at = any(offsetof(mh_arena_header, lock)); break;
    case 1: at = offsetof(mh_arena_header, process) + any(8 * sizeof(mh_process_slot)); break;
    case 2: at = segments + any(arena->segments * sizeof(mh_segment)); break;
    case 3: at = units + any(64 * sizeof(mh_unit)); break;
    default: at = units + any(arena->segments * MH_UNITS * sizeof(mh_unit));
    }
    mutate(bytes, at & ~UINT64_C(3));
}

static void an_arena_with_mutated_words_answers(void) {
    for (uint32_t round = 0; round < rounds_wanted() / 6; round++) {
        mh_arena arena, other;
        uint32_t block;
        CHECK(mh_arena_create(&arena, UINT64_C(4) << MH_SEGMENT_SHIFT, UINT64_C(1) << 20) == MH_OK);
        for (int i = 0; i < 20; i++)
            if (mh_arena_alloc(&arena, 1 + any(500000), &block) == MH_OK && any(2)) mh_arena_fly(&arena, block);
        for (uint64_t i = any(8); i > 0; i--) mutate_an_arena(&arena);
        int fd = dup(arena.fd);
        mh_status status = mh_arena_attach(&other, fd, 0);
        CHECK(status == MH_OK || status == MH_CORRUPT);
        if (status == MH_OK) ask_everything_of_an_arena(&other), mh_arena_detach(&other);
        else close(fd);
        ask_everything_of_an_arena(&arena);
        mutate_an_arena(&arena);
        ask_everything_of_an_arena(&arena);
        mh_arena_detach(&arena);
        if (round % 64 == 0) check_watch(WATCHDOG_S);
    }
}

static void cut_off_arenas_are_refused(void) {
    mh_arena arena, other;
    CHECK(mh_arena_create(&arena, 1, 0) == MH_OK);
    for (uint64_t size = 0; size < arena.size; size = size * 2 + 4096) {
        int fd = sealed_file(arena.shared, 1 << 20, size, F_SEAL_SHRINK);
        CHECK(mh_arena_attach(&other, fd, 0) == MH_CORRUPT);
        close(fd);
    }
    mh_arena_detach(&arena);
}

/* ---- pages ---- */

#define PAGE_BYTES 500u

/* Everything that either side may ask of a page, in any state. */
static void ask_everything_of_a_page(mh_page *page) {
    char *copy = malloc(page->scratch_bytes); /* of just that size: an address sanitizer sees one byte more */
    mh_finished finished;
    mh_grant now;
    uint32_t index;
    CHECK(copy != NULL);
    for (int i = 0; i < 8; i++) {
        uint32_t slot = (uint32_t)any(MH_LEASES), generation = mh_page_look(page, slot).generation;
        if (any(4) == 0) generation = nasty(generation);
        mh_status status = mh_page_cut(page, slot, generation, any(2), any(2), &now);
        CHECK(status == MH_OK || status == MH_AGAIN);
        CHECK(now.generation <= 0xffff && now.next <= MH_LEASE_ITEMS_MOST && now.end <= MH_LEASE_ITEMS_MOST);
        if (mh_page_claim(page, slot, generation, &index)) CHECK(index < MH_LEASE_ITEMS_MOST);
        status = mh_page_salvage(page, copy, &finished);
        CHECK(status == MH_OK || status == MH_CORRUPT);
        if (status == MH_OK) CHECK(finished.used <= page->scratch_bytes && finished.slot < MH_LEASES);
        if (any(4) == 0) mh_page_empty(page, nasty(slot), nasty(generation), nasty(0));
        if (any(4) == 0) mh_page_filled(page, nasty(mh_page_used(page)));
        if (any(4) == 0) mh_page_grant(page, slot, generation, (uint32_t)any(MH_LEASE_ITEMS_MOST + 1));
    }
    free(copy);
}

static void a_page_of_random_words_answers(void) {
    for (uint32_t round = 0; round < rounds_wanted(); round++) {
        mh_page page, other;
        CHECK(mh_page_create(&page, PAGE_BYTES) == MH_OK);
        ask_everything_of_a_page(&page);
        uint64_t *words = (uint64_t *)page.shared, most = any(2) ? 8 : sizeof(mh_page_shared) / 8;
        for (uint64_t i = 2; i < sizeof(mh_page_shared) / 8; i++)
            if (any(most) == 0) words[i] = any(2) ? check_random(&seed) : nasty((uint32_t)words[i]);
        ask_everything_of_a_page(&page);
        int fd = dup(page.fd);
        if (any(2)) mutate((char *)page.shared, any(4) * 4); /* its head */
        mh_status status = mh_page_attach(&other, fd);
        CHECK(status == MH_OK || status == MH_CORRUPT);
        if (status == MH_OK) ask_everything_of_a_page(&other), mh_page_detach(&other);
        else close(fd);
        ask_everything_of_a_page(&page); /* it goes by what it saw when it was made */
        mh_page_detach(&page);
    }
}

static void files_that_are_no_page_are_refused(void) {
    static uint64_t bytes[512];
    for (uint32_t round = 0; round < rounds_wanted() / 3; round++) {
        mh_page page;
        uint64_t size = any(sizeof bytes);
        for (size_t i = 0; i < 512; i++) bytes[i] = check_random(&seed);
        if (any(2)) bytes[0] = MH_PAGE_MAGIC;
        if (any(2)) bytes[1] = nasty(PAGE_BYTES);
        int fd = sealed_file(bytes, sizeof bytes, size, any(4) ? F_SEAL_SHRINK : 0);
        mh_status status = mh_page_attach(&page, fd);
        CHECK(status == MH_OK || status == MH_CORRUPT);
        CHECK(status != MH_OK || page.scratch_bytes <= size);
        if (status == MH_OK) ask_everything_of_a_page(&page), mh_page_detach(&page);
        else close(fd);
    }
}

int main(void) {
    seed = check_seed(1);
    RUN(files_that_are_no_ring_and_no_arena_are_refused);
    RUN(cut_off_rings_are_refused_or_answer);
    RUN(cut_off_arenas_are_refused);
    RUN(random_bytes_are_refused);
    RUN(levels_that_follow_each_other_in_a_circle_are_refused);
    RUN(a_slot_with_an_absurd_place_is_refused);
    RUN(a_ring_with_mutated_words_answers);
    RUN(a_ring_that_is_overwritten_in_use_answers);
    RUN(an_arena_with_mutated_words_answers);
    RUN(a_page_of_random_words_answers);
    RUN(files_that_are_no_page_are_refused);
    return 0;
}

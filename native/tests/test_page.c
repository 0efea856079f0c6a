/* The pages of page.h by themselves: leases that both sides change at once, and a scratch that is read while it is
 * written. What a death leaves is in test_kill.c.
 */
#include "check.h"
#include "page.h"
#include "park.h"

#include <fcntl.h>

#define SCRATCH 65536u
#define STORM_NS 400000000u

static mh_page fresh(uint64_t scratch_bytes) {
    mh_page page;
    CHECK(mh_page_create(&page, scratch_bytes) == MH_OK);
    return page;
}

/* A second hold, as the worker has one. */
static mh_page another(const mh_page *page) {
    mh_page other;
    CHECK(mh_page_attach(&other, dup(page->fd)) == MH_OK);
    return other;
}

/* ---- the file ---- */

static void both_sides_see_the_same_page(void) {
    mh_page owner = fresh(100), worker = another(&owner);
    uint32_t index = 7;
    CHECK(worker.scratch_bytes == 100);
    mh_page_grant(&owner, 15, 3, 2);
    CHECK(mh_page_claim(&worker, 15, 3, &index) && index == 0);
    CHECK(mh_page_look(&owner, 15).next == 1);
    mh_page_detach(&owner);
    CHECK(mh_page_claim(&worker, 15, 3, &index) && index == 1);
    mh_page_detach(&worker);
    mh_page_detach(&worker);
    CHECK(worker.shared == NULL && worker.fd == -1);
}

static void a_size_that_cannot_be_is_refused(void) {
    static const uint64_t absurd[] = {0, (UINT64_C(1) << 30) + 1, UINT64_C(1) << 40, UINT64_MAX};
    mh_page page;
    for (size_t i = 0; i < sizeof absurd / sizeof *absurd; i++) {
        CHECK(mh_page_create(&page, absurd[i]) == MH_TOO_BIG);
        CHECK(page.fd == -1 && page.shared == NULL);
    }
}

static void refuse(int fd) {
    mh_page page;
    CHECK(fd >= 0);
    CHECK(mh_page_attach(&page, fd) == MH_CORRUPT);
    CHECK(page.shared == NULL && fcntl(fd, F_GETFD) >= 0); /* it was not taken over */
    CHECK(close(fd) == 0);
}

/* A file that begins as this page does, but for one thing. */
static int file_like(const mh_page *page, uint64_t magic, uint64_t scratch_bytes, uint64_t size, int seals) {
    uint64_t head[2] = {magic, scratch_bytes};
    int fd = memfd_create("no page", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    CHECK(fd >= 0 && ftruncate(fd, (off_t)size) == 0);
    CHECK(pwrite(fd, head, size < sizeof head ? size : sizeof head, 0) >= 0);
    CHECK(fcntl(fd, F_ADD_SEALS, seals) == 0);
    (void)page;
    return fd;
}

static void what_is_no_page_is_refused_and_stays_open(void) {
    mh_page page = fresh(1000), none;
    uint64_t size = sizeof(mh_page_shared) + 1000;
    int ends[2];
    CHECK(mh_page_attach(&none, file_like(&page, MH_PAGE_MAGIC, 1000, size, F_SEAL_SHRINK)) == MH_OK);
    mh_page_detach(&none);
    refuse(file_like(&page, MH_PAGE_MAGIC, 1000, size, 0));
    refuse(file_like(&page, MH_PAGE_MAGIC + 1, 1000, size, F_SEAL_SHRINK));
    refuse(file_like(&page, MH_PAGE_MAGIC, 1001, size, F_SEAL_SHRINK));
    refuse(file_like(&page, MH_PAGE_MAGIC, 0, size, F_SEAL_SHRINK));
    refuse(file_like(&page, MH_PAGE_MAGIC, UINT64_MAX - sizeof(mh_page_shared), size, F_SEAL_SHRINK));
    refuse(file_like(&page, MH_PAGE_MAGIC, 1000, size - 1, F_SEAL_SHRINK));
    refuse(file_like(&page, MH_PAGE_MAGIC, 1000, 12, F_SEAL_SHRINK));
    refuse(file_like(&page, MH_PAGE_MAGIC, 1000, 0, F_SEAL_SHRINK));
    refuse(open("/proc/self/exe", O_RDONLY));
    refuse(open("/dev/null", O_RDWR));
    CHECK(pipe(ends) == 0);
    refuse(ends[0]);
    refuse(ends[1]);
    CHECK(mh_page_attach(&none, -1) == MH_CORRUPT);
    mh_page_detach(&page);
}

/* ---- leases ---- */

static void begin(mh_page *page, uint32_t slot, uint32_t generation, uint32_t times) {
    uint32_t index;
    for (uint32_t i = 0; i < times; i++) CHECK(mh_page_claim(page, slot, generation, &index) && index == i);
}

/* Of `count` items `begun` are begun, then all, half, or only an untouched batch is taken back. */
static void cut_once(uint32_t count, uint32_t begun, bool half, bool whole) {
    mh_page page = fresh(1);
    mh_grant now;
    uint32_t index, left = count - begun, end = begun + (half ? left / 2 : 0);
    if (whole && begun > 0) end = count;
    mh_page_grant(&page, 5, 77, count);
    begin(&page, 5, 77, begun);
    CHECK(mh_page_cut(&page, 5, 77, half, whole, &now) == MH_OK);
    CHECK(now.generation == 77 && now.next == begun && now.end == end);
    mh_grant seen = mh_page_look(&page, 5);
    CHECK(seen.generation == 77 && seen.next == begun && seen.end == end);
    for (uint32_t i = begun; i < end; i++) CHECK(mh_page_claim(&page, 5, 77, &index) && index == i);
    CHECK(!mh_page_claim(&page, 5, 77, &index));
    CHECK(mh_page_cut(&page, 5, 77, half, whole, &now) == MH_OK && now.next == end && now.end == end);
    mh_page_detach(&page);
}

static void a_cut_takes_back_what_was_not_begun_or_half_of_it_or_nothing(void) {
    for (uint32_t count = 0; count <= 6; count++)
        for (uint32_t begun = 0; begun <= count; begun++)
            for (int how = 0; how < 4; how++) cut_once(count, begun, how & 1, how & 2);
}

static void another_generation_is_neither_claimed_nor_cut(void) {
    mh_page page = fresh(1);
    mh_grant now;
    uint32_t index = 99;
    mh_page_grant(&page, 2, 0xffff, 4);
    begin(&page, 2, 0xffff, 1);
    CHECK(!mh_page_claim(&page, 2, 0, &index) && !mh_page_claim(&page, 2, 0x1ffff, &index) && index == 99);
    CHECK(mh_page_cut(&page, 2, 0, false, false, &now) == MH_AGAIN);
    CHECK(now.generation == 0xffff && now.next == 1 && now.end == 4);
    CHECK(mh_page_look(&page, 2).end == 4);
    mh_page_grant(&page, 2, 0, 1);
    CHECK(!mh_page_claim(&page, 2, 0xffff, &index) && mh_page_claim(&page, 2, 0, &index) && index == 0);
    mh_page_detach(&page);
}

static void a_slot_that_was_never_granted_gives_nothing(void) {
    mh_page page = fresh(1);
    uint32_t index;
    for (uint32_t slot = 0; slot < MH_LEASES; slot++) {
        CHECK(!mh_page_claim(&page, slot, 0, &index));
        CHECK(mh_page_look(&page, slot).end == 0);
    }
    mh_page_detach(&page);
}

static void slots_do_not_touch_each_other(void) {
    mh_page page = fresh(1);
    mh_grant now;
    for (uint32_t slot = 0; slot < MH_LEASES; slot++) mh_page_grant(&page, slot, slot, slot + 1);
    for (uint32_t slot = 0; slot < MH_LEASES; slot += 2) CHECK(mh_page_cut(&page, slot, slot, false, false, &now) == MH_OK);
    for (uint32_t slot = 0; slot < MH_LEASES; slot++) {
        now = mh_page_look(&page, slot);
        CHECK(now.generation == slot && now.next == 0 && now.end == (slot % 2 ? slot + 1 : 0));
    }
    mh_page_detach(&page);
}

static void the_largest_batch_fits_into_its_word(void) {
    mh_page page = fresh(1);
    mh_grant now;
    uint32_t index;
    mh_page_grant(&page, 0, 0xffff, MH_LEASE_ITEMS_MOST);
    begin(&page, 0, 0xffff, 3);
    CHECK(mh_page_cut(&page, 0, 0xffff, true, false, &now) == MH_OK);
    CHECK(now.generation == 0xffff && now.next == 3 && now.end == 3 + (MH_LEASE_ITEMS_MOST - 3) / 2);
    store64_relaxed(&page.shared->lease[0], UINT64_C(0xffff) << 48 | UINT64_C(0xfffffe) << 24 | 0xffffff);
    CHECK(mh_page_claim(&page, 0, 0xffff, &index) && index == 0xfffffe);
    CHECK(!mh_page_claim(&page, 0, 0xffff, &index) && mh_page_look(&page, 0).next == 0xffffff);
    mh_page_detach(&page);
}

/* ---- a storm of claims and cuts ---- */

#define ITEMS_MOST 64u

typedef struct {
    mh_page page;                                        /* the owner's hold */
    mh_atomic32 round, done, begun[ITEMS_MOST];          /* rounds offered, and ended by the worker */
    mh_atomic32 stop;
} storm;

static uint32_t slot_of(uint32_t round) { return round % MH_LEASES; }
static uint32_t generation_of(uint32_t round) { return round / MH_LEASES & 0xffff; }

static void claim_all(storm *all, mh_page *page, uint32_t round, uint64_t *random) {
    uint32_t index;
    while (mh_page_claim(page, slot_of(round), generation_of(round), &index)) {
        CHECK(index < ITEMS_MOST);
        add_acq_rel(&all->begun[index], 1);
        for (uint64_t i = check_random(random) % 40; i > 0; i--) cpu_relax();
    }
}

static void work_through_the_storm(void *with) {
    storm *all = with;
    mh_page mine = another(&all->page);
#ifdef __SANITIZE_THREAD__ /* it sees no order through two mappings */
    mh_page_detach(&mine);
    mine = all->page;
#endif
    uint64_t random = 7;
    for (uint32_t round = 1;; round++) {
        while (load_acquire(&all->round) != round) {
            if (load_acquire(&all->stop)) return;
            sched_yield();
        }
        claim_all(all, &mine, round, &random);
        store_release(&all->done, round);
    }
}

static void *work_as_a_thread(void *with) {
    work_through_the_storm(with);
    return NULL;
}

/* Take back at random, until the worker has ended; how often each item came back. */
static void cut_at_random(storm *all, uint32_t round, uint32_t count, uint32_t *taken, uint64_t *random) {
    mh_grant now;
    uint32_t end = count;
    for (bool last = false; !last;) {
        last = load_acquire(&all->done) == round;
        uint64_t dice = check_random(random);
        for (uint64_t i = dice % 200; i > 0; i--) cpu_relax();
        bool half = !last && dice >> 8 & 1, whole = !last && (dice >> 9 & 7) == 0;
        CHECK(mh_page_cut(&all->page, slot_of(round), generation_of(round), half, whole, &now) == MH_OK);
        CHECK(now.next <= now.end && now.end <= end);
        while (end > now.end) taken[--end]++;
        if (!last && (dice >> 16 & 3) == 0) sched_yield();
    }
    CHECK(now.next == now.end);
}

/* How many items were taken back. */
static uint32_t one_round(storm *all, uint32_t round, uint64_t *random) {
    uint32_t taken[ITEMS_MOST] = {0}, back = 0, count = (uint32_t)(check_random(random) % (ITEMS_MOST + 1));
    for (uint32_t i = 0; i < ITEMS_MOST; i++) store_relaxed(&all->begun[i], 0);
    mh_page_grant(&all->page, slot_of(round), generation_of(round), count);
    store_release(&all->round, round);
    cut_at_random(all, round, count, taken, random);
    for (uint32_t i = 0; i < ITEMS_MOST; i++) {
        uint32_t begun = load_acquire(&all->begun[i]);
        CHECK(i < count ? begun + taken[i] == 1 : begun + taken[i] == 0); /* never both, never neither */
        back += taken[i];
    }
    return back;
}

static void rage(storm *all) {
    uint64_t random = check_seed(mh_now_ns()), end = mh_now_ns() + STORM_NS, back = 0;
    uint32_t round = 1;
    for (; round < 200 || mh_now_ns() < end; round++) back += one_round(all, round, &random);
    store_release(&all->stop, 1);
    printf("   %u rounds, %llu items taken back\n", round, (unsigned long long)back);
    CHECK(back > 0);
}

static storm *storm_open(void) {
    storm *all = check_shared(sizeof *all);
    all->page = fresh(1);
    return all;
}

static void storm_close(storm *all) {
    mh_page_detach(&all->page);
    munmap(all, sizeof *all);
}

static void each_item_is_begun_once_or_taken_back_once_by_a_thread(void) {
    storm *all = storm_open();
    pthread_t worker = check_thread(work_as_a_thread, all);
    rage(all);
    pthread_join(worker, NULL);
    storm_close(all);
}

#ifndef __SANITIZE_THREAD__
static void each_item_is_begun_once_or_taken_back_once_by_a_process(void) {
    storm *all = storm_open();
    pid_t worker = check_child(work_through_the_storm, all);
    rage(all);
    CHECK(check_ended(worker) == 0);
    storm_close(all);
}
#endif

/* ---- the scratch ---- */

/* Result `index` of a batch is 1 to 4 words long, and each of its words says whose it is. */
static uint32_t words_of(uint32_t index) { return 1 + index % 4; }
static uint64_t word_of(uint32_t slot, uint32_t generation, uint32_t index) {
    return (uint64_t)generation << 40 | (uint64_t)slot << 32 | index;
}

/* False: there is no room for it. */
static bool write_result(mh_page *page, uint32_t slot, uint32_t generation, uint32_t index) {
    uint32_t used = mh_page_used(page), length = 8 * words_of(index);
    if (used + length > page->scratch_bytes) return false;
    for (uint32_t i = 0; i < words_of(index); i++) {
        uint64_t word = word_of(slot, generation, index);
        memcpy(page->shared->scratch + used + 8 * i, &word, sizeof word);
    }
    mh_page_filled(page, used + length);
    return true;
}

/* Are these bytes the results that they are said to be? */
static bool is_consistent(const char *bytes, const mh_finished *finished) {
    uint32_t at = 0;
    for (uint32_t i = 0; i < finished->count; i++)
        for (uint32_t j = 0; j < words_of(finished->first + i); j++, at += 8) {
            uint64_t word;
            if (at + 8 > finished->used) return false;
            memcpy(&word, bytes + at, sizeof word);
            if (word != word_of(finished->slot, finished->generation, finished->first + i)) return false;
        }
    return at == finished->used;
}

static void an_empty_scratch_has_no_results(void) {
    mh_page page = fresh(64);
    mh_finished finished;
    char bytes[64];
    CHECK(mh_page_salvage(&page, bytes, &finished) == MH_OK && finished.count == 0 && finished.used == 0);
    mh_page_empty(&page, 3, 9, 100);
    CHECK(mh_page_salvage(&page, bytes, &finished) == MH_OK && finished.count == 0 && finished.used == 0);
    CHECK(finished.slot == 3 && finished.generation == 9 && finished.first == 100);
    mh_page_detach(&page);
}

static void results_lie_in_the_scratch_until_it_is_emptied(void) {
    mh_page worker = fresh(SCRATCH), owner = another(&worker);
    mh_finished finished;
    static char bytes[SCRATCH];
    mh_page_empty(&worker, 1, 2, 10);
    for (uint32_t n = 1; n <= 5; n++) {
        CHECK(write_result(&worker, 1, 2, 9 + n) && mh_page_count(&worker) == n);
        CHECK(mh_page_salvage(&owner, bytes, &finished) == MH_OK && finished.count == n && is_consistent(bytes, &finished));
        CHECK(finished.slot == 1 && finished.generation == 2 && finished.first == 10);
        CHECK(finished.used == mh_page_used(&worker));
    }
    mh_page_empty(&worker, 4, 5, 6);
    CHECK(mh_page_count(&worker) == 0 && mh_page_used(&worker) == 0);
    CHECK(mh_page_salvage(&owner, bytes, &finished) == MH_OK && finished.count == 0 && finished.slot == 4);
    mh_page_detach(&owner);
    mh_page_detach(&worker);
}

static void a_scratch_may_end_at_any_byte(void) {
    for (uint32_t size = 1; size <= 40; size++) {
        mh_page page = fresh(size);
        mh_finished finished;
        char *bytes = malloc(size); /* so that an address sanitizer sees a copy of too much */
        memset(page.shared->scratch, (int)size, size);
        mh_page_empty(&page, 0, 0, 0);
        mh_page_filled(&page, size);
        CHECK(bytes != NULL && mh_page_salvage(&page, bytes, &finished) == MH_OK && finished.used == size);
        for (uint32_t i = 0; i < size; i++) CHECK(bytes[i] == (char)size);
        free(bytes);
        mh_page_detach(&page);
    }
}

static void a_scratch_that_says_absurd_things_is_refused(void) {
    mh_page page = fresh(64);
    mh_finished finished;
    char bytes[64];
    mh_page_filled(&page, 65);
    CHECK(mh_page_salvage(&page, bytes, &finished) == MH_CORRUPT);
    mh_page_filled(&page, UINT32_MAX);
    CHECK(mh_page_salvage(&page, bytes, &finished) == MH_CORRUPT);
    mh_page_empty(&page, MH_LEASES, 0, 0);
    CHECK(mh_page_salvage(&page, bytes, &finished) == MH_CORRUPT);
    mh_page_empty(&page, MH_LEASES - 1, 0, 0);
    CHECK(mh_page_salvage(&page, bytes, &finished) == MH_OK);
    mh_page_detach(&page);
}

typedef struct {
    mh_page page;
    mh_atomic32 stop;
} desk;

static void write_until_told(void *with) {
    desk *all = with;
    uint64_t random = 3;
    for (uint32_t generation = 0; !load_acquire(&all->stop); generation++) {
        uint32_t slot = generation % MH_LEASES, first = (uint32_t)(check_random(&random) % 1000);
        uint32_t count = (uint32_t)(check_random(&random) % (check_random(&random) % 8 ? 20 : 4000));
        mh_page_empty(&all->page, slot, generation, first);
        for (uint32_t i = 0; i < count && write_result(&all->page, slot, generation, first + i); i++)
            if (i % 16 == 0 && check_random(&random) % 8 == 0) sched_yield();
    }
}

static void *write_as_a_thread(void *with) {
    write_until_told(with);
    return NULL;
}

static void salvage_for_a_while(desk *all) {
    static char bytes[SCRATCH];
    mh_finished finished;
    uint32_t good = 0, busy = 0, results = 0;
    uint64_t end = mh_now_ns() + STORM_NS;
    while (results == 0 || mh_now_ns() < end) {
        mh_status status = mh_page_salvage(&all->page, bytes, &finished);
        CHECK(status == MH_OK || status == MH_AGAIN);
        if (status == MH_AGAIN) busy++;
        else good++, results += finished.count;
        if (status == MH_OK && finished.count > 0) CHECK(is_consistent(bytes, &finished));
    }
    store_release(&all->stop, 1);
    printf("   %u salvages with %u results, %u while it was emptied\n", good, results, busy);
}

static desk *desk_open(void) {
    desk *all = check_shared(sizeof *all);
    all->page = fresh(SCRATCH);
    return all;
}

static void desk_close(desk *all) {
    mh_page_detach(&all->page);
    munmap(all, sizeof *all);
}

static void what_is_salvaged_from_a_thread_is_consistent(void) {
    desk *all = desk_open();
    pthread_t writer = check_thread(write_as_a_thread, all);
    salvage_for_a_while(all);
    pthread_join(writer, NULL);
    desk_close(all);
}

#ifndef __SANITIZE_THREAD__
static void what_is_salvaged_from_a_process_is_consistent(void) {
    desk *all = desk_open();
    pid_t writer = check_child(write_until_told, all);
    salvage_for_a_while(all);
    CHECK(check_ended(writer) == 0);
    desk_close(all);
}
#endif

int main(void) {
    RUN(both_sides_see_the_same_page);
    RUN(a_size_that_cannot_be_is_refused);
    RUN(what_is_no_page_is_refused_and_stays_open);
    RUN(a_cut_takes_back_what_was_not_begun_or_half_of_it_or_nothing);
    RUN(another_generation_is_neither_claimed_nor_cut);
    RUN(a_slot_that_was_never_granted_gives_nothing);
    RUN(slots_do_not_touch_each_other);
    RUN(the_largest_batch_fits_into_its_word);
    RUN(an_empty_scratch_has_no_results);
    RUN(results_lie_in_the_scratch_until_it_is_emptied);
    RUN(a_scratch_may_end_at_any_byte);
    RUN(a_scratch_that_says_absurd_things_is_refused);
    RUN(each_item_is_begun_once_or_taken_back_once_by_a_thread);
    RUN(what_is_salvaged_from_a_thread_is_consistent);
#ifndef __SANITIZE_THREAD__
    RUN(each_item_is_begun_once_or_taken_back_once_by_a_process);
    RUN(what_is_salvaged_from_a_process_is_consistent);
#endif
    return 0;
}

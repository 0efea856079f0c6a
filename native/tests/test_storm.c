/* A thousand deaths at random moments: writers and readers are killed and replaced while the others work on.
 *
 *   MH_SEED    the random numbers of the killer; the moments themselves are the machine's
 *   MH_KILLS   how many deaths, instead of 1000
 */
#include "world.h"

#define KILLS 1000u
#define WRITERS 3
#define READERS 3
#define ALL (WRITERS + READERS)
#define LONGEST_LIFE_NS 25000000u
#define PROGRESS_EVERY 50u

static world all;
static pid_t pid[ALL];
static uint64_t seed;
static uint32_t dead_readers;

static pid_t start(int who) {
    return who < WRITERS ? world_writer(&all, NULL, NULL) : world_reader(&all, NULL, NULL);
}

/* A writer that has sent all its messages leaves by itself; another takes its place. */
static void replace_the_ended(void) {
    int status;
    for (int who = 0; who < ALL; who++)
        if (waitpid(pid[who], &status, WNOHANG) == pid[who]) {
            CHECK(status == 0 && who < WRITERS);
            pid[who] = start(who);
        }
}

/* The others work on: something is received while nobody is killed. */
static void wait_for_progress(void) {
    uint32_t before = load_acquire(&all.ledger->received);
    check_watch(WATCHDOG_S);
    while (load_acquire(&all.ledger->received) <= before + 10) {
        replace_the_ended();
        check_breathe();
    }
}

/* False: it had just left by itself, and nobody was killed. */
static bool kill_one(int who) {
    kill(pid[who], SIGKILL);
    int status = check_ended(pid[who]);
    CHECK(status == 0 || check_was_killed(status));
    if (status != 0 && who >= WRITERS) dead_readers++;
    pid[who] = start(who);
    return status != 0;
}

static void let_some_time_pass(void) {
    struct timespec while_working = {0, (long)(check_random(&seed) % LONGEST_LIFE_NS)};
    nanosleep(&while_working, NULL);
}

static void end_the_storm(void) {
    store_release(&all.ledger->stop, 1);
    for (int who = 0; who < ALL; who++) CHECK(check_ended(pid[who]) == 0);
}

static uint32_t kills_wanted(void) {
    const char *given = getenv("MH_KILLS");
    return given ? (uint32_t)strtoul(given, NULL, 10) : KILLS;
}

static void storm(const mh_ring_options *options, uint32_t kills) {
    world_open(&all, options);
    all.writes_most = SERIALS - 1;
    all.large = true;
    dead_readers = 0;
    for (int who = 0; who < ALL; who++) pid[who] = start(who);
    for (uint32_t killed = 0; killed < kills;) {
        let_some_time_pass();
        killed += kill_one((int)(check_random(&seed) % ALL));
        if (killed % PROGRESS_EVERY == 0) wait_for_progress();
    }
    wait_for_progress();
    end_the_storm();
    printf("   %u deaths, %u of readers; %u messages received\n", kills, dead_readers, load_relaxed(&all.ledger->received));
    world_verify(&all, dead_readers);
    world_close(&all);
}

static void a_growing_ring_outlives_all_its_users(void) {
    storm(&(mh_ring_options){0, 4, 8, 4096, 0}, kills_wanted() / 2);
}

static void a_full_ring_outlives_all_its_users(void) {
    storm(&(mh_ring_options){5, 4, 8, 4096, 3000000}, kills_wanted() / 2);
}

static void explain(void) {
    for (int who = 0; who < ALL; who++) fprintf(stderr, "    %s %d\n", who < WRITERS ? "writer" : "reader", pid[who]);
    world_print(&all);
}

int main(void) {
    check_explain = explain;
    seed = check_seed(mh_now_ns());
    RUN(a_growing_ring_outlives_all_its_users);
    RUN(a_full_ring_outlives_all_its_users);
    return 0;
}

/* All that these tests need of a framework: sentences that are run, conditions that must hold, and a watchdog.
 *
 * A program is a list of RUN(sentence). A condition that does not hold ends the program with 1 and says where; a test
 * that hangs is ended by an alarm, which names it. Children are killed with the program, whatever ends it.
 */
#ifndef MH_CHECK_H
#define MH_CHECK_H

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define WATCHDOG_S 30u

/* Weak: one for all files of a program. */
__attribute__((weak)) const char *volatile check_running = "nothing yet";

static void check_failed(const char *file, int line, const char *what) {
    fprintf(stderr, "FAILED %s\n    %s:%d: %s (errno %d: %s)\n", check_running, file, line, what, errno, strerror(errno));
    fflush(NULL);
    _exit(1);
}

#define CHECK(condition)                                              \
    do {                                                              \
        if (!(condition)) check_failed(__FILE__, __LINE__, #condition); \
    } while (0)

/* What else there is to say about a hang. */
__attribute__((weak)) void (*check_explain)(void);

static void check_hangs(int signal) {
    const char *parts[] = {"FAILED ", check_running, ": it hangs\n"};
    (void)signal;
    for (int i = 0; i < 3; i++)
        if (write(2, parts[i], strlen(parts[i])) < 0) break;
    if (check_explain) check_explain();
    _exit(1);
}

static void check_watch(unsigned seconds) {
    signal(SIGALRM, check_hangs);
    alarm(seconds);
}

/* With MH_ONLY set, only the sentences that contain it are run. */
static inline bool check_wanted(const char *sentence) {
    const char *only = getenv("MH_ONLY");
    return only == NULL || strstr(sentence, only) != NULL;
}

#define RUN(sentence)                  \
    do {                               \
        check_running = #sentence;     \
        if (!check_wanted(#sentence)) break; \
        check_watch(WATCHDOG_S);       \
        sentence();                    \
        printf("ok %s\n", #sentence); \
        fflush(stdout);                \
    } while (0)

/* Memory that children share with this process. */
static inline void *check_shared(size_t bytes) {
    void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    CHECK(at != MAP_FAILED);
    return at;
}

/* A child that runs `body` and leaves with 0. It dies with this process, or of its own alarm. */
static inline pid_t check_child(void (*body)(void *), void *with) {
    pid_t parent = getpid(), child = fork();
    CHECK(child >= 0);
    if (child > 0) return child;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(1);
    check_watch(WATCHDOG_S);
    body(with);
    _exit(0);
}

/* How the child ended: its status as waitpid gives it. */
static inline int check_ended(pid_t child) {
    int status;
    while (waitpid(child, &status, 0) < 0) CHECK(errno == EINTR);
    return status;
}

static inline void check_killed(pid_t child) {
    kill(child, SIGKILL);
    check_ended(child);
}

static inline bool check_was_killed(int status) { return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL; }

/* Until another process or thread has done something that only looking can tell. */
#define UNTIL(condition)                            \
    do {                                            \
        while (!(condition)) check_breathe();       \
    } while (0)

static inline void check_breathe(void) { usleep(200); }

static inline pthread_t check_thread(void *(*body)(void *), void *with) {
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, body, with) == 0);
    return thread;
}

/* xorshift64; never 0. */
static inline uint64_t check_random(uint64_t *state) {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/* The seed of this run: MH_SEED, or the clock; printed, so that a failure can be had again. */
static inline uint64_t check_seed(uint64_t otherwise) {
    const char *given = getenv("MH_SEED");
    uint64_t seed = given ? strtoull(given, NULL, 10) : otherwise;
    if (seed == 0) seed = 1;
    printf("seed %llu (MH_SEED)\n", (unsigned long long)seed);
    fflush(stdout);
    return seed;
}

#endif

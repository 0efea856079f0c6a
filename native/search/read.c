/* Reading files: see read.h. */
#include "read.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define HEAD 8192u            /* a NUL in so many bytes makes a file binary */
#define LEAST_READ 4096u        /* of a file whose size is told as 0 */
#define FIRST_READ (256u << 10) /* and only so much of a large binary file is read */

typedef struct {
    ms_store *store;
    int fd;
    uint64_t most;            /* bytes that a file may have */
    uint64_t at, room, bytes; /* where it goes, how many bytes may be read there, how many are */
} reading;

/* Make room for so many bytes; what was read moves along. */
static bool expect(reading *reading, uint64_t room) {
    uint64_t before = reading->at;
    if (!ms_store_place(reading->store, room, &reading->at)) return false;
    uint8_t *base = reading->store->text.bytes;
    if (reading->bytes > 0 && reading->at != before) memmove(base + reading->at, base + before, reading->bytes);
    reading->room = room;
    return true;
}

static ms_outcome judge(const reading *reading) {
    const uint8_t *text = reading->store->text.bytes + reading->at;
    if (reading->bytes >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) return MS_READ_ENCODED;
    if (reading->bytes >= 2 && (memcmp(text, "\xff\xfe", 2) == 0 || memcmp(text, "\xfe\xff", 2) == 0))
        return MS_READ_ENCODED;
    size_t head = reading->bytes < HEAD ? reading->bytes : HEAD;
    return memchr(text, '\0', head) != NULL ? MS_READ_BINARY : MS_READ_OK;
}

static ssize_t read_some(const reading *reading, uint64_t asked) {
    ssize_t count;
    do count = read(reading->fd, reading->store->text.bytes + reading->at + reading->bytes, asked);
    while (count < 0 && errno == EINTR);
    return count;
}

/* Read on to the end. `expected` bytes, and then one more is asked for, to see in the same call that it is the end. */
static ms_outcome read_rest(reading *reading, uint64_t expected) {
    for (;;) {
        uint64_t asked = reading->room - reading->bytes;
        if (reading->bytes == 0 && asked > FIRST_READ) asked = FIRST_READ;
        ssize_t count = read_some(reading, asked);
        if (count < 0) return MS_READ_FAILED;
        bool first = reading->bytes == 0, is_short = (uint64_t)count < asked;
        reading->bytes += (uint64_t)count;
        if (reading->bytes > reading->most) return MS_READ_TOO_LARGE;
        if (count == 0 || (is_short && expected > 0 && reading->bytes >= expected)) return judge(reading);
        if (first && judge(reading) != MS_READ_OK) return judge(reading);
        if (reading->bytes == reading->room && !expect(reading, reading->room * 2)) return MS_READ_NO_MEMORY;
    }
}

static ms_outcome read_open(reading *reading, uint32_t file, ms_facts *facts) {
    struct stat stat;
    if (fstat(reading->fd, &stat) < 0) return MS_READ_FAILED;
    *facts = (ms_facts){(uint64_t)stat.st_size, stat.st_mtim.tv_sec * INT64_C(1000000000) + stat.st_mtim.tv_nsec};
    if (!S_ISREG(stat.st_mode)) return MS_READ_NOT_REGULAR;
    if (facts->size > reading->most) return MS_READ_TOO_LARGE;
    if (!expect(reading, facts->size ? facts->size + 1 : LEAST_READ)) return MS_READ_NO_MEMORY;
    ms_outcome outcome = read_rest(reading, facts->size);
    if (outcome != MS_READ_OK) return outcome;
    facts->size = reading->bytes;
    return ms_store_commit(reading->store, file, reading->at, reading->bytes) ? MS_READ_OK : MS_READ_NO_MEMORY;
}

static int open_path(int root, const char *path) {
    int fd;
    do fd = openat(root, path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    while (fd < 0 && errno == EINTR);
    return fd;
}

ms_outcome ms_read(ms_store *store, uint32_t file, int root, const char *path, uint64_t most_bytes, ms_facts *facts) {
    reading reading = {.store = store, .most = most_bytes < MS_MOST_BYTES ? most_bytes : MS_MOST_BYTES};
    ms_outcome outcome = MS_READ_FAILED;
    *facts = (ms_facts){0, 0};
    reading.fd = open_path(root, path);
    if (reading.fd >= 0) outcome = read_open(&reading, file, facts);
    int error = errno;
    if (reading.fd >= 0) close(reading.fd);
    if (outcome != MS_READ_FAILED) return outcome;
    if (error == ENXIO) return MS_READ_NOT_REGULAR; /* a socket, or a device without a driver */
    facts->size = (uint64_t)error;
    return MS_READ_FAILED;
}

/* A ring: messages from any process to any process, in order, each to one reader, whoever dies.
 *
 * It lives in one memfd that every holder maps. What is true is held by two words, and by nothing else:
 *
 *   tail   how many entries were ever published       changed under the write lock
 *   head   how many entries were ever taken           changed under the read lock
 *
 * An entry is a slot (where, how long, what kind) and its bytes. A writer finds a place, copies, fills the slot,
 * and publishes by adding to tail. A reader copies out and takes by adding to head. One that dies before its add
 * leaves the ring as if it had not begun; the kernel hands its lock on (lock.h). Who waits for an entry waits
 * *while holding the read lock*, so there is one sleeper a side, and its death is the lock's business too. The price:
 * a sleeper that is stopped (SIGSTOP) keeps the others of its side waiting until it goes on or is killed.
 *
 * Levels. Level 0 is small and stays warm in the cache. When it is full, and the ring may grow, the writer seals
 * it ("it ends at count N, go on at level L") and goes on in a level four times as large, further in the same
 * sparse file; readers follow when they come to N. Once the readers have caught up the writer goes back to
 * level 0, and readers give a large level's memory back when they leave it. A level is in use from the moment it
 * is sealed onto the chain until read_level has passed it; only then may it be prepared again. With one exception:
 * when nothing is unread, no reader moves, and the writer may break the seal of the level they stand in.
 *
 *   field          may be changed by                     dies half way: the next holder of the lock
 *   tail, slots    holder of write_lock                  nothing: unpublished is unseen
 *   write_level    holder of write_lock                  follows the seal once more (recover_writer)
 *   level[].*      holder of write_lock, level unused    prepares it anew
 *   level[].base   holder of write_lock                  nothing: any count up to the first unread here is true
 *   head           holder of read_lock                   nothing
 *   read_level     holder of read_lock                   follows the seal once more (peek does)
 *   taking         holder of read_lock                   settles the block that the note names (parcel.h)
 *   sending        holder of write_lock                  likewise
 *   done           holder of done_lock
 *
 * All numbers read from shared memory are checked before they are used: garbage gives MH_CORRUPT, not a crash.
 *
 * Threads: any, with the locks. Processes: any that hold the descriptor.
 */
#ifndef MH_RING_H
#define MH_RING_H

#include <stddef.h>

#include "lock.h"

#define MH_RING_LEVELS 8u
#define MH_RING_MAGIC UINT64_C(0x31676e69726d796d)
#define MH_RING_VERSION 1u

typedef struct {
    uint64_t offset; /* of the bytes in the level's data */
    uint64_t length;
    uint32_t kind;
    uint32_t count; /* which entry this is; a slot that does not say so is not sane */
    uint64_t heavy; /* bytes outside the ring, of this and all earlier entries */
} mh_slot;

typedef struct {
    mh_atomic32 base;   /* count of its first entry */
    mh_atomic32 end;    /* count where it ends, when sealed */
    mh_atomic32 next;   /* level to go on with, when sealed */
    mh_atomic32 sealed; /* 0 or 1 */
} mh_level;

/* Which block is changing hands with entry `count`, so that a death half way loses nothing (parcel.h). */
typedef struct {
    mh_atomic32 set;
    mh_atomic32 count;
    mh_atomic64 arena;
    mh_atomic64 block;
} mh_note;

typedef struct {
    uint64_t magic;
    uint32_t version;
    uint32_t max_items; /* 0: no limit */
    uint32_t levels;    /* how many levels may be used */
    uint32_t slots;     /* in level 0; four times as many in each further one */
    uint64_t data;      /* bytes in level 0; likewise */
    uint64_t max_heavy; /* bytes outside the ring that may be on their way; 0: no limit */

    _Alignas(128) mh_lock write_lock;
    mh_cursor tail;
    mh_atomic32 write_level;
    mh_atomic64 heavy_put;
    mh_note sending;

    _Alignas(128) mh_lock read_lock;
    mh_cursor head;
    mh_atomic32 read_level;
    mh_atomic64 heavy_got;
    mh_note taking;

    _Alignas(128) mh_lock done_lock; /* who says "done" */
    mh_lock join_lock;               /* who waits for it */
    mh_cursor done;
    mh_atomic32 bell_wanted; /* the reader sleeps somewhere else: ring its bell with the next entry */
    mh_atomic32 holders; /* handles and travelling tokens; too high after a death, never too low */

    _Alignas(128) mh_level level[MH_RING_LEVELS];
} mh_ring_header;

/* One process's hold of a ring. Copied by fork; the copy is a hold of its own. */
typedef struct {
    int fd;
    uint32_t levels, slots; /* the header's, as they were when they were checked: never read from there again */
    uint64_t data;
    mh_ring_header *shared;
    _Atomic(char *) map[MH_RING_LEVELS]; /* slots, then data, of each level that was touched here */
    mh_spin reading, writing;
    int bell_fd; /* an eventfd of this process's own, or -1 */
} mh_ring;

typedef struct {
    uint32_t max_items;
    uint32_t levels;
    uint32_t slots;
    uint64_t data;
    uint64_t max_heavy;
} mh_ring_options;

/* Entries written but not yet published: the caller's own, on its stack, while it holds the write lock. */
typedef struct {
    uint32_t entries;
    uint32_t level;
    mh_slot *slot; /* reserved last */
    uint64_t heavy;
} mh_batch;

/* An unread entry, valid while the read lock is held. */
typedef struct {
    const char *bytes;
    uint64_t length;
    uint32_t kind;
    uint32_t count;
    uint64_t heavy;
} mh_entry;

mh_status mh_ring_create(mh_ring *ring, const mh_ring_options *options);
/* Takes `fd` over on success. Anything that is not a sane ring is refused with MH_CORRUPT. */
mh_status mh_ring_attach(mh_ring *ring, int fd);
void mh_ring_detach(mh_ring *ring);

/* Writing: lock, { reserve, fill, commit }*, submit, unlock.
 * Locking, for both sides: `note_left` tells that the last owner died and has left a note to settle. */
mh_status mh_ring_lock_write(mh_ring *ring, uint64_t deadline, mh_batch *batch, bool *note_left);
/* With `grow`, a full level is left for a larger one; without, MH_AGAIN. */
mh_status mh_ring_reserve(mh_ring *ring, mh_batch *batch, uint64_t length, uint64_t heavy, bool grow, char **bytes);
/* The current level is full, but a larger one that holds `length` is unused, and no limit forbids to use it. */
bool mh_ring_could_grow(const mh_ring *ring, const mh_batch *batch, uint64_t length, uint64_t heavy);
void mh_ring_commit(mh_ring *ring, mh_batch *batch, uint64_t length, uint32_t kind);
void mh_ring_submit(mh_ring *ring, mh_batch *batch);
/* Sleep, holding the lock and with an empty batch, until something was taken since the lock holder's last look. */
mh_status mh_ring_wait_room(mh_ring *ring, uint32_t head_seen, uint64_t deadline);
void mh_ring_unlock_write(mh_ring *ring);

/* Reading: lock, { peek, copy, advance }*, unlock. */
mh_status mh_ring_lock_read(mh_ring *ring, uint64_t deadline, bool *note_left);
mh_status mh_ring_peek(mh_ring *ring, mh_entry *entry);
void mh_ring_advance(mh_ring *ring, const mh_entry *entry);
/* Sleep, holding the lock, until there is an entry. */
mh_status mh_ring_wait_entry(mh_ring *ring, uint64_t deadline);
void mh_ring_unlock_read(mh_ring *ring);

/* A bell, for a reader that waits for other things too, by poll on an eventfd. It says that it wants to be rung for
 * the next entry (mh_ring_want_bell), looks once more, and polls; a writer that has `bell_fd` set rings after it has
 * published. Which of both came first is settled by one total order: the writer publishes and then looks for the
 * wish, the reader wishes and then looks for entries, all four sequentially consistent. A writer that dies between
 * publishing and ringing leaves a hint unsaid, no more: the reader must look when a writer has died. */
uint32_t mh_ring_want_bell(mh_ring *ring, bool wanted); /* how many are unread */

/* The longest entry that can ever fit. */
uint64_t mh_ring_longest(const mh_ring *ring);
uint32_t mh_ring_unread(const mh_ring *ring);
/* Sane at rest? For tests and fuzzing. */
mh_status mh_ring_check(mh_ring *ring);

/* One more entry was dealt with. MH_AGAIN: more than were ever put. */
mh_status mh_ring_done(mh_ring *ring, uint64_t deadline);
/* Sleep until all that were put are dealt with. */
mh_status mh_ring_join(mh_ring *ring, uint64_t deadline);

#endif

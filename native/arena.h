/* The arena: large blocks in one sparse memfd that a whole family of processes maps.
 *
 * The file is as large as anybody could want and holds pages only where something was written. It is cut into
 * segments; a process leases segments, allocates blocks from its own segments only, and needs no lock for that.
 * Everybody may read, claim and release anybody's blocks. Why one file for the family and not one a process: a
 * block outlives the death of the process that wrote it, because every member holds the file (docs/decisions/0002).
 *
 *   header | process slots | segment table | unit table | ... | segments of 64 MiB, each of 1024 units of 64 KiB
 *
 * A block is named by the number of its first unit. Its state is one word of the unit table:
 *
 *   FREE -> FILLING        owner allocates
 *   FILLING -> FLYING      owner has filled it and is about to publish it in a ring
 *   FLYING -> HELD(who)    the one reader that took the entry
 *   HELD -> FREE           the reader, when its last view is gone
 *   FILLING -> FREE        owner, when it could not publish
 *   FILLING -> SHARED      owner; from then on counts in the block's first page say who has it
 *   SHARED -> FREE         owner, when nobody has it and it is in no ring
 *
 *   Death of        leaves               repaired by
 *   the owner       FILLING blocks       whoever adopts the segment
 *   the owner       other blocks         nothing to repair; whoever adopts the segment finds them when free
 *   a holder        HELD(dead)           the owner, when it looks for memory or reclaims
 *   anybody, leasing  half a lease       the next holder of the arena's lock (recover_leases)
 *   the writer, between FLYING and publishing   the next writer, by the ring's note (parcel.h)
 *   the reader, between taking and HELD         the next reader, likewise
 *   who sends or takes a shared block, between its count of flights and the ring's: nobody; the block stays
 *
 * Who a process is: `who` = slot number and generation. A slot names pid and start time, so that a recycled pid is
 * nobody; a recycled slot has another generation, so that an old HELD is nobody's.
 *
 * Threads: any; the private half has a mutex. Processes: any that were given the descriptor.
 */
#ifndef MH_ARENA_H
#define MH_ARENA_H

#include <pthread.h>
#include <stddef.h>
#include <sys/types.h>

#include "lock.h"

#define MH_ARENA_MAGIC UINT64_C(0x616e657261796d68)
#define MH_ARENA_VERSION 1u
#define MH_UNIT_SHIFT 16u
#define MH_SEGMENT_SHIFT 26u
#define MH_UNITS 1024u /* in a segment */
#define MH_ORDERS 11u  /* blocks of 1, 2, 4 ... 1024 units */
#define MH_PROCESSES 4096u

typedef struct {
    mh_atomic32 pid; /* 0: nobody yet */
    mh_atomic32 generation;
    mh_atomic64 start; /* start time of that pid, in the kernel's ticks */
} mh_process_slot;

typedef struct {
    mh_atomic32 owner; /* who, 0: free */
    mh_atomic32 span;  /* how many segments this lease has; 0: not the first of its lease */
} mh_segment;

typedef struct {
    mh_atomic32 state;
    mh_atomic32 shape; /* order of the block, or SPAN | number of segments */
} mh_unit;

typedef struct {
    uint64_t magic;
    uint32_t version;
    uint32_t segments;
    uint64_t id;
    uint64_t first_byte; /* of segment 0 */
    uint32_t keeper_pid; /* the process that made it, and its descriptor there: for who has not got it otherwise */
    uint32_t keeper_fd;
    mh_lock lock;
    mh_process_slot process[MH_PROCESSES];
} mh_arena_header;

/* First page of a shared block: who has it. The payload begins a page later. */
#define MH_SHARED_PREFIX 4096u
#define MH_SHARED_HOLDERS 1000u
typedef struct {
    mh_atomic32 flights; /* entries in rings that name it */
    mh_atomic32 changes; /* grows with each flight */
    mh_atomic32 most;    /* holder[most] and beyond were never used */
    mh_atomic32 spare;
    mh_atomic32 holder[MH_SHARED_HOLDERS]; /* who, or 0 */
} mh_shared_prefix;

/* The private half: what this process leases. Guarded by `mutex`. */
typedef struct {
    uint32_t first; /* segment */
    uint32_t span;
    uint64_t free[MH_ORDERS][MH_UNITS / 64]; /* bit u: the block at unit u << order is free */
    uint64_t warm[MH_UNITS / 64];            /* bit u: unit u has pages */
} mh_lease;

typedef struct {
    int fd;
    mh_arena_header *shared; /* NULL when the address space was refused */
    uint64_t size;
    uint64_t first_byte; /* this and `segments`: the header's, as they were when they were checked */
    uint32_t segments;
    pid_t pid; /* whose private half this is */
    uint32_t who;
    pthread_mutex_t mutex;
    mh_lease **lease;
    uint32_t leases, leases_room;
    uint32_t *given; /* blocks that are not free here */
    uint32_t givens, givens_room, hand;
    uint64_t warm_free; /* bytes that have pages and belong to no block */
    uint64_t budget;    /* above this, freed blocks give their pages back */
} mh_arena;

typedef struct {
    uint64_t leased, given, warm_free;
    uint32_t blocks;
} mh_arena_statistics;

mh_status mh_arena_create(mh_arena *arena, uint64_t bytes, uint64_t budget);
/* Takes `fd` over on success; refuses what is not a sane arena. */
mh_status mh_arena_attach(mh_arena *arena, int fd, uint64_t budget);
void mh_arena_detach(mh_arena *arena);

/* Call before any ring's lock is taken: makes sure that this process has a slot, also after a fork. */
mh_status mh_arena_ready(mh_arena *arena);

/* A block of at least `bytes`, FILLING. Reuses warm memory first. */
mh_status mh_arena_alloc(mh_arena *arena, uint64_t bytes, uint32_t *block);
char *mh_arena_bytes(const mh_arena *arena, uint32_t block);
/* How many bytes the block has room for; 0 when `block` is no block's number. */
uint64_t mh_arena_room(const mh_arena *arena, uint32_t block);

void mh_arena_fly(mh_arena *arena, uint32_t block);    /* FILLING -> FLYING, before it is published */
void mh_arena_abandon(mh_arena *arena, uint32_t block); /* FILLING or FLYING -> FREE: it was not published */
bool mh_arena_claim(mh_arena *arena, uint32_t block);  /* FLYING -> HELD by this process */
void mh_arena_release(mh_arena *arena, uint32_t block); /* HELD -> FREE */

/* Shared blocks. `hold` and `drop` are once a process; flights are once an entry in a ring. */
void mh_arena_share(mh_arena *arena, uint32_t block); /* FILLING -> SHARED, held by this process */
bool mh_arena_is_shared(const mh_arena *arena, uint32_t block);
/* The shared block that `address` of this process lies in; false when it lies in none. */
bool mh_arena_shared_at(const mh_arena *arena, const void *address, uint32_t *block);
void mh_arena_take_off(mh_arena *arena, uint32_t block);
void mh_arena_land(mh_arena *arena, uint32_t block);
mh_status mh_arena_hold(mh_arena *arena, uint32_t block);
void mh_arena_drop(mh_arena *arena, uint32_t block);

/* Look after what the dead have left: blocks of this process that they held, segments they leased. */
void mh_arena_reclaim(mh_arena *arena);
/* Give the pages of free blocks back to the system. */
void mh_arena_trim(mh_arena *arena);
void mh_arena_look(mh_arena *arena, mh_arena_statistics *out);

#endif

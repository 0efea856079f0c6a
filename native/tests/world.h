/* Processes that work on one ring and one arena while some of them are killed, and a ledger that survives them all.
 *
 * Each process that writes is one life in the ledger; its messages have serials 1, 2, 3 ... A writer marks a message
 * as sent when put has returned. A reader writes down what it is about to take, takes it, marks it as received, and
 * forgets the first again; so a message that is in the hands of a reader which dies is known.
 *
 * What must hold in the end, whoever died where (world_verify):
 *   1. Each message that was marked as sent was received once, except those in the hands of dead readers.
 *   2. Of one that was not marked, at most the last of a life was received: its writer died after publishing it.
 *   3. Nothing was received twice, and what was received had its bytes.
 *   4. The messages of one life were taken in the order of their serials.
 *   5. The ring is sane and empty; no block and no segment belongs to anybody.
 */
#ifndef MH_WORLD_H
#define MH_WORLD_H

#include "check.h"
#include "kill_points.h"
#include "message.h"

#define LIVES 4096u
#define SERIALS 2048u

typedef struct {
    uint32_t life, serial;
} world_name;

typedef struct {
    mh_atomic32 sent;              /* the last serial whose put has returned */
    mh_atomic32 holds;             /* of a reader: life << 16 | serial of what it is about to take, or has */
    mh_atomic32 taken_at[SERIALS]; /* count of the ring's entry, + 1 */
    mh_atomic32 got[SERIALS];      /* how often received */
} world_life;

typedef struct {
    mh_atomic32 stop, received, wrong;
    world_life life[LIVES];
} world_ledger;

/* One process's view of it all; children have copies. */
typedef struct {
    mh_ring ring;
    mh_arena arena;
    world_ledger *ledger;
    world_life *life;        /* the ledger's */
    uint32_t lives;          /* handed out, by the parent only */
    uint32_t writes_most;    /* each writer stops by itself after so many */
    bool large;              /* send parcels, too */
} world;

void world_open(world *all, const mh_ring_options *options);
void world_close(world *all);

/* Start a writer or a reader; `before` runs in it first, may be NULL. Returns its pid, and its life in *life. */
pid_t world_writer(world *all, void (*before)(void), uint32_t *life);
pid_t world_reader(world *all, void (*before)(void), uint32_t *life);

/* Send one message in the life that the caller has: of `length` bytes, in a block when `parcel`. */
mh_status world_send(world *all, world_name name, uint64_t length, bool parcel);
/* Take one message as reader `me`. */
mh_status world_receive(world *all, uint32_t me, uint64_t deadline);

/* How ring and locks stand; for a test that hangs. */
void world_print(const world *all);

/* All children have ended: read what is left and see whether all is as it must be. `dead_readers` of them died. */
void world_verify(world *all, uint32_t dead_readers);

#endif

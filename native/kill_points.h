/* Named places where a process may die and somebody else would see it.
 *
 * In release builds MH_POINT is nothing. In test builds (-DMH_KILL_POINTS) it calls one hook with the point's
 * number; the hook pauses, kills, or switches. tests/test_kill.c walks MH_POINTS and fails when a point was never
 * died at, so a new point cannot be forgotten.
 */
#ifndef MH_KILL_POINTS_H
#define MH_KILL_POINTS_H

#define MH_POINTS(X)                                                                                       \
    X(lock_pending)     /* announced to the kernel, not yet taken */                                       \
    X(lock_taken)       /* taken, nothing done */                                                          \
    X(lock_waiting)     /* counted as waiter, not yet asleep */                                            \
    X(lock_released)    /* released, the next waiter not yet woken */                                      \
    X(ring_reserved)    /* place for an entry found, nothing written */                                    \
    X(ring_copied)      /* data written, slot not */                                                       \
    X(ring_committed)   /* slot written, not published */                                                  \
    X(ring_sending)     /* writer has written down which block it sends */                                 \
    X(ring_weighed)     /* weight added, not published */                                                  \
    X(ring_published)   /* published, lock still held */                                                   \
    X(ring_level_made)  /* next level prepared, the current one not sealed */                              \
    X(ring_sealed)      /* level sealed, writers not yet moved on */                                       \
    X(ring_reopening)   /* writers back in the readers' level, which is still sealed */                    \
    X(ring_peeked)      /* reader has seen the entry, not taken it */                                      \
    X(ring_taking)      /* reader has written down what it takes */                                        \
    X(ring_advanced)    /* reader has taken it, lock still held */                                         \
    X(ring_followed)    /* reader moved on to the next level */                                            \
    X(ring_parked)      /* waiter is about to sleep */                                                     \
    X(arena_slot)       /* process slot half filled */                                                     \
    X(arena_leasing)    /* segment chosen, not yet owned */                                                \
    X(arena_leased)     /* segment owned, lock still held */                                               \
    X(arena_ending)     /* a lease has lost its span, its segments still have an owner */                  \
    X(arena_adopted)    /* a dead one's segment is ours, lock still held */                                \
    X(arena_filling)    /* block allocated, still being filled */                                          \
    X(arena_flying)     /* block filled, not in anybody's ring yet */                                      \
    X(arena_claimed)    /* block is the reader's, the note in the ring not erased */                       \
    X(arena_releasing)  /* last view gone, block not yet free */                                           \
    X(lease_claimed)    /* an item of a batch is begun */                                                  \
    X(page_emptied)     /* results sent, the scratch half emptied */                                       \
    X(page_filled)      /* a result is in the scratch, not sent */

typedef enum {
#define MH_POINT_ENUM(name) MH_AT_##name,
    MH_POINTS(MH_POINT_ENUM)
#undef MH_POINT_ENUM
        MH_POINT_COUNT
} mh_point;

#ifdef MH_KILL_POINTS
extern void (*mh_point_hook)(mh_point);
extern const char *const mh_point_names[MH_POINT_COUNT];
#define MH_POINT(name) mh_point_hook(MH_AT_##name)
#else
#define MH_POINT(name) ((void)0)
#endif

#endif

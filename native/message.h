/* What one entry of a ring says, and how it is written. The kinds are the wire format; memory/serialize.py has the
 * same numbers.
 *
 * A message has parts; in the ring, or in a block, each begins at the next multiple of 64 bytes.
 */
#ifndef MH_MESSAGE_H
#define MH_MESSAGE_H

#include "parcel.h"

enum {
    MH_KIND_BYTES = 0,
    MH_KIND_STR = 1,    /* UTF-8 */
    MH_KIND_INT = 2,    /* int64 */
    MH_KIND_FLOAT = 3,  /* double */
    MH_KIND_ATOM = 4,   /* one byte: None, False, True */
    MH_KIND_PICKLE = 5, /* a pickle without buffers */
    /* 6 and more: for the decoder in memory/serialize.py */
    MH_KIND_PARCEL = 0x100, /* flag: the payload is in a block, and the entry is an mh_parcel */
};

#define MH_PART_ALIGN 64u

typedef struct {
    const void *bytes;
    uint64_t length;
} mh_part;

typedef struct {
    uint32_t kind;
    uint32_t parts;
    const mh_part *part;
    uint64_t heavy;   /* bytes outside the ring */
    mh_arena *arena;  /* with `parcel`: the entry is this parcel, and its block flies with it */
    mh_parcel parcel;
} mh_message;

uint64_t mh_message_length(const mh_message *message);

/* Put one message, waiting for room until `deadline`. `settle` is the arena for notes of the dead, or NULL.
 * With `grow` a full level is left at once; without, only after readers had a moment to make room. */
mh_status mh_message_put(mh_ring *ring, const mh_message *message, mh_arena *settle, uint64_t deadline, bool grow);

/* The same inside a batch whose lock the caller holds, without waiting and without submitting. Not for parcels. */
mh_status mh_message_add(mh_ring *ring, mh_batch *batch, const mh_message *message, bool grow);

/* Lock for reading and find the next entry, waiting until `deadline`. On MH_OK the caller holds the read lock. */
mh_status mh_message_next(mh_ring *ring, mh_entry *entry, mh_arena *settle, uint64_t deadline);

#endif

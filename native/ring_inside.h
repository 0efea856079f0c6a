/* What ring.c and ring_file.c share, and nobody else sees. */
#ifndef MH_RING_INSIDE_H
#define MH_RING_INSIDE_H

#include "ring.h"

static inline uint32_t level_slots(const mh_ring *ring, uint32_t level) { return ring->slots << 2 * level; }
static inline uint64_t level_data(const mh_ring *ring, uint32_t level) { return ring->data << 2 * level; }

mh_status mh_ring_map_level(mh_ring *ring, uint32_t level, char **base);
mh_status mh_ring_extend(mh_ring *ring, uint32_t level);
void mh_ring_give_back(mh_ring *ring, uint32_t level);
mh_slot *mh_ring_slots(char *base);
char *mh_ring_data(const mh_ring *ring, char *base, uint32_t level);

#endif

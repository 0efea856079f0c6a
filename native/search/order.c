/* The order of files: ranks, which file comes n-th, and the inverse. See store.h. */
#include <stdlib.h>
#include <string.h>

#include "store.h"

typedef struct {
    uint32_t rank, file;
} ranked;

static int by_rank(const void *left, const void *right) {
    const ranked *a = left, *b = right;
    if (a->rank != b->rank) return a->rank < b->rank ? -1 : 1;
    return (a->file > b->file) - (a->file < b->file);
}

static void use(ms_store *store, const ranked *sorted, size_t count, uint32_t *order, uint32_t *place) {
    for (size_t i = 0; i < count; i++) {
        order[i] = sorted[i].file;
        place[sorted[i].file] = (uint32_t)i;
    }
    free(store->order);
    free(store->place);
    store->order = order;
    store->place = place;
    store->ranked = count;
}

bool ms_store_rank(ms_store *store, const uint8_t *ranks, size_t count) {
    ranked *sorted = malloc((count + 1) * sizeof *sorted);
    uint32_t *order = malloc((count + 1) * sizeof *order), *place = malloc((count + 1) * sizeof *place);
    bool enough = sorted != NULL && order != NULL && place != NULL;
    if (enough) {
        for (size_t i = 0; i < count; i++) {
            memcpy(&sorted[i].rank, ranks + i * sizeof(uint32_t), sizeof(uint32_t));
            sorted[i].file = (uint32_t)i;
        }
        qsort(sorted, count, sizeof *sorted, by_rank);
        use(store, sorted, count, order, place);
    } else {
        free(order);
        free(place);
    }
    free(sorted);
    return enough;
}

/* Arrays that grow. A refused growth leaves the array as it was. */
#ifndef MS_ARRAY_H
#define MS_ARRAY_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Make room for `needed` items of `item_bytes`; false: the system gives no memory. `pointer` is the address of the
 * array's pointer, of whatever type (hence the copies). */
static inline bool ms_grow(void *pointer, size_t *capacity, size_t needed, size_t item_bytes) {
    if (needed <= *capacity) return true;
    size_t wanted = *capacity + *capacity / 2 + 16;
    if (wanted < needed) wanted = needed;
    if (wanted > SIZE_MAX / item_bytes) return false;
    void *old, *grown;
    memcpy(&old, pointer, sizeof old);
    if ((grown = realloc(old, wanted * item_bytes)) == NULL) return false;
    memcpy(pointer, &grown, sizeof grown);
    *capacity = wanted;
    return true;
}

#define MS_GROW(array, capacity, needed) ms_grow(&(array), &(capacity), (needed), sizeof *(array))

#endif

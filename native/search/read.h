/* Reading files straight into the store's text.
 *
 * A file that grows or shrinks meanwhile gives what was read. Only regular files are read; a FIFO, a device or a socket
 * is not waited for.
 */
#ifndef MS_READ_H
#define MS_READ_H

#include "store.h"

typedef enum {
    MS_READ_OK,
    MS_READ_BINARY,
    MS_READ_ENCODED,
    MS_READ_NOT_REGULAR,
    MS_READ_TOO_LARGE,
    MS_READ_FAILED,
    MS_READ_NO_MEMORY, /* nothing was stored, and nothing else is the matter with the file */
} ms_outcome;

typedef struct {
    uint64_t size;   /* bytes; of FAILED: errno */
    int64_t mtime_ns; /* 0 where the file could not be looked at */
} ms_facts;

/* The file `path`, below the folder `root` (a descriptor, or AT_FDCWD), becomes the text of number `file`. */
ms_outcome ms_read(ms_store *store, uint32_t file, int root, const char *path, uint64_t most_bytes, ms_facts *facts);

#endif

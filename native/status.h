/* What a call of the core can come to. Everything that can fail returns one of these; nothing is printed. */
#ifndef MH_STATUS_H
#define MH_STATUS_H

typedef enum {
    MH_OK = 0,
    MH_AGAIN,       /* not now: empty, full or busy, and the caller did not want to wait */
    MH_TIMEOUT,     /* the deadline passed while waiting */
    MH_INTERRUPTED, /* a signal arrived while waiting: run the handlers, then call again */
    MH_TOO_BIG,     /* can never fit, whatever is taken out before */
    MH_CORRUPT,     /* the shared bytes are not what a sane ring or arena holds */
    MH_NOMEM,       /* the system refused memory, address space or a larger file */
    MH_SYSTEM,      /* another system call failed: errno says which */
} mh_status;

#endif

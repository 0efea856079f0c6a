/* What the Python-facing files share. This is the one file that includes Python.h; the core knows nothing of it.
 *
 * Always true:
 *   1. No lock between processes is waited for, and nothing is slept on, with the GIL held.
 *   2. Under such a lock no Python code runs: at most bytes, int and str objects are made.
 *   3. A wait that a signal interrupts runs the signal's Python handler at once, holding no lock.
 */
#ifndef MH_MODULE_H
#define MH_MODULE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "parcel.h"

typedef struct {
    PyObject_HEAD
    mh_arena arena;
} ArenaObject;

/* One hold of one block; frees it when the last view is gone. */
typedef struct {
    PyObject_HEAD
    ArenaObject *owner;
    char *bytes;
    Py_ssize_t length;
    uint32_t block;
    uint32_t forks; /* how often this process had forked when the hold began */
    pid_t pid;      /* whose hold this is: a forked child has a copy of the object, but no hold */
    PyObject *weakrefs;
    enum { HOLD_NOTHING, HOLD_FILLING, HOLD_WHOLE, HOLD_SHARED } hold;
} BlockObject;

extern PyTypeObject *mh_ArenaType, *mh_BlockType, *mh_RingType;
extern PyType_Spec mh_arena_spec, mh_block_spec, mh_ring_spec;

/* Raise what `status` means, as an error of manyhands.errors; NULL. `what` begins the message. */
PyObject *mh_raise(mh_status status, const char *what);
/* Raise manyhands.errors.<name>; NULL. */
PyObject *mh_raise_named(const char *module, const char *name, const char *message);
/* Seconds or None to a deadline; false with an exception set. */
bool mh_deadline(PyObject *timeout, uint64_t *deadline);

BlockObject *mh_block_new(ArenaObject *owner, uint32_t block, Py_ssize_t length, int hold);
extern uint32_t mh_forks;
/* Holds of this process, and those that ended while a forked child may still see the memory. */
PyObject *mh_holds(PyObject *module, PyObject *ignored);
PyObject *mh_release_pinned(PyObject *module, PyObject *open_forks);

#endif

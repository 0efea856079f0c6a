/* The Ring object, for the three files that make it: module_ring.c, module_put.c, module_get.c.
 *
 * Threads: any. `users` counts the threads inside; close() wakes them, waits until they have left, then unmaps.
 * A thread that runs Python code (a signal handler, an unpickling) steps out for that time, so that such code may
 * close the ring; when it comes back it looks.
 */
#ifndef MH_MODULE_RING_H
#define MH_MODULE_RING_H

#include "module.h"

#include "message.h"

typedef struct {
    PyObject_HEAD
    mh_ring ring;
    ArenaObject *arena; /* the last one that a parcel was in; also settles the notes of the dead */
    PyObject *loads;    /* loads(bytes) -> object */
    PyObject *decode;   /* decode(kind, buffer) -> object */
    PyObject *resolve;  /* resolve(arena id, keeper pid, keeper fd) -> Arena */
    Py_ssize_t inline_most;
    PyObject *slow_put; /* slow_put(ring, object, timeout): for what is not plain */
    PyObject *discard;  /* discard(kind, buffer): while draining, in place of loads and decode */
    bool draining;
    PyObject *held_error; /* get_many had items to return when this happened: raised by the next get */
    pid_t pid;            /* whose `users` these are: a fork copies them, but not the threads */
    uint32_t users;
    mh_atomic32 closing;
} RingObject;

static inline mh_arena *mh_arena_of(ArenaObject *object) { return object ? &object->arena : NULL; }

PyObject *mh_raise_closed(void);

/* Step inside, and out again. false with an error set: it is closed. */
bool mh_ring_enter(RingObject *self);
static inline void mh_ring_leave(RingObject *self) { self->users--; }

/* After a wait was interrupted: run signal handlers; false when one raised or the ring was closed meanwhile. */
bool mh_ring_go_on(RingObject *self);

/* Wait without the GIL, for `call` with its arguments; signals run their handlers. The arena is kept meanwhile. */
#define WAIT_WITHOUT_GIL(self, status, raised, call)                  \
    do {                                                              \
        ArenaObject *settler = (self)->arena;                         \
        Py_XINCREF((PyObject *)settler);                                    \
        Py_BEGIN_ALLOW_THREADS                                        \
        mh_cancelled = &(self)->closing;                              \
        status = call;                                                \
        mh_cancelled = NULL;                                          \
        Py_END_ALLOW_THREADS                                          \
        Py_XDECREF((PyObject *)settler);                                    \
        raised = status == MH_INTERRUPTED && !mh_ring_go_on(self);            \
    } while (status == MH_INTERRUPTED && !raised)

/* The arguments of a call by position or name. false with an error set. */
bool mh_arguments(const char *function, const char *const *names, Py_ssize_t most, PyObject *const *args,
                  Py_ssize_t nargs, PyObject *kwnames, PyObject **into);

/* `timeout`, or False, which counts as 0 seconds, when `block` is false. false with an error set. */
bool mh_wait_of(PyObject *block, PyObject *timeout, PyObject **wait);

/* module_put.c */
PyObject *mh_ring_put(PyObject *object, PyObject *const *args, Py_ssize_t nargs);
PyObject *mh_ring_queue_put(PyObject *object, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames);
PyObject *mh_ring_put_plain(PyObject *object, PyObject *args);
PyObject *mh_ring_send(PyObject *object, PyObject *args);
PyObject *mh_ring_send_block(PyObject *object, PyObject *args);

/* module_get.c */
PyObject *mh_ring_get(PyObject *object, PyObject *timeout);
PyObject *mh_ring_queue_get(PyObject *object, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames);
PyObject *mh_ring_get_many(PyObject *object, PyObject *args);
PyObject *mh_ring_wait(PyObject *object, PyObject *timeout);
/* Take all that is there; what is not plain goes to self->discard, whose errors are nobody's. */
void mh_ring_drain(RingObject *self);

#endif

/* Ring for Python: put and get with the plain types encoded here, everything else by the two functions it is given.
 *
 * Threads: any. `users` counts the threads inside; close() wakes them, waits until they have left, then unmaps.
 * A thread that runs Python code (a signal handler, an unpickling) steps out for that time, so that such code may
 * close the ring; when it comes back it looks.
 */
#include "module.h"

#include <errno.h>
#include <string.h>
#include <structmember.h>
#include <sys/random.h>
#include <unistd.h>

#include "message.h"

#define PARTS_MOST 4096
#define BATCH_MOST 256 /* entries put under one hold of the lock */
#define SMALL_MOST 4096 /* bytes of an entry that is taken before the GIL is */

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

static mh_arena *arena_of(ArenaObject *object) { return object ? &object->arena : NULL; }

static PyObject *raise_closed(void) {
    return mh_raise_named("manyhands.errors", "ClosedResourceError",
                          "this queue or connection is closed in this process; use it before close(), or make another");
}

static void forget_parents_threads(RingObject *self) {
    if (self->pid == mh_pid()) return;
    self->pid = mh_pid();
    self->users = 0;
}

static bool enter(RingObject *self) {
    if (load_relaxed(&self->closing)) return raise_closed(), false;
    forget_parents_threads(self);
    self->users++;
    return true;
}

static void leave(RingObject *self) { self->users--; }

/* After a wait was interrupted: run signal handlers; false when one raised or the ring was closed meanwhile. */
static bool go_on(RingObject *self) {
    leave(self);
    bool fine = PyErr_CheckSignals() == 0;
    self->users++;
    if (fine && load_relaxed(&self->closing)) raise_closed();
    return fine && !load_relaxed(&self->closing);
}

/* ---- putting ---- */

typedef struct {
    mh_message message;
    mh_part part;
    union {
        int64_t integer;
        double real;
        char atom;
    } small;
} plain;

static bool is_atom(PyObject *object, char *atom) {
    *atom = object == Py_None ? 0 : object == Py_False ? 1 : 2;
    return object == Py_None || object == Py_False || object == Py_True;
}

static bool small_int(PyObject *object, int64_t *value) {
    int overflow;
    *value = PyLong_AsLongLongAndOverflow(object, &overflow);
    return !overflow;
}

static bool text_of(PyObject *object, mh_part *part) {
    Py_ssize_t length;
    const char *bytes = PyUnicode_AsUTF8AndSize(object, &length);
    if (bytes == NULL) PyErr_Clear(); /* lone surrogates: the pickler knows how */
    *part = (mh_part){bytes, (uint64_t)length};
    return bytes != NULL;
}

/* Point `to` at what `object` says, without copying; false when it is no plain object or too large to be inline. */
static bool encode(RingObject *self, PyObject *object, plain *to) {
    PyTypeObject *type = Py_TYPE(object);
    memset(&to->message, 0, sizeof to->message);
    to->message.parts = 1;
    to->message.part = &to->part;
    if (type == &PyLong_Type && small_int(object, &to->small.integer)) {
        to->message.kind = MH_KIND_INT;
        to->part = (mh_part){&to->small.integer, sizeof to->small.integer};
    } else if (type == &PyBytes_Type) {
        to->message.kind = MH_KIND_BYTES;
        to->part = (mh_part){PyBytes_AsString(object), (uint64_t)PyBytes_Size(object)};
    } else if (type == &PyUnicode_Type && text_of(object, &to->part)) to->message.kind = MH_KIND_STR;
    else if (type == &PyFloat_Type) {
        to->message.kind = MH_KIND_FLOAT;
        to->small.real = PyFloat_AsDouble(object);
        to->part = (mh_part){&to->small.real, sizeof to->small.real};
    } else if (is_atom(object, &to->small.atom)) {
        to->message.kind = MH_KIND_ATOM;
        to->part = (mh_part){&to->small.atom, 1};
    } else return false;
    return to->part.length <= (uint64_t)self->inline_most;
}

static PyObject *raise_full(mh_status status) {
    if (status == MH_AGAIN || status == MH_TIMEOUT) return mh_raise_named("queue", "Full", "");
    return mh_raise(status, "putting an item");
}

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
        raised = status == MH_INTERRUPTED && !go_on(self);            \
    } while (status == MH_INTERRUPTED && !raised)

/* First as it is, then without the GIL, waiting. */
static mh_status put_message(RingObject *self, const mh_message *message, uint64_t deadline, bool *raised) {
    bool at_once = deadline == MH_NO_WAIT;
    mh_status status = mh_message_put(&self->ring, message, arena_of(self->arena), MH_TRY, at_once);
    *raised = false;
    if (status != MH_AGAIN) return status;
    WAIT_WITHOUT_GIL(self, status, *raised,
                     mh_message_put(&self->ring, message, arena_of(settler), deadline, at_once));
    return status;
}

static PyObject *put_and_say(RingObject *self, const mh_message *message, uint64_t deadline) {
    bool raised;
    if (!enter(self)) return NULL;
    mh_status status = put_message(self, message, deadline, &raised);
    leave(self);
    if (raised) return NULL;
    return status == MH_OK ? Py_NewRef(Py_True) : raise_full(status);
}

/* Put what is plain; -1 with an error set, 0 when it is not plain, 1 when done. */
static int put_if_plain(RingObject *self, PyObject *object, PyObject *timeout) {
    uint64_t deadline;
    plain item;
    if (!mh_deadline(timeout, &deadline)) return -1;
    if (load_relaxed(&self->closing)) return raise_closed(), -1;
    if (!encode(self, object, &item)) return 0;
    PyObject *done = put_and_say(self, &item.message, deadline);
    Py_XDECREF(done);
    return done == NULL ? -1 : 1;
}

/* put(object, timeout): True when sent, False when the object is not plain and must be serialized first. */
static PyObject *ring_put(PyObject *object, PyObject *const *args, Py_ssize_t nargs) {
    if (nargs != 2) return PyErr_Format(PyExc_TypeError, "put() takes an object and a timeout");
    int done = put_if_plain((RingObject *)object, args[0], args[1]);
    return done < 0 ? NULL : PyBool_FromLong(done);
}

/* The arguments of a call by position or name. false with an error set. */
static bool arguments(const char *function, const char *const *names, Py_ssize_t most, PyObject *const *args,
                      Py_ssize_t nargs, PyObject *kwnames, PyObject **into) {
    Py_ssize_t named = kwnames ? PyTuple_Size(kwnames) : 0;
    if (nargs > most) {
        PyErr_Format(PyExc_TypeError, "%s() takes at most %zd arguments (%zd given)", function, most, nargs);
        return false;
    }
    for (Py_ssize_t i = 0; i < nargs; i++) into[i] = args[i];
    for (Py_ssize_t i = 0; i < named; i++) {
        PyObject *name = PyTuple_GetItem(kwnames, i);
        Py_ssize_t at = 0;
        while (at < most && PyUnicode_CompareWithASCIIString(name, names[at]) != 0) at++;
        if (at == most || at < nargs) {
            PyErr_Format(PyExc_TypeError, at == most ? "%s() got an unexpected keyword argument '%U'"
                                                     : "%s() got multiple values for argument '%U'", function, name);
            return false;
        }
        into[at] = args[nargs + i];
    }
    return true;
}

/* `timeout`, or 0 when `block` is false. NULL with an error set; borrowed otherwise, or immortal. */
static bool wait_of(PyObject *block, PyObject *timeout, PyObject *zero, PyObject **wait) {
    int blocks = PyObject_IsTrue(block);
    *wait = blocks > 0 ? timeout : zero;
    return blocks >= 0;
}

/* queue_put(obj, block=True, timeout=None): what Queue.put is. */
static PyObject *ring_queue_put(PyObject *object, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames) {
    static const char *const names[] = {"obj", "block", "timeout"};
    RingObject *self = (RingObject *)object;
    PyObject *given[3] = {NULL, Py_True, Py_None}, *wait;
    if (!arguments("put", names, 3, args, nargs, kwnames, given)) return NULL;
    if (given[0] == NULL) return PyErr_Format(PyExc_TypeError, "put() missing 1 required argument: 'obj'");
    if (!wait_of(given[1], given[2], Py_False, &wait)) return NULL; /* False counts as 0 seconds */
    int done = put_if_plain(self, given[0], wait);
    if (done < 0) return NULL;
    if (done > 0) Py_RETURN_NONE;
    return PyObject_CallFunctionObjArgs(self->slow_put, object, given[0], wait, NULL);
}

static void release_parts(Py_buffer *views, Py_ssize_t n) {
    for (Py_ssize_t i = 0; i < n; i++) PyBuffer_Release(&views[i]);
}

static Py_ssize_t acquire_parts(PyObject *tuple, Py_buffer *views, mh_part *parts) {
    Py_ssize_t n = PyTuple_Size(tuple);
    for (Py_ssize_t i = 0; i < n; i++) {
        if (PyObject_GetBuffer(PyTuple_GetItem(tuple, i), &views[i], PyBUF_SIMPLE) < 0) {
            release_parts(views, i);
            return -1;
        }
        parts[i] = (mh_part){views[i].buf, (uint64_t)views[i].len};
    }
    return n;
}

/* send(kind, parts, heavy, timeout) */
static PyObject *ring_send(PyObject *object, PyObject *args) {
    PyObject *tuple, *timeout, *result = NULL;
    unsigned int kind;
    unsigned long long heavy;
    uint64_t deadline;
    if (!PyArg_ParseTuple(args, "IO!KO", &kind, &PyTuple_Type, &tuple, &heavy, &timeout)) return NULL;
    if (!mh_deadline(timeout, &deadline)) return NULL;
    Py_ssize_t n = PyTuple_Size(tuple);
    if (n > PARTS_MOST || kind & MH_KIND_PARCEL) return PyErr_Format(PyExc_ValueError, "too many parts, or a bad kind");
    Py_buffer *views = PyMem_Malloc((size_t)(n + 1) * sizeof *views);
    mh_part *parts = PyMem_Malloc((size_t)(n + 1) * sizeof *parts);
    if (views == NULL || parts == NULL) PyErr_NoMemory();
    else if (acquire_parts(tuple, views, parts) == n) {
        mh_message message = {.kind = kind, .parts = (uint32_t)n, .part = parts, .heavy = heavy};
        result = put_and_say((RingObject *)object, &message, deadline);
        release_parts(views, n);
    }
    PyMem_Free(views);
    PyMem_Free(parts);
    return result;
}

/* send_block(kind, block, timeout): the block goes with the entry; the Block object is empty afterwards. */
static PyObject *ring_send_block(PyObject *object, PyObject *args) {
    PyObject *given, *timeout;
    unsigned int kind;
    uint64_t deadline;
    if (!PyArg_ParseTuple(args, "IO!O", &kind, mh_BlockType, &given, &timeout)) return NULL;
    if (!mh_deadline(timeout, &deadline)) return NULL;
    BlockObject *block = (BlockObject *)given;
    if (block->hold != HOLD_FILLING) return PyErr_Format(PyExc_ValueError, "only a fresh block can be sent");
    mh_arena *arena = &block->owner->arena;
    mh_message message = {.kind = kind | MH_KIND_PARCEL, .parts = 1, .heavy = (uint64_t)block->length, .arena = arena};
    message.parcel = (mh_parcel){arena->shared->id, (uint64_t)block->length, block->block, arena->shared->keeper_pid,
                                 arena->shared->keeper_fd, kind};
    mh_part part = {&message.parcel, sizeof message.parcel};
    message.part = &part;
    RingObject *self = (RingObject *)object;
    if (self->arena == NULL) self->arena = (ArenaObject *)Py_NewRef((PyObject *)block->owner);
    block->hold = HOLD_NOTHING; /* at once: another thread may try to send it too */
    PyObject *result = put_and_say(self, &message, deadline);
    if (result == NULL) block->hold = HOLD_FILLING;
    return result;
}

/* As many plain items of list[from:] as fit now, under one hold of the lock: how many. -1 with an error set. */
static Py_ssize_t put_batch(RingObject *self, PyObject *list, Py_ssize_t from, mh_status *status) {
    mh_batch batch;
    bool note_left = false;
    Py_ssize_t at = from, most = PyList_Size(list);
    if (most > from + BATCH_MOST) most = from + BATCH_MOST;
    *status = mh_ring_lock_write(&self->ring, MH_TRY, &batch, &note_left);
    if (*status != MH_OK) return 0;
    if (note_left) mh_parcel_settle_sending(&self->ring, arena_of(self->arena));
    for (plain item; at < most && *status == MH_OK && encode(self, PyList_GetItem(list, at), &item);) {
        *status = mh_message_add(&self->ring, &batch, &item.message, false);
        if (*status == MH_OK) at++;
    }
    mh_ring_submit(&self->ring, &batch);
    mh_ring_unlock_write(&self->ring);
    return at - from;
}

/* put_plain(list, from) -> how many items were put, without waiting; it stops at a full ring or an item not plain. */
static PyObject *ring_put_plain(PyObject *object, PyObject *args) {
    RingObject *self = (RingObject *)object;
    PyObject *list;
    Py_ssize_t from, done = 0, now;
    mh_status status = MH_OK;
    if (!PyArg_ParseTuple(args, "O!n", &PyList_Type, &list, &from)) return NULL;
    if (from < 0) return PyErr_Format(PyExc_ValueError, "from is %zd; it must be 0 or more", from);
    if (!enter(self)) return NULL;
    do done += now = put_batch(self, list, from + done, &status);
    while (now > 0 && status == MH_OK);
    leave(self);
    if (status != MH_OK && status != MH_AGAIN && done == 0) return mh_raise(status, "putting items");
    return PyLong_FromSsize_t(done);
}

/* ---- getting ---- */

/* The next entry, and a place for it when it is small: see take_small. */
typedef struct {
    mh_entry entry;
    bool taken; /* already, and copied to `small` */
    char small[SMALL_MOST];
} arrival;

static PyObject *decode_small(uint32_t kind, const char *bytes, Py_ssize_t length) {
    static PyObject *const atoms[] = {Py_None, Py_False, Py_True};
    int64_t integer;
    double real;
    switch (kind) {
    case MH_KIND_STR: return PyUnicode_DecodeUTF8(bytes, length, NULL);
    case MH_KIND_INT: return memcpy(&integer, bytes, sizeof integer), PyLong_FromLongLong(integer);
    case MH_KIND_FLOAT: return memcpy(&real, bytes, sizeof real), PyFloat_FromDouble(real);
    default: return Py_NewRef(atoms[(unsigned char)*bytes]);
    }
}

static bool small_is_sane(const mh_entry *entry) {
    switch (entry->kind) {
    case MH_KIND_INT: return entry->length == sizeof(int64_t);
    case MH_KIND_FLOAT: return entry->length == sizeof(double);
    case MH_KIND_ATOM: return entry->length == 1 && (unsigned char)*entry->bytes <= 2;
    default: return true;
    }
}

/* What can be made under the lock: plain objects, or the bytes of the rest. NULL with an error set. */
static PyObject *copy_out(const mh_entry *entry) {
    if (entry->kind >= MH_KIND_STR && entry->kind <= MH_KIND_ATOM)
        return decode_small(entry->kind, entry->bytes, (Py_ssize_t)entry->length);
    if (entry->kind == MH_KIND_BYTES || entry->kind == MH_KIND_PICKLE)
        return PyBytes_FromStringAndSize(entry->bytes, (Py_ssize_t)entry->length);
    return PyByteArray_FromStringAndSize(entry->bytes, (Py_ssize_t)entry->length);
}

/* Turn the bytes of kinds that need Python into the object; steals `raw`. */
static PyObject *finish(RingObject *self, uint32_t kind, PyObject *raw) {
    if (raw == NULL || kind < MH_KIND_PICKLE) return raw;
    leave(self);
    PyObject *object = kind == MH_KIND_PICKLE && !self->draining
                           ? PyObject_CallFunctionObjArgs(self->loads, raw, NULL)
                           : PyObject_CallFunction(self->draining ? self->discard : self->decode, "IO", kind, raw);
    self->users++;
    Py_DECREF(raw);
    return object;
}

static PyObject *take_inline(RingObject *self, const arrival *next) {
    const mh_entry *entry = &next->entry;
    bool sane = small_is_sane(entry);
    PyObject *raw = sane ? copy_out(entry) : NULL;
    if (!next->taken) {
        bool no_memory = sane && raw == NULL && PyErr_ExceptionMatches(PyExc_MemoryError);
        if (!no_memory) mh_ring_advance(&self->ring, entry); /* without memory it stays, for another time */
        mh_ring_unlock_read(&self->ring);
    }
    return sane ? finish(self, entry->kind, raw) : mh_raise(MH_CORRUPT, "taking an item");
}

/* Large bytes and str come out of their block by one copy, without the GIL. */
static PyObject *unpack_block(RingObject *self, uint32_t kind, BlockObject *block) {
    if (self->draining) return PyObject_CallFunction(self->discard, "IO", kind, block);
    if (kind == MH_KIND_STR) return PyUnicode_DecodeUTF8(block->bytes, block->length, NULL);
    if (kind != MH_KIND_BYTES) return PyObject_CallFunction(self->decode, "IO", kind, block);
    PyObject *bytes = PyBytes_FromStringAndSize(NULL, block->length);
    if (bytes == NULL) return NULL;
    char *to = PyBytes_AsString(bytes);
    Py_BEGIN_ALLOW_THREADS
    memcpy(to, block->bytes, (size_t)block->length);
    Py_END_ALLOW_THREADS
    return bytes;
}

static PyObject *raise_lost(void) {
    return mh_raise_named("manyhands.errors", "BrokenResourceError",
                          "the memory of this item was lost with the process that sent it; the next items are not affected");
}

/* The read lock is held, the arena is the right one and ready. */
static PyObject *take_parcel(RingObject *self, const mh_entry *entry, const mh_parcel *parcel) {
    ArenaObject *arena = self->arena;
    bool sane = mh_parcel_fits(&arena->arena, parcel) && parcel->length <= PY_SSIZE_T_MAX;
    bool claimed = sane && mh_parcel_take(&self->ring, entry, &arena->arena, parcel);
    if (!sane) mh_ring_advance(&self->ring, entry);
    mh_ring_unlock_read(&self->ring);
    if (!claimed) return sane ? raise_lost() : mh_raise(MH_CORRUPT, "taking an item");
    BlockObject *block = mh_block_new(arena, parcel->block, (Py_ssize_t)parcel->length, HOLD_WHOLE);
    if (block == NULL) return mh_arena_release(&arena->arena, parcel->block), NULL;
    leave(self);
    PyObject *object = unpack_block(self, parcel->kind, block);
    Py_DECREF(block);
    self->users++;
    return object;
}

static bool arena_is_ready(RingObject *self, const mh_parcel *parcel) {
    return self->arena && self->arena->arena.shared->id == parcel->arena && self->arena->arena.who != 0 &&
           self->arena->arena.pid == getpid();
}

/* Get hold of the parcel's arena, with no lock held. */
static bool prepare_arena(RingObject *self, const mh_parcel *parcel) {
    leave(self);
    PyObject *found = PyObject_CallFunction(self->resolve, "KII", (unsigned long long)parcel->arena, parcel->keeper_pid,
                                            parcel->keeper_fd);
    self->users++;
    if (found == NULL) return false;
    if (Py_TYPE(found) != mh_ArenaType || ((ArenaObject *)found)->arena.shared->id != parcel->arena) {
        Py_DECREF(found);
        mh_raise(MH_CORRUPT, "finding an item's memory");
        return false;
    }
    PyObject *before = (PyObject *)self->arena;
    self->arena = (ArenaObject *)found;
    Py_XDECREF(before);
    mh_status status;
    Py_BEGIN_ALLOW_THREADS
    status = mh_arena_ready(arena_of((ArenaObject *)found)); /* kept by self, which this thread is inside of */
    Py_END_ALLOW_THREADS
    return status == MH_OK || mh_raise(status, "shared memory for large objects");
}

/* Is the error one that every later attempt would meet too? */
static bool is_definite(void) {
    static const char *const names[] = {"BrokenResourceError", "CorruptRingError", "OutOfMemoryError"};
    PyObject *kind, *value, *traceback, *home;
    bool found = false;
    PyErr_Fetch(&kind, &value, &traceback);
    home = PyImport_ImportModule("manyhands.errors");
    for (int i = 0; home != NULL && i < 3 && !found; i++) {
        PyObject *type = PyObject_GetAttrString(home, names[i]);
        found = type != NULL && PyErr_GivenExceptionMatches(kind, type);
        Py_XDECREF(type);
    }
    Py_XDECREF(home);
    PyErr_Restore(kind, value, traceback);
    return found;
}

/* An item that can never be had here is taken, so that the next ones can be. */
static void throw_away(RingObject *self, uint32_t count) {
    mh_entry entry;
    if (load_relaxed(&self->closing) || !is_definite()) return;
    if (mh_message_next(&self->ring, &entry, arena_of(self->arena), MH_TRY) != MH_OK) return;
    if (entry.count == count) mh_ring_advance(&self->ring, &entry);
    mh_ring_unlock_read(&self->ring);
}

/* A small entry is taken before the GIL is: else other processes' readers would wait for this one's threads. */
static void take_small(RingObject *self, arrival *next) {
    if (next->entry.kind & MH_KIND_PARCEL || next->entry.length > SMALL_MOST) return;
    memcpy(next->small, next->entry.bytes, next->entry.length);
    next->entry.bytes = next->small;
    mh_ring_advance(&self->ring, &next->entry);
    mh_ring_unlock_read(&self->ring);
    next->taken = true;
}

static mh_status wait_for_arrival(RingObject *self, arrival *next, ArenaObject *settler, uint64_t deadline) {
    mh_status status = mh_message_next(&self->ring, &next->entry, arena_of(settler), deadline);
    if (status == MH_OK) take_small(self, next);
    return status;
}

/* On MH_OK the read lock is held, unless the entry is `taken`. */
static mh_status next_arrival(RingObject *self, arrival *next, uint64_t deadline, bool *raised) {
    *raised = next->taken = false;
    mh_status status = mh_message_next(&self->ring, &next->entry, arena_of(self->arena), MH_TRY);
    if (status != MH_AGAIN || (deadline == MH_NO_WAIT && mh_ring_unread(&self->ring) == 0)) return status;
    WAIT_WITHOUT_GIL(self, status, *raised, wait_for_arrival(self, next, settler, deadline));
    return status;
}

/* NULL without an error set: look again. */
static PyObject *take(RingObject *self, const arrival *next) {
    mh_parcel parcel;
    const mh_entry *entry = &next->entry;
    if (!(entry->kind & MH_KIND_PARCEL)) return take_inline(self, next);
    mh_status status = mh_parcel_read(entry, &parcel);
    if (status == MH_OK && arena_is_ready(self, &parcel)) return take_parcel(self, entry, &parcel);
    if (status != MH_OK) mh_ring_advance(&self->ring, entry);
    mh_ring_unlock_read(&self->ring);
    if (status != MH_OK) return mh_raise(status, "taking an item");
    if (!prepare_arena(self, &parcel)) throw_away(self, entry->count);
    return NULL;
}

static PyObject *raise_empty(mh_status status) {
    if (status == MH_AGAIN || status == MH_TIMEOUT) return mh_raise_named("queue", "Empty", "");
    return mh_raise(status, "getting an item");
}

static PyObject *get_one(RingObject *self, uint64_t deadline, mh_status *status) {
    arrival next;
    bool raised;
    PyObject *object;
    do {
        if (load_relaxed(&self->closing) && !self->draining) return raise_closed();
        *status = next_arrival(self, &next, deadline, &raised);
        if (raised || *status != MH_OK) return NULL;
        object = take(self, &next);
    } while (object == NULL && !PyErr_Occurred());
    return object;
}

/* An error that get_many could not raise without losing what it had already got. */
static bool raise_held(RingObject *self) {
    PyObject *error = self->held_error;
    if (error == NULL) return false;
    self->held_error = NULL;
    PyErr_SetObject((PyObject *)Py_TYPE(error), error);
    Py_DECREF(error);
    return true;
}

static void hold_error(RingObject *self) {
    PyObject *kind, *value, *traceback;
    PyErr_Fetch(&kind, &value, &traceback);
    PyErr_NormalizeException(&kind, &value, &traceback);
    if (traceback != NULL) PyException_SetTraceback(value, traceback);
    Py_XDECREF(self->held_error);
    self->held_error = value;
    Py_XDECREF(kind);
    Py_XDECREF(traceback);
}

static PyObject *get_item(RingObject *self, PyObject *timeout) {
    uint64_t deadline;
    mh_status status;
    if (!mh_deadline(timeout, &deadline) || !enter(self)) return NULL;
    PyObject *item = raise_held(self) ? NULL : get_one(self, deadline, &status);
    leave(self);
    if (item == NULL && !PyErr_Occurred()) return raise_empty(status);
    return item;
}

static PyObject *ring_get(PyObject *object, PyObject *timeout) { return get_item((RingObject *)object, timeout); }

/* queue_get(block=True, timeout=None): what Queue.get is. */
static PyObject *ring_queue_get(PyObject *object, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames) {
    static const char *const names[] = {"block", "timeout"};
    PyObject *given[2] = {Py_True, Py_None}, *wait;
    if (!arguments("get", names, 2, args, nargs, kwnames, given)) return NULL;
    if (!wait_of(given[0], given[1], Py_False, &wait)) return NULL;
    return get_item((RingObject *)object, wait);
}

/* get_many(most, timeout): waits for the first item, then takes what is there. */
static PyObject *ring_get_many(PyObject *object, PyObject *args) {
    RingObject *self = (RingObject *)object;
    Py_ssize_t most;
    PyObject *timeout, *item;
    uint64_t deadline;
    mh_status status = MH_OK;
    if (!PyArg_ParseTuple(args, "nO", &most, &timeout) || !mh_deadline(timeout, &deadline)) return NULL;
    PyObject *list = PyList_New(0);
    if (list == NULL || !enter(self)) return Py_XDECREF(list), NULL;
    if (!raise_held(self))
        while (PyList_Size(list) < most && (item = get_one(self, deadline, &status)) != NULL) {
            PyList_Append(list, item);
            Py_DECREF(item);
            deadline = MH_NO_WAIT;
        }
    leave(self);
    bool some = PyList_Size(list) > 0;
    if (some && PyErr_Occurred()) hold_error(self);
    if (some) return list;
    Py_DECREF(list);
    return PyErr_Occurred() ? NULL : raise_empty(status);
}

/* Take all that is there; what is not plain goes to discard(kind, buffer), whose errors are nobody's. */
static void drain(RingObject *self) {
    mh_status status;
    self->draining = true;
    for (uint32_t left = mh_ring_unread(&self->ring); left > 0; left--) {
        Py_XDECREF(get_one(self, MH_NO_WAIT, &status));
        if (PyErr_Occurred()) PyErr_WriteUnraisable(self->discard);
    }
    self->draining = false;
}

static mh_status wait_for_some(mh_ring *ring, mh_arena *settler, uint64_t deadline) {
    mh_entry entry;
    mh_status status = mh_message_next(ring, &entry, settler, deadline);
    if (status == MH_OK) mh_ring_unlock_read(ring);
    return status;
}

/* wait(timeout) -> is there an entry? */
static PyObject *ring_wait(PyObject *object, PyObject *timeout) {
    RingObject *self = (RingObject *)object;
    uint64_t deadline;
    bool raised = false;
    if (!mh_deadline(timeout, &deadline) || !enter(self)) return NULL;
    mh_status status = MH_OK;
    if (mh_ring_unread(&self->ring) == 0)
        WAIT_WITHOUT_GIL(self, status, raised, wait_for_some(&self->ring, arena_of(settler), deadline));
    leave(self);
    if (raised) return NULL;
    if (status == MH_OK || status == MH_AGAIN || status == MH_TIMEOUT) return PyBool_FromLong(status == MH_OK);
    return mh_raise(status, "waiting for an item");
}

/* ---- done and join ---- */

static mh_status wait_on(RingObject *self, mh_status (*call)(mh_ring *, uint64_t), uint64_t deadline, bool *raised) {
    mh_status status;
    WAIT_WITHOUT_GIL(self, status, *raised, call(&self->ring, deadline));
    return status;
}

static PyObject *ring_done(PyObject *object, PyObject *ignored) {
    RingObject *self = (RingObject *)object;
    bool raised;
    (void)ignored;
    if (!enter(self)) return NULL;
    mh_status status = wait_on(self, mh_ring_done, MH_FOREVER, &raised);
    leave(self);
    if (raised) return NULL;
    if (status == MH_AGAIN) return PyErr_Format(PyExc_ValueError, "task_done() called more often than items were put");
    if (status != MH_OK) return mh_raise(status, "task_done()");
    Py_RETURN_NONE;
}

/* join(timeout) -> were all items dealt with in time? */
static PyObject *ring_join(PyObject *object, PyObject *timeout) {
    RingObject *self = (RingObject *)object;
    uint64_t deadline;
    bool raised;
    if (!mh_deadline(timeout, &deadline) || !enter(self)) return NULL;
    mh_status status = wait_on(self, mh_ring_join, deadline, &raised);
    leave(self);
    if (raised) return NULL;
    if (status == MH_OK || status == MH_TIMEOUT || status == MH_AGAIN) return PyBool_FromLong(status == MH_OK);
    return mh_raise(status, "join()");
}

/* ---- making, closing, looking ---- */

/* The codec: (loads, decode, resolve, slow_put, discard, inline_most). */
static RingObject *make(PyObject *type, PyObject *codec) {
    PyObject *functions[5];
    Py_ssize_t inline_most;
    if (!PyArg_ParseTuple(codec, "OOOOOn", &functions[0], &functions[1], &functions[2], &functions[3], &functions[4],
                          &inline_most))
        return NULL;
    RingObject *self = (RingObject *)PyType_GenericAlloc((PyTypeObject *)type, 0);
    if (self == NULL) return NULL;
    self->ring.fd = -1;
    self->pid = mh_pid();
    self->inline_most = inline_most;
    self->loads = Py_NewRef(functions[0]);
    self->decode = Py_NewRef(functions[1]);
    self->resolve = Py_NewRef(functions[2]);
    self->slow_put = Py_NewRef(functions[3]);
    self->discard = Py_NewRef(functions[4]);
    return self;
}

static PyObject *made(RingObject *self, mh_status status, const char *what) {
    if (status == MH_OK) return (PyObject *)self;
    Py_DECREF(self);
    return mh_raise(status, what);
}

/* create((max_items, levels, slots, data, max_heavy), codec) */
static PyObject *ring_create(PyObject *type, PyObject *args) {
    mh_ring_options options;
    unsigned long long data, heavy;
    PyObject *codec;
    if (!PyArg_ParseTuple(args, "(IIIKK)O!", &options.max_items, &options.levels, &options.slots, &data, &heavy,
                          &PyTuple_Type, &codec))
        return NULL;
    options.data = data;
    options.max_heavy = heavy;
    RingObject *self = make(type, codec);
    return self ? made(self, mh_ring_create(&self->ring, &options), "making a queue") : NULL;
}

/* attach(fd, codec): takes fd over when it succeeds. */
static PyObject *ring_attach(PyObject *type, PyObject *args) {
    int fd;
    PyObject *codec;
    if (!PyArg_ParseTuple(args, "iO!", &fd, &PyTuple_Type, &codec)) return NULL;
    RingObject *self = make(type, codec);
    return self ? made(self, mh_ring_attach(&self->ring, fd), "attaching a queue") : NULL;
}

/* Wake every sleeper on every word, so that this process's own notice that they are cancelled. */
static void wake_all(mh_ring *ring) {
    mh_ring_header *shared = ring->shared;
    mh_atomic32 *words[] = {&shared->tail.word,      &shared->head.word,      &shared->done.word,     &shared->read_lock.word,
                            &shared->write_lock.word, &shared->done_lock.word, &shared->join_lock.word};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) mh_futex_wake(words[i], INT32_MAX);
}

static void wait_until_nobody_is_inside(RingObject *self) {
    forget_parents_threads(self);
    store_release(&self->closing, 1);
    while (self->users > 0) { /* threads of this process: they leave at their next wake */
        mh_atomic32 nobody = 0;
        Py_BEGIN_ALLOW_THREADS
        wake_all(&self->ring);
        mh_futex_wait(&nobody, 0, mh_now_ns() + 1000000);
        Py_END_ALLOW_THREADS
    }
}

/* One holder less; the last one frees what nobody will read. */
static void let_go(RingObject *self) {
    if (self->ring.shared == NULL) return;
    store_release(&self->closing, 1);
    if (add_acq_rel(&self->ring.shared->holders, (uint32_t)-1) == 1) drain(self);
    mh_ring_detach(&self->ring);
}

static PyObject *ring_close(PyObject *object, PyObject *ignored) {
    RingObject *self = (RingObject *)object;
    (void)ignored;
    if (load_relaxed(&self->closing) || self->ring.shared == NULL) Py_RETURN_NONE;
    wait_until_nobody_is_inside(self);
    let_go(self);
    Py_RETURN_NONE;
}

static int ring_traverse(PyObject *object, visitproc visit, void *arg) {
    RingObject *self = (RingObject *)object;
    Py_VISIT(self->arena);
    Py_VISIT(self->loads);
    Py_VISIT(self->decode);
    Py_VISIT(self->resolve);
    Py_VISIT(self->slow_put);
    Py_VISIT(self->discard);
    Py_VISIT(self->held_error);
    Py_VISIT(Py_TYPE(object));
    return 0;
}

static int ring_clear(PyObject *object) {
    RingObject *self = (RingObject *)object;
    Py_CLEAR(self->loads);
    Py_CLEAR(self->decode);
    Py_CLEAR(self->resolve);
    Py_CLEAR(self->slow_put);
    Py_CLEAR(self->discard);
    Py_CLEAR(self->held_error);
    return 0;
}

static void ring_dealloc(PyObject *object) {
    RingObject *self = (RingObject *)object;
    PyTypeObject *type = Py_TYPE(object);
    PyObject *kind, *value, *traceback;
    PyObject_GC_UnTrack(object);
    PyErr_Fetch(&kind, &value, &traceback);
    let_go(self);
    PyErr_Restore(kind, value, traceback);
    ring_clear(object);
    Py_CLEAR(self->arena);
    PyObject_GC_Del(object);
    Py_DECREF(type);
}

/* add_holder(n) -> how many holders there are then. */
static PyObject *ring_add_holder(PyObject *object, PyObject *value) {
    RingObject *self = (RingObject *)object;
    long n = PyLong_AsLong(value);
    if (n == -1 && PyErr_Occurred()) return NULL;
    if (self->ring.shared == NULL) return raise_closed();
    return PyLong_FromUnsignedLong(add_acq_rel(&self->ring.shared->holders, (uint32_t)n) + (uint32_t)n);
}

static PyObject *ring_fd(PyObject *object, void *ignored) {
    (void)ignored;
    return PyLong_FromLong(((RingObject *)object)->ring.fd);
}

static PyObject *ring_unread(PyObject *object, void *ignored) {
    RingObject *self = (RingObject *)object;
    (void)ignored;
    return self->ring.shared == NULL ? raise_closed() : PyLong_FromUnsignedLong(mh_ring_unread(&self->ring));
}

static PyObject *ring_max_items(PyObject *object, void *ignored) {
    RingObject *self = (RingObject *)object;
    (void)ignored;
    return self->ring.shared == NULL ? raise_closed() : PyLong_FromUnsignedLong(self->ring.shared->max_items);
}

static PyObject *ring_closed(PyObject *object, void *ignored) {
    RingObject *self = (RingObject *)object;
    (void)ignored;
    return PyBool_FromLong(load_relaxed(&self->closing) || self->ring.shared == NULL);
}

static PyMethodDef methods[] = {
    {"create", ring_create, METH_VARARGS | METH_CLASS, "A new ring."},
    {"attach", ring_attach, METH_VARARGS | METH_CLASS, "The ring behind a descriptor."},
    {"put", (PyCFunction)(void (*)(void))ring_put, METH_FASTCALL, "put(object, timeout) -> sent, or False: not plain."},
    {"queue_put", (PyCFunction)(void (*)(void))ring_queue_put, METH_FASTCALL | METH_KEYWORDS,
     "queue_put(obj, block=True, timeout=None)"},
    {"queue_get", (PyCFunction)(void (*)(void))ring_queue_get, METH_FASTCALL | METH_KEYWORDS,
     "queue_get(block=True, timeout=None)"},
    {"put_plain", ring_put_plain, METH_VARARGS, "put_plain(list, from) -> how many were put without waiting."},
    {"send", ring_send, METH_VARARGS, "send(kind, parts, heavy, timeout)"},
    {"send_block", ring_send_block, METH_VARARGS, "send_block(kind, block, timeout)"},
    {"get", ring_get, METH_O, "get(timeout) -> the next object."},
    {"get_many", ring_get_many, METH_VARARGS, "get_many(most, timeout) -> list"},
    {"wait", ring_wait, METH_O, "wait(timeout) -> is there something to get?"},
    {"done", ring_done, METH_NOARGS, "One more item was dealt with."},
    {"join", ring_join, METH_O, "join(timeout) -> were all items dealt with?"},
    {"close", ring_close, METH_NOARGS, "Let go; threads inside get an error. The last holder drains it."},
    {"add_holder", ring_add_holder, METH_O, "Count holders; returns how many there are."},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef getset[] = {
    {"fd", ring_fd, NULL, "Its descriptor.", NULL},
    {"unread", ring_unread, NULL, "How many entries wait.", NULL},
    {"max_items", ring_max_items, NULL, "How many may wait; 0: no limit.", NULL},
    {"closed", ring_closed, NULL, "Was it closed in this process?", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_doc, "Messages from any process to any process, in order, each to one reader."},
    {Py_tp_dealloc, ring_dealloc},
    {Py_tp_traverse, ring_traverse},
    {Py_tp_clear, ring_clear},
    {Py_tp_methods, methods},
    {Py_tp_getset, getset},
    {0, NULL},
};

PyType_Spec mh_ring_spec = {"manyhands._native.Ring", sizeof(RingObject), 0,
                            Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_HAVE_GC, slots};

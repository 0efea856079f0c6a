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

typedef struct {
    PyObject_HEAD
    mh_ring ring;
    ArenaObject *arena; /* the last one that a parcel was in; also settles the notes of the dead */
    PyObject *loads;    /* loads(bytes) -> object */
    PyObject *decode;   /* decode(kind, buffer) -> object */
    PyObject *resolve;  /* resolve(arena id, keeper pid, keeper fd) -> Arena */
    Py_ssize_t inline_most;
    PyObject *discard;  /* while draining: called in place of loads and decode */
    uint32_t users;
    mh_atomic32 closing;
} RingObject;

static mh_arena *settler(RingObject *self) { return self->arena ? &self->arena->arena : NULL; }

static PyObject *raise_closed(void) {
    return mh_raise_named("manyhands.errors", "ClosedResourceError",
                          "this queue or connection is closed in this process; use it before close(), or make another");
}

static bool enter(RingObject *self) {
    if (load_relaxed(&self->closing)) return raise_closed(), false;
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

/* First as it is, then without the GIL, waiting. Large copies are made without the GIL too. */
static mh_status put_message(RingObject *self, const mh_message *message, uint64_t deadline, bool *raised) {
    mh_status status = mh_message_put(&self->ring, message, settler(self), MH_NO_WAIT, deadline == MH_NO_WAIT);
    *raised = false;
    if (status != MH_AGAIN || deadline == MH_NO_WAIT) return status;
    do {
        Py_BEGIN_ALLOW_THREADS
        mh_cancelled = &self->closing;
        status = mh_message_put(&self->ring, message, settler(self), deadline, false);
        mh_cancelled = NULL;
        Py_END_ALLOW_THREADS
        *raised = status == MH_INTERRUPTED && !go_on(self);
    } while (status == MH_INTERRUPTED && !*raised);
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

/* put(object, timeout): True when sent, False when the object is not plain and must be serialized first. */
static PyObject *ring_put(PyObject *object, PyObject *const *args, Py_ssize_t nargs) {
    RingObject *self = (RingObject *)object;
    uint64_t deadline;
    plain item;
    if (nargs != 2) return PyErr_Format(PyExc_TypeError, "put() takes an object and a timeout");
    if (!mh_deadline(args[1], &deadline)) return NULL;
    if (load_relaxed(&self->closing)) return raise_closed();
    if (!encode(self, args[0], &item)) return Py_NewRef(Py_False);
    return put_and_say(self, &item.message, deadline);
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
    PyObject *result = put_and_say((RingObject *)object, &message, deadline);
    if (result != NULL) block->hold = HOLD_NOTHING;
    return result;
}

/* As many plain items of list[from:] as fit now, under one hold of the lock: how many. -1 with an error set. */
static Py_ssize_t put_batch(RingObject *self, PyObject *list, Py_ssize_t from, mh_status *status) {
    mh_batch batch;
    bool note_left = false;
    Py_ssize_t at = from, most = PyList_Size(list);
    if (most > from + BATCH_MOST) most = from + BATCH_MOST;
    *status = mh_ring_lock_write(&self->ring, MH_NO_WAIT, &batch, &note_left);
    if (*status != MH_OK) return 0;
    if (note_left) mh_parcel_settle_sending(&self->ring, settler(self));
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
    if (!PyArg_ParseTuple(args, "O!n", &PyList_Type, &list, &from) || !enter(self)) return NULL;
    do done += now = put_batch(self, list, from + done, &status);
    while (now > 0 && status == MH_OK);
    leave(self);
    if (status != MH_OK && status != MH_AGAIN && done == 0) return mh_raise(status, "putting items");
    return PyLong_FromSsize_t(done);
}

/* ---- getting ---- */

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
    if (!small_is_sane(entry)) return mh_raise(MH_CORRUPT, "taking an item");
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
    PyObject *object = kind == MH_KIND_PICKLE && !self->discard
                           ? PyObject_CallFunctionObjArgs(self->loads, raw, NULL)
                           : PyObject_CallFunction(self->discard ? self->discard : self->decode, "IO", kind, raw);
    self->users++;
    Py_DECREF(raw);
    return object;
}

static PyObject *take_inline(RingObject *self, const mh_entry *entry) {
    PyObject *raw = copy_out(entry);
    if (raw != NULL || !PyErr_ExceptionMatches(PyExc_MemoryError)) mh_ring_advance(&self->ring, entry);
    mh_ring_unlock_read(&self->ring);
    return finish(self, entry->kind, raw);
}

/* Large bytes and str come out of their block by one copy, without the GIL. */
static PyObject *unpack_block(RingObject *self, uint32_t kind, BlockObject *block) {
    if (self->discard) return PyObject_CallFunction(self->discard, "IO", kind, block);
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
    mh_status status = mh_arena_ready(&self->arena->arena);
    return status == MH_OK || mh_raise(status, "shared memory for large objects");
}

/* An item that can never be had is taken, so that the next ones can be. */
static void throw_away(RingObject *self, uint32_t count) {
    mh_entry entry;
    if (mh_message_next(&self->ring, &entry, settler(self), MH_NO_WAIT) != MH_OK) return;
    if (entry.count == count) mh_ring_advance(&self->ring, &entry);
    mh_ring_unlock_read(&self->ring);
}

/* NULL without an error set: look again. */
static PyObject *take(RingObject *self, const mh_entry *entry) {
    mh_parcel parcel;
    if (!(entry->kind & MH_KIND_PARCEL)) return take_inline(self, entry);
    mh_status status = mh_parcel_read(entry, &parcel);
    if (status == MH_OK && arena_is_ready(self, &parcel)) return take_parcel(self, entry, &parcel);
    if (status != MH_OK) mh_ring_advance(&self->ring, entry);
    mh_ring_unlock_read(&self->ring);
    if (status != MH_OK) return mh_raise(status, "taking an item");
    if (!prepare_arena(self, &parcel) && !load_relaxed(&self->closing)) throw_away(self, entry->count);
    return NULL;
}

static mh_status next_entry(RingObject *self, mh_entry *entry, uint64_t deadline, bool *raised) {
    mh_status status = mh_message_next(&self->ring, entry, settler(self), MH_NO_WAIT);
    *raised = false;
    if (status != MH_AGAIN || deadline == MH_NO_WAIT) return status;
    do {
        Py_BEGIN_ALLOW_THREADS
        mh_cancelled = &self->closing;
        status = mh_message_next(&self->ring, entry, settler(self), deadline);
        mh_cancelled = NULL;
        Py_END_ALLOW_THREADS
        *raised = status == MH_INTERRUPTED && !go_on(self);
    } while (status == MH_INTERRUPTED && !*raised);
    return status;
}

static PyObject *raise_empty(mh_status status) {
    if (status == MH_AGAIN || status == MH_TIMEOUT) return mh_raise_named("queue", "Empty", "");
    return mh_raise(status, "getting an item");
}

static PyObject *get_one(RingObject *self, uint64_t deadline, mh_status *status) {
    mh_entry entry;
    bool raised;
    PyObject *object;
    do {
        if (load_relaxed(&self->closing)) return raise_closed();
        *status = next_entry(self, &entry, deadline, &raised);
        if (raised || *status != MH_OK) return NULL;
        object = take(self, &entry);
    } while (object == NULL && !PyErr_Occurred());
    return object;
}

static PyObject *ring_get(PyObject *object, PyObject *timeout) {
    RingObject *self = (RingObject *)object;
    uint64_t deadline;
    mh_status status;
    if (!mh_deadline(timeout, &deadline) || !enter(self)) return NULL;
    PyObject *item = get_one(self, deadline, &status);
    leave(self);
    if (item == NULL && !PyErr_Occurred()) return raise_empty(status);
    return item;
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
    while (PyList_Size(list) < most && (item = get_one(self, deadline, &status)) != NULL) {
        int appended = PyList_Append(list, item);
        Py_DECREF(item);
        if (appended < 0) break;
        deadline = MH_NO_WAIT;
    }
    leave(self);
    if (PyErr_Occurred() && PyList_Size(list) == 0) return Py_DECREF(list), NULL;
    if (PyErr_Occurred()) return Py_DECREF(list), NULL;
    if (PyList_Size(list) == 0 && status != MH_OK) return Py_DECREF(list), raise_empty(status);
    return list;
}

/* drain(discard): take all that is there; what is not plain goes to discard(kind, buffer), and nowhere else. */
static PyObject *ring_drain(PyObject *object, PyObject *discard) {
    RingObject *self = (RingObject *)object;
    PyObject *item;
    mh_status status;
    if (!enter(self)) return NULL;
    self->discard = discard;
    while ((item = get_one(self, MH_NO_WAIT, &status)) != NULL) Py_DECREF(item);
    self->discard = NULL;
    leave(self);
    if (PyErr_Occurred()) return NULL;
    Py_RETURN_NONE;
}

/* wait(timeout) -> is there an entry? */
static PyObject *ring_wait(PyObject *object, PyObject *timeout) {
    RingObject *self = (RingObject *)object;
    uint64_t deadline;
    mh_entry entry;
    bool raised;
    if (!mh_deadline(timeout, &deadline) || !enter(self)) return NULL;
    mh_status status = next_entry(self, &entry, deadline, &raised);
    if (status == MH_OK) mh_ring_unlock_read(&self->ring);
    leave(self);
    if (raised) return NULL;
    if (status == MH_OK || status == MH_AGAIN || status == MH_TIMEOUT) return PyBool_FromLong(status == MH_OK);
    return mh_raise(status, "waiting for an item");
}

/* ---- done and join ---- */

static mh_status wait_on(RingObject *self, mh_status (*call)(mh_ring *, uint64_t), uint64_t deadline, bool *raised) {
    mh_status status;
    do {
        Py_BEGIN_ALLOW_THREADS
        mh_cancelled = &self->closing;
        status = call(&self->ring, deadline);
        mh_cancelled = NULL;
        Py_END_ALLOW_THREADS
        *raised = status == MH_INTERRUPTED && !go_on(self);
    } while (status == MH_INTERRUPTED && !*raised);
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

static PyObject *make(PyObject *type, PyObject *loads, PyObject *decode, PyObject *resolve, Py_ssize_t inline_most) {
    RingObject *self = (RingObject *)PyType_GenericAlloc((PyTypeObject *)type, 0);
    if (self == NULL) return NULL;
    self->ring.fd = -1;
    self->loads = Py_NewRef(loads);
    self->decode = Py_NewRef(decode);
    self->resolve = Py_NewRef(resolve);
    self->inline_most = inline_most;
    return (PyObject *)self;
}

/* create((max_items, levels, slots, data, max_heavy), loads, decode, resolve, inline_most) */
static PyObject *ring_create(PyObject *type, PyObject *args) {
    mh_ring_options options;
    unsigned long long data, heavy;
    PyObject *loads, *decode, *resolve;
    Py_ssize_t inline_most;
    if (!PyArg_ParseTuple(args, "(IIIKK)OOOn", &options.max_items, &options.levels, &options.slots, &data, &heavy, &loads,
                          &decode, &resolve, &inline_most))
        return NULL;
    options.data = data;
    options.max_heavy = heavy;
    PyObject *self = make(type, loads, decode, resolve, inline_most);
    if (self == NULL) return NULL;
    mh_status status = mh_ring_create(&((RingObject *)self)->ring, &options);
    if (status == MH_OK) return self;
    Py_DECREF(self);
    return mh_raise(status, "making a queue");
}

/* attach(fd, loads, decode, resolve, inline_most): takes fd over when it succeeds. */
static PyObject *ring_attach(PyObject *type, PyObject *args) {
    int fd;
    PyObject *loads, *decode, *resolve;
    Py_ssize_t inline_most;
    if (!PyArg_ParseTuple(args, "iOOOn", &fd, &loads, &decode, &resolve, &inline_most)) return NULL;
    PyObject *self = make(type, loads, decode, resolve, inline_most);
    if (self == NULL) return NULL;
    mh_status status = mh_ring_attach(&((RingObject *)self)->ring, fd);
    if (status == MH_OK) return self;
    Py_DECREF(self);
    return mh_raise(status, "attaching a queue");
}

/* Wake every sleeper on every word, so that this process's own notice that they are cancelled. */
static void wake_all(mh_ring *ring) {
    mh_ring_header *shared = ring->shared;
    mh_atomic32 *words[] = {&shared->tail.word,      &shared->head.word,      &shared->done.word,     &shared->read_lock.word,
                            &shared->write_lock.word, &shared->done_lock.word, &shared->join_lock.word};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) mh_futex_wake(words[i], INT32_MAX);
}

static PyObject *ring_close(PyObject *object, PyObject *ignored) {
    RingObject *self = (RingObject *)object;
    (void)ignored;
    if (load_relaxed(&self->closing) || self->ring.shared == NULL) Py_RETURN_NONE;
    store_release(&self->closing, 1);
    while (self->users > 0) { /* threads of this process are inside: they leave at their next wake */
        mh_atomic32 nobody = 0;
        Py_BEGIN_ALLOW_THREADS
        wake_all(&self->ring);
        mh_futex_wait(&nobody, 0, mh_now_ns() + 1000000);
        Py_END_ALLOW_THREADS
    }
    mh_ring_detach(&self->ring);
    Py_RETURN_NONE;
}

static int ring_traverse(PyObject *object, visitproc visit, void *arg) {
    RingObject *self = (RingObject *)object;
    Py_VISIT(self->arena);
    Py_VISIT(self->loads);
    Py_VISIT(self->decode);
    Py_VISIT(self->resolve);
    Py_VISIT(Py_TYPE(object));
    return 0;
}

static int ring_clear(PyObject *object) {
    RingObject *self = (RingObject *)object;
    Py_CLEAR(self->loads);
    Py_CLEAR(self->decode);
    Py_CLEAR(self->resolve);
    return 0;
}

static void ring_dealloc(PyObject *object) {
    RingObject *self = (RingObject *)object;
    PyTypeObject *type = Py_TYPE(object);
    PyObject_GC_UnTrack(object);
    if (self->ring.shared != NULL) mh_ring_detach(&self->ring);
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
    {"put_plain", ring_put_plain, METH_VARARGS, "put_plain(list, from) -> how many were put without waiting."},
    {"send", ring_send, METH_VARARGS, "send(kind, parts, heavy, timeout)"},
    {"send_block", ring_send_block, METH_VARARGS, "send_block(kind, block, timeout)"},
    {"get", ring_get, METH_O, "get(timeout) -> the next object."},
    {"get_many", ring_get_many, METH_VARARGS, "get_many(most, timeout) -> list"},
    {"drain", ring_drain, METH_O, "drain(discard): take everything; discard(kind, buffer) sees what is not plain."},
    {"wait", ring_wait, METH_O, "wait(timeout) -> is there something to get?"},
    {"done", ring_done, METH_NOARGS, "One more item was dealt with."},
    {"join", ring_join, METH_O, "join(timeout) -> were all items dealt with?"},
    {"close", ring_close, METH_NOARGS, "Let go of it; threads inside get an error."},
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

/* Getting, for Python: plain objects are decoded here, everything else by the codec. See module_ring.h. */
#include "module_ring.h"

#include <string.h>
#include <unistd.h>

#define SMALL_MOST 4096 /* bytes of an entry that is taken before the GIL is */

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
    mh_ring_leave(self);
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
    mh_ring_leave(self);
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
    mh_ring_leave(self);
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
    status = mh_arena_ready(mh_arena_of((ArenaObject *)found)); /* kept by self, which this thread is inside of */
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
    if (mh_message_next(&self->ring, &entry, mh_arena_of(self->arena), MH_TRY) != MH_OK) return;
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
    mh_status status = mh_message_next(&self->ring, &next->entry, mh_arena_of(settler), deadline);
    if (status == MH_OK) take_small(self, next);
    return status;
}

/* On MH_OK the read lock is held, unless the entry is `taken`. */
static mh_status next_arrival(RingObject *self, arrival *next, uint64_t deadline, bool *raised) {
    *raised = next->taken = false;
    mh_status status = mh_message_next(&self->ring, &next->entry, mh_arena_of(self->arena), MH_TRY);
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
        if (load_relaxed(&self->closing) && !self->draining) return mh_raise_closed();
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
    if (!mh_deadline(timeout, &deadline) || !mh_ring_enter(self)) return NULL;
    PyObject *item = raise_held(self) ? NULL : get_one(self, deadline, &status);
    mh_ring_leave(self);
    if (item == NULL && !PyErr_Occurred()) return raise_empty(status);
    return item;
}

PyObject *mh_ring_get(PyObject *object, PyObject *timeout) { return get_item((RingObject *)object, timeout); }

/* queue_get(block=True, timeout=None): what Queue.get is. */
PyObject *mh_ring_queue_get(PyObject *object, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames) {
    static const char *const names[] = {"block", "timeout"};
    PyObject *given[2] = {Py_True, Py_None}, *wait;
    if (!mh_arguments("get", names, 2, args, nargs, kwnames, given)) return NULL;
    if (!mh_wait_of(given[0], given[1], &wait)) return NULL;
    return get_item((RingObject *)object, wait);
}

/* get_many(most, timeout): waits for the first item, then takes what is there. */
PyObject *mh_ring_get_many(PyObject *object, PyObject *args) {
    RingObject *self = (RingObject *)object;
    Py_ssize_t most;
    PyObject *timeout, *item;
    uint64_t deadline;
    mh_status status = MH_OK;
    if (!PyArg_ParseTuple(args, "nO", &most, &timeout) || !mh_deadline(timeout, &deadline)) return NULL;
    PyObject *list = PyList_New(0);
    if (list == NULL || !mh_ring_enter(self)) return Py_XDECREF(list), NULL;
    if (!raise_held(self))
        while (PyList_Size(list) < most && (item = get_one(self, deadline, &status)) != NULL) {
            PyList_Append(list, item);
            Py_DECREF(item);
            deadline = MH_NO_WAIT;
        }
    mh_ring_leave(self);
    bool some = PyList_Size(list) > 0;
    if (some && PyErr_Occurred()) hold_error(self);
    if (some) return list;
    Py_DECREF(list);
    return PyErr_Occurred() ? NULL : raise_empty(status);
}

/* Take all that is there; what is not plain goes to discard(kind, buffer), whose errors are nobody's. */
void mh_ring_drain(RingObject *self) {
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
PyObject *mh_ring_wait(PyObject *object, PyObject *timeout) {
    RingObject *self = (RingObject *)object;
    uint64_t deadline;
    bool raised = false;
    if (!mh_deadline(timeout, &deadline) || !mh_ring_enter(self)) return NULL;
    mh_status status = MH_OK;
    if (mh_ring_unread(&self->ring) == 0)
        WAIT_WITHOUT_GIL(self, status, raised, wait_for_some(&self->ring, mh_arena_of(settler), deadline));
    mh_ring_leave(self);
    if (raised) return NULL;
    if (status == MH_OK || status == MH_AGAIN || status == MH_TIMEOUT) return PyBool_FromLong(status == MH_OK);
    return mh_raise(status, "waiting for an item");
}

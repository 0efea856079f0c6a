/* Putting, for Python: plain objects are encoded here, everything else by the codec. See module_ring.h. */
#include "module_ring.h"

#include <string.h>

#define PARTS_MOST (1 << 20)
#define BATCH_MOST 256 /* entries put under one hold of the lock */

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

/* First as it is, then without the GIL, waiting. */
static mh_status put_message(RingObject *self, const mh_message *message, uint64_t deadline, bool *raised) {
    bool at_once = deadline == MH_NO_WAIT;
    mh_status status = mh_message_put(&self->ring, message, mh_arena_of(self->arena), MH_TRY, at_once);
    *raised = false;
    if (status != MH_AGAIN) return status;
    WAIT_WITHOUT_GIL(self, status, *raised,
                     mh_message_put(&self->ring, message, mh_arena_of(settler), deadline, at_once));
    return status;
}

static PyObject *put_and_say(RingObject *self, const mh_message *message, uint64_t deadline) {
    bool raised;
    if (!mh_ring_enter(self)) return NULL;
    mh_status status = put_message(self, message, deadline, &raised);
    mh_ring_leave(self);
    if (raised) return NULL;
    return status == MH_OK ? Py_NewRef(Py_True) : raise_full(status);
}

/* Put what is plain; -1 with an error set, 0 when it is not plain, 1 when done. */
static int put_if_plain(RingObject *self, PyObject *object, PyObject *timeout) {
    uint64_t deadline;
    plain item;
    if (!mh_deadline(timeout, &deadline)) return -1;
    if (load_relaxed(&self->closing)) return mh_raise_closed(), -1;
    if (!encode(self, object, &item)) return 0;
    PyObject *done = put_and_say(self, &item.message, deadline);
    Py_XDECREF(done);
    return done == NULL ? -1 : 1;
}

/* put(object, timeout): True when sent, False when the object is not plain and must be serialized first. */
PyObject *mh_ring_put(PyObject *object, PyObject *const *args, Py_ssize_t nargs) {
    if (nargs != 2) return PyErr_Format(PyExc_TypeError, "put() takes an object and a timeout");
    int done = put_if_plain((RingObject *)object, args[0], args[1]);
    return done < 0 ? NULL : PyBool_FromLong(done);
}

/* queue_put(obj, block=True, timeout=None): what Queue.put is. */
PyObject *mh_ring_queue_put(PyObject *object, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames) {
    static const char *const names[] = {"obj", "block", "timeout"};
    RingObject *self = (RingObject *)object;
    PyObject *given[3] = {NULL, Py_True, Py_None}, *wait;
    if (!mh_arguments("put", names, 3, args, nargs, kwnames, given)) return NULL;
    if (given[0] == NULL) return PyErr_Format(PyExc_TypeError, "put() missing 1 required argument: 'obj'");
    if (!mh_wait_of(given[1], given[2], &wait)) return NULL;
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
PyObject *mh_ring_send(PyObject *object, PyObject *args) {
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
PyObject *mh_ring_send_block(PyObject *object, PyObject *args) {
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
    if (note_left) mh_parcel_settle_sending(&self->ring, mh_arena_of(self->arena));
    for (plain item; at < most && *status == MH_OK && encode(self, PyList_GetItem(list, at), &item);) {
        *status = mh_message_add(&self->ring, &batch, &item.message, false);
        if (*status == MH_OK) at++;
    }
    mh_ring_submit(&self->ring, &batch);
    mh_ring_unlock_write(&self->ring);
    return at - from;
}

/* put_plain(list, from) -> how many items were put, without waiting; it stops at a full ring or an item not plain. */
PyObject *mh_ring_put_plain(PyObject *object, PyObject *args) {
    RingObject *self = (RingObject *)object;
    PyObject *list;
    Py_ssize_t from, done = 0, now;
    mh_status status = MH_OK;
    if (!PyArg_ParseTuple(args, "O!n", &PyList_Type, &list, &from)) return NULL;
    if (from < 0) return PyErr_Format(PyExc_ValueError, "from is %zd; it must be 0 or more", from);
    if (!mh_ring_enter(self)) return NULL;
    do done += now = put_batch(self, list, from + done, &status);
    while (now > 0 && status == MH_OK);
    mh_ring_leave(self);
    if (status != MH_OK && status != MH_AGAIN && done == 0) return mh_raise(status, "putting items");
    return PyLong_FromSsize_t(done);
}

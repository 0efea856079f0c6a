/* Arena and Block for Python. A Block is a buffer; memoryviews and arrays on it keep it, and it frees its memory. */
#include "module.h"

#include <stdlib.h>
#include <string.h>
#include <structmember.h>
#include <unistd.h>

#define ALIGN 64 /* each part of a message begins at a cache line */

/* ---- Block ---- */

/* A hold that ended after a fork: the child may see the memory as long as it lives. Guarded by the GIL. */
typedef struct {
    ArenaObject *owner;
    uint32_t block, first_fork, last_fork;
    int hold;
} pin;

static pin *pins;
static size_t pinned, pins_room;
static uint32_t holds;

static void end_hold(mh_arena *arena, uint32_t block, int hold) {
    if (hold == HOLD_FILLING) mh_arena_abandon(arena, block);
    else if (hold == HOLD_WHOLE) mh_arena_release(arena, block);
    else if (hold == HOLD_SHARED) mh_arena_drop(arena, block);
}

static void pin_hold(const BlockObject *block, int hold) {
    if (pinned == pins_room) {
        pin *larger = realloc(pins, (2 * pins_room + 16) * sizeof *pins);
        if (larger == NULL) return; /* then it stays held until this process ends */
        pins = larger;
        pins_room = 2 * pins_room + 16;
    }
    ArenaObject *owner = (ArenaObject *)Py_NewRef((PyObject *)block->owner);
    pins[pinned++] = (pin){owner, block->block, block->forks + 1, mh_forks, hold};
}

/* May a child of one of these forks see it? -1 with an error set. */
static int is_seen(const pin *one, PyObject *forks) {
    Py_ssize_t n = PyTuple_Size(forks);
    for (Py_ssize_t i = 0; i < n; i++) {
        unsigned long fork = PyLong_AsUnsignedLong(PyTuple_GetItem(forks, i));
        if (fork == (unsigned long)-1 && PyErr_Occurred()) return -1;
        if (fork >= one->first_fork && fork <= one->last_fork) return 1;
    }
    return 0;
}

PyObject *mh_holds(PyObject *module, PyObject *ignored) {
    (void)module, (void)ignored;
    return PyLong_FromUnsignedLong(holds);
}

PyObject *mh_release_pinned(PyObject *module, PyObject *open_forks) {
    (void)module;
    if (!PyTuple_Check(open_forks)) return PyErr_Format(PyExc_TypeError, "release_pinned() takes a tuple");
    for (size_t i = 0; i < pinned;) {
        int seen = is_seen(&pins[i], open_forks);
        if (seen < 0) return NULL;
        if (seen) {
            i++;
            continue;
        }
        pin done = pins[i];
        pins[i] = pins[--pinned];
        end_hold(&done.owner->arena, done.block, done.hold);
        Py_DECREF((PyObject *)done.owner);
    }
    return PyLong_FromSize_t(pinned);
}

BlockObject *mh_block_new(ArenaObject *owner, uint32_t block, Py_ssize_t length, int hold) {
    BlockObject *self = PyObject_New(BlockObject, mh_BlockType);
    if (self == NULL) return NULL;
    self->owner = (ArenaObject *)Py_NewRef((PyObject *)owner);
    self->bytes = mh_arena_bytes(&owner->arena, block) + (hold == HOLD_SHARED ? MH_SHARED_PREFIX : 0);
    self->length = length;
    self->block = block;
    self->forks = mh_forks;
    self->pid = mh_pid();
    holds++;
    self->weakrefs = NULL;
    self->hold = hold;
    return self;
}

static void block_let_go(BlockObject *self) {
    int hold = self->hold;
    self->hold = HOLD_NOTHING;
    if (self->pid != mh_pid()) return;
    holds--;
    if (hold == HOLD_NOTHING || self->owner->arena.shared == NULL) return;
    if (self->forks != mh_forks) pin_hold(self, hold);
    else end_hold(&self->owner->arena, self->block, hold);
}

static void block_dealloc(PyObject *object) {
    BlockObject *self = (BlockObject *)object;
    PyTypeObject *type = Py_TYPE(object);
    if (self->weakrefs != NULL) PyObject_ClearWeakRefs(object);
    block_let_go(self);
    Py_DECREF(self->owner);
    PyObject_Free(self);
    Py_DECREF(type);
}

static int block_getbuffer(PyObject *object, Py_buffer *view, int flags) {
    BlockObject *self = (BlockObject *)object;
    if (self->hold == HOLD_NOTHING) {
        PyErr_SetString(PyExc_BufferError, "this block was sent or released");
        return -1;
    }
    return PyBuffer_FillInfo(view, object, self->bytes, self->length, 0, flags);
}

static bool copy_parts(PyObject *parts, char *to, Py_ssize_t room) {
    Py_ssize_t n = PyTuple_Size(parts), at = 0;
    for (Py_ssize_t i = 0; i < n; i++) {
        Py_buffer part;
        PyObject *item = PyTuple_GetItem(parts, i);
        if (item == NULL || PyObject_GetBuffer(item, &part, PyBUF_SIMPLE) < 0) return false;
        bool enough = part.len <= room - at;
        if (enough) {
            Py_BEGIN_ALLOW_THREADS
            memcpy(to + at, part.buf, (size_t)part.len);
            Py_END_ALLOW_THREADS
            at += (part.len + ALIGN - 1) / ALIGN * ALIGN;
            if (at > room) at = room;
        }
        PyBuffer_Release(&part);
        if (!enough) {
            PyErr_SetString(PyExc_ValueError, "the parts are larger than the block");
            return false;
        }
    }
    return true;
}

static PyObject *block_fill(PyObject *object, PyObject *parts) {
    BlockObject *self = (BlockObject *)object;
    if (!PyTuple_Check(parts)) return PyErr_Format(PyExc_TypeError, "fill() takes a tuple of buffers");
    if (self->hold == HOLD_NOTHING) return PyErr_Format(PyExc_BufferError, "this block was sent or released");
    if (!copy_parts(parts, self->bytes, self->length)) return NULL;
    Py_RETURN_NONE;
}

static PyObject *block_share(PyObject *object, PyObject *ignored) {
    BlockObject *self = (BlockObject *)object;
    (void)ignored;
    if (self->hold != HOLD_FILLING || self->length < MH_SHARED_PREFIX)
        return PyErr_Format(PyExc_ValueError, "only a fresh block can be shared");
    mh_arena_share(&self->owner->arena, self->block);
    self->hold = HOLD_SHARED;
    self->bytes += MH_SHARED_PREFIX;
    self->length -= MH_SHARED_PREFIX;
    Py_RETURN_NONE;
}

static PyObject *block_address(PyObject *object, void *ignored) {
    (void)ignored;
    return PyLong_FromVoidPtr(((BlockObject *)object)->bytes);
}

static PyMethodDef block_methods[] = {
    {"fill", block_fill, METH_O, "Copy a tuple of buffers in, each at the next multiple of 64 bytes."},
    {"share", block_share, METH_NOARGS, "From now on many processes may hold it; the first page goes to the counts."},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef block_members[] = {
    {"number", T_UINT, offsetof(BlockObject, block), READONLY, "Which block of the arena."},
    {"length", T_PYSSIZET, offsetof(BlockObject, length), READONLY, "Its bytes."},
    {"__weaklistoffset__", T_PYSSIZET, offsetof(BlockObject, weakrefs), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyGetSetDef block_getset[] = {
    {"address", block_address, NULL, "Where it begins in this process.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot block_slots[] = {
    {Py_tp_doc, "A piece of the arena, held by this object: `memoryview(block)` is its bytes."},
    {Py_tp_dealloc, block_dealloc},
    {Py_tp_methods, block_methods},
    {Py_tp_members, block_members},
    {Py_tp_getset, block_getset},
    {Py_bf_getbuffer, block_getbuffer},
    {0, NULL},
};

PyType_Spec mh_block_spec = {"manyhands._native.Block", sizeof(BlockObject), 0,
                             Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION, block_slots};

/* ---- Arena ---- */

static PyObject *new_arena(PyObject *type, mh_status (*make)(mh_arena *, PyObject *), PyObject *args) {
    PyObject *self = PyType_GenericAlloc((PyTypeObject *)type, 0);
    if (self == NULL) return NULL;
    ((ArenaObject *)self)->arena.fd = -1;
    mh_status status = make(&((ArenaObject *)self)->arena, args);
    if (status == MH_OK) return self;
    Py_DECREF(self);
    if (status == MH_AGAIN) return NULL; /* the arguments were wrong, and it is said */
    return mh_raise(status, "shared memory for large objects");
}

static mh_status make_new(mh_arena *arena, PyObject *args) {
    unsigned long long bytes, budget;
    if (!PyArg_ParseTuple(args, "KK", &bytes, &budget)) return MH_AGAIN;
    return mh_arena_create(arena, bytes, budget);
}

static mh_status make_attached(mh_arena *arena, PyObject *args) {
    int fd;
    unsigned long long budget;
    if (!PyArg_ParseTuple(args, "iK", &fd, &budget)) return MH_AGAIN;
    return mh_arena_attach(arena, fd, budget);
}

static PyObject *arena_create(PyObject *type, PyObject *args) { return new_arena(type, make_new, args); }
static PyObject *arena_attach(PyObject *type, PyObject *args) { return new_arena(type, make_attached, args); }

static void arena_dealloc(PyObject *object) {
    PyTypeObject *type = Py_TYPE(object);
    mh_arena_detach(&((ArenaObject *)object)->arena);
    PyObject_Free(object);
    Py_DECREF(type);
}

static PyObject *arena_alloc(PyObject *object, PyObject *value) {
    Py_ssize_t bytes = PyLong_AsSsize_t(value);
    uint32_t block;
    if (bytes == -1 && PyErr_Occurred()) return NULL;
    if (bytes < 0) return PyErr_Format(PyExc_ValueError, "cannot allocate %zd bytes", bytes);
    ArenaObject *self = (ArenaObject *)object;
    mh_status status;
    Py_BEGIN_ALLOW_THREADS
    status = mh_arena_alloc(&self->arena, (uint64_t)bytes, &block);
    Py_END_ALLOW_THREADS
    if (status != MH_OK) return mh_raise(status, "shared memory for a large object");
    BlockObject *made = mh_block_new(self, block, bytes, HOLD_FILLING);
    if (made == NULL) mh_arena_abandon(&self->arena, block);
    return (PyObject *)made;
}

/* hold(number) -> Block of a shared block that an entry or a holder of this process keeps alive meanwhile. */
static PyObject *arena_hold(PyObject *object, PyObject *value) {
    ArenaObject *self = (ArenaObject *)object;
    unsigned long block = PyLong_AsUnsignedLong(value);
    if (block == (unsigned long)-1 && PyErr_Occurred()) return NULL;
    mh_status status;
    Py_BEGIN_ALLOW_THREADS
    status = mh_arena_ready(&self->arena);
    Py_END_ALLOW_THREADS
    if (status == MH_OK && (block > UINT32_MAX || !mh_arena_is_shared(&self->arena, (uint32_t)block))) status = MH_CORRUPT;
    if (status == MH_OK) status = mh_arena_hold(&self->arena, (uint32_t)block);
    if (status != MH_OK) return mh_raise(status, "a shared block");
    Py_ssize_t room = (Py_ssize_t)mh_arena_room(&self->arena, (uint32_t)block) - MH_SHARED_PREFIX;
    BlockObject *made = mh_block_new(self, (uint32_t)block, room, HOLD_SHARED);
    if (made == NULL) mh_arena_drop(&self->arena, (uint32_t)block);
    return (PyObject *)made;
}

/* locate(buffer) -> (number, offset) of the shared block that it lies in, or None. */
static PyObject *arena_locate(PyObject *object, PyObject *buffer) {
    mh_arena *arena = &((ArenaObject *)object)->arena;
    Py_buffer view;
    uint32_t block;
    if (PyObject_GetBuffer(buffer, &view, PyBUF_SIMPLE) < 0) return NULL;
    bool found = mh_arena_shared_at(arena, view.buf, &block);
    unsigned long long offset = 0;
    if (found) offset = (unsigned long long)((char *)view.buf - mh_arena_bytes(arena, block) - MH_SHARED_PREFIX);
    PyBuffer_Release(&view);
    return found ? Py_BuildValue("(IK)", block, offset) : Py_NewRef(Py_None);
}

static bool shared_number(ArenaObject *self, PyObject *value, uint32_t *block) {
    unsigned long number = PyLong_AsUnsignedLong(value);
    if (number == (unsigned long)-1 && PyErr_Occurred()) return false;
    *block = (uint32_t)number;
    if (number <= UINT32_MAX && mh_arena_is_shared(&self->arena, *block)) return true;
    PyErr_Format(PyExc_ValueError, "block %lu is not a shared block", number);
    return false;
}

static PyObject *arena_take_off(PyObject *object, PyObject *value) {
    uint32_t block;
    if (!shared_number((ArenaObject *)object, value, &block)) return NULL;
    mh_arena_take_off(&((ArenaObject *)object)->arena, block);
    Py_RETURN_NONE;
}

static PyObject *arena_land(PyObject *object, PyObject *value) {
    uint32_t block;
    if (!shared_number((ArenaObject *)object, value, &block)) return NULL;
    mh_arena_land(&((ArenaObject *)object)->arena, block);
    Py_RETURN_NONE;
}

static PyObject *arena_reclaim(PyObject *object, PyObject *ignored) {
    (void)ignored;
    Py_BEGIN_ALLOW_THREADS
    mh_arena_reclaim(&((ArenaObject *)object)->arena);
    Py_END_ALLOW_THREADS
    Py_RETURN_NONE;
}

static PyObject *arena_trim(PyObject *object, PyObject *ignored) {
    (void)ignored;
    Py_BEGIN_ALLOW_THREADS
    mh_arena_trim(&((ArenaObject *)object)->arena);
    Py_END_ALLOW_THREADS
    Py_RETURN_NONE;
}

static PyObject *arena_statistics(PyObject *object, PyObject *ignored) {
    (void)ignored;
    mh_arena_statistics now;
    Py_BEGIN_ALLOW_THREADS
    mh_arena_look(&((ArenaObject *)object)->arena, &now);
    Py_END_ALLOW_THREADS
    return Py_BuildValue("{s:K,s:K,s:K,s:I}", "leased_bytes", now.leased, "given_bytes", now.given, "warm_free_bytes",
                         now.warm_free, "blocks", now.blocks);
}

static PyObject *arena_id(PyObject *object, void *ignored) {
    (void)ignored;
    mh_arena *arena = &((ArenaObject *)object)->arena;
    return PyLong_FromUnsignedLongLong(arena->shared ? arena->shared->id : 0);
}

static PyObject *arena_fd(PyObject *object, void *ignored) {
    (void)ignored;
    return PyLong_FromLong(((ArenaObject *)object)->arena.fd);
}

static PyObject *arena_range(PyObject *object, void *ignored) {
    (void)ignored;
    mh_arena *arena = &((ArenaObject *)object)->arena;
    uint64_t start = (uint64_t)(uintptr_t)arena->shared;
    return Py_BuildValue("(KK)", start, start + arena->size);
}

static PyMethodDef arena_methods[] = {
    {"create", arena_create, METH_VARARGS | METH_CLASS, "create(bytes, budget): a new arena."},
    {"attach", arena_attach, METH_VARARGS | METH_CLASS, "attach(fd, budget): an arena that exists; takes fd over."},
    {"alloc", arena_alloc, METH_O, "A fresh block of so many bytes."},
    {"hold", arena_hold, METH_O, "A hold of the shared block of that number."},
    {"locate", arena_locate, METH_O, "locate(buffer) -> (number, offset) in a shared block, or None."},
    {"take_off", arena_take_off, METH_O, "An entry that names this shared block is about to be sent."},
    {"land", arena_land, METH_O, "Such an entry was taken, or was not sent after all."},
    {"reclaim", arena_reclaim, METH_NOARGS, "Look after what dead processes have left."},
    {"trim", arena_trim, METH_NOARGS, "Give the pages of free blocks back to the system."},
    {"statistics", arena_statistics, METH_NOARGS, "What this process has leased, given and keeps warm."},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef arena_getset[] = {
    {"id", arena_id, NULL, "The same in every process that holds it.", NULL},
    {"fd", arena_fd, NULL, "Its descriptor.", NULL},
    {"range", arena_range, NULL, "Addresses where it is mapped in this process.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot arena_slots[] = {
    {Py_tp_doc, "Shared memory for large objects, one for a family of processes."},
    {Py_tp_dealloc, arena_dealloc},
    {Py_tp_methods, arena_methods},
    {Py_tp_getset, arena_getset},
    {0, NULL},
};

PyType_Spec mh_arena_spec = {"manyhands._native.Arena", sizeof(ArenaObject), 0,
                             Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION, arena_slots};

/* Ring for Python: making, closing, looking, task_done and join. See module_ring.h. */
#include "module_ring.h"

PyObject *mh_raise_closed(void) {
    return mh_raise_named("manyhands.errors", "ClosedResourceError",
                          "this queue or connection is closed in this process; use it before close(), or make another");
}

static void forget_parents_threads(RingObject *self) {
    if (self->pid == mh_pid()) return;
    self->pid = mh_pid();
    self->users = 0;
}

bool mh_ring_enter(RingObject *self) {
    if (load_relaxed(&self->closing)) return mh_raise_closed(), false;
    forget_parents_threads(self);
    self->users++;
    return true;
}

bool mh_ring_go_on(RingObject *self) {
    mh_ring_leave(self);
    bool fine = PyErr_CheckSignals() == 0;
    self->users++;
    if (fine && load_relaxed(&self->closing)) mh_raise_closed();
    return fine && !load_relaxed(&self->closing);
}

bool mh_arguments(const char *function, const char *const *names, Py_ssize_t most, PyObject *const *args,
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

bool mh_wait_of(PyObject *block, PyObject *timeout, PyObject **wait) {
    int blocks = PyObject_IsTrue(block);
    *wait = blocks > 0 ? timeout : Py_False;
    return blocks >= 0;
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
    if (!mh_ring_enter(self)) return NULL;
    mh_status status = wait_on(self, mh_ring_done, MH_FOREVER, &raised);
    mh_ring_leave(self);
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
    if (!mh_deadline(timeout, &deadline) || !mh_ring_enter(self)) return NULL;
    mh_status status = wait_on(self, mh_ring_join, deadline, &raised);
    mh_ring_leave(self);
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
    if (add_acq_rel(&self->ring.shared->holders, (uint32_t)-1) == 1) mh_ring_drain(self);
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
    if (self->ring.shared == NULL) return mh_raise_closed();
    return PyLong_FromUnsignedLong(add_acq_rel(&self->ring.shared->holders, (uint32_t)n) + (uint32_t)n);
}

/* set_bell(fd): entries that this process puts ring that eventfd when the reader wants it; -1: none. */
static PyObject *ring_set_bell(PyObject *object, PyObject *value) {
    long fd = PyLong_AsLong(value);
    if (fd == -1 && PyErr_Occurred()) return NULL;
    ((RingObject *)object)->ring.bell_fd = (int)fd;
    Py_RETURN_NONE;
}

/* want_bell(wanted) -> how many entries wait. */
static PyObject *ring_want_bell(PyObject *object, PyObject *wanted) {
    RingObject *self = (RingObject *)object;
    if (self->ring.shared == NULL) return mh_raise_closed();
    return PyLong_FromUnsignedLong(mh_ring_want_bell(&self->ring, wanted == Py_True));
}

static PyObject *ring_fd(PyObject *object, void *ignored) {
    (void)ignored;
    return PyLong_FromLong(((RingObject *)object)->ring.fd);
}

static PyObject *ring_unread(PyObject *object, void *ignored) {
    RingObject *self = (RingObject *)object;
    (void)ignored;
    return self->ring.shared == NULL ? mh_raise_closed() : PyLong_FromUnsignedLong(mh_ring_unread(&self->ring));
}

static PyObject *ring_max_items(PyObject *object, void *ignored) {
    RingObject *self = (RingObject *)object;
    (void)ignored;
    return self->ring.shared == NULL ? mh_raise_closed() : PyLong_FromUnsignedLong(self->ring.shared->max_items);
}

static PyObject *ring_closed(PyObject *object, void *ignored) {
    RingObject *self = (RingObject *)object;
    (void)ignored;
    return PyBool_FromLong(load_relaxed(&self->closing) || self->ring.shared == NULL);
}

static PyMethodDef methods[] = {
    {"create", ring_create, METH_VARARGS | METH_CLASS, "A new ring."},
    {"attach", ring_attach, METH_VARARGS | METH_CLASS, "The ring behind a descriptor."},
    {"put", (PyCFunction)(void (*)(void))mh_ring_put, METH_FASTCALL, "put(object, timeout) -> sent, or False: not plain."},
    {"queue_put", (PyCFunction)(void (*)(void))mh_ring_queue_put, METH_FASTCALL | METH_KEYWORDS,
     "queue_put(obj, block=True, timeout=None)"},
    {"queue_get", (PyCFunction)(void (*)(void))mh_ring_queue_get, METH_FASTCALL | METH_KEYWORDS,
     "queue_get(block=True, timeout=None)"},
    {"put_plain", mh_ring_put_plain, METH_VARARGS, "put_plain(list, from) -> how many were put without waiting."},
    {"send", mh_ring_send, METH_VARARGS, "send(kind, parts, heavy, timeout)"},
    {"send_block", mh_ring_send_block, METH_VARARGS, "send_block(kind, block, timeout)"},
    {"get", mh_ring_get, METH_O, "get(timeout) -> the next object."},
    {"get_many", mh_ring_get_many, METH_VARARGS, "get_many(most, timeout) -> list"},
    {"wait", mh_ring_wait, METH_O, "wait(timeout) -> is there something to get?"},
    {"done", ring_done, METH_NOARGS, "One more item was dealt with."},
    {"join", ring_join, METH_O, "join(timeout) -> were all items dealt with?"},
    {"close", ring_close, METH_NOARGS, "Let go; threads inside get an error. The last holder drains it."},
    {"add_holder", ring_add_holder, METH_O, "Count holders; returns how many there are."},
    {"set_bell", ring_set_bell, METH_O, "The eventfd that this process's entries ring; -1: none."},
    {"want_bell", ring_want_bell, METH_O, "Should the next entry ring the bell? Returns how many wait already."},
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

/* Page for Python: a worker's leases and scratch (page.h), and the loop that runs a batch.
 *
 * The loop is here because everything that a tiny task costs is here: claim, call, pack the result. It leaves for
 * Python whenever something unusual happens: a result that is not plain, an exception, results worth sending.
 *
 * Threads: one a side, with the GIL held throughout. A page is never closed while it is used: it goes with its object.
 */
#include "module_page.h"

#include <string.h>

#include "page.h"
#include "module_pack.h"

typedef struct {
    PyObject_HEAD
    mh_page page;
} PageObject;

enum { RUN_DONE, RUN_FLUSH, RUN_RESULT, RUN_ERROR };
enum { FORM_ONE, FORM_STAR, FORM_CALL };

#define QUICK_NS 500u /* items quicker than that are timed sixteen together */
#define STRIDE 16u

typedef struct {
    PyObject *function, *items;
    uint32_t slot, generation, form;
    uint64_t flush_ns;
    bool timed;
} batch;

/* function(item), function(*item), or function(*item[0], **item[1]). */
static PyObject *call_with(const batch *work, PyObject *item) {
    if (work->form == FORM_ONE) return PyObject_CallFunctionObjArgs(work->function, item, NULL);
    PyObject *positional = work->form == FORM_STAR ? item : PyTuple_GetItem(item, 0);
    PyObject *named = work->form == FORM_STAR ? NULL : PyTuple_GetItem(item, 1);
    if (positional == NULL || (named == NULL && work->form == FORM_CALL)) return NULL;
    if (named != NULL && !PyDict_Check(named)) return PyErr_Format(PyExc_TypeError, "an item's names are no dict");
    if (PyTuple_Check(positional)) return PyObject_Call(work->function, positional, named);
    PyObject *tuple = PySequence_Tuple(positional);
    PyObject *result = tuple == NULL ? NULL : PyObject_Call(work->function, tuple, named);
    Py_XDECREF(tuple);
    return result;
}

static PyObject *call(const batch *work, uint32_t index) {
    PyObject *item = PyList_GetItem(work->items, index);
    if (item == NULL) return NULL;
    Py_INCREF(item); /* the call may change the list */
    PyObject *result = call_with(work, item);
    Py_DECREF(item);
    return result;
}

static PyObject *fetch_error(void) {
    PyObject *kind, *value, *traceback;
    PyErr_Fetch(&kind, &value, &traceback);
    PyErr_NormalizeException(&kind, &value, &traceback);
    if (traceback != NULL) PyException_SetTraceback(value, traceback);
    Py_XDECREF(kind);
    Py_XDECREF(traceback);
    return value;
}

/* (why, index, value); steals `value`. */
static PyObject *leave(int why, uint32_t index, PyObject *value) {
    return Py_BuildValue("(iIN)", why, index, value);
}

static PyObject *keep_or_leave(PageObject *self, uint32_t index, PyObject *result) {
    mh_page_shared *shared = self->page.shared;
    uint32_t used = mh_page_used(&self->page);
    Py_ssize_t length = mh_pack(result, shared->scratch + used, (Py_ssize_t)(self->page.scratch_bytes - used));
    if (length < 0) return leave(RUN_RESULT, index, result);
    mh_page_filled(&self->page, used + (uint32_t)length);
    Py_DECREF(result);
    return NULL;
}

static PyObject *run(PageObject *self, const batch *work) {
    mh_page_shared *shared = self->page.shared;
    uint64_t start = mh_now_ns(), last = start;
    uint32_t index, stride = 1, left = 1;
    store64_relaxed(&shared->began_ns, start);
    while (mh_page_claim(&self->page, work->slot, work->generation, &index)) {
        PyObject *result = call(work, index);
        if (result == NULL) return leave(RUN_ERROR, index, fetch_error());
        PyObject *reason = keep_or_leave(self, index, result);
        if (reason != NULL || PyErr_Occurred()) return reason;
        if (--left > 0) continue;
        uint64_t now = mh_now_ns();
        if (now - start > work->flush_ns) return leave(RUN_FLUSH, index, Py_NewRef(Py_None));
        stride = !work->timed && now - last < QUICK_NS * stride ? STRIDE : 1;
        last = now;
        left = stride;
        store64_relaxed(&shared->began_ns, now);
    }
    store64_relaxed(&shared->began_ns, 0);
    return leave(RUN_DONE, 0, Py_NewRef(Py_None));
}

/* run(function, items, form, slot, generation, flush_ns, timed) -> (why, index, value) */
static PyObject *page_run(PyObject *object, PyObject *args) {
    batch work;
    unsigned long long flush_ns;
    int timed;
    if (!PyArg_ParseTuple(args, "OO!IIIKp", &work.function, &PyList_Type, &work.items, &work.form, &work.slot,
                          &work.generation, &flush_ns, &timed))
        return NULL;
    if (work.slot >= MH_LEASES || work.form > FORM_CALL) return PyErr_Format(PyExc_ValueError, "no such slot or form");
    work.flush_ns = flush_ns;
    work.timed = timed;
    return run((PageObject *)object, &work);
}

static bool slot_of(PyObject *const *args, Py_ssize_t nargs, Py_ssize_t wanted, unsigned long *numbers) {
    if (nargs != wanted) return PyErr_Format(PyExc_TypeError, "%zd arguments wanted, %zd given", wanted, nargs), false;
    for (Py_ssize_t i = 0; i < nargs; i++) {
        numbers[i] = PyLong_AsUnsignedLong(args[i]);
        if (numbers[i] == (unsigned long)-1 && PyErr_Occurred()) return false;
    }
    if (numbers[0] < MH_LEASES) return true;
    return PyErr_Format(PyExc_ValueError, "slot %lu does not exist; there are %u", numbers[0], MH_LEASES), false;
}

/* grant(slot, generation, count) */
static PyObject *page_grant(PyObject *object, PyObject *const *args, Py_ssize_t nargs) {
    unsigned long n[3];
    if (!slot_of(args, nargs, 3, n)) return NULL;
    if (n[2] > MH_LEASE_ITEMS_MOST || n[1] > 0xffff) return PyErr_Format(PyExc_ValueError, "%lu items are too many", n[2]);
    mh_page_grant(&((PageObject *)object)->page, (uint32_t)n[0], (uint32_t)n[1], (uint32_t)n[2]);
    Py_RETURN_NONE;
}

static PyObject *lease_tuple(mh_grant lease) {
    return Py_BuildValue("(III)", lease.generation, lease.next, lease.end);
}

/* cut(slot, generation, half, whole) -> (generation, next, end) as it is then. */
static PyObject *page_cut(PyObject *object, PyObject *const *args, Py_ssize_t nargs) {
    unsigned long n[4];
    mh_grant now;
    if (!slot_of(args, nargs, 4, n)) return NULL;
    mh_page_cut(&((PageObject *)object)->page, (uint32_t)n[0], (uint32_t)n[1], n[2] != 0, n[3] != 0, &now);
    return lease_tuple(now);
}

/* look(slot) -> (generation, next, end) */
static PyObject *page_look(PyObject *object, PyObject *const *args, Py_ssize_t nargs) {
    unsigned long slot;
    if (!slot_of(args, nargs, 1, &slot)) return NULL;
    return lease_tuple(mh_page_look(&((PageObject *)object)->page, (uint32_t)slot));
}

/* claim(slot, generation) -> index, or None: for items that the loop is not trusted with. */
static PyObject *page_claim(PyObject *object, PyObject *const *args, Py_ssize_t nargs) {
    unsigned long n[2];
    uint32_t index;
    PageObject *self = (PageObject *)object;
    if (!slot_of(args, nargs, 2, n)) return NULL;
    store64_relaxed(&self->page.shared->began_ns, mh_now_ns());
    if (mh_page_claim(&self->page, (uint32_t)n[0], (uint32_t)n[1], &index)) return PyLong_FromUnsignedLong(index);
    store64_relaxed(&self->page.shared->began_ns, 0);
    Py_RETURN_NONE;
}

/* empty(slot, generation, first): the scratch is sent; the next results are those of this batch from `first` on. */
static PyObject *page_empty(PyObject *object, PyObject *const *args, Py_ssize_t nargs) {
    unsigned long n[3];
    if (!slot_of(args, nargs, 3, n)) return NULL;
    mh_page_empty(&((PageObject *)object)->page, (uint32_t)n[0], (uint32_t)n[1], (uint32_t)n[2]);
    Py_RETURN_NONE;
}

/* keep(packed) -> did a result that was packed elsewhere fit into the scratch? */
static PyObject *page_keep(PyObject *object, PyObject *bytes) {
    PageObject *self = (PageObject *)object;
    char *data;
    Py_ssize_t length;
    if (PyBytes_AsStringAndSize(bytes, &data, &length) < 0) return NULL;
    uint32_t used = mh_page_used(&self->page);
    if (used + (uint64_t)length > self->page.scratch_bytes) Py_RETURN_FALSE;
    memcpy(self->page.shared->scratch + used, data, (size_t)length);
    mh_page_filled(&self->page, used + (uint32_t)length);
    Py_RETURN_TRUE;
}

/* finished() -> (slot, generation, first, count, bytes): a copy of the scratch; None while it is being emptied. */
static PyObject *page_finished(PyObject *object, PyObject *ignored) {
    const mh_page *page = &((PageObject *)object)->page;
    mh_finished finished;
    (void)ignored;
    char *copy = PyMem_Malloc(page->scratch_bytes);
    if (copy == NULL) return PyErr_NoMemory();
    mh_status status = mh_page_salvage(page, copy, &finished);
    PyObject *result = status != MH_OK ? Py_NewRef(Py_None)
                                       : Py_BuildValue("(IIIIy#)", finished.slot, finished.generation, finished.first,
                                                       finished.count, copy, (Py_ssize_t)finished.used);
    PyMem_Free(copy);
    return result;
}

static PyObject *page_fd(PyObject *object, void *ignored) {
    (void)ignored;
    return PyLong_FromLong(((PageObject *)object)->page.fd);
}

static PyObject *page_count(PyObject *object, void *ignored) {
    (void)ignored;
    return PyLong_FromUnsignedLong(mh_page_count(&((PageObject *)object)->page));
}

static PyObject *page_began_ns(PyObject *object, void *ignored) {
    (void)ignored;
    return PyLong_FromUnsignedLongLong(load64_relaxed(&((PageObject *)object)->page.shared->began_ns));
}

static PyObject *made(PyObject *object, mh_status status) {
    if (status == MH_OK) return object;
    Py_DECREF(object);
    return mh_raise(status, "a worker's page");
}

static PageObject *make(PyObject *type) {
    PageObject *self = (PageObject *)PyType_GenericAlloc((PyTypeObject *)type, 0);
    if (self != NULL) self->page.fd = -1;
    return self;
}

/* create(scratch_bytes) */
static PyObject *page_create(PyObject *type, PyObject *value) {
    unsigned long long bytes = PyLong_AsUnsignedLongLong(value);
    if (bytes == (unsigned long long)-1 && PyErr_Occurred()) return NULL;
    PageObject *self = make(type);
    return self ? made((PyObject *)self, mh_page_create(&self->page, bytes)) : NULL;
}

/* attach(fd): takes fd over when it succeeds. */
static PyObject *page_attach(PyObject *type, PyObject *value) {
    long fd = PyLong_AsLong(value);
    if (fd == -1 && PyErr_Occurred()) return NULL;
    PageObject *self = make(type);
    return self ? made((PyObject *)self, mh_page_attach(&self->page, (int)fd)) : NULL;
}

/* The scratch as bytes that are there; valid until empty(). */
static int page_get_buffer(PyObject *object, Py_buffer *view, int flags) {
    const mh_page *page = &((PageObject *)object)->page;
    uint32_t used = mh_page_used(page);
    if (used > page->scratch_bytes) return view->obj = NULL, mh_raise(MH_CORRUPT, "a worker's page"), -1;
    return PyBuffer_FillInfo(view, object, page->shared->scratch, used, 1, flags);
}

static void page_dealloc(PyObject *object) {
    PyTypeObject *type = Py_TYPE(object);
    mh_page_detach(&((PageObject *)object)->page);
    PyObject_Free(object);
    Py_DECREF(type);
}

#define FAST(function) (PyCFunction)(void (*)(void))function, METH_FASTCALL

static PyMethodDef methods[] = {
    {"create", page_create, METH_O | METH_CLASS, "A new page with so many bytes of scratch."},
    {"attach", page_attach, METH_O | METH_CLASS, "The page behind a descriptor."},
    {"grant", FAST(page_grant), "grant(slot, generation, count)"},
    {"cut", FAST(page_cut), "cut(slot, generation, half, whole) -> (generation, next, end)"},
    {"look", FAST(page_look), "look(slot) -> (generation, next, end)"},
    {"finished", page_finished, METH_NOARGS, "(slot, generation, first, count, bytes) of what is in the scratch, or None."},
    {"run", page_run, METH_VARARGS, "run(function, items, form, slot, generation, flush_ns, timed) -> (why, index, value)"},
    {"claim", FAST(page_claim), "claim(slot, generation) -> index or None"},
    {"empty", FAST(page_empty), "empty(slot, generation, first)"},
    {"keep", page_keep, METH_O, "keep(packed) -> did it fit?"},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef getset[] = {
    {"fd", page_fd, NULL, "Its descriptor.", NULL},
    {"count", page_count, NULL, "How many results are in the scratch.", NULL},
    {"began_ns", page_began_ns, NULL, "When the running item was begun, monotonic; 0: none runs.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_doc, "What a worker may run, how far it is, and what it has finished but not sent."},
    {Py_tp_dealloc, page_dealloc},
    {Py_tp_methods, methods},
    {Py_tp_getset, getset},
    {Py_bf_getbuffer, page_get_buffer},
    {0, NULL},
};

PyType_Spec mh_page_spec = {"manyhands._native.Page", sizeof(PageObject), 0,
                            Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION, slots};

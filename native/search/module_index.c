/* Store for Python: the index, visits, and what can be asked about the whole. See module_store.c. */
#include "module_store.h"

#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "packed results and bitmaps are little-endian, and not turned");

bool ms_one_file(PyObject *args, PyObject *kwargs, const char *format, const StoreObject *self, uint32_t *file) {
    static char *names[] = {"file", NULL};
    PyObject *object;
    return PyArg_ParseTupleAndKeywords(args, kwargs, format, names, &object) && ms_file_number(object, file) &&
           ms_enter(self);
}

PyObject *ms_store_index(PyObject *object, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"most_blocks", NULL};
    StoreObject *self = (StoreObject *)object;
    PyObject *most_object;
    uint64_t most;
    bool enough;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O:index", names, &most_object) ||
        !ms_count(most_object, "most_blocks", 0, &most) || !ms_enter(self))
        return NULL;
    MS_WITHOUT_GIL(self, enough = ms_index_run(&self->index, &self->store, most));
    return enough ? PyLong_FromUnsignedLongLong(ms_index_pending(&self->store)) : ms_no_memory("the index");
}

/* ---- bitmaps ---- */

static size_t bitmap_bytes(const StoreObject *self) { return (self->store.block_count + 7) / 8; }

/* A bitmap in words, for as many blocks as there are, all 0. */
static uint64_t *new_bitmap(const StoreObject *self) {
    uint64_t *words = PyMem_Calloc(self->store.block_count / 64 + 1, sizeof *words);
    if (words == NULL) PyErr_NoMemory();
    return words;
}

/* As bytes; the words are freed. */
static PyObject *bitmap(const StoreObject *self, uint64_t *words) {
    PyObject *bytes = PyBytes_FromStringAndSize((const char *)words, (Py_ssize_t)bitmap_bytes(self));
    PyMem_Free(words);
    return bytes;
}

static bool blocks_of(const StoreObject *self, PyObject *object, Py_buffer *view) {
    if (!ms_buffer(object, "blocks", 1, view)) return false;
    if ((size_t)view->len == bitmap_bytes(self)) return true;
    PyErr_Format(PyExc_ValueError, "blocks has %zd bytes; a bit for each of %zu blocks is %zu bytes. Ask candidates() again "
                                   "when text was added", view->len, self->store.block_count, bitmap_bytes(self));
    PyBuffer_Release(view);
    return false;
}

PyObject *ms_store_candidates(PyObject *object, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"literal", "folds", NULL};
    StoreObject *self = (StoreObject *)object;
    PyObject *literal;
    const uint8_t *bytes;
    size_t length;
    int folds;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "Op:candidates", names, &literal, &folds) ||
        !ms_bytes(literal, "literal", &bytes, &length) || !ms_enter(self))
        return NULL;
    uint64_t *words = new_bitmap(self);
    if (words == NULL) return NULL;
    if (ms_index_candidates(&self->index, &self->store, bytes, length, folds, words)) return bitmap(self, words);
    PyMem_Free(words);
    return ms_no_memory("candidates");
}

/* ---- visits ---- */

static PyObject *visit(StoreObject *self, const Py_buffer *blocks, const Py_buffer *files) {
    VisitObject *visit = ms_visit_new(self);
    if (visit == NULL || ms_visit_open(&visit->visit, &self->store, blocks->buf, files->buf, (size_t)files->len))
        return (PyObject *)visit;
    Py_DECREF(visit);
    return ms_no_memory("a visit");
}

PyObject *ms_store_visit(PyObject *object, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"blocks", "files", NULL};
    StoreObject *self = (StoreObject *)object;
    PyObject *blocks, *files, *result = NULL;
    Py_buffer block_view = {0}, file_view = {0};
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OO:visit", names, &blocks, &files) || !ms_enter(self)) return NULL;
    if ((blocks == Py_None || blocks_of(self, blocks, &block_view)) &&
        (files == Py_None || ms_buffer(files, "files", 1, &file_view)))
        result = visit(self, &block_view, &file_view);
    if (block_view.obj != NULL) PyBuffer_Release(&block_view);
    if (file_view.obj != NULL) PyBuffer_Release(&file_view);
    return result;
}

/* ---- the whole ---- */

PyObject *ms_store_checked(PyObject *object, PyObject *ignored) {
    StoreObject *self = (StoreObject *)object;
    (void)ignored;
    if (!ms_enter(self)) return NULL;
    const char *wrong = ms_store_check(&self->store);
    if (wrong == NULL) Py_RETURN_NONE;
    PyErr_SetString(PyExc_AssertionError, wrong);
    return NULL;
}

enum { BLOCKS, INDEXED, TEXT_BYTES, MEMORY_BYTES, FILES };

static PyObject *attribute(PyObject *object, void *which) {
    const StoreObject *self = (StoreObject *)object;
    if (!ms_enter(self)) return NULL;
    switch ((uintptr_t)which) {
    case BLOCKS: return PyLong_FromSize_t(self->store.block_count);
    case INDEXED: return PyLong_FromUnsignedLongLong(self->store.block_count - ms_index_pending(&self->store));
    case TEXT_BYTES: return PyLong_FromUnsignedLongLong(self->store.text_bytes);
    case FILES: return PyLong_FromUnsignedLongLong(self->store.living_files);
    default: return PyLong_FromUnsignedLongLong(ms_store_memory(&self->store) + ms_index_memory(&self->index));
    }
}

PyGetSetDef ms_store_attributes[] = {
    {"blocks", attribute, NULL, "How many blocks there are, those that are free included.", (void *)BLOCKS},
    {"indexed", attribute, NULL, "How many of them the index knows.", (void *)INDEXED},
    {"text_bytes", attribute, NULL, "Living text.", (void *)TEXT_BYTES},
    {"memory_bytes", attribute, NULL, "Text (dead too), tables and index.", (void *)MEMORY_BYTES},
    {"files", attribute, NULL, "How many files have a text.", (void *)FILES},
    {0},
};

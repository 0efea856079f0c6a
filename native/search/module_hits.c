/* Hits for Python: lines that were found. See visit.h. */
#include "module.h"

#include <string.h>

HitsObject *ms_hits_new(StoreObject *owner) {
    HitsObject *self = ms_new(ms_HitsType);
    if (self == NULL) return NULL;
    self->owner = (StoreObject *)Py_NewRef((PyObject *)owner);
    ms_store_pin(&owner->store);
    return self;
}

static void hits_dealloc(PyObject *object) {
    HitsObject *self = (HitsObject *)object;
    ms_lines_close(&self->lines);
    ms_let_go(self->owner);
    Py_DECREF(self->owner);
    ms_free(object);
}

static Py_ssize_t hits_length(PyObject *object) { return (Py_ssize_t)((HitsObject *)object)->lines.count; }

/* ---- the lines ---- */

static PyObject *line_bytes(const HitsObject *self, size_t index) {
    const ms_line *line = &self->lines.lines[index];
    const char *text = (const char *)self->owner->store.text.bytes + line->start;
    return PyBytes_FromStringAndSize(text, line->bytes);
}

static PyObject *hits_line(PyObject *object, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"index", NULL};
    HitsObject *self = (HitsObject *)object;
    PyObject *index_object;
    uint64_t index;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O:line", names, &index_object) ||
        !ms_count(index_object, "index", 0, &index) || !ms_enter(self->owner))
        return NULL;
    if (index < self->lines.count) return line_bytes(self, index);
    return PyErr_Format(PyExc_IndexError, "index is %S, but there are %zu lines", index_object, self->lines.count);
}

static PyObject *hits_lines(PyObject *object, PyObject *ignored) {
    HitsObject *self = (HitsObject *)object;
    (void)ignored;
    if (!ms_enter(self->owner)) return NULL;
    PyObject *list = PyList_New((Py_ssize_t)self->lines.count);
    for (size_t i = 0; list != NULL && i < self->lines.count; i++) {
        PyObject *line = line_bytes(self, i);
        if (line == NULL) Py_CLEAR(list);
        else PyList_SetItem(list, (Py_ssize_t)i, line);
    }
    return list;
}

static void files_of(const ms_store *store, const ms_lines *lines, uint32_t *files) {
    for (size_t i = 0; i < lines->count; i++) files[i] = store->documents[lines->lines[i].document].file;
}

static PyObject *hits_files(PyObject *object, PyObject *ignored) {
    HitsObject *self = (HitsObject *)object;
    uint32_t *files;
    (void)ignored;
    if (!ms_enter(self->owner)) return NULL;
    PyObject *bytes = ms_u32_bytes(self->lines.count, &files);
    if (bytes != NULL) files_of(&self->owner->store, &self->lines, files);
    return bytes;
}

static bool is_ascii(const uint8_t *text, size_t bytes) {
    uint8_t any = 0;
    for (size_t i = 0; i < bytes; i++) any |= text[i];
    return any < 0x80;
}

static PyObject *hits_not_ascii(PyObject *object, PyObject *ignored) {
    HitsObject *self = (HitsObject *)object;
    (void)ignored;
    if (!ms_enter(self->owner)) return NULL;
    PyObject *bytes = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)self->lines.count);
    char *marks = bytes == NULL ? NULL : PyBytes_AsString(bytes);
    for (size_t i = 0; bytes != NULL && i < self->lines.count; i++) {
        const ms_line *line = &self->lines.lines[i];
        marks[i] = !is_ascii(self->owner->store.text.bytes + line->start, line->bytes);
    }
    return bytes;
}

/* ---- fewer of them ---- */

PyObject *ms_hits_or_nothing(HitsObject *hits, bool enough) {
    if (enough) return (PyObject *)hits;
    Py_DECREF(hits);
    return ms_no_memory("lines that were found");
}

/* Append those whose byte in `mask` is not 0, or all. */
static bool copy_kept(const ms_lines *from, const uint8_t *mask, ms_lines *kept) {
    size_t count = 0;
    for (size_t i = 0; i < from->count; i++) count += mask == NULL || mask[i] != 0;
    if (!ms_lines_expect(kept, count)) return false;
    for (size_t i = 0; i < from->count; i++)
        if (mask == NULL || mask[i] != 0) kept->lines[kept->count++] = from->lines[i];
    return true;
}

static PyObject *hits_keep(PyObject *object, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"mask", NULL};
    HitsObject *self = (HitsObject *)object, *kept = NULL;
    PyObject *mask;
    Py_buffer view;
    bool enough = true;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O:keep", names, &mask) || !ms_enter(self->owner) ||
        !ms_buffer(mask, "mask", 1, &view))
        return NULL;
    if ((size_t)view.len != self->lines.count)
        PyErr_Format(PyExc_ValueError, "mask has %zd bytes; it must have one for each of %zu lines", view.len, self->lines.count);
    else if ((kept = ms_hits_new(self->owner)) != NULL)
        enough = copy_kept(&self->lines, view.buf, &kept->lines);
    PyBuffer_Release(&view);
    return kept == NULL ? NULL : ms_hits_or_nothing(kept, enough);
}

static PyObject *hits_containing(PyObject *object, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"needle", "flags", "wanted", NULL};
    HitsObject *self = (HitsObject *)object;
    PyObject *needle_object, *flags;
    ms_needle needle;
    int wanted;
    ms_wish wish;
    bool enough;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OOp:containing", names, &needle_object, &flags, &wanted) ||
        !ms_enter(self->owner) || !ms_needle_of(needle_object, flags, MS_USUAL_FLAGS, &needle, &wish))
        return NULL;
    HitsObject *kept = ms_hits_new(self->owner);
    if (kept != NULL)
        MS_WITHOUT_GIL(self->owner, enough = ms_lines_containing(&self->lines, &self->owner->store, &needle,
                                                                 wish.first_only, wanted, &kept->lines));
    ms_needle_close(&needle);
    return kept == NULL ? NULL : ms_hits_or_nothing(kept, enough);
}

static PyObject *hits_limit(PyObject *object, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"most_lines", NULL};
    HitsObject *self = (HitsObject *)object;
    PyObject *most_object;
    uint64_t most;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O:limit", names, &most_object) ||
        !ms_count(most_object, "most_lines", 0, &most) || !ms_enter(self->owner))
        return NULL;
    ms_lines some = self->lines;
    HitsObject *kept = ms_hits_new(self->owner);
    if (some.count > most) some.count = most;
    return kept == NULL ? NULL : ms_hits_or_nothing(kept, copy_kept(&some, NULL, &kept->lines));
}

/* ---- more of them ---- */

static bool append(const HitsObject *self, PyObject *other, ms_lines *joined) {
    if (!PyObject_TypeCheck(other, ms_HitsType) || ((HitsObject *)other)->owner != self->owner) {
        PyErr_Format(PyExc_ValueError, "others must be a list of hits of the same store; %R is none", other);
        return false;
    }
    if (copy_kept(&((HitsObject *)other)->lines, NULL, joined)) return true;
    ms_no_memory("lines that were found");
    return false;
}

static PyObject *hits_joined(PyObject *object, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"others", NULL};
    HitsObject *self = (HitsObject *)object;
    PyObject *others;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O!:joined", names, &PyList_Type, &others) || !ms_enter(self->owner))
        return NULL;
    HitsObject *joined = ms_hits_new(self->owner);
    bool done = joined != NULL && append(self, object, &joined->lines);
    for (Py_ssize_t i = 0; done && i < PyList_Size(others); i++)
        done = append(self, PyList_GetItem(others, i), &joined->lines);
    if (done) return (PyObject *)joined;
    Py_XDECREF((PyObject *)joined);
    return NULL;
}

/* ---- columns ---- */

typedef struct {
    const ms_store *store;
    const ms_lines *rows;
    bool context;
    PyObject *files, *numbers, *offsets, *kinds, *text;
    uint32_t *file, *number, *offset;
    uint8_t *kind, *byte;
} columns;

static bool make_columns(columns *made) {
    size_t count = made->rows->count;
    made->files = ms_u32_bytes(count, &made->file);
    made->numbers = ms_u32_bytes(count, &made->number);
    made->offsets = ms_u32_bytes(count + 1, &made->offset);
    made->kinds = PyBytes_FromStringAndSize(NULL, made->context ? (Py_ssize_t)count : 0);
    made->text = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)ms_lines_bytes(made->rows));
    if (!made->files || !made->numbers || !made->offsets || !made->kinds || !made->text) return false;
    made->kind = (uint8_t *)PyBytes_AsString(made->kinds);
    made->byte = (uint8_t *)PyBytes_AsString(made->text);
    return true;
}

static void fill_columns(const columns *made) {
    files_of(made->store, made->rows, made->file);
    for (size_t i = 0; i < made->rows->count; i++) {
        made->number[i] = made->rows->lines[i].number;
        if (made->context) made->kind[i] = !made->rows->lines[i].context;
    }
    ms_lines_gather(made->rows, made->store, made->byte, made->offset);
}

static PyObject *columns_of(StoreObject *owner, const ms_lines *rows, bool context) {
    columns made = {.store = &owner->store, .rows = rows, .context = context};
    if (ms_lines_bytes(rows) > UINT32_MAX)
        return PyErr_Format(PyExc_OverflowError, "the text of %zu lines is 4 GiB or more; ask for fewer lines at a time, with "
                                                 "limit()", rows->count);
    if (make_columns(&made)) {
        MS_WITHOUT_GIL(owner, fill_columns(&made));
        return Py_BuildValue("(NNNNN)", made.files, made.numbers, made.offsets, made.kinds, made.text);
    }
    Py_XDECREF(made.files);
    Py_XDECREF(made.numbers);
    Py_XDECREF(made.offsets);
    Py_XDECREF(made.kinds);
    Py_XDECREF(made.text);
    return NULL;
}

static PyObject *with_context(HitsObject *self, uint64_t before, uint64_t after) {
    ms_lines rows = {0};
    bool enough;
    MS_WITHOUT_GIL(self->owner, enough = ms_lines_around(&self->lines, &self->owner->store, before, after, &rows));
    PyObject *result = enough ? columns_of(self->owner, &rows, true) : ms_no_memory("lines of context");
    ms_lines_close(&rows);
    return result;
}

static PyObject *hits_columns(PyObject *object, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"before", "after", NULL};
    HitsObject *self = (HitsObject *)object;
    PyObject *before_object, *after_object;
    uint64_t before, after;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OO:columns", names, &before_object, &after_object) ||
        !ms_count(before_object, "before", 0, &before) || !ms_count(after_object, "after", 0, &after) ||
        !ms_enter(self->owner))
        return NULL;
    if (before > 0 || after > 0) return with_context(self, before, after);
    return columns_of(self->owner, &self->lines, false);
}

static PyMethodDef methods[] = {
    MS_METHOD("line", hits_line, "line(index) -> bytes"),
    {"lines", hits_lines, METH_NOARGS, "lines() -> list of bytes"},
    {"files", hits_files, METH_NOARGS, "files() -> u32 a line"},
    MS_METHOD("keep", hits_keep, "keep(mask) -> Hits"),
    MS_METHOD("containing", hits_containing, "containing(needle, flags, wanted) -> Hits"),
    {"not_ascii", hits_not_ascii, METH_NOARGS, "not_ascii() -> a byte a line"},
    MS_METHOD("limit", hits_limit, "limit(most_lines) -> Hits"),
    MS_METHOD("joined", hits_joined, "joined(others) -> Hits"),
    MS_METHOD("columns", hits_columns, "columns(before, after) -> (files, numbers, offsets, kinds, text)"),
    {NULL, NULL, 0, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_doc, "Lines that were found, in visiting order."},
    {Py_tp_dealloc, hits_dealloc},
    {Py_tp_methods, methods},
    {Py_sq_length, hits_length},
    {0, NULL},
};

PyType_Spec ms_hits_spec = {
    .name = "manyhands._search.Hits",
    .basicsize = sizeof(HitsObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = slots,
};

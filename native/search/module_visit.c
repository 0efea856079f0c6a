/* Visit for Python: see visit.h. */
#include "module.h"

#include <string.h>

VisitObject *ms_visit_new(StoreObject *owner) {
    VisitObject *self = ms_new(ms_VisitType);
    if (self == NULL) return NULL;
    self->owner = (StoreObject *)Py_NewRef((PyObject *)owner);
    ms_store_pin(&owner->store);
    return self;
}

static void close_visit(VisitObject *self) {
    if (self->closed) return;
    self->closed = true;
    ms_visit_close(&self->visit);
    ms_let_go(self->owner);
}

static void visit_dealloc(PyObject *object) {
    VisitObject *self = (VisitObject *)object;
    close_visit(self);
    Py_DECREF(self->owner);
    ms_free(object);
}

static PyObject *visit_close(PyObject *object, PyObject *ignored) {
    (void)ignored;
    if (!ms_enter(((VisitObject *)object)->owner)) return NULL;
    close_visit((VisitObject *)object);
    Py_RETURN_NONE;
}

static bool is_open(const VisitObject *self) {
    if (!ms_enter(self->owner)) return false;
    if (!self->closed) return true;
    PyErr_SetString(PyExc_ValueError, "this visit is closed; begin another with Store.visit()");
    return false;
}

/* May the visit be gone over in this way? */
static bool set_way(VisitObject *self, ms_way way) {
    if (!is_open(self)) return false;
    if (self->visit.way == MS_WAY_NONE) self->visit.way = way;
    if (self->visit.way == way) return true;
    PyErr_SetString(PyExc_ValueError, "a visit is gone over by file(), or by find(), count(), all_lines() and region(); "
                                      "begin another visit with Store.visit()");
    return false;
}

/* ---- by lines ---- */

static PyObject *visit_find(PyObject *object, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"needle", "flags", "most_bytes", "most_lines", NULL};
    VisitObject *self = (VisitObject *)object;
    PyObject *needle_object, *flags, *bytes, *lines;
    ms_needle needle;
    uint64_t most_bytes, most_lines;
    ms_wish wish;
    bool enough;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OOOO:find", names, &needle_object, &flags, &bytes, &lines) ||
        !ms_count(bytes, "most_bytes", 1, &most_bytes) || !ms_count(lines, "most_lines", 1, &most_lines) ||
        !set_way(self, MS_WAY_LINES) ||
        !ms_needle_of(needle_object, flags, MS_USUAL_FLAGS | MS_PLAIN_ONLY, &needle, &wish))
        return NULL;
    HitsObject *hits = ms_hits_new(self->owner);
    if (hits != NULL)
        MS_WITHOUT_GIL(self->owner, enough = ms_visit_find(&self->visit, &needle, wish, most_bytes, most_lines,
                                                           &hits->lines));
    ms_needle_close(&needle);
    return hits == NULL ? NULL : ms_hits_or_nothing(hits, enough);
}

static PyObject *visit_all_lines(PyObject *object, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"most_bytes", "most_lines", NULL};
    VisitObject *self = (VisitObject *)object;
    PyObject *bytes, *lines;
    uint64_t most_bytes, most_lines;
    bool enough;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OO:all_lines", names, &bytes, &lines) ||
        !ms_count(bytes, "most_bytes", 1, &most_bytes) || !ms_count(lines, "most_lines", 1, &most_lines) ||
        !set_way(self, MS_WAY_LINES))
        return NULL;
    HitsObject *hits = ms_hits_new(self->owner);
    if (hits == NULL) return NULL;
    MS_WITHOUT_GIL(self->owner, enough = ms_visit_all(&self->visit, most_bytes, most_lines, &hits->lines));
    return ms_hits_or_nothing(hits, enough);
}

static PyObject *counts(const StoreObject *owner, const ms_lines *found) {
    uint32_t *files, *numbers;
    PyObject *file_bytes = ms_u32_bytes(found->count, &files), *number_bytes = ms_u32_bytes(found->count, &numbers);
    if (file_bytes == NULL || number_bytes == NULL) {
        Py_XDECREF(file_bytes);
        Py_XDECREF(number_bytes);
        return NULL;
    }
    for (size_t i = 0; i < found->count; i++) {
        files[i] = owner->store.documents[found->lines[i].document].file;
        numbers[i] = found->lines[i].number;
    }
    return Py_BuildValue("(NN)", file_bytes, number_bytes);
}

static PyObject *visit_count(PyObject *object, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"needle", "flags", "most_bytes", NULL};
    VisitObject *self = (VisitObject *)object;
    PyObject *needle_object, *flags, *bytes;
    ms_needle needle;
    ms_lines found = {0};
    uint64_t most_bytes;
    ms_wish wish;
    bool enough;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OOO:count", names, &needle_object, &flags, &bytes) ||
        !ms_count(bytes, "most_bytes", 1, &most_bytes) || !set_way(self, MS_WAY_LINES) ||
        !ms_needle_of(needle_object, flags, MS_USUAL_FLAGS | MS_PLAIN_ONLY, &needle, &wish))
        return NULL;
    MS_WITHOUT_GIL(self->owner, enough = ms_visit_count(&self->visit, &needle, wish, most_bytes, &found));
    PyObject *result = enough ? counts(self->owner, &found) : ms_no_memory("counts");
    ms_needle_close(&needle);
    ms_lines_close(&found);
    return result;
}

/* ---- by regions ---- */

static bool is_between_segments(VisitObject *self) {
    if (ms_visit_settle(&self->visit)) return true;
    PyErr_SetString(PyExc_ValueError, "find() or all_lines() stands within a segment, because it had as many lines as were "
                                      "wanted; go on with it before region() is called");
    return false;
}

static PyObject *visit_region(PyObject *object, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"most_bytes", "mixed", NULL};
    VisitObject *self = (VisitObject *)object;
    PyObject *bytes;
    uint64_t most_bytes;
    int mixed = 0;
    ms_region region;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|p:region", names, &bytes, &mixed) ||
        !ms_count(bytes, "most_bytes", 1, &most_bytes) || !set_way(self, MS_WAY_LINES) ||
        !is_between_segments(self))
        return NULL;
    if (most_bytes > MS_MOST_BYTES) most_bytes = MS_MOST_BYTES; /* offsets in it are u32 */
    if (!ms_visit_region(&self->visit, most_bytes, mixed, &region)) Py_RETURN_NONE;
    PyObject *view = ms_text_view(self->owner, region.text, region.bytes);
    return view == NULL ? NULL : Py_BuildValue("(Ni)", view, region.kind);
}

static bool has_region(VisitObject *self) {
    if (!is_open(self)) return false;
    if (self->visit.region_from < self->visit.region_to) return true;
    PyErr_SetString(PyExc_ValueError, "there is no present region: call region() first, until it gives None");
    return false;
}

typedef struct {
    uint32_t *ends, *spare;
    size_t count;
    bool sorted;
} end_list;

/* Copy the ends: into memory that is aligned, and that nobody changes while it is used. */
static bool take_ends(const VisitObject *self, const Py_buffer *view, end_list *list) {
    uint64_t most = ms_visit_present(&self->visit).bytes;
    list->count = (size_t)view->len / sizeof *list->ends;
    list->sorted = true;
    list->ends = PyMem_Malloc((2 * list->count + 1) * sizeof *list->ends);
    if (list->ends == NULL) return PyErr_NoMemory(), false;
    list->spare = list->ends + list->count;
    memcpy(list->ends, view->buf, list->count * sizeof *list->ends);
    for (size_t i = 0; i < list->count; i++) {
        if (i > 0 && list->ends[i] < list->ends[i - 1]) list->sorted = false;
        if (list->ends[i] <= most) continue;
        PyErr_Format(PyExc_ValueError, "end %zu is %u; the present region ends at %llu", i, list->ends[i],
                     (unsigned long long)most);
        return false;
    }
    return true;
}

static bool lines_at(const VisitObject *self, end_list *list, ms_lines *found) {
    if (!list->sorted) ms_sort_u32(list->ends, list->spare, list->count);
    return ms_visit_lines_at(&self->visit, list->ends, list->count, found);
}

static PyObject *visit_lines_at(PyObject *object, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"ends", NULL};
    VisitObject *self = (VisitObject *)object;
    PyObject *ends;
    HitsObject *hits = NULL;
    Py_buffer view;
    end_list list = {0};
    bool enough = true;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O:lines_at", names, &ends) || !has_region(self) ||
        !ms_buffer(ends, "ends", sizeof(uint32_t), &view))
        return NULL;
    if (take_ends(self, &view, &list) && (hits = ms_hits_new(self->owner)) != NULL)
        MS_WITHOUT_GIL(self->owner, enough = lines_at(self, &list, &hits->lines));
    PyMem_Free(list.ends);
    PyBuffer_Release(&view);
    return hits == NULL ? NULL : ms_hits_or_nothing(hits, enough);
}

static bool are_of_region(const VisitObject *self, const HitsObject *hits) {
    ms_region region = ms_visit_present(&self->visit);
    uint64_t least = (uint64_t)(region.text - self->owner->store.text.bytes), end = least + region.bytes;
    bool are = hits->owner == self->owner;
    for (size_t i = 0; are && i < hits->lines.count; i++) {
        are = hits->lines.lines[i].start >= least && hits->lines.lines[i].start < end;
        least = hits->lines.lines[i].start + 1;
    }
    if (!are) PyErr_SetString(PyExc_ValueError, "hits are not all lines of the present region, in order");
    return are;
}

static PyObject *visit_others(PyObject *object, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"hits", NULL};
    VisitObject *self = (VisitObject *)object;
    HitsObject *known;
    bool enough;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O!:others", names, ms_HitsType, &known) || !has_region(self) ||
        !are_of_region(self, known))
        return NULL;
    HitsObject *hits = ms_hits_new(self->owner);
    if (hits == NULL) return NULL;
    MS_WITHOUT_GIL(self->owner, enough = ms_visit_others(&self->visit, &known->lines, &hits->lines));
    return ms_hits_or_nothing(hits, enough);
}

/* ---- by files ---- */

static PyObject *visit_file(PyObject *object, PyObject *ignored) {
    VisitObject *self = (VisitObject *)object;
    (void)ignored;
    if (!set_way(self, MS_WAY_FILES)) return NULL;
    const ms_document *document = ms_visit_file(&self->visit);
    if (document == NULL) Py_RETURN_NONE;
    const uint8_t *text = self->owner->store.text.bytes + document->start;
    PyObject *view = ms_text_view(self->owner, text, ms_document_bytes(document));
    return view == NULL ? NULL : Py_BuildValue("(IN)", document->file, view);
}

static bool are_spans(const VisitObject *self, const ms_span *spans, size_t count) {
    uint64_t most = ms_document_bytes(&self->owner->store.documents[self->visit.file]);
    for (size_t i = 0; i < count; i++) {
        bool in_order = i == 0 || spans[i].start >= spans[i - 1].start;
        if (in_order && spans[i].start <= spans[i].end && spans[i].end <= most) continue;
        PyErr_Format(PyExc_ValueError, "span %zu is (%u, %u); the present file has %llu bytes, and spans must be in order", i,
                     spans[i].start, spans[i].end, (unsigned long long)most);
        return false;
    }
    return true;
}

static PyObject *lines_of_spans(VisitObject *self, const ms_span *spans, size_t count) {
    bool enough;
    HitsObject *hits = are_spans(self, spans, count) ? ms_hits_new(self->owner) : NULL;
    if (hits == NULL) return NULL;
    MS_WITHOUT_GIL(self->owner, enough = ms_visit_spans(&self->visit, spans, count, &hits->lines));
    return ms_hits_or_nothing(hits, enough);
}

static PyObject *visit_spans(PyObject *object, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"spans", NULL};
    VisitObject *self = (VisitObject *)object;
    PyObject *spans_object, *result = NULL;
    Py_buffer view;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O:spans", names, &spans_object) || !is_open(self)) return NULL;
    if (self->visit.file == MS_NONE)
        return PyErr_Format(PyExc_ValueError, "there is no present file: call file() first, until it gives None");
    if (!ms_buffer(spans_object, "spans", sizeof(ms_span), &view)) return NULL;
    ms_span *spans = PyMem_Malloc((size_t)view.len + 1); /* aligned, and nobody changes it meanwhile */
    if (spans == NULL) PyErr_NoMemory();
    else memcpy(spans, view.buf, (size_t)view.len);
    if (spans != NULL) result = lines_of_spans(self, spans, (size_t)view.len / sizeof *spans);
    PyMem_Free(spans);
    PyBuffer_Release(&view);
    return result;
}

/* ---- what can be asked ---- */

static PyObject *visit_files(PyObject *object, PyObject *ignored) {
    VisitObject *self = (VisitObject *)object;
    (void)ignored;
    if (!is_open(self)) return NULL;
    uint32_t *files = PyMem_Malloc((self->visit.count + 1) * sizeof *files);
    if (files == NULL) return PyErr_NoMemory();
    size_t count = ms_visit_files(&self->visit, files);
    PyObject *result = PyBytes_FromStringAndSize((const char *)files, (Py_ssize_t)(count * sizeof *files));
    PyMem_Free(files);
    return result;
}

static PyObject *visit_done(PyObject *object, void *ignored) {
    const VisitObject *self = (VisitObject *)object;
    (void)ignored;
    return ms_enter(self->owner) ? PyBool_FromLong(self->closed || ms_visit_done(&self->visit)) : NULL;
}

static PyObject *visit_at_folds(PyObject *object, void *ignored) {
    const VisitObject *self = (VisitObject *)object;
    (void)ignored;
    return ms_enter(self->owner) ? PyBool_FromLong(!self->closed && self->visit.at_folds) : NULL;
}

static PyObject *visit_scanned_bytes(PyObject *object, void *ignored) {
    const VisitObject *self = (VisitObject *)object;
    (void)ignored;
    return ms_enter(self->owner) ? PyLong_FromUnsignedLongLong(self->visit.scanned_bytes) : NULL;
}

static PyMethodDef methods[] = {
    {"close", visit_close, METH_NOARGS, "Let go of the text."},
    MS_METHOD("find", visit_find, "find(needle, flags, most_bytes, most_lines) -> Hits"),
    MS_METHOD("count", visit_count, "count(needle, flags, most_bytes) -> (files, counts)"),
    MS_METHOD("all_lines", visit_all_lines, "all_lines(most_bytes, most_lines) -> Hits"),
    MS_METHOD("region", visit_region, "region(most_bytes, mixed=False) -> (text, kind), or None"),
    MS_METHOD("lines_at", visit_lines_at, "lines_at(u32 ends) -> Hits"),
    MS_METHOD("others", visit_others, "others(hits) -> Hits"),
    MS_METHOD("spans", visit_spans, "spans(u32 starts and ends) -> Hits"),
    {"file", visit_file, METH_NOARGS, "file() -> (number, text), or None"},
    {"files", visit_files, METH_NOARGS, "files() -> u32 a file"},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef attributes[] = {
    {"done", visit_done, NULL, "Is nothing left?", NULL},
    {"at_folds", visit_at_folds, NULL, "Has find or count with PLAIN_ONLY stopped before a segment with FOLDS?", NULL},
    {"scanned_bytes", visit_scanned_bytes, NULL, "How much text it has gone over.", NULL},
    {0},
};

static PyType_Slot slots[] = {
    {Py_tp_doc, "Goes over segments of a store once."},
    {Py_tp_dealloc, visit_dealloc},
    {Py_tp_methods, methods},
    {Py_tp_getset, attributes},
    {0, NULL},
};

PyType_Spec ms_visit_spec = {
    .name = "manyhands._search.Visit",
    .basicsize = sizeof(VisitObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = slots,
};

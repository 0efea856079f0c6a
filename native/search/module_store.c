/* Store for Python: the type, and its methods about text. Those about the index and visits are in module_index.c. */
#include "module_store.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "read.h"

static PyObject *store_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    static char *names[] = {NULL};
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, ":Store", names)) return NULL;
    StoreObject *self = ms_new(type);
    if (self == NULL || ms_store_open(&self->store)) return (PyObject *)self;
    Py_DECREF(self);
    return ms_no_memory("a store's address space");
}

static void store_dealloc(PyObject *object) {
    StoreObject *self = (StoreObject *)object;
    ms_index_close(&self->index);
    ms_store_close(&self->store);
    ms_free(object);
}

/* ---- reading ---- */

static bool has_no_text(const StoreObject *self, uint64_t first, uint64_t count) {
    for (uint64_t file = first; file < first + count; file++) {
        if (ms_store_find(&self->store, (uint32_t)file) == NULL) continue;
        PyErr_Format(PyExc_ValueError, "file %u has a text; remove it before it is read again", (uint32_t)file);
        return false;
    }
    return true;
}

static PyObject *store_read(PyObject *object, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"file", "path", "most_bytes", NULL};
    StoreObject *self = (StoreObject *)object;
    PyObject *file_object, *path_object, *most_object;
    uint64_t most;
    uint32_t file;
    const char *path;
    ms_facts facts;
    ms_outcome outcome;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OOO:read", names, &file_object, &path_object, &most_object) ||
        !ms_file_number(file_object, &file) || !ms_path_bytes(path_object, "path", &path) ||
        !ms_count(most_object, "most_bytes", 0, &most) || !ms_enter(self) || !has_no_text(self, file, 1))
        return NULL;
    MS_WITHOUT_GIL(self, outcome = ms_read(&self->store, file, AT_FDCWD, path, most, &facts));
    if (outcome == MS_READ_NO_MEMORY) return ms_no_memory("the text of a file");
    return Py_BuildValue("(iKL)", outcome, (unsigned long long)facts.size, (long long)facts.mtime_ns);
}

typedef struct {
    StoreObject *self;
    PyObject *names; /* a tuple: nobody else can change it */
    const char *root, **paths;
    uint32_t first;
    size_t count;
    uint64_t most_bytes;
    uint8_t *outcomes;
    uint64_t *sizes;
    int64_t *mtimes;
} many;

/* False: no memory; then nothing of this call stays. A root that cannot be opened fails every file. */
static bool read_all(many *many) {
    ms_store *store = &many->self->store;
    int root = open(many->root, O_PATH | O_DIRECTORY | O_CLOEXEC), error = errno;
    bool enough = true;
    size_t i = 0;
    for (; i < many->count && enough; i++) {
        ms_facts facts = {(uint64_t)error, 0};
        ms_outcome outcome = MS_READ_FAILED;
        uint32_t file = many->first + (uint32_t)i;
        if (root >= 0) outcome = ms_read(store, file, root, many->paths[i], many->most_bytes, &facts);
        many->outcomes[i] = (uint8_t)outcome;
        many->sizes[i] = facts.size;
        many->mtimes[i] = facts.mtime_ns;
        enough = outcome != MS_READ_NO_MEMORY;
    }
    if (root >= 0) close(root);
    while (!enough && i-- > 0) ms_store_remove(store, many->first + (uint32_t)i);
    return enough;
}

static bool take_paths(many *many) {
    many->paths = PyMem_Malloc((many->count + 1) * sizeof *many->paths);
    if (many->paths == NULL) return PyErr_NoMemory(), false;
    for (size_t i = 0; i < many->count; i++) {
        PyObject *name = PyTuple_GetItem(many->names, (Py_ssize_t)i);
        if (PyBytes_Check(name) && PyBytes_Size(name) == 0) many->paths[i] = ""; /* there is no such file: it fails */
        else if (!ms_path_bytes(name, "a name", &many->paths[i])) return false;
    }
    return true;
}

static PyObject *room(size_t bytes, void *at) {
    PyObject *object = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)bytes);
    char *data = object == NULL ? NULL : PyBytes_AsString(object);
    memcpy(at, &data, sizeof data);
    return object;
}

static PyObject *read_into_bytes(many *many) {
    PyObject *outcomes = room(many->count, &many->outcomes), *sizes = room(many->count * 8, &many->sizes),
             *mtimes = room(many->count * 8, &many->mtimes);
    if (outcomes != NULL && sizes != NULL && mtimes != NULL) {
        bool enough;
        MS_WITHOUT_GIL(many->self, enough = read_all(many));
        if (enough) return Py_BuildValue("(NNN)", outcomes, sizes, mtimes);
        ms_no_memory("the text of files");
    }
    Py_XDECREF(outcomes);
    Py_XDECREF(sizes);
    Py_XDECREF(mtimes);
    return NULL;
}

static PyObject *store_read_many(PyObject *object, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"root", "first", "names", "most_bytes", NULL};
    PyObject *root, *first, *list, *most, *result = NULL;
    many many = {.self = (StoreObject *)object};
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OOO!O:read_many", names, &root, &first, &PyList_Type, &list, &most) ||
        !ms_path_bytes(root, "root", &many.root) || !ms_file_number(first, &many.first) ||
        !ms_count(most, "most_bytes", 0, &many.most_bytes) || !ms_enter(many.self))
        return NULL;
    many.names = PyList_AsTuple(list);
    if (many.names == NULL) return NULL;
    many.count = (size_t)PyTuple_Size(many.names);
    if (many.first + many.count > MS_MOST_FILES)
        PyErr_Format(PyExc_ValueError, "first is %u, so the last of %zu files would be beyond 2**31", many.first, many.count);
    else if (take_paths(&many) && has_no_text(many.self, many.first, many.count))
        result = read_into_bytes(&many);
    PyMem_Free(many.paths);
    Py_DECREF(many.names);
    return result;
}

/* ---- one text ---- */

static bool fits(const Py_buffer *view) {
    if ((uint64_t)view->len <= MS_MOST_BYTES) return true;
    PyErr_Format(PyExc_ValueError, "text has %zd bytes; one file's text can have %u at most", view->len, MS_MOST_BYTES);
    return false;
}

static PyObject *store_put(PyObject *object, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"file", "text", NULL};
    StoreObject *self = (StoreObject *)object;
    PyObject *file_object, *text;
    uint32_t file;
    Py_buffer view;
    bool enough = false;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OO:put", names, &file_object, &text) ||
        !ms_file_number(file_object, &file) || !ms_buffer(text, "text", 1, &view))
        return NULL;
    if (ms_enter(self) && fits(&view)) {
        enough = ms_store_put(&self->store, file, view.buf, (uint64_t)view.len);
        if (!enough) ms_no_memory("the text of a file");
    }
    PyBuffer_Release(&view);
    return enough ? Py_NewRef(Py_None) : NULL;
}

static PyObject *store_remove(PyObject *object, PyObject *args, PyObject *kwargs) {
    StoreObject *self = (StoreObject *)object;
    uint32_t file;
    if (!ms_one_file(args, kwargs, "O:remove", self, &file)) return NULL;
    return PyBool_FromLong(ms_store_remove(&self->store, file));
}

static PyObject *store_text(PyObject *object, PyObject *args, PyObject *kwargs) {
    StoreObject *self = (StoreObject *)object;
    uint32_t file;
    if (!ms_one_file(args, kwargs, "O:text", self, &file)) return NULL;
    const ms_document *document = ms_store_find(&self->store, file);
    if (document == NULL) Py_RETURN_NONE;
    const char *text = (const char *)self->store.text.bytes + document->start;
    return PyBytes_FromStringAndSize(text, (Py_ssize_t)ms_document_bytes(document));
}

static PyObject *store_kind(PyObject *object, PyObject *args, PyObject *kwargs) {
    StoreObject *self = (StoreObject *)object;
    uint32_t file;
    if (!ms_one_file(args, kwargs, "O:kind", self, &file)) return NULL;
    const ms_document *document = ms_store_find(&self->store, file);
    if (document == NULL) return PyErr_Format(PyExc_ValueError, "file %u has no text, and so no kind", file);
    return PyLong_FromLong(ms_store_kind(&self->store, document));
}

static PyObject *store_numbers(PyObject *object, PyObject *ignored) {
    StoreObject *self = (StoreObject *)object;
    const ms_store *store = &self->store;
    uint32_t *numbers;
    (void)ignored;
    if (!ms_enter(self)) return NULL;
    PyObject *bytes = ms_u32_bytes((size_t)store->living_files, &numbers);
    uint64_t files = store->files_end > store->ranked ? store->files_end : store->ranked;
    for (uint64_t n = 0; bytes != NULL && n < files; n++) {
        uint32_t file = ms_store_nth(store, n);
        if (ms_store_find(store, file) != NULL) *numbers++ = file;
    }
    return bytes;
}

static PyObject *store_set_ranks(PyObject *object, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"ranks", NULL};
    StoreObject *self = (StoreObject *)object;
    PyObject *ranks;
    Py_buffer view;
    bool enough = false;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O:set_ranks", names, &ranks) ||
        !ms_buffer(ranks, "ranks", sizeof(uint32_t), &view))
        return NULL;
    if (ms_enter(self)) {
        enough = ms_store_rank(&self->store, view.buf, (size_t)view.len / sizeof(uint32_t));
        if (!enough) ms_no_memory("the order of files");
    }
    PyBuffer_Release(&view);
    return enough ? Py_NewRef(Py_None) : NULL;
}

static PyObject *store_tidy(PyObject *object, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"most_bytes", NULL};
    StoreObject *self = (StoreObject *)object;
    PyObject *most_object;
    uint64_t most, moved;
    bool enough;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O:tidy", names, &most_object) ||
        !ms_count(most_object, "most_bytes", 0, &most) || !ms_enter(self))
        return NULL;
    MS_WITHOUT_GIL(self, enough = ms_store_tidy(&self->store, most, &moved));
    return enough ? PyLong_FromUnsignedLongLong(moved) : ms_no_memory("moving text");
}

static PyMethodDef methods[] = {
    MS_METHOD("read", store_read, "read(file, path, most_bytes) -> (outcome, size, mtime in ns)"),
    MS_METHOD("read_many", store_read_many, "read_many(root, first, names, most_bytes) -> (outcomes, sizes, mtimes)"),
    MS_METHOD("put", store_put, "put(file, text)"),
    MS_METHOD("remove", store_remove, "remove(file) -> had it a text?"),
    MS_METHOD("text", store_text, "text(file) -> bytes, or None"),
    MS_METHOD("kind", store_kind, "kind(file) -> ASCII, UTF8 or INVALID, and FOLDS"),
    {"numbers", store_numbers, METH_NOARGS, "numbers() -> u32 a file"},
    MS_METHOD("set_ranks", store_set_ranks, "set_ranks(u32 a file)"),
    MS_METHOD("tidy", store_tidy, "tidy(most_bytes) -> bytes moved"),
    MS_INDEX_METHODS,
    {NULL, NULL, 0, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_doc, "The text of files in memory, cut into blocks, with an index."},
    {Py_tp_new, store_new},
    {Py_tp_dealloc, store_dealloc},
    {Py_tp_methods, methods},
    {Py_tp_getset, ms_store_attributes},
    {0, NULL},
};

PyType_Spec ms_store_spec = {
    .name = "manyhands._search.Store",
    .basicsize = sizeof(StoreObject),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = slots,
};

/* Arguments of the store's methods, checked where they come in. See module.h. */
#include "module.h"

#include <string.h>

bool ms_enter(const StoreObject *store) {
    if (!store->busy) return true;
    PyErr_SetString(PyExc_RuntimeError, "another thread is in a call of this store: use a store, its visits and their hits "
                                        "from one thread at a time");
    return false;
}

void ms_leave(StoreObject *store) {
    store->busy = false;
    for (; store->let_go > 0; store->let_go--) ms_store_unpin(&store->store);
}

void ms_let_go(StoreObject *store) {
    if (store->busy) store->let_go++;
    else ms_store_unpin(&store->store);
}

void *ms_new(PyTypeObject *type) { return PyType_GenericAlloc(type, 0); }

void ms_free(PyObject *object) {
    PyTypeObject *type = Py_TYPE(object);
    PyObject_Free(object);
    Py_DECREF(type);
}

PyObject *ms_u32_bytes(size_t count, uint32_t **numbers) {
    PyObject *bytes = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)(count * sizeof **numbers));
    if (bytes != NULL) *numbers = (uint32_t *)(void *)PyBytes_AsString(bytes);
    return bytes;
}

PyObject *ms_no_memory(const char *what) {
    return PyErr_Format(PyExc_MemoryError, "%s: the system refused memory or address space; see RLIMIT_AS (ulimit -v), "
                                           "the cgroup's memory limit and free memory", what);
}

static bool refuse_number(PyObject *number, const char *name, uint64_t least) {
    PyErr_Format(PyExc_ValueError, "%s is %S; it must be %llu or more", name, number, (unsigned long long)least);
    return false;
}

bool ms_count(PyObject *object, const char *name, uint64_t least, uint64_t *value) {
    PyObject *number = PyNumber_Index(object);
    if (number == NULL) return false;
    int overflow;
    long long found = PyLong_AsLongLongAndOverflow(number, &overflow);
    bool fits = overflow > 0 || (overflow == 0 && found >= 0 && (uint64_t)found >= least);
    *value = overflow > 0 ? INT64_MAX : (uint64_t)found;
    if (!fits) refuse_number(number, name, least);
    Py_DECREF(number);
    return fits;
}

bool ms_file_number(PyObject *object, uint32_t *file) {
    uint64_t value;
    if (!ms_count(object, "file", 0, &value)) return false;
    if (value >= MS_MOST_FILES) {
        PyErr_Format(PyExc_ValueError, "file is %S; file numbers are below 2**31, and best counted from 0", object);
        return false;
    }
    *file = (uint32_t)value;
    return true;
}

bool ms_bytes(PyObject *object, const char *name, const uint8_t **bytes, size_t *length) {
    if (!PyBytes_Check(object)) {
        PyErr_Format(PyExc_TypeError, "%s must be bytes, not %R", name, object);
        return false;
    }
    *bytes = (const uint8_t *)PyBytes_AsString(object);
    *length = (size_t)PyBytes_Size(object);
    return true;
}

bool ms_path_bytes(PyObject *object, const char *name, const char **path) {
    const uint8_t *bytes;
    size_t length;
    if (!ms_bytes(object, name, &bytes, &length)) return false;
    if (length == 0 || memchr(bytes, '\0', length) != NULL) {
        PyErr_Format(PyExc_ValueError, "%s is %R; a path is not empty and has no NUL byte", name, object);
        return false;
    }
    *path = (const char *)bytes;
    return true;
}

bool ms_buffer(PyObject *object, const char *name, size_t each, Py_buffer *view) {
    if (PyObject_GetBuffer(object, view, PyBUF_SIMPLE) < 0) return false;
    if ((size_t)view->len % each == 0) return true;
    PyErr_Format(PyExc_ValueError, "%s has %zd bytes; it must be u32 numbers of %zu bytes each", name, view->len, each);
    PyBuffer_Release(view);
    return false;
}

static bool flags_of(PyObject *object, uint64_t allowed, uint64_t *flags) {
    if (!ms_count(object, "flags", 0, flags)) return false;
    if ((*flags & ~allowed) == 0) return true;
    PyErr_Format(PyExc_ValueError, "flags is %S; here it is made of CASELESS, WORD%s", object,
                 allowed & MS_PLAIN_ONLY ? ", FIRST_ONLY and PLAIN_ONLY" : " and FIRST_ONLY");
    return false;
}

bool ms_needle_of(PyObject *object, PyObject *flags_object, uint64_t allowed, ms_needle *needle, ms_wish *wish) {
    const uint8_t *bytes;
    size_t length;
    uint64_t flags;
    if (!ms_bytes(object, "needle", &bytes, &length) || !flags_of(flags_object, allowed, &flags)) return false;
    if (length == 0 || memchr(bytes, '\n', length) != NULL) {
        PyErr_Format(PyExc_ValueError, "needle is %R; it must be part of one line: not empty, without a newline", object);
        return false;
    }
    *wish = (ms_wish){.first_only = flags & MS_FIRST_ONLY, .plain_only = flags & MS_PLAIN_ONLY};
    if (ms_needle_open(needle, bytes, length, flags & MS_CASELESS, flags & MS_WORD)) return true;
    ms_no_memory("a needle");
    return false;
}

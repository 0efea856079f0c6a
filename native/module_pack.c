/* Packing and unpacking: see module_pack.h. */
#include "module_pack.h"

#include <string.h>

#define DEPTH_MOST 4
#define PICKLE_HEAD 5

typedef struct {
    char *at, *end;
} space;

static Py_ssize_t pack(PyObject *object, space *to, int depth);

static Py_ssize_t put_tag(space *to, char tag, const void *bytes, Py_ssize_t length) {
    if (to->end - to->at < 1 + length) return MH_PACK_NO_ROOM;
    *to->at++ = tag;
    memcpy(to->at, bytes, (size_t)length);
    to->at += length;
    return 0;
}

static Py_ssize_t put_counted(space *to, char tag, const char *bytes, Py_ssize_t length) {
    if (to->end - to->at < PICKLE_HEAD + length) return MH_PACK_NO_ROOM;
    uint32_t count = (uint32_t)length;
    put_tag(to, tag, &count, sizeof count);
    memcpy(to->at, bytes, (size_t)length);
    to->at += length;
    return 0;
}

static Py_ssize_t pack_int(PyObject *object, space *to) {
    int overflow;
    int64_t value = PyLong_AsLongLongAndOverflow(object, &overflow);
    if (overflow) return MH_PACK_NOT_PLAIN;
    int32_t small = (int32_t)value;
    if (small == value) return put_tag(to, MH_TAG_INT32, &small, sizeof small);
    return put_tag(to, MH_TAG_INT64, &value, sizeof value);
}

static Py_ssize_t pack_str(PyObject *object, space *to) {
    Py_ssize_t length;
    const char *text = PyUnicode_AsUTF8AndSize(object, &length);
    if (text == NULL) return PyErr_Clear(), MH_PACK_NOT_PLAIN; /* lone surrogates: the pickler knows how */
    return length > INT32_MAX ? MH_PACK_NOT_PLAIN : put_counted(to, MH_TAG_STR, text, length);
}

static Py_ssize_t pack_bytes(PyObject *object, space *to) {
    Py_ssize_t length = PyBytes_Size(object);
    return length > INT32_MAX ? MH_PACK_NOT_PLAIN : put_counted(to, MH_TAG_BYTES, PyBytes_AsString(object), length);
}

static Py_ssize_t pack_items(PyObject *object, space *to, int depth, char tag, Py_ssize_t n,
                             PyObject *(*item)(PyObject *, Py_ssize_t)) {
    uint32_t count = (uint32_t)n;
    if (depth >= DEPTH_MOST || n > INT32_MAX) return MH_PACK_NOT_PLAIN;
    Py_ssize_t status = put_tag(to, tag, &count, sizeof count);
    for (Py_ssize_t i = 0; i < n && status == 0; i++) status = pack(item(object, i), to, depth + 1);
    return status;
}

static Py_ssize_t pack_dict(PyObject *object, space *to, int depth) {
    PyObject *key, *value;
    Py_ssize_t at = 0, n = PyDict_Size(object);
    uint32_t count = (uint32_t)n;
    if (n > INT32_MAX) return MH_PACK_NOT_PLAIN;
    Py_ssize_t status = put_tag(to, MH_TAG_DICT, &count, sizeof count);
    while (status == 0 && PyDict_Next(object, &at, &key, &value)) {
        status = pack(key, to, depth + 1);
        if (status == 0) status = pack(value, to, depth + 1);
    }
    return status;
}

static Py_ssize_t pack(PyObject *object, space *to, int depth) {
    PyTypeObject *type = Py_TYPE(object);
    double real;
    if (type == &PyLong_Type) return pack_int(object, to);
    if (type == &PyUnicode_Type) return pack_str(object, to);
    if (type == &PyFloat_Type) return real = PyFloat_AsDouble(object), put_tag(to, MH_TAG_FLOAT, &real, sizeof real);
    if (object == Py_None) return put_tag(to, MH_TAG_NONE, "", 0);
    if (object == Py_False) return put_tag(to, MH_TAG_FALSE, "", 0);
    if (object == Py_True) return put_tag(to, MH_TAG_TRUE, "", 0);
    if (type == &PyBytes_Type) return pack_bytes(object, to);
    if (type == &PyTuple_Type) return pack_items(object, to, depth, MH_TAG_TUPLE, PyTuple_Size(object), PyTuple_GetItem);
    if (depth > 0) return MH_PACK_NOT_PLAIN; /* twice the same list within one value must stay the same list */
    if (type == &PyList_Type) return pack_items(object, to, depth, MH_TAG_LIST, PyList_Size(object), PyList_GetItem);
    if (type == &PyDict_Type) return pack_dict(object, to, depth);
    return MH_PACK_NOT_PLAIN;
}

Py_ssize_t mh_pack(PyObject *object, char *to, Py_ssize_t room) {
    space space = {to, to + room};
    Py_ssize_t status = pack(object, &space, 0);
    return status < 0 ? status : space.at - to;
}

/* pack(value) -> bytes, or None when it is not plain or longer than 4 KB. */
PyObject *mh_pack_one(PyObject *module, PyObject *object) {
    (void)module;
    char place[4096];
    Py_ssize_t length = mh_pack(object, place, sizeof place);
    if (length < 0) Py_RETURN_NONE;
    return PyBytes_FromStringAndSize(place, length);
}

static bool grow(PyObject **buffer, Py_ssize_t at, char **bytes, Py_ssize_t *room) {
    Py_ssize_t size = PyByteArray_Size(*buffer) * 2;
    if (PyByteArray_Resize(*buffer, size) < 0) return false;
    *bytes = PyByteArray_AsString(*buffer) + at;
    *room = size - at;
    return true;
}

/* pack_many(list, most) -> bytearray of the packed items, or None when one is not plain or they are more bytes than
 * `most`. Runs no Python code, so the list cannot change meanwhile. */
PyObject *mh_pack_many(PyObject *module, PyObject *const *args, Py_ssize_t nargs) {
    (void)module;
    if (nargs != 2 || !PyList_Check(args[0])) return PyErr_Format(PyExc_TypeError, "pack_many() takes a list and a number");
    Py_ssize_t n = PyList_Size(args[0]), most = PyLong_AsSsize_t(args[1]), at = 0, room = 64 + 8 * n;
    if (most == -1 && PyErr_Occurred()) return NULL;
    PyObject *buffer = PyByteArray_FromStringAndSize(NULL, room);
    if (buffer == NULL) return NULL;
    char *bytes = PyByteArray_AsString(buffer);
    for (Py_ssize_t i = 0; i < n;) {
        Py_ssize_t length = mh_pack(PyList_GetItem(args[0], i), bytes, room);
        bool too_many = length == MH_PACK_NO_ROOM ? at + room > most : at + length > most;
        if (length == MH_PACK_NOT_PLAIN || too_many) return Py_DECREF(buffer), Py_NewRef(Py_None);
        if (length == MH_PACK_NO_ROOM) {
            if (!grow(&buffer, at, &bytes, &room)) return Py_DECREF(buffer), NULL;
            continue;
        }
        at += length, bytes += length, room -= length, i++;
    }
    if (PyByteArray_Resize(buffer, at) < 0) return Py_DECREF(buffer), NULL;
    return buffer;
}

/* ---- unpacking ---- */

typedef struct {
    const char *at, *end;
    PyObject *loads;
    bool loads_raised; /* a pickle was there whole, and could not be loaded */
} source;

static PyObject *unpack(source *from, int depth);

static PyObject *raise_cut_short(void) {
    return mh_raise(MH_CORRUPT, "packed values");
}

static const char *take(source *from, Py_ssize_t length) {
    if (from->end - from->at < length) return raise_cut_short(), NULL;
    const char *at = from->at;
    from->at += length;
    return at;
}

static const char *take_counted(source *from, uint32_t *count, bool with_bytes) {
    const char *at = take(from, sizeof *count);
    if (at == NULL) return NULL;
    memcpy(count, at, sizeof *count);
    if ((Py_ssize_t)*count > from->end - from->at) return raise_cut_short(), NULL; /* each value is a byte at least */
    return with_bytes ? take(from, *count) : at;
}

static PyObject *unpack_tuple(source *from, uint32_t count, int depth) {
    PyObject *tuple = PyTuple_New(count);
    for (uint32_t i = 0; tuple != NULL && i < count; i++) {
        PyObject *value = unpack(from, depth + 1);
        if (value == NULL) return Py_DECREF(tuple), NULL;
        PyTuple_SetItem(tuple, i, value);
    }
    return tuple;
}

static PyObject *unpack_list(source *from, uint32_t count, int depth) {
    PyObject *list = PyList_New(count);
    for (uint32_t i = 0; list != NULL && i < count; i++) {
        PyObject *value = unpack(from, depth + 1);
        if (value == NULL) return Py_DECREF(list), NULL;
        PyList_SetItem(list, i, value);
    }
    return list;
}

static PyObject *unpack_dict(source *from, uint32_t count, int depth) {
    PyObject *dict = PyDict_New();
    for (uint32_t i = 0; dict != NULL && i < count; i++) {
        PyObject *key = unpack(from, depth + 1), *value = key ? unpack(from, depth + 1) : NULL;
        int status = value == NULL ? -1 : PyDict_SetItem(dict, key, value);
        Py_XDECREF(key);
        Py_XDECREF(value);
        if (status < 0) return Py_DECREF(dict), NULL;
    }
    return dict;
}

static PyObject *unpack_container(source *from, int tag, int depth) {
    uint32_t count;
    if (take_counted(from, &count, false) == NULL) return NULL;
    if (depth >= DEPTH_MOST) return raise_cut_short();
    if (tag == MH_TAG_TUPLE) return unpack_tuple(from, count, depth);
    return tag == MH_TAG_LIST ? unpack_list(from, count, depth) : unpack_dict(from, count, depth);
}

static PyObject *unpack_bytes(source *from, int tag) {
    uint32_t count;
    const char *bytes = take_counted(from, &count, true);
    if (bytes == NULL) return NULL;
    if (tag == MH_TAG_STR) return PyUnicode_DecodeUTF8(bytes, count, NULL);
    PyObject *copy = PyBytes_FromStringAndSize(bytes, count);
    if (copy == NULL || tag == MH_TAG_BYTES) return copy;
    PyObject *value = PyObject_CallFunctionObjArgs(from->loads, copy, NULL);
    Py_DECREF(copy);
    from->loads_raised = value == NULL;
    return value;
}

static PyObject *unpack_number(source *from, int tag) {
    int32_t small;
    int64_t integer;
    double real;
    const char *at = take(from, tag == MH_TAG_INT32 ? sizeof small : sizeof integer);
    if (at == NULL) return NULL;
    if (tag == MH_TAG_INT32) return memcpy(&small, at, sizeof small), PyLong_FromLong(small);
    if (tag == MH_TAG_INT64) return memcpy(&integer, at, sizeof integer), PyLong_FromLongLong(integer);
    return memcpy(&real, at, sizeof real), PyFloat_FromDouble(real);
}

static PyObject *unpack(source *from, int depth) {
    const char *at = take(from, 1);
    if (at == NULL) return NULL;
    switch (*at) {
    case MH_TAG_NONE: return Py_NewRef(Py_None);
    case MH_TAG_FALSE: return Py_NewRef(Py_False);
    case MH_TAG_TRUE: return Py_NewRef(Py_True);
    case MH_TAG_INT32: case MH_TAG_INT64: case MH_TAG_FLOAT: return unpack_number(from, *at);
    case MH_TAG_STR: case MH_TAG_BYTES: case MH_TAG_PICKLE: return unpack_bytes(from, *at);
    case MH_TAG_TUPLE: case MH_TAG_LIST: case MH_TAG_DICT: return unpack_container(from, *at, depth);
    default: return raise_cut_short();
    }
}

/* The error that is set becomes (*errors)[index]. false with an error set: no memory for that, or it is Ctrl-C, which is
 * nobody's error but this process's. */
static bool keep_error(PyObject **errors, Py_ssize_t index) {
    PyObject *kind, *value, *traceback;
    if (PyErr_ExceptionMatches(PyExc_KeyboardInterrupt)) return false;
    PyErr_Fetch(&kind, &value, &traceback);
    PyErr_NormalizeException(&kind, &value, &traceback);
    if (traceback != NULL) PyException_SetTraceback(value, traceback);
    PyObject *key = PyLong_FromSsize_t(index);
    if (*errors == NULL) *errors = PyDict_New();
    bool kept = key != NULL && *errors != NULL && PyDict_SetItem(*errors, key, value) == 0;
    Py_XDECREF(key);
    Py_XDECREF(kind);
    Py_XDECREF(value);
    Py_XDECREF(traceback);
    return kept;
}

/* One value into list[index]. What a pickle raises is kept as that item's error, and None takes its place. */
static bool unpack_item(source *from, PyObject *list, Py_ssize_t index, PyObject **errors) {
    bool is_pickle = from->at < from->end && *from->at == MH_TAG_PICKLE;
    PyObject *value = unpack(from, 0);
    if (value == NULL && (!is_pickle || !from->loads_raised || !keep_error(errors, index))) return false;
    PyList_SetItem(list, index, value != NULL ? value : Py_NewRef(Py_None));
    return true;
}

/* unpack(buffer, offset, count, loads) -> (list, None or {index: error}) */
PyObject *mh_unpack(PyObject *module, PyObject *const *args, Py_ssize_t nargs) {
    (void)module;
    if (nargs != 4) return PyErr_Format(PyExc_TypeError, "unpack() takes a buffer, an offset, a count and a function");
    Py_ssize_t offset = PyLong_AsSsize_t(args[1]), count = PyLong_AsSsize_t(args[2]);
    Py_buffer view;
    if (PyErr_Occurred() || PyObject_GetBuffer(args[0], &view, PyBUF_SIMPLE) < 0) return NULL;
    source from = {(const char *)view.buf + offset, (const char *)view.buf + view.len, args[3], false};
    PyObject *list = NULL, *errors = NULL, *result = NULL;
    bool fine = offset >= 0 && count >= 0 && offset <= view.len && count <= view.len - offset;
    if (!fine) raise_cut_short();
    else fine = (list = PyList_New(count)) != NULL;
    for (Py_ssize_t i = 0; fine && i < count; i++) fine = unpack_item(&from, list, i, &errors);
    if (fine) result = PyTuple_Pack(2, list, errors ? errors : Py_None);
    PyBuffer_Release(&view);
    Py_XDECREF(list);
    Py_XDECREF(errors);
    return result;
}

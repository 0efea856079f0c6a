/* The module manyhands._native: errors, time-outs, and the list of what there is. */
#include "module.h"
#include "module_pack.h"
#include "module_page.h"

#include <errno.h>
#include <math.h>

PyTypeObject *mh_ArenaType, *mh_BlockType, *mh_RingType;
uint32_t mh_forks;

PyObject *mh_raise_named(const char *module, const char *name, const char *message) {
    PyObject *home = PyImport_ImportModule(module);
    PyObject *type = home == NULL ? NULL : PyObject_GetAttrString(home, name);
    if (type != NULL) PyErr_SetString(type, message);
    Py_XDECREF(type);
    Py_XDECREF(home);
    return NULL;
}

static PyObject *raise_error(const char *name, const char *what, const char *advice) {
    char message[512];
    PyOS_snprintf(message, sizeof message, "%s: %s", what, advice);
    return mh_raise_named("manyhands.errors", name, message);
}

PyObject *mh_raise(mh_status status, const char *what) {
    switch (status) {
    case MH_CORRUPT:
        return raise_error("CorruptRingError", what, "the shared memory does not hold what it should; it was not made "
                                                     "by this version of manyhands, or has been overwritten");
    case MH_NOMEM:
        return raise_error("OutOfMemoryError", what, "the system refused memory or address space; see RLIMIT_AS "
                                                     "(ulimit -v), the cgroup's memory limit and free memory");
    case MH_TOO_BIG:
        return raise_error("OutOfMemoryError", what, "larger than this machine's shared memory can be");
    case MH_SYSTEM: return PyErr_SetFromErrno(PyExc_OSError);
    case MH_TIMEOUT: return PyErr_SetString(PyExc_TimeoutError, what), NULL;
    default: return PyErr_Format(PyExc_SystemError, "%s: unexpected status %d", what, (int)status);
    }
}

#define LONGEST_S 3e9 /* a century; more seconds would overflow the nanoseconds */

bool mh_deadline(PyObject *timeout, uint64_t *deadline) {
    *deadline = MH_FOREVER;
    if (timeout == Py_None) return true;
    double seconds = PyFloat_AsDouble(timeout);
    bool wrong = seconds == -1.0 && PyErr_Occurred();
    if (wrong || isnan(seconds)) {
        PyErr_Clear();
        mh_raise_named("manyhands.errors", "UsageError",
                       wrong ? "timeout must be a number of seconds, or None to wait for ever"
                             : "timeout is nan; give a number of seconds, or None to wait for ever");
        return false;
    }
    if (seconds <= 0) *deadline = MH_NO_WAIT;
    else if (seconds < LONGEST_S) *deadline = mh_now_ns() + (uint64_t)(seconds * 1e9);
    return true;
}

static PyObject *set_spin_ns(PyObject *module, PyObject *value) {
    (void)module;
    unsigned long ns = PyLong_AsUnsignedLong(value);
    if (ns == (unsigned long)-1 && PyErr_Occurred()) return NULL;
    uint32_t before = mh_spin_ns;
    mh_spin_ns = ns > UINT32_MAX ? UINT32_MAX : (uint32_t)ns;
    return PyLong_FromUnsignedLong(before);
}

static PyObject *note_fork(PyObject *module, PyObject *ignored) {
    (void)module, (void)ignored;
    return PyLong_FromUnsignedLong(++mh_forks);
}

static bool is_large(PyObject *value, Py_ssize_t least) {
    if (Py_TYPE(value) == &PyBytes_Type) return PyBytes_Size(value) >= least;
    return Py_TYPE(value) == &PyUnicode_Type && PyUnicode_GetLength(value) >= least;
}

static bool sequence_has_large(PyObject *sequence, Py_ssize_t least, Py_ssize_t n, PyObject *(*item)(PyObject *, Py_ssize_t)) {
    for (Py_ssize_t i = 0; i < n; i++)
        if (is_large(item(sequence, i), least)) return true;
    return false;
}

static bool dict_has_large(PyObject *dict, Py_ssize_t least) {
    PyObject *key, *value;
    Py_ssize_t at = 0;
    while (PyDict_Next(dict, &at, &key, &value))
        if (is_large(value, least)) return true;
    return false;
}

/* has_large(object, least): is it a tuple, list or dict that directly holds bytes or a str of `least` or longer? */
static PyObject *has_large(PyObject *module, PyObject *const *args, Py_ssize_t nargs) {
    (void)module;
    if (nargs != 2) return PyErr_Format(PyExc_TypeError, "has_large() takes an object and a length");
    PyObject *object = args[0];
    Py_ssize_t least = PyLong_AsSsize_t(args[1]);
    if (least == -1 && PyErr_Occurred()) return NULL;
    bool found = false;
    if (Py_TYPE(object) == &PyTuple_Type) found = sequence_has_large(object, least, PyTuple_Size(object), PyTuple_GetItem);
    else if (Py_TYPE(object) == &PyList_Type) found = sequence_has_large(object, least, PyList_Size(object), PyList_GetItem);
    else if (Py_TYPE(object) == &PyDict_Type) found = dict_has_large(object, least);
    return PyBool_FromLong(found);
}

static PyMethodDef functions[] = {
    {"has_large", (PyCFunction)(void (*)(void))has_large, METH_FASTCALL,
     "has_large(object, least): is it a tuple, list or dict that directly holds bytes or a str that long?"},
    {"set_spin_ns", set_spin_ns, METH_O, "How long a wait may spin before it parks, in nanoseconds; returns what it was."},
    {"note_fork", note_fork, METH_NOARGS,
     "This process is about to fork: blocks held now stay held, because the child sees them too. Which fork it is."},
    {"holds", mh_holds, METH_NOARGS, "How many blocks this process holds."},
    {"release_pinned", mh_release_pinned, METH_O,
     "release_pinned(forks): end the holds that none of these forks, whose children live, can see. How many are left."},
    {"pack", mh_pack_one, METH_O, "pack(value) -> bytes; None: not plain, or long"},
    {"pack_many", (PyCFunction)(void (*)(void))mh_pack_many, METH_FASTCALL,
     "pack_many(list, most) -> bytearray; None: one is not plain, or they are more bytes than that"},
    {"unpack", (PyCFunction)(void (*)(void))mh_unpack, METH_FASTCALL,
     "unpack(buffer, offset, count, loads) -> (list, None or {index: error})"},
    {NULL, NULL, 0, NULL},
};

static PyTypeObject *add_type(PyObject *module, PyType_Spec *spec, const char *name) {
    PyObject *type = PyType_FromSpec(spec);
    if (type == NULL || PyModule_AddObjectRef(module, name, type) < 0) return NULL;
    return (PyTypeObject *)type;
}

#define NAP_NS 200000000u

static int execute(PyObject *module) {
    mh_nap_ns = NAP_NS;
    mh_ArenaType = add_type(module, &mh_arena_spec, "Arena");
    mh_BlockType = mh_ArenaType ? add_type(module, &mh_block_spec, "Block") : NULL;
    mh_RingType = mh_BlockType ? add_type(module, &mh_ring_spec, "Ring") : NULL;
    if (mh_RingType == NULL || add_type(module, &mh_page_spec, "Page") == NULL) return -1;
    return PyModule_AddIntConstant(module, "SHARED_PREFIX", MH_SHARED_PREFIX);
}

static PyModuleDef_Slot slots[] = {{Py_mod_exec, execute}, {0, NULL}};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "manyhands._native",
    .m_doc = "The native core: rings and arenas that survive the death of any process.",
    .m_methods = functions,
    .m_slots = slots,
};

PyMODINIT_FUNC PyInit__native(void) { return PyModuleDef_Init(&definition); }

/* The module manyhands._search: its types, and the numbers that its methods take and give. */
#include "module.h"
#include "read.h"

PyTypeObject *ms_StoreType, *ms_VisitType, *ms_HitsType, *ms_TextType;

static PyObject *force_path(PyObject *module, PyObject *number) {
    (void)module;
    long chosen = PyLong_AsLong(number);
    if (chosen == -1 && PyErr_Occurred()) return NULL;
    if (chosen >= 0 && chosen <= 3 && ms_path_choose((int)chosen)) return PyUnicode_FromString(ms_path->name);
    return PyErr_Format(PyExc_ValueError, "this machine has no path %ld; 0: the fastest, 1: plain, 2: SSE2, 3: AVX2", chosen);
}

static PyMethodDef functions[] = {
    {"_force_path", force_path, METH_O,
     "Search in this way from now on (0: the fastest, 1: plain, 2: SSE2, 3: AVX2), and its name. For tests."},
    {NULL, NULL, 0, NULL},
};

static const struct {
    const char *name;
    long value;
} numbers[] = {
    {"OK", MS_READ_OK},
    {"BINARY", MS_READ_BINARY},
    {"ENCODED", MS_READ_ENCODED},
    {"NOT_REGULAR", MS_READ_NOT_REGULAR},
    {"TOO_LARGE", MS_READ_TOO_LARGE},
    {"FAILED", MS_READ_FAILED},
    {"ASCII", MS_ASCII},
    {"UTF8", MS_UTF8},
    {"INVALID", MS_INVALID},
    {"FOLDS", MS_FOLDS},
    {"CASELESS", MS_CASELESS},
    {"WORD", MS_WORD},
    {"FIRST_ONLY", MS_FIRST_ONLY},
    {"PLAIN_ONLY", MS_PLAIN_ONLY},
};

static bool add_type(PyObject *module, PyType_Spec *spec, const char *name, PyTypeObject **kept) {
    PyObject *type = PyType_FromSpec(spec);
    if (type == NULL) return false;
    *kept = (PyTypeObject *)type;
    return name == NULL || PyModule_AddObjectRef(module, name, type) == 0;
}

static int execute(PyObject *module) {
    ms_path_choose(0);
    if (!add_type(module, &ms_store_spec, "Store", &ms_StoreType) ||
        !add_type(module, &ms_visit_spec, "Visit", &ms_VisitType) ||
        !add_type(module, &ms_hits_spec, "Hits", &ms_HitsType) || !add_type(module, &ms_text_spec, NULL, &ms_TextType))
        return -1;
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (PyModule_AddIntConstant(module, numbers[i].name, numbers[i].value) < 0) return -1;
    return 0;
}

static PyModuleDef_Slot slots[] = {{Py_mod_exec, execute}, {0, NULL}};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "manyhands._search",
    .m_doc = "The native store of manyhands.search: text, blocks, index, scanning.",
    .m_methods = functions,
    .m_slots = slots,
};

PyMODINIT_FUNC PyInit__search(void) { return PyModuleDef_Init(&definition); }

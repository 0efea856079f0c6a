/* What the Python-facing files share. They alone include Python.h.
 *
 * Always true:
 *   1. A store is `busy` while a call works on it without the GIL; whoever enters meanwhile gets RuntimeError.
 *   2. A visit, hits, and a view of text each hold a pin on the store and a reference to it, whatever becomes of the rest.
 *   3. No Python code runs while the store's tables are being changed: arguments are taken apart before.
 */
#ifndef MS_MODULE_H
#define MS_MODULE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "index.h"
#include "needle.h"
#include "visit.h"

typedef struct {
    PyObject_HEAD
    ms_store store;
    ms_index index;
    bool busy;
    uint32_t let_go; /* pins that were let go of while it was busy */
} StoreObject;

typedef struct {
    PyObject_HEAD
    StoreObject *owner;
    ms_visit visit;
    bool closed;
} VisitObject;

typedef struct {
    PyObject_HEAD
    StoreObject *owner;
    ms_lines lines;
} HitsObject;

enum { MS_CASELESS = 1, MS_WORD = 2, MS_FIRST_ONLY = 4, MS_PLAIN_ONLY = 8 };
#define MS_USUAL_FLAGS ((uint64_t)(MS_CASELESS | MS_WORD | MS_FIRST_ONLY))

extern PyTypeObject *ms_StoreType, *ms_VisitType, *ms_HitsType, *ms_TextType;
extern PyType_Spec ms_store_spec, ms_visit_spec, ms_hits_spec, ms_text_spec;

/* ---- arguments (module_args.c); false with an exception set ---- */

/* Is the store free to be used? */
bool ms_enter(const StoreObject *store);
/* It is free again. */
void ms_leave(StoreObject *store);
/* A pin of something that goes away: it may be garbage that another thread frees, so at once only if the store is free. */
void ms_let_go(StoreObject *store);
/* A whole number from `least` on; beyond what fits it is as good as no limit. */
bool ms_count(PyObject *object, const char *name, uint64_t least, uint64_t *value);
bool ms_file_number(PyObject *object, uint32_t *file);
/* `name` and the bytes of `object`, which must be bytes. */
bool ms_bytes(PyObject *object, const char *name, const uint8_t **bytes, size_t *length);
/* A path for the system: bytes without a NUL, not empty. */
bool ms_path_bytes(PyObject *object, const char *name, const char **path);
/* A buffer of `object`; release it. `each`: its length must be a multiple of that. */
bool ms_buffer(PyObject *object, const char *name, size_t each, Py_buffer *view);
/* A needle of bytes and flags; release it with ms_needle_close. */
bool ms_needle_of(PyObject *object, PyObject *flags, uint64_t allowed, ms_needle *needle, ms_wish *wish);

PyObject *ms_no_memory(const char *what);

/* ---- objects ---- */

void *ms_new(PyTypeObject *type);
/* Free an object; its type's reference goes with it. */
void ms_free(PyObject *object);
PyObject *ms_u32_bytes(size_t count, uint32_t **numbers);

VisitObject *ms_visit_new(StoreObject *owner);
HitsObject *ms_hits_new(StoreObject *owner);
/* `hits`, or MemoryError when there was not enough memory to fill them. */
PyObject *ms_hits_or_nothing(HitsObject *hits, bool enough);
/* A read-only memoryview of the store's text that pins it. */
PyObject *ms_text_view(StoreObject *owner, const uint8_t *text, uint64_t bytes);

/* Let others run while the statement works on the store. */
#define MS_WITHOUT_GIL(owner, statement)            \
    do {                                            \
        (owner)->busy = true;                       \
        PyThreadState *saved = PyEval_SaveThread(); \
        statement;                                  \
        PyEval_RestoreThread(saved);                \
        ms_leave(owner);                            \
    } while (0)

#define MS_METHOD(name, function, doc) {name, (PyCFunction)(void (*)(void))(function), METH_VARARGS | METH_KEYWORDS, doc}

#endif

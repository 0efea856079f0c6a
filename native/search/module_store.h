/* What the two halves of Store for Python share: module_store.c has the type, module_index.c the rest of its methods. */
#ifndef MS_MODULE_STORE_H
#define MS_MODULE_STORE_H

#include "module.h"

/* The arguments are one file number, and the store is free; false with an exception set. */
bool ms_one_file(PyObject *args, PyObject *kwargs, const char *format, const StoreObject *self, uint32_t *file);

PyObject *ms_store_index(PyObject *object, PyObject *args, PyObject *kwargs);
PyObject *ms_store_candidates(PyObject *object, PyObject *args, PyObject *kwargs);
PyObject *ms_store_visit(PyObject *object, PyObject *args, PyObject *kwargs);
PyObject *ms_store_checked(PyObject *object, PyObject *ignored);
extern PyGetSetDef ms_store_attributes[];

#define MS_INDEX_METHODS                                                                                    \
    MS_METHOD("index", ms_store_index, "index(most_blocks) -> how many are left"),                          \
    MS_METHOD("candidates", ms_store_candidates, "candidates(literal, folds) -> a bit a block"),            \
    MS_METHOD("visit", ms_store_visit, "visit(blocks, files) -> Visit"),                                    \
    {"check", ms_store_checked, METH_NOARGS, "check(): AssertionError when the tables contradict each other"}

#endif

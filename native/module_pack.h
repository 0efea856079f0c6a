/* Packing plain values close together: the items of a batch, and its results. For module_pack.c and module_page.c.
 *
 * A value is a tag and what follows it. Containers are packed when nothing in them could be told from a copy of it:
 * at the top a tuple, list or dict, within them scalars and tuples of such. The rest is pickled one by one (PICKLE).
 * This is a format between processes of one program that run the same manyhands, never a file's.
 */
#ifndef MH_MODULE_PACK_H
#define MH_MODULE_PACK_H

#include "module.h"

enum {
    MH_TAG_NONE, MH_TAG_FALSE, MH_TAG_TRUE,
    MH_TAG_INT32, MH_TAG_INT64, MH_TAG_FLOAT,
    MH_TAG_STR, MH_TAG_BYTES,                /* length (4), UTF-8 or bytes */
    MH_TAG_TUPLE, MH_TAG_LIST, MH_TAG_DICT,  /* count (4), values; keys and values in turn */
    MH_TAG_PICKLE,                           /* length (4), a pickle without buffers */
};

#define MH_PACK_NOT_PLAIN (-1)
#define MH_PACK_NO_ROOM (-2)

/* Pack `object` into [to, to + room): how many bytes, or one of the above. Runs no Python code. */
Py_ssize_t mh_pack(PyObject *object, char *to, Py_ssize_t room);

PyObject *mh_pack_one(PyObject *module, PyObject *object);
PyObject *mh_pack_many(PyObject *module, PyObject *const *args, Py_ssize_t nargs);
PyObject *mh_unpack(PyObject *module, PyObject *const *args, Py_ssize_t nargs);

#endif
